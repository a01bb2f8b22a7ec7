# SPDX-License-Identifier: LGPL-2.1-or-later
"""Much of something, or for long, or with little space: all of it counts, in bounded memory."""

import functools
import resource

import pytest

from integration import counts_only, read_stats
from rings import Rings
from stress import (ENGINES, LOST, PATIENCE, PROGRAMS, ROUNDS, SMALL, THREADS, Fixed,
                    assert_same, calls_of, check_conservation, preamble, running, said, scaled)


def size_of(recording):
    """What the file takes; it is longer, but pages that nobody has touched take nothing."""
    return recording.stat().st_blocks * 512


def run(folder, python, args, env=SMALL, look=size_of):
    """Runs a program to its end -> its profile and what `look` says of its recording."""
    with running(Fixed, folder, python, args, env) as target:
        stats = target.finish()
        check_conservation(stats, exact=env.get("PYSHIM_CLOCK") == "count")
        return stats, look(target.recording)


@pytest.mark.parametrize("buffer", ["64K", "64M"])
def test_short_threads(python, buffer, shim_dir):
    """A thread goes on in the ring of one that has ended: many threads need the memory of a few."""
    n = scaled(2000, 10000)
    stats, (size, rings) = run(shim_dir / "threads", python, [PROGRAMS / "one_by_one.py", n, 10],
                               {"PYSHIM_BUFFER": buffer},
                               lambda recording: (size_of(recording), len(Rings(recording).offsets)))
    assert calls_of(stats, "leaf") == 10 * n
    assert calls_of(stats, "thread") == calls_of(stats, "one") == n
    # A thread says that it is done a moment before it ends: the next has begun by then, now and then.
    assert rings <= 16
    # What is recorded is all there is with 64M; names of threads remain in either case, and space
    # is reserved for them to become four times as many. So it is for rings, of which four are few.
    events = (64 << 10) if buffer == "64K" else n * 40 * 8
    more = max(0, rings - 4) * (96 << 10)
    assert size <= events + 4 * (200 * n + more) + (1 << 20), (size, rings)


@pytest.mark.parametrize("calls", [10, 3000])
def test_times_in_a_used_ring(python, calls, shim_dir):
    """A clock of the thread's own begins anew in each thread, also where a ring is used again: a
    function that makes so many calls takes so many ticks."""
    stats, size = run(shim_dir / "threads", python,
                      [PROGRAMS / "one_by_one.py", 40, calls], {**SMALL, "PYSHIM_CLOCK": "count"})
    (leaf,) = [v for f, v in stats.items() if f[2] == "leaf"]
    (thread,) = [v for f, v in stats.items() if f[2] == "thread"]
    assert round(leaf[2] * 1e9) == 40 * calls
    # A tick for each event from its call to its return: of leaf's two each, of release's two.
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


def test_many_threads_at_once(python, shim_dir):
    """Each needs two blocks and a table, whatever the budget says; no more than that."""
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
def test_code_that_comes_and_goes(python, labels, shim_dir):
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


def test_long_runs(python, shim_dir):
    """Ten times as long, as large a file."""
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
    """What a full file system is to the shim, for this process alone."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("threads", [0, THREADS])
def test_no_space_for_the_buffer(python, threads, shim_dir):
    """Less space than PYSHIM_BUFFER is a smaller buffer: it is folded, and nothing is lost."""
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


def test_no_space_for_tables(python, shim_dir):
    """More functions than there is space for: what is lost is counted, by its cause."""
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


def test_space_for_names_when_a_limit_is_lifted(python, run_shim):
    limited = ["sh", "-c", 'ulimit -S -f 4096; exec "$@"', "sh", python.exe, "-S", "-c", LIFTED]
    done = run_shim(limited, env=SMALL)
    text = preamble(done.recording)
    assert said(text, LOST) == 0 and said(text, r"^  (\d+) functions without a name"), text
    made = [v[1] for f, v in read_stats(done.recording).items() if f[2].startswith("lifted")]
    assert made == [10] * 100


def test_no_space_for_names(python, run_shim):
    """Functions for which none is left are one, and counted, each once; those of a child that has space have names."""
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
