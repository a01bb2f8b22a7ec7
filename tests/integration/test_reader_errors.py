# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyshim-read trusts nothing that it is given: whatever the file, it ends with a report or with one
line that says what was found and what was expected, and never by a signal.

Recordings are damaged by overwriting fields of a real one; where a field lies is asked of
include/pyprof/format.h itself, by a small C program (c/abi_offsets.c).
"""

import marshal
import mmap
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import (DATA, MEMORY, PYTHONS, READER, SHIM, _environment, patch, read, read_stats,
                      run_bare)

LINE = re.compile(r"pyshim-read: [a-z]+ \S.*: \S.*, \S.*\n")
LOSSES = re.compile(
    r"pyshim-read: read .*: something was lost, or does not add up:\n(  .*\n)+")
SAMPLE = """\
def known(n): return len([n])
def outer():
    for i in range(50): known(i)
for i in range(20): outer()
"""


def run_reader(*args, timeout=60):
    return run_bare([READER, *args], timeout=timeout)


def complaint(done, status=1):
    """Checks a failure's form -> its only line."""
    line = done.err.decode("utf-8", "surrogateescape")
    assert done.status == status, (done.args, done.status, line)
    assert done.out == b""
    assert LINE.fullmatch(line), line
    return line


def is_survived(done):
    """A report with nothing or with losses on stderr, or one line of complaint."""
    err = done.err.decode("utf-8", "surrogateescape")
    if done.status == 0:
        return err == "" or bool(LOSSES.fullmatch(err))
    return done.status == 1 and bool(LINE.fullmatch(err)) and done.out == b""


# Sources that are none


def test_missing_file(tmp_path):
    assert "nothing" in complaint(run_reader(tmp_path / "nothing"))


def test_directory(tmp_path):
    assert "directory" in complaint(run_reader(tmp_path))


def test_other_files(tmp_path):
    for name, content in {
        "empty": b"",
        "text": b"This is no recording.\n" * 300,
        "short": b"x",
        "zeroes": bytes(100000),
        "ELF": Path(READER).read_bytes()[:50000],
        "marshal": b"\xfb\xa9\x01x0" * 100,
        "line\nbreak \x1b[31m": b"x" * 5000,
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert "expected" in complaint(run_reader(path)), name


def test_unreadable_things(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for thing in (fifo, "/dev/null", "/dev/zero", "/proc/self/mem", tmp_path / "x" / "y"):
        complaint(run_reader(thing))


def test_no_such_process():
    pid = 2**22 + 1  # above the kernel's highest
    assert str(pid) in complaint(run_reader(str(pid)))


# Usage


@pytest.mark.parametrize("args", [
    ["--unknown"], ["-Z"], [], ["-s"], ["-o"], ["-s", "nonsense", "x"], ["-f", "nonsense", "x"],
    ["--format"], ["--versio=3"], ["--sort", "cum", "x"], ["--restrict"],
], ids=" ".join)
def test_usage(args):
    done = run_reader(*args)
    assert done.status == 2 and done.out == b"", done
    assert done.err.startswith(b"pyshim-read: ") or done.err.startswith(bytes(READER)), done.err


def test_version_and_help():
    version = run_reader("--version")
    assert (version.status, version.err) == (0, b"")
    assert re.fullmatch(rb"pyshim-read \S.*\n", version.out)
    usage = run_reader("--help")
    assert (usage.status, usage.err) == (0, b"")
    for option in (b"--format", b"--output", b"--sort", b"--version", b"SOURCE"):
        assert option in usage.out


# A real recording, whole and damaged


@pytest.fixture(scope="module")
def sample():
    """A recording of SAMPLE by the newest interpreter, whose process has ended."""
    where = Path(tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY))
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(where), "PYSHIM_BUFFER": "1M"}
    done = run_bare([PYTHONS[-1].exe, "-c", SAMPLE], env=env)
    assert (done.status, done.err) == (0, b""), done
    (path,) = where.iterdir()
    yield path
    shutil.rmtree(where, ignore_errors=True)


@pytest.fixture
def copy(sample, tmp_path):
    return Path(shutil.copy(sample, tmp_path / "copy"))


def peek(path, offset, form):
    with open(path, "rb") as f:
        f.seek(offset)
        return struct.unpack(form, f.read(struct.calcsize(form)))[0]


def test_sample_is_whole(sample):
    stats = read_stats(sample)
    assert {f[2]: v[1] for f, v in stats.items() if f[0] == "<string>"} == {
        "<module>": 1, "outer": 20, "known": 1000,
    }


def test_foreign_byte_order(copy, abi):
    magic = copy.read_bytes()[abi["header.magic"]:][:8]
    patch(copy, abi["header.magic"], magic[::-1])
    assert "byte order" in complaint(run_reader(copy))


def test_other_magic(copy, abi):
    patch(copy, abi["header.magic"], b"\0" * 8)
    complaint(run_reader(copy))
    patch(copy, abi["header.magic"], b"\1PYPROX\n")
    complaint(run_reader(copy))


def test_versions(copy, abi):
    """Another major is refused, and the line names both; a newer minor is read."""
    major = peek(copy, abi["header.major"], "H")
    for other in (0, major + 1, 65535):
        patch(copy, abi["header.major"], struct.pack("H", other))
        line = complaint(run_reader(copy))
        assert str(other) in line and str(major) in line
    patch(copy, abi["header.major"], struct.pack("H", major))
    patch(copy, abi["header.minor"], struct.pack("H", 999))
    assert run_reader("-q", copy).err == b""
    assert run_reader("-q", copy).status == 0


def test_feature_bits(copy, abi):
    """An unknown required feature is refused, an unknown optional one ignored."""
    optional, required = abi["header.optional"], abi["header.required"]
    for bit in (0, 31, 63):
        known = peek(copy, optional, "Q")
        patch(copy, optional, struct.pack("Q", known | 1 << bit))
        assert read("-q", copy).err == b""
        patch(copy, optional, struct.pack("Q", known))
    for bit in (40, 63):
        known = peek(copy, required, "Q")
        patch(copy, required, struct.pack("Q", known | 1 << bit))
        complaint(run_reader(copy))
        patch(copy, required, struct.pack("Q", known))
    read("-q", copy)


@pytest.mark.parametrize("clock, name", [
    (1, "wall clock"), (2, "wall clock (no invariant counter)"), (3, "process CPU time"),
    (4, "thread CPU time"), (5, "counted events"),
])
def test_clock(copy, abi, clock, name):
    """What was measured; also where there was nothing better to measure it with."""
    patch(copy, abi["header.clock"], struct.pack("I", clock))
    lines = run_reader(copy).out.decode().splitlines()
    assert lines[2].endswith(", " + name), lines


def test_impossible_header(copy, abi):
    for field, form, values in (
        ("header_bytes", "I", (0, 1, 8, 4095, 2**31, 2**32 - 1)),
        ("block_bytes", "I", (0, 1, 7, 8, 63, 2**31, 2**32 - 1)),
        ("clock", "I", (0, 77, 2**32 - 1)),
        ("file_bytes", "Q", (0, 1, 2**40, 2**63, 2**64 - 1)),
    ):
        at = abi["header." + field]
        before = peek(copy, at, form)
        for value in values:
            patch(copy, at, struct.pack(form, value))
            assert complaint(run_reader(copy)), (field, value)
        patch(copy, at, struct.pack(form, before))
    read("-q", copy)


def test_texts_without_an_end(copy, abi):
    """Texts of the header that fill their field with control characters: none is printed."""
    for field, end in (("boot_id", "python"), ("python", "shim"), ("shim", "cmdline")):
        at = abi["header." + field]
        patch(copy, at, b"\x1b" * (abi["header." + end] - at))
    patch(copy, abi["header.cmdline_bytes"], struct.pack("I", 2**32 - 1))
    for options in ([], ["-v"], ["-q"]):
        done = run_reader(*options, copy)
        assert done.status == 0 and b"\x1b" not in done.out, done.out[:500]


def test_offsets_astray(copy, abi):
    """Each offset of the file set to where nothing is, an odd address, itself and backwards."""
    size = copy.stat().st_size
    places = {name: abi[name] for name in ("header.names", "header.rings")}
    names, rings = (peek(copy, places[n], "Q") for n in ("header.names", "header.rings"))
    for kind, start in (("names", names), ("rings", rings)):
        for field in ("extent.bytes", "extent.used", "extent.next"):
            places[kind + " " + field] = start + abi[field]
    ring = rings + abi["sizeof extent"]
    places["ring.first_block"] = ring + abi["ring.first_block"]
    block = peek(copy, places["ring.first_block"], "Q")
    places["block.next"] = block + abi["block.next"]
    for name, at in places.items():
        before = peek(copy, at, "Q")
        near = (0, 1, 4, 8, names, rings, block, at & ~7, size - 8, size, size + 8)
        for value in (*near, 2**32, 2**63, 2**64 - 8, 2**64 - 1):
            patch(copy, at, struct.pack("Q", value))
            done = run_reader("-q", copy)
            assert is_survived(done), (name, value, done.status, done.err)
        patch(copy, at, struct.pack("Q", before))
    assert b"known" in read("-q", copy).out


def test_names_astray(copy, abi):
    """Lengths inside the name table that reach beyond their entry, their extent, the file."""
    entry = peek(copy, abi["header.names"], "Q") + abi["sizeof extent"]
    for field in ("bytes", "number", "file_bytes", "name_bytes", "qual_bytes"):
        at = entry + abi["name." + field]
        before = peek(copy, at, "I")
        for value in (0, 1, 7, 8, 31, 32, 33, 2**16, 2**24, 2**31, 2**32 - 8, 2**32 - 1):
            patch(copy, at, struct.pack("I", value))
            done = run_reader("-q", copy)
            assert is_survived(done), (field, value, done.status, done.err)
        patch(copy, at, struct.pack("I", before))
    assert b"known" in read("-q", copy).out


def test_truncated(copy):
    """Cut anywhere, as when a file was copied while it grew or the disk was full."""
    size = copy.stat().st_size
    lengths = {1, 7, 8, 9, 63, 64, 100, 4095, 4096, 4097, size - 1, size - 8, size - 4096}
    lengths |= {size * n // 40 for n in range(1, 40)}
    for length in sorted((n for n in lengths if 0 < n < size), reverse=True):
        os.truncate(copy, length)
        done = run_reader("-q", copy)
        assert is_survived(done), (length, done.status, done.err)
        if length < 4096:
            complaint(done)


def used_words(path, abi):
    """Offsets of the header's words, and of all others that are not zero."""
    data = path.read_bytes()
    words = struct.unpack("%dQ" % (len(data) // 8), data)
    used = {8 * n for n, word in enumerate(words) if word}
    return sorted(used.union(range(0, abi["sizeof header"], 8)))


def test_any_word_overwritten(copy, abi):
    """Every word of the headers and the names, and some of the records, one at a time."""
    rng = random.Random(1)
    words = used_words(copy, abi)
    header = [w for w in words if w < abi["sizeof header"]]
    cmdline = range(abi["header.cmdline"], abi["header.file_bytes"])
    chosen = [w for w in header if w not in cmdline]
    chosen += rng.sample(words[len(header):], min(250, len(words) - len(header)))
    failures = []
    with open(copy, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        for at in chosen:
            before = m[at : at + 8]
            for value in (b"\xff" * 8, rng.getrandbits(64).to_bytes(8, "little")):
                m[at : at + 8] = value
                done = run_reader("-q", copy)
                if not is_survived(done):
                    failures.append((hex(at), value.hex(), done.status, done.err[-200:]))
            m[at : at + 8] = before
    assert not failures, failures[:5]
    assert b"known" in read("-q", copy).out


def test_many_words_overwritten(copy):
    rng = random.Random(2)
    whole = copy.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice((3, 30, 300))):
            at = 8 * rng.randrange(8, rng.choice((3000, len(data) // 8)))
            noise = rng.getrandbits(64).to_bytes(8, "little")
            data[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8, data[at - 64 : at - 56], noise))
        copy.write_bytes(data)
        done = run_reader("-q", copy)
        assert is_survived(done), (done.status, done.err[-300:])


def test_one_of_several_is_bad(sample, tmp_path):
    """No report of the good ones alone: a total that lacks a source is wrong."""
    bad = tmp_path / "bad"
    bad.write_text("x")
    assert "bad" in complaint(run_reader(sample, bad))
    assert "bad" in complaint(run_reader(bad, sample))


# pstats files


PSTATS = sorted((DATA / "pstats").glob("*.pstats"))
LARGEST = max(PSTATS, key=lambda path: path.stat().st_size)


def test_pstats_truncated(tmp_path):
    """Every length of one file of each kind of marshal, and of the largest."""
    chosen = {p.name: p for p in PSTATS if p.stem in ("3.15-sampled", "3.13-cprofile")}
    assert len(chosen) == 2
    cut = tmp_path / "cut"
    for path in {*chosen.values(), LARGEST}:
        data = path.read_bytes()
        for n in range(1, len(data), 1 + len(data) // 1500):
            cut.write_bytes(data[:n])
            assert "cut" in complaint(run_reader(cut)), (path, n)
    assert read("-q", path).out


def test_pstats_overwritten(tmp_path):
    """Some bytes changed at random: a report, or one line."""
    rng = random.Random(3)
    bad = tmp_path / "bad"
    refused = 0
    for n in range(1500):
        data = bytearray(rng.choice(PSTATS).read_bytes())
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(1, len(data))
            data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255))
        bad.write_bytes(data)
        done = run_reader("-q", "--strip-dirs", rng.choice(("--callers", "--callees", "-v")), bad)
        assert is_survived(done), (n, bytes(data), done.status, done.err)
        refused += done.status == 1
    assert 100 < refused < 1500


def test_pstats_hostile(tmp_path):
    """What Python would not write; test_marshal.c has more of it."""
    key = b")\3z\1fi\1\0\0\0z\1n"
    value = b")\5i\1\0\0\0i\1\0\0\0" + b"g" + bytes(8) + b"g" + bytes(8)
    for name, data in {
        "deep": b"{" + b")\1" * 500000,
        "deep dicts": b"{" * 1000000,
        "long": b"{" + key[:2] + b"u\xff\xff\xff\x7fx",
        "negative": b"{(\xff\xff\xff\xff",
        "itself": b"\xfbr\0\0\0\0N0",
        "other types": b"{" + key + b")\5NNNNN0",
        "no value": b"{" + key + b"0",
        "twice": b"{" + 2 * (key + value + b"{0") + b"0",
        "list": b"{" + key + b"[\0\0\0\0" + b"0",
        "line\nbreak": b"{" + key,
    }.items():
        bad = tmp_path / name
        bad.write_bytes(data)
        complaint(run_reader(bad))


def test_pstats_one_of_several_is_bad(tmp_path):
    bad, old = tmp_path / "bad", tmp_path / "old"
    bad.write_bytes(LARGEST.read_bytes()[:-1])
    old.write_text("old")
    for sources in ([bad, LARGEST], [LARGEST, bad], [LARGEST, bad, LARGEST]):
        assert "bad" in complaint(run_reader("-o", old, *sources))
    assert old.read_text() == "old"


def test_output_over_its_own_source(tmp_path):
    """A new file that takes the name when it is whole: a source may be named as the output, and
    who has the old file open or linked keeps it."""
    source, link = Path(shutil.copy(LARGEST, tmp_path / "p")), tmp_path / "link"
    source.chmod(0o600)
    os.link(source, link)
    before = marshal.loads(LARGEST.read_bytes()) if "2.7" not in LARGEST.name else None
    read("-o", source, source, source)
    assert link.read_bytes() == LARGEST.read_bytes() and sorted(
        path.name for path in tmp_path.iterdir()) == ["link", "p"]
    after = marshal.loads(source.read_bytes())
    assert before is None or after.keys() == before.keys()
    assert sum(v[1] for v in after.values()) == 2 * sum(
        v[1] for v in marshal.loads(read("-f", "pstats", link).out).values()) > 0


# Output that cannot be written


def test_output_fails(sample, tmp_path):
    for out in (tmp_path / "no" / "folder", tmp_path, "/dev/full"):
        done = run_reader("-o", out, sample)
        line = done.err.decode()
        assert done.status == 1, (out, done)
        assert line.startswith("pyshim-read: write %s" % out) and line.count("\n") == 1, line
    old = tmp_path / "old"
    old.write_text("old")
    assert run_reader("-o", old, tmp_path / "nothing").status == 1
    assert old.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old"]


def test_stdout_is_full(sample):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([READER, sample], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done


def test_closed_pipe(sample):
    """`pyshim-read ... | head` is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([READER, "-f", "pstats", sample], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


# Targets that are still running

WAITING = """\
import os, sys
def known(): pass
for n in (1000, 20000):
    for i in range(n): known()
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""
RUNNING = """\
import mmap, sys
with open(sys.argv[1], "r+b") as f: shared = mmap.mmap(f.fileno(), 16)
bounds = memoryview(shared).cast("q")  # one store each; struct.pack_into clears first
def known(): pass
def batch():
    for i in range(1000): known()
n = 0
while True:
    bounds[1] = n + 1000  # at most so many
    batch()
    n += 1000
    bounds[0] = n  # at least so many
"""


class Target:
    """A program under the shim, killed at the end of the block."""

    def __init__(self, python, *args, **env):
        env = _environment({"LD_PRELOAD": str(SHIM), **env})
        self.child = subprocess.Popen([python.exe, *map(str, args)], env=env, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def __enter__(self):
        return self.child

    def __exit__(self, *unused):
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def known_calls(*source):
    return {f[2]: v[1] for f, v in read_stats(*source).items()}.get("known", 0)


def test_live_target_that_waits(python, shim_dir):
    with Target(python, "-c", WAITING, PYSHIM_DIR=str(shim_dir)) as child:
        pid = int(child.stdout.readline())
        path = shim_dir / ("pyprof.%d" % pid)
        assert known_calls(path) == 1000
        assert known_calls(path) == 1000  # reading takes nothing away
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        assert known_calls(path) == 21000
        assert b"still running" in read(path).out
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.wait(300) == 0
    assert known_calls(path) == 21000
    assert b"still running" not in read(path).out


def test_live_target_that_runs(python, shim_dir, tmp_path):
    """A read counts at least what was done before it and at most what was begun after it."""
    counter = tmp_path / "counter"
    counter.write_bytes(bytes(16))

    def bounds():
        return struct.unpack("qq", counter.read_bytes())

    env = {"PYSHIM_DIR": str(shim_dir), "PYSHIM_BUFFER": "256M"}
    with Target(python, "-c", RUNNING, counter, **env) as child:
        path = shim_dir / ("pyprof.%d" % child.pid)
        deadline = time.monotonic() + 120
        while bounds()[0] < 1000 and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(5):
            least = bounds()[0]
            found = known_calls(path)
            most = bounds()[1]
            assert 1000 <= least <= found <= most, (least, found, most)
    assert bounds()[0] <= known_calls(path) <= bounds()[1]


def test_pid_in_the_default_folder(python):
    """Without PYSHIM_DIR a recording is /dev/shm/pyprof.PID, and its PID is enough to read it."""
    with Target(python, "-c", WAITING) as child:
        pid = int(child.stdout.readline())
        path = Path("/dev/shm/pyprof.%d" % pid)
        try:
            assert path.exists()
            assert known_calls(str(pid)) == 1000
            child.kill()
            child.wait()
            assert known_calls(str(pid)) == 1000
        finally:
            path.unlink()


def test_odd_paths(sample, tmp_path):
    """A recording's path may look like a number, or start with a dash."""
    for name in ("123", "-x"):
        shutil.copy(sample, tmp_path / name)
        done = run_bare([READER, "-q", "--", name], cwd=tmp_path)
        assert done.status == 0 and b"known" in done.out, done
