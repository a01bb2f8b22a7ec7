# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts, primitive counts and every caller edge against what sys.setprofile in Python sees.

A snippet is a section of a file in tests/data/truth/snippets. It is written to a file of its own,
with its line numbers kept, and run as `python snippet.py` twice: under the shim, and under the
truth harness (tests/data/truth/harness/sitecustomize.py, which describes its method). Both cover
the same time, from the first instruction of __main__ to the end of the process, in every thread and
in every process. So the two tables must be equal, with cProfile's names of C functions. Only these
are filtered:

- addresses in labels (`<built-in method __new__ of type object at 0x...>`), which differ from
  process to process: the digits are replaced and the rows added up, on both sides;
- rows and edges without a call, which a forked child has for the frames that were open at the fork.

The harness itself is compared with _lsprof in programs of one thread and one process, until
__main__ returns. The tables below list real differences between versions, with their reasons.
"""

import marshal
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import DATA, PYTHONS, counts_only, read_stats, run_bare

TRUTH = DATA / "truth"
# All runs have the same variables, including those of run_shim, because a program may count them.
SHIM = {"PYTHONPATH": "%s:%s" % (TRUTH / "harness", TRUTH / "modules"), "TRUTH_OUT": ""}
BARE = {**SHIM, "LD_PRELOAD": "", "PYSHIM_DIR": ""}


@dataclass(frozen=True)
class Snippet:
    name: str
    text: str
    threads: bool = False
    processes: int = 1
    status: int = 0
    since: tuple = (3, 8)


def load_snippets():
    for path in sorted((TRUTH / "snippets").glob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        heads = [i for i, line in enumerate(lines) if line.startswith("# ==== ")]
        for start, end in zip(heads, heads[1:] + [len(lines)]):
            name, flags = re.fullmatch(r"# ==== (\w+)(?: \((.*)\))?\n", lines[start]).groups()
            options = {}
            for flag in (flags or "").split(", ") if flags else ():
                key, _, value = flag.partition(" ")
                options[key] = (True if not value else int(value) if "." not in value
                                else tuple(map(int, value.split("."))))
            text = "\n" * start + "".join(lines[start:end])
            yield Snippet(name, text, **options)


SNIPPETS = list(load_snippets())
CASES = [pytest.param(p, s, id="%s-%s" % (s.name, p.tag))
         for s in SNIPPETS for p in PYTHONS if p.version >= s.since]

# {snippet: [(first version, version after the last, reason)]}: errors of _lsprof itself.
LSPROF_FAILS = {
    "bound_method_of_a_c_function": [
        ((3, 12), (3, 14), "C_RETURN comes without CALL: _lsprof then ends the calling function")],
    "method_descriptor_without_its_object": [
        ((3, 12), (3, 13, 18), "_lsprof's callback fails to bind the descriptor, and is removed")],
}

# {snippet: [(first version, version after the last, rows, reason)]}: rows that the shim's and
# _lsprof's event source reports less of than sys.setprofile. These rows and their edges are not
# compared.
SHIM_DIFFERS = {
    "bound_method_of_a_c_function": [
        ((3, 13), (3, 14), ("<built-in method builtins.ord>", "<built-in method builtins.chr>"),
         "sys.setprofile looks into a bound method, CALL shows the method object only")],
}

# {snippet: [(first version, version after the last, reason)]}: returns without a call.
STRAY_RETURNS = {
    "bound_method_of_a_c_function": [((3, 12), (3, 13), "3.12.0 to 3.12.4: C_RETURN without CALL")],
}


def write_snippet(snippet, folder):
    path = folder / ("snippet_%s.py" % snippet.name)  # not a name of the standard library
    path.write_text(snippet.text, encoding="utf-8")
    return path


def plain(label):
    file, line, name = label
    return file, line, re.sub(r"0x[0-9a-f]+", "0x...", name) if file == "~" else name


def add_up(rows):
    """Returns [(label, calls, primitive calls, {caller: (calls, primitive calls)})] by label."""
    table = {}
    for label, calls, primitive, callers in rows:
        row = table.setdefault(plain(label), [0, 0, {}])
        row[0] += calls
        row[1] += primitive
        for caller, (nc, cc) in callers.items():
            edge = row[2].setdefault(plain(caller), [0, 0])
            edge[0] += nc
            edge[1] += cc
    return flat(table)


def flat(table):
    """Returns {(function,) or (function, caller): (calls, primitive calls)}, without rows of no
    calls.
    """
    out = {}
    for function, (calls, primitive, callers) in table.items():
        out[function,] = calls, primitive
        for caller, edge in callers.items():
            out[function, caller] = tuple(edge)
    return {k: v for k, v in out.items() if v[0]}


def truth_rows(path):
    """Returns the rows of a file of the harness. Open calls end with the file."""
    for functions, edges, stack, inherited, stray in marshal.loads(path.read_bytes()):
        functions, edges = dict(functions), dict(edges)
        labels = {key: f[0] for key, f in functions.items()}
        for depth in reversed(range(inherited, len(stack))):
            key, pair = stack[depth], tuple(stack[depth - 1:depth + 1])
            for table, k in ((functions, key), (edges, pair)) if depth else ((functions, key),):
                *label, level, calls, recursive = table[k]
                table[k] = *label, level - 1, calls + 1, recursive + (level > 1)
        for key, (label, level, calls, recursive) in functions.items():
            yield label, calls, calls - recursive, {}
        for (caller, key), (level, calls, recursive) in edges.items():
            yield labels[key], 0, 0, {labels[caller]: (calls, calls - recursive)}


def listed(table, snippet, python):
    return [e for e in table.get(snippet.name, ()) if e[0] <= python.version < e[1]]


def run_truth(python, snippet, path):
    """Runs under the harness. Returns (Run, {suffix: files in the order of the processes' start}).
    """
    out = path.parent / "truth"
    run = run_bare([python.exe, path], env={**BARE, "TRUTH_OUT": str(out)})
    assert run.status == snippet.status, (run.status, run.out, run.err)
    files = sorted(path.parent.glob("truth.*"))
    if not listed(STRAY_RETURNS, snippet, python):
        strays = [thread[4] for f in files for thread in marshal.loads(f.read_bytes())]
        assert not any(strays), strays
    return run, {end: [f for f in files if f.suffix == end] for end in (".end", ".module")}


def show(key):
    function, *caller = ["%s:%s(%.60s)" % (Path(k[0]).name, k[1], k[2]) for k in key]
    return function + "".join("  called by " + c for c in caller)


def differences(what, got, truth, limit=40):
    """Returns one line for each row or edge that differs, with (calls, primitive calls) of both."""
    lines = ["%s: truth %s, %s %s" % (show(k), truth.get(k, "none"), what, got.get(k, "none"))
             for k in sorted(set(got) | set(truth)) if got.get(k) != truth.get(k)]
    if len(lines) > limit:
        lines[limit:] = ["... and %d more" % (len(lines) - limit)]
    return "\n".join(lines)


def expect_equal(what, got, truth):
    text = differences(what, got, truth)
    if text:
        pytest.fail("\n" + text, pytrace=False)


def test_at_least_the_expected_snippets_exist():
    assert len(SNIPPETS) >= 60 and len({s.name for s in SNIPPETS}) == len(SNIPPETS)


def lsprof_table(interpreter, path):
    """Returns the table of _lsprof until __main__ returns, by label."""
    out = path.parent / "lsprof"
    run = run_bare([interpreter.exe, TRUTH / "harness" / "by_lsprof.py", out, path], env=BARE)
    assert run.status == 0, run.err
    rows = []
    for caller, calls, recursive, subcalls in marshal.loads(out.read_bytes()):
        rows.append((caller, calls, calls - recursive, {}))
        rows += ((f, 0, 0, {caller: (nc, nc - rc)}) for f, nc, rc in subcalls)
    return add_up(rows)


def shim_table(recording):
    stats = counts_only(read_stats(recording, options=["--strict", "--cprofile-labels"]))
    return add_up((f, nc, cc, callers) for f, (cc, nc, callers) in stats.items())


def has_third_opinion(snippet, python):
    return (not snippet.threads and snippet.processes == 1 and not snippet.name.startswith("exit_")
            and not listed(LSPROF_FAILS, snippet, python))


@pytest.mark.parametrize("interpreter, snippet", CASES)
def test_counts_and_edges_equal_those_of_setprofile(interpreter, snippet, tmp_path, run_shim):
    path = write_snippet(snippet, tmp_path)
    bare, files = run_truth(interpreter, snippet, path)
    if has_third_opinion(snippet, interpreter):
        truth = add_up(truth_rows(files[".module"][0]))
        expect_equal("_lsprof", lsprof_table(interpreter, path), truth)
    run = run_shim([interpreter.exe, path], env=SHIM, status=snippet.status)
    assert run.out == bare.out
    assert len(files[".end"]) == snippet.processes, "processes that the harness saw"
    assert len(run.recordings) == snippet.processes, "processes that the shim recorded"
    for file, recording in zip(files[".end"], run.recordings):
        tables = shim_table(recording), add_up(truth_rows(file))
        for _, _, names, _ in listed(SHIM_DIFFERS, snippet, interpreter):
            tables = [{k: v for k, v in t.items() if k[0][2] not in names} for t in tables]
        expect_equal("shim", *tables)


RECURSIONS = {"python": "f(n + 1)", "c": "max([n], key=f)", "eval": "eval('f(n + 1)')"}


@pytest.mark.parametrize("through", RECURSIONS)
def test_recursion_reaches_the_same_limit(python, through, tmp_path, run_shim):
    """The recursion limit applies at the same depth as without the shim, and all calls are counted.

    sys.setprofile in Python needs frames itself, so the program counts.
    """
    path = tmp_path / "program.py"
    path.write_text("""
import sys

calls = 0

def f(n):
    global calls
    calls += 1
    return %s

for limit in 200, 500, 900:
    sys.setrecursionlimit(limit)
    try:
        f(0)
    except RecursionError:
        pass
print(calls)
""" % RECURSIONS[through])
    bare = run_bare([python.exe, path], env=BARE)
    run = run_shim([python.exe, path], env=SHIM)
    # Under any profiler, cProfile included, 3.11 runs no specialised bytecode. An unspecialised
    # call of `eval` takes one more level.
    if through != "eval" or python.version[:2] != (3, 11):
        assert (run.out, run.err) == (bare.out, bare.err)
    table = shim_table(run.recording)
    assert [v[0] for k, v in table.items() if len(k) == 1 and k[0][2] == "f"] == [int(run.out)]


def test_recursion_100000_deep_is_counted(python, tmp_path, run_shim):
    """From 3.11 on Python calls need no C stack. Before, the depth is that of 8 MB of stack."""
    depth = 100000 if python.version >= (3, 11) else 8000
    path = tmp_path / "program.py"
    path.write_text("import sys\nsys.setrecursionlimit(10 ** 6)\n"
                    "def f(n):\n    return n and f(n - 1)\nf(%d)\n" % depth)
    table = shim_table(run_shim([python.exe, path], env=SHIM).recording)
    row, = ((k, v) for k, v in table.items() if len(k) == 1 and k[0][2] == "f")
    assert row[1] == (depth + 1, 1)
    assert table[row[0] * 2] == (depth, 1)


FORMS = {
    "module": ["-m", "truth_package"],
    "command": ["-c", "def f(n):\n    return abs(n)\nfor i in range(3):\n    f(i)"],
    "stdin": ["-"],
    "folder": [TRUTH / "modules" / "truth_package"],
    "options": ["-OO", "-W", "error", "-X", "utf8", TRUTH / "modules/truth_package/leaf.py"],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_running_has_the_same_counts(python, form, tmp_path, run_shim):
    """All forms are recorded from the first instruction of __main__, with any code before it."""
    args = [python.exe, *FORMS[form]]
    program = b"import truth_package\ntruth_package.outer(2)\n"
    out = tmp_path / "truth"
    bare = run_bare(args, env={**BARE, "TRUTH_OUT": str(out)}, input=program)
    assert bare.status == 0, bare.err
    run = run_shim(args, env=SHIM, input=program)
    assert run.out == bare.out
    truth, = tmp_path.glob("truth.*.end")
    expect_equal("shim", shim_table(run.recording), add_up(truth_rows(truth)))
