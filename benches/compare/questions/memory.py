"""pugmark's questions within less and less memory: alone, and two at a time."""

from dataclasses import dataclass, field

import answers
import questions as asked
from systems import say

MEMORIES_MIB = [1024, 256, 128, 64, 32, 16, 8]
# How the store says that a question needs more than there is.
NO_MEMORY = "full"


@dataclass
class Asked:
    """Questions that were asked one way within one size of memory."""

    answered: int = 0
    refused_count: int = 0
    # Those refused for want of memory, in words, by name.
    refused: dict = field(default_factory=dict)
    us: int = 0


@dataclass
class Within:
    mib: int
    alone: Asked = field(default_factory=Asked)
    together: Asked = field(default_factory=Asked)
    opened_bytes: int = 0
    peak_bytes: int = 0
    # Any other failure, and answers that are not those of the most memory.
    wrong: list = field(default_factory=list)


def within_less(systems, questions):
    """Each question alone, twice at once, and with the next one, for each size; the most memory comes first."""
    lines = [(question, who, line) for question in questions for who, line in question.asks.items()]
    expected, found = {}, []
    for mib in MEMORIES_MIB:
        say(f"{mib} MiB")
        systems.memory = mib
        worker, now = systems.open("pugmark"), Within(mib)
        now.opened_bytes = worker.told({"stats": True})["peak_bytes"]

        def take(way, question, who, told):
            name = f"{question.name}, {who}"
            if error := told["error"]:
                if error["kind"] == NO_MEMORY:
                    way.refused_count += 1
                    way.refused[question.name] = error["message"]
                else:
                    now.wrong.append(f"{mib} MiB: {name}: {error['message']}")
                return
            way.answered += 1
            way.us += told["us"]
            rows = question.read(told["answer"]) if "query" in question.asks[who] else told["answer"]
            rows = answers.normal(rows, question.keys, asked.left_out(question.name))
            if difference := answers.difference(rows, expected.setdefault(name, rows)):
                now.wrong.append(f"{mib} MiB: {name}: {difference}")

        for (question, who, line), other in zip(lines, lines[1:] + lines[:1]):
            take(now.alone, question, who, worker.ask(line))
            for second in ((question, who, line), other):
                pair = worker.told({"together": [line, second[2]]})
                take(now.together, question, who, pair[0])
                take(now.together, second[0], second[1], pair[1])
        now.peak_bytes = worker.told({"stats": True})["peak_bytes"]
        worker.close()
        found.append(now)
    return found
