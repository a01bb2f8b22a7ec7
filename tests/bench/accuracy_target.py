# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: accuracy_target.py HOOK WORK N REPEATS      HOOK: none, cprofile; N: JSON
       accuracy_target.py calibrate WORK SECONDS

The process that tools/bench-accuracy measures. Calls a workload once to warm up, and then REPEATS
times, each time from another function, run_0, run_1, ..., so that a profile separates the runs.
Prints JSON: the ns of each run by the process's own clock and, on request, the times of cProfile in
the form of times_of().
"""

import gc
import json
import os
import sys
import time

import accuracy_works

RUN = "def run_%d(work, n):\n    work(n)\n"


def runners(repeats):
    names = {}
    for i in range(repeats):
        exec(compile(RUN % i, "<run>", "exec"), names)
    return [names["run_%d" % i] for i in range(repeats)]


def least_time(work, n, tries):
    """Returns the time of the work's own parts, if it times them."""
    times = []
    for _ in range(tries):
        accuracy_works.measured.clear()
        begun = time.perf_counter_ns()
        work(n)
        took = time.perf_counter_ns() - begun
        times.append(sum(map(sum, accuracy_works.measured.values())) or took)
    return min(times)


def calibrate(work, seconds):
    n = 1
    while n < 1 << 30 and least_time(work, n, 2) < seconds * 1e9 / 4:
        n *= 2
    return max(1, round(n * seconds * 1e9 / least_time(work, n, 25)))


def cprofile():
    import cProfile

    profiler = cProfile.Profile()
    profiler.enable()
    return profiler


def times_of(stats):
    """Returns {name: [self ns, cumulative ns, {caller: self ns}]}. Names that are asked for are
    unique.
    """
    return {name: [tt * 1e9, ct * 1e9, {key[2]: edge[2] * 1e9 for key, edge in callers.items()}]
            for (_, _, name), (_, _, tt, ct, callers) in stats.items()}


def main(hook, name, n, repeats=None):
    work = accuracy_works.find(name)
    if hook == "calibrate":
        print(calibrate(work, float(n)))
        return
    runs, n = runners(int(repeats)), json.loads(n)
    work(n)
    accuracy_works.measured.clear()
    gc.collect()
    gc.disable()
    profiler = cprofile() if hook == "cprofile" else None
    times = []
    for run in runs:
        begun = time.perf_counter_ns()
        run(work, n)
        times.append(time.perf_counter_ns() - begun)
    profile = None
    if profiler:
        profiler.disable()
        profiler.create_stats()
        profile = times_of(profiler.stats)
    print(json.dumps({"times": times, "profile": profile, "more": accuracy_works.measured}),
          flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
