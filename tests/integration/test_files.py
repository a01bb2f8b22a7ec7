# SPDX-License-Identifier: LGPL-2.1-or-later
"""File safety: the shim does not follow, reuse or change anything planted at a recording's name.
The reader opens no file or link of another user, unless --force is given.
"""

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import FILTERED, MEMORY, READER, SHIM, patch, run_bare

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another user")


@pytest.fixture
def folder():
    where = Path(tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY))
    yield where
    shutil.rmtree(where, ignore_errors=True)


def record(python, folder, plant=lambda path: None, code="def f(): pass\nf()"):
    """Runs it with something planted at the name of its recording, and returns that name."""
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder), "PATH": os.environ["PATH"]}
    with subprocess.Popen([python.exe, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: plant(folder / ("pyprof.%d" % os.getpid()))) as process:
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out, err) == (0, b"", b"")
    return folder / ("pyprof.%d" % process.pid)


def is_recording(path):
    info = os.lstat(path)
    assert stat.S_ISREG(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o600
    assert info.st_uid == os.geteuid()
    done = run_bare([READER, "-q", path])
    return done.status == 0 and done.err == b"" and b"(f)" in done.out


def test_a_recording_is_private_with_any_umask(python, folder):
    old = os.umask(0)
    try:
        path = record(python, folder)
    finally:
        os.umask(old)
    assert is_recording(path)


def test_a_planted_link_is_not_followed(python, folder):
    victim = folder / "victim"
    victim.write_bytes(b"x" * 10000)
    path = record(python, folder, lambda path: path.symlink_to(victim))
    assert victim.read_bytes() == b"x" * 10000
    assert path.is_symlink() and is_recording(path.with_name(path.name + ".1"))


def test_a_planted_dangling_link_creates_no_file(python, folder):
    path = record(python, folder, lambda path: path.symlink_to(folder / "nothing"))
    assert not (folder / "nothing").exists()
    assert is_recording(path.with_name(path.name + ".1"))


def test_a_planted_pipe_or_folder_is_not_changed(python, folder):
    for plant in (os.mkfifo, os.mkdir):
        path = record(python, folder, plant)
        assert not path.is_file() and is_recording(path.with_name(path.name + ".1"))


def test_a_planted_file_is_not_changed(python, folder):
    path = record(python, folder, lambda path: path.write_bytes(b"mine" * 5000))
    assert path.read_bytes() == b"mine" * 5000
    assert is_recording(path.with_name(path.name + ".1"))


@as_root
def test_a_recording_of_another_user_is_not_changed(python, folder):
    dead = record(python, folder)

    def plant(path):
        shutil.copy(dead, path)
        os.chown(path, NOBODY, NOBODY)

    path = record(python, folder, plant)
    assert path.read_bytes() == dead.read_bytes() and path.stat().st_uid == NOBODY
    assert is_recording(path.with_name(path.name + ".1"))


def test_a_recording_of_an_ended_process_is_kept(python, folder, abi):
    """It is renamed, so that the process that has its PID now can use the name."""
    dead = record(python, folder)

    def plant(path):
        patch(dead, abi["header.pid"], os.getpid().to_bytes(4, "little"))
        shutil.copyfile(dead, path)

    path = record(python, folder, plant)
    other = path.with_name(path.name + ".1")
    new, old = (other, path) if FILTERED else (path, other)  # under a seccomp filter nothing is renamed
    assert is_recording(new) and new.read_bytes() != dead.read_bytes()
    assert old.read_bytes() == dead.read_bytes()


def test_the_shim_keeps_no_descriptor_open(python, folder):
    record(python, folder, code="import os\ndef f(): pass\nf()\n"
                                "for fd in os.listdir('/proc/self/fd'):\n"
                                "    try: to = os.readlink('/proc/self/fd/' + fd)\n"
                                "    except OSError: continue\n"
                                "    assert 'pyprof' not in to, to")


def refusal(*args):
    done = run_bare([READER, *args])
    assert done.status == 1 and done.out == b"", done
    return done.err.decode()


@as_root
def test_the_reader_follows_no_link_of_another_user(python, folder):
    path = record(python, folder)
    link = folder / "link"
    link.symlink_to(path)
    assert run_bare([READER, link]).status == 0
    os.lchown(link, NOBODY, NOBODY)
    assert "found a symbolic link of user %d, expected a recording" % NOBODY in refusal(link)
    assert run_bare([READER, "--force", link]).status == 0


@as_root
def test_the_reader_opens_another_users_file_with_force_only(python, folder):
    path = record(python, folder)
    os.chown(path, NOBODY, NOBODY)
    assert "found a file of user %d, expected one of your own" % NOBODY in refusal(path)
    assert "found a file of user" in refusal("--wait", path)
    assert run_bare([READER, "--force", path]).status == 0
    env = {"PYSHIM_DIR": str(folder), "PATH": os.environ["PATH"]}
    assert path.name.encode() not in run_bare([READER, "--list"], env=env).out
    assert path.name.encode() in run_bare([READER, "--list", "--force"], env=env).out
    assert b"removed" not in run_bare([READER, "--clean"], env=env).out and path.exists()
    assert b"removed" in run_bare([READER, "--clean", "--force"], env=env).out and not path.exists()


@as_root
def test_a_user_may_read_a_readable_recording_of_root(python, folder):
    """The file's mode permits it, and every user trusts root."""
    folder.chmod(0o755)
    path = record(python, folder)
    path.chmod(0o644)
    copy = folder / "pyshim-read"
    shutil.copy(READER, copy)
    done = subprocess.run([copy, "-q", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: os.setuid(NOBODY))
    assert (done.returncode, done.stderr) == (0, b"") and b"(f)" in done.stdout
