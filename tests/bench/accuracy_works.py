# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tools/bench-accuracy runs: accuracy_programs.py, and what is known beforehand.

`measured` is what a work found out by the process's own clock while it ran: the times of its parts
in ns, of which a profile has its own opinion. Each part runs in functions of its own by name, so that a
profile tells the part of one run from that of another: "caller_NAME_0" is what was timed in the first.
"""

import time

import accuracy_programs

SPINS = 20000  # rounds of a spin's loop, over all calls of a case in one run
COUNTS = (1, 100, 10000, 1000000)
SLICE = 10000  # calls in a run: more than these are made by as many callers
REPEATS = 25  # of a work in one process: the last cases have all their calls then
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
    """How often this part has run before, to warm up too."""
    serials[name] = serials.get(name, -1) + 1
    return serials[name]


# --- two halves of the same length ------------------------------------------------------------------

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


# --- functions that take a known time ------------------------------------------------------------------

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
    """(name, its caller, calls, rounds of each call)"""
    for kind, source in CALLERS.items():
        for n in COUNTS:
            yield "%s_%d" % (kind, n), source, n, max(1, SPINS // n)


def spin_once(name, source, n, k):
    """What is called oftener than a slice has calls is one function for all of them."""
    i = serial(name)
    names = {"caller": "caller_%s_%d" % (name, i), "between": "between_%s_%d" % (name, i),
             "spin": "spin_%s" % name + ("_%d" % i if n <= SLICE else "")}
    spin = shared.get(name) or define(SPIN.format(**names), names["spin"])
    if n > SLICE:
        shared[name] = spin
    timed(name, define(source.format(**names), names["caller"]), spin, min(n, SLICE), (None,) * k)


def spins(_):
    """Beside the cases: how long the body of such a function takes where nothing is called."""
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
