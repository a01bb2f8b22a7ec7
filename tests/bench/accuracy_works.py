# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tools/bench-accuracy runs: accuracy_programs.py, and what is known beforehand.

`measured` is what a work found out by the process's own clock while it ran: the times of its parts
in ns, of which a profile has its own opinion.
"""

import time
from collections import deque
from itertools import repeat

import accuracy_programs

SPINS = 200000  # rounds of a spin's loop, over all calls of a case in one run
COUNTS = (1, 100, 10000, 1000000)
measured = {}


def timed(name, function, *args):
    begun = time.perf_counter_ns()
    function(*args)
    measured.setdefault(name, []).append(time.perf_counter_ns() - begun)


# --- two halves of the same length ------------------------------------------------------------------


def small(x):
    return x


def half_calls(n):
    for i in range(n):
        small(i)


def half_flat(n):
    x = 0
    for i in range(n):
        x = (x + i) % 1000


def fifty(sizes):
    n_calls, n_flat = sizes
    timed("half_calls", half_calls, n_calls)
    timed("half_flat", half_flat, n_flat)


# --- functions that take a known time ------------------------------------------------------------------

SPIN = "def %s(rounds):\n    for _ in rounds:\n        pass\n"


class Owner:
    pass


def from_loop(spin, n, rounds):
    for _ in repeat(None, n):
        spin(rounds)


def from_method(spin, n, rounds):
    Owner.spin = lambda self, rounds: spin(rounds)
    owner = Owner()
    for _ in repeat(None, n):
        owner.spin(rounds)


def from_c(spin, n, rounds):
    deque(map(spin, repeat(rounds, n)), 0)


def from_generator(spin, n, rounds):
    for _ in (spin(rounds) for _ in repeat(None, n)):
        pass


CALLERS = (from_loop, from_method, from_c, from_generator)
CALLER = "def %s(call, spin, n, rounds):\n    call(spin, n, rounds)\n"


def cases():
    """(name, way of calling, calls, rounds of each call)"""
    for call in CALLERS:
        for n in COUNTS:
            yield "%s_%d" % (call.__name__, n), call, n, max(1, SPINS // n)


def define(source, name):
    names = {}
    exec(compile(source % name, "<spin>", "exec"), names)
    return names[name]


def spins(_):
    """Every run has functions of its own. Beside the cases: how long one round of the loop is."""
    run = len(measured.get("spin_known", ()))
    timed("spin_known", define(SPIN, "known"), (None,) * SPINS)
    for name, call, n, k in cases():
        if n > SPINS and run:
            continue
        caller = define(CALLER, "caller_%s_%d" % (name, run))
        timed(name, caller, call, define(SPIN, "spin_%s_%d" % (name, run)), n,
              (None,) * k)


WORKS = {"fifty": fifty, "half_calls": half_calls, "half_flat": half_flat, "spins": spins,
         "flat": accuracy_programs.flat, **accuracy_programs.PROGRAMS}


def find(name):
    return WORKS[name]
