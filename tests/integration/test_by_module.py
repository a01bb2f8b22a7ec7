# SPDX-License-Identifier: LGPL-2.1-or-later
"""--by-module, --by-package, --by-file and --imports-as-one.

The truth is the tree of calls that sys.setprofile reports for the same program
(data/by_module/site/sitecustomize.py), with the modules that Python itself names. From it, the
numbers of groups are computed here, from the path of each call. A tick passes at each event, in the
recording too (PYSHIM_CLOCK=count), so times are whole numbers and equal.
"""

import collections
import functools
import json
import os
import pstats
import re
import subprocess
import sys

import pytest

from conftest import BUILD, DATA, READER, SHIM, read, run_bare

HERE = DATA / "by_module"
APP, SITE, LIB = HERE / "app", HERE / "site", HERE / "lib" / "site-packages"
RUN = APP / "run.py"
IMPORTING = {"_imp", "importlib", "importlib._bootstrap", "importlib._bootstrap_external",
             "importlib.util", "zipimport"}
Numbers = collections.namedtuple("Numbers", "calls primitive own total")


# The truth


@functools.lru_cache(maxsize=None)
def has_module(exe, name):
    probe = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
    return run_bare([exe, "-c", probe, name]).status == 0


def environment(**more):
    names = {"PYTHONPATH": "%s:%s" % (SITE, LIB), "TRUTH_TO": "", "LD_PRELOAD": "",
             "PYSHIM_DIR": "", "PYSHIM_CLOCK": "count", "PYSHIM_BUFFER": "64M"}
    return {**names, **more}


@functools.lru_cache(maxsize=None)
def truth(exe, program, args, cwd, to):
    """Returns (nodes, functions)."""
    done = run_bare([exe, program, *args], env=environment(TRUTH_TO=to), cwd=cwd)
    assert (done.status, done.err) == (0, b""), done
    with open(to) as f:
        tree = json.load(f)
    return tree["nodes"], [tuple(f) for f in tree["functions"]]


def numbers(tree, name_of):
    """Returns {group: Numbers} and {(caller, callee): Numbers}. `name_of`: function -> group; None:
    its time is its caller's, and so are its calls.
    """
    nodes, functions = tree
    group = [None] + [name_of(functions[n[1]]) for n in nodes[1:]]
    total = [n[3] for n in nodes]
    children = collections.defaultdict(list)
    for i in range(len(nodes) - 1, 0, -1):
        total[nodes[i][0]] += total[i]
        children[nodes[i][0]].append(i)
    found, edges = {}, {}

    def add(to, key, i, nested):
        old = to.get(key, Numbers(0, 0, 0, 0))
        calls = nodes[i][2]
        to[key] = Numbers(old.calls + calls, old.primitive + calls * (not nested), old.own,
                          old.total + total[i] * (not nested))

    def own(to, key, i):
        to[key] = to[key]._replace(own=to[key].own + nodes[i][3])

    def walk(i, caller, edge, above, edges_above):
        if group[i] is not None:
            edge = (caller, group[i]) if caller is not None else None
            add(found, group[i], i, group[i] in above)
            if edge:
                add(edges, edge, i, edge in edges_above)
            caller, above, edges_above = group[i], above | {group[i]}, edges_above | {edge}
        if caller is not None:
            own(found, caller, i)
        if edge:
            own(edges, edge, i)
        for child in children[i]:
            walk(child, caller, edge, above, edges_above)

    sys.setrecursionlimit(100000)
    walk(0, None, None, frozenset(), frozenset())
    return found, edges


def module_of(function):
    """A script is named after its file, and code without a file has no module."""
    file, _, _, module = function
    if file.startswith("<") and not file.startswith("<frozen "):
        return file
    if module == "collections.abc" and "_collections_abc" in file:
        return "_collections_abc"  # gives itself the other name
    return os.path.splitext(os.path.basename(file))[0] if module == "__main__" else module


def without_c(name_of):
    return lambda function: None if function[0] == "~" else name_of(function)


def package_of(function):
    """By construction, and by where the standard library is not. Other packages that are installed
    are of setuptools: it can hook into the start of each program.
    """
    file, module = function[0], function[3]
    if file.startswith(str(APP)):
        return str(APP)
    if file.startswith(str(SITE)):
        return str(SITE)
    if file.startswith(str(LIB)):
        return {"libx": "Lib-X", "spaced.one.code": "spaced-one",
                "spaced.two.code": "spaced-two"}[module]
    if "-packages/_distutils_hack/" in file:
        return "setuptools"
    assert "-packages/" not in file
    return file if file == "<string>" else "python"


# The report


def rows(*args):
    """Returns {name: Numbers}, {(caller, callee): Numbers} and the names whose cumtime is a bound."""
    report, = json.loads(read("-f", "json", *args).out)["reports"]

    def values(f):
        return Numbers(f["total_calls"], f["primitive_calls"], round(f["tottime"] * 1e9),
                       round(f["cumtime"] * 1e9))

    def name(f):
        return f["name"] if f["file_name"] == "~" else (f["file_name"], f["line_number"], f["name"])

    found = {name(f): values(f) for f in report["functions"]}
    assert len(found) == len(report["functions"])
    edges = {(name(c), name(f)): values(c) for f in report["functions"] for c in f["callers"]}
    return found, edges, {name(f) for f in report["functions"] if f["cumtime_is_bound"]}


def differences(ours, theirs):
    return ["%s: found %s, expected %s" % (k, ours.get(k), theirs.get(k))
            for k in sorted(ours.keys() | theirs.keys(), key=str) if ours.get(k) != theirs.get(k)]


def assert_same(found, expected):
    assert len(expected[0]) > 2
    assert not differences(found[0], expected[0])
    assert not differences(found[1], expected[1])
    assert not found[2]


@pytest.fixture
def case(python, run_shim, shim_dir, tmp_path_factory):
    """case(k, **settings): runs the program, k times as long, and returns its recording and truth."""
    def run(k=1, program=RUN, cwd=APP, **settings):
        args = (str(k),) if program == RUN else ()
        env = environment(LD_PRELOAD=str(SHIM), PYSHIM_DIR=str(shim_dir), **settings)
        done = run_shim([python.exe, program, *args], env=env, cwd=cwd)
        to = tmp_path_factory.getbasetemp() / ("%s-%s-%s.json" % (python.tag, program.stem, k))
        return done.recording, truth(python.exe, program, args, cwd, str(to))

    return run


def test_modules_are_those_that_python_names(case):
    recording, tree = case()
    expected = numbers(tree, module_of)
    assert {"run", "pkg", "pkg.sub.deep", "ns.leaf", "libx", "json.decoder", "builtins", "_io",
            "importlib._bootstrap", "<string>"} <= expected[0].keys()
    assert_same(rows("--by-module", recording), expected)


def test_modules_without_builtins(case):
    recording, tree = case()
    assert_same(rows("--by-module", "--no-builtins", recording), numbers(tree, without_c(module_of)))


def test_packages_are_distributions_and_folders(case):
    recording, tree = case()
    expected = numbers(tree, package_of)
    assert {"Lib-X", "spaced-one", "spaced-two", "python", str(APP)} <= expected[0].keys()
    assert_same(rows("--by-package", recording), expected)


def test_files(case):
    recording, tree = case()
    assert_same(rows("--by-file", recording), numbers(tree, lambda f: f[0]))
    assert_same(rows("--by-file", "--strip-dirs", recording),
                numbers(tree, lambda f: os.path.basename(f[0])))


def as_import(function):
    """Importing is importlib, and module-level code except for the script's."""
    file, _, name, module = function
    code = name == "<module>" and module != "__main__" and file != "<string>"
    if code or module in IMPORTING or (file, name) == ("~", "__import__"):
        return "<import>"
    return None


def test_imports_are_one_row(case):
    recording, tree = case()
    expected = numbers(tree, as_import)[0]
    # Own times of functions that are not importing must not be added to it.
    others = numbers(tree, lambda f: as_import(f) or f[:3])
    found, edges, bounds = rows("--imports-as-one", recording)
    assert found["<import>"] == others[0]["<import>"]
    assert found["<import>"].total == expected["<import>"].total > found["<import>"].own
    assert {k: v for k, v in found.items() if k[0] == str(RUN)} == {
        k: v for k, v in others[0].items() if k[0] == str(RUN)}
    assert not bounds
    assert not any(isinstance(k, tuple) and k[2] == "<module>" and k[0] != "<string>"
                   for k in found if k[0] != str(RUN))
    assert sum(v.own for v in found.values()) == sum(v.own for v in others[0].values())


def test_imports_are_one_row_beside_modules(case):
    recording, tree = case()
    assert_same(rows("--imports-as-one", "--by-module", recording),
                numbers(tree, lambda f: as_import(f) or module_of(f)))


def run_module(python, run_shim, shim_dir, *args):
    env = environment(LD_PRELOAD=str(SHIM), PYSHIM_DIR=str(shim_dir), PYTHONPATH=str(APP),
                      PYSHIM_START="init")
    return run_shim([python.exe, *args], env=env).recording


def test_a_module_that_is_run_is_not_an_import(python, run_shim, shim_dir, tmp_path):
    (tmp_path / "tool.py").write_text("import ns.leaf\ndef f(): ns.leaf.touch(1)\nf()\n")
    env = environment(LD_PRELOAD=str(SHIM), PYSHIM_DIR=str(shim_dir),
                      PYTHONPATH="%s:%s" % (APP, tmp_path))
    recording = run_shim([python.exe, "-m", "tool"], env=env).recording
    found = rows("--imports-as-one", recording)[0]
    code = [k for k in found if k[2:] == ("<module>",)]
    assert code == [(str(tmp_path / "tool.py"), 1 if python.version < (3, 14) else code[0][1], "<module>")]


# Sources without paths


def assert_bounds(found, expected):
    """Calls and own times are exact. The others are at least as large, and equal without mark."""
    for mine, true in zip(found[:2], expected):
        assert mine.keys() == true.keys()
        for key, n in mine.items():
            assert (n.calls, n.own) == (true[key].calls, true[key].own), key
            assert n.primitive >= true[key].primitive and n.total >= true[key].total - 1, key
    for key in found[0].keys() - found[2]:
        assert found[0][key] == expected[0][key], key


@pytest.mark.parametrize("option, name_of", [("--by-module", module_of), ("--by-package", package_of)])
def test_a_pstats_file_has_bounds(case, tmp_path, option, name_of):
    recording, tree = case()
    stats = tmp_path / "x.pstats"
    read("-o", stats, recording)
    found = rows(option, stats)
    assert_bounds(found, numbers(tree, name_of))
    assert found[2] and found[2] != found[0].keys()
    text = read(option, stats).out.decode()
    assert "%d of %d rows: cumtime and primitive calls are upper bounds" % (
        len(found[2]), len(found[0])) in text
    assert "upper bounds" not in read(option, recording).out.decode()


def test_what_was_folded_has_bounds(case):
    recording, tree = case(40, PYSHIM_BUFFER="64K")
    found = rows("--by-module", recording)
    assert_bounds(found, numbers(tree, module_of))


def test_a_recording_and_a_pstats_file(case, tmp_path):
    recording, tree = case()
    stats = tmp_path / "x.pstats"
    read("-o", stats, recording)
    expected = [{k: Numbers(*(2 * v for v in n)) for k, n in part.items()}
                for part in numbers(tree, module_of)]
    assert_bounds(rows("--by-module", recording, stats), expected)
    assert_same(rows("--by-module", recording, recording), expected)


# Other programs, and Python's own words


@pytest.mark.parametrize("name", ["json_roundtrip", "argparse_tool", "third_pygments"])
def test_real_programs(case, python, tmp_path, name):
    needs = name[len("third_"):] if name.startswith("third_") else None
    if needs and not has_module(python.exe, needs):
        pytest.skip("%s has no %s" % (python.tag, needs))
    recording, tree = case(program=DATA / "programs" / (name + ".py"), cwd=tmp_path)
    assert_same(rows("--by-module", recording), numbers(tree, module_of))


PACKAGES = """\
import importlib.metadata, json
print(json.dumps(importlib.metadata.packages_distributions()))
"""


def test_distributions_are_those_that_python_names(case, python):
    if python.version < (3, 10):
        pytest.skip("%s has no packages_distributions()" % python.tag)
    out = run_bare([python.exe, "-c", PACKAGES], env={"PYTHONPATH": str(LIB)}).out
    known = json.loads(out)
    recording, tree = case()
    found = rows("--by-package", recording)[0]
    names = set()
    for file, _, _, module in tree[1]:
        if "site-packages" in file or "dist-packages" in file:
            names |= set(known.get(module.partition(".")[0], ()))
    # Before 3.11 it reads top_level.txt only.
    assert names >= {"Lib-X", "spaced-one", "spaced-two"} or python.version < (3, 11)
    assert "Lib-X" in names
    assert names <= found.keys()


def test_the_standard_library_is_known(python):
    probe = "import sys; print(*getattr(sys, 'stdlib_module_names', sys.builtin_module_names))"
    names = set(run_bare([python.exe, "-c", probe]).out.decode().split())
    table = (BUILD.parent / "reader/profile/stdlib.def").read_text()
    unknown = names - set(re.findall(r"STDLIB\((\w+)\)", table))
    # Modules of tests, and what no C function can be called in.
    assert not {n for n in unknown if not re.match(r"_*(test|xx|phello|hello|main|sysconfigdata)|_\w+_failed", n)}


# Formats


def pstats_text(path, *calls):
    """Returns what Python's pstats prints, without the lines about the file."""
    out = __import__("io").StringIO()
    stats = pstats.Stats(str(path), stream=out).sort_stats("cumulative")
    for call in calls:
        getattr(stats, call)()
    return body(out.getvalue())


def body(text):
    """Returns a report from its heading on."""
    return text[re.search("^(   ncalls|Function)", text, re.M).start():].strip()


@pytest.mark.parametrize("options, call", [([], "print_stats"), (["--callers"], "print_callers"),
                                           (["--callees"], "print_callees")])
def test_text_is_what_pstats_prints(case, tmp_path, options, call):
    recording, _ = case()
    for by in "--by-module", "--imports-as-one":
        stats = tmp_path / "x.pstats"
        read(by, "-o", stats, recording)
        text = read("-q", by, *options, recording).out.decode()
        assert body(text) == pstats_text(stats, call)


def test_paths_of_modules(case):
    recording, tree = case()
    own = collections.Counter()
    for line in read("-f", "collapsed", "--by-module", recording).out.decode().splitlines():
        path, _, ns = line.rpartition(" ")
        path = path.split(";")
        assert all(a != b for a, b in zip(path, path[1:]))
        own[path[-1].replace("{", "<").replace("}", ">")] += int(ns)
    assert own == {k: v.own for k, v in numbers(tree, module_of)[0].items() if v.own}


def test_threads_have_modules_of_their_own(python, run_shim, tmp_path):
    program = tmp_path / "app.py"
    program.write_text("import json, threading\n"
                       "def f(n): [json.loads('[]') for i in range(n)]\n"
                       "t = threading.Thread(target=f, args=(7,), name='seven')\n"
                       "t.start(); t.join()\nf(5)\n")
    recording = run_shim([python.exe, program], env={"PYSHIM_CLOCK": "count"}).recording
    reports = json.loads(read("-f", "json", "--threads", "--by-module", recording).out)["reports"]
    calls = {r["thread"]["name"]: {f["name"]: f for f in r["functions"]} for r in reports}
    inner = python.version < (3, 12)  # a list comprehension is a call
    assert calls["seven"]["app"]["total_calls"] == 1 + inner
    assert calls["seven"]["json"]["total_calls"] == 7
    assert calls["MainThread"]["json"]["total_calls"] == 5 + 1  # its module-level code
    seven = rows("--by-module", "--thread", "seven", recording)
    assert seven[0]["json"].calls == 7 and not seven[2]


# Options


def test_json_says_how_functions_are_added_up(case):
    recording, _ = case()
    for options, by, imports in (([], None, False), (["--by-file"], "file", False),
                                 (["--by-package", "--imports-as-one"], "package", True)):
        report, = json.loads(read("-f", "json", *options, recording).out)["reports"]
        assert (report["grouped_by"], report["imports_as_one"]) == (by, imports)
        text = read(*options, recording).out.decode()
        assert ("added up by %s" % by in text) == bool(by)
        assert ("importing is one row" in text) == imports


@pytest.mark.parametrize("options", [["--by-module", "--by-file"], ["--by-file", "--by-package"],
                                     ["--by-package", "--by-module", "--by-file"]])
def test_functions_are_added_up_in_one_way(options):
    done = run_bare([READER, *options, "x"])
    assert done.status == 2 and done.err.count(b"\n") == 1 and b"--by-" in done.err


def test_browsing_modules(case):
    recording, _ = case()
    done = subprocess.run([READER, "--browse", "--by-module", recording], input=b"stats walk\nquit\n",
                          stdout=subprocess.PIPE, check=True)
    assert b"pkg.walk" in done.stdout and b"run.py" not in done.stdout.partition(b"ncalls")[2]
