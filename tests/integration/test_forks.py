# SPDX-License-Identifier: LGPL-2.1-or-later
"""All ways to fork: the parent survives, a child's calls are in its own recording only, and a
program that forks endlessly leaves a bounded number of files with every call in them.
"""

import collections
import os
import re
import textwrap
from pathlib import Path

import pytest

from conftest import FILTERED, read, read_stats, run_bare

C_SOURCES = Path(__file__).parent / "c"


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    out = tmp_path_factory.mktemp("forks") / "forks.so"
    done = run_bare(["cc", "-O1", "-shared", "-fPIC", C_SOURCES / "forks.c", "-o", out])
    assert done.status == 0, done.err.decode()
    return out


def calls(recordings, *names):
    """Returns {name: calls} over all recordings."""
    n = collections.Counter({name: 0 for name in names})
    for function, v in read_stats(*recordings, options=("--strict",)).items():
        if function[2] in n:
            n[function[2]] += v[1]
    return dict(n)


def run_python(run_shim, python, source, *args, **options):
    return run_shim([python.exe, "-S", "-c", textwrap.dedent(source), *args], **options)


# Forks while malloc or another thread may hold a lock


AT_ONCE = """
    import ctypes, os, sys, threading
    lib = ctypes.CDLL(sys.argv[1])  # it releases the GIL
    def deep(n, then): return deep(n - 1, then) if n else then()
    def by_python():
        for i in range(40):
            pid = os.fork()
            if not pid: os._exit(0)
            os.waitpid(pid, 0)
        return 40
    n = []
    def work(then): n.append(deep(150, then))
    ways = [lambda: lib.spawn_helpers(60), by_python] if len(sys.argv) > 2 else [lambda: lib.spawn_helpers(60)] * 3
    threads = [threading.Thread(target=work, args=(way,)) for way in ways]
    for t in threads: t.start()
    for t in threads: t.join()
    print(sorted(n))
    """


@pytest.mark.parametrize("beside_python", [False, True])
def test_threads_without_the_gil_fork_at_the_same_time(python, beside_python, forks, run_shim):
    args = ["beside"] if beside_python else []
    for _ in range(3):
        done = run_python(run_shim, python, AT_ONCE, forks, *args)
        assert done.out == (b"[40, 60]\n" if beside_python else b"[60, 60, 60]\n")
        (parent,) = [r for r in done.recordings if b"(forked)" not in read("--check", r).out]
        assert calls([parent], "deep") == {"deep": 151 * (2 if beside_python else 3)}


IN_A_HANDLER = """
    import ctypes, sys, time
    lib = ctypes.PyDLL(sys.argv[1])
    def f(i): return b"x" * (600 + i % 4000)
    def deep(n, then): return deep(n - 1, then) if n else then()
    def work():
        end, i, kept = time.monotonic() + 0.7, 0, []
        while time.monotonic() < end or i < 100000:
            i += 1
            kept.append(f(i))
            if len(kept) > 500: kept = kept[::2]
        return i
    lib.fork_by_signal(1000)
    n = deep(100, work)
    print(n, lib.fork_by_signal(0) > 10)
    """


def test_forks_in_a_signal_handler_are_recorded(python, forks, run_shim):
    done = run_python(run_shim, python, IN_A_HANDLER, forks)
    n, forked = done.out.split()
    assert forked == b"True"
    (parent,) = [r for r in done.recordings if b"(forked)" not in read("--check", r).out]
    assert calls([parent], "f", "deep") == {"f": int(n), "deep": 101}


SMALL_STACK = """
    import os, sys, threading
    threading.stack_size(32768)
    def g(): return 1
    def deep(n): return deep(n - 1) if n else leaf()
    def leaf():
        pid = os.fork()
        if not pid:
            for i in range(3000): g()
            os._exit(0)
        return os.waitpid(pid, 0)[1]
    status = []
    t = threading.Thread(target=lambda: status.append(deep(int(sys.argv[1])))); t.start(); t.join()
    print(status)
    """


@pytest.mark.parametrize("depth", [5, 20, 30])
def test_forks_of_a_thread_with_a_small_stack_work(python, depth, run_shim):
    args = [python.exe, "-S", "-c", textwrap.dedent(SMALL_STACK), depth]
    bare = run_bare(args)
    done = run_shim(args, status=None)
    assert (done.status, done.out) == (bare.status, bare.out)
    if bare.out == b"[0]\n":
        assert calls(done.recordings, "g", "deep") == {"g": 3000, "deep": depth + 1}


# Without fork(2)


PAST_FORK = """
    import ctypes, os, sys
    lib = ctypes.PyDLL(sys.argv[1])
    def parents(): pass
    def childs(): pass
    def child(argument=None):
        for i in range(20000): childs()
        os._exit(0)
    def main():
        if sys.argv[2] == "clone_with":
            run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(child)
            pid = lib.clone_with(run)
        else:
            pid = getattr(lib, sys.argv[2])()
            if not pid: child()
        for i in range(20000): parents()
        print(os.waitpid(pid, 0)[1])
    main()
    """


@pytest.mark.parametrize("way", ["fork_raw", "clone_raw", "fork_safe", "clone_with"])
def test_a_child_made_by_clone_gets_its_own_recording(python, way, forks, run_shim):
    done = run_python(run_shim, python, PAST_FORK, forks, way)
    assert done.out == b"0\n" and len(done.recordings) == 2
    parent, child = sorted(done.recordings, key=lambda r: b"(forked)" in read("--check", r).out)
    assert calls([parent], "parents", "childs") == {"parents": 20000, "childs": 0}
    assert calls([child], "parents", "childs") == {"parents": 0, "childs": 20000}


@pytest.mark.skipif(FILTERED, reason="under a filter of system calls the process does not ask who it is")
def test_a_child_made_by_an_inline_system_call_is_noticed(python, forks, run_shim):
    """The child is noticed at its next slow path. Until then both write into the parent's ring."""
    done = run_python(run_shim, python, PAST_FORK, forks, "fork_inline")
    assert done.out == b"0\n" and len(done.recordings) == 2
    stats = [read_stats(r) for r in done.recordings]
    n = sum(v[1] for s in stats for f, v in s.items() if f[2] == "childs")
    assert abs(n - 20000) < 2100, n


# Endless forks


LOOP = """
    import os, sys, threading
    def f(x): return x
    def made(i):
        space = {}
        exec("def made_%d(): pass" % i, space)
        return space["made_%d" % i]
    def child(i, how):
        f(1)
        if how == "own functions": made(i % 7)()
        if how == "threads":
            t = threading.Thread(target=f, args=(2,)); t.start(); t.join()
        if how == "forks":
            pid = os.fork()
            if not pid: f(3); os._exit(0)
            os.waitpid(pid, 0)
    def main(n, how):
        for i in range(n):
            if how == "a parent that learns": made(i)()
            pid = os.fork()
            if not pid:
                child(i, how)
                if how == "killed": os.kill(os.getpid(), 9)
                os._exit(0)
            os.waitpid(pid, 0)
    main(int(sys.argv[1]), sys.argv[2])
    """
HOW = ["plain", "own functions", "threads", "forks", "a parent that learns", "killed"]


@pytest.mark.parametrize("how", HOW)
def test_a_fork_loop_leaves_few_files_with_all_calls(python, how, run_shim):
    n = 150
    done = run_python(run_shim, python, LOOP, n, how)
    assert len(done.recordings) <= 1 + 64 + 2, len(done.recordings)
    assert sum(r.stat().st_blocks * 512 for r in done.recordings) < 16 << 20
    more = {"threads": n, "forks": n}.get(how, 0)
    assert calls(done.recordings, "f", "child", "main") == {"f": n + more, "child": n, "main": 1}
    stats = read_stats(*done.recordings)
    if how == "own functions":
        got = {f[2]: v[1] for f, v in stats.items() if f[2].startswith("made_")}
        assert got == {"made_%d" % i: len(range(i, n, 7)) for i in range(7)}
    if how == "a parent that learns":
        assert sum(v[1] for f, v in stats.items() if f[2].startswith("made_")) == n
    # each is called by child(), in any of the files
    (f,) = [k for k in stats if k[2] == "f"]
    assert {c[2] for c in stats[f][4]} <= {"child", "run"}
    reported = sum(int(m) for text in [read("--check", r).out for r in done.recordings]
               for m in re.findall(rb"includes (\d+) forked process", text))
    assert reported == n * (2 if how == "forks" else 1) + 1 - len(done.recordings)


CHROOT = """
    import os, sys
    def f(): pass
    os.chroot(sys.argv[1]); os.chdir("/")
    for i in range(20000): f()
    pid = os.fork()
    if not pid:
        f()
        try: os.execve("/missing", ["missing"], {})
        except OSError: os._exit(7)
    print(os.waitpid(pid, 0)[1] >> 8)
    """


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can chroot")
def test_a_child_without_a_file_is_counted(python, run_shim, tmp_path):
    done = run_python(run_shim, python, CHROOT, tmp_path)
    assert (done.out, done.err) == (b"7\n", b"")
    assert calls_anyway(done.recording, "f") == 20000
    text = read("--check", "--strict", done.recording, status=3).out
    assert b"  1 forked child was not recorded: no file could be made for it\n" in text


def calls_anyway(recording, name):
    return sum(v[1] for f, v in read_stats(recording).items() if f[2] == name)
