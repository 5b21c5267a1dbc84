"""The tables, as docs/benchmarks.md has them."""

from statistics import median

from questions import BY_DESIGN, GOALS, is_peer, system_of
from systems import SYSTEMS

# What `ask` appends.
EVENTS_A_SECOND = 50_000


def comparison(questions, results):
    rows = []
    for question in questions:
        best = results.best(question, is_peer)
        theirs = results.times.get((question.name, best))
        for who in (who for who in question.asks if not is_peer(who)):
            ours = results.times.get((question.name, who))
            ratio = median(theirs) / median(ours) if theirs and ours else None
            goal = GOALS.get(titled(question.name, who))
            rows.append([
                titled(question.name, who),
                f"{best} {of_rounds(theirs)}" if theirs else "-",
                of_rounds(ours) if ours else results.refused.get((question.name, who), "-"),
                f"{ratio:.2f}" if ratio else "-",
                "-" if goal is None else f"{goal:g}" + ("" if ratio is None else " ✓" if ratio >= goal else " ✗"),
            ])  # fmt: skip
    table(["question", "best peer, ms", "pugmark, ms", "times as fast", "goal"], rows)


def everybody(questions, results):
    asked = {who for question in questions for who in question.asks if (question.name, who) in results.times}
    columns = sorted(asked, key=lambda who: (SYSTEMS.index(system_of(who)), who))
    rows = []
    for question in questions:
        times = [results.times.get((question.name, who)) for who in columns]
        rows.append([question.name, *(of_rounds(found) if found else "-" for found in times)])
    table(["ms", *columns], rows)


def agreement(questions, results):
    for (name, who, other), how in results.differences.items():
        print(f"- **{name}: {who} and {other} differ**: {how}")
    for failure in dict.fromkeys(results.failures):
        print(f"- **{failure}**")
    if not results.wrong():
        print("The answers of all systems agree, floats to 1e-9.")
    names = {question.name for question in questions}
    rules = [(rule, [name for name in rule.questions if name in names]) for rule in BY_DESIGN]
    rules = [f"- {', '.join(concerned)}, {rule.what}: {rule.reason}." for rule, concerned in rules if concerned]
    print("\n".join(["\nLeft out of the comparison, by design:\n", *rules] if rules else []))
    print()


def sizes(stats, events):
    rows = []
    for system, (opened, asked) in stats.items():
        parts = {name: count / events for name, count in asked["bytes"].items() if count}
        each = ", ".join(f"{name} {count:.1f}" for name, count in parts.items())
        memory = [f"{told['peak_bytes'] / 2**20:,.0f}" for told in (opened, asked)]
        rows.append([system, f"{sum(parts.values()):.1f}", each, *memory])
    table(["", "bytes an event on disk", "of which", "MiB of memory once open", "at most"], rows)


def explained(plans):
    rows = [
        [name, plan["source"], f"{plan['files_read']} of {plan['files']}", f"{plan['rows']:,}", f"{plan['bytes']:,}"]
        for name, plan in plans.items()
    ]
    table(["pugmark", "from", "files", "rows read", "bytes read"], rows)


def read(found):
    rows = [[titled(*at), f"{count / 1e6:.1f}", f"{peak / 2**20:,.0f}"] for at, (count, peak) in found.items()]
    table(["pugmark", "MB read", "MiB of the process at most"], rows)


def appended(told):
    rate = told["events"] / told["seconds"]
    p50, p99, most = (ms(told[key]) for key in ("p50_us", "p99_us", "most_us"))
    short = " **The load was not held.**" if rate < 0.98 * EVENTS_A_SECOND else ""
    print(f"Appended meanwhile: {told['events']:,} events, {rate:,.0f} a second, 500 every 10 ms.{short}")
    print(f"A batch was durable after {p50} ms (p50), {p99} ms (p99), at most {most} ms.\n")


def loaded(questions, idle, busy):
    rows = []
    for at in ((question.name, who) for question in questions for who in question.asks):
        if at in busy.times:
            quiet, times = idle.times[at], busy.times[at]
            p50s = [percentile(quiet, 50), percentile(times, 50)]
            figures = [p50s[0], percentile(quiet, 95), p50s[1], percentile(times, 95)]
            rows.append([titled(*at), *map(ms, figures), f"{p50s[1] / p50s[0]:.2f}"])
    table(["ms", "idle p50", "idle p95", "loaded p50", "loaded p95", "loaded / idle, p50"], rows)
    for at, why in busy.refused.items():
        print(f"- {titled(*at)}: {why}")


def within(found):
    rows = []
    for now in found:
        ways = [f"{way.answered} of {way.answered + way.refused_count}" for way in (now.alone, now.together)]
        memory = [f"{told / 2**20:,.0f}" for told in (now.opened_bytes, now.peak_bytes)]
        # Of fewer questions it would be less.
        times = [ms(way.us / per) if not way.refused else "-" for way, per in ((now.alone, 1), (now.together, 4))]
        rows.append([str(now.mib), *ways, *times, *memory])
    headings = ["MiB for queries", "answered alone", "answered two at a time", "ms, all alone", "ms, all two at a time"]
    table([*headings, "MiB of the process once open", "at most"], rows)
    for now in found:
        if now.alone.refused or now.together.refused:
            print(f"- {now.mib} MiB, refused alone: {', '.join(sorted(now.alone.refused)) or 'none'}; "
                  f"refused two at a time: {', '.join(sorted(now.together.refused)) or 'none'}")
    if words := {word for now in found for word in (now.alone.refused | now.together.refused).values()}:
        print("\nIn these words:\n")
        print("\n".join(f"- {word}" for word in sorted(words)[:3]))
    print()


def titled(name, who):
    """The question; if it is a second way to ask the same, with that."""
    way = who.partition(", ")[2]
    return f"{name}_{way}" if way else name


def table(headings, rows):
    """Markdown; the first column is text, the others are numbers. Nothing without rows."""
    if not rows:
        return
    print("| " + " | ".join(headings) + " |")
    print("|---|" + "---:|" * (len(headings) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def ms(us):
    value = us / 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def of_rounds(times):
    """The median, and the minimum in brackets; of one time just that."""
    return ms(times[0]) if len(times) == 1 else f"{ms(median(times))} ({ms(min(times))})"


def percentile(values, share):
    values = sorted(values)
    at = (len(values) - 1) * share / 100
    low, part = int(at), at - int(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * part
