#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: tests/fuzz/seeds.py BUILD FOLDER

Makes the seed corpora of the fuzz targets. FOLDER/recording has real recordings of every
interpreter, made small by BUILD/fuzz/shrink. FOLDER/pstats has the files of tests/data/pstats.
FOLDER/whole has one recording of each interpreter in full size, with blocks that are not folded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from pythons import find_pythons  # noqa: E402

PROGRAMS = {
    "calls": "def f(n): return n and f(n - 1)\nfor i in range(3): f(3); len('x')",
    "folded": "def f(n): return n and f(n - 1)\ndef g(): return [f(2), abs(-1)]\n"
              "for i in range(4000): g()",
    "generator": "def g():\n    try: yield 1\n    except ValueError: yield 2\n"
                 "i = g()\nnext(i); i.throw(ValueError)\ndel i",
    "exception": "def f():\n    try: [].pop()\n    finally: int('x')\n"
                 "try: f()\nexcept (ValueError, IndexError): pass",
    "threads": "import _thread, time\ndef f(): [].append(1)\n"
               "for _ in range(3): _thread.start_new_thread(f, ())\ntime.sleep(0.05)",
    "killed": "import posix\ndef f(n):\n    if n: f(n - 1)\n    else: posix.kill(posix.getpid(), 9)\nf(5)",
}
CLOCKS = ["wall", "cpu", "thread"]


def make_recordings(build, folder):
    for i, python in enumerate(find_pythons()):
        for k, (name, program) in enumerate(PROGRAMS.items()):
            with tempfile.TemporaryDirectory() as work:
                env = {"PATH": os.environ["PATH"], "LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work,
                       "PYSHIM_BUFFER": "64K", "PYSHIM_CLOCK": CLOCKS[(i + k) % 3]}
                subprocess.run([python.exe, "-S", "-c", program], env=env)
                for recording in Path(work).glob("pyprof.*"):
                    subprocess.run([build / "fuzz" / "shrink", recording,
                                    folder / ("%s-%s" % (python.tag, name))], check=True)


def make_whole(build, folder):
    for python in find_pythons():
        with tempfile.TemporaryDirectory() as work:
            env = {"PATH": os.environ["PATH"], "LD_PRELOAD": build / "libpyshim.so", "PYSHIM_DIR": work,
                   "PYSHIM_BUFFER": "128K"}
            subprocess.run([python.exe, "-S", "-c", PROGRAMS["folded"]], env=env, check=True)
            for recording in Path(work).glob("pyprof.*"):
                shutil.copy(recording, folder / python.tag)


def main():
    build, folder = (Path(a).resolve() for a in sys.argv[1:3])
    for name in "recording", "pstats", "whole":
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    make_recordings(build, folder / "recording")
    make_whole(build, folder / "whole")
    for path in (ROOT / "tests" / "data" / "pstats").glob("*.pstats"):
        shutil.copy(path, folder / "pstats")


if __name__ == "__main__":
    main()
