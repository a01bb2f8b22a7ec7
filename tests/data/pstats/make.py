# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: PYTHON make.py NAME cProfile|profile|file

Writes NAME.pstats, a profile by this interpreter (or for `file` takes the one that is there), and
NAME.txt, what its own pstats prints of it. Run by hand, for interpreters that a machine which runs
the tests may lack; the sampled profile was recorded by `python3.15 -m profiling.sampling run --pstats`.
Runs on Python 2.7 too.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../integration"))
import pstats_texts

PROGRAM = u"""
def leaf(n): return [sum(range(99999)), n]
def again(n): return n and again(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
class Thing(object):
    def __init__(self): self.x = leaf(3)
    def method(self): return len(self.x)
def main():
    for i in range(5): Thing().method(); again(i)
    even(7); sorted([3, 1, 2], key=lambda x: -x); (lambda: leaf(1))()
main()
"""


# Python 2 aligns columns by bytes, and its print leaves out a blank before the end of a line.
FOLDER = "caf\u00e9" if sys.version_info[0] > 2 else "cafe"


def as_python_3(out):
    return re.sub(b"(<-|->)\n", b"\\1 \n", out)


def profile(name, kind):
    code = compile(PROGRAM, "/home/%s/prog.py" % FOLDER, "exec")
    profiler = __import__(kind).Profile()
    space = {"__name__": "__main__"}
    if kind == "profile":  # names the program by its code object, as `python -m profile` does
        profiler.runctx(code, space, space)
    else:
        space["code"] = code
        profiler.runctx("exec(code)", space, space)
    profiler.dump_stats(name)


def main():
    name, kind = sys.argv[1:]
    if kind != "file":
        profile(name + ".pstats", kind)
    with open("jobs.json") as f:
        jobs = json.load(f)
    with open(name + ".txt", "wb") as f:
        for job in jobs:
            out = pstats_texts.text([name + ".pstats"], *job)
            out = re.sub(b"(<code object .*?) at 0x[0-9a-f]+", b"\\1", out)
            out = as_python_3(out)
            f.write(json.dumps(job).encode("ascii") + b"\n" + out)


if __name__ == "__main__":
    main()
