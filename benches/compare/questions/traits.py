#!/usr/bin/env python3
"""What traits cost: gives everybody of a store of the standard workload a profile, and asks by traits and by properties in turn.

usage: traits.py PUGMARK ASK STORE

PUGMARK and ASK are the programs `pugmark` and `ask`; STORE is a copy of a store that run.py has made, which is changed.
"""

import json
import random
import statistics
import subprocess
import sys
import time

PEOPLE = 1_000_000
TIERS = ["free", "free", "free", "pro", "team"]
RANGE = {"from": "2025-01-01", "to": "2025-04-01"}
ROUNDS = 9


def changes(out):
    """Everybody has a tier, a home and an e-mail address; a fifth have another tier later."""
    dice = random.Random(5)
    for person in range(PEOPLE):
        traits = {"tier": dice.choice(TIERS), "home": dice.choice(["US", "DE", "FR"]), "email": f"u{person}@example.org"}
        at = f"2025-01-{dice.randint(1, 28):02}T{dice.randint(0, 23):02}:00:00Z"
        print(json.dumps({"type": "set", "distinct_id": f"u{person}", "traits": traits, "timestamp": at}), file=out)
        if dice.random() < 0.2:
            at = f"2025-03-{dice.randint(1, 28):02}T{dice.randint(0, 23):02}:00:00Z"
            traits = {"tier": dice.choice(TIERS[3:])}
            print(json.dumps({"type": "set", "distinct_id": f"u{person}", "traits": traits, "timestamp": at}), file=out)


def trend(filter=None, breakdown=None):
    series = [{"event": "page_view", "measure": "uniques", **({"filter": filter} if filter else {})}]
    interval = "year" if breakdown else "day"
    cut = {"breakdown": [breakdown]} if breakdown else {}
    return {"query": {"trend": {"series": series, "range": RANGE, "interval": interval, **cut}}}


def funnel(filter):
    steps = [{"event": "product_view", "filter": filter}, {"event": "add_to_cart"}, {"event": "purchase"}]
    return {"query": {"funnel": {"steps": steps, "window": "7d", "range": RANGE}}}


QUESTIONS = {
    "uniques by day, of a property": trend("country = 'US'"),
    "uniques by day, of profile": trend("profile('tier') = 'pro'"),
    "uniques by day, of profile_at": trend("profile_at('tier') = 'pro'"),
    "uniques by a property": trend(breakdown={"property": "country"}),
    "uniques by profile": trend(breakdown={"profile": "tier"}),
    "uniques by profile_at": trend(breakdown={"expression": "profile_at('tier')"}),
    "funnel of a property": funnel("country = 'US'"),
    "funnel of profile_at": funnel("profile_at('tier') = 'pro'"),
    "SQL: purchases by profile": {
        "sql": "SELECT profile('tier'), count(*) FROM events WHERE event = 'purchase' GROUP BY 1"
    },
    "SQL: a journey with profile_at": {
        "sql": "SELECT timestamp, event, profile_at('tier') FROM events WHERE distinct_id = 'u572563' "
        "ORDER BY timestamp LIMIT 1000"
    },
}


def main():
    pugmark, ask, store = sys.argv[1:]
    loading = subprocess.Popen([pugmark, "import", store, "-"], stdin=subprocess.PIPE, text=True)
    changes(loading.stdin)
    loading.stdin.close()
    if loading.wait() != 0:
        sys.exit("the import failed")
    begun = time.monotonic()
    worker = subprocess.Popen([ask, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told(line):
        print(json.dumps(line), file=worker.stdin, flush=True)
        answer = json.loads(worker.stdout.readline())
        if answer.get("error"):
            sys.exit(f"{line}: {answer['error']}")
        return answer

    stats = told({"stats": True})
    print(f"open after {time.monotonic() - begun:.2f} s, {stats['answer']['peak_bytes'] >> 20} MiB")
    first = {name: told(line)["us"] / 1e3 for name, line in QUESTIONS.items()}
    times = {name: [] for name in QUESTIONS}
    for _ in range(ROUNDS):
        for name, line in QUESTIONS.items():
            times[name].append(told(line)["us"] / 1e3)
    print("| | first, ms | median of nine (least), ms |\n|---|---:|---:|")
    for name, all_ms in times.items():
        print(f"| {name} | {first[name]:.1f} | {statistics.median(all_ms):.2f} ({min(all_ms):.2f}) |")
    print(f"peak {told({'stats': True})['answer']['peak_bytes'] >> 20} MiB")


main()
