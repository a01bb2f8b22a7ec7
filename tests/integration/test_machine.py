# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests and tools on incomplete machines: they use the programs that exist and name those that
are missing.
"""

import os
import shutil
import sys
import types
from pathlib import Path

import pytest

import places
from conftest import BUILD, PYTHONS, ROOT, run_bare

# Programs that the scripts of tools/ always need.
COMMANDS = ["bash", "sh", "env", "dirname", "realpath", "mktemp", "rm", "sed", "grep", "sort", "du", "tail", "cut",
            "cat", "id", "awk", "ldd"]


@pytest.fixture
def bin_folder(tmp_path):
    """add(name, text): a folder for PATH with COMMANDS and added scripts or links to programs."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def add(name, text=None):
        (folder / name).unlink(missing_ok=True)
        if text is None:
            (folder / name).symlink_to(shutil.which(name))
        else:
            (folder / name).write_text("#!/bin/sh\n" + text + "\n")
            (folder / name).chmod(0o755)
        return folder

    for name in COMMANDS:
        add(name)
    return add


# Interpreters


def list_pythons(*names):
    return run_bare([sys.executable, ROOT / "tests" / "pythons.py"], env={"PYTHONS": " ".join(names)})


def test_interpreters_and_missing_versions_are_listed():
    python = PYTHONS[-1]
    done = list_pythons(python.exe)
    assert done.status == 0, done
    first, second = done.out.decode().splitlines()
    assert first == "interpreters: %s (%s)" % (python.tag, python.exe)
    absent = ["3.%d" % n for n in range(8, 16) if n != python.version[1]]
    assert second == "not tested, for none is here: " + ", ".join(absent)


@pytest.mark.parametrize("wrong", ["/nonexistent/python3.12", "/bin/true", "python3.99"])
def test_a_wrong_name_in_pythons_is_an_error(wrong):
    """The wrong name must not be ignored silently because another one is right."""
    done = list_pythons(PYTHONS[0].exe, wrong)
    assert (done.status, done.out) == (1, b"")
    assert done.err.decode() == (
        "find interpreters: found %r in PYTHONS, expected CPython 3.8 or later\n" % wrong)


def test_scripts_that_start_an_interpreter_are_resolved(bin_folder):
    """pyenv puts such scripts on PATH."""
    python = PYTHONS[0]
    folder = bin_folder("python3", 'exec "%s" "$@"' % python.exe)
    done = list_pythons(str(folder / "python3"))
    assert (done.status, done.err) == (0, b"") and ("interpreters: %s (" % python.tag).encode() in done.out


# The demo


def test_the_demo_works_without_a_command_python3(bin_folder):
    """Debian sid has python3.13 and later without a command python3."""
    python = PYTHONS[-1]
    name = "python%d.%d" % python.version[:2]
    folder = bin_folder(name, 'exec "%s" "$@"' % python.exe)
    bin_folder("python3.1", "exit 1")  # an interpreter without a complete standard library
    done = run_bare([ROOT / "tools" / "demo", BUILD], env={"PATH": str(folder)})
    assert done.status == 0, done
    text = done.out.decode()
    assert "libpyshim.so %s -m modulefinder " % name in text and " function calls " in text
    done = run_bare([ROOT / "tools" / "demo", BUILD], env={"PATH": str(folder), "PYTHON": "/nowhere/python3"})
    assert (done.status, done.out) == (1, b"")
    assert done.err == b"demo: find a Python: found none with modulefinder, tried /nowhere/python3\n"


# Installed packages

# The packages that the group `check` needs. Packages it only wants are in its tests.
FOUND = "gcc make libc6-dev liburcu-dev libpcre2-dev libedit-dev pkg-config check python3-pytest".split()
DPKG = "for name; do :; done\ncase \" %s \" in *\" $name \"*) echo installed ;; *) exit 1 ;; esac"
APT = """case "$*" in *install*) echo "E: no network"; echo "$@" >>'%s'; exit 100 ;; esac"""


def install_deps(bin_folder, tmp_path, found, *args):
    bin_folder("dpkg-query", DPKG % " ".join(found))
    bin_folder("apt-get", APT % (tmp_path / "asked"))
    bin_folder("apt-cache", 'test "$2" != spin')
    bin_folder("python3.8", "exit 0")
    folder = bin_folder("id", "echo 0")
    done = run_bare([ROOT / "tools" / "install-deps", *args], env={"PATH": str(folder)})
    asked = tmp_path / "asked"
    return done.status, done.err.decode().splitlines(), asked.read_text() if asked.exists() else ""


def test_complete_machines_install_nothing(bin_folder, tmp_path):
    assert install_deps(bin_folder, tmp_path, FOUND, "--needed", "build", "check") == (0, [], "")


def test_missing_optional_packages_are_named(bin_folder, tmp_path):
    """Installation continues: tests skip what is missing, and a line names it."""
    status, said, asked = install_deps(bin_folder, tmp_path, FOUND, "build", "check")
    assert status == 0 and " gdb valgrind mandoc " in asked and " spin " not in asked
    assert said[1] == "install-deps: not in this release, what needs it is skipped: spin"
    assert said[2].startswith("install-deps: apt-get failed (no network): what needs these is skipped: gdb ")
    assert len(said) == 3


def test_missing_required_packages_are_an_error(bin_folder, tmp_path):
    found = [name for name in FOUND if name != "check"]
    status, said, _ = install_deps(bin_folder, tmp_path, found, "--needed", "build", "check")
    assert status == 1
    assert said[-1] == ("install-deps: install packages: apt-get failed, see above; "
                        "expected it to install: check")


@pytest.mark.parametrize("found, status, said", [
    (FOUND, 0, "neither root nor sudo here: what needs these is skipped: gdb "),
    (FOUND[1:], 1, "neither root nor sudo here: as root, run: apt-get install --no-install-recommends gcc gdb "),
])
def test_without_root_missing_packages_are_named(bin_folder, tmp_path, found, status, said):
    bin_folder("dpkg-query", DPKG % " ".join(found))
    bin_folder("apt-get", "exit 100")
    bin_folder("python3.8", "exit 0")
    folder = bin_folder("id", "echo 1000")
    done = run_bare([ROOT / "tools" / "install-deps", "build", "check"], env={"PATH": str(folder)})
    assert done.status == status and done.err.decode().startswith("install-deps: " + said), done


# Parts and places


def test_parts_that_cannot_run_are_counted_as_skipped(bin_folder):
    folder = bin_folder("python3")
    done = run_bare([ROOT / "tools" / "run-tests", BUILD, "no-asan", "no-tsan", "model"],
                    env={"PATH": str(folder), "PYTEST_PYTHON": sys.executable, "PYTHONS": PYTHONS[0].exe})
    lines = done.out.decode().splitlines()
    assert lines[0].startswith("  interpreters: " + PYTHONS[0].tag)
    assert [line.split(":")[0] for line in lines if line.startswith("  skipped ")] == [
        "  skipped " + part for part in ("sanitized", "fuzz", "litmus", "order-mutants", "model")]
    assert lines[-1] == "0 passed, 0 failed, 5 skipped" and done.status == 1


@pytest.mark.parametrize("n_bytes, expected", [(64 << 20, "/elsewhere"), (1 << 30, places.SHARED)])
def test_recordings_avoid_a_small_dev_shm(n_bytes, expected, monkeypatch):
    """If /dev/shm has only 64 MiB, as in containers, recordings go elsewhere."""
    info = types.SimpleNamespace(f_blocks=n_bytes // 4096, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: info)
    monkeypatch.setattr(os, "access", lambda path, how: True)
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: "/elsewhere")
    assert places.memory() == expected


def test_no_test_names_dev_shm_as_its_folder():
    """Only tests of /dev/shm itself may name it, for mounts and in printed text."""
    for path in sorted((ROOT / "tests").glob("*/*.py")):
        assert "dir=\"/dev/" + "shm\"" not in path.read_text(), path
    assert Path(places.memory()).is_dir()
