# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real programs: every function, count, caller edge and time equals cProfile's.

Each program of tests/data/programs/ runs twice on each interpreter: under the shim, and with the
interpreter's own _lsprof, which cProfile is made of. Both runs begin and end at the same event and
import the same modules before; programs/site/sitecustomize.py does that and says how. Both count
events instead of seconds: a tick passes whenever _lsprof would read its timer, at each enter and
at each leave that has a matching enter. So times are whole numbers, and equal.

C functions have cProfile's labels (--cprofile-labels); test_labels.py tests our own.
Before the comparison the two tables are changed only in this way:
  - _lsprof's entries that share (file, line, name) are added up, where cProfile overwrites;
  - addresses inside labels (`<built-in method __new__ of type object at 0x...>`) become `0x`;
  - the call that ends the run, os._exit here and Profiler.disable there, gets one name. It and its
    caller `end` are still open then: _lsprof reads its timer once more for each that it closes,
    a recording closes all at its last tick. Their times, and theirs alone, are not compared.
"""

import functools
import marshal
import re
import shutil

import pytest

from conftest import DATA, SHIM, counts_only, read_stats, run_bare

PROGRAMS = sorted((DATA / "programs").glob("*.py"))
SITE = DATA / "programs" / "site"
ENDS = {"<built-in method posix._exit>", "<method 'disable' of '_lsprof.Profiler' objects>"}
PRELOAD = {"third_sympy": "seeded_sympy"}
THE_END = ("~", 0, "<the end>")
LAST = {THE_END, (str(SITE / "sitecustomize.py"), "end")}


@functools.lru_cache(maxsize=None)
def has_module(exe, name):
    probe = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
    return run_bare([exe, "-c", probe, name]).status == 0


def relabel(function):
    file, line, name = function
    if file != "~":
        return function
    return THE_END if name in ENDS else (file, line, re.sub(r"\b0x[0-9a-f]+", "0x", name))


def merged(pairs):
    total = {}
    for key, values in pairs:
        old = total.get(key, (0,) * len(values))
        total[key] = tuple(a + b for a, b in zip(old, values))
    return total


def comparable(stats, tick):
    """Returns the table with functions renamed as above, and times in ticks of `tick` seconds."""

    def ticks(seconds):
        return round(seconds / tick)

    flat = merged(
        (relabel(f), (cc, nc, ticks(tt), ticks(ct))) for f, (cc, nc, tt, ct, _) in stats.items()
    )
    callers = {}
    for f, values in stats.items():
        edges = (
            (relabel(c), (nc, cc, ticks(tt), ticks(ct)))
            for c, (nc, cc, tt, ct) in values[4].items()
        )
        callers.setdefault(relabel(f), []).extend(edges)
    return {f: (*flat[f], merged(callers[f])) for f in flat}


def times_only(stats):
    def is_last(f):
        return f == THE_END or (f[0], f[2]) in LAST

    return {
        f: (tt, ct, {c: e[2:] for c, e in callers.items()})
        for f, (_, _, tt, ct, callers) in stats.items()
        if not is_last(f)
    }


def differences(ours, theirs, limit=25):
    """Returns lines that name the differences between two tables, with each caller; [] if equal."""
    lines = []
    for f in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(f), theirs.get(f)
        if a is None or b is None:
            lines.append("%s only %s: %r" % (f, "shim" if a else "_lsprof", a or b))
            continue
        if a[:-1] != b[:-1]:
            lines.append("%s shim %r, _lsprof %r" % (f, a[:-1], b[:-1]))
        for c in sorted(a[-1].keys() | b[-1].keys()):
            x, y = a[-1].get(c), b[-1].get(c)
            if x != y:
                lines.append("%s <- %s shim %r, _lsprof %r" % (f, c, x, y))
    return lines[:limit] + ["... and %d more" % (len(lines) - limit)] * (len(lines) > limit)


def environment(program, **changes):
    """Defines the same variable names in both runs, because some libraries look at all of them."""
    names = {"PYTHONPATH": str(SITE), "PRELOAD": PRELOAD.get(program.stem, ""), "PROFILE_TO": ""}
    return {**names, "LD_PRELOAD": "", "PYSHIM_DIR": "", "PYSHIM_CLOCK": "count", **changes}


def fresh(where):
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    return where


def reference(python, program, where):
    """Returns the program's stdout and its table by _lsprof."""
    table = where.with_suffix(".table")
    env = environment(program, PROFILE_TO=str(table))
    done = run_bare([python.exe, program], env=env, cwd=fresh(where))
    assert (done.status, done.err) == (0, b""), done
    return done.out, comparable(marshal.loads(table.read_bytes()), 1)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_a_program_has_the_same_profile_as_by_cprofile(python, program, run_shim, shim_dir, tmp_path):
    needs = program.stem[len("third_"):] if program.stem.startswith("third_") else None
    if needs and not has_module(python.exe, needs):
        pytest.skip("%s has no %s" % (python.tag, needs))
    work = tmp_path / "work"
    env = environment(program, LD_PRELOAD=str(SHIM), PYSHIM_DIR=str(shim_dir))
    done = run_shim([python.exe, program], env=env, cwd=fresh(work))
    assert done.err == b""
    ours = comparable(read_stats(done.recording, options=["--cprofile-labels"]), 1e-9)
    out, theirs = reference(python, program, work)
    assert done.out == out
    assert len(theirs) > 50

    lines = differences(counts_only(ours), counts_only(theirs))
    if not lines:
        lines = differences(times_only(ours), times_only(theirs))
    if lines:
        _, again = reference(python, program, work)
        if again != theirs:
            lines.insert(0, "_lsprof differs from itself: the program is not deterministic")
    assert not lines, "\n".join(lines)


def test_at_least_the_expected_programs_exist():
    names = {p.stem.split("_")[0] for p in PROGRAMS}
    wanted = "json ast tokenize compileall pydoc unittest difflib argparse xml decimal asyncio"
    assert set(wanted.split()) <= names
