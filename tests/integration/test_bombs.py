# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small hostile files: the time and memory of pyshim-read are bounded by the real contents of a
file. Each of these files once took minutes of CPU time or gigabytes.
"""

import marshal
import os
import resource
import signal
import struct
import subprocess
import time

import pytest

from conftest import READER, SHIM, PYTHONS, _environment, run_bare

MIB = 1 << 20
CPU_SECONDS = 10  # CPU seconds; each file takes about one
DATA_BYTES = 1 << 30
KIND = {"names": 0x454d414e, "rings": 0x474e4952, "block": 0x4b434c42, "fold": 0x444c4f46}
CALL, RETURN, THREAD = 1, 2, 12
FN_MAX = (1 << 24) - 2


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))


def read_bounded(*args):
    """Reads within the limits. Accepts a report or a one-line error."""
    done = subprocess.run([READER, *args], env=_environment(None), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, preexec_fn=limit)
    assert done.returncode in (0, 1), (args, done.returncode, done.stderr)
    assert b"memory" not in done.stderr, done.stderr
    return done


def record(kind, number, ticks=0):
    return struct.pack("<Q", ticks << 29 | number << 5 | kind)


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    """The first page of a real recording, without its file's identity."""
    folder = tmp_path_factory.mktemp("header")
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)}
    assert run_bare([PYTHONS[-1].exe, "-c", "pass"], env=env).status == 0
    (path,) = folder.iterdir()
    return path.read_bytes()[:4096]


class Recording:
    """A recording made of a header and other fields."""

    def __init__(self, header, abi, block_bytes=16384):
        self.abi = abi
        self.bytes = bytearray(header)
        self.block_bytes = block_bytes
        self.put("header.block_bytes", 0, "<I", block_bytes)
        for field in ("names", "rings", "file_inode"):
            self.put("header." + field, 0, "<Q", 0)

    def put(self, field, base, form, *values):
        struct.pack_into(form, self.bytes, base + self.abi[field], *values)

    def take(self, n, align=8):
        at = (len(self.bytes) + align - 1) // align * align
        self.bytes += bytes(at + n - len(self.bytes))
        return at

    def extent(self, kind, n):
        at = self.take(self.abi["sizeof extent"] + n, 4096)
        self.put("extent.kind", at, "<I", KIND[kind])
        self.put("extent.bytes", at, "<Q", self.abi["sizeof extent"] + n)
        self.put("extent.used", at, "<Q", self.abi["sizeof extent"] + n)
        return at

    def rings(self, rings):
        """Adds rings: [(first block, folded, table)]."""
        size = self.abi["sizeof ring"]
        at = self.extent("rings", len(rings) * size)
        for i, ring in enumerate(rings):
            self.put("ring.first_block", at + self.abi["sizeof extent"] + i * size, "<QQQ", *ring)
        self.put("header.rings", 0, "<Q", at)
        return at

    def block(self, records, sequence=1, following=0, align=4096):
        at = self.take(self.block_bytes, align)
        self.put("block.kind", at, "<II", KIND["block"], 1)
        self.put("block.sequence", at, "<Q", sequence)
        self.put("block.next", at, "<Q", following)
        begin = at + self.abi["sizeof block"]
        self.bytes[begin:begin + len(records)] = records
        return at

    def table(self, n_fns, n_edges, fns=b"", edges=b""):
        fn, edge = self.abi["sizeof fold_fn"], self.abi["sizeof fold_edge"]
        head = self.abi["sizeof fold_table"]
        at = self.take(head, 4096)
        self.put("extent.kind", at, "<I", KIND["fold"])
        self.put("fold_table.cap_fns", at, "<III", n_fns, n_edges, 1)
        for i in range(2):
            state = at + self.abi["fold_table.state"] + i * self.abi["sizeof fold_state"]
            self.put("fold_state.n_fns", state, "<I", n_fns)
            self.put("fold_state.n_edges", state, "<I", n_edges)
        self.bytes += bytes(fn) + fns
        if edges:
            self.bytes += bytes(2 * (n_fns + 1) * fn - fn - len(fns) + edge) + edges
        return at, at + head + 2 * (n_fns + 1) * fn + 2 * (n_edges + 1) * edge + 2 * 64

    def save(self, path, bytes=None):
        """Writes the recording, with a hole up to this many bytes at its end."""
        self.take(0, 4096)
        self.put("header.file_bytes", 0, "<Q", bytes or len(self.bytes))
        path.write_bytes(self.bytes)
        os.truncate(path, bytes or len(self.bytes))
        return path


def new_functions(n, first=1):
    return b"".join(record(CALL, i % FN_MAX + 1, 1) for i in range(first, first + n))


def shared_chain(header, abi, path):
    r = Recording(header, abi, 2 * MIB)
    block = r.block(new_functions(200000))
    r.rings([(block, 0, 0)] * 16384)
    return r.save(path)


def shared_round_chain(header, abi, path):
    """Many rings share a cyclic chain of small folded blocks."""
    size = abi["sizeof block"] + 8
    r = Recording(header, abi, size)
    first, n = r.take(0, 4096), 60000
    for i in range(n):
        r.block(b"", 1, first + (i + 1) % n * size, 8)
    r.rings([(first, 1 << 40, 0)] * 50000)
    return r.save(path)


def shared_table(header, abi, path):
    r = Recording(header, abi)
    number = abi["sizeof fold_fn"]
    fns = b"".join(struct.pack("<I", i + 1) + bytes(number - 4) for i in range(10000))
    table, end = r.table(10000, 0, fns)
    r.take(end - len(r.bytes))
    r.rings([(0, 1, table)] * 16384)
    return r.save(path)


def same_edges(header, abi, path):
    """A table repeats one edge, and its index finds all of them in one slot."""
    r = Recording(header, abi)
    edge = struct.pack("<II", 0, 1) + bytes(abi["sizeof fold_edge"] - 8)
    fn = struct.pack("<I", 1) + bytes(abi["sizeof fold_fn"] - 4)
    table, end = r.table(1, 300000, fn, edge * 300000)
    r.take(end - len(r.bytes))
    r.rings([(0, 1, table)])
    return r.save(path)


def colliding_numbers(header, abi, path):
    """Returns numbers that are close together after the shim's multiplicative hash."""
    n, mask = 120000, (1 << 19) - 1
    numbers = [x for x in range(1, FN_MAX)
               if (x * 0x9e3779b97f4a7c15 >> 32 & mask) < n / FN_MAX * mask * 1.02][:n]
    r = Recording(header, abi, 4 * MIB)
    block = r.block(b"".join(record(CALL, x) + record(RETURN, x) for x in numbers))
    r.rings([(block, 0, 0)])
    return r.save(path)


def many_threads(header, abi, path):
    """Tables are large once, and each following record begins a new one."""
    r = Recording(header, abi, 8 * MIB)
    n = 500000
    records = new_functions(n) + b"".join(record(THREAD, 2 + i % 2) + record(CALL, 1)
                                          for i in range(n // 2))
    block = r.block(records)
    r.rings([(block, 0, 0)])
    return r.save(path)


def sparse_names(header, abi, path):
    r = Recording(header, abi)
    at = r.extent("names", 64)
    r.put("extent.bytes", at, "<QQ", 3 << 30, 3 << 30)
    r.put("header.names", 0, "<Q", at)
    return r.save(path, (3 << 30) + MIB)


def sparse_name(header, abi, path):
    r = Recording(header, abi)
    at = r.extent("names", 64)
    r.put("extent.bytes", at, "<QQ", 3 << 30, 3 << 30)
    r.put("name.bytes", at + abi["sizeof extent"], "<II", 3 << 29, 1)
    r.put("name.kind", at + abi["sizeof extent"], "<H", 1)
    r.put("name.file_bytes", at + abi["sizeof extent"], "<I", 3 << 28)
    r.put("header.names", 0, "<Q", at)
    return r.save(path, (3 << 30) + MIB)


def sparse_rings(header, abi, path):
    r = Recording(header, abi)
    at = r.rings([(0, 0, 0)])
    r.put("extent.bytes", at, "<QQ", 1 << 30, 1 << 30)
    return r.save(path, (1 << 30) + MIB)


def sparse_table(header, abi, path):
    r = Recording(header, abi)
    table, end = r.table(1 << 20, 8 << 20)
    r.rings([(0, 1, table)] * 64)
    return r.save(path, end + MIB)


def high_numbers(header, abi, path):
    """The numbers of names are far apart, so an array of all numbers would be large."""
    r = Recording(header, abi)
    name = struct.pack("<IIHHiIIII", 32, FN_MAX - 1, 1, 0, 1, 0, 0, 0, 0)
    name += struct.pack("<IIHHiIIII", 32, (1 << 32) - 1, 3, 0, 1, 0, 0, 0, 0)
    at = r.extent("names", len(name))
    r.bytes[at + abi["sizeof extent"]:] = name
    r.put("header.names", 0, "<Q", at)
    return r.save(path)


RECORDINGS = [shared_chain, shared_round_chain, shared_table, same_edges, colliding_numbers,
              many_threads, sparse_names, sparse_name, sparse_rings, sparse_table, high_numbers]


@pytest.mark.parametrize("make", RECORDINGS)
def test_hostile_recordings_are_read_within_limits(make, header, abi, tmp_path):
    path = make(header, abi, tmp_path / "bomb")
    for options in (["-q"], ["--threads", "-q", "-r", "1"], ["-f", "json"], ["-f", "html"],
                    ["-f", "chrome", "-q"], ["--by-code", "--callers"], ["-q", "--by-module"],
                    ["-q", "--by-package", "--imports-as-one"], ["-f", "speedscope"], ["-f", "firefox"],
                    ["-q", "--tree", "--min=0"], ["-q", "--tree", "--root=."]):
        read_bounded(*options, path)
    read_bounded("--snapshot", tmp_path / "copy", path)


# pstats files


def marshalled(functions):
    """Marshals a dict {key: value} from marshalled keys and values."""
    return b"{" + b"".join(key + value for key, value in functions) + b"0"


def number(n):
    return b"i" + struct.pack("<i", n)


NOTHING = b")\x05" + number(1) + number(1) + b"g" + bytes(8) + b"g" + bytes(8) + b"{0"


def shared_text(n, length, as_file):
    def key(i):
        text = b"r" + struct.pack("<I", 0) if i else b"\xe1" + struct.pack("<I", length) + b"A" * length
        return b")\x03" + (text + number(i) + b"z\x01f" if as_file else b"z\x01f" + number(i) + text)

    return marshalled((key(i), NOTHING) for i in range(n))


@pytest.mark.parametrize("as_file", [True, False])
def test_pstats_with_a_long_shared_text_are_refused(as_file, tmp_path):
    path = tmp_path / "bomb"
    for n, length in ((8000, 400000), (100000, 4 * MIB)):
        path.write_bytes(shared_text(n, length, as_file))
        done = read_bounded("-q", path)
        assert done.returncode == 1 and b"long names" in done.stderr


def test_pstats_with_very_long_lines_are_refused(tmp_path):
    """Each line of a listing of callers is as wide as the longest name."""
    stats = {("f", 1, "x" * MIB): (1, 1, 0.0, 0.0, {}),
             **{("f", i, "g"): (1, 1, 0.0, 0.0, {}) for i in range(2, 20000)}}
    path = tmp_path / "bomb"
    path.write_bytes(marshal.dumps(stats))
    for options in (["--callers"], ["--callees"], [], ["-f", "json"]):
        done = read_bounded("-q", *options, path)
        assert done.returncode == 1 and b"gigabytes" in done.stderr


def test_a_folder_with_many_names_is_not_read_for_each(tmp_path):
    """--by-package reads what is installed in a folder that a file names."""
    site = tmp_path / "site-packages"
    for i in range(300):
        (site / ("d%d-1.dist-info" % i)).mkdir(parents=True)
        (site / ("d%d-1.dist-info" % i) / "top_level.txt").write_text("t%d\n" % i)
    stats = {("%s/%ssite-packages/t1/a.py" % (tmp_path, "./" * (i % 1000) + "/" * (i // 1000)), 1, "f"):
             (1, 1, 0.0, 0.0, {}) for i in range(8000)}
    path = tmp_path / "bomb"
    path.write_bytes(marshal.dumps(stats))
    assert read_bounded("-q", "--by-package", path).returncode == 0


def test_a_shared_text_of_the_length_of_a_path_is_accepted(tmp_path):
    """The text is as long as a path can be, and the file no larger than its functions."""
    path = tmp_path / "profile"
    path.write_bytes(shared_text(5000, 4096, True))
    assert read_bounded("-q", path).returncode == 0


# Files that change


def test_a_file_that_shrinks_is_read_within_limits(header, abi, tmp_path):
    """The file shrinks at more places than a process may have mappings."""
    n = 100000
    r = Recording(header, abi)
    base = r.take(0, 4096) + 4096 + n * abi["sizeof ring"] + MIB
    r.rings([(base + 8192 * i, 0, 0) for i in range(n)])
    path = r.save(tmp_path / "shrinks", base + 8192 * n + MIB)
    child = subprocess.Popen([READER, "-q", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.truncate(path, len(r.bytes))
    assert child.wait(120) in (0, 1), child.stderr.read()
    child.stderr.close()


def test_a_foreign_bus_error_ends_the_reader(tmp_path):
    """A SIGBUS that does not come from a truncated file ends the process."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(tmp_path)}
    assert run_bare([PYTHONS[-1].exe, "-c", "pass"], env=env).status == 0
    (recording,) = tmp_path.glob("pyprof.*")
    child = subprocess.Popen([READER, "-q", recording, "-o", fifo], stderr=subprocess.PIPE)
    time.sleep(0.5)  # the reader has read the file and waits for the FIFO's other end
    child.send_signal(signal.SIGBUS)
    assert child.wait(60) == -signal.SIGBUS
    child.stderr.close()
