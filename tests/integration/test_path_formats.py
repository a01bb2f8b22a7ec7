# SPDX-License-Identifier: LGPL-2.1-or-later
"""The formats speedscope and firefox: their structure as documented, their paths against collapsed
stacks (which test_contexts.py compares with what the program sees), and their sums against JSON.
tests/formats opens them in the programs that they are for.
"""

import collections
import fractions
import json
import re
import signal

import pytest

from conftest import PYTHONS, READER, read, run_bare
from paths import COUNTS_ITSELF, PROGRAM, collapsed, near, report

FORKS = """\
import os, threading
def f(n): return [g(i) for i in range(n)]
def g(n): return abs(n)
f(20)
t = threading.Thread(target=f, args=(5,), name="w"); t.start(); t.join()
if not os.fork():
    f(30)
    os._exit(0)
os.wait()
"""

KILLED = """\
import os, signal
def f(n):
    if n: f(n - 1)
    else: os.kill(os.getpid(), signal.SIGKILL)
def g(): pass
g(); f(20)
"""

# What is special in JSON or in collapsed stacks, and what has no bytes in UTF-8.
NAMES = ['a"b\\c', "semi;colon", "line\nline", "tab\t\x1b[31m", "nul\0byte", "lone\udc80\ud800", "</script>", "\U0001f600",
         "(folded)", "[0]", ""]
ODD = """\
for name in %s:
    exec(compile("def f(): return abs(1)", "/x/" + name.replace(chr(0), ""), "exec"))
    f.__code__ = f.__code__.replace(co_name=name)
    f()
"""


class Track:
    """A thread of a file: {path: weight}, where a path has a label for each call."""

    def __init__(self, name):
        self.name = name
        self.time = collections.Counter()
        self.calls = collections.Counter()
        self.open = None


def one_line(label):
    """A label as collapsed stacks have it."""
    return re.sub("[\0-\x1f\x7f]", " ", label).replace(";", ":")


# --- speedscope -----------------------------------------------------------------------------------


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def check_speedscope(d):
    """What the schema of speedscope 1.25 demands of profiles of the sampled type."""
    assert d["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert re.fullmatch(r"pyshim-read \d+\.\d+\.\d+", d["exporter"])
    assert isinstance(d["name"], str) and is_number(d["activeProfileIndex"])
    for frame in d["shared"]["frames"]:
        assert isinstance(frame["name"], str) and frame.keys() <= {"name", "file", "line", "col"}
        assert isinstance(frame.get("file", ""), str) and is_number(frame.get("line", 0))
    for p in d["profiles"]:
        assert p.keys() == {"type", "name", "unit", "samples", "weights", "startValue", "endValue"}
        assert p["type"] == "sampled" and isinstance(p["name"], str)
        assert len(p["samples"]) == len(p["weights"])
        assert all(isinstance(w, int) and w > 0 for w in p["weights"])
        assert (p["startValue"], p["endValue"]) == (0, sum(p["weights"]))
        used = {index for stack in p["samples"] for index in stack}
        assert used <= set(range(len(d["shared"]["frames"]))) and all(p["samples"])
        # Two stacks with a common part have nothing else between them.
        closed, above = set(), []
        for stack in p["samples"]:
            common = next((i for i, (a, b) in enumerate(zip(stack, above)) if a != b), min(len(stack), len(above)))
            closed |= {tuple(above[:n]) for n in range(common + 1, len(above) + 1)}
            assert tuple(stack[:common + 1]) not in closed
            above = stack


def speedscope(*args):
    d = json.loads(read("-f", "speedscope", *args).out)
    check_speedscope(d)
    labels = ["%s:%d(%s)" % (f["file"], f["line"], f["name"]) if "file" in f else f["name"] for f in d["shared"]["frames"]]
    assert len(set(labels)) == len(labels)
    n = len(d["profiles"]) // 2
    tracks = []
    for time, calls in zip(d["profiles"][:n], d["profiles"][n:]):
        assert (time["unit"], calls["unit"]) == ("nanoseconds", "none")
        name, open = re.fullmatch(r"(.*): time(?:, running at the end: (.*))?", time["name"], re.S).groups()
        assert calls["name"] == time["name"].replace(name + ": time", name + ": calls")
        tracks.append(Track(name))
        tracks[-1].open = open
        for profile, to in (time, tracks[-1].time), (calls, tracks[-1].calls):
            for stack, weight in zip(profile["samples"], profile["weights"]):
                to[tuple(labels[i] for i in stack)] += weight
    return tracks


# --- firefox --------------------------------------------------------------------------------------


COLUMNS = {
    "stackTable": "frame prefix",
    "frameTable": "address inlineDepth category subcategory func nativeSymbol innerWindowID line column",
    "funcTable": "name isJS relevantForJS resource source lineNumber columnNumber",
    "resourceTable": "lib name host type",
    "nativeSymbols": "libIndex address name functionSize",
    "sources": "uuid filename",
}


def check_table(table, columns):
    assert table.keys() - {"length", "weightType"} == set(columns.split())
    assert all(len(table[c]) == table["length"] for c in columns.split())


def check_range(column, n, *others):
    assert all(i in others or (isinstance(i, int) and 0 <= i < n) for i in column)


def check_firefox(d):
    """What version 60 of the processed profile format demands: types/profile.ts of the profiler."""
    meta, shared = d["meta"], d["shared"]
    assert (meta["preprocessedProfileVersion"], meta["processType"], meta["symbolicated"]) == (60, 0, True)
    assert {"version", "interval", "startTime", "stackwalk", "product", "markerSchema"} <= meta.keys()
    assert meta["interval"] > 0 and meta["startTime"] > 1.5e12
    assert [c["name"] for c in meta["categories"]] == ["Other", "Python", "C"]
    assert meta["categories"][0]["color"] == "grey" and all(c["subcategories"][0] == "Other" for c in meta["categories"])
    assert shared.keys() == COLUMNS.keys() | {"stringArray"} and d["libs"] == []
    for name, columns in COLUMNS.items():
        check_table(shared[name], columns)
    strings, stacks, frames = shared["stringArray"], shared["stackTable"], shared["frameTable"]
    functions, sources = shared["funcTable"], shared["sources"]["length"]
    assert len(set(strings)) == len(strings)
    assert all(p is None or p < i for i, p in enumerate(stacks["prefix"]))
    check_range(stacks["frame"], frames["length"])
    check_range(frames["func"], functions["length"])
    check_range(frames["category"], 3)
    check_range(frames["subcategory"], 2)
    check_range(functions["name"], len(strings))
    check_range(functions["source"], sources, None)
    check_range(functions["resource"], shared["resourceTable"]["length"], -1)
    for table, column in ("sources", "filename"), ("resourceTable", "name"):
        check_range(shared[table][column], len(strings))
        assert len(set(shared[table][column])) == len(shared[table][column])
    seen = {}
    for t in d["threads"]:
        assert isinstance(t["pid"], str) and isinstance(t["tid"], int)
        assert seen.setdefault(t["pid"], t["processName"]) == t["processName"]
        check_table(t["markers"], "data name startTime endTime phase category")
        check_table(t["samples"], "stack time weight")
        assert t["samples"]["weightType"] == "tracing-ms"
        check_range(t["samples"]["stack"], stacks["length"], None)


def firefox(*args):
    # Weights are read exactly: they are decimal fractions of milliseconds.
    d = json.loads(read("-f", "firefox", *args).out, parse_float=fractions.Fraction)
    check_firefox(d)
    shared = d["shared"]
    strings, functions, frames, stacks = (shared[k] for k in ("stringArray", "funcTable", "frameTable", "stackTable"))
    files = [strings[i] for i in shared["sources"]["filename"]]
    labels, paths = [], []
    for name, source, line in zip(functions["name"], functions["source"], functions["lineNumber"]):
        labels.append(strings[name] if source is None else "%s:%d(%s)" % (files[source], line, strings[name]))
    assert len(set(labels)) == len(labels)
    for func, category in zip(frames["func"], frames["category"]):
        kind = 1 if functions["source"][func] is not None else 0 if labels[func] == "(folded)" else 2
        assert category == kind or "--by-module" in args
    for frame, prefix in zip(stacks["frame"], stacks["prefix"]):
        paths.append((paths[prefix] if prefix is not None else ()) + (labels[frames["func"][frame]],))
    n_processes = len({t["pid"] for t in d["threads"]})
    tracks = []
    for t in d["threads"]:
        thread = "%s (%d)" % (t["name"], t["tid"]) if t["tid"] else t["name"]
        track = Track("%s (%s), %s" % (t["processName"], t["pid"], thread) if n_processes > 1 else thread)
        samples, at = t["samples"], 0
        for stack, time, weight in zip(samples["stack"], samples["time"], samples["weight"]):
            assert time == at  # one after the other
            at += weight
            assert (stack is None) == (weight == 0)
            if stack is not None:
                track.time[paths[stack]] += weight * 1000000
        tracks.append(track)
    running = [path for path, frame in zip(paths, stacks["frame"]) if frames["subcategory"][frame]]
    if len(tracks) == 1 and running:
        tracks[0].open = max(running, key=len)[-1]
        assert sorted(running) == [max(running)[:n] for n in range(1, len(running) + 1)]
    return tracks


FORMATS = pytest.mark.parametrize("load", [speedscope, firefox], ids=["speedscope", "firefox"])


def root_of(track, roots):
    """The first entries of a track's collapsed stacks: its process, its thread, both or none."""
    process, _, thread = track.name.rpartition(", ")
    return {"none": (), "thread": (track.name,), "process": (process,), "both": (process, thread)}[roots]


def merged(tracks, roots):
    """Returns {path: ns} as collapsed stacks have them."""
    found = collections.Counter()
    for t in tracks:
        for path, ns in t.time.items():
            found[tuple(map(one_line, root_of(t, roots) + path))] += ns
    return found


def assert_same(load, recordings, roots, *options):
    """Paths are those of collapsed stacks. Times of functions are exactly those of JSON, and calls."""
    tracks = load(*options, *recordings)
    assert merged(tracks, roots) == collapsed(*options, *recordings)
    own, calls = collections.Counter(), collections.Counter()
    for t in tracks:
        for path, ns in t.time.items():
            own[path[-1]] += ns
        for path, n in t.calls.items():
            calls[path[-1]] += n
    found = report(*options, *recordings)
    assert own.keys() <= found.keys() and len(found) > 2
    for name, f in found.items():
        assert near(own[name], f["tottime"]), (name, own[name], f["tottime"])
        assert load is firefox or calls[name] == f["total_calls"], name
    return tracks


@FORMATS
def test_threads(load, record):
    recording = record(PROGRAM).recording
    tracks = assert_same(load, [recording], "thread")
    names = [t.name.partition(" ")[0] for t in tracks]  # in the order of rings, which are used again
    assert sorted(names) == ["MainThread", "w1", "w2", "w3"], names
    assert not any(t.open for t in tracks)
    for option in "--no-builtins", "--by-code", "--strip-dirs", "--by-module":
        assert_same(load, [recording], "thread", option)
    one, = assert_same(load, [recording], "none", "--thread", "w2")
    assert one.name.startswith("w2 ") and one.time == tracks[names.index("w2")].time


@FORMATS
def test_forks(load, record):
    done = record(FORKS)
    parent, child = (r.name.split(".")[1] for r in done.recordings)
    tracks = assert_same(load, done.recordings, "both")
    ends = [(t.name.rpartition(", ")[0].rpartition(" ")[2], t.name.rpartition(", ")[2].partition(" ")[0]) for t in tracks]
    assert sorted(ends) == sorted([("(%s)" % parent, "MainThread"), ("(%s)" % parent, "w"), ("(%s)" % child, "MainThread")])
    assert_same(load, done.recordings[1:], "none")


@FORMATS
def test_calls_that_were_running_are_marked(load, record):
    recording = record(KILLED, status=-signal.SIGKILL).recording
    track, = assert_same(load, [recording], "none")
    assert track.open == "{built-in method posix.kill}"


@FORMATS
def test_what_was_folded_has_no_path(load, record):
    recording = record(PROGRAM * 3, PYSHIM_BUFFER="64K").recording
    tracks = assert_same(load, [recording], "thread")
    folded = [path for t in tracks for path in t.time if "(folded)" in path]
    assert folded and all(len(path) == 2 for path in folded)


@FORMATS
def test_names_of_all_kinds(load, record):
    recording = record(ODD % ascii(NAMES)).recording
    track, = assert_same(load, [recording], "none")
    found = {path[-1] for path in track.time}
    for name in NAMES:
        assert "/x/%s:1(%s)" % (name.replace("\0", ""), name) in found


def test_calls_by_path(record, tmp_path):
    out = tmp_path / "seen.json"
    recording = record(COUNTS_ITSELF, out).recording
    track, = speedscope("--no-builtins", recording)
    counts = {}
    for path, n in track.calls.items():
        names = [re.search(r"\((.*)\)", label).group(1) for label in path]
        if names[-1] == "count":
            counts[";".join(names[:-1])] = n
    assert counts == json.loads(out.read_text()) and len(counts) > 100


def test_qualified_names(record, python):
    recording = record("class A:\n def f(self): pass\nfor i in range(9): A().f()").recording
    for load in speedscope, firefox:
        names = {path[-1].rpartition("(")[2] for t in load("--qualnames", recording) for path in t.time}
        assert ("A.f)" if python.version >= (3, 11) else "f)") in names


def test_stacks_that_would_fill_a_disk_are_refused(run_shim):
    program = ("import sys, threading\nsys.setrecursionlimit(99999); threading.stack_size(1 << 29)\n"
               "def f(n):\n if n: f(n - 1)\n"
               "t = threading.Thread(target=f, args=(60000,)); t.start(); t.join()")
    recording = run_shim([PYTHONS[-1].exe, "-c", program]).recording
    refused = read("-f", "speedscope", recording, status=1)
    assert b"found deep calls that make more than 4 GiB" in refused.err and not refused.out
    depths = []
    for prefix in json.loads(read("-f", "firefox", recording).out)["shared"]["stackTable"]["prefix"]:
        depths.append(1 if prefix is None else depths[prefix] + 1)
    assert max(depths) > 60000


def test_a_program_without_calls(record):
    recording = record("").recording
    for load in speedscope, firefox:
        track, = load(recording)
        assert len(track.time) < 30


@pytest.mark.parametrize("option", ["--events=3", "--min=3"])
@pytest.mark.parametrize("name", ["speedscope", "firefox"])
def test_options_of_others_are_refused(name, option):
    done = run_bare([READER, "-f", name, option, "x"])
    assert done.status == 2 and done.err.count(b"\n") == 1 and option[:5].encode() in done.err
