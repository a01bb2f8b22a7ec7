# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which interpreters there are to test and to measure: every CPython from 3.8 on that has a GIL; and, apart from
these, those that have none.

Those named in PYTHONS (separated by blanks or colons), else those on PATH, in the usual places and
under pyenv. Needs the standard library only.
"""

import glob
import os
import re
import shutil
import subprocess
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


def _candidates():
    named = os.environ.get("PYTHONS")
    if named:
        return [shutil.which(p) or p for p in re.split(r"[\s:]+", named) if p]
    places = os.environ.get("PATH", "").split(":") + ["/usr/bin", "/usr/local/bin"]
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    places += sorted(glob.glob(pyenv + "/versions/*/bin"))
    found = []
    for place in places:
        for exe in sorted(glob.glob(place + "/python3*")):
            if re.fullmatch(r"python3(\.\d+)?t?", os.path.basename(exe)):
                found.append(exe)
    return found


def _is_elf(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def _links_libpython(exe):
    out = subprocess.run(["ldd", exe], stdout=subprocess.PIPE, text=True)
    return "libpython" in out.stdout


def _find(free_threaded):
    pythons = {}
    for exe in _candidates():
        real = os.path.realpath(exe)
        if real in pythons or not os.access(real, os.X_OK) or not _is_elf(real):
            continue
        out = subprocess.run([exe, "-I", "-c", PROBE], stdout=subprocess.PIPE, text=True)
        words = out.stdout.split()
        if out.returncode or not words or words[0] != "cpython":
            continue
        version = tuple(map(int, words[1:4]))
        if version >= (3, 8) and words[4] == str(int(free_threaded)):
            pythons[real] = Python(exe, version, _links_libpython(real))
    return sorted(pythons.values(), key=lambda p: (p.version, p.tag))


def find_pythons():
    return _find(free_threaded=False)


def find_free_threaded():
    return _find(free_threaded=True)
