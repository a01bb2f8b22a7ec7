# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python programs of every form are recorded from the start of __main__, and other programs are
not.

The tested program is always the same: its main `<module>` calls `known` 100 times and prints its
own name. The recording must have 100 calls of `known`, all from there, and no function of the
start-up.
"""

import errno
import functools
import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from conftest import PYTHONS, ROOT, SHIM, _environment, read, read_stats, run_bare
from pythons import find_free_threaded

C_SOURCES = Path(__file__).parent / "c"
PROGRAM = """\
import sys
def known(n): return n
for i in range(100): known(i)
print(sys._getframe().f_code.co_filename)
"""
# Functions that the interpreter calls after the end of __main__, if `site` has imported their
# module.
AT_EXIT = {
    ("threading.py", "_shutdown"), ("weakref.py", "_exitfunc"), ("__init__.py", "shutdown"),
}


def named(stats, name):
    return {f: v for f, v in stats.items() if f[2] == name}


def calls(stats, name):
    return sum(v[1] for v in named(stats, name).values())


def roots(stats):
    """Returns the functions without a caller, except those of the interpreter's end."""
    found = {f for f, v in stats.items() if not v[4] and "-packages" not in f[0]}
    return {f for f in found if (os.path.basename(f[0]), f[2]) not in AT_EXIT}


def check_program(stats, file):
    main = (file, 1, "<module>")
    assert roots(stats) == {main}
    assert stats[main][:2] == (1, 1)
    ((known, values),) = named(stats, "known").items()
    assert known == (file, 2, "known")
    assert (values[0], values[1]) == (100, 100)
    assert {c: e[:2] for c, e in values[4].items()} == {main: (100, 100)}


def lay_out(folder):
    """Writes the program as a script, a module, a package, a folder and an archive."""
    for name in ("script.py", "module.py", "package/__main__.py", "folder/__main__.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM)
    (folder / "package" / "__init__.py").touch()
    with zipfile.ZipFile(folder / "archive.zip", "w") as z:
        z.writestr("__main__.py", PROGRAM)
    return folder


FORMS = {
    "script": (["script.py"], "script.py"),
    "script, absolute": (["{here}/script.py"], "{here}/script.py"),
    "-m module": (["-m", "module"], "{here}/module.py"),
    "-m package": (["-m", "package"], "{here}/package/__main__.py"),
    "-c": (["-c", PROGRAM], "<string>"),
    "folder": (["folder"], "folder/__main__.py"),
    "zip": (["archive.zip"], "archive.zip/__main__.py"),
    "stdin": ([], "<stdin>"),
    "-": (["-", "an argument"], "<stdin>"),
    "-I": (["-I", "script.py"], "script.py"),
    "-S": (["-S", "script.py"], "script.py"),
    "-I -S -c": (["-I", "-S", "-c", PROGRAM], "<string>"),
    "-E -s": (["-E", "-s", "script.py"], "script.py"),
    "-X importtime": (["-X", "importtime", "script.py"], "script.py"),
    "-X dev -m": (["-X", "dev", "-m", "module"], "{here}/module.py"),
    "-O": (["-O", "script.py"], "script.py"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_running_python_is_recorded(python, form, run_shim, tmp_path):
    args, file = FORMS[form]
    lay_out(tmp_path)
    args = [a.replace("{here}", str(tmp_path)) for a in args]
    stdin = PROGRAM.encode() if not args or args[0] == "-" else b""
    done = run_shim([python.exe, *args], cwd=tmp_path, input=stdin)
    said = done.out.decode().strip()
    assert said.endswith(file.replace("{here}", str(tmp_path)))
    check_program(read_stats(done.recording), said)


def test_a_shell_script_that_executes_python_is_recorded(python, run_shim, tmp_path):
    """A `python3` that is a shell script leaves one recording: that of the Python it executes."""
    lay_out(tmp_path)
    wrapper = tmp_path / "python3"
    wrapper.write_text("#!/bin/bash\nexec '%s' \"$@\"\n" % python.exe)
    wrapper.chmod(0o755)
    done = run_shim([wrapper, tmp_path / "script.py"])
    check_program(read_stats(done.recording), str(tmp_path / "script.py"))


STATEMENTS = "import sys\nknown = lambda n: n\ns = sum(map(known, range(100)))\nprint('sum', s)\n"


def check_repl(stats):
    file_pattern = r"<stdin>(-\d+)?|<stdin-\d+>|<python-input-\d+>"  # by version
    lambdas = named(stats, "<lambda>")
    (values,) = [v for f, v in lambdas.items() if re.fullmatch(file_pattern, f[0])]
    assert values[1] == 100
    assert all(c[2] in ("<module>", "<built-in method builtins.sum>") for c in values[4])


def test_statements_from_a_pipe_are_recorded(python, run_shim, tmp_path):
    env = {"HOME": str(tmp_path)}
    done = run_shim([python.exe, "-i"], input=STATEMENTS.encode(), env=env)
    assert b"sum 4950" in done.out
    stats = read_stats(done.recording)
    check_repl(stats)
    assert sum(v[1] for f, v in stats.items() if f in roots(stats) and f[2] == "<module>") == 4
    assert not [f for f in roots(stats) if "importlib" in f[0]]


def test_statements_after_a_script_are_recorded(python, run_shim, tmp_path):
    lay_out(tmp_path)
    env = {"HOME": str(tmp_path)}
    typed = b"print('sum', sum(map(known, range(11))))\n"
    done = run_shim([python.exe, "-i", "script.py"], cwd=tmp_path, input=typed, env=env)
    assert b"sum 55" in done.out
    assert calls(read_stats(done.recording), "known") == 111


def talk(args, lines, env):
    """Types one line at each prompt of a terminal. Returns the screen and the status."""
    leader, follower = pty.openpty()
    child = subprocess.Popen([str(a) for a in args], env=env, stdin=follower, stdout=follower,
                             stderr=follower, start_new_session=True)
    os.close(follower)
    shown, since = b"", 0
    deadline = time.monotonic() + 300
    left = list(lines)
    try:
        while time.monotonic() < deadline:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    data = os.read(leader, 65536)
                except OSError as e:
                    if e.errno == errno.EIO:
                        break
                    raise
                if not data:
                    break
                shown += data
            elif left and b">>> " in shown[since:]:
                since = len(shown)
                os.write(leader, left.pop(0))
        return shown, child.wait(60)
    finally:
        child.kill()
        child.wait()
        os.close(leader)


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_statements_typed_on_a_terminal_are_recorded(python, terminal, shim_dir, tmp_path):
    """The REPL uses readline; from 3.13 on it is itself a Python program."""
    env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir), "TERM": terminal,
                        "HOME": str(tmp_path)})
    lines = [s.encode() + b"\n" for s in STATEMENTS.splitlines()] + [b"\x04"]
    shown, status = talk([python.exe, "-q"], lines, env)
    assert status == 0, shown
    assert b"sum 4950" in shown
    (recording,) = shim_dir.iterdir()
    check_repl(read_stats(recording))


# Embedding

EMBED_SOURCE = PROGRAM + "sys.stdout.flush()\n"


@functools.lru_cache(maxsize=None)
def build_facts(exe):
    """Returns what a C program needs to embed this interpreter, with None for missing libraries."""
    names = "INCLUDEPY CONFINCLUDEPY LIBDIR LIBPL LDVERSION LIBRARY LIBS SYSLIBS MODLIBS".split()
    probe = (
        "import json, sys, sysconfig; print(json.dumps([sys.base_prefix,"
        " {n: sysconfig.get_config_var(n) for n in %r}]))" % names
    )
    prefix, facts = json.loads(run_bare([exe, "-I", "-c", probe]).out)
    shared = Path(facts["LIBDIR"]) / ("libpython%s.so" % facts["LDVERSION"])
    static = Path(facts["LIBPL"]) / facts["LIBRARY"]
    return {
        "home": prefix,
        "include": ["-I" + facts[n] for n in ("INCLUDEPY", "CONFINCLUDEPY")],
        "has_headers": (Path(facts["INCLUDEPY"]) / "Python.h").exists(),
        "shared": shared if shared.exists() else None,
        "static": static if static.exists() else None,
        # 3.14's has backslashes, from continued lines in the Makefile.
        "libs": " ".join(facts[n] or "" for n in ("LIBS", "SYSLIBS", "MODLIBS")).replace("\\", " ").split(),
    }


def skip_where_nothing_links(folder, python, flags, libraries):
    """Skips incomplete static libraries: that of Debian's 3.14 lacks the hashes."""
    least = folder / "least.c"
    least.write_text("int Py_BytesMain(int, char **);\n"
                     "int main(int argc, char **argv) { return Py_BytesMain(argc, argv); }\n")
    done = run_bare(["cc", *flags, least, "-o", folder / "least", *libraries])
    if done.status:
        why = re.search(r"(undefined reference to|cannot find) .*", done.err.decode())
        pytest.skip("no program links with the static libpython of %s: %s"
                    % (python.tag, why[0] if why else done.err.decode()))


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")

    @functools.lru_cache(maxsize=None)
    def compile_c(python, source, link):
        """Returns the path of c/SOURCE.c compiled; `link` is "shared", "static" or "none"."""
        facts = build_facts(python.exe)
        flags = ["-O1", "-Wall", "-pthread"]
        libraries = ["-ldl"]
        if link != "none":
            if not facts["has_headers"]:
                pytest.skip("%s has no headers" % python.tag)
            if not facts[link]:
                pytest.skip("%s has no %s libpython" % (python.tag, link))
            flags += facts["include"] + ["-Wl,-E"] + ["-no-pie"] * (link == "static")
            libraries += [str(facts[link])] + facts["libs"] * (link == "static")
        if link == "shared":
            libraries.append("-Wl,-rpath,%s" % facts["shared"].parent)
        if source == "plugin":
            flags += ["-shared", "-fPIC"]
        if link == "static":
            skip_where_nothing_links(folder, python, flags, libraries)
        out = folder / ("%s-%s-%s" % (source, link, python.tag))
        run_c(["cc", *flags, C_SOURCES / (source + ".c"), "-o", out, *libraries])
        return out

    return compile_c


def run_c(args):
    done = run_bare(args)
    assert done.status == 0, done.err.decode()


@pytest.fixture
def run_embedder(python, run_shim):
    """Runs an embedding program with and without the shim. Its output is the same, with one
    recording.
    """

    def run(args, **env):
        env = {"PYTHONHOME": build_facts(python.exe)["home"], **env}
        bare = run_bare(args, env=env)
        done = run_shim(args, env=env, status=bare.status)
        assert bare.status == 0, bare
        assert (done.out, done.err) == (bare.out, bare.err)
        return read_stats(done.recording)

    return run


@pytest.mark.parametrize("link", ["shared", "static"])
def test_an_embedded_interpreter_is_recorded(python, link, compile_c, run_embedder):
    stats = run_embedder([compile_c(python, "embed_run", link), 1, EMBED_SOURCE])
    check_program(stats, "<string>")


def test_an_interpreter_embedded_by_pyconfig_is_recorded(python, compile_c, run_embedder, tmp_path):
    lay_out(tmp_path)
    stats = run_embedder([compile_c(python, "embed_config", "shared"), tmp_path / "script.py"])
    # An embedder may never run __main__, so its recording starts at the first root call after
    # initialisation. Py_RunMain makes such calls to find the script's loader.
    early = [f for f in roots(stats) if f[0].startswith("<frozen ")]
    check_program({f: v for f, v in stats.items() if f not in early}, str(tmp_path / "script.py"))


def test_an_embedder_without_main_is_recorded(python, compile_c, run_embedder, tmp_path):
    """Nothing runs in __main__, so recording starts at the first root call after initialisation."""
    source = "def inner(n): return n\ndef work(n): return inner(n) + len('x')\n"
    (tmp_path / "hosted.py").write_text(source)
    program = compile_c(python, "embed_import", "shared")
    stats = run_embedder([program, "hosted", "work", 17], PYTHONPATH=str(tmp_path))
    file = str(tmp_path / "hosted.py")
    assert stats[(file, 2, "work")][:2] == (17, 17)
    assert stats[(file, 2, "work")][4] == {}
    assert stats[(file, 1, "inner")][:2] == (17, 17)
    assert [c for c in stats[(file, 1, "inner")][4]] == [(file, 2, "work")]
    assert (file, 1, "<module>") in stats
    assert not any(f[0].endswith("site.py") for f in stats)


def test_three_interpreters_in_turn_make_one_recording(python, compile_c, run_embedder):
    stats = run_embedder([compile_c(python, "embed_run", "shared"), 3, EMBED_SOURCE])
    main = ("<string>", 1, "<module>")
    assert stats[main][:2] == (3, 3)
    assert stats[("<string>", 2, "known")][:2] == (300, 300)
    assert {c: e[:2] for c, e in stats[("<string>", 2, "known")][4].items()} == {main: (300, 300)}


@pytest.mark.parametrize("first", [False, True])
def test_c_threads_of_an_embedder_are_recorded(python, first, compile_c, run_embedder):
    """Python did not start these threads; `first` is true if __main__ begins before them."""
    source = "def known(n): return n\nfor i in range(100): known(i)\n"
    program = compile_c(python, "embed_threads", "shared")
    stats = run_embedder([program, 8, source] + [source] * first)
    main, known = ("<string>", 1, "<module>"), ("<string>", 1, "known")
    assert stats[main][:2] == (8 + first, 8 + first)
    assert stats[known][:2] == (800 + 100 * first, 800 + 100 * first)
    assert [c for c in stats[known][4]] == [main]


def test_a_thread_pool_older_than_python_is_recorded(python, compile_c, run_embedder):
    """The threads exist before Python is initialised, and enter and leave it."""
    source = "def known(n): return n\nfor i in range(100): known(i)\n"
    program = compile_c(python, "embed_pool", "shared")
    stats = run_embedder([program, 8, source, "def known(n): return n\nknown(0)\n"])
    main, known = ("<string>", 1, "<module>"), ("<string>", 1, "known")
    assert stats[main][:2] == (17, 17)
    assert stats[known][:2] == (1601, 1601)
    assert [c for c in stats[known][4]] == [main]


def check_left_out(recording, n):
    """The report has the number of interpreters that were not recorded, and --strict treats that as
    a loss.
    """
    line = (b"  1 subinterpreter was created; its calls are not recorded" if n == 1 else
            b"  %d subinterpreters were created; their calls are not recorded" % n)
    out = read(recording).out
    assert out.count(line) == out.count(b"WSGIApplicationGroup %{GLOBAL}") == (n > 0)
    assert json.loads(read("-f", "json", recording).out)["sources"][0]["losses"]["subinterpreters"] == n
    read("--strict", recording, status=3 if n else 0)


@pytest.mark.parametrize("n", [0, 1, 8])
def test_subinterpreters_of_an_embedder_are_counted_as_left_out(python, n, compile_c, run_shim):
    """From 3.12 on each has its own GIL, and they run at the same time."""
    program = compile_c(python, "embed_subinterpreters", "shared")
    source = "def known(n): return n\nfor i in range(100): known(i)\nimport json; json.dumps([1])\n"
    env = {"PYTHONHOME": build_facts(python.exe)["home"]}
    bare = run_bare([program, n, source], env=env)
    done = run_shim([program, n, source], env=env)
    assert (bare.status, done.out, done.err) == (0, bare.out, bare.err), (bare, done)
    assert calls(read_stats(done.recording), "known") == 200
    check_left_out(done.recording, n)


SUBINTERPRETERS = """\
import sys
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
def known(n): return n
for i in range(100): known(i)
for i in range(3):
    other = interpreters.create()
    problem = interpreters.run_string(other, %r)
    if problem: print(problem)
    interpreters.destroy(other)
    for i in range(100): known(i)
print("done")
""" % PROGRAM.replace("print", "sys.stdout.flush() or print")


def test_subinterpreters_are_counted_as_left_out(python, run_shim):
    bare = run_bare([python.exe, "-c", SUBINTERPRETERS])
    done = run_shim([python.exe, "-c", SUBINTERPRETERS])
    assert (done.out, done.err) == (bare.out, bare.err) and bare.out.endswith(b"done\n"), bare
    assert calls(read_stats(done.recording), "known") == 400
    check_left_out(done.recording, 3)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_an_interpreter_loaded_by_dlopen_is_recorded(python, scope, compile_c, run_embedder):
    library = build_facts(python.exe)["shared"]
    if not library:
        pytest.skip("%s has no shared libpython" % python.tag)
    stats = run_embedder([compile_c(python, "embed_dlopen", "none"), scope, library, EMBED_SOURCE])
    check_program(stats, "<string>")


def test_an_interpreter_in_a_plugin_is_recorded(python, compile_c, run_embedder):
    host = compile_c(python, "plugin_host", "none")
    stats = run_embedder([host, compile_c(python, "plugin", "shared"), EMBED_SOURCE])
    check_program(stats, "<string>")


def test_the_python_inside_gdb_is_recorded(run_shim, tmp_path):
    """The Python inside of gdb may have any version."""
    if not shutil.which("gdb"):
        pytest.skip("no gdb here")
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    typed = "python print(max(map(lambda n: n, range(7))))"
    args = ["gdb", "-batch", "-nx", "-ex", typed, "-x", script]
    bare = run_bare(args)
    if bare.status or bare.out.split(b"\n", 1)[0] != b"6":
        pytest.skip("this gdb has no Python: %r" % bare.err)
    done = run_shim(args)
    assert (done.out, done.err) == (bare.out, bare.err)
    stats = read_stats(done.recording)
    assert sum(v[1] for f, v in stats.items() if f == ("<string>", 1, "<lambda>")) == 7
    assert calls(stats, "known") == 100
    (known,) = named(stats, "known")
    assert [c[2] for c in stats[known][4]] == ["<module>"]


# Other programs

NOT_PYTHON = {
    "true": ["true"],
    "bash": ["bash", "-c", "f() { echo $1; }; for i in 1 2 3; do f $i; done; ls / | wc -l"],
    "sh": ["sh", "-c", "echo $0; exit 3"],
    "git": ["git", "--version"],
    "make": ["make", "-f", "-", "-s"],
    "env": ["env", "LC_ALL=C", "sort"],
    "failing": ["ls", "/nowhere"],
    "cat": ["cat", "/proc/self/comm"],
}


@pytest.mark.parametrize("name", NOT_PYTHON)
def test_other_programs_are_not_changed_or_recorded(name, run_shim):
    args = NOT_PYTHON[name]
    if not shutil.which(args[0]):
        pytest.skip("no %s here" % args[0])
    lines = b"all:\n\t@echo made; true | cat; $(MAKE) -v >/dev/null\n"
    bare = run_bare(args, input=lines)
    done = run_shim(args, input=lines, status=None)
    assert (done.status, done.out, done.err) == (bare.status, bare.out, bare.err)
    assert done.recordings == []


def test_dlsym_scans_libraries_only_after_a_new_one(run_shim, tmp_path):
    """The program is not Python, has many libraries, and calls dlsym often. The shim looks at all
    of them only if one has been opened since.
    """
    program, library = tmp_path / "dlsym_often", tmp_path / "library.c"
    library.write_text("int x;\n")
    libraries = [tmp_path / ("library%d.so" % i) for i in range(30)]
    run_c(["cc", "-shared", "-fPIC", "-o", libraries[0], library])
    for other in libraries[1:]:
        shutil.copy(libraries[0], other)
    run_c(["cc", "-rdynamic", "-o", program, C_SOURCES / "dlsym_often.c", "-ldl"])
    done = run_shim([program, "1000", *libraries])
    before, after = map(int, done.out.split())
    assert before <= 1000
    assert 30 < after < 60
    assert not done.recordings


def test_other_programs_do_not_read_the_settings(run_shim):
    """Only a Python process reads the settings."""
    done = run_shim(["bash", "-c", "true; ls / >/dev/null"], env={"PYSHIM_BUFFER": "x"})
    assert (done.out, done.err, done.recordings) == (b"", b"", [])


# Unsupported Pythons

SERVED = "3.13.0 (main, Oct  7 2024, 05:02:14) [GCC 12.2.0]"
VERSIONS = [
    (SERVED, None, True),
    (SERVED, "_Py_DecRefShared", False),  # 3.13's alphas do not show it in their version
    ("3.13.0 experimental free-threading build (main, Oct  7 2024) [GCC 12.2.0]", None, False),
    ("3.14.0 free-threading build (main, Oct  7 2025) [GCC 14.2.0]", None, False),
    ("3.7.17 (default, Jun  6 2023) [GCC 12.2.0]", None, False),
    ("4.0.0 (main) [GCC 14.2.0]", None, False),
]


@pytest.mark.parametrize("version, name, is_served", VERSIONS)
def test_only_known_versions_are_recorded(version, name, is_served, run_shim, tmp_path):
    """The shim stays off for an unknown interpreter, and PYSHIM_DEBUG says so in one line. A
    program with all names of the C-API, and `name`, stands for the interpreter.
    """
    header = (ROOT / "shim" / "python" / "pyapi.h").read_text()
    names = set(re.findall(r"\bS\((\w+), 1,", header)) - {"Py_GetVersion"}
    assert len(names) > 40
    names |= {name} if name else set()
    (tmp_path / "names.h").write_text("".join("NAME(%s)\n" % n for n in sorted(names)))
    program = tmp_path / "no_python"
    run_c(["cc", "-rdynamic", "-I", tmp_path, '-DVERSION="%s"' % version, "-o", program,
           C_SOURCES / "no_python.c"])
    assert run_bare([program]).out == b"left alone\n"
    done = run_shim([program], env={"PYSHIM_DEBUG": "1"})
    assert done.out == (b"patched\n" if is_served else b"left alone\n")
    said = done.err.decode()
    assert said.count("\n") == (0 if is_served else 1), said
    if not is_served:
        assert said.startswith("pyshim[") and version in said and said.endswith(": off\n"), said
    quiet = run_shim([program])
    assert (quiet.err, quiet.recordings) == (b"", [])


def test_free_threaded_builds_are_not_recorded(run_shim):
    """The shim stays off in builds without a GIL, and PYSHIM_DEBUG says so in one line."""
    found = find_free_threaded()
    for python in found:
        quiet = run_shim([python.exe, "-c", PROGRAM])
        assert (quiet.out, quiet.err, quiet.recordings) == (b"<string>\n", b"", [])
        done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_DEBUG": "1"})
        assert (done.out, done.recordings) == (b"<string>\n", [])
        assert re.fullmatch(rb"pyshim\[\d+\]: .*free-threaded.*: off\n", done.err), done.err
    if not found:
        pytest.skip("no free-threaded build here: name one in PYTHONS")


# Settings


def test_pyshim_disable_turns_the_shim_off(python, run_shim):
    done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_DISABLE": "1"})
    assert (done.out, done.err, done.recordings) == (b"<string>\n", b"", [])


def test_start_init_records_the_startup(python, run_shim):
    done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_START": "init"})
    stats = read_stats(done.recording)
    assert stats[("<string>", 2, "known")][:2] == (100, 100)
    startup = [f for f in stats if "importlib" in f[0] or os.path.basename(f[0]) == "site.py"]
    assert len(startup) > 10


OFF = """\
import ctypes, glob, os, sys
def before(): pass
def within(): pass
def after(): pass
def files(): return len(glob.glob(os.environ["PYSHIM_DIR"] + "/*"))
pyshim = ctypes.PyDLL(None)
before()
counts = [files()]
results = [pyshim.pyshim_start()]
for i in range(5): within()
results.append(pyshim.pyshim_stop())
for i in range(3): after()
if len(sys.argv) > 1:
    results.append(pyshim.pyshim_start())
    for i in range(7): within()
    results.append(pyshim.pyshim_stop())
counts.append(files())
print(counts, results)
"""


def test_start_off_records_nothing(python, run_shim):
    done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_START": "off"})
    assert (done.out, done.err, done.recordings) == (b"<string>\n", b"", [])


@pytest.mark.parametrize("again", [False, True])
def test_recording_starts_and_stops_by_function_calls(python, again, run_shim):
    args = [python.exe, "-c", OFF] + ["again"] * again
    done = run_shim(args, env={"PYSHIM_START": "off"})
    assert done.out.decode() == "[0, 1] %r\n" % ([0] * (4 if again else 2)), done.err
    stats = read_stats(done.recording)
    assert calls(stats, "within") == (12 if again else 5)
    assert not named(stats, "before") and not named(stats, "after") and not named(stats, "files")


REFUSED = """\
import ctypes, sys
def refuse(event, args):
    if event in ("sys.setprofile", "sys.monitoring.register_callback"): raise RuntimeError(event)
sys.addaudithook(refuse)
def within(): pass
pyshim = ctypes.PyDLL(None)
print([pyshim.pyshim_start() for i in range(2)])
for i in range(5): within()
"""


def test_recording_starts_beside_a_strict_audit_hook(python, run_shim):
    """The hook forbids operations that the shim must have done before it was set."""
    done = run_shim([python.exe, "-c", REFUSED], env={"PYSHIM_START": "off"})
    assert (done.out, done.err) == (b"[0, 0]\n", b"")
    assert calls(read_stats(done.recording), "within") == 5


def test_pyshim_stop_ends_a_recording(python, run_shim):
    """The recording began by itself."""
    source = OFF.replace("results = [pyshim.pyshim_start()]", "results = []")
    done = run_shim([python.exe, "-c", source])
    assert done.out == b"[1, 1] [0]\n", done.err
    stats = read_stats(done.recording)
    assert (calls(stats, "before"), calls(stats, "within")) == (1, 5)
    assert not named(stats, "after")


def test_builtins_0_records_no_c_functions(python, run_shim):
    source = PROGRAM + "len('x'); sorted([2, 1], key=known)\n"
    stats = read_stats(run_shim([python.exe, "-c", source], env={"PYSHIM_BUILTINS": "0"}).recording)
    assert [f for f in stats if f[0] == "~"] == []
    assert calls(stats, "known") == 102
    stats = read_stats(run_shim([python.exe, "-c", source], env={"PYSHIM_BUILTINS": "1"}).recording)
    assert calls(stats, "<built-in method builtins.len>") == 1


WRONG = {
    "PYSHIM_BUFFER": ["12Q", "-1", "0", "lots", "1.5M", "99999999999999999999"],
    "PYSHIM_OVERFLOW": ["x", "Fold"],
    "PYSHIM_CLOCK": ["moon"],
    "PYSHIM_BUILTINS": ["yes", "2"],
    "PYSHIM_START": ["later"],
    "PYSHIM_FORK": ["1"],
    "PYSHIM_BIAS": ["x", "-1", "nan", "1e9"],
    "PYSHIM_ENGINE": ["steam"],
    "PYSHIM_DIR": ["not/absolute", "/nowhere/at/all"],
}


@pytest.mark.parametrize("name, value", [(n, v) for n in WRONG for v in WRONG[n]])
def test_a_wrong_setting_is_reported_and_nothing_recorded(name, value, run_shim):
    """One line names the variable, its value and the expected values. Nothing is recorded."""
    for python in {PYTHONS[0], PYTHONS[-1]}:
        source = PROGRAM + "sys.exit(5)\n"
        done = run_shim([python.exe, "-c", source], env={name: value}, status=5)
        assert (done.out, done.recordings) == (b"<string>\n", [])
        line = done.err.decode()
        assert line.startswith("pyshim") and line.count("\n") == 1 and line.endswith("\n"), line
        assert name in line and value in line and "expected" in line, line


def test_both_engines_record_the_program(python, run_shim):
    """sys.monitoring exists from 3.12 on only."""
    done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_ENGINE": "tracefunc"})
    check_program(read_stats(done.recording), "<string>")
    done = run_shim([python.exe, "-c", PROGRAM], env={"PYSHIM_ENGINE": "monitoring"})
    assert done.out == b"<string>\n"
    check_program(read_stats(done.recording), "<string>")


def test_only_the_owner_may_read_a_recording(python, run_shim):
    """Only the owner may read which functions a program called, with any umask."""
    done = run_shim(["sh", "-c", 'umask 0; exec "$@"', "sh", python.exe, "-c", PROGRAM])
    assert stat.S_IMODE(done.recording.stat().st_mode) == 0o600
    assert re.fullmatch(r"pyprof\.\d+", done.recording.name)


# More than one process

FORKING = PROGRAM + """
import os, subprocess
def in_child(): pass
sys.stdout.flush()
pid = os.fork()
if not pid:
    for i in range(10): known(i)
    for i in range(3): in_child()
    os._exit(0)
os.waitpid(pid, 0)
for i in range(20): known(i)
"""


def by_pid(done):
    return {int(p.name.split(".")[1]): read_stats(p) for p in done.recordings}


def test_parent_and_forked_child_have_their_own_recordings(python, run_shim):
    source = FORKING + "print(os.getpid(), pid)\n"
    done = run_shim([python.exe, "-c", source])
    stats = by_pid(done)
    parent, child = map(int, done.out.split()[-2:])
    assert stats.keys() == {parent, child}
    assert (calls(stats[parent], "known"), calls(stats[child], "known")) == (120, 10)
    assert (calls(stats[parent], "in_child"), calls(stats[child], "in_child")) == (0, 3)


def test_fork_off_records_the_parent_only(python, run_shim):
    source = FORKING + "print(os.getpid(), pid)\n"
    done = run_shim([python.exe, "-c", source], env={"PYSHIM_FORK": "off"})
    assert int(done.out.split()[-2]) == int(done.recording.name.split(".")[1])
    assert calls(read_stats(done.recording), "known") == 120


def test_python_subprocesses_have_their_own_recordings(python, run_shim):
    """subprocess on 3.10 and later may use vfork, whose child shares the parent's memory until
    exec.
    """
    source = (
        "import subprocess, sys\n"
        "def outer(): return subprocess.run([sys.executable, '-c', %r], check=True)\n"
        "for i in range(3): outer()\n"
        "subprocess.run(['true'])\n" % PROGRAM
    )
    done = run_shim([python.exe, "-c", source])
    stats = sorted(by_pid(done).values(), key=lambda s: calls(s, "known"))
    assert len(stats) == 4
    assert calls(stats[0], "outer") == 3 and calls(stats[0], "known") == 0
    for s in stats[1:]:
        check_program(s, "<string>")


# Endings

ENDINGS = {
    "return": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise ValueError('v')", 1),
    "os._exit": ("os._exit(4)", 4),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGINT": ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "SIGSEGV": ("import ctypes; ctypes.string_at(16)", -signal.SIGSEGV),
    "abort": ("os.abort()", -signal.SIGABRT),
    "execv": ("os.execv('/bin/true', ['true'])", 0),
    "in a call": ("def last(): os._exit(0)\nlast()", 0),
    "thread": (
        "import threading; threading.Thread(target=os._exit, args=(6,)).start(); time.sleep(60)", 6
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_way_of_ending_keeps_all_calls(python, ending, run_shim, tmp_path):
    """The recording is readable and has every call."""
    last, status = ENDINGS[ending]
    script = tmp_path / "script.py"
    first = "import os, signal, sys, time\ndef known(): pass\nfor i in range(1000): known()\n"
    script.write_text(first + last + "\n")
    done = run_shim([python.exe, script], status=status, cwd=tmp_path)
    stats = read_stats(done.recording)
    assert stats[(str(script), 2, "known")][:2] == (1000, 1000)
    assert stats[(str(script), 1, "<module>")][:2] == (1, 1)
    if ending == "in a call":
        assert calls(stats, "last") == 1
        assert calls(stats, "<built-in method posix._exit>") == 1
