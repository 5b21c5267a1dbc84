#!/usr/bin/env python3
"""Asks pugmark, ClickHouse (chDB) and DuckDB the same of thousands of random event sets, and compares the answers one by one.

Where answers differ by design stands in kit/differences.py, with the reason and with what is checked of the event set before the reason is
believed. What is left is printed with the smallest event set that shows it, and the exit code is 1.
"""

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kit import days, funnels, journeys, segments, sequences
from kit.batch import Batch, Peers, instant
from kit.differences import BY_DESIGN, SAME
from kit.flips import FLIPS

ROOT = Path(__file__).resolve().parents[2]
# Cases left unexplained that are made small and shown, of each kind.
SHOWN = 3

FUNNELS = (funnels.random_events, funnels.KINDS + sequences.KINDS)
PERSONS = (days.random_events, [days.Conditions(10), days.Retention(20), segments.Segments(20)])
GROUPED = (
    days.random_events,
    [
        days.Trend(24, list(days.MEASURES), "duckdb"),
        days.Trend(8, ["uniques", "distinct"], "clickhouse"),
        days.TrendOfPeople(16),
        days.Stickiness(8),
        days.Lifecycle(4, 40),
    ],
)
WALKS = (journeys.random_events, [journeys.Sessions(8), journeys.Paths(8, 40)])
PLANS = {"funnels": FUNNELS, "persons": PERSONS, "groups": GROUPED, "walks": WALKS}
# Event sets of each change that is to be noticed, and the least questions about them.
FLIPPED = 400
FLIPPED_QUESTIONS = 12


def compare(kind, batch, questions, numbers):
    """Counts what agrees and what is explained; gives what is left as (question, who, ours, theirs)."""
    left = []
    for question, answers in zip(questions, kind.answers(batch, questions)):
        differing = {who: pair for who, pair in answers.items() if not kind.agree(*pair)}
        reasons = kind.reasons(batch, question, differing)
        numbers["cases"] += len(answers)
        numbers["agreed"] += len(answers) - len(differing)
        numbers.update(reasons.values())
        left += [(question, who, *pair) for who, pair in differing.items() if who not in reasons]
    numbers["left"] += len(left)
    return left


def groups_of(kind, people):
    return kind.groups(people) if hasattr(kind, "groups") else None


def smallest(peers, kind, question, people):
    """The fewest events of these people that still show a difference nobody explains: halves are left out, then less, then single events."""

    def differs(items):
        people = {}
        for who, event in items:
            people.setdefault(who, []).append(event)
        if not people:
            return None
        batch = Batch(peers, people, groups_of(kind, people), kind.marks([question], people))
        left = compare(kind, batch, [question], Counter())
        batch.drop()
        return (people, *left[0][2:]) if left else None

    items = [(who, event) for who, events in people.items() for event in events]
    found, size = differs(items), len(items)
    while found and size > 1:
        size //= 2
        at = 0
        while at < len(items):
            fewer = differs(items[:at] + items[at + size :])
            if fewer:
                items, found = items[:at] + items[at + size :], fewer
            else:
                at += size
    return found


def show(peers, kind, left, batch):
    for question, who, ours, theirs in sorted(left, key=lambda case: len(batch.people.get(case[1], "")))[:SHOWN]:
        members = kind.people_of(batch, who) if hasattr(kind, "people_of") else [who]
        people = {member: batch.people[member] for member in members}
        # What only shows among many is shown as it is.
        people, ours, theirs = smallest(peers, kind, question, people) or (people, ours, theirs)
        print(f"\n{kind.name}: {question}\n  pugmark says {ours}, the other {theirs}")
        for member, events in people.items():
            for event in events:
                more = [str(value) for value in event[2:] if value is not None]
                print(f"  {member} {event.name} {instant(event.at)} {' '.join(more)}")


def table(kinds, numbers):
    rows = [("kind", "cases", "agreed", "by design", "unexplained")]
    for kind in kinds:
        found = numbers[kind.name]
        by_design = "; ".join(f"{found[reason]:,} {reason}" for reason in BY_DESIGN if found[reason])
        rows.append((kind.name, f"{found['cases']:,}", f"{found['agreed']:,}", by_design, f"{found['left']:,}"))
    for at, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if at == 0:
            print("|---|--:|--:|---|--:|")


def batch_of(peers, kinds, people, asked):
    marks = {}
    for kind, questions in asked:
        for at, more in kind.marks(questions, people).items():
            marks.setdefault(at, {}).update(more)
    grouped = next((kind for kind in kinds if hasattr(kind, "groups")), kinds[0])
    return Batch(peers, people, groups_of(grouped, people), marks)


def flipped(peers, seed, only):
    """Changes pugmark's question alone, each time in another way, and tells how many cases of how many then have no explanation: none is a failure."""
    kinds = {kind.name: (kind, events) for events, members in PLANS.values() for kind in members}
    print("| kind | what is changed | cases | unexplained |\n|---|---|--:|--:|")
    unnoticed = 0
    for name, what, pattern, instead in FLIPS:
        if only not in name:
            continue
        kind, events = kinds[name]
        rng = random.Random(f"{seed} {name} {what}")
        people = {f"p{number}": events(rng) for number in range(FLIPPED)}
        questions = []
        while len(questions) < FLIPPED_QUESTIONS:
            questions += kind.questions(rng)
        batch = batch_of(peers, [kind], people, [(kind, questions)])
        peers.flip = lambda text, pattern=pattern, instead=instead: re.sub(pattern, instead, text)
        numbers = Counter()
        compare(kind, batch, questions, numbers)
        peers.flip = lambda text: text
        batch.drop()
        unnoticed += not numbers["left"]
        print(f"| {name} | {what} | {numbers['cases']:,} | {numbers['left']:,} |", flush=True)
    return unnoticed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="that of an earlier run; by default a new one, which is printed")
    parser.add_argument("--program", default=ROOT / "target/release/pugmark", help="pugmark's program")
    parser.add_argument("--people", type=int, default=1_500, help="event sets of a round, each of one person")
    parser.add_argument("--rounds", type=int, default=2, help="each with other people and other questions")
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--flips", action="store_true", help="instead: change pugmark's question and see that it shows")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    begun = time.monotonic()
    directory = tempfile.mkdtemp(prefix="pugmark-conformance-")
    peers = Peers(str(arguments.program), directory)
    print(f"seed {seed}; ClickHouse {peers.clickhouse_version()}, DuckDB {peers.duckdb_version()}")
    if arguments.flips:
        unnoticed = flipped(peers, seed, arguments.only)
        shutil.rmtree(directory, ignore_errors=True)
        return 1 if unnoticed else 0
    numbers, kinds = {}, []
    for round in range(arguments.rounds):
        for plan, (events, members) in PLANS.items():
            members = [kind for kind in members if arguments.only in kind.name]
            if not members:
                continue
            rng = random.Random(f"{seed} {round} {plan}")
            people = {f"p{number}": events(rng) for number in range(arguments.people)}
            asked = [(kind, kind.questions(random.Random(f"{seed} {round} {kind.name}"))) for kind in members]
            batch = batch_of(peers, members, people, asked)
            for kind, questions in asked:
                since = time.monotonic()
                if kind not in kinds:
                    kinds.append(kind)
                found = numbers.setdefault(kind.name, Counter())
                left = compare(kind, batch, questions, found)
                print(
                    f"round {round + 1}: {kind.name}: {len(questions)} questions, {time.monotonic() - since:.1f} s",
                    file=sys.stderr,
                )
                show(peers, kind, left, batch)
            batch.drop()
    shutil.rmtree(directory, ignore_errors=True)
    print()
    table(kinds, numbers)
    print("\nBy design:\n")
    for reason, (why, checked) in BY_DESIGN.items():
        if any(found[reason] for found in numbers.values()):
            print(f"- {reason}: {why}. Checked: {checked}.")
    print("\nThe same in pugmark:\n")
    for mode, rules in SAME.items():
        print(f"- {mode}: {rules}.")
    print(f"\n{time.monotonic() - begun:.0f} s")
    return 1 if any(found["left"] for found in numbers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
