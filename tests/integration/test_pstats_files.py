# SPDX-License-Identifier: LGPL-2.1-or-later
"""The file of `pyshim-read -o` can be read by the pstats of every version and by other programs,
like cProfile's. The text report is what that pstats prints of it. Names are complete, with any
characters.
"""

import json
import marshal
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from conftest import MEMORY, PYTHONS, SHIM, read, read_stats, run_bare

SAMPLE = """\
import json, re, textwrap
def leaf(n): return n * 2
def twice(n): return leaf(n) + leaf(n)
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
def gen(n):
    for i in range(n): yield leaf(i)
class Thing:
    def __init__(self, n): self.n = n
    def __lt__(self, other): return self.n < other.n
for i in range(7): twice(i)
fact(9); even(10); list(gen(5)); leaf(1)
sorted([Thing(n % 5) for n in range(20)])
sorted("hello", key=ord); len([]); "x".join(map(str, range(3)))
json.loads(json.dumps({"a": [1, 2, {"b": None}]}, indent=1))
textwrap.wrap("some words and more words " * 5, 30)
try: re.compile("(")
except re.error: pass
"""
SORT_KEYS = ["calls", "cumtime", "cumulative", "filename", "line", "module", "name", "ncalls",
             "nfl", "pcalls", "stdname", "time", "tottime"]
# Loads the files with another interpreter's pstats and uses every function of it.
LOAD = """\
import io, json, pstats, sys
keys, paths = json.loads(sys.argv[1]), sys.argv[2:]
for path in paths:
    out = io.StringIO()
    stats = pstats.Stats(path, stream=out)
    assert stats.total_calls == sum(v[1] for v in stats.stats.values())
    assert stats.prim_calls == sum(v[0] for v in stats.stats.values())
    before = len(stats.stats)
    for key in keys + [-1, 0, 1, 2]:
        stats.sort_stats(key).print_stats(10)
    stats.reverse_order().print_stats(.5, "leaf", 3)
    stats.sort_stats("time", "name").print_callers()
    stats.print_callees()
    stats.print_callees("twice")
    text = out.getvalue()
    assert "{built-in method builtins.len}" in text and "(leaf)" in text
    if hasattr(stats, "get_stats_profile"):
        assert stats.get_stats_profile().func_profiles["twice"].ncalls == "7"
    stats.strip_dirs().print_stats()
    assert any(f[0] == "decoder.py" for f in stats.stats), sorted(stats.stats)
    assert before * .9 < len(stats.stats) <= before
total = pstats.Stats(paths[0], stream=io.StringIO())
for path in paths[1:]:
    total.add(path)
total.add(*[pstats.Stats(p, stream=io.StringIO()) for p in paths])
total.sort_stats("calls").print_stats().print_callers().print_callees()
count = sum(v[1] for f, v in total.stats.items() if f[2] == "leaf")
assert count == 20 * 2 * len(paths), count
total.dump_stats(sys.argv[2] + ".again")
print("loaded", len(paths))
"""


def record(python, source_args, where, env=None):
    """Runs one command under the shim and returns its recording."""
    folder = tempfile.mkdtemp(dir=where)
    env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": folder, **(env or {})}
    done = run_bare([python.exe, *source_args], env=env, cwd=folder)
    assert (done.status, done.err) == (0, b""), done
    (recording,) = Path(folder).glob("pyprof.*")
    return recording


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """{interpreter: pstats file of SAMPLE}"""
    folder = tmp_path_factory.mktemp("samples")
    script = folder / "sample.py"
    script.write_text(SAMPLE)
    where = tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY)
    files = {}
    try:
        for python in PYTHONS:
            files[python] = (record(python, [script], where), folder / (python.tag + ".pstats"))
            read("-o", files[python][1], files[python][0])
        yield files
    finally:
        shutil.rmtree(where, ignore_errors=True)


def test_pstats_of_every_version_loads_the_file(python, samples, tmp_path):
    """`python` loads the files of all interpreters."""
    files = [shutil.copy(pstats, tmp_path) for _, pstats in samples.values()]
    assert len(files) == len(PYTHONS)
    done = run_bare([python.exe, "-c", LOAD, json.dumps(SORT_KEYS), *files])
    assert done.out == b"loaded %d\n" % len(files), done.err.decode()[-2000:]
    again = marshal.loads(Path(files[0] + ".again").read_bytes())
    assert sum(v[1] for f, v in again.items() if f[2] == "leaf") == 40 * len(files)


def test_the_pstats_browser_opens_the_file(python, samples):
    """Users open the file with `python -m pstats`."""
    commands = b"sort calls\nstats 5\ncallers leaf\ncallees twice\nstrip\nquit\n"
    done = run_bare([python.exe, "-m", "pstats", samples[python][1]], input=commands)
    assert done.status == 0 and b"List reduced from" in done.out, done
    assert b"Error" not in done.err and b"Traceback" not in done.err, done.err


def first_difference(ours, theirs):
    """Returns a short message on the first difference between two texts; "" if equal."""
    ours, theirs = ours.split("\n"), theirs.split("\n")
    for n, (a, b) in enumerate(zip(ours, theirs), 1):
        if a != b:
            return "line %d\n  pyshim-read: %r\n  pstats:      %r" % (n, a, b)
    if len(ours) != len(theirs):
        return "%d lines, not %d" % (len(ours), len(theirs))
    return ""


PRINT = """\
import io, json, pstats, sys
texts = []
for keys in json.loads(sys.argv[1]):
    stats = pstats.Stats(sys.argv[2], stream=io.StringIO())
    stats.files = []
    stats.sort_stats(*keys).print_stats()
    texts.append(stats.stream.getvalue())
sys.stdout.buffer.write("\\0".join(texts).encode("utf-8", "surrogateescape"))
"""


def pstats_texts(python, sorts, file):
    done = run_bare([python.exe, "-c", PRINT, json.dumps(sorts), file])
    assert done.status == 0, done.err
    return done.out.decode("utf-8", "surrogateescape").split("\0")


def test_the_text_report_equals_that_of_pstats(python, samples):
    """The text is equal to the byte, except for file names."""
    recording, pstats = samples[python]
    sorts = [[key] for key in [*SORT_KEYS, -1, 0, 1, 2]]
    sorts += [["calls", "name"], ["module", "line", "name"]]
    for keys, theirs in zip(sorts, pstats_texts(python, sorts, pstats)):
        options = [word for key in keys for word in ("-s", str(key))]
        ours = read("-q", *options, recording).out.decode("utf-8", "surrogateescape")
        assert not first_difference(ours, theirs), (keys, first_difference(ours, theirs))


def test_default_order_is_cumulative(samples):
    recording, pstats = samples[PYTHONS[-1]]
    (theirs,) = pstats_texts(PYTHONS[-1], [["cumulative"]], pstats)
    assert not first_difference(read("-q", recording).out.decode(), theirs)


def test_quiet_removes_the_preamble_only(samples):
    """Without -q, the same report follows the reader's own lines."""
    recording, _ = samples[PYTHONS[-1]]
    short, whole = read("-q", recording).out, read(recording).out
    assert whole.endswith(short) and len(whole) > len(short)


def test_sort_keys_may_be_abbreviated(samples):
    recording, _ = samples[PYTHONS[-1]]
    pairs = "cumu cumulative, cumt cumtime, cu cumtime, tot tottime, nc ncalls, m module"
    for short, full in map(str.split, pairs.split(",")):
        assert read("-q", "-s", short, recording).out == read("-q", "-s", full, recording).out
    for wrong in ("cum", "n", "sideways", "3"):
        done = read("-q", "-s", wrong, recording, status=2)
        assert done.out == b"" and wrong.encode() in done.err, (wrong, done)


def test_sources_are_added_up(samples):
    one = samples[PYTHONS[0]][0]
    other = samples[PYTHONS[-1]][0]
    a, b, both = read_stats(one), read_stats(other), read_stats(one, other)
    assert both.keys() == a.keys() | b.keys()
    none = (0, 0, 0, 0, {})
    wrong = [f for f in both if both[f][1] != a.get(f, none)[1] + b.get(f, none)[1]]
    assert not wrong, wrong[:10]
    twice = read_stats(one, one)
    assert {f: v[:2] for f, v in twice.items()} == {f: (2 * v[0], 2 * v[1]) for f, v in a.items()}


# Other consumers


def calltree_edges(text):
    """Returns {(caller's name, callee's name): calls} of a file in callgrind format."""
    names, edges, fn, cfn = {}, {}, None, None

    def name(value):
        number, _, full = value.partition(" ")
        if not re.fullmatch(r"\(\d+\)", number):
            return value
        return names.setdefault(number, full)

    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "fn":
            fn = name(value)
        elif key == "cfn":
            cfn = name(value)
        elif key == "calls":
            edges[fn, cfn] = edges.get((fn, cfn), 0) + int(value.split()[0])
    return edges


def test_pyprof2calltree_converts_the_file(python, samples, tmp_path):
    program = shutil.which("pyprof2calltree", path="/usr/bin:" + os.environ.get("PATH", ""))
    if not program:
        pytest.skip("no pyprof2calltree here (Debian's package of that name)")
    out = tmp_path / "calltree"
    done = run_bare([program, "-i", samples[python][1], "-o", out])
    assert done.status == 0, done.err
    edges = calltree_edges(out.read_text())
    wanted = {("<module>", "twice"): 7, ("twice", "leaf"): 14, ("gen", "leaf"): 5,
              ("<module>", "leaf"): 1, ("fact", "fact"): 8, ("even", "odd"): 5, ("odd", "even"): 5}
    found = {pair: edges.get(pair) for pair in wanted}
    assert found == wanted, sorted(edges)[:40]


# Odd names

ODD = r"""
import marshal, sys
ODD = [
    "lone \ud800 surrogate", "\udcff\udc80", "\U0001f40d astral", "é combining e\u0301",
    "nul \0 in it", "\0", "new\nline", "tab\tcr\resc\x1b[31m", "", " ", "a(b)c", "<x>", "~",
    "file:1(name)", "long " + 20000 * "é\0\n\ud8ff",
    "x" * 100000, "\u202eright to left", "quote ' \" \\", "%s %d {} $", "\ufeff\u2028",
]
written = {}
def note(function, calls):
    code = function.__code__
    key = (code.co_filename, code.co_firstlineno, code.co_name)
    written[key] = written.get(key, 0) + calls
    for i in range(calls): function()
def template(): pass
for n, name in enumerate(ODD):
    code = template.__code__
    for line, changes in enumerate((
        dict(co_name=name), dict(co_filename=name), dict(co_name=name, co_filename=name[::-1]),
    ), 10 * n + 1):
        note(type(template)(code.replace(co_firstlineno=line, **changes), {}), n + line)
    if "\0" not in name:
        space = {}
        exec(compile("\n" * n + "def f(): pass", name, "exec"), space)
        note(space["f"], n + 3)
note(type(template)(template.__code__.replace(co_firstlineno=2**31 - 1), {}), 2)
note(type(template)(template.__code__.replace(co_firstlineno=0), {}), 3)
with open(sys.argv[1], "wb") as f:
    marshal.dump(written, f, 4)
"""


def shown(function):
    return tuple(x if len(repr(x)) < 60 else repr(x)[:30] + "...%d" % len(x) for x in function)


def test_odd_names_are_complete(python, run_shim, tmp_path):
    """The names equal those that the program itself writes: not cut, replaced or merged."""
    script, table = tmp_path / "odd.py", tmp_path / "table"
    script.write_text(ODD)
    stats = read_stats(run_shim([python.exe, script, table]).recording)
    written = marshal.loads(table.read_bytes())
    assert len(written) > 70
    wrong = [
        "%s: %r, not %d" % (shown(f), stats[f][1] if f in stats else None, n)
        for f, n in written.items()
        if f not in stats or stats[f][1] != n
    ]
    assert not wrong, "\n".join(wrong[:10])
    extra = [f for f in stats if f not in written and f[0] != "~" and f[2] != "<module>"]
    extra = [f for f in extra if not os.path.isabs(f[0]) and "importlib" not in f[0]]
    assert not extra, [shown(f) for f in extra[:10]]


def test_odd_names_load_and_print(python, run_shim, tmp_path):
    """pstats of the same version loads them, and our report of them succeeds."""
    script, table = tmp_path / "odd.py", tmp_path / "table"
    script.write_text(ODD)
    recording = run_shim([python.exe, script, table]).recording
    out = tmp_path / "odd.pstats"
    read("-o", out, recording)
    check = "import pstats, sys; print(len(pstats.Stats(sys.argv[1]).sort_stats('name').stats))"
    done = run_bare([python.exe, "-c", check, out])
    assert int(done.out) == len(marshal.loads(out.read_bytes())), done.err
    assert len(read("-q", recording).out) > 500000
