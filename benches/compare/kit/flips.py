"""What is changed in pugmark's question, and in nobody else's, to see that the kit notices: the name of a kind, what is changed, and how."""


def longer(found):
    return f'"window": "{int(found[1]) + 1}s"'


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
    ("DuckDB trend: count, uniques, sums, percentiles, …", "people are events", '"uniques"', '"count"'),
    ("DuckDB trend: count, uniques, sums, percentiles, …", "another percentile", '"p(75|90|95|99)"', '"median"'),
    ("ClickHouse uniqExact by day and week", *BERLIN),
    ("ClickHouse uniqExact by day and week", "people are events", '"uniques"', '"count"'),
    ("DuckDB stickiness", *BERLIN),
    ("DuckDB stickiness", "exactly so many", '"at_least": true', '"at_least": false'),
    ("DuckDB stickiness", "once is enough", '"min_occurrences": 2', '"min_occurrences": 1'),
    ("DuckDB lifecycle", *BERLIN),
]
