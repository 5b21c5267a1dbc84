"""Every difference by design, with its reason. A kind of comparison names one only after its predicate held of the event set at hand."""

BY_DESIGN = {
    "increase": (
        "windowFunnel strict_increase keeps one chain for each step, the last: an event that does a step again, at the time of the next"
        " step, hides the earlier one from which that would be reached. pugmark searches all chains",
        "pugmark's times are those of a chain by the documented rule, and ClickHouse finds it when it gets the rows of that chain alone,"
        " each as the step that it serves",
    ),
    "strict begins again": (
        "windowFunnel strict_order ends for good at the first event that is out of order; pugmark's strict_steps and strict take the deepest"
        " attempt, a later one too",
        "an event of pugmark's chain lies at or behind the one that ended ClickHouse's",
    ),
    "strict forgets what is between": (
        "windowFunnel strict_order asks of an event only whether the step before it was ever done: steps already done may come again,"
        " in any order; pugmark wants no event of another step between two steps",
        "in the events up to the one that ended ClickHouse's search, a step follows that is neither a repeat of the one before it nor the"
        " next",
    ),
    "strict reads by step": (
        "windowFunnel strict_order puts events of one time into the order of the steps, those of no step first; pugmark's strict reads"
        " (timestamp, sequence), and to strict_steps nothing of the same time lies between",
        "there are events of one time whose order by step is not that by sequence, and literal searches in either way find either answer",
    ),
    "undefined order": (
        "sequenceMatch and sequenceCount leave the order of events of one time undefined, as their documentation says (they are inserted"
        " in an order of their own, as in any table of ClickHouse's); pugmark reads"
        " (timestamp, sequence)",
        "some order of the events of one time gives ClickHouse's answer, and the order by sequence gives pugmark's, in a literal search",
    ),
}  # fmt: skip

# What is the same in pugmark, of each mode of ClickHouse's windowFunnel; the sources are its documentation and
# AggregateFunctionWindowFunnel.cpp.
SAME = {
    "windowFunnel": 'window_funnel(\'{"reuse": true}\'), and like: "clickhouse": the longest chain, in which one row may serve several'
    " steps; times of one value in either order",
    "strict_once": "window_funnel as it is: each row serves one step",
    "strict_increase": '{"ties": "apart", "reuse": true}, but for what ClickHouse misses',
    "strict_deduplication": "no parameter: the funnel over the events before the first repeat of a step, other than the first, that is"
    " done already. Compared as that: pugmark is told by a condition which events lie before",
    "strict_order": "no parameter: the funnel over the events before the first, after a step 1, that is of no step or of one whose previous"
    " step was not done. Compared as that, and beside order: strict_steps with the differences above",
    "allow_reentry": "none, and not compared: it is no choice of pugmark's what to leave out of an order that is strict",
}  # fmt: skip
