# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyshim-read trusts no input: for any file it ends with a report or with one line that says what
was found and what was expected, never by a signal.

Tests damage a real recording by overwriting its fields. A small C program (c/abi_offsets.c) prints
their offsets from include/pyprof/format.h.
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
    r"pyshim-read: read .*: data was lost, or numbers do not add up:\n(  .*\n)+")
SAMPLE = """\
def known(n): return len([n])
def outer():
    for i in range(50): known(i)
for i in range(20): outer()
"""


def run_reader(*args, timeout=60):
    return run_bare([READER, *args], timeout=timeout)


def complaint(done, status=1):
    """Checks the form of a failure and returns its only line."""
    line = done.err.decode("utf-8", "surrogateescape")
    assert done.status == status, (done.args, done.status, line)
    assert done.out == b""
    assert LINE.fullmatch(line), line
    return line


def is_survived(done):
    """Accepts a report, with losses or nothing on stderr, or a one-line error."""
    err = done.err.decode("utf-8", "surrogateescape")
    if done.status == 0:
        return err == "" or bool(LOSSES.fullmatch(err))
    return done.status == 1 and bool(LINE.fullmatch(err)) and done.out == b""


# Other files as sources


def test_a_missing_file_is_an_error(tmp_path):
    assert "nothing" in complaint(run_reader(tmp_path / "nothing"))


def test_a_directory_is_refused(tmp_path):
    assert "directory" in complaint(run_reader(tmp_path))


def test_other_files_are_refused(tmp_path):
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


def test_unreadable_files_are_refused(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for thing in (fifo, "/dev/null", "/dev/zero", "/proc/self/mem", tmp_path / "x" / "y"):
        complaint(run_reader(thing))


def test_a_pid_without_a_recording_is_an_error():
    pid = 2**22 + 1  # above the kernel's limit
    assert str(pid) in complaint(run_reader(str(pid)))


# Usage


@pytest.mark.parametrize("args", [
    ["--unknown"], ["-Z"], [], ["-s"], ["-o"], ["-s", "nonsense", "x"], ["-f", "nonsense", "x"],
    ["--format"], ["--versio=3"], ["--sort", "cum", "x"], ["--restrict"],
], ids=" ".join)
def test_wrong_usage_gives_status_2(args):
    done = run_reader(*args)
    assert done.status == 2 and done.out == b"", done
    assert done.err.startswith(b"pyshim-read: ") or done.err.startswith(bytes(READER)), done.err


def test_version_and_help_are_printed():
    version = run_reader("--version")
    assert (version.status, version.err) == (0, b"")
    assert re.fullmatch(rb"pyshim-read \S.*\n", version.out)
    usage = run_reader("--help")
    assert (usage.status, usage.err) == (0, b"")
    for option in (b"--format", b"--output", b"--sort", b"--version", b"SOURCE"):
        assert option in usage.out


# A real recording, complete and damaged


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


def test_the_undamaged_sample_is_complete(sample):
    stats = read_stats(sample)
    assert {f[2]: v[1] for f, v in stats.items() if f[0] == "<string>"} == {
        "<module>": 1, "outer": 20, "known": 1000,
    }


def test_a_foreign_byte_order_is_refused(copy, abi):
    magic = copy.read_bytes()[abi["header.magic"]:][:8]
    patch(copy, abi["header.magic"], magic[::-1])
    assert "byte order" in complaint(run_reader(copy))


def test_another_magic_is_refused(copy, abi):
    patch(copy, abi["header.magic"], b"\0" * 8)
    complaint(run_reader(copy))
    patch(copy, abi["header.magic"], b"\1PYPROX\n")
    complaint(run_reader(copy))


def test_another_major_version_is_refused(copy, abi):
    """Another major version is refused with a line that names both. A newer minor version is read.
    """
    major = peek(copy, abi["header.major"], "H")
    for other in (0, major + 1, 65535):
        patch(copy, abi["header.major"], struct.pack("H", other))
        line = complaint(run_reader(copy))
        assert str(other) in line and str(major) in line
    patch(copy, abi["header.major"], struct.pack("H", major))
    patch(copy, abi["header.minor"], struct.pack("H", 999))
    assert run_reader("-q", copy).err == b""
    assert run_reader("-q", copy).status == 0


def test_unknown_required_features_are_refused(copy, abi):
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
def test_the_clock_is_named_in_the_report(copy, abi, clock, name):
    """The report also says if the counter was not invariant."""
    patch(copy, abi["header.clock"], struct.pack("I", clock))
    lines = run_reader(copy).out.decode().splitlines()
    assert lines[2].endswith(", " + name), lines


def test_impossible_header_fields_are_refused(copy, abi):
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


def test_header_texts_print_no_control_characters(copy, abi):
    """The header's texts fill their fields with control characters. The report prints none of
    these.
    """
    for field, end in (("boot_id", "python"), ("python", "shim"), ("shim", "cmdline")):
        at = abi["header." + field]
        patch(copy, at, b"\x1b" * (abi["header." + end] - at))
    patch(copy, abi["header.cmdline_bytes"], struct.pack("I", 2**32 - 1))
    for options in ([], ["-v"], ["-q"]):
        done = run_reader(*options, copy)
        assert done.status == 0 and b"\x1b" not in done.out, done.out[:500]


def test_wrong_offsets_are_survived(copy, abi):
    """Each offset of the file is set to unused space, to odd addresses, to itself and backwards."""
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


def test_wrong_lengths_of_names_are_survived(copy, abi):
    """Lengths inside the name table exceed their entry, their extent and the file."""
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


def test_truncated_recordings_are_survived(copy):
    """The file is cut at any place, as by a copy while it grew or by a full disk."""
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
    """Returns offsets of the header's words and of all other nonzero words."""
    data = path.read_bytes()
    words = struct.unpack("%dQ" % (len(data) // 8), data)
    used = {8 * n for n, word in enumerate(words) if word}
    return sorted(used.union(range(0, abi["sizeof header"], 8)))


def test_any_overwritten_word_is_survived(copy, abi):
    """Overwrites every word of headers and names and some of the records, one at a time."""
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


def test_many_overwritten_words_are_survived(copy):
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


def test_one_bad_source_of_several_is_an_error(sample, tmp_path):
    """No report of the good ones is made: a total that lacks a source would be wrong."""
    bad = tmp_path / "bad"
    bad.write_text("x")
    assert "bad" in complaint(run_reader(sample, bad))
    assert "bad" in complaint(run_reader(bad, sample))


# pstats files


PSTATS = sorted((DATA / "pstats").glob("*.pstats"))
LARGEST = max(PSTATS, key=lambda path: path.stat().st_size)


def test_truncated_pstats_files_are_refused(tmp_path):
    """Every length of one file of each marshal version, and of the largest file."""
    chosen = {p.name: p for p in PSTATS if p.stem in ("3.15-sampled", "3.13-cprofile")}
    assert len(chosen) == 2
    cut = tmp_path / "cut"
    for path in {*chosen.values(), LARGEST}:
        data = path.read_bytes()
        for n in range(1, len(data), 1 + len(data) // 1500):
            cut.write_bytes(data[:n])
            assert "cut" in complaint(run_reader(cut)), (path, n)
        assert read("-q", path).out


def test_overwritten_pstats_files_are_survived(tmp_path):
    """Some bytes are changed at random. The result is a report or one line."""
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


def test_hostile_pstats_files_are_refused(tmp_path):
    """Python would not write these; test_marshal.c has more of them."""
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


def test_one_bad_pstats_file_of_several_keeps_the_output(tmp_path):
    bad, old = tmp_path / "bad", tmp_path / "old"
    bad.write_bytes(LARGEST.read_bytes()[:-1])
    old.write_text("old")
    for sources in ([bad, LARGEST], [LARGEST, bad], [LARGEST, bad, LARGEST]):
        assert "bad" in complaint(run_reader("-o", old, *sources))
    assert old.read_text() == "old"


def test_a_source_may_be_the_output(tmp_path):
    """The new file replaces the old one when it is complete. So a source may be the output, and
    processes that have the old file open keep it.
    """
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


# Failing output


def test_unwritable_output_is_an_error(sample, tmp_path):
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


def test_a_full_standard_output_is_an_error(sample):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([READER, sample], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done


def test_a_closed_pipe_is_not_an_error(sample):
    """`pyshim-read ... | head` is not an error."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([READER, "-f", "pstats", sample], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


# Running targets

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
    """A program under the shim. It is killed at the end of the block."""

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


def test_a_waiting_target_can_be_read_repeatedly(python, shim_dir):
    with Target(python, "-c", WAITING, PYSHIM_DIR=str(shim_dir)) as child:
        pid = int(child.stdout.readline())
        path = shim_dir / ("pyprof.%d" % pid)
        assert known_calls(path) == 1000
        assert known_calls(path) == 1000  # reading does not consume
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


def test_a_running_target_has_plausible_counts(python, shim_dir, tmp_path):
    """A read counts at least the calls before it and at most those until its end."""
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


def test_a_pid_names_a_recording_in_dev_shm(python):
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


def test_paths_like_numbers_or_options_are_read(sample, tmp_path):
    """A path may look like a number or start with a dash."""
    for name in ("123", "-x"):
        shutil.copy(sample, tmp_path / name)
        done = run_bare([READER, "-q", "--", name], cwd=tmp_path)
        assert done.status == 0 and b"known" in done.out, done
