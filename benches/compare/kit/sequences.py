"""Patterns: sequenceMatch and sequenceCount beside sequence_match and sequence_count."""

import itertools
from collections import namedtuple

from .batch import in_order

# An element is (how it follows, the number of its condition or None for any row); how: "" at once, ".*" anywhere, ("<=", 3) after that time.
Pattern = namedtuple("Pattern", "elements conditions")
COMPARE = {
    "<": lambda passed, than: passed < than,
    "<=": lambda passed, than: passed <= than,
    ">": lambda passed, than: passed > than,
    ">=": lambda passed, than: passed >= than,
    "==": lambda passed, than: passed == than,
}
# More orders of the events of one time than this are not tried.
ORDERS = 5_000


def random_pattern(random):
    conditions = ["a", "b", "c"][: random.randint(2, 3)]
    if random.random() < 0.3:
        conditions[-1] += "a"
    elements = []
    for place in range(random.randint(1, 4)):
        how = random.choice(["", ".*", ".*", "time"]) if place else ""
        if how == "time":
            how = (random.choice(list(COMPARE)), random.randint(0, 5))
        elements.append(
            (how, None if place and how == "" and random.random() < 0.3 else random.randint(1, len(conditions)))
        )
    return Pattern(tuple(elements), tuple(conditions))


def text(pattern, clickhouse):
    """A time between two rows means in ClickHouse that others may lie between them; pugmark wants it said."""
    made = ""
    for how, number in pattern.elements:
        if isinstance(how, tuple):
            made += ("" if clickhouse else ".*") + f"(?t{how[0]}{how[1]})"
        else:
            made += how
        made += "." if number is None else f"(?{number})"
    return made


def ends(elements, rows, last):
    """Where matches of what is left of a pattern end, if the row before it is `last`: all are tried."""
    if not elements:
        yield last
        return
    (how, number), *rest = elements
    places = range(last + 1, len(rows)) if how else range(last + 1, min(last + 2, len(rows)))
    for place in places:
        at, holds = rows[place]
        if isinstance(how, tuple) and not COMPARE[how[0]](at - rows[last][0], how[1]):
            continue
        if number is None or number in holds:
            yield from ends(rest, rows, place)


def count(pattern, rows):
    """How many matches do not overlap, if each ends as early as it can."""
    found, begin = 0, 0
    while begin < len(rows):
        where = [end for start in range(begin, len(rows)) for end in ends(pattern.elements, rows, start - 1)]
        if not where:
            return found
        begin = 1 + min(where)
        found += 1
    return found


class Sequences:
    """sequenceCount, and whether it is more than nothing in sequenceMatch."""

    name = "sequenceMatch and sequenceCount"

    def __init__(self, questions):
        self.many = questions

    def questions(self, random):
        return [random_pattern(random) for _ in range(self.many)]

    def marks(self, questions, people):
        return {}

    def answers(self, batch, questions):
        for pattern in questions:
            conditions = ", ".join(
                f"event IN ({', '.join(repr(name) for name in condition)})" for condition in pattern.conditions
            )
            ours = batch.pugmark(
                f"SELECT distinct_id, sequence_match('{text(pattern, False)}', timestamp, sequence, {conditions}) AS m,"
                f" sequence_count('{text(pattern, False)}', timestamp, sequence, {conditions}) AS n FROM events GROUP BY distinct_id"
            )
            ours = {row["distinct_id"]: (row["m"], row["n"]) for row in ours}
            theirs = batch.clickhouse(
                f"select distinct_id, sequenceMatch('{text(pattern, True)}')(t, {conditions}),"
                f" toUInt32(sequenceCount('{text(pattern, True)}')(t, {conditions})) from {{table}} group by distinct_id"
            )
            theirs = {who: (found == 1, many) for who, found, many in theirs}
            yield {who: (ours[who], theirs[who]) for who in batch.people}

    def agree(self, ours, theirs):
        return ours == theirs

    def reasons(self, batch, pattern, differing):
        reasons = {}
        for who, (ours, theirs) in differing.items():
            reason = self.reason(pattern, batch.people[who], ours, theirs)
            if reason:
                reasons[who] = reason
        return reasons

    def reason(self, pattern, events, ours, theirs):
        def row(event):
            return event.at, frozenset(
                number for number, names in enumerate(pattern.conditions, 1) if event.name in names
            )

        rows = [row(event) for _, event in in_order(events)]
        rows = [row for row in rows if row[1]]
        most = count(pattern, rows)
        if ours != (most > 0, most):
            return None
        at_once = [
            list(set(itertools.permutations(tied))) for _, tied in itertools.groupby(rows, key=lambda row: row[0])
        ]
        for order in itertools.islice(itertools.product(*at_once), ORDERS):
            order = [row for tied in order for row in tied]
            many = count(pattern, order)
            if theirs == (many > 0, many):
                return "undefined order"
        return None


KINDS = [Sequences(12)]
