# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds the interpreters to test and to measure: every CPython from 3.8 on that has a GIL, and
separately those without one.

Uses PYTHONS (separated by blanks or colons) if set, else PATH, the usual places and pyenv. Any
other name in PYTHONS is an error. Needs the standard library only.

Run as a program, it prints the interpreters and the missing versions.
"""

import glob
import os
import re
import subprocess
import sys
from dataclasses import dataclass

PROBE = (
    "import sys, sysconfig; print(sys.implementation.name, *sys.version_info[:3],"
    " int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"
)


@dataclass(frozen=True)
class Python:
    """An interpreter. `version` is (3, 11, 7); `shared` is true if it links libpython.so."""

    exe: str
    version: tuple
    shared: bool

    @property
    def tag(self):
        return "%d.%d.%d-%s" % (*self.version, "shared" if self.shared else "static")


MINORS = range(8, 16)  # minor versions of Python 3 that pyshim supports


class NoPython(SystemExit):
    """A name in PYTHONS is not an interpreter to test."""


def _named():
    return [p for p in re.split(r"[\s:]+", os.environ.get("PYTHONS", "")) if p]


def _candidates():
    """Returns programs that may be interpreters. Asks those named in PYTHONS for their path,
    because a name may be a script that starts another program (pyenv's are).
    """
    if _named():
        return [_ask(p, "import sys; print(sys.executable)") or p for p in _named()]
    places = os.environ.get("PATH", "").split(":") + ["/usr/bin", "/usr/local/bin"]
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    places += sorted(glob.glob(pyenv + "/versions/*/bin"))
    found = []
    for place in places:
        for exe in sorted(glob.glob(place + "/python3*")):
            if re.fullmatch(r"python3(\.\d+)?t?", os.path.basename(exe)):
                found.append(exe)
    return found


def _ask(exe, source):
    """Returns the output of an interpreter, or "" if it cannot run or fails."""
    try:
        out = subprocess.run([exe, "-I", "-c", source], stdout=subprocess.PIPE, text=True)
    except OSError:
        return ""
    return "" if out.returncode else out.stdout.strip()


def _is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def _links_libpython(exe):
    out = subprocess.run(["ldd", exe], stdout=subprocess.PIPE, text=True)
    return "libpython" in out.stdout


def _probe(exe):
    """Returns (version, has no GIL) of a supported CPython; None for any other program."""
    real = os.path.realpath(exe)
    if not os.access(real, os.X_OK) or not _is_elf(real):
        return None
    words = _ask(exe, PROBE).split()
    version = tuple(map(int, words[1:4]))
    if not words or words[0] != "cpython" or version < (3, 8):
        return None
    return version, words[4] == "1"


def _find(free_threaded):
    pythons = {}
    for exe in _candidates():
        real = os.path.realpath(exe)
        found = None if real in pythons else _probe(exe)
        if found and found[1] == free_threaded:
            pythons[real] = Python(exe, found[0], _links_libpython(real))
        if not found and real not in pythons and _named():
            raise NoPython("find interpreters: found %r in PYTHONS, expected CPython 3.8 or later" % exe)
    return sorted(pythons.values(), key=lambda p: (p.version, p.tag))


def find_pythons():
    return _find(free_threaded=False)


def find_free_threaded():
    return _find(free_threaded=True)


def main():
    found = find_pythons()
    print("interpreters: " + (", ".join("%s (%s)" % (p.tag, p.exe) for p in found) or "none"))
    there = {p.version[:2] for p in found}
    absent = ["3.%d" % minor for minor in MINORS if (3, minor) not in there]
    if absent:
        print("not tested, for none is here: " + ", ".join(absent))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
