# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs of tools/bench-accuracy: those of accuracy_programs.py and some with known times.

`measured` holds the times of a work's parts in ns, by the process's own clock, to be compared with
the profile. Each part of each run has functions of its own names: "caller_NAME_0" is the first
timed run of NAME.
"""

import time

import accuracy_programs

SPINS = 20000  # rounds of a spin's loop, for all calls of a case in one run
COUNTS = (1, 100, 10000, 1000000)
SLICE = 10000  # calls in a run; larger numbers are divided among several callers
REPEATS = 25  # repeats in one process; the last cases have made all their calls then
measured, serials, shared = {}, {}, {}


def timed(name, function, *args):
    begun = time.perf_counter_ns()
    function(*args)
    measured.setdefault(name, []).append(time.perf_counter_ns() - begun)


def define(source, name):
    names = {"small": small}
    exec(compile("from itertools import repeat\nfrom collections import deque\n" + source, "<%s>" % name,
                 "exec"), names)
    return names[name]


def serial(name):
    """Returns how often this part has run before, including warm-up."""
    serials[name] = serials.get(name, -1) + 1
    return serials[name]


# --- two halves of the same length ---------------------------------------------------------------

HALVES = {
    "half_calls": "def %s(n):\n    for i in range(n):\n        small(i)\n",
    "half_flat": "def %s(n):\n    x = 0\n    for i in range(n):\n        x = (x + i) % 1000\n",
}


def small(x):
    return x


def half(name, n):
    own = "caller_%s_%d" % (name, serial(name))
    timed(name, define(HALVES[name].replace("%s", own), own), n)


def half_calls(n):
    half("half_calls", n)


def half_flat(n):
    half("half_flat", n)


def fifty(sizes):
    half_calls(sizes[0])
    half_flat(sizes[1])


# --- functions that take a known time ------------------------------------------------------------

BODY = "for _ in rounds: pass\n"
SPIN = "def {spin}(rounds):\n    " + BODY
INLINE = "def {caller}(spin, n, rounds):\n    for _ in repeat(None, n):\n        "
CALLERS = {
    "loop": "def {caller}(spin, n, rounds):\n    for _ in repeat(None, n): spin(rounds)\n",
    "method": """\
def {caller}(spin, n, rounds):
    class Owner:
        def {between}(self, rounds): spin(rounds)
    owner = Owner()
    for _ in repeat(None, n): owner.{between}(rounds)
""",
    "c": "def {caller}(spin, n, rounds): deque(map(spin, repeat(rounds, n)), 0)\n",
    "generator": """\
def {between}(spin, n, rounds):
    for _ in repeat(None, n): yield spin(rounds)
def {caller}(spin, n, rounds):
    for _ in {between}(spin, n, rounds): pass
""",
}


def cases():
    """Returns (name, its caller, calls, rounds of each call)."""
    for kind, source in CALLERS.items():
        for n in COUNTS:
            yield "%s_%d" % (kind, n), source, n, max(1, SPINS // n)


def spin_once(name, source, n, k):
    """Returns one function for all cases that make more calls than a slice has."""
    i = serial(name)
    names = {"caller": "caller_%s_%d" % (name, i), "between": "between_%s_%d" % (name, i),
             "spin": "spin_%s" % name + ("_%d" % i if n <= SLICE else "")}
    spin = shared.get(name) or define(SPIN.format(**names), names["spin"])
    if n > SLICE:
        shared[name] = spin
    timed(name, define(source.format(**names), names["caller"]), spin, min(n, SLICE), (None,) * k)


def spins(_):
    """Runs the cases, and times the same loop body without calls."""
    for n, k in {(min(n, SLICE), k) for _, _, n, k in cases()}:
        spin_once("inline_%d" % k, INLINE + BODY, n, k)
        spin_once("empty_%d" % k, INLINE + "pass\n", n, k)
    for name, source, n, k in cases():
        for _ in range(max(1, n // SLICE // REPEATS)):
            spin_once(name, source, n, k)


WORKS = {"fifty": fifty, "half_calls": half_calls, "half_flat": half_flat, "spins": spins,
         "flat": accuracy_programs.flat, "flat_in_c": accuracy_programs.flat_in_c,
         **accuracy_programs.PROGRAMS}


def find(name):
    return WORKS[name]
