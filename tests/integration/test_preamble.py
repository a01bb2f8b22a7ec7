# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text above a report: one paragraph for each source or one table for many, the difference
between the total and the elapsed time, and singular and plural forms.
"""

import json
import os
import re
import textwrap

import pytest

from conftest import PYTHONS, READER, patch, read, run_bare

TREE = """\
import os, subprocess, sys, time
def work(): time.sleep(0.1)
def fork(then):
    pid = os.fork()
    if not pid:
        then()
        os._exit(0)
    return pid
def grandchild(): work()
def child():
    work()
    os.waitpid(fork(grandchild), 0)
work()
children = [fork(child) for _ in range(2)]
subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(0.1)  # \\x1b" + "long " * 100])
for pid in children: os.waitpid(pid, 0)
"""
ROW = re.compile(r"^ *(\d+) +(\d+) +(\d+\.\d{3}|-) +(\d+\.\d{3}|-) +(\d+) +(\d+) +(\S+)  ( *)(\S.*)$")
HEAD = "      pid   parent      wall       cpu      events threads      lost  command"
RAW = "  raw times: no calibration fits (pyshim-read --calibrate 100000 makes one)"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Recordings of six processes, the oldest first."""
    folder = tmp_path_factory.mktemp("tree")
    from conftest import SHIM, _started
    done = run_bare([PYTHONS[-1].exe, "-S", "-c", TREE],
                    env={"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    assert done.status == 0, done.err
    found = sorted(folder.iterdir(), key=_started)
    assert len(found) == 6
    return found


def above(text):
    """Returns the lines above the first table of functions."""
    return text[:re.search(r"^ +\d+ function calls ", text, flags=re.M).start()].splitlines()


def sources_of(*recordings):
    return json.loads(read("-f", "json", *recordings).out)["sources"]


def test_many_sources_are_listed_in_one_table(tree):
    """In any order of sources, children are below parents, common lines appear once, and the report
    is last.
    """
    for sources in tree, tree[::-1], tree[3:] + tree[:3]:
        text = read("-r", "work", *sources).out.decode()
        lines = above(text)
        assert lines[0].startswith("pyshim: 6 recordings, CPython 3.") and lines[1] == HEAD
        rows = [ROW.match(line) for line in lines[2:8]]
        assert all(rows) and not ROW.match(lines[8]), lines
        assert lines.count(RAW) == 1 and "command:" not in text
        stack = []
        for row in rows:
            depth = len(row[8]) // 2
            del stack[depth:]
            assert not depth or stack[-1] == row[2]
            stack.append(row[1])
        assert sorted(len(row[8]) for row in rows) == [0, 2, 2, 2, 4, 4]
        assert sum(row[9] == "(forked)" for row in rows) == 4
        assert text.count("function calls") == 1 and text.endswith(read("-q", "-r", "work", *sources).out.decode())


def test_rows_of_sources_equal_json(tree):
    lines = above(read(*tree).out.decode())
    rows = {m[1]: m for m in map(ROW.match, lines) if m}
    for s in sources_of(*tree):
        row = rows[str(s["process"])]
        assert row[2] == str(s["parent"]) and row[3] == "%.3f" % s["recorded_s"] and row[4] == "-"
        assert (row[5], row[6], row[7]) == (str(s["events"]), str(s["n_threads"]), "-")
        command = re.sub(r"[\x00-\x1f\x7f]", "?", " ".join(s["command"]))
        if row[9] != "(forked)":
            assert row[9] == command or (row[9].endswith("...") and len(row[9]) == 100
                                         and command.startswith(row[9][:-3]))


def test_three_sources_have_a_paragraph_each(tree):
    text = read(*tree[:3]).out.decode()
    assert text.count("pyshim: /") == text.count("  command: ") == text.count(RAW) == 3
    assert HEAD not in text
    verbose = read("-v", *tree).out.decode()
    assert verbose.count("  command: ") == 6 and HEAD not in verbose
    assert read("--check", *tree).out.decode().count("self times add up") == 6


def test_pstats_files_are_counted_beside_recordings(tree, tmp_path):
    read("-o", tmp_path / "p", tree[0])
    lines = above(read(*tree[:3], tmp_path / "p").out.decode())
    assert lines[0].startswith("pyshim: 3 recordings and 1 pstats file, CPython")
    lines = above(read(*[tmp_path / "p"] * 5).out.decode())
    assert [line for line in lines if line] == ["pyshim: 0 recordings and 5 pstats files"]


def test_cpu_time_is_shown_if_it_is_the_clock(python, run_shim):
    done = run_shim([python.exe, "-S", "-c", TREE], env={"PYSHIM_CLOCK": "cpu"})
    lines = above(read(*done.recordings).out.decode())
    for s, row in zip(sources_of(*done.recordings), filter(None, map(ROW.match, lines[2:3]))):
        assert (row[3], row[4]) == ("-", "%.3f" % s["recorded_s"])
    assert "process CPU time" in lines[0]


def test_losses_of_many_sources_are_added_up(tree, tmp_path, abi):
    """The losses are added up, and the row of each source marks them."""
    copies = []
    for i, path in enumerate(tree):
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes())
        if i < 2:
            patch(copies[-1], abi["header.n_lost"], (3 + i).to_bytes(8, "little"))
    lines = above(read(*copies).out.decode())
    assert sum("7 events lost: the buffer was full" in line for line in lines) == 1
    assert sorted(m[7] for m in map(ROW.match, lines) if m) == ["-"] * 4 + ["3", "4"]


# Labels of tables


def test_each_labels_its_tables_without_a_preamble(tree, run_shim):
    text = read("-q", "--each", "-r", "1", *tree).out.decode()
    labels = re.findall(r"^pyshim: (\S+): CPython .*\n\n +\d+ function calls", text, flags=re.M)
    assert labels == [str(path) for path in tree] and text.count("pyshim:") == 6
    one = read("-q", "--each", "-r", "1", tree[0]).out
    assert one == read("-q", "-r", "1", tree[0]).out  # a single source needs no label
    text = read("--each", "-r", "1", *tree).out.decode()
    assert text.count(HEAD) == 1 and len(re.findall("^pyshim: /", text, flags=re.M)) == 6
    program = ("import threading\n"
               "def f(): pass\n"
               "for name in 'one', 'two':\n"
               "    t = threading.Thread(target=lambda: [f() for i in range(50)], name=name)\n"
               "    t.start(); t.join()\n")
    done = run_shim([PYTHONS[-1].exe, "-c", program])
    text = read("-q", "--threads", "-r", "1", done.recording).out.decode()
    assert re.findall(r"^pyshim: .*: thread \d+, #\d+, (\w+)\n\n +\d+ function calls", text,
                      flags=re.M) == ["MainThread", "one", "two"]


# The total and the elapsed time


def totals(text):
    return re.findall(r"^  (\d+\.\d+) s in functions(.*)", text, flags=re.M)


def test_total_above_elapsed_time_is_explained_by_threads(python, run_shim):
    program = ("import threading, time\n"
               "def f(): time.sleep(0.5)\n"
               "threads = [threading.Thread(target=f) for i in range(4)]\n"
               "for t in threads: t.start()\n"
               "for t in threads: t.join()\n")
    done = run_shim([python.exe, "-c", program])
    text = read(done.recording).out.decode()
    (seconds, why), = totals(text)
    assert float(seconds) > 2.4 and ": 5 threads, " in why
    assert "function calls" in text and (" in %s seconds\n" % seconds) in text
    assert not totals(read("--threads", done.recording).out.decode())


def test_time_outside_of_functions_is_explained(python, run_shim):
    """The difference is the shim's own time, and time at exit after the last frame."""
    program = ("import time\n"
               "class Late:\n"
               "    def __del__(self, sleep=time.sleep): sleep(0.05)\n"
               "late = Late()\n"
               "for i in range(3000): exec('def f%d(): pass\\nf%d()' % (i, i))\n")
    done = run_shim([python.exe, "-c", program])
    text = read(done.recording).out.decode()
    (seconds, why), = totals(text)
    assert " s of the shim's own work, not included" in why
    parts = [float(x) for x in re.findall(r"(\d+\.\d+) s (?:of|outside)", why)]
    recorded = float(re.search(r"^  (\d+\.\d+) s recorded", text, flags=re.M)[1])
    assert abs(float(seconds) + sum(parts) - recorded) < 0.003


def test_an_equal_total_is_not_explained(python, run_shim):
    done = run_shim([python.exe, "-S", "-c", "import time; time.sleep(1)"])
    assert not totals(read(done.recording).out.decode())


def test_total_above_elapsed_time_is_explained_by_processes(tree):
    for sources in tree, tree[:3]:
        text = read(*sources).out.decode()
        found = re.findall(r"^pyshim: (\d+\.\d+) s in functions, (\d+\.\d+) s from the first event to "
                           r"the last: processes ran in parallel", text, flags=re.M)
        assert len(found) == 1 and float(found[0][0]) > float(found[0][1])
        assert (" in %s seconds\n" % found[0][0]) in text
    assert "from the first event" not in read("--each", *tree[:2]).out.decode()
    assert "from the first event" not in read(tree[0]).out.decode()


# Singular and plural


@pytest.mark.parametrize("field, one, many", [
    ("header.n_lost", "event lost: the buffer was full", "events lost: the buffer was full"),
    ("header.n_unnamed", "function without a name", "functions without a name"),
    ("header.n_subinterpreters", "subinterpreter was created; its calls are",
     "subinterpreters were created; their calls are"),
])
def test_losses_have_singular_and_plural_forms(tree, tmp_path, abi, field, one, many):
    copy = tmp_path / "copy"
    copy.write_bytes(tree[0].read_bytes())
    for n, words in (1, one), (2, many):
        patch(copy, abi[field], n.to_bytes(8, "little"))
        assert "  %d %s" % (n, words) in read(copy).out.decode()
        err = read("-q", copy).err.decode()
        assert re.fullmatch(r"pyshim-read: read \S+: data was lost, or numbers do not add up:\n  %d %s.*\n"
                            % (n, re.escape(words)), err)


def test_counts_of_one_are_singular(run_shim):
    done = run_shim([PYTHONS[-1].exe, "-S", "-c", "pass"])
    text = read("--check", done.recording).out.decode()
    assert ", 1 thread, " in text and "(in 1 of 1 ring)" in text
    assert not re.search(r"\b1 (?:\w+ )?(?:events|threads|calls|rings|intervals|returns|functions)\b", text)


def test_rows_without_calls_are_explained(tree):
    """A line explains the rows without calls of a forked child."""
    child = next(p for p, s in zip(tree, sources_of(*tree)) if s["forked"])
    text = read(child).out.decode()
    assert re.search(r"^        0    0\.\d+            ", text, flags=re.M)
    assert re.search(r"^  \d+ calls were already running when recording started or continued: their "
                     r"times are reported, but they are not counted as calls$", text, flags=re.M)
    assert "already running" not in read(tree[0]).out.decode()


# Other files as sources


def test_other_files_are_refused_as_sources(tree, tmp_path):
    json_report = tmp_path / "report.json"
    json_report.write_bytes(read("-f", "json", tree[0]).out)
    done = read(json_report, status=1)
    assert done.err == (b"pyshim-read: read %s: found a report in JSON, expected a recording or a pstats file "
                        b"(-f pstats writes one)\n" % os.fsencode(json_report))
    err = read(tmp_path / "none", status=1).err
    assert err.endswith(b": No such file or directory, expected a recording or a pstats file\n")


def test_a_dash_as_output_is_standard_output(tree, tmp_path):
    assert run_bare([READER, "-o", "-", tree[0]], cwd=tmp_path).out == read(tree[0]).out
    done = run_bare([READER, "-o", "-", "-f", "pstats", tree[0]], cwd=tmp_path)
    assert not list(tmp_path.iterdir())
    read("-o", tmp_path / "p", tree[0])
    assert done.out == (tmp_path / "p").read_bytes()


# Qualified names


CLASSES = textwrap.dedent("""\
    def get(): pass
    class A:
        def get(self): pass
        class B:
            def get(self): return [i for i in self.items()]
            def items(self): yield len("")
    get(); A().get(); A.B().get()
    """)


def test_qualnames_prints_qualified_names(python, run_shim, tmp_path):
    """Code objects have qualified names from 3.11 on. Files for other programs keep plain names."""
    # A wall clock's tick length depends on the time of reading.
    done = run_shim([python.exe, "-S", "-c", CLASSES], env={"PYSHIM_CLOCK": "cpu"})
    plain, qualified = (read("-q", *o, done.recording).out.decode() for o in ((), ("--qualnames",)))
    if python.version < (3, 11):
        assert qualified == plain
        return
    for name in "1(get)", "3(A.get)", "5(A.B.get)", "6(A.B.items)", "1(<module>)", "{built-in method builtins.len}":
        assert qualified.count(name) == 1, name
    assert plain.count("(get)") == 3 and "A.get" not in plain
    text = read("-q", "--qualnames", "-r", r"A\.B\.get", done.recording).out.decode()
    assert text.count("(A.B.get)") == 1 and "(A.get)" not in text
    assert "(A.B.get)" in read("-q", "--qualnames", "--callers", done.recording).out.decode()
    for form in "json", "pstats":
        assert read("-f", form, "--qualnames", done.recording).out == read("-f", form, done.recording).out


def test_qualified_names_keep_the_number_of_their_code(run_shim):
    python = PYTHONS[-1]
    if python.version < (3, 11):
        pytest.skip("no qualified names before 3.11")
    source = "exec('class A:\\n def f(self): pass\\nA().f()\\n'); exec('class A:\\n def f(self): 1; pass\\nA().f()\\n')"
    done = run_shim([python.exe, "-S", "-c", source])
    text = read("-q", "--qualnames", "--by-code", done.recording).out.decode()
    assert "(A.f)" in text
    assert ("(A.f#2)" in text) == ("(f#2)" in read("-q", "--by-code", done.recording).out.decode())
