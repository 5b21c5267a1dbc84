"""What is changed in pugmark's question, and in nobody else's, to see that the kit notices: the name of a kind, what is changed, and how."""


def longer(found):
    return f'"window": "{int(found[1]) + 1}s"'


def once_more(found):
    return f'"at_least": {int(found[1]) + 1}'


def one_more(found):
    return f'"rolling": {int(found[1]) + 1}'


BERLIN = ("the zone is UTC", "Europe/Berlin", "UTC")
WINDOW = ("the window is a second longer", r'"window": "(\d+)s"', longer)

FLIPS = [
    ("windowFunnel", *WINDOW),
    ("windowFunnel", "a row serves one step", '"reuse": true', '"reuse": false'),
    ("windowFunnel", "steps are strictly later", '"reuse"', '"ties": "apart", "reuse"'),
    ("windowFunnel strict_once", "a row serves several steps", '"window"', '"reuse": true, "window"'),
    ("windowFunnel strict_increase", "steps of one time follow each other", "apart", "either"),
    ("windowFunnel strict_increase", *WINDOW),
    ("windowFunnel strict_deduplication", "no repeat ends it", r" AND strict_deduplication_\d+", ""),
    ("windowFunnel strict_order", "no event ends it", r" AND strict_order_\d+", ""),
    ('windowFunnel beside like: "clickhouse", a range', "no preset", '"like": "clickhouse", ', ""),
    (
        'windowFunnel beside like: "clickhouse", a range',
        "steps may follow the range",
        '"like"',
        '"completion": "in_window", "like"',
    ),
    ("windowFunnel strict_order beside strict_steps", "others may lie between", "strict_steps", "ordered"),
    ("windowFunnel strict_order beside strict", "events of no step may lie between", '"strict"', '"strict_steps"'),
    (
        "windowFunnel strict_order beside strict",
        "a repeat is another event",
        '"strict"',
        '"strict", "repeats": "break"',
    ),
    ("DuckDB self-join, funnel of 2 steps with times", *WINDOW),
    (
        "DuckDB self-join, funnel of 2 steps with times",
        "steps of one time do not follow each other",
        '"either"',
        '"apart"',
    ),
    ("DuckDB self-join, funnel of 2 steps with times", "steps of one time follow each other", '"sequence"', '"either"'),
    ("DuckDB self-join, funnel of 2 steps with times", "the first attempt of equals", '"latest"', '"earliest"'),
    ("sequenceMatch and sequenceCount", "no rows between", r"\.\*", ""),
    ("sequenceMatch and sequenceCount", "a time is not reached by itself", "<=|>=", lambda found: found[0][0]),
    ("ClickHouse retention(cond, …)", "a day more", r"t < (\d+)", lambda found: f"t < {int(found[1]) + 86_400}"),
    ("DuckDB self-join, retention", *BERLIN),
    ("DuckDB self-join, retention", "every start", "first_time", "recurring"),
    ("DuckDB self-join, retention", "period 0 is the size", '"returned"', '"cohort_size"'),
    ("DuckDB self-join, retention", "once is enough", '"min_occurrences": 2', '"min_occurrences": 1'),
    ("DuckDB trend: count, uniques, sums, percentiles, …", *BERLIN),
    ("DuckDB trend: count, uniques, sums, percentiles, …", "people are events", '"(uniques|count_per_user)"', '"count"'),
    ("DuckDB trend: count, uniques, sums, percentiles, …", "another percentile", '"p(75|90|95|99)"', '"median"'),
    ("ClickHouse uniqExact by day and week", *BERLIN),
    ("ClickHouse uniqExact by day and week", "people are events", '"uniques"', '"count"'),
    ("DuckDB stickiness", *BERLIN),
    ("DuckDB stickiness", "exactly so many", '"at_least": true', '"at_least": false'),
    ("DuckDB stickiness", "once is enough", '"min_occurrences": 2', '"min_occurrences": 1'),
    ("DuckDB lifecycle", *BERLIN),
    ("DuckDB self-join, retention", "the first of any name", "first_ever", "first_time"),
    ("DuckDB self-join, retention", "the first in the range", "first_in_range", "first_time"),
    ("DuckDB self-join, retention", "a filter looks for the first", "first_of_event", "first_time"),
    ("DuckDB self-join, retention", "periods of the calendar", '"clock": "rolling"(, "round_to": "hour")?', '"clock": "calendar"'),
    ("DuckDB self-join, retention", "times to the microsecond", '"round_to": "hour", ', ""),
    ("DuckDB self-join, retention", "in that period alone", "on_or_(after|before)", "on"),
    ("DuckDB self-join, retention", "once so far is a streak", "streak", "on_or_before"),
    ("DuckDB self-join, retention", "returns end with the range", '"returns": "open"', '"returns": "in_range"'),
    ("DuckDB self-join, retention", "a sum is a mean", '"measure": "sum"', '"measure": "avg"'),
    ("DuckDB segments", "any is all", '"any"', '"all"'),
    ("DuckDB segments", "the last is the first", '"last"', '"first"'),
    ("DuckDB segments", "once more", r'"at_least": (\d)', once_more),
    ("DuckDB segments", "all of time", r', "range": \{[^}]*\}', ""),
    ("DuckDB sessions", *BERLIN),
    ("DuckDB sessions", "exactly the gap does not cut", '"new"', '"same"'),
    ("DuckDB sessions", "midnight does not cut", '"midnight": true', '"midnight": false'),
    ("DuckDB sessions", "ids do not count", '"by": "session_id"', '"by": null'),
    ("DuckDB sessions", "pages do not cut", r'"split_on": \["url"\]', '"split_on": []'),
    ("DuckDB sessions", "no longest time", r', "max": "\d+m"', ""),
    ("DuckDB paths", "the other way", '"before"', '"after"'),
    ("DuckDB paths", "neighbours are not joined", '"collapse": true', '"collapse": false'),
    ("DuckDB paths", "people are paths", '"count": "units"', '"count": "occurrences"'),
    ("DuckDB paths", "nothing is excluded", r'"exclude": \[[^\]]*\]', '"exclude": []'),
    ("DuckDB paths", "no end", r', "end": \{[^}]*\}', ""),
    ("DuckDB paths", "a session is all", '"within": "session"', '"within": "all"'),
    ("DuckDB trend: first_time, rolling, cumulative, frequency", *BERLIN),
    ("DuckDB trend: first_time, rolling, cumulative, frequency", "one bucket more", r'"rolling": (\d)', one_more),
    ("DuckDB trend: first_time, rolling, cumulative, frequency", "who is new is who is there", "first_time", "uniques"),
    ("DuckDB trend: first_time, rolling, cumulative, frequency", "not so far", ', "cumulative": true', ""),
]
