# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared by tests of what shows calling contexts: programs, paths of calls in collapsed stacks, and
their sums.
"""

import collections
import json

from conftest import read

PROGRAM = """\
import json, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def gen(n):
    for i in range(n): yield fib(i % 7)
def work(k):
    s = 0
    for x in gen(30 * k): s += x
    try: json.loads("{bad")
    except ValueError: pass
    sorted(range(50), key=lambda v: -v)
    return s
ts = [threading.Thread(target=work, args=(i,), name="w%d" % i) for i in range(1, 4)]
for t in ts: t.start(); t.join()
work(5)
"""

# Each call counts itself at the path of its callers, for Python functions: the ground truth.
COUNTS_ITSELF = """\
import atexit, collections, json, random, sys
seen = collections.Counter()
def count():
    f, path = sys._getframe(1), []
    while f:
        path.append(f.f_code.co_name)
        f = f.f_back
    seen[";".join(reversed(path))] += 1
def a(n):
    count()
    if n: random.choice((a, b, c))(n - 1)
    if n > 6: b(n - 5)
def b(n):
    count()
    if n: random.choice((a, c))(n - 1)
def c(n):
    count()
    if n: a(n - 1); list(map(b, [n // 3] * 2))
random.seed(7)
for i in range(40): random.choice((a, b, c))(i % 11)
json.dump(seen, open(sys.argv[1], "w"))
"""


def collapsed(*args):
    """Returns {(label, ...): nanoseconds}."""
    found = {}
    for line in read("-f", "collapsed", *args).out.decode("utf-8", "surrogatepass").splitlines():
        path, _, ns = line.rpartition(" ")
        assert found.setdefault(tuple(path.split(";")), int(ns)) and int(ns) > 0
    return found


def label(f):
    if f["file_name"] == "~" and not f["line_number"]:
        return "{%s}" % f["name"][1:-1] if f["name"][0] + f["name"][-1] == "<>" else f["name"]
    return "%s:%d(%s)" % (f["file_name"], f["line_number"], f["name"])


def report(*args):
    """Returns {label: function} of the report in JSON."""
    reports = json.loads(read("-f", "json", *args).out)["reports"]
    return {label(f): f for r in reports for f in r["functions"]}


def sums(paths):
    """Returns own and cumulative nanoseconds of each function."""
    own, total = collections.Counter(), collections.Counter()
    for path, ns in paths.items():
        own[path[-1]] += ns
        for function in set(path):
            total[function] += ns
    return own, total


def near(ns, seconds):
    """True if equal: the counting clock's ticks are nanoseconds, so that only sums are rounded."""
    return abs(ns - seconds * 1e9) < .01 + 1e-9 * ns
