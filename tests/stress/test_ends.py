# SPDX-License-Identifier: LGPL-2.1-or-later
"""All ways to end, and process trees: every call of every process is recorded, with its name.
Output and status are the same as without the shim.
"""

import collections
import os
import re

import pytest

from integration import run_bare
from stress import (HERE, PATIENCE, PROGRAMS, SMALL, Counted, calls_of, check_conservation,
                    check_counted, preamble, read_strictly, running, said)

# Way to end: the calls of leaf() in each recording, and true if frames are open at the end.
ENDS = {
    "return_": ([1000], False),
    "sys_exit": ([1000], False),
    "sys_exit_in_a_thread": ([1000], False),
    "uncaught": ([1000], False),
    "uncaught_from_deep_within": ([1000], False),
    "runaway": ([1000], False),
    "os__exit": ([1000], True),
    "os__exit_in_a_thread": ([1000], True),
    "sigterm": ([1000], True),
    "sigterm_handled": ([1000], False),
    "sigint": ([1000], False),
    "sigkill": ([1000], True),
    "sigsegv": ([1000], True),
    "abort": ([1000], True),
    "execv": ([1000, 1000], True),
    "execv_in_a_thread": ([1000, 1000], True),
    "execv_something_else": ([1000], True),
    "daemons": ([1000], None),  # the interpreter ends some of them
    "non_daemons": ([5000], False),
    "atexit_": ([2000], False),
    "atexit_that_exits": ([1000], False),
}


@pytest.mark.parametrize("how", ENDS)
def test_every_way_to_end_keeps_all_calls(python, how, run_shim, shim_dir, tmp_path):
    args = [python.exe, "-S", PROGRAMS / "ends.py", how]
    bare = run_bare(args)
    done = run_shim(args, status=bare.status)
    assert (done.out, done.err) == (bare.out, bare.err)
    calls, has_open = ENDS[how]
    assert len(done.recordings) == len(calls), done.recordings
    for path, n in zip(done.recordings, calls):
        stats = read_strictly(path, out=tmp_path / "stats")
        assert calls_of(stats, "leaf") == n, path
        assert calls_of(stats, how) >= (path == done.recordings[0])
    text = preamble(done.recordings[0])
    found = bool(said(text, r"^  (\d+) calls? w(?:as|ere) running at the end"))
    assert has_open in (found, None), text
    if has_open is None:  # four threads with four calls each, open at the end of the recording or of their thread
        ended = re.search(r"(\d+) ran at the end, (\d+) ended at a blind interval, a pause or the end of "
                          r"their thread", text)
        assert int(ended[1]) + int(ended[2]) >= 16, text
    if len(calls) > 1:
        stats = read_strictly(*done.recordings, out=tmp_path / "stats")
        assert calls_of(stats, "leaf") == sum(calls)


def test_daemon_threads_at_finalization_keep_all_calls(python, shim_dir):
    """Threads are in the middle of calls, generators and exceptions when the interpreter is
    finalized.
    """
    for n in range(3):
        with running(Counted, shim_dir / ("daemons-%s-%d" % (python.tag, n)), python, "daemons",
                     SMALL) as target:
            assert target.process.wait(PATIENCE) == 0
            assert target.stderr() == ""
            check_counted(read_strictly(target.recording), target.words)


def libpython(python):
    probe = ("import sys, sysconfig; v = sysconfig.get_config_var; print(sys.base_prefix);"
             " print('%s/libpython%s.so' % (v('LIBDIR'), v('LDVERSION')))")
    prefix, library = run_bare([python.exe, "-I", "-c", probe]).out.decode().splitlines()
    return prefix, library


@pytest.fixture(scope="session")
def rounds(tmp_path_factory):
    program = tmp_path_factory.mktemp("c") / "rounds"
    done = run_bare(["cc", "-O1", "-Wall", HERE / "c" / "rounds.c", "-o", program, "-ldl"])
    assert done.status == 0, done.err.decode()
    return program


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_reinitialized_interpreter_keeps_all_calls(python, n, rounds, run_shim, tmp_path):
    prefix, library = libpython(python)
    if not os.path.exists(library):
        pytest.skip("%s has no shared libpython" % python.tag)
    source = "def leaf(): pass\ndef branch(n):\n for i in range(n): leaf()\nbranch(3000)\n"
    args = [rounds, library, n, source, "branch(100)"]
    env = {"PYTHONHOME": prefix, **SMALL}
    bare = run_bare(args, env=env)
    done = run_shim(args, env=env, status=0)
    assert (bare.status, done.out, done.err) == (0, bare.out, bare.err)
    stats = read_strictly(done.recording, out=tmp_path / "stats")
    check_conservation(stats)
    assert calls_of(stats, "leaf") == 3100 * n
    assert calls_of(stats, "branch") == 2 * n


TREES = re.findall(r"^def (\w+)\(\):", (PROGRAMS / "trees.py").read_text(), re.M)
TREES.remove("leaf")


@pytest.mark.parametrize("how", TREES)
def test_every_process_of_a_tree_keeps_all_calls(python, how, run_shim, tmp_path):
    """The calls are separated by process and added up. Each process has its parent and its command.
    """
    args = [python.exe, "-S", "-W", "ignore", PROGRAMS / "trees.py", how]
    done = run_shim(args, env=SMALL)
    assert done.err == b""
    lines = [tuple(map(int, line.split())) for line in done.out.splitlines()]
    by_pid, calls = collections.defaultdict(list), collections.Counter()
    for path in done.recordings:
        by_pid[int(path.name.split(".")[1])].append(path)
    for pid, parent, n in lines:
        calls[pid] += n
    for pid, parent, n in lines:
        stats = read_strictly(*by_pid[pid], out=tmp_path / "stats")
        assert calls_of(stats, "leaf") == calls[pid], (pid, parent, n)
        text = preamble(by_pid[pid][-1])
        assert "process %d" % pid in text, text
        # The parent of a daemon may end before or after the daemon reads its PID.
        assert said(text, r", child of (\d+)") == parent or how.startswith("daemon"), text
        assert "  command: %s -S " % python.exe in text or "multiprocessing" in text, text
    # Processes that print nothing, such as helpers of multiprocessing, call none of our functions.
    assert calls_of(read_strictly(*done.recordings, out=tmp_path / "stats"), "leaf") == sum(calls.values())
