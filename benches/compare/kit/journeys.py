"""What follows what: sessions and paths, beside recursive SQL of DuckDB."""

from .batch import Event
from .days import BEGIN, DAY, Grouped, Kind, day, inside, local, random_range

MINUTE = 60
# Minutes between events: the gaps that are asked for, and a little less and more.
PAUSES = [0, 0, 1, 5, 14, 15, 16, 29, 30, 31, 60, 200, 700]
NAMES = "aabbcd"


def random_events(random):
    """Some walks, often across midnight of UTC or of Berlin; some events say what session they are of."""
    events = []
    for _ in range(random.randint(1, 3)):
        at = BEGIN + random.randrange(24) * DAY + random.choice([0, 43_200, 79_200 - 900, 82_800 - 900, DAY - 900])
        for _ in range(random.randint(1, 7)):
            session = random.choice(["s1", "s2"]) if random.random() < 0.2 else None
            events.append(Event(random.choice(NAMES), at, None, session, random.choice([None, "/", "/x", "/y"])))
            at += random.choice(PAUSES) * MINUTE
    random.shuffle(events)
    return events


def walk(asked, between):
    """A recursive query `walked` that numbers the sessions of each person, from the rows of `e`; `cut` says where one ends."""
    alone = "session_id" if asked["by"] else "cast(null as varchar)"
    cuts = [f"e.t - w.last {'>=' if asked['gap_at'] == 'new' else '>'} {asked['gap'] * MINUTE}"]
    if asked["max"]:
        cuts.append(f"e.t - w.start > {asked['max'] * MINUTE}")
    if asked["midnight"]:
        cuts.append(f"cast({local('e.t', between)} as date) <> cast({local('w.last', between)} as date)")
    if asked["split_on"]:
        cuts.append("(e.url is not null and e.url is distinct from w.split)")
    cut = f"(e.own is null and ({' or '.join(cuts)}))"
    split = f"case when {cut} then e.url else coalesce(e.url, w.split) end"
    return f"""numbered as (select *, {alone} as own, row_number() over (partition by distinct_id, {alone} order by t, place) as i from e),
        walked as (
            select distinct_id, own, i, t, place, url, event, 1 as s, t as start, t as last, url as split from numbered where i = 1
            union all
            select e.distinct_id, e.own, e.i, e.t, e.place, e.url, e.event, case when {cut} then w.s + 1 else w.s end,
                case when {cut} then e.t else w.start end, e.t, {split}
            from walked w join numbered e on e.distinct_id = w.distinct_id and e.own is not distinct from w.own and e.i = w.i + 1)"""


class Sessions(Kind):
    """The sessions of each person, and of all together how many, how long and how many of one event."""

    name = "DuckDB sessions"

    def questions(self, random):
        return [
            {
                "range": random_range(random),
                "gap": random.choice([15, 30, 60]),
                "gap_at": random.choice(["same", "new"]),
                "max": random.choice([None, None, 30, 90]),
                "midnight": random.random() < 0.4,
                "by": random.choice(["session_id", None]),
                "split_on": random.choice([[], ["url"]]),
                "filter": random.choice(["true", "event <> 'c'"]),
            }
            for _ in range(self.many)
        ]

    def people_of(self, batch, who):
        return list(batch.people) if who == "all" else [who]

    def answers(self, batch, questions):
        for question in questions:
            between = question["range"]
            fields = {name: question[name] for name in ["gap_at", "midnight", "by", "split_on", "filter"]}
            fields |= {"gap": f"{question['gap']}m", "rows": True, "interval": between.interval}
            if question["max"]:
                fields["max"] = f"{question['max']}m"
            days = {"from": str(day(between.first)), "to": str(day(between.last))}
            answer = batch.ask({"sessions": fields | {"range": days, "time_zone": between.zone}})
            ours = {"all": [answer["count"], answer["bounce_rate"], *(answer["seconds"] or {}).values()]}
            ours["all"].append([count for count in answer["counts"] if count])
            for row in answer["rows"]:
                session = [row["session"], *(row[name] for name in ["seconds", "events", "entry", "exit"])]
                ours.setdefault(row["person"], []).append(session)
            every = f"""with recursive e as (select * from {{table}} where {question["filter"]}), {walk(question, between)},
                sessions as (
                    select distinct_id, own, s, min((t, place)) as begun, min(t) as start, max(t) - min(t) as seconds, count(*) as events,
                        coalesce(arg_min(url, (t, place)) filter (url is not null), arg_min(event, (t, place))) as entry,
                        coalesce(arg_max(url, (t, place)) filter (url is not null), arg_max(event, (t, place))) as exit
                    from walked group by all having {inside("start", between)})"""
            theirs = {}
            for who, *session in batch.duckdb(
                f"{every} select distinct_id, own, seconds, events, entry, exit from sessions order by distinct_id, begun"
            ):
                theirs.setdefault(who, []).append(session)
            ((*numbers, _),) = batch.duckdb(
                f"""{every} select count(*), avg(case when events = 1 then 1.0 else 0.0 end), avg(seconds), quantile_cont(seconds, 0.5),
                        quantile_cont(seconds, 0.9), null from sessions"""
            )
            of_days = f"select count(*) from sessions group by date_trunc('{between.interval}', {local('start', between)}) order by min(start)"
            some = [number for number in numbers if number is not None]
            theirs["all"] = [*(some if numbers[0] else [0, None]), [count for (count,) in batch.duckdb(f"{every} {of_days}")]]
            yield {who: (ours.get(who, []), theirs.get(who, [])) for who in ["all", *batch.people]}


class Paths(Grouped):
    """The edges and the paths of each group, which is asked for by itself; each is a case."""

    name = "DuckDB paths"

    def __init__(self, questions, groups):
        self.many, self.asked_groups = questions, groups

    def questions(self, random):
        return [
            {
                "range": random_range(random),
                "anchor": random.choice(["a", "b", "c", None]),
                "direction": random.choice(["after", "before"]),
                "depth": random.randint(2, 5),
                "within": random.choice(["session", "session", "all", 30, 60]),
                "collapse": random.random() < 0.6,
                "count": random.choice(["units", "occurrences"]),
                "exclude": random.choice([None, "a", "c"]),
                "end": random.choice([None, None, "d", "b"]),
            }
            for _ in range(self.many)
        ]

    def people_of(self, batch, case):
        return super().people_of(batch, case[0])

    def answers(self, batch, questions):
        for question in questions:
            between = question["range"]
            within = question["within"]
            fields = {name: question[name] for name in ["direction", "depth", "collapse", "count"]}
            fields["within"] = within if isinstance(within, str) else f"{within}m"
            fields["range"] = {"from": str(day(between.first)), "to": str(day(between.last))}
            fields |= {"time_zone": between.zone, "limit": 10_000}
            for name in ["anchor", "end"]:
                if question[name]:
                    fields[name] = {"event": question[name]}
            if question["exclude"]:
                fields["exclude"] = [{"event": question["exclude"]}]
            groups = sorted(set(self.groups(batch.people).values()), key=lambda group: (len(group), group))
            groups = groups[: self.asked_groups]
            found = {}
            for group in groups:
                answer = batch.ask({"paths": fields | {"filter": f"grp = '{group}'"}})
                ours = {(group, "all"): answer["count"]}
                for edge in answer["edges"]:
                    ours[group, edge["position"], edge["from"], edge["to"]] = [edge["count"], edge["mean_seconds"]]
                for path in answer["paths"]:
                    ours[group, *path["nodes"]] = path["count"]
                theirs = self.theirs(batch, question, group)
                for case in {**ours, **theirs}:
                    found[case] = ours.get(case), theirs.get(case)
            yield found

    def theirs(self, batch, question, group):
        between, within = question["range"], question["within"]
        order = "t, place" if question["direction"] == "after" else "t desc, place desc"
        backwards = "" if question["direction"] == "after" else "-"
        # The unit of a path is a session or everything; where a session begins counts whether it is in the range.
        own = "s" if within == "session" else "0"
        taken = "true" if question["exclude"] is None else f"event <> '{question['exclude']}'"
        anchored = "true" if question["anchor"] is None else f"event = '{question['anchor']}'"
        # Without an anchor a path that runs backwards begins with the last of all.
        first = "t, place" if question["anchor"] else order
        sessions_in = inside("start", between) if within == "session" else "true"
        anchors_in = "true" if within == "session" else inside("t", between)
        near = {"session": "true", "all": inside("n.t", between)}.get(within)
        near = near or f"abs(n.t - a.t) <= {within * MINUTE}"
        collapse = "event is distinct from before" if question["collapse"] else "true"
        many = "count(distinct distinct_id)" if question["count"] == "units" else "count(*)"
        ends = "true" if question["end"] is None else "ended is not null"
        ended = "false" if question["end"] is None else f"event = '{question['end']}' and number > 1"
        ctes = f"""with gaps as (
                select *, coalesce(t - lag(t) over w > {30 * MINUTE}, true) as begins from {{table}} where grp = '{group}'
                window w as (partition by distinct_id order by t, place)),
            numbered as (select *, sum(begins::int) over (partition by distinct_id order by t, place rows unbounded preceding) as s from gaps),
            placed as (select distinct_id, t, place, event, {own} as own, min(t) over (partition by distinct_id, s) as start from numbered),
            nodes as (select * from placed where {taken} and {sessions_in}),
            anchors as (
                select * from nodes where {anchored} and {anchors_in} qualify row_number() over (partition by distinct_id, own order by {first}) = 1),
            paths as (
                select n.*, lag(n.event) over w as before, row_number() over w as number from nodes n join anchors a using (distinct_id, own)
                where {near} and {"(n.t, n.place) >= (a.t, a.place)" if not backwards else "(n.t, n.place) <= (a.t, a.place)"}
                window w as (partition by distinct_id, own order by {order.replace("t", "n.t", 1).replace("place", "n.place")})),
            steps as (select *, sum(({collapse})::int) over (partition by distinct_id, own order by number rows unbounded preceding) as position,
                {collapse} as opens from paths),
            ends as (select distinct_id, own, min(number) as ended from steps where position <= {question["depth"]} and {ended} group by all),
            kept as (select s.*, ended from steps s left join ends using (distinct_id, own)
                where opens and position <= {question["depth"]} and (ended is null or number <= ended) and {ends}),
            edges as (select distinct_id, own, position, event, t, lead(event) over w as next, lead(t) over w as next_t, ended,
                max(position) over (partition by distinct_id, own) as long from kept window w as (partition by distinct_id, own order by position))"""
        theirs = {(group, "all"): batch.duckdb(f"{ctes} select {many} from kept where position = 1")[0][0]}
        rows = batch.duckdb(
            f"""{ctes} select position, event, next, {many}, avg({backwards}(next_t - t)) from edges
                where next is not null or (ended is null and long < {question["depth"]}) group by all"""
        )
        for position, event, following, count, mean in rows:
            theirs[group, position, event, following] = [count, mean]
        paths = f"{ctes}, whole as (select distinct_id, own, list(event order by position) as nodes from kept group by all)"
        for nodes, count in batch.duckdb(f"{paths} select nodes, {many} from whole group by all"):
            theirs[group, *nodes] = count
        return theirs
