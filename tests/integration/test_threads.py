# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every thread that runs Python is recorded under load: the programs know how often they call each
function.

Threads run at the same time and switch at any bytecode, unlike in test_ground_truth.py. The
program's own functions are compared, with all callers: {name: {caller's name: (calls, primitive
calls)}}. The caller None is the root. Nothing may be lost (`--strict`).
"""

import ast
import marshal
import os
import subprocess
import textwrap

import pytest

from conftest import DATA, READER, counts_only, read_stats

LARGE = "1G"  # more than any program here fills; space is allocated as needed


@pytest.fixture
def run_program(tmp_path, run_shim):
    """run_program(python, source, buffer=, env=): runs the source as a script and returns a Run."""

    def run(python, source, *, buffer=LARGE, env=None, timeout=300):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return run_shim([python.exe, path], timeout=timeout,
                        env={"PYSHIM_BUFFER": buffer, **(env or {})})

    return run


@pytest.fixture(scope="session")
def c_threads(tmp_path_factory):
    """Returns the path of tests/data/truth/threads.c as a shared library."""
    out = tmp_path_factory.mktemp("threads") / "libthreads.so"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-std=c11", "-O1", "-shared", "-fPIC", "-pthread", "-o", out,
                    DATA / "truth" / "threads.c"], check=True)
    return out


def profile(recording):
    """Returns {name: {caller's name or None: (calls, primitive calls)}}, with plain names of C
    functions.

    The program's own functions have all their callers, C functions only those from the program.
    """
    table = {}
    stats = counts_only(read_stats(recording, options=["--strict"]))
    for function, (cc, nc, callers) in stats.items():
        if not is_own(function):
            continue
        row = table.setdefault(short(function), {})
        for caller, edge in callers.items():
            nc, cc = nc - edge[0], cc - edge[1]
            if function[0] != "~" or is_own(caller):
                add(row, short(caller), edge)
        add(row, None, (nc, cc))
    return table


def is_own(function):
    return function[0] == "~" or function[0].endswith("program.py")


def add(row, caller, edge):
    if edge[0]:
        old = row.get(caller, (0, 0))
        row[caller] = old[0] + edge[0], old[1] + edge[1]


def short(function):
    name = function[2]
    return name.split("'")[1] if "' of '" in name else name.strip("<>").split(".")[-1]


def expect(recording, **functions):
    """Compares each function's callers; plain numbers are primitive calls."""
    got = profile(recording)
    lines = []
    for name, callers in functions.items():
        want = {c: n if isinstance(n, tuple) else (n, n) for c, n in callers.items()}
        if got.get(name, {}) != want:
            lines.append("%s: expected %s, got %s" % (name, want, got.get(name, {})))
    if lines:
        pytest.fail("\n" + "\n".join(lines), pytrace=False)


def test_64_threads_with_100000_calls_each_are_counted(python, run_program):
    run = run_program(python, """
        import threading

        def leaf(n):
            pass

        def work():
            for i in range(100000):
                leaf(i)

        threads = [threading.Thread(target=work) for i in range(64)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        """)
    expect(run.recording, leaf={"work": 6400000}, work={"run": 64})


def test_64_threads_with_python_and_c_calls_are_counted(python, run_program):
    """Recursion is counted per thread, and the C functions have the right callers."""
    run = run_program(python, """
        import sys
        import threading

        sys.setswitchinterval(1e-5)

        def down(n):
            if n:
                down(n - 1)
            else:
                abs(n)

        def work():
            xs = []
            for i in range(1000):
                down(9)
                xs.append(ord("a"))
            xs.sort(key=key)

        def key(x):
            return divmod(x, 2)

        threads = [threading.Thread(target=work) for i in range(64)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        """)
    n = 64 * 1000
    expect(run.recording, work={"run": 64}, down={"work": n, "down": (9 * n, n)}, abs={"down": n},
           ord={"work": n}, sort={"work": 64}, key={"sort": n}, divmod={"key": n})


def test_reading_rings_in_parallel_gives_the_same_report(python, run_program, tmp_path):
    """The reader uses several threads. Their results are added in the order of the rings."""
    done = run_program(python, """
        import threading

        def leaf():
            pass

        def work(n):
            for i in range(n):
                leaf()

        threads = [threading.Thread(target=work, args=(20000 * (i % 3 + 1),)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    """, env={"PYSHIM_CLOCK": "count"})
    (recording,) = done.recordings
    assert recording.stat().st_blocks * 512 > 4 << 20, "too small for the reader to take a second thread"
    usable = os.sched_getaffinity(0)
    if len(usable) == 1:
        pytest.skip("one processor: the reader takes one thread")
    found = []
    for processors in ({min(usable)}, usable):
        out = tmp_path / "out"
        args = [READER, "--strict", "-o", out, recording]
        subprocess.run(args, check=True, preexec_fn=lambda: os.sched_setaffinity(0, processors))
        found.append(out.read_bytes())
    assert found[0] == found[1]
    assert calls_of_leaf(found[0]) == 20000 * (1 + 2 + 3) * 4


def calls_of_leaf(stats):
    (calls,) = [v[1] for f, v in marshal.loads(stats).items() if f[2] == "leaf"]
    return calls


def test_500_threads_at_once_are_counted(python, run_program):
    run = run_program(python, """
        import threading

        def leaf(n):
            return abs(n)

        def work():
            leaf(1)
            barrier.wait()
            for i in range(100):
                leaf(i)
            barrier.wait()
            leaf(2)

        barrier = threading.Barrier(500)
        threads = [threading.Thread(target=work) for i in range(500)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        """)
    expect(run.recording, work={"run": 500}, leaf={"work": 51000})


def test_10000_short_threads_are_counted(python, run_program):
    run = run_program(python, """
        import _thread
        import threading

        def leaf(n):
            return ord("x")

        def work(n):
            leaf(n)
            done.release()

        done = threading.Semaphore(0)
        for i in range(10000):
            _thread.start_new_thread(work, (i,))
            if i >= 20:
                done.acquire()
        for i in range(20):
            done.acquire()
        """)
    expect(run.recording, work={None: 10000}, leaf={"work": 10000}, ord={"leaf": 10000},
           start_new_thread={"module": 10000})


def test_10000_short_threads_of_threading_are_counted(python, run_program):
    run = run_program(python, """
        import threading

        def work(n):
            return ord("x")

        before = []
        for i in range(10000):
            t = threading.Thread(target=work, args=(i,))
            t.start()
            before.append(t)
            if len(before) > 8:
                before.pop(0).join()
        for t in before:
            t.join()
        """)
    expect(run.recording, work={"run": 10000}, ord={"work": 10000})


def test_threads_started_by_threads_are_counted(python, run_program):
    run = run_program(python, """
        import _thread
        import threading

        def spawn(n):
            ord("x")
            if n:
                threads = [threading.Thread(target=spawn, args=(n - 1,)) for i in range(3)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
            else:
                lock = _thread.allocate_lock()
                lock.acquire()
                _thread.start_new_thread(last, (lock,))
                lock.acquire()

        def last(lock):
            for i in range(100):
                chr(97)
            lock.release()

        spawn(5)
        """)
    nodes = sum(3 ** i for i in range(1, 6))
    expect(run.recording, spawn={"module": 1, "run": nodes}, ord={"spawn": nodes + 1},
           last={None: 243}, chr={"last": 24300})


def test_calls_in_a_thread_pool_are_counted(python, run_program):
    run = run_program(python, """
        from concurrent.futures import ThreadPoolExecutor

        def leaf(n):
            return divmod(n, 3)

        def job(n):
            if n % 1000 == 7:
                raise KeyError(n)
            return leaf(n)

        def failed(n):
            try:
                return pool.submit(job, n).result()
            except KeyError:
                return ord("x")

        with ThreadPoolExecutor(8) as pool:
            ok = sum(1 for x in pool.map(job, (n for n in range(20000) if n % 1000 != 7)))
            for i in range(20):
                failed(1000 * i + 7)
        assert ok == 19980
        """)
    expect(run.recording, job={"run": 20000}, leaf={"job": 19980}, divmod={"leaf": 19980},
           ord={"failed": 20})


def test_a_generator_counts_in_the_thread_that_resumes_it(python, run_program):
    """A resume belongs to the thread that resumes, wherever the generator was created."""
    run = run_program(python, """
        import sys
        import threading

        sys.setswitchinterval(1e-5)

        def numbers(n):
            for i in range(n):
                yield divmod(i, 2)

        def outer(n):
            yield from numbers(n)

        def take():
            while True:
                with lock:
                    if next(it, None) is None:
                        return

        def first():
            next(it)

        lock = threading.Lock()
        it = outer(20000)
        first()
        threads = [threading.Thread(target=take) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        """)
    # first() makes the first `next`. The thread that finds the end makes the last resume; later
    # calls run nothing.
    expect(run.recording, take={"run": 8}, outer={"next": 20001}, numbers={"outer": 20001},
           divmod={"numbers": 20000}, next={"first": 1, "take": 20000 - 1 + 8})


def test_daemon_threads_blocked_at_exit_are_counted(python, run_program):
    """A call that is open when the process ends counts once."""
    run = run_program(python, """
        import threading

        def leaf(n):
            return ord("x")

        def work():
            for i in range(1000):
                leaf(i)
            block()

        def block():
            ready.release()
            forever.acquire()

        forever = threading.Lock()
        forever.acquire()
        ready = threading.Semaphore(0)
        for i in range(16):
            threading.Thread(target=work, daemon=True).start()
        for i in range(16):
            ready.acquire()
        """)
    expect(run.recording, work={"run": 16}, block={"work": 16}, leaf={"work": 16000})


def test_daemon_threads_ended_in_calls_stay_consistent(python, run_program):
    """Threads end in the middle of calls, and the profile stays consistent."""
    run = run_program(python, """
        import threading
        import time

        def leaf(n):
            return ord("x")

        def work(counter):
            while True:
                counter[0] += 1
                leaf(1)
                counter[1] += 1

        counters = [[0, 0] for i in range(4)]
        for c in counters:
            threading.Thread(target=work, args=(c,), daemon=True).start()
        time.sleep(0.2)
        print([sum(c) for c in zip(*counters)])
        """)
    called = profile(run.recording)
    least = ast.literal_eval(run.out.decode())[1]
    assert called["work"] == {"run": (4, 4)}
    assert set(called["leaf"]) == {"work"} and called["leaf"]["work"][0] >= least
    assert 0 <= called["leaf"]["work"][0] - called["ord"]["leaf"][0] <= 4


def test_threads_that_end_by_exceptions_are_counted(python, run_program):
    run = run_program(python, """
        import _thread
        import sys
        import threading

        def leaf(n):
            if n == 0:
                raise ValueError
            if n == 1:
                sys.exit()
            if n == 2:
                _thread.exit()
            leaf(n - 3)

        def hook(*args):
            pass

        threading.excepthook = hook
        threads = [threading.Thread(target=leaf, args=(n,)) for n in range(300)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        """)
    inner = sum(n // 3 for n in range(300))
    expect(run.recording, leaf={"run": 300, "leaf": (inner, 297)}, hook={"invoke_excepthook": 300},
           exit={"leaf": 200})


C_THREADS = """
    import ctypes
    import sys

    lib = ctypes.CDLL(%r)

    def leaf(n):
        return divmod(n, 2)

    def callback(n=0):
        for i in range(3):
            leaf(n)

"""


@pytest.mark.parametrize("threads, calls", [(1, 1), (1, 1000), (8, 500), (200, 5)])
def test_calls_of_c_threads_through_ctypes_are_counted(python, run_program, c_threads, threads, calls):
    run = run_program(python, C_THREADS % str(c_threads) + """
    c_callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(callback)
    assert lib.threads_call_back(c_callback, %d, %d) == %d
    callback()
    """ % (calls, threads, threads))
    n = threads * calls
    expect(run.recording, callback={None: n, "module": 1}, leaf={"callback": 3 * n + 3},
           divmod={"leaf": 3 * n + 3})


@pytest.mark.parametrize("threads, calls", [(1, 1), (8, 5000), (200, 5)])
def test_calls_of_objects_by_c_threads_are_counted(python, run_program, c_threads, threads, calls):
    run = run_program(python, C_THREADS % str(c_threads) + """
    assert lib.threads_call_object(ctypes.py_object(callback), %d, %d) == %d
    """ % (calls, threads, threads))
    n = threads * calls
    expect(run.recording, callback={None: n}, leaf={"callback": 3 * n}, divmod={"leaf": 3 * n})


def test_c_threads_may_start_while_others_are_inspected(python, run_program, c_threads):
    """3.11 lists a thread's state before it is complete, without the GIL."""
    rounds = 300 if python.version[:2] == (3, 11) else 20
    run = run_program(python, C_THREADS % str(c_threads) + """
    for i in range(%d):
        assert lib.threads_call_object(ctypes.py_object(callback), 2, 200) == 200
    """ % rounds)
    n = rounds * 200 * 2
    expect(run.recording, callback={None: n}, leaf={"callback": 3 * n}, divmod={"leaf": 3 * n})


def test_c_threads_beside_python_threads_are_counted(python, run_program, c_threads):
    """C threads start and end while Python threads run, and start Python threads themselves."""
    run = run_program(python, C_THREADS % str(c_threads) + """
    import threading

    def work():
        for i in range(20000):
            leaf(i)

    def from_c(n):
        t = threading.Thread(target=callback)
        t.start()
        t.join()

    threads = [threading.Thread(target=work) for i in range(4)]
    for t in threads:
        t.start()
    c_callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(from_c)
    for i in range(5):
        assert lib.threads_call_back(c_callback, 10, 4) == 4
    for t in threads:
        t.join()
    """)
    expect(run.recording, from_c={None: 200}, callback={"run": 200},
           leaf={"callback": 600, "work": 80000}, divmod={"leaf": 80600})


def test_forks_beside_running_threads_are_counted(python, run_program):
    """A child has its own calls, the parent those of all its threads."""
    run = run_program(python, """
        import os
        import threading
        import warnings

        warnings.simplefilter("ignore")

        def leaf(n):
            return divmod(n, 2)

        def work():
            n = 0
            while not stop:
                leaf(n)
                n += 1
            totals.append(n)

        def child():
            for i in range(1000):
                leaf(i)
            os._exit(0)

        def parent(pid):
            assert os.waitpid(pid, 0)[1] == 0

        stop, totals = False, []
        threads = [threading.Thread(target=work) for i in range(4)]
        for t in threads:
            t.start()
        for i in range(10):
            pid = os.fork()
            parent(pid) if pid else child()
        stop = True
        for t in threads:
            t.join()
        print(sum(totals))
        """)
    parent, *children = run.recordings
    assert len(children) == 10
    n = int(run.out)
    expect(parent, work={"run": 4}, leaf={"work": n}, divmod={"leaf": n}, parent={"module": 10})
    for recording in children:
        expect(recording, child={"module": 1}, leaf={"child": 1000}, divmod={"leaf": 1000}, work={})
