"""Answers of different systems, made comparable."""

import json
import math
import re

DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00)?)?")
RELATIVE = 1e-9


def normal(rows, keys, rules):
    """Rows in one order, with one form of dates, without what is left out by design and without rows of zeros: some
    list them and others do not."""
    kept = []
    for row in rows:
        row = [cell(value) for value in row]
        numbers = row[keys:]
        if not any(rule.is_it(row) for rule in rules) and (any(numbers) or not numbers):
            kept.append(row)
    return sorted(kept, key=lambda row: json.dumps(row[:keys]))


def cell(value):
    found = DATE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return value
    day, time, fraction = found.groups()
    time = (time or "00:00:00") + (fraction or "").rstrip("0").rstrip(".")
    return day if time == "00:00:00" else f"{day}T{time}"


def difference(ours, theirs):
    """The first row that differs, in words; None if none does."""
    for mine, other in zip(ours, theirs, strict=False):
        if len(mine) != len(other) or not all(map(same, mine, other)):
            return f"{json.dumps(mine)} and {json.dumps(other)}"
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} rows"
    return None


def same(a, b):
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=RELATIVE)
    return a == b
