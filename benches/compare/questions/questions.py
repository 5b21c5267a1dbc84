"""What is asked of whom, what pugmark is to reach, and where answers differ by design."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

# How many times as fast as the fastest peer.
GOALS = {
    "count_per_day": 2,
    "uniques_per_day": 8,
    "dau": 6,
    "mau_rolling_30": 5,
    "breakdown_country": 1.5,
    "breakdown_country_declared": 10,
    "funnel_3": 4,
    "funnel_5_by_platform": 4,
    "retention_day_30": 3,
    "retention_week_recurring": 8,
    "journey": 1,
    "sum_country_week": 1.5,
    "sum_country_week_declared": 3,
    "top_urls": 2,
    "segment_funnel": 2,
}


@dataclass(frozen=True)
class LeftOut:
    """Rows that are not compared, of everybody's answer."""

    questions: tuple[str, ...]
    what: str
    reason: str
    is_it: Callable[[list], bool]


BY_DESIGN = [
    LeftOut(
        ("retention_week_recurring",),
        "period 0",
        "pugmark gives the size of the cohort (`period_zero: cohort_size`), the peers who returned within the week",
        lambda row: row[1] == 0,
    ),
    LeftOut(
        ("funnel_3", "funnel_5_by_platform", "segment_funnel"),
        "level 0",
        "`windowFunnel` lists people without the first step, whom a funnel does not have",
        lambda row: row[-2] == 0,
    ),
    LeftOut(
        ("top_urls",),
        "the rest",
        "pugmark folds what is past the limit into `other`, the peers leave it out",
        lambda row: row[0] == {"other": True},
    ),
]


def left_out(name):
    return [rule for rule in BY_DESIGN if name in rule.questions]


@dataclass(frozen=True)
class Question:
    name: str
    # An answer is rows: so many columns say what a row is about, the others are numbers.
    keys: int
    # Who is asked what, as lines of JSON. `pugmark, sql` is a second way to ask pugmark.
    asks: dict[str, dict]
    # The rows of an analysis that pugmark answered; those of SQL are rows already.
    read: Callable[[dict], list]

    def only(self, systems):
        return replace(self, asks={who: line for who, line in self.asks.items() if system_of(who) in systems})


def system_of(who):
    return who.split(",")[0]


def is_peer(who):
    return not who.startswith("pugmark")


# --- pugmark ---------------------------------------------------------------------------------------------------------

RANGE = {"from": "2025-01-01", "to": "2025-04-01"}
WEEKS = {"from": "2024-12-30", "to": "2025-04-01"}
BUYERS = {"did": {"event": "purchase", "filter": "country = 'US'"}, "times": {"at_least": 5}}
KEPT_BUYERS = {"all": [BUYERS | {"range": {"from": "2025-03-02", "to": "2025-04-01"}}, {"did_not": {"event": "refund"}}]}
VIEWS = [{"event": "page_view", "measure": "uniques", "name": "people"}, {"event": "page_view", "name": "events"}]
SUMS = [
    {"event": "purchase", "filter": "plan = 'pro'", "measure": "sum", "property": "amount", "name": "sum"},
    {"event": "purchase", "filter": "plan = 'pro'", "name": "events"},
]


def trend(series, interval="day", range=RANGE, **more):
    return {"query": {"trend": {"series": series, "interval": interval, "range": range, **more}}}


def funnel(steps, window, **more):
    steps = [step if isinstance(step, dict) else {"event": step} for step in steps]
    return {"query": {"funnel": {"steps": steps, "window": window, "range": RANGE, **more}}}


def retention(start, returning, interval, range=RANGE, **more):
    asked = {"start": {"event": start}, "return": {"event": returning}, "interval": interval, "range": range, **more}
    return {"query": {"retention": asked}}


def by_property(name, limit):
    return {"breakdown": [{"property": name}], "limit": limit}


F3 = ["product_view", "add_to_cart", "purchase"]
US_VIEW = {"event": "product_view", "filter": "country = 'US'"}
F5 = ["session_start", US_VIEW, "add_to_cart", "checkout_start", "purchase"]
REFUND = {"event": "refund", "from_step": 1, "to_step": 3, "outcome": "void"}
HELD = {"hold": ["plan"], "exclude": [REFUND], "breakdown": [{"property": "country"}]}
JOURNEY = "SELECT timestamp, event, url, amount FROM events WHERE distinct_id = '{u}' ORDER BY timestamp"
COUNTRIES_SQL = (
    "SELECT country, count(*), count(DISTINCT person) FROM events WHERE event = 'page_view' GROUP BY country"
)
TOP_URLS_SQL = (
    "SELECT url, count(DISTINCT person) AS people, count(*) FROM events WHERE event = 'page_view' "
    "GROUP BY url ORDER BY people DESC, url LIMIT 20"
)


def buckets(answer):
    return [list(row) for row in zip(answer["buckets"], answer["series"][0]["values"], strict=True)]


def totals(*names):
    """A row for each group, with the totals of these series."""

    def read(answer):
        groups = {}
        for series in answer["series"]:
            of_group = groups.setdefault(json.dumps(series["breakdown"]), {})
            of_group[series["name"]] = series["total"]
        return [[*json.loads(group), *(of_group[name] for name in names)] for group, of_group in groups.items()]

    return read


def group_buckets(*names):
    """A row for each bucket and group, with what these series have there."""

    def read(answer):
        cells = {}
        for series in answer["series"]:
            for bucket, value in zip(answer["buckets"], series["values"], strict=True):
                cells.setdefault((bucket, json.dumps(series["breakdown"])), {})[series["name"]] = value
        return [[at, *json.loads(group), *(cell[name] for name in names)] for (at, group), cell in cells.items()]

    return read


def levels(answer):
    """How many got exactly so far, from how many reached each step."""
    rows = []
    for group in answer["groups"]:
        reached = [step["count"] for step in group["steps"]] + [0]
        for level, (count, further) in enumerate(pairwise(reached), 1):
            rows.append([*(group["breakdown"] or []), level, count - further])
    return rows


def states(answer):
    names = ("new", "returning", "resurrecting", "dormant")
    return [list(row) for row in zip(answer["buckets"], *(answer[name] for name in names), strict=True)]


def lengths(answer):
    return [[answer["count"], answer["bounce_rate"], answer["seconds"]["median"]]]


def active(answer):
    [group] = answer["groups"]
    return [list(row) for row in zip(answer["intervals"], group["values"], strict=True)]


def periods_of_groups(answer):
    """Of each value the size of its cohorts, and how many came back in each period, over all of them."""
    rows = []
    for group in answer["groups"]:
        for period in range(len(answer["periods"])):
            values = [row["values"][period] for row in group["rows"] if period < len(row["values"])]
            rows.append([*group["breakdown"], period, sum(values)])
    return rows


def edges(answer):
    return [[edge[name] for name in ("position", "from", "to", "count", "mean_seconds")] for edge in answer["edges"]]


def periods(answer):
    [group] = answer["groups"]
    return [[row["cohort"], period, value] for row in group["rows"] for period, value in enumerate(row["values"])]


# --- the peers -------------------------------------------------------------------------------------------------------

MS = "toUInt64(toUnixTimestamp64Milli(ts))"
IN_F3 = "event in ('product_view', 'add_to_cart', 'purchase')"
LEVELS_3 = (
    f"select uid, windowFunnel(604800000)({MS}, "
    "event='product_view', event='add_to_cart', event='purchase') lv from b.e"
)
LEVELS_5 = (
    f"select uid, any(platform) platform, windowFunnel(1209600000)({MS}, event='session_start', "
    "event='product_view' and country='US', event='add_to_cart', event='checkout_start', event='purchase') lv from b.e "
    "where event in ('session_start', 'product_view', 'add_to_cart', 'checkout_start', 'purchase') group by uid"
)

# The same for the table as it is usually made and as it was tuned, which has numbers for ids and another order.
CHDB = {
    "count_per_day": "select toDate(ts) d, count() from b.e where event='purchase' group by d order by d",
    "uniques_per_day": "select toDate(ts) d, uniqExact(uid) from b.e where event='purchase' group by d order by d",
    "dau": "select toDate(ts) d, uniqExact(uid) from b.e group by d order by d",
    "mau_rolling_30": """select d+o day, uniqExact(uid) from (select distinct toDate(ts) d, uid from b.e)
        array join range(30) as o group by day order by day""",
    "breakdown_country": """select country, count(), uniqExact(uid) from b.e where event='page_view'
        group by country order by 2 desc""",
    "funnel_3": f"select lv, count() from ({LEVELS_3} where {IN_F3} group by uid) group by lv order by lv",
    "funnel_5_by_platform": f"select platform, lv, count() from ({LEVELS_5}) group by platform, lv order by 1, 2",
    "retention_day_30": """select d0, k, count() from
        (select uid, arraySort(groupUniqArray(toDate(ts))) a, a[1] d0 from b.e group by uid)
        array join arrayFilter(x->x<=30, arrayMap(x->toInt32(x-d0), a)) as k group by d0, k order by d0, k""",
    "retention_week_recurring": """with a as (select distinct uid, toMonday(ts) w from b.e where event='session_start'),
        b as (select distinct uid, toMonday(ts) w from b.e where event='purchase')
        select a.w, intDiv(b.w-a.w, 7) k, count() from a join b using uid where b.w>=a.w group by 1, 2 order by 1, 2""",
    "journey": "select ts, event, url, amount from b.e where uid='{u}' order by ts limit 1000",
    "journey_1000": "select ts, event, url, amount from b.e where uid='{u}' order by ts",
    "sum_country_week": """select toMonday(ts) w, country, sum(amount), count() from b.e
        where event='purchase' and plan='pro' group by w, country order by w, country""",
    "top_urls": """select url, uniqExact(uid) u, count() from b.e where event='page_view'
        group by url order by u desc, url limit 20""",
    "new_users": """select d0, count() from (select uid, min(toDate(ts)) d0 from b.e group by uid)
        group by d0 order by d0""",
    "stickiness_day": """select n, count() from (select uid, uniqExact(toDate(ts)) n from b.e group by uid)
        group by n order by n""",
    "lifecycle_day": """with a as (select uid, d, lagInFrame(d, 1, d) over w p, row_number() over w i from
            (select distinct uid, toDate(ts) d from b.e) window w as (partition by uid order by d
            rows between unbounded preceding and current row)),
        s as (select d, countIf(i=1) n, countIf(i>1 and p=d-1) r, countIf(i>1 and p<d-1) z, count() c from a group by d)
        select d, n, r, z, lagInFrame(c, 1, 0) over (order by d rows between unbounded preceding and current row) - r
        from s order by d""",
    "retention_country": """select country, k, count() from (select distinct uid, any(country) over w country,
            toInt32(toDate(ts)-min(toDate(ts)) over w) k from b.e window w as (partition by uid))
        where k<=30 group by country, k order by country, k""",
    # Paths are DuckDB's alone: of events of one millisecond ClickHouse has forgotten which came first.
    "sessions_all": """select count(), countIf(n=1)/count(), quantileExactInclusive(0.5)(d) from
        (select count() n, (toUnixTimestamp64Milli(max(ts)) - toUnixTimestamp64Milli(min(ts))) / 1000 d from b.e
        group by uid, session_id)""",
    "segment_people": """select count() from (select uid from b.e where event in ('purchase', 'refund') group by uid
        having countIf(event='purchase' and country='US' and ts >= '2025-03-02')>=5 and countIf(event='refund')=0)""",
    "segment_funnel": f"""with s as
        (select uid from b.e where event='purchase' and country='US' group by uid having count()>=5)
        select lv, count() from ({LEVELS_3} where {IN_F3} and uid in s group by uid) group by lv order by lv""",
}

# From rollups and copies that are kept by hand; peer.py makes them.
TUNED = {
    "count_per_day": "select d, sum(n) from b.c where event='purchase' group by d order by d",
    "uniques_per_day": "select d, groupBitmapMerge(u) from b.r where event='purchase' group by d order by d",
    "dau": "select d, groupBitmapMerge(u) from b.a group by d order by d",
    "mau_rolling_30": """select d+o day, groupBitmapMerge(u) from b.a array join range(30) as o
        group by day order by day""",
    "breakdown_country_declared": """select country, sum(n), any(q.p) from b.c join
        (select country, groupBitmapMerge(u) p from b.rc where event='page_view' group by country) as q using country
        where event='page_view' group by country order by 2 desc""",
    "retention_day_30": """select f.d0 d0, a.d-f.d0 k, bitmapAndCardinality(f.u, a.u) from
        (select d0, groupBitmapMergeState(u) u from b.f group by d0) f
        cross join (select d, groupBitmapMergeState(u) u from b.a group by d) a
        where a.d >= f.d0 and a.d <= f.d0+30 order by d0, k""",
    "journey": "select ts, event, url, amount from b.j where uid={n} order by ts limit 1000",
    "journey_1000": "select ts, event, url, amount from b.j where uid={n} order by ts",
    "sum_country_week_declared": """select toMonday(d) w, country, sum(s), sum(n) from b.c
        where event='purchase' and plan='pro' group by w, country order by w, country""",
}

DUCKDB = {
    "count_per_day": "select ts::date d, count(*) from e where event='purchase' group by d order by d",
    "uniques_per_day": "select ts::date d, count(distinct uid) from e where event='purchase' group by d order by d",
    "dau": "select ts::date d, count(distinct uid) from e group by d order by d",
    "mau_rolling_30": """select d+o::int as dd, count(distinct uid) from (select distinct ts::date d, uid from e),
        range(30) r(o) group by 1 order by 1""",
    "breakdown_country": """select country, count(*), count(distinct uid) from e where event='page_view'
        group by country order by 2 desc""",
    "funnel_3": """with s1 as (select uid, ts from e where event='product_view'),
        s2 as (select uid, ts from e where event='add_to_cart'),
        s3 as (select uid, ts from e where event='purchase'),
        x as (select s1.uid, s1.ts t1, s2.ts t2 from s1 asof left join s2 on s1.uid=s2.uid and s2.ts>=s1.ts),
        y as (select x.uid, t1, case when t2<=t1+interval 7 day then t2 end t2, s3.ts t3
            from x asof left join s3 on x.uid=s3.uid and s3.ts>=x.t2)
        select lv, count(*) from (select uid, max(case when t3<=t1+interval 7 day and t2 is not null then 3
            when t2 is not null then 2 else 1 end) lv from y group by uid) group by lv order by lv""",
    "retention_day_30": """with f as (select uid, min(ts::date) d0 from e group by uid),
        a as (select distinct uid, ts::date d from e)
        select d0, d-d0 k, count(*) from a join f using(uid) where d-d0<=30 group by 1, 2 order by 1, 2""",
    "retention_week_recurring": """with
        a as (select distinct uid, date_trunc('week', ts) w from e where event='session_start'),
        b as (select distinct uid, date_trunc('week', ts) w from e where event='purchase')
        select a.w, date_diff('week', a.w, b.w) k, count(*) from a join b using(uid)
        where b.w>=a.w group by 1, 2 order by 1, 2""",
    "journey": "select ts, event, url, amount from e where uid='{u}' order by ts limit 1000",
    "journey_1000": "select ts, event, url, amount from e where uid='{u}' order by ts",
    "sum_country_week": """select date_trunc('week', ts) w, country, sum(amount), count(*) from e
        where event='purchase' and plan='pro' group by all order by all""",
    "top_urls": """select url, count(distinct uid) u, count(*) from e where event='page_view'
        group by url order by u desc, url limit 20""",
    "new_users": """select d0, count(*) from (select uid, min(ts::date) d0 from e group by uid)
        group by d0 order by d0""",
    "stickiness_day": """select n, count(*) from (select uid, count(distinct ts::date) n from e group by uid)
        group by n order by n""",
    "lifecycle_day": """with a as (select uid, d, lag(d) over (partition by uid order by d) p from
            (select distinct uid, ts::date d from e)),
        s as (select d, count(*) filter (p is null) n, count(*) filter (p=d-1) r, count(*) filter (p<d-1) z,
            count(*) c from a group by d)
        select d, n, r, z, coalesce(lag(c) over (order by d), 0) - r from s order by d""",
    "sessions_all": """select count(*), count(*) filter (n=1) / count(*), quantile_cont(d, 0.5) from
        (select count(*) n, (epoch_ms(max(ts)) - epoch_ms(min(ts))) / 1000 d from e group by uid, session_id)""",
    "segment_people": """select count(*) from (select uid from e where event in ('purchase', 'refund') group by uid
        having count(*) filter (event='purchase' and country='US' and ts >= '2025-03-02') >= 5
        and count(*) filter (event='refund') = 0)""",
    "paths_after_signup": """with
        g as (select uid, ts, event,
            coalesce(ts - lag(ts) over (partition by uid order by ts) > interval 30 minute, true) n
            from e where uid in (select uid from e where event='signup')),
        s as (select uid, ts, event, sum(n::int) over (partition by uid order by ts rows unbounded preceding) k from g),
        o as (select *, max((event='signup')::int) over (partition by uid, k order by ts rows unbounded preceding) o
            from s),
        d as (select *, lag(event) over (partition by uid, k order by ts) b from o where o=1),
        c as (select uid, k, ts, event, row_number() over (partition by uid, k order by ts) i from d
            where b is distinct from event),
        p as (select *, lead(event) over w t, lead(ts) over w u from c where i<=5
            window w as (partition by uid, k order by ts))
        select i, event, t, count(distinct uid), avg(epoch_ms(u) - epoch_ms(ts)) / 1000 from p where i<5
        group by 1, 2, 3 order by 1, 2, 3""",
}

# The user with most events, and one with a thousand at most; of several the first.
HEAVIEST = "select uid from e group by uid order by count(*) desc, uid limit 1"
THOUSAND = "select uid from e group by uid having count(*) <= 1000 order by count(*) desc, uid limit 1"


def peers(name):
    asks = {"chdb": CHDB.get(name), "chdb-tuned": TUNED.get(name, CHDB.get(name)), "duckdb": DUCKDB.get(name)}
    if name == "retention_day_30":
        asks["chdb-tuned, columns"] = CHDB[name]
    return {who: {"sql": " ".join(sql.split())} for who, sql in asks.items() if sql}


def all_questions(heaviest, thousand):
    countries, urls = by_property("country", 25), by_property("url", 20)

    def ask(name, keys, asked, read=None, who="pugmark", sql=None):
        other = {"pugmark, sql": {"sql": sql}} if sql else {}
        return Question(name, keys, {who: asked} | other | peers(name), read)

    def journey(name, user, asked):
        question = ask(name, 4, {"sql": asked})
        asks = {
            who: {"sql": asked["sql"].replace("{u}", user).replace("{n}", user[1:])}
            for who, asked in question.asks.items()
        }
        return Question(name, 4, asks, None)

    def events(name, **more):
        return [{"event": name, **more}]

    days_30 = trend(events("*", measure="uniques", rolling=30), range=RANGE | {"to": "2025-04-30"})
    views = trend(VIEWS, "year", **countries)
    sums = trend(SUMS, "week", **countries)
    top = trend(VIEWS, "year", **urls)
    signup = {"anchor": {"event": "signup"}, "depth": 5, "limit": 1000, "range": RANGE}
    weekly = retention("session_start", "purchase", "week", WEEKS, cohort="recurring")
    declared = {"who": "pugmark-declared"}
    return [
        ask("count_per_day", 1, trend(events("purchase")), buckets),
        ask("uniques_per_day", 1, trend(events("purchase", measure="uniques")), buckets),
        ask("dau", 1, trend(events("*", measure="uniques")), buckets),
        ask("mau_rolling_30", 1, days_30, buckets),
        ask("breakdown_country", 1, views, totals("events", "people"), sql=COUNTRIES_SQL),
        ask("breakdown_country_declared", 1, views, totals("events", "people"), **declared),
        ask("funnel_3", 1, funnel(F3, "7d"), levels),
        ask("funnel_5_by_platform", 2, funnel(F5, "14d", breakdown=[{"property": "platform"}]), levels),
        ask("retention_day_30", 2, retention("*", "*", "day", periods=31), periods),
        ask("retention_week_recurring", 2, weekly, periods),
        journey("journey", heaviest, JOURNEY + " LIMIT 1000"),
        journey("journey_1000", thousand, JOURNEY),
        ask("sum_country_week", 2, sums, group_buckets("sum", "events")),
        ask("sum_country_week_declared", 2, sums, group_buckets("sum", "events"), **declared),
        ask("top_urls", 1, top, totals("people", "events"), sql=TOP_URLS_SQL),
        ask("segment_funnel", 1, funnel(F3, "7d", segment=BUYERS), levels),
        ask("new_users", 1, trend(events("*", measure="first_time")), buckets),
        ask("stickiness_day", 1, {"query": {"stickiness": {"event": {"event": "*"}, "range": RANGE}}}, active),
        ask("lifecycle_day", 1, {"query": {"lifecycle": {"event": {"event": "*"}, "range": RANGE}}}, states),
        ask("sessions_all", 0, {"query": {"sessions": {"range": RANGE}}}, lengths),
        ask("segment_people", 0, {"query": {"segment": KEPT_BUYERS}}, lambda answer: [[answer["count"]]]),
        ask("paths_after_signup", 3, {"query": {"paths": signup}}, edges),
        ask("retention_country", 2, retention("*", "*", "day", periods=31, **countries), periods_of_groups),
        ask("retention_country_signup", 2, retention("signup", "*", "day", periods=31, **countries), periods_of_groups),
        ask("funnel_hold_exclude", 2, funnel(F3, "7d", **HELD), levels),
        ask("funnel_any_order", 1, funnel(F3, "7d", order="any"), levels),
    ]
