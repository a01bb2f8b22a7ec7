# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns samples of tools/bench into ratios. Has no side effects.

The JSON of tools/bench, which these functions read:

    {"machine": {...}, "interpreters": {TAG: {
        "version": [3, 12, 1],
        "workloads": {NAME: {"pairs": N, "rounds": [{MODE: [CPU ns, elapsed ns], ...}, ...]}},
        "startups": {NAME: [{MODE: [CPU ns, elapsed ns], ...}, ...]},
        "rebuild": [[records, reader's CPU ns, target's CPU ns], ...]}}}

Each figure is computed twice: as the median of the ratios of each round, whose samples are seconds
apart, and as the ratio of the least samples of all rounds. If both agree, noise did not matter.
"""

from dataclasses import dataclass
from math import exp, log
from statistics import median, quantiles

CPU, ELAPSED = 0, 1
PYTHON_CALLS = ("calls", "methods", "fib")
C_CALLS = ("len",)
PYSHIM = ("ring", "fold", "live")
# (mode, its reference): the largest allowed ratio of added times, by version.
GOALS = {
    ("ring", "floor"): {8: 1.3, 9: 1.3, 10: 1.25, 11: 1.15, 12: 1.25, 13: 1.25},
    ("ring", "stamp"): {},
    ("ring", "cprofile"): {8: 0.30, 9: 0.33, 10: 0.42, 11: 0.60, 12: 0.42, 13: 0.32},
    ("fold", "cprofile"): {8: 0.50, 9: 0.55, 10: 0.60, 11: 0.75, 12: 0.60, 13: 0.45},
}


@dataclass(frozen=True)
class Figure:
    median: float
    least: float
    spread: float  # half of the interquartile range of the rounds

    def __str__(self):
        return "%.2f/%.2f" % (self.median, self.least)


def _figure(per_round, least):
    if len(per_round) > 1:
        low, _, high = quantiles(per_round, n=4, method="inclusive")
        return Figure(median(per_round), least, (high - low) / 2)
    return Figure(per_round[0], least, 0.0)


def _has(series, *modes):
    return series and all(mode in r for r in series["rounds"] for mode in modes)


def _least(series, mode, clock):
    return min(r[mode][clock] for r in series["rounds"])


def run_ratio(series, mode, clock=CPU):
    """Returns the run time in multiples of the native run, or None if not measured."""
    if not _has(series, mode, "bare"):
        return None
    return _figure([r[mode][clock] / r["bare"][clock] for r in series["rounds"]],
                   _least(series, mode, clock) / _least(series, "bare", clock))


def _added_in_round(group, mode, i):
    return sum((s["rounds"][i][mode][CPU] - s["rounds"][i]["bare"][CPU]) / s["pairs"]
               for s in group)


def _added_least(group, mode):
    return sum((_least(s, mode, CPU) - _least(s, "bare", CPU)) / s["pairs"] for s in group)


def added_ratio(interpreter, names, mode, base):
    """Returns the added time per pair of one mode, divided by that of another, averaged over
    workloads; or None.
    """
    group = [interpreter["workloads"].get(name) for name in names]
    if not all(_has(s, mode, base, "bare") for s in group):
        return None
    n_rounds = min(len(s["rounds"]) for s in group)
    per_round = [_added_in_round(group, mode, i) / _added_in_round(group, base, i)
                 for i in range(n_rounds)]
    return _figure(per_round, _added_least(group, mode) / _added_least(group, base))


def added_ns(series, mode):
    """Returns the added ns per pair, or None for a program, which has no pairs."""
    if not series["pairs"] or not _has(series, mode, "bare"):
        return None
    return _figure([_added_in_round([series], mode, i) for i in range(len(series["rounds"]))],
                   _added_least([series], mode))


def off_ratio(interpreter, mode):
    """Returns the geometric mean of run_ratio over all workloads, or None."""
    ratios = [run_ratio(s, mode) for s in interpreter["workloads"].values()]
    if not ratios or None in ratios:
        return None

    def mean(values):
        return exp(sum(map(log, values)) / len(values))

    return Figure(mean([f.median for f in ratios]), mean([f.least for f in ratios]),
                  median([f.spread for f in ratios]) / len(ratios) ** 0.5)


def above_cprofile(interpreter):
    """Returns (workload, mode, added time relative to cProfile's) for each mode that adds more than
    cProfile.
    """
    found = []
    for name, series in interpreter["workloads"].items():
        for mode in PYSHIM:
            if _has(series, mode, "cprofile", "bare"):
                bare = _least(series, "bare", CPU)
                ratio = ((_least(series, mode, CPU) - bare)
                         / (_least(series, "cprofile", CPU) - bare))
                if ratio > 1:
                    found.append((name, mode, ratio))
    return found


def start_up_ms(rounds, mode, clock):
    """Returns the ms that a mode adds to the start."""
    per_round = [(r[mode][clock] - r["bare"][clock]) / 1e6 for r in rounds]
    return _figure(per_round, (min(r[mode][clock] for r in rounds)
                               - min(r["bare"][clock] for r in rounds)) / 1e6)


def rebuild_speed(samples):
    """Returns (million records a second of the reader's CPU, reader's time divided by the
    target's).
    """
    speeds = [records / reader * 1e3 for records, reader, _ in samples]
    ratios = [reader / target for _, reader, target in samples]
    return (_figure(speeds, max(speeds)),
            _figure(ratios, min(s[1] for s in samples) / min(s[2] for s in samples)))
