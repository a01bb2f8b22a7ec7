# SPDX-License-Identifier: LGPL-2.1-or-later
"""The documents agree with the programs: manual pages, --help, completion, README. Also, an
installation by `make install` works.
"""

import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, PYTHONS, READER, ROOT, _environment, run_bare

LAUNCHER = BUILD / "pyshim"
MANUALS = ROOT / "docs" / "man"
COMPLETION = ROOT / "tools" / "completion.bash"
OPTION = r"--?[a-z][a-z-]*"
REFUSED = {"--list", "--clean", "--snapshot", "--calibrate", "--python", "--keep-anyway", "--names-from",
           "--relative-to"}  # refused by the launcher
LAUNCHERS_OWN = {"--keep", "--text"}


def options_of_help(program):
    done = run_bare([program, "--help"])
    assert (done.status, done.err) == (0, b"")
    # The second line of a description is indented further.
    lines = [line for line in done.out.decode().splitlines() if re.match(r" {2,6}-", line)]
    return {o for line in lines for o in re.findall(r"(?<![^\s\[])" + OPTION, line)}


def options_of_manual(page):
    items = re.findall(r"^\.It Fl .*$", (MANUALS / page).read_text(), flags=re.M)
    return {"-" + o for item in items for o in re.findall(r"\bFl (-?[a-z][a-z-]*)", item)}


HELP = options_of_help(READER)
MANUAL = options_of_manual("pyshim-read.1")


def complaint_about(program, *args):
    """Returns getopt's error about an option, without the program's name; "" if it is accepted."""
    err = run_bare([program, *args]).err.decode()
    found = re.search(r": (unrecognized option|invalid option|option '.*' (requires|doesn't allow)"
                      r"|option requires).*", err)
    return found[0] if found else ""


def test_every_option_of_help_is_in_the_manual():
    assert len(HELP) > 15
    assert HELP <= MANUAL
    assert {"--" + o for o in ("format", "output", "sort", "version", "help")} <= HELP


def test_manual_options_missing_in_help_are_unknown():
    """The manual may describe options that the program does not have yet, but --help may not."""
    for option in {"--nonsense"} | MANUAL - HELP:
        assert re.match(": (unrecognized|invalid) option", complaint_about(READER, option)), option


@pytest.mark.parametrize("option", sorted(HELP))
def test_launcher_accepts_the_same_options_as_the_reader(option):
    """The launcher must also know which options have an argument. Otherwise it would take that for
    the command.
    """
    assert complaint_about(LAUNCHER, option) == complaint_about(READER, option)
    if option.startswith("--") and option not in ("--version", "--help"):
        given = option + "=x"
        assert complaint_about(LAUNCHER, given) == complaint_about(READER, given)
        err = run_bare([LAUNCHER, option, "x"]).err
        assert (b"found an option that only pyshim-read has" in err) == (option in REFUSED)


def test_launchers_manual_and_help_agree_with_its_options():
    own = options_of_manual("pyshim.1")
    assert own <= MANUAL | LAUNCHERS_OWN and LAUNCHERS_OWN <= own and not own & REFUSED
    assert options_of_help(LAUNCHER) <= own
    for option in MANUAL - REFUSED:
        assert "unrecognized" not in complaint_about(LAUNCHER, option), option


def test_all_settings_are_documented():
    known = set(re.findall(r'"(PYSHIM_[A-Z]+)"', (ROOT / "shim" / "system" / "config.c").read_text()))
    assert len(known) >= 11
    page = (MANUALS / "libpyshim.7").read_text()
    assert set(re.findall(r"^\.It Ev (PYSHIM_[A-Z]+)", page, flags=re.M)) == known
    assert set(re.findall(r"^\| `(PYSHIM_[A-Z]+)`", (ROOT / "README.md").read_text(),
                          flags=re.M)) == known


PAGES = sorted(p.name for p in MANUALS.iterdir())


def test_the_manual_pages_exist():
    assert PAGES == ["libpyshim.7", "pyshim-read.1", "pyshim.1"]


@pytest.mark.parametrize("page", PAGES)
def test_manual_is_well_formed(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = run_bare(["mandoc", "-T", "lint", "-W", "warning", MANUALS / page])
    assert (done.status, done.out) == (0, b"")
    text = (MANUALS / page).read_text()
    for name, section in re.findall(r"^\.Xr (\S*pyshim\S*) (\d)", text, flags=re.M):
        assert "%s.%s" % (name, section) in PAGES


# Completion


def complete(*words, env=None, cwd=None, setup=""):
    """Returns bash's completions for the last word; the first word is the program."""
    script = ("%s\nsource '%s'\nCOMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n"
              "set -- $(complete -p \"${COMP_WORDS[0]##*/}\")\n"
              "\"$3\" \"${COMP_WORDS[0]}\" x y\nprintf '%%s\\n' \"${COMPREPLY[@]}\"\n"
              % (setup, COMPLETION))
    done = run_bare(["bash", "--norc", "--noprofile", "-c", script, "bash", *words], env=env,
                    cwd=cwd)
    assert (done.status, done.err) == (0, b""), done.err
    return set(done.out.decode().splitlines()) - {""}


def test_options_are_completed():
    assert complete(READER, "-") == HELP
    assert complete(LAUNCHER, "-") == HELP - REFUSED | LAUNCHERS_OWN
    assert complete(READER, "1234", "--so") == complete(LAUNCHER, "-q", "--so") == {"--sort"}
    on_path = {"PATH": "%s:%s" % (BUILD, os.environ["PATH"])}
    assert (complete("pyshim-read", "--s", env=on_path) - REFUSED
            == complete("pyshim", "--s", env=on_path))
    assert "--strict" in complete("pyshim", "--s", env=on_path)


def expected_by_reader(*args):
    """Returns the words that an error of pyshim-read lists as expected."""
    err = run_bare([READER, *args, "nonsense", "x"]).err.decode()
    words = re.search(r"expected (?:one of )?([a-z, ]+)", err)[1]
    return set(re.findall(r"[a-z]+", words)) - {"or"}


@pytest.mark.parametrize("program", [READER, LAUNCHER], ids=lambda p: p.name)
def test_option_arguments_are_completed(program, tmp_path):
    (tmp_path / "a file").touch()
    for option in ["-s"], ["--sort"], ["--sort", "="], ["-qs"]:
        begun = [] if option[-1] == "=" else [""]
        assert complete(program, *option, *begun) == expected_by_reader("--sort")
        assert complete(program, *option, "tot") == {"tottime"}
    for option in "-f", "--format":
        assert complete(program, option, "") >= expected_by_reader("--format")
        assert complete(program, option, "") == {"text", "pstats", "json", "chrome"}
    for option in "-o", "--output", "-vo":
        assert complete(program, option, "a", cwd=tmp_path) == {"a file"}
    assert complete(program, "--bias", "a", cwd=tmp_path) == {"auto", "a file"}
    assert complete(program, "--restrict", "", cwd=tmp_path) == set()


def test_sources_are_completed(tmp_path):
    for name in "pyprof.12", "pyprof.12.1", "pyprof.345", "other":
        (tmp_path / name).touch()
    env = {"PYSHIM_DIR": str(tmp_path)}
    assert complete(READER, "", env=env, cwd="/proc/self/fdinfo") >= {
        "12", "345", *(str(tmp_path / p) for p in ("pyprof.12", "pyprof.12.1", "pyprof.345"))}
    assert complete(READER, "-q", "1", env=env, cwd=tmp_path) == {"12"}
    assert complete(READER, "o", env=env, cwd=tmp_path) == {"other"}
    assert complete(READER, "3", env={"PYSHIM_DIR": "/nonexistent"}, cwd=tmp_path) == set()


def test_the_launchers_command_is_completed(tmp_path):
    (tmp_path / "ba na").touch()
    both = {"bash", "ba na"}
    for before in [], ["-q"], ["--"], ["-s", "time"], ["--sort", "=", "time"], ["-qo", "x", "--"]:
        assert both <= complete(LAUNCHER, *before, "ba", cwd=tmp_path), before
        assert complete(LAUNCHER, *before, "python3", "ba", cwd=tmp_path) == {"ba na"}
        assert complete(LAUNCHER, *before, "python3", "--so", cwd=tmp_path) == set()
        for name in "_command_offset", "_comp_command_offset":
            setup = name + "() { COMPREPLY=(from \"$1\"); }"
            there = complete(LAUNCHER, *before, "python3", "-", setup=setup)
            assert there == {"from", str(1 + len(before))}


# Installation


@pytest.fixture
def source(tmp_path):
    """A copy of the sources, so that building and installing there changes nothing here."""
    copy = tmp_path / "the source"
    for name in "include", "shim", "reader", "tools", "docs":
        shutil.copytree(ROOT / name, copy / name)
    (copy / "tests").mkdir()
    for name in "Makefile", "README.md", "tests/tests.mk":
        shutil.copy(ROOT / name, copy / name)
    return copy


def make(source, *args):
    env = {k: v for k, v in _environment(None).items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-j2", *args], cwd=source, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout.decode()


def check_works(launcher, cwd):
    program = "def known(n): return n\nfor i in range(100): known(i)\n"
    done = run_bare([launcher, "-q", PYTHONS[0].exe, "-c", program], cwd=cwd)
    assert done.status == 0, done.err
    assert re.search(rb"^ +100 .*\(known\)$", done.err, flags=re.M), done.err


def check_calibrates(reader, config):
    done = run_bare([reader, "--calibrate", "1000", "--python", PYTHONS[0].exe, "--keep-anyway"],
                    env={"XDG_CONFIG_HOME": str(config)})
    assert done.status == 0, done.err
    assert [p for p in config.rglob("*") if p.is_file()]


INSTALLED = """bin/pyshim bin/pyshim-read include/pyprof/format.h include/pyprof/record.h share/doc/pyshim/README.md
    share/man/man1/pyshim.1 share/man/man1/pyshim-read.1 share/man/man7/libpyshim.7
    share/bash-completion/completions/pyshim share/bash-completion/completions/pyshim-read"""
SETTINGS = {  # settings of make install: the library's folder
    ("PREFIX=/usr",): "usr/lib",
    ("PREFIX=/opt/my programs",): "opt/my programs/lib",
    ("PREFIX=/usr", "LIBDIR=/usr/lib/some arch/pyshim"): "usr/lib/some arch/pyshim",
}


def test_an_installation_works_and_can_be_removed(source, tmp_path):
    """Installs into each kind of folder, also with blanks. The installation works there, after a
    move, and by a link; uninstalling removes it.
    """
    make(source)
    for i, (settings, libdir) in enumerate(SETTINGS.items()):
        root = tmp_path / ("dest dir %d" % i)
        settings = ["DESTDIR=%s" % root, *settings]
        make(source, "install", *settings)
        prefix = settings[1].split("=/")[1]
        files = {"%s/%s" % (prefix, f) for f in INSTALLED.split()} | {libdir + "/libpyshim.so"}
        assert {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()} == files
        check_works(root / prefix / "bin" / "pyshim", "/")
        check_calibrates(root / prefix / "bin" / "pyshim-read", tmp_path / ("config%d" % i))
        moved = tmp_path / "moved"  # as if a package were unpacked elsewhere
        root.rename(moved)
        link = tmp_path / ("link %d" % i)
        link.symlink_to(moved / prefix / "bin" / "pyshim")
        check_works(link, "/")
        moved.rename(root)
        make(source, "uninstall", *settings)
        assert not [p for p in root.rglob("*") if not p.is_dir()]
