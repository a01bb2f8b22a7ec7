# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calling contexts, as the collapsed format shows them. Paths are compared with what the program
itself sees, and their sums with the report of functions, which other tests compare with cProfile.
"""

import collections
import json
import signal

import pytest

from conftest import DATA, READER, read, run_bare

PROGRAM = """\
import json, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def gen(n):
    for i in range(n): yield fib(i % 7)
def work(k):
    s = 0
    for x in gen(30 * k): s += x
    try: json.loads("{bad")
    except ValueError: pass
    sorted(range(50), key=lambda v: -v)
    return s
ts = [threading.Thread(target=work, args=(i,), name="w%d" % i) for i in range(1, 4)]
for t in ts: t.start(); t.join()
work(5)
"""

# Each call counts itself at the path of its callers, for Python functions: the ground truth.
COUNTS_ITSELF = """\
import atexit, collections, json, random, sys
seen = collections.Counter()
def count():
    f, path = sys._getframe(1), []
    while f:
        path.append(f.f_code.co_name)
        f = f.f_back
    seen[";".join(reversed(path))] += 1
def a(n):
    count()
    if n: random.choice((a, b, c))(n - 1)
    if n > 6: b(n - 5)
def b(n):
    count()
    if n: random.choice((a, c))(n - 1)
def c(n):
    count()
    if n: a(n - 1); list(map(b, [n // 3] * 2))
random.seed(7)
for i in range(40): random.choice((a, b, c))(i % 11)
json.dump(seen, open(sys.argv[1], "w"))
"""


def collapsed(*args):
    """Returns {(label, ...): nanoseconds}."""
    found = {}
    for line in read("-f", "collapsed", *args).out.decode("utf-8", "surrogatepass").splitlines():
        path, _, ns = line.rpartition(" ")
        assert found.setdefault(tuple(path.split(";")), int(ns)) and int(ns) > 0
    return found


def label(f):
    if f["file_name"] == "~" and not f["line_number"]:
        return "{%s}" % f["name"][1:-1] if f["name"][0] + f["name"][-1] == "<>" else f["name"]
    return "%s:%d(%s)" % (f["file_name"], f["line_number"], f["name"])


def report(*args):
    """Returns {label: function} of the report in JSON."""
    reports = json.loads(read("-f", "json", *args).out)["reports"]
    return {label(f): f for r in reports for f in r["functions"]}


def sums(paths):
    """Returns own and cumulative nanoseconds of each function."""
    own, total = collections.Counter(), collections.Counter()
    for path, ns in paths.items():
        own[path[-1]] += ns
        for function in set(path):
            total[function] += ns
    return own, total


def near(ns, seconds):
    """True if equal: the counting clock's ticks are nanoseconds, so that only sums are rounded."""
    return abs(ns - seconds * 1e9) < .01 + 1e-9 * ns


def assert_sums(recording, *options, cumulative=True):
    own, total = sums(collapsed(*options, recording))
    found = report(*options, recording)
    assert len(found) > 3
    for name, f in found.items():
        assert near(own[name], f["tottime"]), (name, own[name], f["tottime"])
        if cumulative:
            assert near(total[name], f["cumtime"]), (name, total[name], f["cumtime"])
    assert sum(own.values()) == round(sum(f["tottime"] for f in found.values()) * 1e9)


@pytest.fixture
def record(run_shim, python, tmp_path):
    """Runs a program from a file: in one given by -c, functions that share "<string>", line and
    name with those of eval() would be added up.
    """
    def run(program, *args, status=0, **env):
        path = tmp_path / "program.py"
        path.write_text(program)
        return run_shim([python.exe, path, *args], env={"PYSHIM_CLOCK": "count", **env},
                        status=status)

    return run


def test_times_of_paths_add_up_to_those_of_functions(record):
    recording = record(PROGRAM).recording
    assert_sums(recording)
    assert_sums(recording, "--no-builtins")
    assert_sums(recording, "--strip-dirs", cumulative=False)  # pstats adds cumtimes of functions up
    assert_sums(recording, "--by-code")


@pytest.mark.parametrize("name", ["ast_transform", "asyncio_tasks", "callbacks_from_c", "tokenize_sources"])
def test_programs_of_many_kinds(run_shim, python, name):
    program = DATA / "programs" / (name + ".py")
    done = run_shim([python.exe, program], env={"PYSHIM_CLOCK": "count"})
    assert_sums(done.recording)


def test_paths_are_those_that_the_program_sees(record, tmp_path):
    out = tmp_path / "seen.json"
    recording = record(COUNTS_ITSELF, out).recording
    seen = json.loads(out.read_text())
    found = {}
    for path in collapsed("--no-builtins", recording):
        names = [p[p.rindex("(") + 1:-1] for p in path]
        if names[-1] == "count":
            found[";".join(names[:-1])] = True
    assert len(seen) > 100
    assert found.keys() == seen.keys()


def test_what_was_folded_has_no_path(record):
    recording = record(PROGRAM * 3, PYSHIM_BUFFER="64K").recording
    paths = collapsed(recording)
    assert any("(folded)" in p for p in paths)
    own, _ = sums(paths)
    for name, f in report(recording).items():
        assert near(own[name], f["tottime"]), name


def test_threads_are_roots_if_there_are_several(record):
    several = collapsed(record(PROGRAM).recording)
    assert {p[0].partition(" ")[0] for p in several} == {"MainThread", "w1", "w2", "w3"}
    one = collapsed(record("def f(): pass\nf()").recording)
    assert any(p[0].endswith("program.py:1(<module>)") for p in one)
    assert not any("MainThread" in label for p in one for label in p)


def test_one_thread_alone(record):
    recording = record(PROGRAM).recording
    every = collapsed(recording)
    chosen = collapsed("--thread", "w2", recording)
    w2 = {p[1:]: ns for p, ns in every.items() if p[0].startswith("w2 ")}
    assert chosen == w2
    read("-f", "collapsed", "--thread", "nobody", recording, status=1)


def test_processes_are_roots_if_there_are_several(record):
    program = "import os\ndef f(): pass\nf()\nif not os.fork(): f(); os._exit(0)\nos.wait()"
    done = record(program)
    assert len(done.recordings) == 2
    paths = collapsed(*done.recordings)
    roots = {p[0] for p in paths}
    assert len(roots) == 2
    for recording in done.recordings:
        pid = recording.name.split(".")[1]
        assert any(r.endswith("(%s)" % pid) for r in roots)


def test_a_killed_process_has_its_whole_time(record):
    program = ("import os, signal\ndef f(n):\n if n: f(n - 1)\n"
               " else: os.kill(os.getpid(), signal.SIGKILL)\nf(50)")
    done = record(program, status=-signal.SIGKILL)
    assert_sums(done.recording)
    assert max(len(p) for p in collapsed(done.recording)) >= 52


def test_corrected_times_are_those_of_the_report(record):
    done = record(PROGRAM, PYSHIM_CLOCK="wall")
    for bias in "none", "2e-8":
        own, _ = sums(collapsed("--bias", bias, done.recording))
        for name, f in report("--bias", bias, done.recording).items():
            assert abs(own[name] - f["tottime"] * 1e9) <= 1 + 1e-6 * own[name] + len(own), name


def test_labels_that_a_line_cannot_hold(record):
    program = "exec(compile('def f(): pass\\nf()', 'a;b\\nc d', 'exec'))"
    recording = record(program).recording
    assert any("a:b c d:1(f)" in p for p in collapsed(recording))


def test_paths_that_would_fill_a_disk_are_refused(record, tmp_path):
    """The text of a recursion of depth n grows with n * n: here 20 GB."""
    name = "f" * 200
    program = ("import sys, threading\nsys.setrecursionlimit(20000); threading.stack_size(512 << 20)\n"
               "def %s(n): return n and %s(n - 1)\n"
               "t = threading.Thread(target=%s, args=(15000,)); t.start(); t.join()\n") % (name, name, name)
    recording = record(program).recording
    done = read("-f", "collapsed", recording, status=1)
    assert not done.out and done.err.count(b"\n") == 1 and b"more than 4 GiB of text" in done.err
    read("-f", "html", "-o", tmp_path / "x.html", recording)


def test_a_pstats_file_has_no_contexts(record, tmp_path):
    recording = record(PROGRAM).recording
    stats = tmp_path / "x.pstats"
    read("-o", stats, recording)
    done = read("-f", "collapsed", stats, status=1)
    assert b"only recordings have calling contexts" in done.err and not done.out


@pytest.mark.parametrize("option", ["--threads", "--each", "--no-subcalls"])
def test_options_that_it_cannot_follow(option):
    done = run_bare([READER, "-f", "collapsed", option, "x"])
    assert done.status == 2 and done.err.count(b"\n") == 1 and option.encode() in done.err
