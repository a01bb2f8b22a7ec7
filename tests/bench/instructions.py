# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts instructions with valgrind's callgrind, which gives the same number on every run, even on
a busy machine.

For each interpreter and each kind of tests/bench/counted.py it counts a pair of events (enter and
leave): all instructions inside of libpyshim.so and in the functions it calls. With a large buffer
this is the cost of putting a record into the ring. With the smallest buffer (`folded`) it includes
the fold. For the reader it counts all instructions of pyshim-read for one more record of a fib.

Each number is the difference of two loops, one three times as long as the other, so that one-off
costs cancel out. The budget is tests/bench/instructions.txt.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from statistics import median_low

from counted import VARIANTS
from places import memory

HERE = Path(__file__).resolve().parent
BUDGET = HERE / "instructions.txt"
TOLERANCE = 1.05
KINDS = ("call", "c_call", "c_method", "resume")
FOLDED_KINDS = ("call", "c_call")
# Pairs in the shorter loop: one block of 2,040 records. The longer loop has three blocks. Whole
# blocks change the block equally often, wherever in a block they begin.
PAIRS = 1020
# 1973 calls each, for the reader's shorter and longer recording
FIB, FIBS = 15, (20, 60)
CLOCK_TSC = 1
CLOCK_AT = 88  # pyprof_header.clock
READER = "reader"


class CannotCount(Exception):
    """Instructions cannot be counted here; the text says why."""


def compiler(build):
    """Returns the compiler of the shim, such as "gcc-12 -O2". A budget is valid for one compiler.
    """
    so = (build / "libpyshim.so").read_bytes()
    clang = re.search(rb"clang version (\d+)", so)
    gcc = re.search(rb"GCC: \([^)]*\) (\d+)", so)
    name = "clang-%s" % clang[1].decode() if clang else "gcc-%s" % gcc[1].decode() if gcc else "cc"
    levels = re.findall(r"\s(-O\S*)", (build / "obj" / "flags").read_text())
    return "%s %s" % (name, levels[-1] if levels else "-O0")


def read_budget():
    """Returns (compiler, {name: {kind: instructions}}). A name is "3.12" or "reader"."""
    built_by, budget = "", {}
    for line in BUDGET.read_text().splitlines():
        words = line.split("#")[0].split()
        if words and words[0] == "compiler":
            built_by = " ".join(words[1:])
        elif words:
            name, kind, number = words
            budget.setdefault(name, {})[kind] = float(number)
    return built_by, budget


def exceeded(measured, budget):
    """Returns one line for each kind that takes more than its budget plus the tolerance."""
    return [
        "%s: found %.1f instructions, expected at most %.1f (%.1f and %.0f %%)"
        % (kind, n, budget[kind] * TOLERANCE, budget[kind], 100 * TOLERANCE - 100)
        for kind, n in measured.items()
        if kind in budget and n > budget[kind] * TOLERANCE
    ]


def _environment(extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON", "LD_"))}
    env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
    return {**env, **{name: str(value) for name, value in extra.items()}}


def _run(command, env):
    done = subprocess.run([str(word) for word in command], env=_environment(env), timeout=300,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError("%s: exit status %d\n%s" % (command, done.returncode, done.stdout))
    return done.stdout


def _callgrind(command, work, env, options=()):
    if not shutil.which("valgrind"):
        raise CannotCount("found no valgrind (`make deps` installs it)")
    if subprocess.run(["setarch", "-R", "true"], stderr=subprocess.DEVNULL).returncode:
        raise CannotCount("setarch -R is not permitted here: addresses would change the numbers")
    # The shim hashes addresses, so they must be equal in every run.
    _run(["setarch", "-R", "valgrind", "--tool=callgrind", "--dump-line=no",
          "--callgrind-out-file=%s/out" % work, *options, *command], env)


def inclusive(part, target):
    """Returns the instructions of an object (by file name) and of all that it called.

    A part has "key=value" lines that set the position, and lines of costs, "position cost". A name
    is given once with its number, "(7) x", and then by its number only. The line after "calls=" has
    the inclusive cost of the calls.
    """
    names, cost = {}, 0
    here = callee = None
    after_calls = False

    def named(value):
        number, _, name = value.partition(" ")
        if name:
            names[number] = os.path.basename(name) == target
        return names.get(number, False)

    for line in part.read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key == "ob":
            here = callee = named(value)
        elif equals and key == "fn":
            callee = here
        elif equals and key == "cob":
            callee = named(value)
        elif equals and key == "calls":
            after_calls = True
        elif re.match(r"[-+*\d]", line):
            counts = (callee and not here) if after_calls else False
            cost += int(line.split()[1]) if counts else 0
            if after_calls:
                callee = here
            after_calls = False
    return cost


def _parts(work):
    """Returns the parts of a run in the order of their ends. The last one is the rest at exit."""
    files = [f for f in work.glob("out.*") if f.name[4:].isdigit()]
    return sorted(files, key=lambda f: int(f.name[4:]))


def _check_clock(where):
    recording = next(where.glob("pyprof.*")).read_bytes()[:CLOCK_AT + 4]
    clock = struct.unpack_from("<I", recording, CLOCK_AT)[0]
    if clock != CLOCK_TSC:
        raise CannotCount("the shim read clock %d under valgrind, not the processor's counter"
                          % clock)


def _count_pairs(python, build, kinds, buffer):
    """Returns {kind: instructions of a pair} with this PYSHIM_BUFFER, as medians of the variants.
    """
    work = Path(tempfile.mkdtemp(prefix="pyshim-bench-", dir=memory()))
    try:
        # Start at init. Otherwise the evaluation of __main__ would go through the shim and count.
        env = {"LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work, "PYSHIM_BUFFER": buffer,
               "PYSHIM_START": "init"}
        _callgrind([python.exe, "-S", "-s", HERE / "counted.py", PAIRS, *kinds], work, env,
                   ["--dump-before=getppid"])
        _check_clock(work)
        # Counts parts from the end, because the shim itself may call getppid() when it begins.
        n_parts = 2 * VARIANTS * len(kinds)
        parts = _parts(work)[-n_parts:]
        if len(parts) < n_parts:
            raise CannotCount("callgrind closed %d parts at getppid(), expected %d"
                              % (len(parts), n_parts))
        costs = [inclusive(part, "libpyshim.so") for part in parts]
        each = [(long - short) / (2 * PAIRS) for short, long in zip(costs[::2], costs[1::2])]
        return {
            kind: median_low(each[VARIANTS * i:][:VARIANTS]) for i, kind in enumerate(kinds)
        }
    finally:
        shutil.rmtree(work)


def count_shim(python, build):
    """Returns {kind: instructions of a pair}. Kinds with "_folded" include the fold."""
    plain = _count_pairs(python, build, KINDS, "64M")
    folded = _count_pairs(python, build, FOLDED_KINDS, "64K")
    return {**plain, **{kind + "_folded": n for kind, n in folded.items()}}


FIB_CODE = (
    "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
    "for _ in range({times}): fib({n})"
)


def fib_records(n):
    """Returns the number of calls and returns of fib(n)."""
    a, b = 0, 1
    for _ in range(n + 1):
        a, b = b, a + b
    return 2 * (2 * a - 1)


def _count_reader(python, build, times):
    work = Path(tempfile.mkdtemp(prefix="pyshim-bench-", dir=memory()))
    try:
        # A counting clock makes the same recording every time.
        env = {"LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work, "PYSHIM_CLOCK": "count"}
        _run([python.exe, "-S", "-s", "-c", FIB_CODE.format(times=times, n=FIB)], env)
        recording = next(work.glob("pyprof.*"))
        _callgrind([build / "pyshim-read", "-o", work / "pstats", recording], work, {})
        return int(re.search(r"^summary: (\d+)", (work / "out").read_text(), re.M)[1])
    finally:
        shutil.rmtree(work)


def count_reader(python, build):
    """Returns {"record": instructions of pyshim-read for one record}."""
    short, long = (_count_reader(python, build, times) for times in FIBS)
    return {"record": (long - short) / (fib_records(FIB) * (FIBS[1] - FIBS[0]))}
