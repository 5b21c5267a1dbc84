#!/usr/bin/env python3
"""Compares answers of pugmark, chDB and DuckDB over the standard shop workload, and prints tables in Markdown.

What is not there yet is made first and kept for the next run: the Python packages of the peers, the workload, and
everybody's copy of it.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import questions as asked
import report
from memory import within_less
from results import Results
from systems import HERE, ROOT, SYSTEMS, Systems, drop_caches, say

# Times that a question is put in a row to whoever's turn it is: the first of them finds the processor cold, and waits for it to wake up.
IN_A_ROW = 3
# More than a run can take: it is ended when the answers are there.
WITHOUT_END = 10**12
LOAD_BEGINS_S = 1


def warm(systems, names, questions, rounds):
    """All questions to everybody, alternately; the first round is not counted."""
    results = Results.without(systems.missing, questions)
    workers = {name: systems.open(name) for name in names if name not in systems.missing}
    opened = {name: worker.told({"stats": True}) for name, worker in workers.items()}
    for round in range(rounds + 1):
        say(f"round {round} of {rounds}")
        for question in questions:
            found = {}
            for who, line in in_turn(question, round, results):
                for _ in range(IN_A_ROW if round > 0 else 1):
                    told = workers[asked.system_of(who)].ask(line)
                    found[who] = results.take(question, who, told, counts=round > 0)
            results.compare(question, found)
    stats = {name: (opened[name], worker.told({"stats": True})) for name, worker in workers.items()}
    plans = explain(workers, questions, results)
    for worker in workers.values():
        worker.close()
    return results, stats, plans


def in_turn(question, round, results):
    """Who can be asked, and what; everybody is first in their turn."""
    asks = [(who, line) for who, line in question.asks.items() if (question.name, who) not in results.refused]
    at = round % max(len(asks), 1)
    return asks[at:] + asks[:at]


def explain(workers, questions, results):
    plans = {}
    for question in questions:
        for who, line in in_turn(question, 0, results):
            if "query" in line:
                told = workers[who].told({"query": line["query"] | {"explain": True}})
                plans[question.name] = told["explain"]
    return plans


def cold(systems, questions):
    """Each question once, to a system that was just opened, with nothing of its files in memory."""
    results, how, read, plans = Results.without(systems.missing, questions), "", {}, {}
    for question in questions:
        say(f"cold: {question.name}")
        found = {}
        for who, line in in_turn(question, 0, results):
            system = asked.system_of(who)
            how = drop_caches(systems.path(system), systems.programs(system))
            worker = systems.open(system)
            worker.told({"sql": "select 1"})
            before = worker.told({"stats": True})
            found[who] = results.take(question, who, worker.ask(line), counts=True)
            if system.startswith("pugmark"):
                after = worker.told({"stats": True})
                read[question.name, who] = after["read_bytes"] - before["read_bytes"], after["peak_bytes"]
            worker.close()
            if "query" in line:
                # From where it was answered is told by asking again, just opened.
                worker = systems.open(system)
                plans |= explain({who: worker}, [question.only([who])], results)
                worker.close()
        results.compare(question, found)
    return results, how, read, plans


def loaded(systems, questions, rounds):
    """The questions to pugmark alone, and again while events are appended to a copy of its store."""
    copy = systems.data / "pugmark-appended"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(systems.path("pugmark"), copy)
    worker = systems.open("pugmark", copy)
    questions = [question.only(["pugmark"]) for question in questions]

    def all_rounds():
        results = Results()
        for round in range(rounds + 1):
            for question in questions:
                for who, line in in_turn(question, round, results):
                    results.take(question, who, worker.ask(line), counts=round > 0)
        return results

    say("idle")
    idle = all_rounds()
    say("while events are appended")
    worker.told({"append": WITHOUT_END})
    time.sleep(LOAD_BEGINS_S)
    busy = all_rounds()
    appended = worker.told({"append": 0})
    worker.close()
    shutil.rmtree(copy)
    return idle, busy, appended


def tell_warm(systems, args, questions):
    found, stats, plans = warm(systems, args.systems, questions, args.rounds)
    heading(args, f"median (and minimum) of {args.rounds} rounds, everybody in turn and {IN_A_ROW} times in a row, after one to warm up")
    report.comparison(questions, found)
    report.everybody(questions, found)
    report.agreement(questions, found)
    report.sizes(stats, args.events)
    report.explained(plans)
    return [found]


def tell_cold(systems, args, questions):
    found, how, read, plans = cold(systems, questions)
    heading(args, f"cold: {how} and the system opened before each question, which is asked once")
    report.comparison(questions, found)
    report.everybody(questions, found)
    report.agreement(questions, found)
    report.read(read)
    report.explained(plans)
    return [found]


def tell_loaded(systems, args, questions):
    idle, busy, appended = loaded(systems, questions, args.rounds)
    heading(args, f"{args.rounds} rounds idle, then as many while events are appended")
    report.appended(appended)
    report.loaded(questions, idle, busy)
    return [idle, busy]


def tell_within(systems, args, questions):
    found = within_less(systems, [question.only(["pugmark"]) for question in questions])
    heading(args, "each question alone, twice at once and together with the next one, within less and less memory")
    report.within(found)
    return [Results(failures=[wrong for now in found for wrong in now.wrong])]


def heading(args, what):
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    packages = (HERE / "requirements.txt").read_text().split()
    peers = ", ".join(name for name in packages if name.startswith(("chdb", "duckdb")))
    day = datetime.datetime.now(datetime.UTC).date()
    print(f"{day}, pugmark {commit}, {peers}; {args.events:,} events of {args.events // 20:,} people; {what};")
    print(f"load of the machine {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.\n")


def arguments():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--dir", default=HERE / "work", help="where everything is kept (default: %(default)s)")
    args.add_argument("--events", type=int, default=2_000_000, help="such as 20000000 (default: %(default)s)")
    args.add_argument("--rounds", type=int, default=7, help="after one that is not counted (default: %(default)s)")
    args.add_argument("--cold", action="store_true", help="each question once, everything read from the disk")
    args.add_argument("--load", action="store_true", help="pugmark idle, and while 50,000 events/s are appended")
    args.add_argument("--little", action="store_true", help="pugmark within less and less memory, two questions at a time")
    args.add_argument("--memory", type=int, metavar="MIB", help="what pugmark's queries may take (default: its own)")
    args.add_argument("--systems", default=",".join(SYSTEMS), help="only these (default: %(default)s)")
    args.add_argument("--questions", help="only these, by comma")
    args.add_argument("--again", default="", metavar="SYSTEMS", help="load these anew")
    args.add_argument("--no-build", action="store_true", help="use the programs as they are")
    args.add_argument("--json", type=Path, metavar="FILE", help="write every time there too")
    args = args.parse_args()
    args.systems, args.again = args.systems.split(","), list(filter(None, args.again.split(",")))
    known("system", args.systems + args.again, SYSTEMS)
    if args.rounds < 1 or ((args.load or args.little) and "pugmark" not in args.systems):
        sys.exit("at least one round is needed, and pugmark for --load and --little")
    return args


def known(what, names, all_names):
    if unknown := set(names) - set(all_names):
        sys.exit(f"no {what} {', '.join(sorted(unknown))}: there are {', '.join(all_names)}")


def main():
    args = arguments()
    systems = Systems(args.dir, args.events, args.memory)
    systems.install()
    if not args.no_build:
        systems.build()
    # DuckDB tells whose journeys are asked for, and the store is what is copied, whether or not they are compared.
    needed = {"pugmark", "duckdb", *args.systems}
    systems.load([name for name in SYSTEMS if name in needed], args.again)
    questions = asked.all_questions(*systems.heaviest_and_thousand([asked.HEAVIEST, asked.THOUSAND]))
    if args.questions:
        names = args.questions.split(",")
        known("question", names, [question.name for question in questions])
        questions = [question for question in questions if question.name in names]
    questions = [question.only(args.systems) for question in questions]
    ways = {"load": tell_loaded, "cold": tell_cold, "little": tell_within}
    tell = next((tell for name, tell in ways.items() if getattr(args, name)), tell_warm)
    found = tell(systems, args, questions)
    if args.json:
        args.json.write_text(json.dumps([results.figures() for results in found], indent=1))
    wrong = [line for results in found for line in results.wrong()]
    for line in dict.fromkeys(wrong):
        say(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
