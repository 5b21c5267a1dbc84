"""What counts over days and weeks: trends, retention, stickiness, lifecycle; beside DuckDB's SQL, uniqExact and retention of ClickHouse.

Groups of people are the cases of a question, or where it can be told one by one each person is a group."""

import datetime
import math
from collections import namedtuple

from .batch import Event

DAY = 86_400
# A week before the clocks of Berlin change, a Thursday.
BEGIN = 1_742_428_800
DAYS = 24
# Midnight and just before it in UTC, noon, and midnight in Berlin before and after the change.
HOURS = [0, 1, 43_200, 79_199, 79_200, 82_799, 82_800, 86_399]
ZONES = ["UTC", "Europe/Berlin"]
# Most groups of an answer.
GROUPS = 2_000
IN_A_GROUP = 8
# Into how many parts the people are put for answers of too many cells.
PARTS = 5


def random_events(random):
    """A few days of the range, at most."""
    days = [random.randrange(DAYS) for _ in range(random.randint(1, 6))]
    events = []
    for _ in range(random.randint(1, 14)):
        number = random.choice([None, random.randint(-4, 12), random.randint(0, 40) / 8])
        events.append(Event(random.choice("aabbc"), BEGIN + random.choice(days) * DAY + random.choice(HOURS), number))
    return events


Range = namedtuple("Range", "first last interval zone")


def random_range(random, intervals=("day", "week")):
    first = random.randrange(0, DAYS // 2)
    return Range(first, random.randrange(first + 1, DAYS + 1), random.choice(intervals), random.choice(ZONES))


def day(number):
    return datetime.date.fromordinal(datetime.date(2025, 3, 20).toordinal() + number)


def asked(between, **more):
    return {
        "range": {"from": str(day(between.first)), "to": str(day(between.last))},
        "interval": between.interval,
        "time_zone": between.zone,
    } | more


def local(at, between):
    return f"timezone('{between.zone}', to_timestamp({at}))"


def bucket(at, between):
    """The number of the bucket in which an event lies, in DuckDB."""
    return f"date_diff('{between.interval}', date_trunc('{between.interval}', date '{day(between.first)}'), date_trunc('{between.interval}', {local(at, between)}))"


def inside(at, between):
    return f"({local(at, between)} >= '{day(between.first)}' and {local(at, between)} < '{day(between.last)}')"


def buckets(between):
    first, last = day(between.first), day(between.last - 1)
    if between.interval == "day":
        return (last - first).days + 1
    return (last.toordinal() - last.weekday() - first.toordinal() + first.weekday()) // 7 + 1


class Kind:
    def __init__(self, questions):
        self.many = questions

    def marks(self, questions, people):
        return {}

    def agree(self, ours, theirs):
        return same(ours, theirs)

    def reasons(self, batch, question, differing):
        return {}


def same(ours, theirs):
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)
    return ours == theirs


class Conditions(Kind):
    """ClickHouse's retention: on which days each person was there, of those who were there on the first."""

    name = "ClickHouse retention(cond, …)"

    def questions(self, random):
        return [
            [(random.choice(["a", "b", "ab"]), random.randrange(DAYS)) for _ in range(random.randint(2, 8))]
            for _ in range(self.many)
        ]

    def answers(self, batch, questions):
        for question in questions:
            conditions = ", ".join(
                f"event IN ({', '.join(map(repr, names))}) AND t >= {BEGIN + number * DAY} AND t < {BEGIN + (number + 3) * DAY}"
                for names, number in question
            )
            ours = batch.pugmark(f"SELECT distinct_id, retention({conditions}) AS r FROM events GROUP BY distinct_id")
            ours = {row["distinct_id"]: row["r"] for row in ours}
            theirs = batch.clickhouse(
                f"select distinct_id, retention({conditions}) from {{table}} group by distinct_id"
            )
            theirs = {who: [held == 1 for held in list] for who, list in theirs}
            yield {who: (ours[who], theirs[who]) for who in batch.people}


COHORTS = ["first_time", "first_of_event", "first_ever", "first_in_range", "recurring"]


class Retention(Kind):
    """A group for each person: by cohort in which periods it came back, or how much."""

    name = "DuckDB self-join, retention"

    def questions(self, random):
        return [self.question(random) for _ in range(self.many)]

    def question(self, random):
        question = {
            "range": random_range(random),
            "start": random.choice("ab"),
            "filter": random.choice([None, None, "number > 2"]),
            "return": random.choice(["a", "b", "*"]),
            "cohort": random.choice(COHORTS),
            "clock": random.choice(["calendar", "calendar", "rolling"]),
            "round_to": None,
            "period_zero": random.choice(["cohort_size", "returned"]),
            "criterion": random.choice(["on", "on", "on_or_after", "on_or_before", "streak"]),
            "brackets": None,
            "min_occurrences": random.choice([1, 1, 2]),
            "measure": random.choice([None, None, "sum", "avg"]),
            "periods": random.choice([None, 1, 3, 6]),
        }
        if question["clock"] == "rolling":
            question["round_to"] = random.choice([None, "hour"])
        if random.random() < 0.25:
            brackets = random.choice([[0, 1, 3], [1, 3, 7], [1], [0, 2, 4, 5]])
            question |= {"criterion": "on", "periods": None, "brackets": brackets}
        question["returns"] = random.choice(["in_range", "open"]) if question["periods"] else "in_range"
        return question

    def answers(self, batch, questions):
        for question in questions:
            between = question["range"]
            same = ["cohort", "clock", "round_to", "period_zero", "criterion", "brackets", "min_occurrences", "periods", "returns"]
            fields = {name: question[name] for name in same if question[name] is not None}
            fields |= {"start": {"event": question["start"]}, "return": {"event": question["return"]}}
            if question["filter"]:
                fields["start"]["filter"] = question["filter"]
            if question["measure"]:
                fields |= {"measure": question["measure"], "property": "number"}
            ours = {}
            for part in range(PARTS):
                more = {"breakdown": [{"property": "grp"}], "limit": GROUPS, "filter": f"part = {part}"}
                for group in batch.ask({"retention": asked(between, **fields, **more)})["groups"]:
                    if group["breakdown"]:
                        ours[group["breakdown"][0]] = [[row["size"], *row["values"]] for row in group["rows"]]
            many = buckets(between)
            columns = [self.columns(question, many - row) for row in range(many)]
            empty = None if question["measure"] == "avg" else 0
            nobody = [[0] + [empty] * len(of) for of in columns]
            theirs = {}
            for who, cohort, periods in self.rows(batch, question):
                grid = theirs.setdefault(who, [list(row) for row in nobody])
                grid[cohort] = [1, *(self.cell(question, *looked_at, periods or {}) for looked_at in columns[cohort])]
            yield {who: (ours.get(who, nobody), theirs.get(who, nobody)) for who in batch.people}

    def columns(self, question, left):
        """The first and the last period of each column of a row that has so many calendar periods left."""
        if question["brackets"]:
            ends = [*question["brackets"][1:], math.inf]
            return [(first, end - 1) for first, end in zip(question["brackets"], ends) if first < left]
        many = left if question["periods"] is None else question["periods"]
        return [(k, k) for k in range(many if question["returns"] == "open" else min(many, left))]

    def cell(self, question, first, last, periods):
        """What one person is in a column; `periods` tells of each how many return events, how many numbers, and their sum."""
        if first == 0 and question["period_zero"] == "cohort_size" and not question["measure"]:
            return 1
        if question["criterion"] == "on_or_after":
            last = math.inf
        elif question["criterion"] in ("on_or_before", "streak"):
            first = min(first, 1)
        looked_at = {k: found for k, found in periods.items() if first <= k <= last}
        least = question["min_occurrences"]
        if question["brackets"]:
            counts = sum(events for events, _, _ in looked_at.values()) >= least
        else:
            held = sum(events >= least for events, _, _ in looked_at.values())
            counts = held == last - first + 1 if question["criterion"] == "streak" else held > 0
        if question["measure"] is None:
            return int(counts)
        numbers = sum(numbers for _, numbers, _ in looked_at.values()) if counts else 0
        if numbers == 0:
            return None if question["measure"] == "avg" else 0
        total = sum(total or 0 for _, _, total in looked_at.values())
        return total / numbers if question["measure"] == "avg" else total

    def rows(self, batch, question):
        """(person, cohort, {period: (events, numbers, sum)}) of each cohort in which a person is."""
        between, cohort = question["range"], question["cohort"]
        inside_range = inside("t", between)
        holds = f"event = '{question['start']}' and coalesce({question['filter'] or 'true'}, false)"
        # Among which events the first is looked for, of whom or of when.
        among = {"first_of_event": f"event = '{question['start']}'", "first_ever": "true"}.get(cohort, holds)
        among += f" and {inside_range}" if cohort in ("first_in_range", "recurring") else ""
        of = "distinct_id, k" if cohort == "recurring" else "distinct_id"
        first = f"qualify row_number() over (partition by {of} order by t, place) = 1"
        if cohort == "recurring" and question["clock"] == "rolling":
            first = ""
        back = "true" if question["return"] == "*" else f"r.event = '{question['return']}'"
        read = inside("r.t", between) if question["returns"] == "in_range" else "true"
        period = f"{bucket('r.t', between)} - c.k"
        if question["clock"] == "rolling":
            floor = (lambda t: f"({t} // 3600 * 3600)") if question["round_to"] else (lambda t: t)
            period = f"({floor('r.t')} - {floor('c.t')}) // {DAY * (1 if between.interval == 'day' else 7)}"
        found = {}
        for who, k, period, *numbers in batch.duckdb(
            f"""with starts as (select distinct_id, t, place, {bucket("t", between)} as k, {holds} as holds from {{table}} where {among} {first}),
                cohorts as (select * from starts where holds and {inside_range}),
                returns as (
                    select distinct c.distinct_id, c.k, {period} as period, r.place, r.number from cohorts c
                    join {{table}} r on r.distinct_id = c.distinct_id and {back} and (r.t, r.place) > (c.t, c.place) and {read}),
                counted as (select distinct_id, k, period, count(*) as n, count(number) as numbers, sum(number) as total from returns group by all)
                select c.distinct_id, c.k, r.period, n, numbers, total from (select distinct distinct_id, k from cohorts) c
                left join counted r using (distinct_id, k)"""
        ):
            periods = found.setdefault((who, k), {})
            if period is not None:
                periods[period] = numbers
        return [(who, k, periods) for (who, k), periods in found.items()]


class Grouped(Kind):
    """Groups of some people, put together by the place in which they come."""

    def groups(self, people):
        return {who: f"g{number // IN_A_GROUP}" for number, who in enumerate(people)}

    def people_of(self, batch, group):
        groups = self.groups(batch.people)
        return [who for who in batch.people if groups[who] == group]


# What DuckDB says for each measure.
MEASURES = {
    "count": "count(*)",
    "uniques": "count(distinct distinct_id)",
    "sum": "coalesce(sum(number), 0)",
    "avg": "avg(number)",
    "min": "min(number)",
    "max": "max(number)",
    "median": "quantile_cont(number, 0.5)",
    "p75": "quantile_cont(number, 0.75)",
    "p90": "quantile_cont(number, 0.9)",
    "p95": "quantile_cont(number, 0.95)",
    "p99": "quantile_cont(number, 0.99)",
    "distinct": "count(distinct number)",
    "count_per_user": "count(*) / count(distinct distinct_id)",
    "sum_per_user": "coalesce(sum(number), 0) / count(distinct distinct_id)",
}
OF_NO_NUMBER = {"count", "uniques", "count_per_user"}
OF_NOBODY = {"count": 0, "uniques": 0, "sum": 0, "distinct": 0, "count_per_user": 0, "sum_per_user": 0}


class Trend(Grouped):
    def __init__(self, questions, names, peer):
        self.many, self.names, self.peer = questions, names, peer
        self.name = {
            "duckdb": "DuckDB trend: count, uniques, sums, percentiles, …",
            "clickhouse": "ClickHouse uniqExact by day and week",
        }[peer]

    def questions(self, random):
        return [
            (random_range(random), random.choice(self.names), random.choice(["a", "b", "*"])) for _ in range(self.many)
        ]

    def answers(self, batch, questions):
        for between, measure, event in questions:
            series = {"event": event, "measure": measure} | ({} if measure in OF_NO_NUMBER else {"property": "number"})
            answer = batch.ask(
                {"trend": asked(between, series=[series], breakdown=[{"property": "grp"}], limit=GROUPS)}
            )
            empty = OF_NOBODY.get(measure)
            none = [[empty] * buckets(between), empty]
            ours = {
                made["breakdown"][0]: [made["values"], made["total"]] for made in answer["series"] if made["breakdown"]
            }
            which = "true" if event == "*" else f"event = '{event}'"
            theirs = {}
            for group, number, value in self.rows(batch, between, measure, which):
                made = theirs.setdefault(group, [[empty] * buckets(between), empty])
                if number is None:
                    made[1] = value
                else:
                    made[0][number] = value
            groups = sorted(set(self.groups(batch.people).values()))
            yield {group: (ours.get(group, none), theirs.get(group, none)) for group in groups}

    def rows(self, batch, between, measure, which):
        if self.peer == "duckdb":
            return batch.duckdb(
                f"""select grp, {bucket("t", between)} as k, {MEASURES[measure]} from {{table}} where {which} and {inside("t", between)}
                    group by grouping sets ((grp, k), (grp))"""
            )
        value = "uniqExact(distinct_id)" if measure == "uniques" else "uniqExact(number)"
        start = {"day": "toDate", "week": "toMonday"}[between.interval]
        moment = f"toDateTime(t, '{between.zone}')"
        rows = batch.clickhouse(
            f"""select grp, {start}({moment}) as d, grouping(d), toUInt32({value}) from {{table}}
                where {which} and toDate({moment}) >= '{day(between.first)}' and toDate({moment}) < '{day(between.last)}'
                group by grouping sets ((grp, d), (grp))"""
        )
        first = day(between.first)
        long = 1 if between.interval == "day" else 7
        if long == 7:
            first -= datetime.timedelta(first.weekday())
        return [
            (grp, None if whole else (datetime.date.fromisoformat(d) - first).days // long, value)
            for grp, d, whole, value in rows
        ]


class TrendOfPeople(Grouped):
    """Who is new, who was there lately or so far, and how often people did it."""

    name = "DuckDB trend: first_time, rolling, cumulative, frequency"

    def questions(self, random):
        return [
            {
                "range": random_range(random),
                "event": random.choice(["a", "b", "*"]),
                "filter": random.choice([None, "number > 2"]),
                "form": random.choice(["first_time", "rolling", "cumulative", "frequency"]),
                "over": random.randint(2, 5),
            }
            for _ in range(self.many)
        ]

    def answers(self, batch, questions):
        for question in questions:
            between, form = question["range"], question["form"]
            series = {"event": question["event"]} | ({"filter": question["filter"]} if question["filter"] else {})
            if form == "rolling":
                series |= {"measure": "uniques", "rolling": question["over"]}
            elif form == "cumulative":
                series |= {"measure": "uniques", "cumulative": True}
            else:
                series["measure"] = form
            answer = batch.ask(
                {"trend": asked(between, series=[series], breakdown=[{"property": "grp"}], limit=GROUPS)}
            )
            field = "frequency" if form == "frequency" else "values"
            ours = {made["breakdown"][0]: [made[field], made["total"]] for made in answer["series"] if made["breakdown"]}
            many = buckets(between)
            none = [{"times": [], "people": []} if form == "frequency" else [0] * many, 0]
            theirs = self.theirs(batch, question, many)
            groups = sorted(set(self.groups(batch.people).values()))
            yield {group: (ours.get(group, none), theirs.get(group, none)) for group in groups}

    def theirs(self, batch, question, many):
        between = question["range"]
        holds = "true" if question["event"] == "*" else f"event = '{question['event']}'"
        holds += f" and coalesce({question['filter'] or 'true'}, false)"
        until = f"{local('t', between)} < '{day(between.last)}'"
        rows = f"""with rows as (select grp, distinct_id, t, place, {bucket("t", between)} as k, {inside("t", between)} as inside from {{table}}
                where {holds} and {until})"""
        found = {}
        if question["form"] == "frequency":
            counted = f"{rows}, often as (select grp, distinct_id, count(*) as n from rows where inside group by all)"
            for group, times, people in batch.duckdb(f"{counted} select grp, n, count(*) from often group by all order by n"):
                made = found.setdefault(group, [{"times": [], "people": []}, 0])
                made[0]["times"].append(times)
                made[0]["people"].append(people)
                made[1] += people
            return found
        of = {
            "first_time": "k = b.k and inside",
            "rolling": f"r.k between b.k - {question['over'] - 1} and b.k",
            "cumulative": "r.k <= b.k and inside",
        }[question["form"]]
        if question["form"] == "first_time":
            rows += ", r as (select * from rows qualify row_number() over (partition by distinct_id order by t, place) = 1)"
            of = "r.k = b.k and inside"
        else:
            rows += ", r as (select * from rows)"
        buckets_of = f"b as (select unnest(range({many})) as k)"
        for group, k, people in batch.duckdb(
            f"{rows}, {buckets_of} select grp, b.k, count(distinct distinct_id) from r join b on {of} group by all"
        ):
            found.setdefault(group, [[0] * many, 0])[0][k] = people
        for group, people in batch.duckdb(f"{rows} select grp, count(distinct distinct_id) from r where inside group by all"):
            found.setdefault(group, [[0] * many, 0])[1] = people
        return found


class Stickiness(Grouped):
    name = "DuckDB stickiness"

    def questions(self, random):
        return [
            (random_range(random), random.choice(["a", "b", "*"]), random.random() < 0.5, random.choice([1, 1, 2]))
            for _ in range(self.many)
        ]

    def answers(self, batch, questions):
        for between, event, at_least, occurrences in questions:
            fields = {"event": {"event": event}, "at_least": at_least, "min_occurrences": occurrences}
            answer = batch.ask({"stickiness": asked(between, **fields, breakdown=[{"property": "grp"}], limit=GROUPS)})
            ours = {made["breakdown"][0]: made["values"] for made in answer["groups"] if made["breakdown"]}
            which = "true" if event == "*" else f"event = '{event}'"
            rows = batch.duckdb(
                f"""with active as (select grp, distinct_id, {bucket("t", between)} as k from {{table}} where {which} and {inside("t", between)}
                        group by all having count(*) >= {occurrences}),
                    days as (select grp, distinct_id, count(*) as n from active group by all)
                    select grp, n, count(*) from days group by all"""
            )
            many = buckets(between)
            theirs = {}
            for group, n, people in rows:
                values = theirs.setdefault(group, [0] * many)
                for k in range(1 if at_least else n, n + 1):
                    values[k - 1] += people
            groups = sorted(set(self.groups(batch.people).values()))
            yield {group: (ours.get(group, [0] * many), theirs.get(group, [0] * many)) for group in groups}


class Lifecycle(Grouped):
    """It takes no breakdown: each group is asked for by itself."""

    name = "DuckDB lifecycle"
    WORDS = ["new", "returning", "resurrecting", "dormant"]

    def __init__(self, questions, groups):
        self.many, self.asked_groups = questions, groups

    def questions(self, random):
        return [(random_range(random), random.choice(["a", "b", "*"])) for _ in range(self.many)]

    def answers(self, batch, questions):
        for between, event in questions:
            groups = sorted(set(self.groups(batch.people).values()), key=lambda group: (len(group), group))[
                : self.asked_groups
            ]
            which = "true" if event == "*" else f"event = '{event}'"
            many = buckets(between)
            # What lies before the range counts as before the first bucket, in which nobody of it is active.
            early = f"case when {local('t', between)} < '{day(between.first)}' and {bucket('t', between)} = 0 then null else {bucket('t', between)} end"
            rows = batch.duckdb(
                f"""with seen as (select distinct grp, distinct_id, {early} as k, {inside("t", between)} as inside from {{table}}
                        where {which} and {local("t", between)} < '{day(between.last)}')
                    select grp, distinct_id, list(k order by k), bool_or(not inside) from seen group by all"""
            )
            theirs = {group: [[0] * many for _ in self.WORDS] for group in groups}
            for group, _, active, before in rows:
                if group not in theirs:
                    continue
                new, returning, resurrecting, dormant = theirs[group]
                active = {k for k in active if k is not None}
                known = before
                for k in range(many):
                    if k in active:
                        (returning if k - 1 in active else resurrecting if known else new)[k] += 1
                        known = True
                    elif k - 1 in active:
                        dormant[k] += 1
            found = {}
            for group in groups:
                answer = batch.ask({"lifecycle": asked(between, event={"event": event}, filter=f"grp = '{group}'")})
                found[group] = [answer[word] for word in self.WORDS], theirs[group]
            yield found
