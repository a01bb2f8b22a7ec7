# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calling contexts, as the collapsed format shows them. Paths are compared with what the program
itself sees, and their sums with the report of functions, which other tests compare with cProfile.
"""

import json
import signal

import pytest

from conftest import DATA, READER, read, run_bare
from paths import COUNTS_ITSELF, PROGRAM, collapsed, near, report, sums

def assert_sums(recording, *options, cumulative=True):
    own, total = sums(collapsed(*options, recording))
    found = report(*options, recording)
    assert len(found) > 3
    for name, f in found.items():
        assert near(own[name], f["tottime"]), (name, own[name], f["tottime"])
        if cumulative:
            assert near(total[name], f["cumtime"]), (name, total[name], f["cumtime"])
    assert sum(own.values()) == round(sum(f["tottime"] for f in found.values()) * 1e9)


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


def test_a_pstats_file_has_no_contexts(record, tmp_path):
    recording = record(PROGRAM).recording
    stats = tmp_path / "x.pstats"
    read("-o", stats, recording)
    for options in ["-f", "collapsed"], ["-f", "speedscope"], ["-f", "firefox"], ["--tree"]:
        done = read(*options, stats, status=1)
        assert b"only recordings have calling contexts" in done.err and not done.out


@pytest.mark.parametrize("option", ["--threads", "--each", "--no-subcalls"])
@pytest.mark.parametrize("name", ["collapsed", "speedscope", "firefox"])
def test_options_that_they_cannot_follow(name, option):
    done = run_bare([READER, "-f", name, option, "x"])
    assert done.status == 2 and done.err.count(b"\n") == 1 and option.encode() in done.err
