"""What was measured, what was refused, and whose answers differ."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

import answers
import questions as asked


@dataclass
class Results:
    """Of the rounds of a run. Most of it is by name of the question and who was asked."""

    # Microseconds, of each round that counts.
    times: dict = field(default_factory=lambda: defaultdict(list))
    # Why there is no answer.
    refused: dict = field(default_factory=dict)
    # Those of `refused` that are not just not built, and answers of nothing.
    failures: list = field(default_factory=list)
    # Question, who, with whom compared: the first difference.
    differences: dict = field(default_factory=dict)

    @staticmethod
    def without(missing, questions):
        """Without the systems that cannot be asked, for the reason given."""
        asks = [(question.name, who) for question in questions for who in question.asks]
        refused = {at: f"not built: {missing[system]}" for at in asks if (system := asked.system_of(at[1])) in missing}
        return Results(refused=refused)

    def take(self, question, who, told, counts):
        """Notes a time, or why there is none; returns the rows of the answer in their normal form."""
        at = question.name, who
        if error := told["error"]:
            not_built = error["kind"] == "unsupported"
            message = ": ".join(error[part] for part in ("field", "message") if part in error)
            self.refused[at] = f"{'not built' if not_built else 'failed'}: {message}"
            if not not_built:
                self.failures.append(f"{question.name}, {who}: {message}")
            return None
        if counts:
            self.times[at].append(told["us"])
        rows = question.read(told["answer"]) if "query" in question.asks[who] else told["answer"]
        return answers.normal(rows, question.keys, asked.left_out(question.name))

    def compare(self, question, found):
        """Compares everybody with the first by name, whoever's turn it was. Answers of nothing agree about nothing."""
        rows = {who: rows for who, rows in sorted(found.items()) if rows is not None}
        reference = next(iter(rows), None)
        for who in rows:
            if not rows[who]:
                self.failures.append(f"{question.name}, {who}: an answer of nothing")
            elif difference := answers.difference(rows[who], rows[reference]):
                self.differences.setdefault((question.name, who, reference), difference)

    def best(self, question, may):
        """Of those who may be it, whose median is the least."""
        able = [who for who in question.asks if may(who) and self.times.get((question.name, who))]
        return min(able, key=lambda who: median(self.times[question.name, who]), default=None)

    def figures(self):
        return {f"{name}: {who}": times for (name, who), times in self.times.items()}

    def wrong(self):
        differ = [f"{name}: {who} and {other} differ: {how}" for (name, who, other), how in self.differences.items()]
        return differ + self.failures
