# SPDX-License-Identifier: LGPL-2.1-or-later
"""The HTML report as a file: its data against the reports in JSON and as collapsed stacks, and that
names stay data. tests/formats/test_html.py opens it in a browser.
"""

import base64
import collections
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from conftest import PYTHONS, READER, ROOT, read, run_bare
from html_page import Page

PARTS = ROOT / "reader" / "format" / "html"

PROGRAM = """\
import json, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def work(k):
    s = sum(fib(i % 7) for i in range(20 * k))
    try: json.loads("{bad")
    except ValueError: pass
    return sorted(range(50), key=lambda v: -v)
ts = [threading.Thread(target=work, args=(i,), name="w%d" % i) for i in range(1, 4)]
for t in ts: t.start(); t.join()
work(5)
"""

# Names that end a script, a comment or a string, have no bytes in UTF-8, or do not fit in a line.
NAMES = ["</script><script>alert(1)</script>", "<!--<script>", "-->", "]]>", "&lt;&amp;", "'\"`${alert(1)}\\",
         "nul\0byte", "line\nline\r\u2028\u2029", "lone\udc80\ud800", "\u202ertl", "\U0001f600", "<img src=x onerror=alert(1)>",
         "{{data}}"]


def page(*args):
    return Page(read("-f", "html", *args).out)


def label(f):
    name = f["name"]
    if f["file_name"] == "~" and not f["line_number"]:
        return "{%s}" % name[1:-1] if name[0] + name[-1] == "<>" else name
    return "%s:%d(%s)" % (f["file_name"], f["line_number"], name)


def ns(seconds):
    return int(seconds * 1e9 + .5)


def numbers(f):
    """The numbers of a function or caller in JSON, as the page names them."""
    return {"calls": f["total_calls"], "primitive": f["primitive_calls"], "exceptions": f["exceptions"],
            "self": ns(f["tottime"]), "total": ns(f["cumtime"]), "raw_self": ns(f["raw_tottime"]),
            "raw_total": ns(f["raw_cumtime"])}


def assert_near(found, wanted):
    """Times may be rounded differently."""
    for time in "self", "total":
        found["raw_" + time] = found[time] + found.pop(time + "_overhead")
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert abs(found[name] - value) <= ("self" in name or "total" in name), (name, found, wanted)


def assert_functions(page, *args):
    reports = json.loads(read("-f", "json", *args).out)["reports"]
    wanted = {label(f): f for r in reports for f in r["functions"]}
    found = page.functions()
    assert found.keys() == wanted.keys() and len(found) > 3
    for name, f in wanted.items():
        callers = found[name].pop("callers")
        assert_near(found[name], numbers(f))
        assert callers.keys() == {label(c) for c in f["callers"]}
        for caller in f["callers"]:
            assert_near(callers[label(caller)], numbers(caller))
    assert page.data["total_calls"] == reports[0]["total_calls"]
    assert page.data["total_tt"] == reports[0]["total_tt"]


def assert_paths(page, *args):
    lines = read("-f", "collapsed", *args).out.decode("utf-8", "surrogatepass").splitlines()
    wanted = dict(line.rsplit(" ", 1) for line in lines)
    found = {";".join(path): str(own) for path, _, own, _, _ in page.paths() if own}
    assert found == wanted and len(found) > 3


def assert_calls(page):
    """The calls of all paths of a function are those of the function."""
    calls = collections.Counter()
    for path, n, *_ in page.paths():
        calls[path[-1]] += n
    for name, f in page.functions().items():
        assert calls[name] == f["calls"], name


# Marks of a call: bits of the page, and what -f chrome names them.
MARKS = {1: "open", 2: "began_earlier", 4: "exception", 8: "suspended", 16: "resumed", 64: "no_return"}


def assert_timeline(page, *args):
    """The same calls as in the format chrome, which test_chrome.py compares with sys.setprofile."""
    trace = json.loads(read("-f", "chrome", *args).out)
    wanted = collections.Counter()
    for e in trace["traceEvents"]:
        if e["ph"] == "X":
            marks = frozenset(name for name in MARKS.values() if e["args"].get(name))
            wanted[e["name"], round(e["ts"] * 1000), round(e["dur"] * 1000), marks] += 1
    found, ends = collections.Counter(), {}
    for track, fn, depth, start, duration, flags in page.calls():
        name, label = page.data["functions"]["name"][fn], page.label(fn)
        marks = frozenset(name for bit, name in MARKS.items() if flags & bit)
        found[label if label.startswith("{") else name, start, duration, marks] += 1
        running = ends.setdefault(id(track), [])
        assert depth <= len(running)
        assert all(start + duration <= end for end in running[:depth]) and all(start >= end for end in running[depth:])
        running[depth:] = [start + duration]
    assert found == wanted and len(found) > 3
    assert page.data["timeline"]["events"] == trace["otherData"]["events"]
    assert page.data["timeline"]["left_out"] == trace["otherData"]["events_left_out"]
    return found


@pytest.fixture
def record(run_shim, tmp_path):
    """Runs a program from a file, and returns its recordings."""
    def run(program, python=PYTHONS[-1], **env):
        path = tmp_path / "program.py"
        path.write_text(program)
        return run_shim([python.exe, path], env={"PYSHIM_CLOCK": "count", **env}).recordings

    return run


def test_numbers_are_those_of_other_formats(record, python):
    recordings = record(PROGRAM, python)
    found = page(*recordings)
    assert_functions(found, *recordings)
    assert_paths(found, *recordings)
    assert_calls(found)
    assert len(found.levels()) == 4  # threads
    assert {name for name, *_ in assert_timeline(found, *recordings)} >= {"fib", "<genexpr>", "<lambda>"}


@pytest.mark.parametrize("options", [["--no-builtins"], ["--by-code"], ["--bias", "2e-8"]], ids=" ".join)
def test_options(record, options):
    clock = "wall" if "--bias" in options else "count"
    recordings = record(PROGRAM, PYSHIM_CLOCK=clock)
    found = page(*options, *recordings)
    assert_functions(found, *options, *recordings)
    assert_paths(found, *options, *recordings)
    if "--bias" in options:
        overhead = sum(node[3] for node in found.paths())
        assert overhead > 0 and found.data["sources"][0]["is_corrected"]
        assert abs(overhead - sum(f["self_overhead"] for f in found.functions().values())) < 1000


def test_timeline_of_the_newest_events(record):
    recordings = record(PROGRAM + "import os\ndef last(): os._exit(0)\nlast()")
    for options in [], ["--events", "100"], ["--no-builtins"], ["--thread", "w2"]:
        assert_timeline(page(*options, *recordings), *options, *recordings)
    found = page("--events", "100", *recordings)
    assert found.data["timeline"]["events"] == 100 and len(found.data["timeline"]["fn"]) <= 102
    calls = [(found.data["functions"]["name"][fn], flags) for _, fn, *_, flags in found.calls()]
    assert ("last", 1) in calls and ("<module>", 1 | 2) in calls
    for strip in [], ["--strip-dirs"]:
        found = page(*strip, *recordings)
        used = {found.label(fn) for _, fn, *_ in found.calls()}
        assert used <= found.functions().keys()


def test_several_processes_and_what_was_folded(record):
    program = "import os\n" + PROGRAM + "\nif not os.fork(): work(9); os._exit(0)\nos.wait()"
    recordings = record(program, PYSHIM_BUFFER="64K")
    assert len(recordings) == 2
    found = page(*recordings)
    assert_functions(found, *recordings)
    assert_paths(found, *recordings)
    sources = found.data["sources"]
    assert [s["process"] for s in sources] == [int(r.name.split(".")[1]) for r in recordings]
    assert sources[1]["parent"] == sources[0]["process"] and sources[1]["forked"]
    assert any("(folded)" in path for path, *_ in found.paths())
    assert_timeline(found, *recordings)
    assert found.data["timeline"]["folded"] > 1000


def test_heading_is_that_of_the_text(record):
    recordings = record(PROGRAM)
    text = read(*recordings).out.decode()
    source = page(*recordings).data["sources"][0]
    for line in text.partition("\n\n")[0].splitlines():
        assert line in source["preamble"]
    assert source["command"].endswith("program.py") and source["n_threads"] == 4
    assert source["losses"] == "" and source["is_whole"]


def test_losses_and_open_calls_are_reported(record):
    program = ("import os, signal\ndef f(n):\n if n: f(n - 1)\n else: os._exit(0)\n"
               "def g(): pass\nfor i in range(9000): g()\nf(5)")
    recordings = record(program, PYSHIM_BUFFER="64K", PYSHIM_OVERFLOW="drop")
    text = read(*recordings).out.decode()
    source = page(*recordings).data["sources"][0]
    assert "events lost" in text and source["losses"].strip() in text
    assert not source["is_whole"]
    recordings = record(program)[-1:]
    running = [path[-1].rpartition("(")[2] for path, *_, is_open in page(*recordings).paths() if is_open]
    assert running[:3] == ["<module>)", "f)", "f)"] and running.count("f)") == 6


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def with_names(names):
    """A program with functions of these names."""
    return ("for i, name in enumerate(%s):\n"
            " def f(): pass\n"
            " f.__code__ = f.__code__.replace(co_name=name, co_filename='/dir/' + name.replace('\\0', ''))\n"
            " f()\n"
            "import threading\n"
            "for name in %s: t = threading.Thread(target=f, name=name); t.start(); t.join()\n"
            % (ascii(names), ascii(names)))


def test_names_stay_data(record):
    harmless, = record(with_names(["name"]))
    recording, = record(with_names(NAMES))[-1:]
    page_bytes = read("-f", "html", recording).out
    found = Page(page_bytes)
    names = set(found.data["functions"]["name"])
    escaped = {f["name"] for f in json.loads(read("-f", "json", recording).out)["reports"][0]["functions"]}
    assert {n for n in NAMES if "\0" not in n} <= names and escaped <= names
    plain = read("-f", "html", harmless).out
    assert page_bytes.count(b"<") == plain.count(b"<")
    assert Tags(found.text).tags == Tags(plain.decode()).tags


def test_it_loads_and_runs_nothing_else(record):
    html = read("-f", "html", *record(PROGRAM)).out.decode()
    tags = Tags(html).tags
    policy, = [a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
    for tag in "style", "script":
        text, = re.findall("<%s>(.*?)</%s>" % (tag, tag), html, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert "%s-src 'sha256-%s'" % (tag, digest) in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag, attributes in tags:
        assert not any(name.startswith("on") or name in ("style", "src", "action") for name in attributes)
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    code = "".join(p.read_text() for p in PARTS.iterdir())
    assert not re.search(r"https?:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bFunction\(|import\(|fetch\(",
                         code)


def test_it_is_small():
    assert sum(len(p.read_text().splitlines()) for p in PARTS.iterdir()) < 1500


@pytest.mark.parametrize("option", ["--threads", "--each", "--no-subcalls"])
def test_options_that_it_cannot_follow(option):
    done = run_bare([READER, "-f", "html", option, "x"])
    assert done.status == 2 and done.err.count(b"\n") == 1 and option.encode() in done.err


def test_a_pstats_file_has_no_contexts(record, tmp_path):
    stats = tmp_path / "x.pstats"
    read("-o", stats, *record(PROGRAM))
    done = read("-f", "html", stats, status=1)
    assert b"only recordings have calling contexts" in done.err and not done.out
