# SPDX-License-Identifier: LGPL-2.1-or-later
"""What pyshim-read shows on a terminal while it works, what it never shows there, and readers that
close the pipe."""

import os
import pty
import re
import resource
import subprocess
import time
import tty

import pytest

from conftest import PYTHONS, READER, SHIM, _environment, read, run_bare

LINE = rb"\rpyshim-read: (\d+) of (\d+) MiB read"
ERASED = b"\r\x1b[K"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Of 50 MiB and more."""
    folder = tmp_path_factory.mktemp("terminal")
    done = run_bare([PYTHONS[0].exe, "-c", "def f(): pass\nfor i in range(3500000): f()"],
                    env={"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    assert done.status == 0, done.err
    found, = folder.iterdir()
    assert found.stat().st_size > 50 << 20
    return found


@pytest.fixture(scope="module")
def long_work(recording):
    """Arguments that keep a processor busy for three seconds, or two when it is faster by then."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    read("-f", "pstats", "-o", "/dev/null", *[recording] * 5)
    once = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) / 5
    return ["-r", "5"] + [str(recording)] * (1 + int(3 / max(once, 0.003)))


@pytest.fixture(scope="module")
def report(long_work):
    done = read(*long_work)
    assert done.err == b""  # which is no terminal
    return done.out


def on_terminal(args, *, out=None, **env):
    """Runs a command in the foreground of a terminal -> what that showed, and when first."""
    pid, fd = pty.fork()
    if pid == 0:
        tty.setraw(1)  # the bytes as they are
        os.write(1, b"!")
        if out:
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execve(args[0], list(map(str, args)), _environment({"TERM": "xterm-256color", **env}))
    shown, began, first = b"", None, None
    try:
        while data := os.read(fd, 65536):
            if began is None:
                assert data[:1] == b"!"
                began, data = time.monotonic(), data[1:]
            if data and first is None:
                first = time.monotonic() - began
            shown += data
    except OSError:  # the other side is closed
        pass
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown, first


def test_long_work_is_shown(long_work, report, tmp_path):
    """After a second, with numbers that grow; and nothing of it is left when the report comes."""
    for out in None, tmp_path / "out":
        shown, first = on_terminal([READER, *long_work], out=out)
        lines = re.match(b"(%s)+" % LINE, shown)[0]
        rest = shown[len(lines):]
        assert rest == ERASED + (b"" if out else report)
        assert not out or out.read_bytes() == report
        done, total = zip(*((int(a), int(b)) for a, b in re.findall(LINE, lines)))
        assert first > 0.9 and len(done) >= 3
        assert list(done) == sorted(done) and 0 < done[0] < done[-1] < total[0]
        n, one = len(long_work) - 2, os.stat(long_work[-1]).st_size / (1 << 20)
        assert set(total) == {round(n * one)}
        assert set(done) - {round(i * one) for i in range(n)}  # not only when a file is done


def test_short_work_is_not(recording):
    assert on_terminal([READER, recording])[0] == read(recording).out


def test_quiet(long_work, report):
    shown, _ = on_terminal([READER, "-q", *long_work])
    assert report.endswith(b"\n\n" + shown) and b"percall" in shown


def test_in_the_background(long_work, report, tmp_path):
    """The terminal is another program's."""
    command = "'%s' %s >%s & wait" % (READER, " ".join(long_work), tmp_path / "out")
    shown, _ = on_terminal(["/bin/bash", "-m", "-c", command])
    assert b"MiB" not in shown
    assert (tmp_path / "out").read_bytes() == report


def test_progress_of_a_failure(long_work):
    """The line is erased before the one that says what is wrong."""
    args = [*long_work[:3], "nothing", *long_work[3:]]  # the second one is read last
    shown, _ = on_terminal(["/bin/sh", "-c", '"$@"; test $? = 1', "sh", READER, *args])
    assert re.fullmatch(b"(%s)+%spyshim-read: open nothing: .*\n" % (LINE, re.escape(ERASED)),
                        shown), shown[-200:]


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"NO_COLOR": ""},
                                 {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}], ids=str)
def test_no_colours(recording, env):
    for args in ["-r", "5"], ["--callers"], ["--check"], ["-f", "json"], ["--help"]:
        shown, _ = on_terminal([READER, *args, recording], **env)
        assert shown == read(*args, recording).out and b"\x1b" not in shown


# A closed pipe


@pytest.mark.parametrize("args", [
    (), ("--callers",), ("--callees",), ("--check",), ("-f", "json"), ("-f", "pstats"),
    ("--threads",), ("-o", "/dev/stdout"), ("--list",), ("--help",)], ids=" ".join)
def test_closed_pipe(recording, args):
    """Before the first byte, and behind it: no word, and no failure."""
    r, w = os.pipe()
    os.close(r)
    done = subprocess.run([READER, *args, recording], stdout=w, stderr=subprocess.PIPE)
    os.close(w)
    assert (done.returncode, done.stderr) == (0, b"")


def test_pipe_that_is_closed_on_the_way(recording, tmp_path):
    """More than the pipe holds is still to come."""
    read("-o", tmp_path / "p", recording)
    args = [READER, "-f", "json", "--each", *[tmp_path / "p"] * 2000]
    child = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.read(100).startswith(b"{")
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (b"", 0)
    child.stderr.close()
