# SPDX-License-Identifier: LGPL-2.1-or-later
"""PYSHIM_CLOCK=cpu and =thread: times are CPU time, and the shim rarely asks the system for it.
Also the time that the shim waits for a reader if the clock stands still or many threads wait.

The programs measure themselves with time.thread_time() and time.process_time(), so two readings of
one clock are compared and the machine's load does not matter.
"""

import json
from pathlib import Path

import pytest

from conftest import FILTERED, SHIM, read, read_stats, run_bare

C_SOURCES = Path(__file__).parent / "c"


@pytest.fixture(scope="session")
def counter(tmp_path_factory):
    out = tmp_path_factory.mktemp("c") / "clocks.so"
    done = run_bare(["cc", "-O1", "-shared", "-fPIC", C_SOURCES / "clocks.c", "-o", out])
    assert done.status == 0, done.err.decode()
    return out


@pytest.fixture(scope="session")
def invariant(tmp_path_factory):
    """Without an invariant counter each reading is a system call, and nothing is estimated."""
    flags = Path("/proc/cpuinfo").read_text()
    if "nonstop_tsc" not in flags:
        pytest.skip("no invariant counter here")


@pytest.fixture
def run_clock(run_shim, counter):
    def run(args, clock, divisor=1):
        return run_shim(args, env={"LD_PRELOAD": "%s:%s" % (SHIM, counter), "PYSHIM_CLOCK": clock,
                                   "CPU_CLOCK_DIVISOR": str(divisor)})
    return run


COUNTED = """\
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
lib.count_asked.restype = ctypes.c_long
def f(x): return x
def work(n):
    for i in range(n): f(i); len("ab")
work(10000)
before = lib.count_asked()
work(200000)
print(lib.count_asked() - before)
"""


@pytest.mark.parametrize("clock", ["cpu", "thread"])
def test_the_system_is_rarely_asked_for_cpu_time(python, clock, counter, invariant, run_clock, tmp_path):
    """A system call for each event would take several times as long as the event."""
    (tmp_path / "counted.py").write_text(COUNTED)
    done = run_clock([python.exe, tmp_path / "counted.py", counter], clock)
    asked, events = int(done.out), 4 * 200000
    assert sum(v[1] for f, v in read_stats(done.recording).items() if f[2] == "f") == 210000
    assert 0 < asked < events / 20


MEASURED = """\
import hashlib, json, sys, threading, time
clock = getattr(time, sys.argv[1])
def leaf(i): return i
def calls(n):
    for i in range(n): leaf(i)
def slow_calls(n):
    for i in range(n):
        for k in range(FIVE_US): pass
        leaf(i)
def per_turn():
    before = time.perf_counter()
    for k in range(20000): pass
    return (time.perf_counter() - before) / 20000
FIVE_US = int(5e-6 / min(per_turn() for i in range(5)))
def hashing(n):
    for i in range(n): hashlib.sha256(BLOCK).digest()
def pauses(n):
    for i in range(n): time.sleep(0.0003)
def turns(n):
    mine, other = threading.Lock(), threading.Lock()
    mine.acquire(); other.acquire()
    def answer():
        for i in range(n): mine.acquire(); other.release()
    thread = threading.Thread(target=answer); thread.start()
    for i in range(n): mine.release(); other.acquire()
    thread.join()
def hash_beside(n): hashing(n)
def sleep_beside(n): pauses(n)
BLOCK = b"x" * (1 << 20)
took = {}
def measure(f, n):
    before = clock(); f(n); took[f.__name__] = clock() - before
for f, n in (calls, 100000), (slow_calls, 20000), (hashing, 100), (pauses, 500), (turns, 5000): measure(f, n)
threads = [threading.Thread(target=measure, args=a) for a in ((hash_beside, 200), (sleep_beside, 500))]
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps(took))
"""


@pytest.mark.parametrize("divisor", [1, 3])
@pytest.mark.parametrize("clock, function", [("thread", "thread_time"), ("cpu", "process_time")])
def test_times_are_cpu_time(python, clock, function, divisor, run_clock, tmp_path):
    """Each of two threads computes, sleeps and alternates with the other, and measures its CPU
    time. In one case the thread loses its processor for intervals too short to notice: the clock
    must then stand still until it is right.
    """
    (tmp_path / "measured.py").write_text(MEASURED)
    done = run_clock([python.exe, tmp_path / "measured.py", function], clock, divisor)
    stats = {f[2]: v for f, v in read_stats(done.recording, options=["--bias", "none"]).items()}
    for name, took in json.loads(done.out).items():
        (_, _, _, found), = [e for caller, e in stats[name][4].items() if caller[2] == "measure"]
        # The program's own measurement includes the shim's slow paths, the recording does not.
        least = 0.3 if name in ("calls", "turns") else 0.8
        assert took * least - 0.003 < found < took * 1.15 + 0.003, (name, took, found)


def test_short_sleeps_do_not_count_as_cpu_time(python, invariant, run_clock, tmp_path):
    """A call that waits for 60 us is not charged for it, and the next call is not shortened."""
    (tmp_path / "naps.py").write_text("""if 1:
        import hashlib, time
        def nap():
            global took
            before = time.thread_time()
            time.sleep(0.000001)
            took += time.thread_time() - before
        def compute(): hashlib.sha256(block).digest()
        took, block = 0, b"x" * 50000
        for i in range(1000): nap(); compute()
        print(took)
    """)
    done = run_clock([python.exe, tmp_path / "naps.py"], "thread")
    stats = {f[2]: v for f, v in read_stats(done.recording, options=["--bias", "none"]).items()}
    assert stats["<built-in method time.sleep>"][3] < float(done.out) * 1.2


def test_the_process_clock_includes_other_threads(python, run_shim):
    """A function's time includes that of other threads, as the manual says."""
    done = run_shim([python.exe, "-c", """if 1:
        import hashlib, threading, time
        def hashing():
            go.wait()
            for i in range(100): hashlib.sha256(block).digest()
        def wait(thread): go.set(); thread.join()
        go = threading.Event()
        block = b"x" * (1 << 20)
        thread = threading.Thread(target=hashing)
        thread.start(); wait(thread)"""], env={"PYSHIM_CLOCK": "cpu"})
    stats = {f[2]: v for f, v in read_stats(done.recording).items()}
    assert stats["wait"][3] > stats["hashing"][3] / 2 > 0


def test_a_forked_child_starts_its_own_clock(python, run_clock, tmp_path):
    """The child's CPU time begins at 0. The shim must not take it for a parent's clock that went
    back.
    """
    (tmp_path / "forks.py").write_text("""if 1:
        import hashlib, os, time
        def f(i): return i
        def work(n):
            for i in range(n): hashlib.sha256(block).digest(); f(i)
        block = b"x" * (1 << 20)
        work(100)
        pid = os.fork()
        before = time.thread_time()
        if pid: os.waitpid(pid, 0)
        else: work(50); print(time.thread_time() - before, flush=True)
        os._exit(0)
    """)
    done = run_clock([python.exe, tmp_path / "forks.py"], "thread")
    took = float(done.out)
    child = read_stats(done.recordings[-1])
    total = sum(v[2] for v in child.values())
    assert took * 0.8 - 0.003 < total < took * 1.2 + 0.02
    assert b"lost" not in read("--check", done.recordings[-1]).err


# Waiting for a reader

HELD = """\
import mmap, os, struct, sys
rings_at, consumer_at, extent_bytes = map(int, sys.argv[1:4])
start = int(open("/proc/%d/stat" % os.getppid()).read().rpartition(")")[2].split()[19])
with open("%s/pyprof.%d" % (os.environ["PYSHIM_DIR"], os.getpid()), "r+b") as f:
    recording = mmap.mmap(f.fileno(), 0)
ring, = struct.unpack_from("Q", recording, rings_at)
struct.pack_into("Q", recording, ring + extent_bytes + consumer_at, os.getppid() << 32 | start & 0xffffffff)
"""
CALLS = """\
def f(n): return n
for i in range(20000): f(i)
print("done")
"""


@pytest.mark.parametrize("policy, held", [("block", False), ("block", True), ("fold", True)])
def test_waiting_ends_while_the_clock_stands_still(python, policy, held, abi, counter, run_shim, tmp_path):
    """The clock stands still, as under libfaketime. The wait ends anyway, for a reader that never
    comes and for one that holds the ring without progress. (The test itself holds the claim and
    folds nothing.)
    """
    (tmp_path / "calls.py").write_text((HELD if held else "") + CALLS)
    places = abi["header.rings"], abi["ring.consumer"], abi["sizeof extent"]
    done = run_shim([python.exe, tmp_path / "calls.py", *places],
                    env={"LD_PRELOAD": "%s:%s" % (SHIM, counter), "CLOCK_FROZEN": "1",
                         "PYSHIM_BUFFER": "64K", "PYSHIM_OVERFLOW": policy})
    assert done.out == b"done\n"
    if not held:
        stats = read_stats(done.recording)
        assert [v[1] for f, v in stats.items() if f[2] == "f"] == [20000]


def test_many_threads_wait_for_a_reader_only_once(python, counter, run_shim, tmp_path):
    """With PYSHIM_OVERFLOW=block and no reader, only the first thread waits a second, because the
    others cannot run meanwhile. A nap takes at least 50 us, and each block divides the patience by
    8.
    """
    (tmp_path / "threads.py").write_text("""if 1:
        import threading
        def f(n): return n
        def work():
            f(0); barrier.wait() # each has a ring of its own
            for i in range(4999): f(i)
        barrier = threading.Barrier(20)
        threads = [threading.Thread(target=work) for i in range(20)]
        for t in threads: t.start()
        for t in threads: t.join()
    """)
    done = run_shim([python.exe, tmp_path / "threads.py"],
                    env={"LD_PRELOAD": "%s:%s" % (SHIM, counter), "COUNT_NAPS": "1",
                         "PYSHIM_BUFFER": "64K", "PYSHIM_OVERFLOW": "block"})
    naps = int(done.err.split()[-1])
    # Under a seccomp filter it takes no naps: clock readings bound the wait.
    assert naps == 0 if FILTERED else 100 < naps < 1.2 * 20000
    assert [v[1] for f, v in read_stats(done.recording).items() if f[2] == "f"] == [100000]
