# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyshim-read on a terminal: progress while it works, no colours, page-sized reports, and closed
pipes.
"""

import fcntl
import marshal
import os
import pty
import re
import resource
import select
import struct
import subprocess
import termios
import time
import tty

import pytest

from conftest import PYTHONS, READER, SHIM, _environment, read, run_bare

LINE = rb"\rpyshim-read: (\d+) of (\d+) MiB read"
ERASED = b"\r\x1b[K"


def stored(path):
    """Returns the number of bytes without holes."""
    found = os.stat(path)
    return min(found.st_size, found.st_blocks * 512)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording of at least 50 MiB."""
    folder = tmp_path_factory.mktemp("terminal")
    done = run_bare([PYTHONS[0].exe, "-c", "def f(): pass\nfor i in range(3500000): f()"],
                    env={"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    assert done.status == 0, done.err
    found, = folder.iterdir()
    assert stored(found) > 50 << 20
    return found


@pytest.fixture(scope="module")
def long_work(recording):
    """Returns arguments that take three seconds of CPU time, or at least two on a processor that
    speeds up.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    read("-f", "pstats", "-o", "/dev/null", *[recording] * 5)
    once = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) / 5
    return ["-r", "5"] + [str(recording)] * (1 + int(3 / max(once, 0.003)))


@pytest.fixture(scope="module")
def report(long_work):
    done = read(*long_work)
    assert done.err == b""  # which is not a terminal
    return done.out


def lead_session(command, out, size, env, report, release):
    """The first process of the terminal: runs the command, reports its status, and stays until all
    has been read. When it ends the kernel hangs the terminal up, and unread output may be lost.
    """
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
    tty.setraw(1)  # unchanged bytes
    os.write(1, b"!")
    pid = os.fork()
    if pid == 0:
        if out:
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execve(command[0], command, env)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(report, bytes([status & 0xff]))
    os.read(release, 1)
    os._exit(0)


def on_terminal(args, *, out=None, size=(0, 0), **env):
    """Runs a command in the foreground of a terminal with this many lines and columns (0: unknown).
    Returns its output and the time of the first output.
    """
    reported, report = os.pipe()
    released, release = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        try:
            lead_session(list(map(str, args)), out, size,
                         _environment({"TERM": "xterm-256color", **env}), report, released)
        finally:
            os._exit(1)
    os.close(report)
    shown, began, first, status = b"", None, None, None
    while True:
        ready = select.select([fd] + [reported] * (status is None), [], [], 0.05)[0]
        if fd in ready:
            data = os.read(fd, 65536)
            if began is None:
                assert data[:1] == b"!"
                began, data = time.monotonic(), data[1:]
            if data and first is None:
                first = time.monotonic() - began
            shown += data
        elif ready:
            status = os.read(reported, 1)
        elif status is not None:
            break
    for end in release, released, reported, fd:
        os.close(end)
    os.waitpid(pid, 0)
    assert status == b"\0", (status, shown)
    return shown, first


def report_on_terminal(args, **options):
    """Returns the final output. A machine that stalls for a second shows progress first."""
    return re.sub(b"(%s)+%s" % (LINE, re.escape(ERASED)), b"", on_terminal(args, **options)[0])


def test_long_work_shows_progress(long_work, report, tmp_path):
    """Progress appears after a second, its numbers grow, and it is erased before the report."""
    for out in None, tmp_path / "out":
        shown, first = on_terminal([READER, *long_work], out=out)
        lines = re.match(b"(%s)+" % LINE, shown)[0]
        rest = shown[len(lines):]
        assert rest == ERASED + (b"" if out else report)
        assert not out or out.read_bytes() == report
        done, total = zip(*((int(a), int(b)) for a, b in re.findall(LINE, lines)))
        assert first > 0.9 and len(done) >= 3
        assert list(done) == sorted(done) and 0 < done[0] < done[-1] < total[0]
        n, one = len(long_work) - 2, stored(long_work[-1]) / (1 << 20)
        assert set(total) == {round(n * one)}
        assert set(done) - {round(i * one) for i in range(n)}  # also in the middle of a file


def test_short_work_shows_no_progress(recording):
    expected = read(recording).out
    # Tries several times, because a machine may stall for a second.
    assert any(on_terminal([READER, recording])[0] == expected for _ in range(3))


def test_quiet_shows_no_progress(long_work, report):
    shown, _ = on_terminal([READER, "-q", *long_work])
    assert report.endswith(b"\n\n" + shown) and b"percall" in shown


def test_a_background_job_shows_no_progress(long_work, report, tmp_path):
    """Another program uses the terminal."""
    command = "'%s' %s >%s & wait" % (READER, " ".join(long_work), tmp_path / "out")
    shown, _ = on_terminal(["/bin/bash", "-m", "-c", command])
    assert b"MiB" not in shown
    assert (tmp_path / "out").read_bytes() == report


def test_progress_is_erased_before_an_error(long_work):
    """The progress line is erased before the error."""
    args = [*long_work[:3], "nothing", *long_work[3:]]  # the second source is read last
    shown, _ = on_terminal(["/bin/sh", "-c", '"$@"; test $? = 1', "sh", READER, *args])
    assert re.fullmatch(b"(%s)+%spyshim-read: open nothing: .*\n" % (LINE, re.escape(ERASED)),
                        shown), shown[-200:]


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"NO_COLOR": ""},
                                 {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}], ids=str)
def test_output_has_no_colours(recording, env):
    for args in ["-r", "5"], ["--callers"], ["--check"], ["-f", "json"], ["--help"]:
        shown = report_on_terminal([READER, *args, recording], **env)
        assert shown == read(*args, recording).out and b"\x1b" not in shown


# Page-sized reports


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A pstats file of 200 functions, some with long names, each called by the two before it."""
    stats = {}
    for i in range(200):
        name = "f%03d" % i + "x" * (100 if i % 7 == 3 else 0)
        key = ("/folder/file%d.py" % (i % 3), i, name)
        callers = {k: (1, 1, 0.5, 0.5) for k in list(stats)[-2:]}
        stats[key] = (i + 1, i + 1, 1.0 / (i + 1), 300.0 - i, callers)
    path = tmp_path_factory.mktemp("many") / "many.pstats"
    path.write_bytes(marshal.dumps(stats))
    return path


def lines_on(columns, text):
    """Returns the number of terminal lines that a text takes."""
    return sum(max(1, -(-len(line) // columns)) for line in text.split(b"\n")[:-1])


@pytest.mark.parametrize("size", [(24, 80), (24, 200), (50, 60), (18, 300)], ids=str)
@pytest.mark.parametrize("options", [(), ("-q",), ("--callers",), ("-q", "--callees"),
                                     ("--exceptions",), ("--reverse", "-s", "name")], ids=" ".join)
def test_a_long_table_is_cut_to_the_window(many, options, size):
    """The first rows are printed, as many as fit, and a line with the number of the others."""
    whole = read(*options, many).out
    shown = report_on_terminal([READER, *options, many], size=size)
    assert lines_on(size[1], shown) < size[0]
    match = re.fullmatch(rb"(.*\n)   (\d+ more rows: -r \. lists all(?:, -r \d+ the first \d+)?)"
                         rb"\n\n\n", shown, flags=re.S)
    assert match, shown
    body, rest = match.groups()
    assert whole.startswith(body)
    pattern = rb"(?m)^.*\(f\d+x*\) *(?:->|<-)" if b"Function" in whole else rb"(?m)^ +\d.*\(f\d+x*\)$"
    n = len(re.findall(pattern, body))
    assert n >= 1 and n + int(rest.split()[0]) == len(re.findall(pattern, whole)) == 200
    # One more row would not fit.
    following = whole[len(body):].split(b"\n")
    height = next((i for i, line in enumerate(following[1:], 1) if re.match(pattern, line)), 1)
    more = b"".join(line + b"\n" for line in following[:height])
    assert lines_on(size[1], shown + more) >= size[0]


@pytest.mark.parametrize("options, size", [
    (("-r", "."), (24, 80)), (("-r", "50"), (24, 80)), (("-r", "file1", "--callers"), (24, 80)),
    ((), (0, 0)), ((), (500, 200)), (("-f", "json"), (24, 80))], ids=str)
def test_a_table_that_fits_or_was_restricted_is_complete(many, options, size):
    assert report_on_terminal([READER, *options, many], size=size) == read(*options, many).out


def test_a_small_window_shows_a_page_of_the_table(many):
    """If the preamble alone fills the window, the table gets a page of its own."""
    shown = report_on_terminal([READER, many], size=(10, 300))
    assert lines_on(300, shown.split(b"\n\n", 1)[1]) < 10 and b" more rows: -r . " in shown


def test_a_window_of_one_row_shows_one_row(tmp_path):
    stats = {("f.py", i, "f" + "x" * 300): (1, 1, 0.0, 0.0, {}) for i in range(2)}
    path = tmp_path / "long.pstats"
    path.write_bytes(marshal.dumps(stats))
    shown = report_on_terminal([READER, path], size=(12, 40))
    assert b"   1 more row: -r . lists it\n\n\n" in shown


def test_output_to_files_is_complete(many, tmp_path):
    out = tmp_path / "out"
    shown = report_on_terminal([READER, many], out=out, size=(24, 80))
    assert shown == b"" and out.read_bytes() == read(many).out
    assert report_on_terminal([READER, "-f", "text", "-o", out, many], size=(24, 80)) == b""
    assert out.read_bytes() == read(many).out


# Names with terminal controls


ODD = ["esc\x1b]0;title\x07", "line\nfeed", "tab\tcr\r", "nul\0del\x7f", "csi\x9b31m", "caf\u00e9 \u20ac",
       "back\\x1b", "\x80\x9f"]


@pytest.mark.parametrize("options", [(), ("--callers",), ("--callees",)], ids=str)
def test_control_characters_are_escaped_on_a_terminal(options, tmp_path):
    """They are escaped on a terminal only. Other output has the bytes of pstats. Columns stay
    aligned.
    """
    stats = {("~", 0, "<top>"): (1, 1, 1.0, 1.0, {})}
    for i, name in enumerate(ODD):
        stats["/x/%s.py" % name, i, name] = (1, 1, 1.0, 1.0, {("~", 0, "<top>"): (1, 1, 1.0, 1.0)})
    path = tmp_path / "odd.pstats"
    path.write_bytes(marshal.dumps(stats))
    shown = report_on_terminal([READER, "-q", *options, path]).decode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    for name in ODD:
        escaped = "".join(repr(c)[1:-1] if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in name)
        assert "(%s)" % escaped in shown and shown.count("/x/%s.py:" % escaped) >= 1, escaped
    piped = read("-q", *options, path).out.decode()
    assert all("(%s)" % name in piped for name in ODD)
    if options:
        arrows = [m.start() for line in shown.split("\n") if (m := re.search("->|<-", line))]
        assert len(set(arrows)) == 1


# A closed pipe


@pytest.mark.parametrize("args", [
    (), ("--callers",), ("--callees",), ("--check",), ("-f", "json"), ("-f", "pstats"),
    ("--threads",), ("-o", "/dev/stdout"), ("--list",), ("--help",)], ids=" ".join)
def test_a_closed_pipe_is_quiet(recording, args):
    """The pipe is closed before or after the first byte. There is no message and no failure."""
    r, w = os.pipe()
    os.close(r)
    done = subprocess.run([READER, *args, recording], stdout=w, stderr=subprocess.PIPE)
    os.close(w)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_closed_during_output_is_quiet(recording, tmp_path):
    """More than the pipe holds is still to be written."""
    read("-o", tmp_path / "p", recording)
    args = [READER, "-f", "json", "--each", *[tmp_path / "p"] * 2000]
    child = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout.read(100).startswith(b"{")
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (b"", 0)
    child.stderr.close()
