# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: target.py HOOK WORKLOAD N REPEATS [FLOOR]      HOOK: none, floor, stamp, cprofile, yappi
       target.py calibrate WORKLOAD SECONDS

The process that tools/bench measures. Runs a workload once to warm up and then REPEATS times.
Prints JSON: the number of pairs of events in a run, and the CPU time and elapsed time of each run
in ns, without start-up. With PYSHIM_BENCH_WAIT set it prints "ready" and waits for a line before it
begins.

`calibrate` prints the N that takes about SECONDS.
"""

import json
import os
import sys
import time

import workloads


def timed(work, n):
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    pairs = work(n)
    wall = time.perf_counter_ns() - wall
    return pairs, time.process_time_ns() - cpu, wall


def calibrate(work, seconds):
    n = 1
    while True:
        cpu = min(timed(work, n)[1] for _ in range(3))
        if cpu > seconds * 1e9 / 4 or n >= 1 << 30:
            return max(1, round(n * seconds * 1e9 / cpu))
        n *= 2


def hook_floor(path, name="floor_start"):
    import ctypes

    start = getattr(ctypes.PyDLL(path), name)
    start()
    if sys.version_info < (3, 12):  # a hook is per thread
        workloads.threads.begin = start


def hook_stamp(path):
    hook_floor(path, "stamp_start")


def hook_cprofile():
    import cProfile

    def start():
        cProfile.Profile().enable()

    start()
    if sys.version_info < (3, 12):
        workloads.threads.begin = start


def hook_yappi():
    import yappi

    yappi.set_clock_type("wall")
    yappi.start(builtins=True)


HOOKS = {"none": lambda: None, "floor": hook_floor, "stamp": hook_stamp, "cprofile": hook_cprofile,
         "yappi": hook_yappi}


def main(hook, workload, n, *rest):
    work = workloads.find(workload)
    if hook == "calibrate":
        print(calibrate(work, float(n)))
        return
    repeats, *arguments = rest
    if os.environ.get("PYSHIM_BENCH_WAIT"):
        print("ready", flush=True)
        sys.stdin.readline()
    HOOKS[hook](*arguments)
    work(int(n))
    runs = [timed(work, int(n)) for _ in range(int(repeats))]
    print(json.dumps({"pairs": runs[0][0], "times": [run[1:] for run in runs]}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
