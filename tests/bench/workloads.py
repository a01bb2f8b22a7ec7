# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workloads: small loops with only one kind of event, and real programs.

MICRO maps a name to a function of n that returns its number of pairs of events (call and return,
resume and yield, ...). PROGRAMS are those of tests/data/programs/ that can run many times in one
process.
"""

import io
import sys
import threading
from itertools import repeat
from pathlib import Path

PROGRAMS = ("argparse_tool", "ast_transform", "difflib_report", "json_roundtrip")
FOLDER = Path(__file__).resolve().parents[1] / "data" / "programs"
FIB = 15
N_THREADS = 4


def function():
    pass


class Object:
    def method(self):
        pass


class Made:
    def __init__(self):
        pass


def raising():
    raise KeyError


def generator(n):
    for _ in repeat(None, n):
        yield


def calls(n):
    for _ in repeat(None, n):
        function()
    return n


def methods(n):
    o = Object()
    for _ in repeat(None, n):
        o.method()
    return n


def fib(n):
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    for _ in repeat(None, n):
        fibonacci(FIB)
    return n * fib_calls(FIB)


def fib_calls(n):
    """Returns how often one fibonacci(n) calls fibonacci."""
    a, b = 1, 1
    for _ in range(n):
        a, b = b, a + b + 1
    return a


def lens(n):
    empty = ()
    for _ in repeat(None, n):
        len(empty)
    return n


def resumes(n):
    for _ in generator(n):
        pass
    return n + 1


def key(value):
    return value


def sort(n):
    values = list(range(1000))
    for _ in repeat(None, n):
        sorted(values, key=key)
    return n * (len(values) + 1)


def exceptions(n):
    for _ in repeat(None, n):
        try:
            raising()
        except KeyError:
            pass
    return n


def classes(n):
    for _ in repeat(None, n):
        Made()
    return n


class Threads:
    """Calls in four threads at once. Each thread calls `begin` first, if the mode needs it."""

    begin = None

    def work(self, n):
        if self.begin:
            self.begin()
        calls(n)

    def __call__(self, n):
        threads = [threading.Thread(target=self.work, args=(n,)) for _ in range(N_THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return n * N_THREADS


threads = Threads()
MICRO = {
    "calls": calls,
    "methods": methods,
    "fib": fib,
    "len": lens,
    "resumes": resumes,
    "sort": sort,
    "exceptions": exceptions,
    "classes": classes,
    "threads": threads,
}


def program(name):
    """Returns a function of n that runs a program n times from its first line, without its output.
    """
    path = FOLDER / (name + ".py")
    code = compile(path.read_bytes(), str(path), "exec")

    def run(n):
        stdout, sys.stdout = sys.stdout, io.StringIO()
        try:
            for _ in repeat(None, n):
                exec(code, {"__name__": "__main__", "__file__": str(path)})
        finally:
            sys.stdout = stdout
        return 0

    return run


def find(name):
    return MICRO[name] if name in MICRO else program(name)
