# SPDX-License-Identifier: LGPL-2.1-or-later
"""The format chrome: single calls with their times, against logs of sys.setprofile in the same
program, and against programs whose calls are known by construction.

With PYSHIM_CLOCK=count each event of a thread is one tick, which is a nanosecond in the file.
"""

import json
import os
import signal
import subprocess
import time
from collections import defaultdict

import pytest

from conftest import PYTHONS, READER, SHIM, read, run_bare

COUNT = {"PYSHIM_CLOCK": "count"}

# Calls of all kinds, without those that sys.setprofile and the shim see in different ways.
CALLS = """\
import os, sys, threading
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
def fails(n):
    if n: fails(n - 1)
    raise ValueError
def gen(n):
    while n:
        yield len("abc"[:n])
        n -= 1
def twice(f): return f(f(1))
def root():
    fact(5); even(4)
    try: fails(3)
    except ValueError: pass
    try: int("x")
    except ValueError: pass
    for i in gen(3): abs(i)
    sorted((3, 1, 2), key=lambda n: -n)
    twice(lambda n: n + 1)
    try: ord("")
    except TypeError: pass
"""
TRACE = """
log = []
def trace(frame, event, arg):
    c = event.startswith("c_")
    log.append((event, (arg.__qualname__ if c else frame.f_code.co_name)))
sys.setprofile(trace)
root()
sys.setprofile(None)
print(repr(log))
"""


@pytest.fixture
def any_recording(run_shim):
    return run_shim([PYTHONS[-1].exe, "-c", "abs(1)"]).recording


def chrome(*args, **kwargs):
    """Returns the document. Each thread's calls must be in order and properly nested."""
    def refuse(word):
        raise ValueError(word)

    text = read("-f", "chrome", *args, **kwargs).out.decode()  # strict UTF-8
    document = json.loads(text, parse_constant=refuse)
    for spans in by_thread(document).values():
        running = []
        for span in spans:
            while running and running[-1][1] <= span["start"] and (
                    running[-1][1] < span["end"] or running[-1][1] == running[-1][0]):
                running.pop()
            if running:
                assert running[-1][0] <= span["start"] and span["end"] <= running[-1][1], span
            running.append((span["start"], span["end"]))
    return document


def ns(microseconds):
    return round(microseconds * 1000)


def calls(document):
    """Returns the complete events, with `start` and `end` in nanoseconds."""
    found = [e for e in document["traceEvents"] if e["ph"] == "X"]
    for e in found:
        e["start"] = ns(e["ts"])
        e["end"] = e["start"] + ns(e["dur"])
    return found


def by_thread(document):
    found = defaultdict(list)
    for e in calls(document):
        found[e["pid"], e["tid"]].append(e)
    return found


def metadata(document, name):
    """Returns {(pid, tid or None): args} of the metadata events of this name."""
    return {(e["pid"], e.get("tid")): e["args"] for e in document["traceEvents"]
            if e["ph"] == "M" and e["name"] == name}


def below(spans, name):
    """Returns the call of this name and all calls within, times relative to its start."""
    at, = [i for i, s in enumerate(spans) if s["name"] == name]
    root = spans[at]
    return [(short(s["name"]), s["start"] - root["start"], s["end"] - root["start"], s["cat"],
             "exception" in s["args"])
            for s in spans[at:] if s["end"] <= root["end"] and s["start"] < root["end"]]


def short(name):
    """{built-in method builtins.len} as len: __qualname__ does not have the module."""
    return name.strip("{}").split()[-1].split(".")[-1] if name[0] == "{" else name


def traced(python):
    """Returns what sys.setprofile reported of root(), as `below` does."""
    log = eval(run_bare([python.exe, "-c", CALLS + TRACE]).out)
    assert log[-1][0] == "c_call"  # of sys.setprofile itself
    spans, running = [], []
    for tick, (event, name) in enumerate(log[:-1]):
        if event.endswith("call"):
            running.append(len(spans))
            spans.append([name, tick, None, "c" if event == "c_call" else "python", False])
        else:
            span = spans[running.pop()]
            assert span[0] == name
            span[2], span[4] = tick, event == "c_exception"
    assert not running and len(spans) == 33
    return [tuple(s) for s in spans]


def without_exceptions_of_python(spans):
    """sys.setprofile does not tell a return from an exception."""
    return [s[:4] + (s[4] and s[3] == "c",) for s in spans]


def check_root(spans, python):
    assert without_exceptions_of_python(below(spans, "root")) == traced(python)


# Calls


def test_calls_are_those_of_the_program(python, run_shim):
    recording = run_shim([python.exe, "-c", CALLS + "root()"], env=COUNT).recording
    document = chrome(recording)
    (pid, tid), spans = by_thread(document).popitem()
    check_root(spans, python)
    assert pid == tid == int(recording.name.split(".")[1])
    assert metadata(document, "thread_name") == {(pid, tid): {"name": "MainThread"}}
    assert metadata(document, "process_name")[pid, None]["name"].startswith(str(python.exe))
    assert {s["name"]: s["args"]["line"] for s in spans if s["name"] in ("fact", "gen", "root")} \
        == {"fact": 2, "gen": 8, "root": 13}
    assert {s["args"]["file"] for s in spans if s["name"] == "fact"} == {"<string>"}
    fails = [s for s in spans if s["name"] == "fails"]
    assert len(fails) == 4 and all(s["args"]["exception"] for s in fails)
    gens = [s["args"] for s in spans if s["name"] == "gen"]
    assert [g.get("resumed", False) for g in gens] == [False, True, True, True]
    assert [g.get("suspended", False) for g in gens] == [True, True, True, False]
    assert not any(k in s["args"] for s in spans for k in ("open", "no_return", "began_earlier"))


def test_all_events_are_there(python, run_shim):
    recording = run_shim([python.exe, "-c", CALLS + "root()"]).recording
    other = chrome(recording)["otherData"]
    report = json.loads(read("-f", "json", recording).out)["sources"][0]
    assert other["events"] == report["events"]
    assert (other["events_left_out"], other["complete_from_us"]) == (0, None)
    source, = other["sources"]
    assert source["events_folded"] == source["events_lost"] == 0
    assert all(t["is_whole"] for t in source["threads"])


def test_counts_are_those_of_the_report(python, run_shim):
    program = "import json, argparse\n" + CALLS + "root(); json.dumps([1])"
    recording = run_shim([python.exe, "-c", program]).recording
    counts = defaultdict(int)
    for s in calls(chrome(recording)):
        key = (s["args"].get("file", "~"), s["args"].get("line", 0), s["name"])
        counts[key] += 1
    report, = json.loads(read("-f", "json", recording).out)["reports"]

    def label(f):
        c = f["file_name"] == "~" and f["name"].startswith("<")
        return "{%s}" % f["name"][1:-1] if c else f["name"]

    assert counts == {(f["file_name"], f["line_number"], label(f)): f["total_calls"]
                      for f in report["functions"]}


THREADS = CALLS + """
def run(turn):
    turn.acquire()
    print(threading.get_native_id(), threading.current_thread().name)
    root()
for i in (1, 2, 3):
    turn = threading.Lock()
    turn.acquire()
    t = threading.Thread(target=run, args=(turn,), name='nr "%d"' % i)
    t.start()
    turn.release()
    t.join()
"""


def test_threads_have_tracks(python, run_shim):
    done = run_shim([python.exe, "-c", THREADS], env=COUNT)
    expected = dict(line.split(" ", 1) for line in done.out.decode().splitlines())
    document = chrome(done.recording)
    names = {str(k[1]): v["name"] for k, v in metadata(document, "thread_name").items()}
    assert expected.items() <= names.items()
    for (_, tid), spans in by_thread(document).items():
        if str(tid) in expected:
            check_root(spans, python)
    id, name = expected.popitem()
    for one in (id, name):
        document = chrome("--thread", one, done.recording)
        (_, tid), spans = by_thread(document).popitem()
        assert str(tid) == id and len(by_thread(document)) == 1
        check_root(spans, python)
        assert document["otherData"]["events"] == 2 * len(spans)


FORKS = CALLS + """
def in_child(): root()
for i in range(2):
    pid = os.fork()
    if not pid:
        in_child()
        os._exit(0)
    os.waitpid(pid, 0)
    print(pid)
"""


def test_forked_children_are_processes(python, run_shim):
    done = run_shim([python.exe, "-c", FORKS], env=COUNT)
    document = chrome(*done.recordings)
    children = {int(p) for p in done.out.split()}
    found = {pid for pid, _ in by_thread(document)}
    # Two children, one after the other, may share a recording, which has the later one's PID.
    assert len(found) == len(done.recordings) and found & children
    for (pid, _), spans in by_thread(document).items():
        if pid in children and sum(s["name"] == "root" for s in spans) == 1:
            check_root(spans, python)
    assert sum(s["name"] == "root" for s in calls(document)) == 2
    assert [s["process"] for s in document["otherData"]["sources"]] == \
        [int(r.name.split(".")[1]) for r in done.recordings]


PRINTS_TIME = "import time; print(time.monotonic_ns())"


def first_call(document, process):
    spans, = [spans for (pid, _), spans in by_thread(document).items() if pid == process]
    return spans[0]["start"]


def run_timed(python, run_shim):
    """Returns a recording, its PID, and two times: its first event lies between them."""
    begun = time.monotonic_ns()
    done = run_shim([python.exe, "-c", PRINTS_TIME])
    return done.recording, int(done.recording.name.split(".")[1]), begun, int(done.out)


def test_processes_share_a_clock(python, run_shim):
    first, first_pid, first_begun, first_printed = run_timed(python, run_shim)
    second, second_pid, second_begun, second_printed = run_timed(python, run_shim)
    for order in ((first, second), (second, first)):
        document = chrome(*order)
        apart = first_call(document, second_pid) - first_call(document, first_pid)
        assert second_begun - first_printed <= apart <= second_printed - first_begun
        assert first_call(document, first_pid) >= 0
    real = document["otherData"]["zero_realtime_us"] * 1000 + first_call(document, first_pid)
    assert real == pytest.approx(time.time_ns(), abs=3600e9)


def test_sources_of_other_machines_are_placed_by_the_time_of_day(any_recording, abi, tmp_path):
    copy = bytearray(any_recording.read_bytes())
    at = abi["header.start_realtime_ns"]
    later = int.from_bytes(copy[at:at + 8], "little") + 5 * 10**9
    copy[at:at + 8] = later.to_bytes(8, "little")
    at = abi["header.boot_id"]
    copy[at:at + 8] = b"another "
    (tmp_path / "copy").write_bytes(copy)
    here, there = by_thread(chrome(any_recording, tmp_path / "copy")).values()
    assert there[0]["start"] - here[0]["start"] == 5 * 10**9


KILLED = """
import os, signal
def outer(): return inner()
def inner(): os.kill(os.getpid(), signal.SIGKILL)
abs(1)
outer()
"""


def test_open_calls_of_a_killed_process_are_marked(python, run_shim):
    recording = run_shim([python.exe, "-c", KILLED], env=COUNT, status=-signal.SIGKILL).recording
    document = chrome(recording)
    spans = calls(document)
    open_calls = [s for s in spans if "open" in s["args"]]
    assert [short(s["name"]) for s in open_calls] == ["<module>", "outer", "inner", "kill"]
    latest = max(s["end"] for s in spans)
    assert latest == max(s["start"] for s in spans)  # the last event: the call of kill
    assert all(s["end"] == latest for s in open_calls)
    report = json.loads(read("-f", "json", recording).out)["sources"][0]
    assert document["otherData"]["events"] == report["events"]


def test_open_calls_end_with_the_recording(python, run_shim):
    """Of two threads, one hangs while the other works."""
    program = CALLS + """
def hangs(): threading.Event().wait()
threading.Thread(target=hangs, daemon=True).start()
for i in range(50): root()
os._exit(0)
"""
    spans = calls(chrome(run_shim([python.exe, "-c", program]).recording))
    hangs, = [s for s in spans if s["name"] == "hangs"]
    module = [s for s in spans if s["name"] == "<module>"][0]
    assert hangs["args"]["open"] and module["args"]["open"]
    assert hangs["end"] == module["end"] == max(s["end"] for s in spans)


# Events that are not in the ring

FOLDED = """
def f(): pass
def root():
    for i in range(60000): f()
root()
"""


def test_a_folded_ring_has_its_newest_events(python, run_shim):
    recording = run_shim([python.exe, "-c", FOLDED],
                         env={**COUNT, "PYSHIM_BUFFER": "128K"}).recording
    document = chrome(recording)
    spans = calls(document)
    fs = [s for s in spans if s["name"] == "f"]
    assert 100 < len(fs) < 60000
    whole = [s for s in fs if "began_earlier" not in s["args"]]
    assert len(whole) in (len(fs), len(fs) - 1)  # one may have been folded in part
    first = fs[0]["start"]
    # root's first event, its start, is followed by those of 60,000 calls.
    start = fs[-1]["end"] - 2 * 60000
    assert [(s["start"], s["end"]) for s in whole] == \
        [(start + 2 * i + 1, start + 2 * i + 2) for i in range(60000 - len(whole), 60000)]
    root, = [s for s in spans if s["name"] == "root"]
    assert root["args"]["began_earlier"] and root["start"] <= first
    assert root["end"] == fs[-1]["end"] + 1
    assert root["start"] - ns(root["args"]["before_us"]) == start
    report = json.loads(read("-f", "json", recording).out)["sources"][0]
    other = document["otherData"]
    source, = other["sources"]
    assert source["events_folded"] > 0 and other["events_left_out"] == 0
    assert source["events_folded"] + other["events"] == report["events"]
    assert ns(other["complete_from_us"]) == root["start"]
    assert [t["is_whole"] for t in source["threads"]] == [False]


TWO_THREADS = """
import threading
def f(n): return len(str(n)) if n < 2 else f(n - 1) + f(n - 2)
def work():
    for i in range(6): f(i * 2)
t = threading.Thread(target=work); t.start(); work(); t.join()
"""


def event_times(document):
    """Returns the times of all events of calls in the file, sorted."""
    times = []
    for s in calls(document):
        if "began_earlier" not in s["args"]:
            times.append(s["start"])
        if not {"open", "no_return"} & set(s["args"]):
            times.append(s["end"])
    return sorted(times)


def test_exactly_the_newest_events_are_kept(python, run_shim):
    recording = run_shim([python.exe, "-c", TWO_THREADS]).recording
    everything = chrome("--events", "all", recording)
    times = event_times(everything)
    assert chrome("--events", "0", recording)["otherData"]["events"] == len(times)
    for n in (1, 2, 7, 500, len(times) - 1, len(times), len(times) + 1):
        document = chrome("--events", str(n), recording)
        kept = event_times(document)
        assert kept == times[-n:]
        other = document["otherData"]
        assert (other["events"], other["events_left_out"]) == (len(kept), len(times) - len(kept))
        if n < len(times):
            assert ns(other["complete_from_us"]) == kept[0]
        # Calls that ran at the oldest event are there, from that on, with their own duration.
        ran = {(s["pid"], s["tid"], s["name"], s["start"], s["end"]) for s in calls(everything)
               if s["start"] < kept[0] <= s["end"]}
        early = [s for s in calls(document) if "began_earlier" in s["args"]]
        assert {(s["pid"], s["tid"], s["name"], s["start"] - ns(s["args"]["before_us"]), s["end"])
                for s in early} == ran
        assert all(s["start"] == kept[0] for s in early)


def test_the_default_is_500000_events(run_shim):
    program = "def f(): pass\nfor i in range(260000): f()"
    recording = run_shim([PYTHONS[-1].exe, "-c", program], env=COUNT).recording
    other = chrome(recording)["otherData"]
    report = json.loads(read("-f", "json", recording).out)["sources"][0]
    assert other["events"] == 500000
    assert other["events_left_out"] == report["events"] - 500000 >= 20000


TAKES_HOOK = """
import sys
def f(): pass
def unseen(): pass
def takes():
    f()
    sys.setprofile(lambda *args: None)
    for i in range(1000): unseen()
    sys.setprofile(None)
    f()
    f()
takes()
"""


def test_blind_intervals_are_shown(python, run_shim):
    if python.version >= (3, 12):
        pytest.skip("3.12 and later: sys.setprofile takes nothing from the shim")
    recording = run_shim([python.exe, "-c", TAKES_HOOK]).recording
    spans = calls(chrome(recording))
    source = json.loads(read("-f", "json", recording).out)["sources"][0]
    blind, = [s for s in spans if s["cat"] == "pyshim"]
    assert blind["name"] == "(not recorded)" and source["losses"]["gaps"] == 1
    assert blind["end"] - blind["start"] == pytest.approx(source["losses"]["gaps_s"] * 1e9, abs=2)
    before, after = [s for s in spans if s["name"] == "takes"]
    assert before["args"]["no_return"] and after["args"]["began_earlier"]
    assert before["end"] <= blind["start"] and blind["end"] <= after["start"]
    assert "before_us" not in after["args"]


# Names and options


def test_names_are_those_of_the_report(python, run_shim, tmp_path):
    odd = tmp_path / 'o"\\\u00e9\n'
    odd.mkdir()
    (odd / "p.py").write_text("class A:\n    def f(self): return len('')\nA().f()\n")
    recording = run_shim([python.exe, odd / "p.py"], env=COUNT).recording
    f, = [s for s in calls(chrome(recording)) if s["name"] == "f"]
    assert f["args"] == {"file": str(odd / "p.py"), "line": 2}
    f, = [s for s in calls(chrome("--strip-dirs", recording)) if s["name"] == "f"]
    assert f["args"] == {"file": "p.py", "line": 2}
    names = {s["name"] for s in calls(chrome("--qualnames", recording))}
    assert ("A.f" if python.version >= (3, 11) else "f") in names
    assert "{built-in method builtins.len}" in names


def test_bytes_that_are_not_unicode_are_escaped(python, run_shim):
    program = "exec(compile('def f(): pass\\nf()', 'a\\udce9\\ud800.py', 'exec'))"
    f, = [s for s in calls(chrome(run_shim([python.exe, "-c", program]).recording))
          if s["name"] == "f"]
    assert f["args"]["file"] == "a\udce9\ud800.py"


def test_without_c_functions(python, run_shim):
    recording = run_shim([python.exe, "-c", CALLS + "root()"], env=COUNT).recording
    spans = [s for s in below(calls(chrome(recording)), "root") if s[3] == "python"]
    document = chrome("--no-builtins", recording)
    assert below(calls(document), "root") == spans
    assert {s["cat"] for s in calls(document)} == {"python"}


def test_programs_of_one_pid_are_separate(python, run_shim):
    program = "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'abs(1)'])"
    done = run_shim([python.exe, "-c", program])
    document = chrome(*done.recordings)
    assert len(done.recordings) == 2
    assert len(metadata(document, "process_name")) == len(by_thread(document)) == 2
    first, second = document["otherData"]["sources"]
    assert first["process"] == second["process"] and first["pid"] != second["pid"]


@pytest.mark.parametrize("options", [
    ["-r", "5"], ["--callers"], ["--callees"], ["--bias", "1e-7"], ["--bare-time", "1"],
    ["--true-calls"], ["--no-subcalls"]])
def test_options_that_would_mislead_are_refused(any_recording, options):
    done = read("-f", "chrome", *options, any_recording, status=2)
    assert not done.out and done.err.count(b"\n") == 1
    name = {"-r": "--restrict"}.get(options[0], options[0])
    assert b"found chrome with %s" % name.encode() in done.err


def test_options_that_do_not_matter_are_accepted(any_recording):
    for options in (["--threads"], ["--each"], ["--bias", "none"], ["-s", "calls"], ["--reverse"],
                    ["-q"], ["--by-code"]):
        document = chrome(*options, any_recording)
        assert [short(s["name"]) for s in calls(document)] == \
            [short(s["name"]) for s in calls(chrome(any_recording))]


@pytest.mark.parametrize("n", ["", "-1", "5x", "many", "99999999999999999999"])
def test_wrong_numbers_of_events_are_refused(any_recording, n):
    done = read("-f", "chrome", "--events", n, any_recording, status=2)
    assert b"read --events: found '%s', expected" % n.encode() in done.err


def test_events_are_for_this_format_only(any_recording):
    assert b"expected chrome" in read("--events", "5", any_recording, status=2).err


def test_a_pstats_file_has_no_events(any_recording, tmp_path):
    read("-o", tmp_path / "p", any_recording)
    done = read("-f", "chrome", tmp_path / "p", status=1)
    assert b"found a pstats file, expected a recording" in done.err and not done.out


def test_an_unknown_thread_is_refused(any_recording):
    assert b"found no thread 'x'" in read("-f", "chrome", "--thread", "x", any_recording,
                                          status=1).err


def test_a_running_process_can_be_read(python, shim_dir):
    """It folds all the time. What is read is whole, and the running calls are open."""
    program = "import sys\n" + FOLDED.replace("range(60000)", "iter(int, 1)")
    env = {**os.environ, "LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir),
           "PYSHIM_BUFFER": "256K"}
    target = subprocess.Popen([python.exe, "-c", program], env=env)
    try:
        recording = shim_dir / ("pyprof.%d" % target.pid)
        while not (recording.exists() and run_bare([READER, "-q", recording]).out.count(b"root")):
            assert target.poll() is None
            time.sleep(0.02)
        for _ in range(5):
            spans = calls(chrome("-q", recording))
            root, = [s for s in spans if s["name"] == "root"]
            assert root["args"]["open"]
            assert root["end"] == max(s["end"] for s in spans)
    finally:
        target.kill()
        target.wait()
