"""Who is in a segment, beside sets of DuckDB."""

from .days import DAYS, Kind, Range, day, inside

COMPARE = {"at_least": ">=", "at_most": "<=", "exactly": "="}


def random_leaf(random):
    first = random.randrange(0, DAYS - 1)
    last = random.randrange(first + 1, DAYS + 1)
    leaf = {
        "form": random.choice(["did", "did", "did_not", "first", "last"]),
        "event": random.choice(["a", "b", "c"]),
        "filter": random.choice([None, "number > 2"]),
        "range": random.choice([None, (first, last)]),
    }
    if leaf["form"] == "did":
        leaf["times"] = random.choice([None, (random.choice(list(COMPARE)), random.randint(0, 3))])
        if leaf["times"] == ("at_least", 0):
            leaf["times"] = ("at_least", 1)
    return leaf


def random_tree(random, levels=2):
    if levels == 0 or random.random() < 0.3:
        return random_leaf(random)
    word = random.choice(["all", "any", "not"])
    return word, [random_tree(random, levels - 1) for _ in range(1 if word == "not" else random.randint(1, 3))]


class Segments(Kind):
    """Each person is in it or is not."""

    name = "DuckDB segments"

    def questions(self, random):
        return [(random_tree(random), random.choice(["UTC", "Europe/Berlin"])) for _ in range(self.many)]

    def answers(self, batch, questions):
        for tree, zone in questions:
            asked = self.ours(tree) | {"people": True, "time_zone": zone}
            ours = set(batch.ask({"segment": asked})["people"])
            theirs = {who for (who,) in batch.duckdb(self.theirs(tree, zone))}
            yield {who: (who in ours, who in theirs) for who in batch.people}

    def ours(self, tree):
        if isinstance(tree, tuple):
            word, parts = tree
            parts = [self.ours(part) for part in parts]
            return {word: parts[0] if word == "not" else parts}
        selector = {"event": tree["event"]} | ({"filter": tree["filter"]} if tree["filter"] else {})
        leaf = {tree["form"]: selector}
        if tree["range"]:
            leaf["range"] = {"from": str(day(tree["range"][0])), "to": str(day(tree["range"][1]))}
        if tree.get("times"):
            leaf["times"] = dict([tree["times"]])
        return leaf

    def theirs(self, tree, zone):
        """A query for the ids of those who are in it."""
        everybody = "select distinct distinct_id from {table}"
        if isinstance(tree, tuple):
            word, parts = tree
            parts = [f"(select * from ({self.theirs(part, zone)}))" for part in parts]
            if word == "not":
                return f"{everybody} except {parts[0]}"
            return f" {'intersect' if word == 'all' else 'union'} ".join(parts)
        within = "true" if tree["range"] is None else inside("t", Range(*tree["range"], "day", zone))
        holds = f"event = '{tree['event']}' and coalesce({tree['filter'] or 'true'}, false)"
        if tree["form"] in ("first", "last"):
            end = "arg_min" if tree["form"] == "first" else "arg_max"
            return f"select distinct_id from {{table}} where {within} group by distinct_id having {end}({holds}, (t, place))"
        compare, times = ("at_least", 1) if tree["form"] == "did" else ("exactly", 0)
        if tree.get("times"):
            compare, times = tree["times"]
        counted = f"count(*) filter ({within} and {holds}) {COMPARE[compare]} {times}"
        return f"select distinct_id from {{table}} group by distinct_id having {counted}"
