# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which interpreters there are to test and to measure: every CPython from 3.8 on that has a GIL; and, apart from
these, those that have none.

Those named in PYTHONS (separated by blanks or colons), else those on PATH, in the usual places and
under pyenv. A name in PYTHONS that is none of them is an error. Needs the standard library only.

As a program: prints them, and the versions of which there is none.
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
    """One interpreter: `version` is (3, 11, 7), `shared` tells whether it links libpython.so."""

    exe: str
    version: tuple
    shared: bool

    @property
    def tag(self):
        return "%d.%d.%d-%s" % (*self.version, "shared" if self.shared else "static")


MINORS = range(8, 16)  # of Python 3: what pyshim serves


class NoPython(SystemExit):
    """A name in PYTHONS that stands for no interpreter to test."""


def _named():
    return [p for p in re.split(r"[\s:]+", os.environ.get("PYTHONS", "")) if p]


def _candidates():
    """Programs that may be interpreters; those named in PYTHONS are asked where they lie, for a name
    may be that of a script that starts another (pyenv's are)."""
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
    """What an interpreter prints; "" where it cannot be run or fails."""
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
    """(version, has no GIL) of a CPython that is tested; None for any other program."""
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
