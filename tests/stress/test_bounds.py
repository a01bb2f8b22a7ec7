# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many threads or functions, long runs, little space: everything is counted in bounded memory."""

import functools
import resource

import pytest

from integration import counts_only, read_stats
from rings import Rings
from stress import (ENGINES, LOST, PATIENCE, PROGRAMS, ROUNDS, SMALL, THREADS, Fixed,
                    assert_same, calls_of, check_conservation, preamble, running, said, scaled)


def size_of(recording):
    """Returns the allocated size of the file, without pages that were never written."""
    return recording.stat().st_blocks * 512


def run(folder, python, args, env=SMALL, look=size_of):
    """Runs a program to its end. Returns its profile and the result of `look` on its recording."""
    with running(Fixed, folder, python, args, env) as target:
        stats = target.finish()
        check_conservation(stats, exact=env.get("PYSHIM_CLOCK") == "count")
        return stats, look(target.recording)


@pytest.mark.parametrize("buffer", ["64K", "64M"])
def test_short_threads_reuse_rings(python, buffer, shim_dir):
    """A thread reuses the ring of an ended one, so many threads need the memory of a few."""
    n = scaled(2000, 10000)
    stats, (size, rings) = run(shim_dir / "threads", python, [PROGRAMS / "one_by_one.py", n, 10],
                               {"PYSHIM_BUFFER": buffer},
                               lambda recording: (size_of(recording), len(Rings(recording).offsets)))
    assert calls_of(stats, "leaf") == 10 * n
    assert calls_of(stats, "thread") == calls_of(stats, "one") == n
    # A thread reports its end a moment early, so the next one may sometimes begin before.
    assert rings <= 16
    # With 64M the file has the records only. Names of threads remain in both cases. Space is
    # reserved for four times as many names, and the same for the few rings.
    events = (64 << 10) if buffer == "64K" else n * 40 * 8
    more = max(0, rings - 4) * (96 << 10)
    assert size <= events + 4 * (200 * n + more) + (1 << 20), (size, rings)


@pytest.mark.parametrize("calls", [10, 3000])
def test_a_reused_ring_starts_a_new_thread_clock(python, calls, shim_dir):
    """A thread's clock starts at zero, even in a reused ring. A function has as many ticks as
    calls.
    """
    stats, size = run(shim_dir / "threads", python,
                      [PROGRAMS / "one_by_one.py", 40, calls], {**SMALL, "PYSHIM_CLOCK": "count"})
    (leaf,) = [v for f, v in stats.items() if f[2] == "leaf"]
    (thread,) = [v for f, v in stats.items() if f[2] == "thread"]
    assert round(leaf[2] * 1e9) == 40 * calls
    # Each event from call to return is a tick: two for leaf's calls, two for release's.
    assert round(thread[3] * 1e9) == 40 * (2 * calls + 2 + 1)


AT_ONCE = """\
import _thread, posix, sys, time
def leaf(): pass
def thread(calls, done):
    ready.append(done)
    with gate: pass
    for i in range(calls): leaf()
    done.release()
def main(threads, calls):
    held = [_thread.allocate_lock() for i in range(threads)]
    with gate:
        for done in held:
            done.acquire()
            _thread.start_new_thread(thread, (calls, done))
        while len(ready) < threads: time.sleep(0.001)
    for done in held: done.acquire()
ready, gate = [], _thread.allocate_lock()
main(int(sys.argv[1]), int(sys.argv[2]))
posix.write(1, b".")
posix.read(0, 1)
"""


def test_threads_at_once_need_two_blocks_and_a_table_each(python, shim_dir):
    """Each needs two blocks and a table, with any budget, and no more."""
    n = scaled(100, 1000)
    stats, size = run(shim_dir / "threads", python, ["-c", AT_ONCE, n, 3000])
    assert calls_of(stats, "leaf") == 3000 * n
    assert calls_of(stats, "thread") == n
    assert size <= n * (96 << 10) + (1 << 20), size


COMPILED = """\
import posix, sys
def leaf(): pass
def main(n, labels):
    for i in range(n):
        space = {"leaf": leaf}
        text = "def made%d(): leaf()\\nmade%d()" % (i % labels, i % labels)
        exec(compile(text, "<made>", "exec"), space)
        space.clear()
main(int(sys.argv[1]), int(sys.argv[2]))
posix.write(1, b".")
posix.read(0, 1)
"""


@pytest.mark.parametrize("labels", [1, 100])
def test_code_that_comes_and_goes_needs_bounded_memory(python, labels, shim_dir):
    n = scaled(10000, 1000000)
    stats, size = run(shim_dir / "code", python, ["-c", COMPILED, n, labels])
    made = {f: v for f, v in stats.items() if f[2].startswith("made")}
    assert len(made) == labels
    assert {v[1] for v in made.values()} == {n // labels}
    assert calls_of(stats, "leaf") == n
    assert stats[("<made>", 1, "<module>")][:2] == (n, n)
    assert size <= (2 << 20), size


LONG = """\
import posix, sys, time
def leaf(): pass
def branch(n):
    for i in range(n): leaf()
    return n
def main(seconds):
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end: n += branch(100)
    return n
n = main(float(sys.argv[1]))
posix.write(2, b"%d" % n)
posix.write(1, b".")
posix.read(0, 1)
"""


def test_long_runs_make_no_larger_file(python, shim_dir):
    """A run of ten times the length makes a file of the same size."""
    shortest = scaled(0.2, 60.0 if python in ENGINES else 6.0)
    sizes = []
    for times in (1, 10):
        with running(Fixed, shim_dir / "long", python, ["-c", LONG, shortest * times], SMALL) as target:
            assert target.is_done(shortest * times + PATIENCE)
            stats = target.finish(errors=None)
            check_conservation(stats)
            assert calls_of(stats, "leaf") == int(target.stderr())
            sizes.append(size_of(target.recording))
    assert sizes[1] == sizes[0], sizes


# A file that cannot grow


def limit_files(size):
    """Simulates a full file system for this process only."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("threads", [0, THREADS])
def test_too_little_space_for_the_buffer_loses_nothing(python, threads, shim_dir):
    """With less space than PYSHIM_BUFFER the buffer is smaller. It is folded, and nothing is lost.
    """
    args = [PROGRAMS / "fixed.py", 4 * ROUNDS * (1 + THREADS) // (1 + threads), threads]
    all_stats = []
    for size in (1 << 30, 6 << 20):
        with running(Fixed, shim_dir / "full", python, args, {"PYSHIM_CLOCK": "count"},
                     preexec_fn=functools.partial(limit_files, size)) as target:
            all_stats.append(target.finish())
            assert target.recording.stat().st_size <= size
    assert_same(counts_only(all_stats[1]), counts_only(all_stats[0]), "")


MANY = """\
import posix, sys
def many(n):
    functions = []
    for i in range(n):
        space = {}
        text = "def a_function_with_a_name_of_more_than_a_few_bytes_%d(): pass" % i
        exec(compile(text, "<made>", "exec"), space)
        functions.append(space.popitem()[1])
    for i in range(10):
        for f in functions: f()
many(4000)
posix.write(1, b".")
posix.read(0, 1)
"""


def test_lack_of_space_for_tables_is_counted(python, shim_dir):
    """There are more functions than space. The loss is counted by its cause."""
    texts, all_stats = [], []
    for size in (1 << 30, 1 << 20):
        with running(Fixed, shim_dir / "full", python, ["-c", MANY], SMALL,
                     preexec_fn=functools.partial(limit_files, size)) as target:
            target.let_end()
            assert target.stderr() == ""
            texts.append(preamble(target.recording))
            all_stats.append(target.read())
    whole, cut = all_stats
    text = texts[1]
    lost = said(text, r"^  (\d+) events lost: the file could not grow")
    assert lost == said(text, LOST) > 0, text
    assert sum(v[1] for v in whole.values()) - sum(v[1] for v in cut.values()) <= lost, text
    assert said(text, r"^  (\d+) functions without a name") <= len(whole), text
    assert " NO " not in text, text
    check_conservation(cut)


NAMELESS = """\
import os, posix, resource
def made(i, name="long" * 2000):
    space = {}
    exec(compile("def %s%d(): pass" % (name, i), "<made>", "exec"), space)
    return space.popitem()[1]
def many(functions, n=10):
    for i in range(n):
        for f in functions: f()
def fleeting():
    for i in range(1000, 1100): made(i)()
many([made(i, "short") for i in range(600)], 50)  # so that there are tables of all that comes
functions = [made(i) for i in range(200)]
many(functions)
fleeting()
if not posix.fork():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    many(functions)
    os._exit(0)
posix.waitpid(-1, 0)
"""


LIFTED = NAMELESS.partition("if not")[0] + """\
import time
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(0.01)
many([made(i, "lifted") for i in range(100)])
"""


def test_names_are_written_after_a_limit_is_lifted(python, run_shim):
    """Names are written after the limit is lifted."""
    limited = ["sh", "-c", 'ulimit -S -f 4096; exec "$@"', "sh", python.exe, "-S", "-c", LIFTED]
    done = run_shim(limited, env=SMALL)
    text = preamble(done.recording)
    assert said(text, LOST) == 0 and said(text, r"^  (\d+) functions without a name"), text
    made = [v[1] for f, v in read_stats(done.recording).items() if f[2].startswith("lifted")]
    assert made == [10] * 100


def test_functions_without_space_for_names_are_counted(python, run_shim):
    """Functions without space for a name share one entry, and each is counted once. Functions of a
    child with space have names.
    """
    limited = ["sh", "-c", 'ulimit -S -f 4096; exec "$@"', "sh", python.exe, "-S", "-c", NAMELESS]
    done = run_shim(limited, env=SMALL)  # 2 MiB
    assert len(done.recordings) == 2, done.recordings
    texts = [preamble(r) for r in done.recordings]
    assert [said(text, LOST) for text in texts] == [0, 0], texts
    unnamed = [said(text, r"^  (\d+) functions without a name") for text in texts]
    stats = [read_stats(r) for r in done.recordings]
    made = [[v[1] for f, v in s.items() if f[2].startswith("long")] for s in stats]
    others = calls_of(stats[0], "<all further functions>")
    assert 0 < len(made[0]) < 200 and set(made[0]) == {10}
    nameless = 200 - len(made[0])
    assert unnamed == [nameless + 100, 0], made
    assert others == 10 * nameless + 100, made
    assert made[1] == [10] * 200
