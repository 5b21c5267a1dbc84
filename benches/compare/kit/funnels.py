"""Funnels: windowFunnel with its modes beside window_funnel, and self-joins of DuckDB for two steps."""

import datetime
import json
from collections import namedtuple

from .batch import Batch, Event, in_order, instant

START = 1_735_689_600  # 2025-01-01
MINUTE = 14
NAMES = "abcde"

# The steps are texts of the names that match them.
Question = namedtuple("Question", "steps window")


def random_events(random):
    many = random.randint(1, 12)
    names = NAMES[: random.randint(2, 5)]
    return [Event(random.choice(names), START + random.randint(0, MINUTE), None) for _ in range(many)]


def random_question(random, apart, least=1):
    many = random.randint(least, 4)
    window = random.choice([0, 1, 2, 3, 5, 8, 12])
    if apart:
        return Question(random.sample("abcd", many), window)
    return Question(["".join(sorted(random.sample("abcd", random.choice([1, 1, 2])))) for _ in range(many)], window)


def condition(step, more=""):
    return f"event IN ({', '.join(repr(name) for name in step)}){more}"


def window_funnel(question, rules, more=""):
    rules = json.dumps({"window": f"{question.window}s"} | rules)
    return f"window_funnel('{rules}', timestamp, {', '.join(condition(step, more) for step in question.steps)})"


def windowFunnel(question, mode):
    modes = f", '{mode}'" if mode else ""
    return f"windowFunnel({question.window}{modes})(t, {', '.join(condition(step) for step in question.steps)})"


def seconds(times):
    return [int(datetime.datetime.fromisoformat(time).timestamp()) for time in times]


def reached(question, rows):
    """What step and start each chain of these rows comes to, in which a row may serve several steps: found by making all of them. `rows` in the
    order of time and step."""
    chains = set()
    for step, at in rows:
        if step == 1:
            chains.add((1, at))
        chains |= {(step, start) for done, start in chains if done == step - 1 and at - start <= question.window}
    return max((done for done, _ in chains), default=0)


def step_of(question, event):
    """Of steps that share no name: which one an event is, 0 for none."""
    return next((number for number, step in enumerate(question.steps, 1) if event.name in step), 0)


def by_step(question, events):
    """(place, step, time) as ClickHouse reads: those of one time by step."""
    rows = [(place, step_of(question, event), event.at) for place, event in enumerate(events)]
    return sorted(rows, key=lambda row: (row[2], row[1]))


def before_the_end(question, events, mode):
    """The rows before the one at which ClickHouse ends its search."""
    rows = by_step(question, events)
    begun = False
    for end, (_, step, _) in enumerate(rows):
        done = reached(question, [(step, at) for _, step, at in rows[:end] if step])
        if mode == "strict_deduplication" and 2 <= step <= done:
            return rows[:end]
        if mode == "strict_order" and begun and (step == 0 or step > done + 1):
            return rows[:end]
        begun = begun or step == 1
    return rows


class Mode:
    """A mode and the rules that are the same."""

    def __init__(self, name, mode, rules, questions, apart=False, cut=False):
        self.name, self.mode, self.rules, self.many, self.apart, self.cut = name, mode, rules, questions, apart, cut

    def questions(self, random):
        return [random_question(random, self.apart, least=2 if self.cut else 1) for _ in range(self.many)]

    def marks(self, questions, people):
        if not self.cut:
            return {}
        marks = {}
        for number, question in enumerate(questions):
            for who, events in people.items():
                kept = {place for place, _, _ in before_the_end(question, events, self.mode)}
                for place in range(len(events)):
                    marks.setdefault((who, place), {})[f"{self.mode}_{number}"] = place in kept
        return marks

    def answers(self, batch, questions):
        """For each question by person: what pugmark says (times), and what ClickHouse does (depth)."""
        more = [f" AND {self.mode}_{number}" if self.cut else "" for number in range(len(questions))]
        ours = [window_funnel(question, self.rules, cut) for question, cut in zip(questions, more)]
        columns = ", ".join(f"{funnel} AS q{number}" for number, funnel in enumerate(ours))
        ours = batch.pugmark(f"SELECT distinct_id, {columns} FROM events GROUP BY distinct_id")
        ours = {row["distinct_id"]: [row[f"q{number}"] for number in range(len(questions))] for row in ours}
        columns = ", ".join(windowFunnel(question, self.mode) for question in questions)
        theirs = batch.clickhouse(f"select distinct_id, {columns} from {{table}} group by distinct_id")
        theirs = {who: depths for who, *depths in theirs}
        for number in range(len(questions)):
            yield {who: (ours[who][number], theirs[who][number]) for who in batch.people}

    def agree(self, ours, theirs):
        return len(ours) == theirs

    def reasons(self, batch, question, differing):
        """Why they differ, by person; those for whom no predicate holds are left out."""
        if self.mode != "strict_increase":
            return {}
        alone = {}
        for who, (ours, theirs) in differing.items():
            times, events = seconds(ours), batch.people[who]
            rises = all(early < late for early, late in zip(times, times[1:]))
            served = [
                any(event.at == at and event.name in step for event in events)
                for step, at in zip(question.steps, times)
            ]
            if len(times) > theirs and rises and times[-1] - times[0] <= question.window and all(served):
                alone[who] = [Event(f"s{number}", at, None) for number, at in enumerate(times, 1)]
        if not alone:
            return {}
        fewer = Batch(batch.peers, alone, only_peers=True)
        numbered = Question([[f"s{number}"] for number in range(1, len(question.steps) + 1)], question.window)
        found = dict(
            fewer.clickhouse(
                f"select distinct_id, {windowFunnel(numbered, self.mode)} from {{table}} group by distinct_id"
            )
        )
        fewer.drop()
        return {who: "increase" for who in alone if found[who] == len(differing[who][0])}


class BesideStrict(Mode):
    """strict_order beside a strict order of pugmark's, in each of which others may not lie between: what differs is told why. strict_steps is asked
    for over the events that are of some step, strict of the whole analysis over all."""

    def __init__(self, order, questions):
        super().__init__(
            f"windowFunnel strict_order beside {order}", "strict_order", {"order": order}, questions, apart=True
        )
        self.order, self.cut = order, False

    def questions(self, random):
        return [random_question(random, apart=True, least=3) for _ in range(self.many)]

    def answers(self, batch, questions):
        for question in questions:
            if self.order == "strict":
                ours = analysed(batch, question, self.rules)
                where = ""
            else:
                rows = batch.pugmark(
                    f"SELECT distinct_id, {window_funnel(question, self.rules)} AS q FROM events GROUP BY distinct_id"
                )
                ours = {row["distinct_id"]: seconds(row["q"]) for row in rows}
                where = f"where {condition(''.join(question.steps))}"
            theirs = dict(
                batch.clickhouse(
                    f"select distinct_id, {windowFunnel(question, self.mode)} from {{table}} {where} group by distinct_id"
                )
            )
            yield {who: (ours.get(who, []), theirs.get(who, 0)) for who in batch.people}

    def reasons(self, batch, question, differing):
        reasons = {who: self.reason(question, batch.people[who], *pair) for who, pair in differing.items()}
        return {who: reason for who, reason in reasons.items() if reason}

    def reason(self, question, events, times, theirs):
        if self.order == "strict":
            depth = strict_depth(question, events)
        else:
            events = [event for event in events if step_of(question, event)]
            depth = strict_steps_depth(question, events)
        kept = before_the_end(question, events, self.mode)
        if depth != len(times) or reached(question, [(step, at) for _, step, at in kept if step]) != theirs:
            return None
        whole = by_step(question, events)
        end = whole[len(kept)][2] if len(kept) < len(whole) else None
        if len(times) > theirs and end is not None and times[-1] >= end:
            return "strict begins again"
        order = [step for _, step, _ in kept]
        order = order[order.index(1) :] if 1 in order else []
        if theirs > len(times) and any(late not in (early, early + 1) for early, late in zip(order, order[1:])):
            return "strict forgets what is between"
        if [place for place, _, _ in whole] != [place for place, _ in in_order(events)] and len(
            {at for _, _, at in whole}
        ) < len(whole):
            return "strict reads by step"
        return None


def analysed(batch, question, rules):
    """The times of each person's steps, by the whole analysis."""
    steps = [{"event": list(step)} for step in question.steps]
    answer = batch.ask({"funnel": {"steps": steps, "window": f"{question.window}s", "rows": True} | rules})
    rows = answer["groups"][0]["rows"]
    return {row["person"]: seconds([step["timestamp"] for step in row["steps"] if step]) for row in rows}


class Preset(Mode):
    """windowFunnel over the rows of a range beside the whole analysis with the preset."""

    def __init__(self, questions):
        super().__init__('windowFunnel beside like: "clickhouse", a range', "", {}, questions)

    def questions(self, random):
        ranges = [sorted(random.sample(range(MINUTE + 2), 2)) for _ in range(self.many)]
        return [(random_question(random, self.apart), START + first, START + last) for first, last in ranges]

    def answers(self, batch, questions):
        for question, first, last in questions:
            ours = analysed(
                batch, question, {"like": "clickhouse", "range": {"from": instant(first), "to": instant(last)}}
            )
            theirs = dict(
                batch.clickhouse(
                    f"select distinct_id, {windowFunnel(question, '')} from {{table}} where t >= {first} and t < {last} group by distinct_id"
                )
            )
            yield {who: (ours.get(who, []), theirs.get(who, 0)) for who in batch.people}


def strict_depth(question, events):
    """The deepest run of steps with nothing but repeats of the last between them, by time and sequence, tried from every event of step 1."""
    rows = [(step_of(question, event), event.at) for _, event in in_order(events)]
    deepest = 0
    for begin, (step, start) in enumerate(rows):
        if step != 1:
            continue
        done = 1
        for step, at in rows[begin + 1 :]:
            if step == done + 1 and at - start <= question.window:
                done += 1
            elif step != done:
                break
        deepest = max(deepest, done)
    return deepest


def strict_steps_depth(question, events):
    """How deep a chain gets between two steps of which nothing lies that is of another step, strictly between their times: all chains are tried.
    Of steps that share no name."""
    rows = [(step_of(question, event), event.at) for event in events]

    def deepest(done, at, start):
        depth = done
        for step, then in rows:
            if step == done + 1 and at <= then <= start + question.window:
                between = (other for other, when in rows if other and at < when < then)
                if all(other in (done, done + 1) for other in between):
                    depth = max(depth, deepest(done + 1, then, start))
        return depth

    return max((deepest(1, at, at) for step, at in rows if step == 1), default=0)


class SelfJoin:
    """Two steps, with the times: of the events that open an attempt which converts the first, or else the first of all, and its earliest second."""

    name = "DuckDB self-join, funnel of 2 steps with times"
    # What may follow an event of the same time.
    LATER = {
        "either": "b.t >= a.t and b.place <> a.place",
        "apart": "b.t > a.t",
        "sequence": "(b.t, b.place) > (a.t, a.place)",
    }

    def __init__(self, questions):
        self.many = questions

    def questions(self, random):
        def question():
            made = random_question(random, apart=False, least=2)
            return (
                Question(made.steps[:2], made.window),
                random.choice(list(self.LATER)),
                random.choice(["earliest", "latest"]),
            )

        return [question() for _ in range(self.many)]

    def marks(self, questions, people):
        return {}

    def answers(self, batch, questions):
        for question, ties, pick in questions:
            ours = analysed(batch, question, {"ties": ties, "pick": pick})
            one, two = (condition(step).replace("event", f"{side}.event") for step, side in zip(question.steps, "ab"))
            order = "first, place" if pick == "earliest" else "first desc, place desc"
            rows = batch.duckdb(
                f"""with attempts as (select a.distinct_id, a.t as first, a.place, min(b.t) as second from {{table}} a
                        left join {{table}} b on a.distinct_id = b.distinct_id and {two} and {self.LATER[ties]} and b.t - a.t <= {question.window}
                        where {one} group by all)
                    select distinct_id, first, second from attempts
                    qualify row_number() over (partition by distinct_id order by second is null, {order}) = 1"""
            )
            theirs = {who: [at for at in times if at is not None] for who, *times in rows}
            yield {who: (ours.get(who, []), theirs.get(who, [])) for who in batch.people}

    def agree(self, ours, theirs):
        return ours == theirs

    def reasons(self, batch, question, differing):
        return {}


KINDS = [
    Mode("windowFunnel", "", {"reuse": True}, 8),
    Mode("windowFunnel strict_once", "strict_once", {}, 6),
    Mode("windowFunnel strict_increase", "strict_increase", {"ties": "apart", "reuse": True}, 6),
    Mode("windowFunnel strict_deduplication", "strict_deduplication", {"reuse": True}, 3, apart=True, cut=True),
    Mode("windowFunnel strict_order", "strict_order", {"reuse": True}, 3, apart=True, cut=True),
    Preset(4),
    BesideStrict("strict_steps", 4),
    BesideStrict("strict", 4),
    SelfJoin(4),
]
