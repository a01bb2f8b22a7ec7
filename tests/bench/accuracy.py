# SPDX-License-Identifier: LGPL-2.1-or-later
"""The error of the reported times: samples, and the figures made of them.

    {"machine": {...}, "interpreters": {TAG: {
        "version": [3, 12, 1], "calibration": TEXT,
        "works": {NAME: [{MODE: SAMPLE, ...}, ...]}}}}      a list of rounds

A sample is {"runs": [ns, ...], "parts": {NAME: [ns, ...]}}: the time of each run, and of its parts.
In mode `bare` the process's own clock measures them. In the others they are cumulative times of the
profile, and self times for "spin_...".

Times are elapsed times, as in profiles. Other work on the machine makes them longer at any time, so
each process makes many short runs and the least one counts, on both sides. Some processes are
faster or slower than others in all of their runs, so the median of the rounds counts.
"""

import json
import marshal
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import accuracy_target
import accuracy_works
from measure import Bench, Failed, Mode

TARGET = Path(__file__).resolve().parent / "accuracy_target.py"
BARE, RAW, CORRECTED, CPROFILE = "bare", "raw", "corrected", "cprofile"
REPORTED = (RAW, CORRECTED, CPROFILE)
MODES = {BARE: Mode(), RAW: Mode(shim={}), CPROFILE: Mode(hook="cprofile")}
# The limits of all results.
SHARE_POINTS = 3
TOTAL_PART, TOTAL_MEDIAN_PART = 0.05, 0.02
SPIN_PART, SPIN_NS = 0.05, 20
FLAT_PART = 0.02  # noise
FLAT = {"flat": "flat program, in bare time", "flat_in_c": "... that works in C operators"}


def take_priority():
    """Raises the priority of a child process, if permitted. The scheduler weighs groups, so each
    child gets its own session.
    """
    os.setsid()
    try:
        Path("/proc/self/autogroup").write_text("-19\n")
    except OSError:
        pass  # a kernel without them, or not allowed
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -19)
    except OSError:
        pass


@dataclass
class Accuracy(Bench):
    """A Bench that makes reports. It calibrates each interpreter once, in a folder of its own."""

    def start(self, command, cpu, **options):
        return super().start(command, cpu, preexec_fn=take_priority, **options)

    def target(self, python, mode, arguments):
        return self.start([python.exe, "-s", TARGET, *arguments], self.target_cpu,
                          env=self.environment(mode), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self, *arguments):
        env = {**os.environ, "XDG_CONFIG_HOME": str(self.work / "config")}
        return self.finish(self.start([self.build / "pyshim-read", *arguments], self.target_cpu, env=env,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def calibrate_reader(self, python, n_calls):
        """Keeps the calibration even on a busy machine. The output and the rounds show how busy it
        was.
        """
        return self.read("--calibrate", n_calls, "--python", python.exe, "--keep-anyway")

    def times(self, recording, bias):
        """Returns the times of a profile in the form of accuracy_target.times_of()."""
        out = self.work / "pstats"
        self.read("--bias", bias, "-o", out, recording)
        return accuracy_target.times_of(marshal.loads(out.read_bytes()))

    def take(self, python, mode, work, n, repeats):
        """Returns {mode: sample}. Reads each recording twice, raw and corrected."""
        out = self.finish(self.target(python, MODES[mode], [MODES[mode].hook, work, json.dumps(n),
                                                            repeats]))
        result = json.loads(out)
        if mode == BARE:
            return {BARE: {"runs": result["times"], "parts": result["more"]}}
        if mode == CPROFILE:
            return {CPROFILE: sample_of(result["profile"], result["more"])}
        recordings = self.recordings()
        if len(recordings) != 1:
            raise Failed("%s: %d recordings of one process" % (work, len(recordings)))
        found = {RAW: self.times(recordings[0], "none"), CORRECTED: self.times(recordings[0], "auto")}
        self.forget()
        return {m: sample_of(times, result["more"]) for m, times in found.items()}


def each(times, name):
    """Returns the times of name_0, name_1, ..."""
    return [(one, t) for one, t in times.items() if re.fullmatch(name + r"_\d+", one)]


def sample_of(times, measured):
    """Returns a sample. `measured` are the names of parts. A function with many callers has one
    time for each.
    """
    parts = {}
    for name in measured:
        parts[name] = [ct for _, (_, ct, _) in each(times, "caller_" + name)]
        own = [tt for _, (tt, _, _) in each(times, "spin_" + name)]
        parts["spin_" + name] = own or list(times.get("spin_" + name, [0, 0, {}])[2].values())
    return {"runs": [ct for _, (_, ct, _) in each(times, "run")], "parts": parts}


# --- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    median: float
    least: float

    def __str__(self):
        return "%.3f/%.3f" % (self.median, self.least)


def total(rounds, mode):
    """Reported time divided by the time of the native run."""
    def least(r, m):
        return min(r[m]["runs"])

    return Figure(median(least(r, mode) / least(r, BARE) for r in rounds),
                  min(least(r, mode) for r in rounds) / min(least(r, BARE) for r in rounds))


def share(rounds, mode):
    """Share, in per cent, of the half full of calls in a program with two halves of equal length.

    Their lengths differ a little, so each half is divided by its time in the native run.
    """
    def halves(r, m):
        return [min(r[m]["parts"][name]) for name in ("half_calls", "half_flat")]

    def part(reported, bare):
        calls, flat = (r / b for r, b in zip(reported, bare))
        return 100 * calls / (calls + flat)

    def least(m):
        return map(min, zip(*(halves(r, m) for r in rounds)))

    return Figure(median(part(halves(r, mode), halves(r, BARE)) for r in rounds),
                  part(least(mode), least(BARE)))


@dataclass(frozen=True)
class Spin:
    """One case, in ns a call: the known time and the errors of the reported times."""

    name: str
    n_calls: int
    known_self: float
    known_total: float
    off_self: float
    off_total: float

    def is_right(self):
        return (abs(self.off_self) <= max(SPIN_NS, SPIN_PART * self.known_self)
                and abs(self.off_total) <= max(SPIN_NS, SPIN_PART * self.known_total))


def spins(rounds, mode):
    """Returns the medians of the rounds."""
    def least(r, m, name):
        return min(r[m]["parts"][name])

    def case(name, n, k):
        def own(r):
            return (least(r, BARE, "inline_%d" % k) - least(r, BARE, "empty_%d" % k)) / n

        def whole(r):
            return least(r, BARE, name) / n

        return (median(own(r) for r in rounds), median(whole(r) for r in rounds),
                median(least(r, mode, "spin_" + name) / n - own(r) for r in rounds),
                median(least(r, mode, name) / n - whole(r) for r in rounds))

    return [Spin(name, n, *case(name, min(n, accuracy_works.SLICE), k))
            for name, _, n, k in accuracy_works.cases()]


# --- summary ---------------------------------------------------------------------------------


def totals_off(works, mode, programs):
    """Returns the error of each program's total, relative to its native time."""
    return [abs(total(works[p], mode).median - 1) for p in programs if p in works]


def summary(works, mode, programs):
    """Returns the lines of the table in README.md for one interpreter, as medians of the rounds:
    {line: text}.
    """
    lines = {}
    if "fifty" in works:
        lines["of two halves, the calls have %"] = "%.0f" % share(works["fifty"], mode).median
    off = totals_off(works, mode, programs)
    if off:
        lines["total of programs, % off: median"] = "%.1f" % (100 * median(off))
        lines["... at most"] = "%.0f" % (100 * max(off))
        lines["... within 5 %%: of %d" % len(off)] = "%d" % sum(o <= TOTAL_PART for o in off)
    if "spins" in works:
        cases = spins(works["spins"], mode)
        lines["functions of known time, right: of %d" % len(cases)] = "%d" % sum(c.is_right() for c in cases)
    for work, what in FLAT.items():
        if work in works:
            lines[what] = "%.2f" % total(works[work], mode).median
    return lines
