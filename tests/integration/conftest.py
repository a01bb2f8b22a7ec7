# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared by all integration tests: the interpreters, runs under the shim, and reading profiles.

A test with the fixture `python` runs once for each CPython that tests/pythons.py finds. The
session's header lists them, and a session without any fails.
"""

import marshal
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from places import memory  # noqa: E402
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
SHIM = BUILD / "libpyshim.so"
READER = BUILD / "pyshim-read"
DATA = ROOT / "tests" / "data"
MEMORY = memory()
PATIENCE = 600  # seconds until a hanging process is killed; tests assert no times, and machines are busy
PYTHONS = find_pythons()
# Under a seccomp filter, as in most containers, the shim uses fewer system calls.
FILTERED = "\nSeccomp:\t2\n" in Path("/proc/self/status").read_text()


def pytest_report_header(config):
    return "interpreters: " + (", ".join(p.tag for p in PYTHONS) or "NONE")


def pytest_sessionstart(session):
    if not PYTHONS:
        pytest.exit("no CPython 3.8 or later found: name some in PYTHONS", returncode=1)
    # Processes started in the background ignore these signals, and so would their children.
    for ignored in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
        if signal.getsignal(ignored) == signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)


def pytest_generate_tests(metafunc):
    if "python" in metafunc.fixturenames:
        metafunc.parametrize("python", PYTHONS, ids=lambda p: p.tag, scope="session")


@dataclass
class Run:
    """A finished command: its output as bytes, its status, and its recordings."""

    args: list
    status: int
    out: bytes
    err: bytes
    recordings: list = field(default_factory=list)

    @property
    def recording(self):
        """Returns the only recording."""
        assert len(self.recordings) == 1, (self.recordings, self.err)
        return self.recordings[0]


def _environment(extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON", "LD_"))}
    env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8",
               XDG_CONFIG_HOME="/nonexistent")  # no kept calibration
    env.update(extra or {})
    return env


def run_bare(args, *, env=None, cwd=None, input=b"", timeout=PATIENCE):
    """Runs a command without the shim, in the same environment as `run_shim`."""
    done = subprocess.run([str(a) for a in args], env=_environment(env), cwd=cwd, input=input,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return Run(list(args), done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shim_dir():
    """A folder for the recordings of this test, on a file system with space: see places.py."""
    where = tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY)
    yield Path(where)
    shutil.rmtree(where, ignore_errors=True)


def _started(recording):
    """Returns the header's start_mono_ns, because PIDs wrap around."""
    with open(recording, "rb") as f:
        head = f.read(80)
    return struct.unpack_from("<Q", head, 72)[0] if len(head) == 80 else 0


@pytest.fixture
def run_shim(shim_dir):
    """run_shim(args, env=, cwd=, input=, status=0, timeout=): runs under the shim and returns a
    Run.

    `recordings` are those that this run added, in the order in which their processes started. The
    test fails with another status than `status` (None: any), and shows the output.
    """

    def run(args, *, env=None, cwd=None, input=b"", status=0, timeout=PATIENCE):
        before = set(shim_dir.iterdir())
        extra = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir), **(env or {})}
        done = run_bare(args, env=extra, cwd=cwd, input=input, timeout=timeout)
        if status is not None:
            assert done.status == status, (done.args, done.status, done.out, done.err)
        new = set(shim_dir.iterdir()) - before
        done.recordings = sorted(new, key=_started)
        return done

    return run


@pytest.fixture
def record(run_shim, python, tmp_path):
    """record(program, *args, status=0, PYSHIM_...=): runs a program from a file with the counting
    clock and returns a Run. In one given by -c, functions that share "<string>", line and
    name with those of eval() would be added up.
    """
    def run(program, *args, status=0, **env):
        path = tmp_path / "program.py"
        path.write_text(program)
        return run_shim([python.exe, path, *args], env={"PYSHIM_CLOCK": "count", **env},
                        status=status)

    return run


def read(*args, status=0, timeout=PATIENCE):
    """Runs pyshim-read and returns a Run. Fails on any other status than `status`."""
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
    """Returns {function: (primitive calls, calls, {caller: (calls, primitive calls)})}, without
    times.
    """
    return {f: (v[0], v[1], {c: e[:2] for c, e in v[4].items()}) for f, v in stats.items()}


@pytest.fixture(scope="session")
def abi(tmp_path_factory):
    """Returns {"header.major": offset, "sizeof header": size, ...} as the compiler computes them.
    """
    out = tmp_path_factory.mktemp("abi") / "abi_offsets"
    source = Path(__file__).parent / "c" / "abi_offsets.c"
    done = run_bare(["cc", "-I", ROOT / "include", source, "-o", out])
    assert done.status == 0, done.err.decode()
    lines = run_bare([out]).out.decode().splitlines()
    return {name: int(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def patch(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)
