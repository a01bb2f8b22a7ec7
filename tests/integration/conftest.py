# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every integration test stands on: the interpreters, a run under the shim, a read profile.

A test that takes the fixture `python` runs once for each CPython 3.8+ found: those named in
PYTHONS (separated by blanks or colons), else those on PATH, in the usual places and under pyenv.
The session's header lists them, and a session that finds none fails.
"""

import glob
import marshal
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
SHIM = BUILD / "libpyshim.so"
READER = BUILD / "pyshim-read"
DATA = ROOT / "tests" / "data"
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


def find_pythons():
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
        if version >= (3, 8) and words[4] == "0":
            pythons[real] = Python(exe, version, _links_libpython(real))
    return sorted(pythons.values(), key=lambda p: (p.version, p.tag))


PYTHONS = find_pythons()


def pytest_report_header(config):
    return "interpreters: " + (", ".join(p.tag for p in PYTHONS) or "NONE")


def pytest_sessionstart(session):
    if not PYTHONS:
        pytest.exit("no CPython 3.8 or later found: name some in PYTHONS", returncode=1)


def pytest_generate_tests(metafunc):
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", PYTHONS, ids=lambda p: p.tag, scope="session")


@dataclass
class Run:
    """A finished command: its streams as bytes, its status, and the recordings that it left."""

    args: list
    status: int
    out: bytes
    err: bytes
    recordings: list = field(default_factory=list)

    @property
    def recording(self):
        """The only recording there is."""
        assert len(self.recordings) == 1, (self.recordings, self.err)
        return self.recordings[0]


def _environment(extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON", "LD_"))}
    env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8",
               XDG_CONFIG_HOME="/nonexistent")  # no calibration that somebody has kept
    env.update(extra or {})
    return env


def run_bare(args, *, env=None, cwd=None, input=b"", timeout=120):
    """Runs a command without the shim, in the same environment as `run_shim` gives it."""
    done = subprocess.run([str(a) for a in args], env=_environment(env), cwd=cwd, input=input,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return Run(list(args), done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shim_dir():
    """A folder for this test's recordings, in the same file system as the default one."""
    where = tempfile.mkdtemp(prefix="pyshim-test-", dir="/dev/shm")
    yield Path(where)
    shutil.rmtree(where, ignore_errors=True)


def _started(recording):
    """The header's start_mono_ns: PIDs wrap around."""
    with open(recording, "rb") as f:
        head = f.read(80)
    return struct.unpack_from("<Q", head, 72)[0] if len(head) == 80 else 0


@pytest.fixture
def run_shim(shim_dir):
    """run_shim(args, env=, cwd=, input=, status=0, timeout=): runs under the shim -> Run.

    `recordings` holds those that this run added, by the process's starting order. A status other
    than `status` (None: any) fails the test and shows what was printed.
    """

    def run(args, *, env=None, cwd=None, input=b"", status=0, timeout=120):
        before = set(shim_dir.iterdir())
        extra = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir), **(env or {})}
        done = run_bare(args, env=extra, cwd=cwd, input=input, timeout=timeout)
        if status is not None:
            assert done.status == status, (done.args, done.status, done.out, done.err)
        new = set(shim_dir.iterdir()) - before
        done.recordings = sorted(new, key=_started)
        return done

    return run


def read(*args, status=0, timeout=120):
    """Runs pyshim-read -> Run; any other status than `status` fails the test."""
    done = run_bare([READER, *args], timeout=timeout)
    assert done.status == status, (done.args, done.status, done.out[-2000:], done.err)
    return done


def read_stats(*sources, options=()):
    """The profile of the sources as pstats has it:
    {(file, line, name): (primitive calls, calls, tottime, cumtime, {caller: (nc, cc, tt, ct)})}"""
    with tempfile.NamedTemporaryFile(suffix=".pstats") as out:
        read(*options, "-o", out.name, *sources)
        return marshal.loads(Path(out.name).read_bytes())


def counts_only(stats):
    """{function: (primitive calls, calls, {caller: (calls, primitive calls)})}: no times."""
    return {f: (v[0], v[1], {c: e[:2] for c, e in v[4].items()}) for f, v in stats.items()}
