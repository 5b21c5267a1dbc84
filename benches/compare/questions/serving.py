#!/usr/bin/env python3
"""The thirteen questions of the standard workload over HTTP in a loop, while 50,000 events a second come in over HTTP: how long each takes.

    serving.py EVENTS.parquet PUGMARK LOAD [--seconds 60] [--rate 50000]

`EVENTS.parquet` is what generate.py wrote, PUGMARK and LOAD are programs of this project in release. The server, whoever sends and whoever asks share the machine.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from questions import all_questions

BATCH = 500
THIRTEEN = (
    "count_per_day uniques_per_day dau mau_rolling_30 breakdown_country funnel_3 funnel_5_by_platform retention_day_30 "
    "retention_week_recurring journey sum_country_week top_urls segment_funnel"
).split()


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def ask(connection, key, asked):
    path = "/v1/sql" if "sql" in asked else "/v1/query"
    body = json.dumps({"sql": asked["sql"]} if "sql" in asked else asked["query"])
    begun = time.perf_counter()
    connection.request("POST", path, body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (asked, answer.status, text[:500])
    return (time.perf_counter() - begun) * 1_000


def p95(times):
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


def rounds(address, key, questions, seconds):
    connection = http.client.HTTPConnection(address, timeout=120)
    times = {name: [] for name, _ in questions}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, asked in questions:
            times[name].append(ask(connection, key, asked))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events"), parser.add_argument("pugmark"), parser.add_argument("load")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=50_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(args.events).parent) as root:
        store = f"{root}/shop/production"
        printed(args.pugmark, "import", store, args.events, "--map", "message_id=event_id,timestamp=ts", "--strict")
        heaviest = "SELECT distinct_id FROM events GROUP BY distinct_id ORDER BY count(*) DESC, distinct_id LIMIT 1"
        user = json.loads(printed(args.pugmark, "sql", store, heaviest, "--format", "json"))[0]["distinct_id"]
        questions = all_questions(user, user)
        asked = {question.name: question.asks["pugmark"] for question in questions if question.name in THIRTEEN}
        key = printed(args.pugmark, "key", "create", root, "--project", "shop", "--scope", "admin")
        settings = ["listen=127.0.0.1:0", "requests_per_second=0"]
        command = [args.pugmark, "serve", root, *(word for setting in settings for word in ("--set", setting))]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = server.stdout.readline().split()[-1]
            questions = [(name, asked[name]) for name in THIRTEEN]
            rounds(address, key, questions, 1)
            alone = rounds(address, key, questions, args.seconds / 3)
            load = [args.load, "--address", address, "--key", key, "--batch", str(BATCH), "--connections", "4", "--seconds", str(args.seconds), "--rate", str(args.rate / BATCH)]
            sender = subprocess.Popen(load, stdout=subprocess.PIPE, text=True)
            beside = rounds(address, key, questions, args.seconds - 1)
            sent = sender.communicate()[0]
        finally:
            server.terminate()
            assert server.wait(30) == 0
    print("| question | alone, median ms | p95 | beside the events, median ms | p95 | asked |\n|---|--:|--:|--:|--:|--:|")
    for name in THIRTEEN:
        cells = [statistics.median(alone[name]), p95(alone[name]), statistics.median(beside[name]), p95(beside[name])]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} | {len(beside[name])} |")
    print(re.sub(r";.*", "", sent.strip()))


if __name__ == "__main__":
    main()
