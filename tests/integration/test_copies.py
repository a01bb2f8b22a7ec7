# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copies of recordings: --snapshot, standard input, and plain copies of a file that changes."""

import json
import marshal
import random
import shutil
import signal
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PYTHONS, READER, SHIM, _environment, read, read_stats, run_bare
from test_reader_errors import LINE, RUNNING, SAMPLE, Target, complaint

PATIENCE = 60  # seconds
BUFFERS = ["64K", "1M", "64M"]


class Running:
    """RUNNING under the shim after its first calls, and bounds for their number."""

    def __init__(self, python, folder, buffer, calls=20000):
        counter = folder / "counter"
        counter.write_bytes(bytes(16))
        self._counter = counter
        self._target = Target(python, "-c", RUNNING, counter, PYSHIM_DIR=str(folder), PYSHIM_BUFFER=buffer)
        self.path = folder / ("pyprof.%d" % self._target.child.pid)
        self._calls = calls

    def __enter__(self):
        deadline = time.monotonic() + PATIENCE
        while self.bounds()[0] < self._calls:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *exc):
        self._target.__exit__(*exc)

    def bounds(self):
        return struct.unpack("qq", self._counter.read_bytes())

    def check(self, take):
        """`take` returns a source. It must hold the state at some moment during the call."""
        least = self.bounds()[0]
        source = take()
        most = self.bounds()[1]
        assert least <= known(source) <= most
        return source


def known(source):
    return {f[2]: v[1] for f, v in read_stats(source, options=["--strict"]).items()}["known"]




@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A recording of an ended program with threads, partly folded."""
    folder = tmp_path_factory.mktemp("sample")
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder), "PYSHIM_BUFFER": "64K"}
    program = SAMPLE + ("import threading\n"
                        "for i in range(3):\n"
                        "    t = threading.Thread(target=lambda: [outer() for i in range(300)], name='w%d' % i)\n"
                        "    t.start(); t.join()\n")
    done = run_bare([PYTHONS[-1].exe, "-c", program], env=env)
    assert (done.status, done.err) == (0, b""), done
    (path,) = folder.glob("pyprof.*")
    return path


# --snapshot


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_snapshot_of_a_running_process_is_consistent(python, buffer, shim_dir, tmp_path):
    copies = []
    with Running(python, shim_dir, buffer) as target:
        for i in range(3):
            def take(to=tmp_path / str(i)):
                read("--snapshot", to, target.path)
                return to
            copies.append(target.check(take))
        counts = [known(c) for c in copies]
        assert counts == sorted(counts)
    shutil.rmtree(shim_dir)
    assert [known(c) for c in copies] == counts  # even after the process has ended
    for copy in copies:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        text = read(copy).out
        assert b"known" in text and b"still running" not in text


OPTIONS = [[], ["--threads"], ["--by-code"], ["--callers"], ["--callees"], ["--no-builtins"], ["--true-calls"],
           ["--exceptions"], ["-f", "pstats"], ["--check"], ["-v"]]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_a_snapshot_gives_the_same_reports_as_its_recording(options, sample, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = folder / sample.name
    read("--snapshot", copy, sample)
    said = [run_bare([READER, *options, p.name], cwd=p.parent) for p in (sample, copy)]
    assert said[0].status == 0 and said[0].out
    assert said[0].out == said[1].out
    again = tmp_path / "again"
    read("--snapshot", again, copy)
    assert again.read_bytes() == copy.read_bytes()


def test_a_snapshot_gives_the_same_json_as_its_recording(sample, tmp_path):
    copy = tmp_path / "copy"
    read("--snapshot", copy, sample)
    whole, same = (json.loads(read("-f", "json", p).out) for p in (sample, copy))
    for source in (*whole["sources"], *same["sources"]):
        source.pop("path", None)
        source.pop("name", None)
    assert whole == same


def test_a_snapshot_replaces_an_older_one(sample, tmp_path):
    to = tmp_path / "copy"
    to.write_bytes(b"old")
    read("--snapshot", to, sample)
    whole = to.read_bytes()
    for source in (tmp_path / "nothing", tmp_path):
        assert complaint(run_bare([READER, "--snapshot", to, source]))
    assert complaint(run_bare([READER, "--snapshot", tmp_path / "no" / "such", sample]))
    assert to.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [to]


def test_a_snapshot_without_space_leaves_no_file(sample, tmp_path):
    done = run_bare(["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", READER, "--snapshot", tmp_path / "copy", sample])
    assert "too large" in complaint(done)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_of_a_pstats_file_is_refused(tmp_path):
    path = tmp_path / "profile"
    path.write_bytes(marshal.dumps({("f", 1, "f"): (1, 1, 0.0, 0.0, {})}))
    assert "pstats" in complaint(run_bare([READER, "--snapshot", tmp_path / "copy", path]))


@pytest.mark.parametrize("args", [["x", "y"], ["-s", "time", "x"], ["--browse", "x"]], ids=" ".join)
def test_snapshot_refuses_two_sources_and_report_options(args):
    done = run_bare([READER, "--snapshot", "z", *args])
    assert done.status == 2 and done.err.startswith(b"pyshim-read: read --snapshot: "), done


# Standard input


def test_a_recording_is_read_from_standard_input(sample):
    whole = run_bare([READER, "-q", sample])
    piped = run_bare([READER, "-q", "-"], input=sample.read_bytes())
    assert (piped.status, piped.out, piped.err) == (0, whole.out, b"")
    with open(sample, "rb") as f:
        assert subprocess.run([READER, "-q", "-"], stdin=f, stdout=subprocess.PIPE).stdout == whole.out


def test_a_pstats_file_is_read_from_standard_input(sample, tmp_path):
    stats = tmp_path / "stats"
    read("-o", stats, sample)
    whole = run_bare([READER, "-q", stats])
    piped = run_bare([READER, "-q", "-"], input=stats.read_bytes())
    assert (piped.status, piped.out, piped.err) == (0, whole.out, b"")


def test_a_snapshot_can_be_piped_into_a_reader(sample):
    done = run_bare(["sh", "-c", '"$1" --snapshot - "$2" | "$1" -q -', "sh", READER, sample])
    assert (done.status, done.out, done.err) == (0, run_bare([READER, "-q", sample]).out, b"")


def test_other_standard_input_is_refused():
    for text in (b"", b"x", b"no recording" * 1000):
        assert "expected a recording" in complaint(run_bare([READER, "-"], input=text))
    done = run_bare([READER, "--browse", "-"])
    assert done.status == 2 and b"standard input" in done.err


# Plain copies


def is_refused(copy):
    done = run_bare([READER, "-q", copy])
    if done.status == 0:
        return False
    line = complaint(done)
    assert LINE.fullmatch(line) and "--snapshot" in line, line
    return True


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_copy_of_a_changing_file_is_right_or_refused(python, buffer, shim_dir, tmp_path):
    with Running(python, shim_dir, buffer) as target:
        for i in range(8):
            least = target.bounds()[0]
            copy = Path(shutil.copy(target.path, tmp_path / str(i)))
            most = target.bounds()[1]
            if not is_refused(copy):
                assert least <= known(copy) <= most
            time.sleep(0.05)


def copy_slowly(source, to, first, target):
    """Copies the first bytes, waits while the program continues, and copies the rest."""
    with open(source, "rb") as f, open(to, "wb") as out:
        out.write(f.read(first))
        before = target.bounds()[0]
        deadline = time.monotonic() + PATIENCE
        while target.bounds()[0] < before + 50000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        shutil.copyfileobj(f, out)
    return to


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("first", [4096, 65536, 131072])
def test_a_slow_copy_of_a_changing_file_is_refused(python, buffer, first, shim_dir, tmp_path):
    with Running(python, shim_dir, buffer) as target:
        assert is_refused(copy_slowly(target.path, tmp_path / "copy", first, target))


def test_a_copy_of_an_ended_process_is_right(python, shim_dir, tmp_path):
    with Running(python, shim_dir, "64K") as target:
        pass
    copy = shutil.copy(target.path, tmp_path / "copy")
    assert run_bare([READER, "-q", copy]).out == run_bare([READER, "-q", target.path]).out
    assert target.bounds()[0] <= known(copy) <= target.bounds()[1]
    sparse = tmp_path / "sparse"
    assert run_bare(["cp", "--sparse=always", target.path, sparse]).status == 0
    assert known(sparse) == known(copy)


# Live reads


@pytest.mark.parametrize("buffer", BUFFERS)
def test_a_reader_stopped_during_a_read_loses_nothing(python, buffer, shim_dir, tmp_path):
    """It finds the state at some moment after its start, and no loss."""
    rng = random.Random(20260101)
    with Running(python, shim_dir, buffer) as target:
        for i in range(4):
            out = tmp_path / str(i)
            least = target.bounds()[0]
            with subprocess.Popen([READER, "--strict", "-o", out, target.path], env=_environment(None),
                                  stderr=subprocess.PIPE) as reader:
                time.sleep(rng.random() * 0.02)
                reader.send_signal(signal.SIGSTOP)
                time.sleep(0.3)
                reader.send_signal(signal.SIGCONT)
                assert (reader.wait(PATIENCE), reader.stderr.read()) == (0, b"")
            most = target.bounds()[1]
            stats = {f[2]: v[1] for f, v in read_stats(out).items()}
            assert least <= stats["known"] <= most


def test_several_readers_of_a_folding_ring_lose_nothing(shim_dir):
    """The target folds 64 MiB from one end while they read from the other."""
    with Running(PYTHONS[-1], shim_dir, "64M", calls=6000000) as target:
        least = target.bounds()[0]
        readers = [subprocess.Popen(["nice", "-n", str(5 * i), READER, "--strict", "-q", "-r", "known",
                                     target.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for i in range(4)]
        found = [r.communicate(timeout=PATIENCE) for r in readers]
        most = target.bounds()[1]
    for reader, (out, err) in zip(readers, found):
        assert (reader.returncode, err) == (0, b"")
        assert least <= int(out.split(b"(known)")[0].splitlines()[-1].split()[0]) <= most
