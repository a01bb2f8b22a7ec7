# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts instructions with valgrind's callgrind: the same number on every run, on a busy machine too.

For each interpreter, of a pair (the event that enters and the one that leaves) of each kind of
tests/bench/counted.py: what runs inside of libpyshim.so, and in what it calls. With a buffer that
does not fill this is the way of a record into the ring; with the smallest one (`folded`) the fold is
in it as well. For the reader: all that pyshim-read executes for one more record of a fib.

Each number is the difference of two loops, one three times as long as the other, so that what
happens once cancels out. The budget is tests/bench/instructions.txt.
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
# The shorter loop, in pairs: one block of 2,040 records, the longer one three. Being whole blocks they
# change the block as often wherever in a block they begin.
PAIRS = 1020
# 1973 calls each; the shorter and the longer recording for the reader.
FIB, FIBS = 15, (20, 60)
CLOCK_TSC = 1
CLOCK_AT = 88  # pyprof_header.clock
READER = "reader"


class CannotCount(Exception):
    """No instructions of the shim's usual path can be counted here, and why."""


def compiler(build):
    """What the shim was built by, such as "gcc-12 -O2": a budget holds for one."""
    so = (build / "libpyshim.so").read_bytes()
    clang = re.search(rb"clang version (\d+)", so)
    gcc = re.search(rb"GCC: \([^)]*\) (\d+)", so)
    name = "clang-%s" % clang[1].decode() if clang else "gcc-%s" % gcc[1].decode() if gcc else "cc"
    levels = re.findall(r"\s(-O\S*)", (build / "obj" / "flags").read_text())
    return "%s %s" % (name, levels[-1] if levels else "-O0")


def read_budget():
    """(compiler, {name: {kind: instructions}}): a name is "3.12" or "reader"."""
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
    """One line for each kind that takes more than its budget and the tolerance."""
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
    # Addresses are hashed by the shim: they are to be the same in every run.
    _run(["setarch", "-R", "valgrind", "--tool=callgrind", "--dump-line=no",
          "--callgrind-out-file=%s/out" % work, *options, *command], env)


def inclusive(part, target):
    """What was executed in an object, and in all that it called; the object by its file's name.

    A part is "key=value" lines that set the place (a name is given once with its number, "(7) x",
    then by the number alone), and lines of costs, "position cost". The line after "calls=" has the
    cost of the calls, all below included.
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
    """The parts of a run in the order that they were closed; the last is what remained at exit."""
    files = [f for f in work.glob("out.*") if f.name[4:].isdigit()]
    return sorted(files, key=lambda f: int(f.name[4:]))


def _check_clock(where):
    recording = next(where.glob("pyprof.*")).read_bytes()[:CLOCK_AT + 4]
    clock = struct.unpack_from("<I", recording, CLOCK_AT)[0]
    if clock != CLOCK_TSC:
        raise CannotCount("the shim read clock %d under valgrind, not the processor's counter"
                          % clock)


def _count_pairs(python, build, kinds, buffer):
    """{kind: instructions of a pair} with that PYSHIM_BUFFER; of the variants, the median."""
    work = Path(tempfile.mkdtemp(prefix="pyshim-bench-", dir=memory()))
    try:
        # From the start: else __main__ itself is evaluated by way of the shim, and counts as its own.
        env = {"LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work, "PYSHIM_BUFFER": buffer,
               "PYSHIM_START": "init"}
        _callgrind([python.exe, "-S", "-s", HERE / "counted.py", PAIRS, *kinds], work, env,
                   ["--dump-before=getppid"])
        _check_clock(work)
        # The shim itself may call getppid() when it begins: counted from the end.
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
    """{kind: instructions of a pair}, with "_folded" where the fold is in it."""
    plain = _count_pairs(python, build, KINDS, "64M")
    folded = _count_pairs(python, build, FOLDED_KINDS, "64K")
    return {**plain, **{kind + "_folded": n for kind, n in folded.items()}}


FIB_CODE = (
    "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
    "for _ in range({times}): fib({n})"
)


def fib_records(n):
    """The calls and returns of fib(n) as above."""
    a, b = 0, 1
    for _ in range(n + 1):
        a, b = b, a + b
    return 2 * (2 * a - 1)


def _count_reader(python, build, times):
    work = Path(tempfile.mkdtemp(prefix="pyshim-bench-", dir=memory()))
    try:
        # A clock that counts: the same recording every time.
        env = {"LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work, "PYSHIM_CLOCK": "count"}
        _run([python.exe, "-S", "-s", "-c", FIB_CODE.format(times=times, n=FIB)], env)
        recording = next(work.glob("pyprof.*"))
        _callgrind([build / "pyshim-read", "-o", work / "pstats", recording], work, {})
        return int(re.search(r"^summary: (\d+)", (work / "out").read_text(), re.M)[1])
    finally:
        shutil.rmtree(work)


def count_reader(python, build):
    """{"record": instructions of pyshim-read for one record}"""
    short, long = (_count_reader(python, build, times) for times in FIBS)
    return {"record": (long - short) / (fib_records(FIB) * (FIBS[1] - FIBS[0]))}
