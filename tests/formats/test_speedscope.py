# SPDX-License-Identifier: LGPL-2.1-or-later
"""speedscope, from npm, in a headless Chromium: it opens the formats speedscope, collapsed and chrome,
and its table of functions ("Sandwich") has the sums that the report has. And the format speedscope
against the JSON schema that comes with it.
"""

import base64
import collections
import json
import re
import time

import pytest

import reading
import chromium

PACKAGE = reading.NPM / "speedscope" / "dist" / "release"
pytestmark = pytest.mark.skipif(not PACKAGE.exists(), reason="no speedscope in %s (`make check-formats` installs it)" % reading.NPM)
needs_chromium = pytest.mark.skipif(not chromium.find(), reason="no chromium (`make check-formats` installs it)")
UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9, "": 1}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return reading.record(tmp_path_factory.mktemp("speedscope"))


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser() as made:
        yield made


class Shown:
    """A number as it is shown: equal to what rounds to it."""

    def __init__(self, text):
        number, unit = re.fullmatch(r"([\d,.]+)(\D*?) \(.*%\)", text).groups()
        self.value = float(number.replace(",", "")) * UNITS[unit]
        decimals = len(number.partition(".")[2])
        self.step = .5001 * UNITS[unit] / 10 ** decimals

    def is_about(self, value):
        return abs(self.value - value) <= self.step + 1e-9 * value


def sandwich(browser, path, tmp_path, presses=0):
    """Opens a file, and returns the rows of the table: [(name, total, self)]. `presses`: goes to a
    later profile.
    """
    script = tmp_path / "load.js"
    script.write_text("speedscope.loadFileFromBase64(%s, %s)" % (
        json.dumps(path.name), json.dumps(base64.b64encode(path.read_bytes()).decode())))
    browser.open("/dev/null")
    browser.call("Emulation.setDeviceMetricsOverride", width=1600, height=30000, deviceScaleFactor=1, mobile=False)
    browser.events.clear()
    browser.call("Page.navigate", url="file://%s#localProfilePath=%s" % (PACKAGE / "index.html", script))
    browser.wait("Page.loadEventFired")
    wait_for(browser, "document.body.innerText.includes('Sandwich')")
    for _ in range(presses):
        browser.key("n", "n")
    browser.key("3", "3")
    # The list of profiles is a table, too.
    rows = "[...document.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.textContent)).filter(r => / \\(.*%\\)$/.test(r[0]))"
    wait_for(browser, rows + ".length")
    rows = browser.run(rows)
    assert not [e for e in browser.problems() if e[0] == "Runtime.exceptionThrown"]
    return [(name, Shown(total), Shown(own)) for total, own, name in rows]


def wait_for(browser, expression):
    deadline = time.monotonic() + chromium.PATIENCE
    while not browser.run(expression):
        assert time.monotonic() < deadline, browser.run("document.body.innerText")[:1000]
        time.sleep(.1)


def assert_rows(rows, expected):
    """Each row is one of those expected, {name: [(total, self)]}, and each of these is a row."""
    found = collections.defaultdict(list)
    for name, total, own in rows:
        found[name].append((total, own))
    assert found.keys() == expected.keys()
    for name, numbers in expected.items():
        left = sorted(numbers)
        for total, own in sorted(found[name], key=lambda n: n[0].value):
            fits = [n for n in left if total.is_about(n[0]) and own.is_about(n[1])]
            assert fits, (name, total.value, own.value, left)
            left.remove(fits[0])
        assert not left


def expected(recording, name, own, total):
    found = collections.defaultdict(list)
    for f in reading.functions(recording):
        found[name(f)].append((total(f), own(f)))
    return found


def name_only(f):
    return f["name"] if f["file_name"] != "~" else reading.label(f)


def one_line(f):
    return re.sub("[\0-\x1f\x7f]", " ", reading.label(f)).replace(";", ":")


def ns(key):
    return lambda f: f[key] * 1e9


@needs_chromium
def test_it_shows_the_times_of_the_report(browser, recording, tmp_path):
    path = tmp_path / "times.speedscope.json"
    path.write_bytes(reading.read("-f", "speedscope", recording))
    rows = sandwich(browser, path, tmp_path)
    assert len(rows) > 30
    # A function without time is in none of its stacks.
    timed = {name: [n for n in numbers if n[0] >= .5] for name, numbers in
             expected(recording, name_only, ns("tottime"), ns("cumtime")).items()}
    assert_rows(rows, {name: numbers for name, numbers in timed.items() if numbers})


@needs_chromium
def test_it_shows_the_calls_of_the_report(browser, recording, tmp_path):
    path = tmp_path / "calls.speedscope.json"
    path.write_bytes(reading.read("-f", "speedscope", recording))
    calls = collections.Counter()
    for name, _, own in sandwich(browser, path, tmp_path, presses=1):
        calls[name] += own.value
    found = collections.Counter()
    for f in reading.functions(recording):
        found[name_only(f)] += f["total_calls"]
    assert calls == found


@needs_chromium
def test_it_opens_collapsed_stacks(browser, recording, tmp_path):
    path = tmp_path / "stacks.txt"
    path.write_bytes(reading.read("-f", "collapsed", recording))
    rows = sandwich(browser, path, tmp_path)
    timed = {name: [n for n in numbers if n[0] >= .5] for name, numbers in
             expected(recording, one_line, ns("tottime"), ns("cumtime")).items()}
    assert_rows(rows, {name: numbers for name, numbers in timed.items() if numbers})


@needs_chromium
def test_it_opens_trace_events(browser, recording, tmp_path):
    path = tmp_path / "trace.json"
    path.write_bytes(reading.read("-f", "chrome", recording))
    own = collections.Counter()
    for name, _, shown in sandwich(browser, path, tmp_path):
        own[re.sub(r" \{(\"(file|resumed|suspended|exception|no_return|open)\".*)?\}$", "", name, flags=re.S)] += shown.value
    times = collections.Counter()
    for f in reading.functions(recording):
        times[name_only(f)] += f["tottime"] * 1e9
    assert own.keys() <= times.keys()
    for name, t in times.items():
        assert abs(own[name] - t) <= .02 * t + 20, (name, own[name], t)


def check(value, schema, root):
    """The part of JSON Schema that the file uses."""
    if "$ref" in schema:
        check(value, root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float)}
    assert "type" not in schema or isinstance(value, kinds[schema["type"]]), (value, schema)
    assert value == schema.get("const", value) and ("enum" not in schema or value in schema["enum"])
    if "anyOf" in schema:
        assert any(is_valid(value, one, root) for one in schema["anyOf"])
    for name in schema.get("required", ()):
        assert name in value, name
    for name, one in schema.get("properties", {}).items():
        if name in value:
            check(value[name], one, root)
    if "items" in schema:
        for item in value:
            check(item, schema["items"], root)


def is_valid(value, schema, root):
    try:
        check(value, schema, root)
    except AssertionError:
        return False
    return True


def test_it_follows_the_schema(recording):
    schema = json.loads((PACKAGE / "file-format-schema.json").read_text())
    file = json.loads(reading.read("-f", "speedscope", recording))
    check(file, schema, schema)
    file["profiles"][0]["unit"] = "hours"  # it can fail
    assert not is_valid(file, schema, schema)
