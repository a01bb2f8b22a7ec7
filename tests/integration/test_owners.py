# SPDX-License-Identifier: LGPL-2.1-or-later
"""Detecting whether the process of a recording still runs: in other PID namespaces, after execve,
without /proc, and for incomplete files. A recording that may be in use is not renamed, reported as
ended, or removed.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import FILTERED, MEMORY, PYTHONS, READER, SHIM, _environment, patch, run_bare

PYTHON = PYTHONS[-1].exe  # for tests that do not depend on the version
OWN_PROC = ("unshare", "-p", "-f", "--mount-proc")
PROC_OF_PARENT = ("unshare", "-p", "-f")
IN_FIRST_NAMESPACE = os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC  # the mount that has all processes
NO_PROC = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def can(command):
    return subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0


needs_namespaces = pytest.mark.skipif(
    not shutil.which("unshare") or not can(OWN_PROC) or not can(NO_PROC), reason="namespaces are refused here")

# Without a rename, an earlier program keeps the plain name, unmarked.
unfiltered = pytest.mark.skipif(FILTERED, reason="under a filter of system calls no recording is renamed")

# Many functions make the file grow after the start, which needs its name.
GROWS = """\
import sys
def known(n): return n
known(0)
print("ready", flush=True)
sys.stdin.readline()
space = {}
for i in range(3000): exec("def a_function_with_a_long_name_%d(): pass" % i, space)
for i in range(3000): space["a_function_with_a_long_name_%d" % i]()
for i in range(99999): known(i)
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder():
    where = Path(tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY))
    yield where
    shutil.rmtree(where, ignore_errors=True)


class Target:
    """A recorded Python process that waits for lines."""

    def __init__(self, folder, python, code, around=()):
        env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
        self.process = subprocess.Popen([*around, python, "-c", code], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        assert self.line() == "ready"

    def line(self):
        return self.process.stdout.readline().decode().strip()

    def go_on(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def ask(folder, *args, around=(), status=0):
    done = run_bare([*around, READER, *args], env={"PYSHIM_DIR": str(folder)})
    assert done.status == status, (done.out, done.err)
    return done.out.decode()


def states(folder, around=()):
    """Returns {name: state} as printed by --list."""
    lines = ask(folder, "--list", around=around).splitlines()[1:]
    found = [re.match(r" *\d+  (before execve|\w+) +\d+K  \S*/(pyprof\S+)", line) for line in lines]
    return {m[2]: m[1] for m in found if m}


def calls(path, name="known"):
    found = re.search(r"^ *(\d+)\S* .*\(%s\)$" % name, ask(path.parent, "-r", r"\(%s\)" % name, path), flags=re.M)
    return int(found[1]) if found else 0


# PID namespaces


@needs_namespaces
@pytest.mark.parametrize("around", [OWN_PROC, PROC_OF_PARENT, NO_PROC], ids=["own /proc", "parent's /proc", "none"])
def test_two_processes_with_one_pid_are_both_recorded(python, folder, around):
    """Each keeps its file and its name, and all of it is recorded."""
    around = around if around is not NO_PROC else (*PROC_OF_PARENT, *NO_PROC)
    with Target(folder, python.exe, GROWS, around) as a:
        first = (folder / "pyprof.1").stat().st_ino
        with Target(folder, python.exe, GROWS, around) as b:
            assert {p.name for p in folder.iterdir()} == {"pyprof.1", "pyprof.1.1"}
            for target in a, b:
                target.go_on()
                assert target.line() == "done"
            assert (folder / "pyprof.1").stat().st_ino == first
            assert states(folder) == {"pyprof.1": "running", "pyprof.1.1": "running"}
            assert ask(folder, "--clean") == "" and ask(folder, "--clean", "--force") == ""
    for name in "pyprof.1", "pyprof.1.1":
        assert calls(folder / name) == 100000
        assert ", still running" not in ask(folder, folder / name)
    # Without a start time, or from another namespace, only a user who may see all processes knows.
    if around[-1] == "sh" or not IN_FIRST_NAMESPACE:
        assert set(states(folder).values()) <= {"ended", "unknown"}
        assert ask(folder, "--clean", "--force").count("removed ") == 2
    else:
        assert set(states(folder).values()) == {"ended"}
        assert ask(folder, "--clean").count("removed ") == 2
    assert not list(folder.iterdir())


@needs_namespaces
def test_a_process_in_another_namespace_is_unknown_and_stays(folder):
    """The reader is in a sibling namespace or in another one. With --force the recording is
    removed, because its state cannot be determined.
    """
    with Target(folder, PYTHON, GROWS) as target:
        (path,) = folder.iterdir()
        for around in OWN_PROC, NO_PROC:
            assert states(folder, around) == {path.name: "unknown"}
            assert "1 of processes that cannot be seen from here" in ask(folder, "--clean", around=around)
            assert path.exists()
            assert "perhaps still running" in ask(folder, path, around=around)
            done = run_bare([*around, READER, "--wait", path])
            assert (done.status, done.out) == (1, b"")
            assert b"wait for " in done.err and b"cannot be seen from here" in done.err
        assert states(folder) == {path.name: "running"}
        target.go_on()
        assert target.line() == "done"
        assert "removed " in ask(folder, "--clean", "--force", around=OWN_PROC)


@needs_namespaces
def test_wait_works_from_the_parent_namespace(folder):
    """The reader sees processes of child namespaces and waits for their end."""
    with Target(folder, PYTHON, GROWS, OWN_PROC) as target:
        reader = subprocess.Popen([READER, "--wait", "-r", "known", folder / "pyprof.1"], stdout=subprocess.PIPE)
        time.sleep(0.3)
        assert reader.poll() is None
        target.go_on()
        assert target.line() == "done"
        assert reader.poll() is None
        target.end()
        assert re.search(rb"^ *100000 ", reader.communicate(timeout=60)[0], flags=re.M)


@needs_namespaces
def test_a_restarted_container_may_use_the_same_pid(folder):
    """Each start is a new namespace, and its process takes no other recording for an earlier
    program of its own.
    """
    for i in range(3):
        with Target(folder, PYTHON, GROWS, OWN_PROC) as target:
            target.go_on()
            assert target.line() == "done"
            others = {"pyprof.1"} | {"pyprof.1.%d" % n for n in range(1, i + 1)}
            assert set(states(folder)) == others
            assert list(states(folder).values()).count("running") == 1
    assert {calls(p) for p in folder.iterdir()} == {100000}


def test_a_recording_of_another_boot_has_ended(folder, abi):
    with Target(folder, PYTHON, GROWS):
        (path,) = folder.iterdir()
        patch(path, abi["header.boot_id"], b"x" * 36)
        assert states(folder) == {path.name: "ended"}
        assert ask(folder, "--clean") == ""  # but a process has it mapped
        shutil.copy(path, folder / "pyprof.1")
        assert ask(folder, "--clean") == "removed %s/pyprof.1\n" % folder


def test_a_process_whose_main_thread_ended_is_running(folder):
    """/proc shows the process as a zombie, but its threads continue."""
    code = ("import ctypes, sys, threading, time\n"
            "def known(n): return n\n"
            "def work():\n"
            " print('ready', flush=True)\n"
            " sys.stdin.readline()\n"
            " for i in range(100000): known(i)\n"
            " print('done', flush=True)\n"
            " sys.stdin.readline()\n"
            "threading.Thread(target=work).start()\n"
            "ctypes.CDLL(None).syscall(60, 0)\n")  # exit of this thread only
    with Target(folder, PYTHON, code) as target:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and ") Z" not in Path("/proc/%d/stat" % target.process.pid).read_text():
            time.sleep(0.01)
        (path,) = folder.iterdir()
        assert states(folder) == {path.name: "running"}
        assert ask(folder, "--clean") == "" and path.exists()
        target.go_on()
        assert target.line() == "done"


def test_a_copy_is_not_listed_as_running(folder):
    """The copy's header names a running process, which does not have this file."""
    with Target(folder, PYTHON, GROWS):
        (path,) = folder.iterdir()
        copy = folder / "pyprof.77"
        shutil.copy(path, copy)
        assert states(folder) == {path.name: "running", copy.name: "ended"}
        assert ask(folder, "--clean") == "removed %s\n" % copy and path.exists()
        assert run_bare([READER, "--wait", "-q", copy], timeout=20).status == 1  # removed without waiting


# execve


def execs(folder, python, n, script):
    script.write_text("import os, sys\ndef known(n): return n\nleft = int(sys.argv[1])\nknown(left)\n"
                      "if left: os.execv(sys.executable, [sys.executable, '-S', sys.argv[0], str(left - 1)])\n"
                      "print('ready', flush=True)\nsys.stdin.readline()\n")
    code = ("import os, sys\ndef known(n): return n\nknown(0)\n"
            "os.execv(sys.executable, [sys.executable, '-S', %r, %r])" % (str(script), str(n - 1)))
    return Target(folder, python, code)


@unfiltered
def test_after_execve_the_running_program_has_the_plain_name(python, folder, tmp_path):
    with execs(folder, python.exe, 2, tmp_path / "s.py") as target:
        plain = "pyprof.%d" % target.process.pid
        assert states(folder) == {plain: "running", plain + ".1": "before execve", plain + ".2": "before execve"}
        assert " 0\n" in ask(folder, "--list").split(plain + " ")[1]  # the last program's arguments
        for name, text in (plain, ", still running"), (plain + ".1", ", before execve"):
            assert ask(folder, folder / name).splitlines()[0].endswith(text)
        assert ask(folder, "--clean") == "" and len(list(folder.iterdir())) == 3
        together = ask(folder, str(target.process.pid))
        assert together.count("pyshim: /") == 3 and re.search(r"^ +1 .*s\.py:2\(known\)$|^ +2 .*", together, re.M)
    assert states(folder) == {plain: "ended", plain + ".1": "before execve", plain + ".2": "before execve"}
    done = ask(folder, "-r", "known", str(target.process.pid))
    assert sum(int(n) for n in re.findall(r"^ +(\d+) .*\(known\)$", done, flags=re.M)) == 3
    assert ask(folder, "--clean").count("removed ") == 3 and not list(folder.iterdir())


@unfiltered
def test_many_execs_keep_a_bounded_number_of_recordings(folder, tmp_path):
    """A bounded number of earlier programs is kept. The report counts the others as a loss."""
    n = 45
    with execs(folder, PYTHON, n, tmp_path / "s.py") as target:
        pid = target.process.pid
        kept = len(list(folder.iterdir()))
        assert kept == 1 + 32
        assert states(folder)["pyprof.%d" % pid] == "running"
    text = ask(folder, "--strict", "-v", str(pid), status=3)
    assert "  %d programs that this process ran before, until execve, are left out" % (n - 32) in text
    assert re.search(r"^ +%d .*\(known\)$" % kept, text, flags=re.M)


@unfiltered
def test_large_recordings_before_execve_are_limited(folder, tmp_path):
    """The last one is kept with any size, earlier ones up to 64 MiB in all."""
    script = tmp_path / "s.py"
    large = ("import os, sys\ndef known(n): return n\nknown(0)\n"
             "p = os.environ['PYSHIM_DIR'] + '/pyprof.%d' % os.getpid()\n"
             "f = open(p, 'r+b'); f.seek(0, 2); f.write(b'\\0' * (40 << 20)); f.close()\n"
             "left = int(sys.argv[1])\n"
             "if left: os.execv(sys.executable, [sys.executable, '-S', sys.argv[0], str(left - 1)])\n"
             "print('ready', flush=True)\nsys.stdin.readline()\n")
    script.write_text(large)
    code = "import os, sys\nos.execv(sys.executable, [sys.executable, '-S', %r, '3'])" % str(script)
    with Target(folder, PYTHON, code) as target:
        assert sum(p.stat().st_blocks * 512 > 40 << 20 for p in folder.iterdir()) == 2  # this one and the one before it
        assert "3 programs that this process ran before" in ask(folder, str(target.process.pid))


@unfiltered
def test_execve_keeps_a_foreign_file_with_the_plain_name(folder, tmp_path):
    """A foreign file has the plain name. It stays, and the earlier program is still reported."""
    script = tmp_path / "s.py"
    script.write_text("print('ready', flush=True)\nimport sys\nsys.stdin.readline()\n")
    code = ("import os, sys\n"
            "os.execv(sys.executable, [sys.executable, '-S', %r])" % str(script))
    env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    with subprocess.Popen([PYTHON, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          preexec_fn=lambda: (folder / ("pyprof.%d" % os.getpid())).write_bytes(b"mine")) as p:
        assert p.stdout.readline() == b"ready\n"
        plain = "pyprof.%d" % p.pid
        assert (folder / plain).read_bytes() == b"mine"
        assert states(folder) == {plain + ".1": "before execve", plain + ".2": "running"}
        p.communicate()


def test_a_process_that_left_python_has_stopped_recording(folder):
    """The process runs cat after execve, so its recording has ended."""
    env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    code = "import os\nos.execv('/bin/cat', ['cat'])"
    with subprocess.Popen([PYTHON, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdin.write(b"x\n")
        p.stdin.flush()
        assert p.stdout.readline() == b"x\n"
        assert states(folder) == {"pyprof.%d" % p.pid: "ended"}


def test_a_forked_child_that_execs_keeps_its_parents_file(python, folder):
    code = ("import os, sys\ndef known(n): return n\nknown(0)\n"
            "child = os.fork()\n"
            "if not child: os.execv(sys.executable, [sys.executable, '-c', 'pass'])\n"
            "os.waitpid(child, 0)\nknown(1)\nprint('ready', flush=True)\nsys.stdin.readline()\n")
    with Target(folder, python.exe, code) as target:
        plain = "pyprof.%d" % target.process.pid
        assert states(folder)[plain] == "running"
        assert "%s.1" % plain not in states(folder)
    assert calls(folder / plain) == 2


# Incomplete files

FREE = "999999"  # PIDs with this prefix are above the kernel's limit of 4,194,304


def test_truncated_and_other_formats_are_listed_and_cleaned(folder, abi):
    with Target(folder, PYTHON, GROWS) as target:
        (path,) = folder.iterdir()
        whole = path.read_bytes()
        dead = bytearray(whole)
        struct.pack_into("<Q", dead, abi["header.process_start"], 1)
        for name, data in (("11", dead[:40000]), (FREE + "2", dead[:3000]), (FREE + "3", bytes(262144)),
                           (FREE + "4", b""), ("15", dead[:4096])):
            (folder / ("pyprof." + name)).write_bytes(data)
        (folder / "pyprof.16").write_bytes(dead)
        patch(folder / "pyprof.16", abi["header.major"], struct.pack("<HH", 3, 0))
        (folder / ("pyprof." + FREE + "7")).write_bytes(b"not a recording at all")
        listed = ask(folder, "--list")
        for name, fault in (("11", "truncated: 40000 of 65536 bytes"), (FREE + "2", "truncated: 3000 bytes"),
                            (FREE + "3", "never begun"), (FREE + "4", "never begun"), ("16", "format 3.0")):
            assert re.search(r"pyprof\.%s  \(%s\)$" % (name, fault), listed, flags=re.M), listed
        assert "pyprof." + FREE + "7" not in listed
        # Replaces the file of the running process, which is still listed as running.
        patch(path, abi["header.major"], struct.pack("<HH", 3, 0))
        assert states(folder)[path.name] == "running"
        removed = ask(folder, "--clean")
        if not IN_FIRST_NAMESPACE:  # files without a PID namespace may belong to another one
            assert removed.count("removed ") == 2, removed
            removed += ask(folder, "--clean", "--force")
        assert removed.count("removed ") == 6 and path.name not in removed, removed
        assert {p.name for p in folder.iterdir()} == {path.name, "pyprof." + FREE + "7"}
        target.end()
        assert ask(folder, "--clean", *["--force"] * (not IN_FIRST_NAMESPACE)) == "removed %s\n" % path


def test_clean_keeps_the_empty_file_of_a_running_process(folder):
    """The file is empty, and its name is that of a running process."""
    (folder / ("pyprof.%d" % os.getpid())).touch()
    assert states(folder) == {"pyprof.%d" % os.getpid(): "unknown"}
    assert "removed" not in ask(folder, "--clean") and list(folder.iterdir())


def test_the_list_prints_no_terminal_controls(folder, tmp_path):
    """Paths and commands contain ESC, and C1 controls in UTF-8 and as bytes."""
    bad = os.fsencode(str(folder)) + b"/pyprof.1\x1b]0;x\x07\xc2\x9b31m\x9b"
    target = Target(folder, PYTHON, GROWS + "#\u009b31m\x1b[31m\u00e9")
    target.end()
    (path,) = folder.iterdir()
    os.rename(path, bad)
    env = {"PYSHIM_DIR": str(folder)}
    for args in ["--list"], ["--clean"]:
        out = run_bare([READER, *args], env=env).out
        assert b"pyprof.1?]0;x?" in out
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc2-\xf4])[\x80-\x9f]", out), out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another user")
def test_recordings_of_other_users_need_force(folder):
    """They are only counted without --force. With it they are listed, and removed after their
    process has ended.
    """
    folder.chmod(0o755)
    with Target(folder, PYTHON, GROWS) as target:
        (path,) = folder.iterdir()
        os.chown(path, 65534, 65534)
        assert "1 of other users (--list --force shows them" in ask(folder, "--list")
        assert "1 of other users (--clean --force removes them" in ask(folder, "--clean")
        assert re.search(r"running .*%s .*\(user 65534\)$" % path.name, ask(folder, "--list", "--force"), re.M)
        assert ask(folder, "--clean", "--force") == "" and path.exists()
        target.end()
    os.chown(path, 0, 0)
    reader = folder / "pyshim-read"
    shutil.copy(READER, reader)
    done = subprocess.run([reader, "--list"], env=_environment({"PYSHIM_DIR": str(folder)}), stdout=subprocess.PIPE,
                          preexec_fn=lambda: os.setuid(65534))
    assert b"1 of other users, which cannot be opened\n" in done.stdout
    os.chown(path, 65534, 65534)
    assert ask(folder, "--clean", "--force") == "removed %s\n" % path
