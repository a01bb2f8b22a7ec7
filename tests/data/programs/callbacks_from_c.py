# SPDX-License-Identifier: LGPL-2.1-or-later
"""C code that calls Python back: sqlite3, ctypes, sort keys, re, functools, weakref, operator."""

import ctypes
import functools
import operator
import re
import sqlite3
import weakref


class Total:
    def __init__(self):
        self.n = 0

    def step(self, value):
        self.n += value

    def finalize(self):
        return self.n


db = sqlite3.connect(":memory:")
db.create_function("twice", 1, lambda x: 2 * x)
db.create_aggregate("total_of", 1, Total)
db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
db.row_factory = lambda cursor, row: tuple(row)
db.execute("create table t (n integer, s text)")
db.executemany("insert into t values (?, ?)", ((i, str(i)) for i in range(100)))
rows = db.execute("select twice(n), s from t order by s collate backwards").fetchall()
total = db.execute("select total_of(n) from t").fetchone()
db.close()

INT = ctypes.POINTER(ctypes.c_int)
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, INT, INT)
numbers = (ctypes.c_int * 40)(*[i * 7 % 40 for i in range(40)])
compare = CALLBACK(lambda a, b: a[0] - b[0])
ctypes.PyDLL(None).qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), compare)

words = re.sub(r"\w+", lambda m: m.group().title(), "a few words to change " * 10)
ordered = sorted(range(100), key=functools.cmp_to_key(lambda a, b: b % 7 - a % 7))
odd = filter(lambda x: x % 3, range(100))
summed = functools.reduce(lambda a, b: a + b, map(lambda x: x * x, odd))


@functools.lru_cache(maxsize=16)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.singledispatch
def kind(x):
    return "other"


@kind.register(int)
def _(x):
    return "int"


class Node:
    dropped = 0

    def __del__(self):
        Node.dropped += 1

    def __eq__(self, other):
        return isinstance(other, Node)

    def __hash__(self):
        return 7

    def __getattr__(self, name):
        if name.startswith("x"):
            return len(name)
        raise AttributeError(name)


gone = []
nodes = [Node() for _ in range(20)]
refs = [weakref.ref(n, gone.append) for n in nodes]
for n in nodes:
    weakref.finalize(n, gone.append, 1)
same = len(set(nodes)), nodes[0].xyz, getattr(nodes[0], "y", None), operator.attrgetter("x")(n)
del nodes, n
print(rows[0], total, list(numbers)[:5], len(words), ordered[:3], summed, fib(20), same)
print(kind(1), kind(""), Node.dropped, len(gone), max(1, 2, key=lambda x: -x), *map(str.upper, "a"))
