# SPDX-License-Identifier: LGPL-2.1-or-later
"""The call tree as text, against paths of calls in speedscope's format (which test_path_formats.py
and test_contexts.py compare with what programs see) and calls that a program counts itself. Times
are compared as per cent: a counting clock's seconds are too few to be seen.
"""

import collections
import json
import re
import signal

import pytest

from conftest import BUILD, PYTHONS, READER, read, run_bare
from paths import COUNTS_ITSELF, PROGRAM
from test_path_formats import FORKS, KILLED, NAMES, ODD, root_of, speedscope
from test_terminal import on_terminal

REMARKS = re.compile(r"(.*?)(  \[running\])?(?:  \.\.\. (\d+) more, (<?\d+\.\d) %)?", re.S)


class Row:
    """A line. `path` has the labels from the outermost, levels too; `column` is that of the label."""

    def __init__(self, line, by_calls):
        self.percent, self.cumtime, self.tottime = float(line[:5]), float(line[6:14]), float(line[15:23])
        self.cumcalls, line = (int(line[24:32]), line[33:]) if by_calls else (None, line[24:])
        self.calls, self.depth, line = int(line[:8] or 0) if line[:8].strip() else None, line[9:14].strip(), line[15:]
        self.is_level = not self.depth
        self.depth = int(self.depth or 0)
        self.lines = re.match(r"~?(?:[| ] )*(?:[|`]-)?", line).group()
        self.column = len(self.lines)
        self.label, running, n, self.more = REMARKS.fullmatch(line[self.column:]).groups()
        self.running, self.n_more = bool(running), int(n or 0)


class Tree:
    """The rows of a tree, and what the whole leaves out."""

    def __init__(self, *args):
        text = read("-q", "--tree", *args).out.decode()
        lines = text.split("\n")
        title = next(i for i, line in enumerate(lines) if line.startswith("    %  cumtime"))
        self.heading = lines[:title]
        self.by_calls = "cumcalls" in lines[title]
        before = 48 if self.by_calls else 39
        self.rows, self.rest = [], (0, None)
        lines = lines[title + 1:]
        assert lines[-3:] == ["", "", ""]
        self.end = lines.pop(-4) if " calling contexts: " in lines[-4] else None
        for line in lines[:-3]:
            if line[:before].strip():
                self.rows.append(Row(line, self.by_calls))
            else:
                match = REMARKS.fullmatch(line[before - 2:])
                self.rest = int(match.group(3)), match.group(4)
        self.find_paths()

    def find_paths(self):
        """Finds callers by the lines, and compares the depths with them. ~: too many lines."""
        by_depth, open = {}, []
        for row in self.rows:
            if row.lines.startswith("~"):
                above = by_depth[row.depth - 1]
            else:
                column = row.column - 2 if row.lines.endswith("-") else row.column
                while open and open[-1].column > column:
                    open.pop()
                above = open[-1] if open else None
                open.append(row)
                assert above is None or above.column == column
            row.path = (above.path if above else ()) + (row.label,)
            assert row.is_level or row.depth == (above.depth if above else 0) + 1
            by_depth[row.depth] = row


def with_roots(tracks, roots):
    """Returns {path: nanoseconds} and {path: calls}, processes and threads included."""
    times, calls = collections.Counter(), collections.Counter()
    for t in tracks:
        for path, ns in t.time.items():
            times[root_of(t, roots) + path] += ns
        for path, n in t.calls.items():
            calls[root_of(t, roots) + path] += n
    return times, calls


def below(paths, pattern):
    """What happens below outermost functions that match, added up."""
    found = collections.Counter()
    for path, n in paths.items():
        at = next((i for i, label in enumerate(path) if re.search(pattern, label)), None)
        if at is not None and "(folded)" not in path:
            found[path[at:]] += n
    return found


def sums(paths):
    """The weight of each path with all below it."""
    found = collections.Counter()
    for path, n in paths.items():
        for i in range(len(path) + 1):
            found[path[:i]] += n
    return found


def shown(percent):
    return "<0.1" if 0 < percent < .05 else "%.1f" % percent


def about(text, percent):
    """True if the text is the number, which may be rounded up or down."""
    return text in {shown(percent - 1e-9), shown(percent), shown(percent + 1e-9)}


def check(tree, times, calls, least=0, depth=10 ** 9, n_roots=0):
    """Which contexts are shown, with which numbers, in which order, and what is left out of each."""
    weights = sums(calls if tree.by_calls else times)
    whole = weights[()]
    nodes = {path[:i] for path in [*times, *calls] for i in range(1, len(path) + 1)}
    chosen = {p for p in nodes if 100 * weights[p] >= least * whole and len(p) - n_roots <= depth}
    paths = [row.path for row in tree.rows]
    callees, rows = collections.defaultdict(list), collections.defaultdict(list)
    for path in nodes:
        callees[path[:-1]].append(path)
    for path in paths:
        rows[path[:-1]].append(weights[path])
    assert set(paths) == chosen and len(paths) == len(chosen)
    for row in tree.rows:
        assert about("%.1f" % row.percent, 100 * weights[row.path] / whole) or row.percent == 0
        assert row.is_level or row.calls == calls[row.path]
        assert not tree.by_calls or row.cumcalls == weights[row.path]
    for path, n, more in [((), *tree.rest)] + [(r.path, r.n_more, r.more) for r in tree.rows]:
        left_out = [weights[p] for p in callees[path] if p not in chosen]
        assert n == len(left_out), path
        assert not n or about(more, 100 * sum(left_out) / whole), path
        assert rows[path] == sorted(rows[path], reverse=True)
    assert (tree.end is None) == (chosen == nodes)
    assert chosen == nodes or tree.end.startswith("   %d of %d calling contexts: " % (len(chosen), len(nodes)))


def test_all_contexts_and_the_larger_ones(record):
    recording = record(PROGRAM).recording
    times, calls = with_roots(speedscope(recording), "thread")
    check(Tree("--min", "0", recording), times, calls)
    check(Tree("--min", "3.21%", recording), times, calls, 3.21)
    check(Tree(recording), times, calls, 1)
    check(Tree("--depth", "2", "--min=.5", recording), times, calls, .5, 2, 1)
    check(Tree("--calls", "--min=.7", recording), times, calls, .7)
    check(Tree("--no-builtins", recording), *with_roots(speedscope("--no-builtins", recording), "thread"), 1)
    check(Tree("--by-module", recording), *with_roots(speedscope("--by-module", recording), "thread"), 1)
    check(Tree("--thread", "w3", recording), *with_roots(speedscope("--thread", "w3", recording), "none"), 1)


def test_what_happens_below_a_function(record):
    recording = record(PROGRAM).recording
    times, calls = with_roots(speedscope(recording), "none")
    for pattern, *options in [r"\(fib\)"], [r"\(gen\)|sorted", "--min", "2.3"], [r"\(work\)$", "--calls"], ["json"]:
        tree = Tree("--root", pattern, *options, recording)
        within = below(times, pattern), below(calls, pattern)
        least = 2.3 if "--min" in options else 1
        check(tree, *within, least)
        head = next(line for line in tree.heading if line.startswith("   Below: functions that match "))
        percent = 100 * sum(within[0].values()) / sum(times.values())
        assert re.search("match %s, .*, (.*) %% of the time$" % re.escape(repr(pattern)), head)
        assert about(head.split()[-5], percent)


def test_calls_are_those_that_the_program_counts(record, tmp_path):
    out = tmp_path / "seen.json"
    recording = record(COUNTS_ITSELF, out).recording
    seen = json.loads(out.read_text())
    counts, merged = {}, collections.Counter()
    for row in Tree("--min", "0", "--no-builtins", recording).rows:
        names = [label.rpartition("(")[2][:-1] for label in row.path]
        if names[-1] == "count":
            counts[";".join(names[:-1])] = row.calls
    assert counts == seen and len(counts) > 100
    for path, n in seen.items():
        if ";b" in path:
            merged["b" + path.partition(";b")[2]] += n
    counts = {}
    for row in Tree("--min", "0", "--no-builtins", "--root", r"\(b\)", recording).rows:
        names = [label.rpartition("(")[2][:-1] for label in row.path]
        if names[-1] == "count":
            counts[";".join(names[:-1])] = row.calls
    assert counts == merged and len(counts) > 20


def test_processes_and_threads_are_roots(record):
    done = record(FORKS)
    check(Tree("--min=0", *done.recordings), *with_roots(speedscope(*done.recordings), "both"))
    child = done.recordings[1]
    each = read("-q", "--tree", "--each", *done.recordings).out
    assert each.count(b"    %  cumtime") == 2 and read("-q", "--tree", child).out in each
    one = Tree("--root", r"\(f\)", "--min=0", *done.recordings)
    times, calls = with_roots(speedscope(*done.recordings), "none")
    check(one, below(times, r"\(f\)"), below(calls, r"\(f\)"))
    assert [r.calls for r in one.rows if r.label.endswith("(f)")] == [3]  # 20, 5 and 30 times g
    assert sum(r.calls for r in one.rows if r.label.endswith("(g)")) == 55


def test_the_layout_of_a_small_tree(record):
    recording = record("def c(): pass\ndef b():\n c()\ndef a():\n b(); b(); c()\na(); c()\n").recording
    rows = Tree("--min=0", "--strip-dirs", "--root", "<module>", recording).rows
    assert [(r.lines, r.label[r.label.index("("):], r.calls, r.depth) for r in rows if r.label.startswith("program.py")] == [
        ("", "(<module>)", 1, 1),
        ("|-", "(a)", 1, 2),
        ("| |-", "(b)", 2, 3),
        ("| | ", "(c)", 2, 4),
        ("| `-", "(c)", 1, 3),
        ("`-", "(c)", 1, 2),
    ]


def test_calls_that_were_running_are_marked(record):
    tree = Tree("--min=0", record(KILLED, status=-signal.SIGKILL).recording)
    running = [row for row in tree.rows if row.running]
    assert len(running) == 23 and [row.depth for row in running] == list(range(1, 24))
    assert running[-1].label == "{built-in method posix.kill}" and running[-1].path == tuple(r.label for r in running)
    assert any(row.label.endswith("(g)") for row in tree.rows)


def test_what_was_folded(record):
    recording = record(PROGRAM * 3, PYSHIM_BUFFER="64K").recording
    times, calls = with_roots(speedscope(recording), "thread")
    tree = Tree("--min=0", recording)
    assert any(row.label == "(folded)" and row.is_level for row in tree.rows)
    for pattern in r"\(fib\)", r"\(work\)":
        tree = Tree("--min=0", "--root", pattern, recording)
        check(tree, below(times, pattern), below(calls, pattern))
        folded = sum(ns for path, ns in times.items() if "(folded)" in path)
        left = next(line for line in tree.heading if line.startswith("   Left out: "))
        assert about(left.split()[2], 100 * folded / sum(times.values())), (left, folded)


def test_names_of_all_kinds_are_one_line_each(record):
    tree = Tree("--min=0", record(ODD % ascii(NAMES)).recording)
    labels = [row.label for row in tree.rows]
    for name in NAMES:
        escaped = "".join("\\%s" % {"\n": "n", "\t": "t"}.get(c, "x%02x" % ord(c)) if c < " " else c for c in name)
        escaped = escaped.encode("utf-8", "backslashreplace").decode()
        file = escaped.replace("\\x00", "")
        assert sum(label == "/x/%s:1(%s)" % (file, escaped) for label in labels) == 1, name


DEEP = """\
import os, signal, sys
sys.setrecursionlimit(9000)
def leaf(): pass
def down(n):
    leaf(); abs(n)
    if n: down(n - 1)
    else: os.kill(os.getpid(), signal.SIGKILL)
down(800)
"""


def test_deep_calls(record):
    recording = record(DEEP, status=-signal.SIGKILL).recording
    lines = read("-q", "--tree", "--root=down", "--min=0", "--strip-dirs", recording).out.decode().split("\n")
    rows = [line for line in lines if "program.py:4(down)" in line]
    assert [int(line[33:38]) for line in rows] == list(range(1, 802))
    assert max(map(len, lines)) < 39 + 42 + 50
    chain = Tree("--root=down", recording).rows  # siblings are less than 1 % of it
    assert [row.depth for row in chain[:500]] == list(range(1, 501)) and {row.lines for row in chain[:500]} == {""}


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_on_a_terminal(run_shim, tmp_path, columns):
    path = tmp_path / ("long_" * 20) / "program.py"
    path.parent.mkdir()
    path.write_text(KILLED)
    recording = run_shim([PYTHONS[-1].exe, path], status=-signal.SIGKILL).recording
    shown = on_terminal([READER, "-q", "--tree", "--min=0", recording], size=(24, columns))[0].decode().split("\n")
    rows = [line for line in shown if line.endswith("[running]")]
    assert len(rows) == 23
    for line in rows[2:-1]:
        label = line[39:-len("  [running]")]
        whole = "%s:2(f)" % path
        if columns == 200 and len(whole) < 150:
            assert label.endswith(whole)
        else:
            assert "..." in label and whole.endswith(label[label.index("...") + 3:]) and label.endswith("program.py:2(f)")
        assert len(line) <= columns or columns == 60


def test_the_launcher_prints_it(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = run_bare([BUILD / "pyshim", "--tree", "--min", "5", "--root=(work)", PYTHONS[-1].exe, path], timeout=60)
    assert done.status == 0 and re.search(rb"\n100\.0 .* 1 [^\n]*program\.py:5\(work\)", done.err)
    out = tmp_path / "out.txt"
    run_bare([BUILD / "pyshim", "--tree", "-o", out, PYTHONS[-1].exe, path])
    assert b"    %  cumtime" in out.read_bytes()


@pytest.mark.parametrize("options", [
    ["--min", "3"], ["--depth=3"], ["--root", "f"], ["--calls"], ["--tree", "--min="], ["--tree", "--min=x"],
    ["--tree", "--min=-1"], ["--tree", "--min=101"], ["--tree", "--min=nan"], ["--tree", "--min=1%%"], ["--tree", "--depth=0"],
    ["--tree", "--depth=1x"], ["--tree", "--depth=99999999999"], ["--tree", "--root=("], ["--tree", "-s", "time"],
    ["--tree", "-r", "3"], ["--tree", "--reverse"], ["--tree", "-f", "json"], ["--tree", "-f", "speedscope"],
    ["--tree", "--callers"], ["--callees", "--tree"], ["--tree", "--threads"], ["--tree", "--no-subcalls"],
    ["--tree", "--exceptions"], ["--tree", "--check"], ["--tree", "--browse"], ["--tree", "--snapshot=x"],
    ["--tree", "--events=3"]], ids=" ".join)
def test_refused_options(options):
    done = run_bare([READER, *options, "/nonexistent"])
    assert done.status == 2 and not done.out and done.err.count(b"\n") == 1 and done.err.startswith(b"pyshim-read: read --")


def test_a_root_that_no_function_matches(record):
    done = record(FORKS)
    said = read("--tree", "--root", "no such function", *done.recordings, status=1)
    assert b"found no function that 'no such function' matches" in said.err and not said.out
    parent_only = r"threading\.py:\d+\(start\)"
    both = read("-q", "--tree", "--each", "--root", parent_only, *done.recordings).out
    assert both.count(b"Below: functions that match") == 2
