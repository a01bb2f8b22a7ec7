# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared by the tests of formats: recordings of a program, what pyshim-read makes of them, and where
`make check-formats` has installed the programs that read that.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "formats")]
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
NPM = BUILD / "npm" / "node_modules"

# Two threads, recursion in C and Python, a generator, names that are equal, odd names.
PROGRAM = """\
import json, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
class A:
    def run(self, n): return sorted(range(n), key=lambda v: -v)
class B:
    def run(self, n): return list(map(fib, range(n)))
def each(n):
    for i in range(n): yield i
def work(n):
    for i in each(n): A().run(i); B().run(i % 7)
    json.dumps(list(range(n)))
for name in ['a"b;c', "line\\nline", "\\u4e2d\\U0001f600", "</script>"]:
    def f(): pass
    f.__code__ = f.__code__.replace(co_name=name)
    f()
work(30)
"""


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON", "LD_"))}
    return {**env, "PYTHONHASHSEED": "0", "XDG_CONFIG_HOME": "/nonexistent", **more}


def record(folder, program=PROGRAM):
    """Records a program with the counting clock. Returns its only recording."""
    path = folder / "program.py"
    path.write_text(program)
    env = environment(LD_PRELOAD=str(BUILD / "libpyshim.so"), PYSHIM_DIR=str(folder), PYSHIM_CLOCK="count")
    subprocess.run([find_pythons()[-1].exe, str(path)], env=env, check=True, stdin=subprocess.DEVNULL)
    recording, = folder.glob("pyprof.*")
    return recording


def read(*args):
    return subprocess.run([BUILD / "pyshim-read", *args], check=True, stdout=subprocess.PIPE, env=environment()).stdout


def label(f):
    """The label of a function in JSON."""
    name = f["name"]
    if f["file_name"] == "~":
        return "{%s}" % name[1:-1] if name[0] + name[-1] == "<>" else name
    return "%s:%d(%s)" % (f["file_name"], f["line_number"], name)


def functions(recording):
    """The functions of the report in JSON."""
    return json.loads(read("-f", "json", recording))["reports"][0]["functions"]
