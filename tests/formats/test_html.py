# SPDX-License-Identifier: LGPL-2.1-or-later
"""The HTML report in a headless Chromium: what it shows against the same recording in JSON and
against sums that are computed here; zoom, search, keys, and hostile names. Times of a report with
300,000 nodes are printed, not asserted (pytest -rP shows them).
"""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "formats")]
import chromium  # noqa: E402
from html_page import Page  # noqa: E402
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
ROW = 19  # height of a frame: canvas.js
pytestmark = pytest.mark.skipif(not chromium.find(), reason="found no Chromium (`make check-formats` installs it)")

PROGRAM = """\
import json, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def leaf(n): return sum(range(n))
def left(n): return [leaf(i) for i in range(n)]
def right(n): left(n // 2); return fib(n // 8)
def work(n): left(n); right(n); json.dumps(list(range(n)))
def main(): work(60); work(90)
main()
t = threading.Thread(target=work, args=(40,), name="second"); t.start(); t.join()
"""

NAMES = ["</script><script>window.harmed=1</script>", "<img src=x onerror=window.harmed=1>", "'\"`${window.harmed=1}\\",
         "nul\0byte", "line\nline\u2028", "lone\udc80", "\u202ertl", "javascript:window.harmed=1"]

MANY = """\
import random
random.seed(5)
exec("\\n".join("def f%d(p, i):\\n if i < len(p): F[p[i]](p, i + 1)" % k for k in range(300)))
F = [globals()["f%d" % k] for k in range(300)]
def run(n):
    for _ in range(n):
        p = [int(random.paretovariate(.6)) % 300 for _ in range(random.randrange(2, 14))]
        F[p[0]](p, 1)
run(46000)
"""


def write(folder, program, *options, clock="count", name="program.py"):
    """Records a program; returns its page as a file, and the recording."""
    path = folder / name
    path.write_text(program)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON"))}
    env.update(LD_PRELOAD=str(BUILD / "libpyshim.so"), PYSHIM_DIR=str(folder), PYSHIM_CLOCK=clock,
               PYTHONHASHSEED="0", XDG_CONFIG_HOME="/nonexistent")
    before = set(folder.glob("pyprof.*"))
    subprocess.run([find_pythons()[-1].exe, str(path)], env=env, check=True, stdin=subprocess.DEVNULL)
    recording, = set(folder.glob("pyprof.*")) - before
    page = folder / (name + ".html")
    subprocess.run([BUILD / "pyshim-read", *options, "-f", "html", "-o", page, recording], check=True,
                   env={**env, "LD_PRELOAD": ""})
    return page, recording


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser() as made:
        yield made


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    page, recording = write(tmp_path_factory.mktemp("html"), PROGRAM)
    document = subprocess.run([BUILD / "pyshim-read", "-f", "json", recording], check=True, stdout=subprocess.PIPE)
    return page, json.loads(document.stdout)


@pytest.fixture
def opened(browser, report):
    """The report of PROGRAM in the browser; no test may leave an error on the console."""
    browser.open(report[0])
    yield browser
    assert browser.problems() == []


def texts(browser, selector):
    return browser.run("[...document.querySelectorAll(%s)].map(e => e.textContent)" % json.dumps(selector))


def label(f):
    if f["file_name"] == "~" and not f["line_number"]:
        return "{%s}" % f["name"][1:-1]
    return "%s:%d(%s)" % (f["file_name"], f["line_number"], f["name"])


def seconds(text):
    number, unit = text.split()
    return float(number) * {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]


class Layout:
    """The frames of a page, computed from its data: for each node its path, start and weight."""

    def __init__(self, page, calls=False):
        rows = list(Page(page.read_bytes()).paths())
        self.path = [row[0] for row in rows]
        self.weight = [row[1 if calls else 2] for row in rows]
        index = {path: n for n, path in enumerate(self.path)}
        assert len(index) == len(rows)
        for n in reversed(range(len(rows))):  # in preorder: a parent stands before its children
            if len(self.path[n]) > 1:
                self.weight[index[self.path[n][:-1]]] += self.weight[n]
        self.all = sum(w for p, w in zip(self.path, self.weight) if len(p) == 1)
        self.start, free = [], {(): 0}
        for path, weight in zip(self.path, self.weight):
            self.start.append(free[path[:-1]])
            free[path] = self.start[-1]
            free[path[:-1]] += weight

    def find(self, name, depth=None):
        """The widest node of a function."""
        all_of = [n for n, p in enumerate(self.path) if "(%s)" % name in p[-1] and depth in (None, len(p))]
        return max(all_of, key=lambda n: self.weight[n])

    def share(self, pattern):
        """The share of all frames whose label has the pattern, or that are below such a frame."""
        own = sum(w for p, w in zip(self.path, self.own()) if any(re.search(pattern, f) for f in p))
        return own / self.all

    def own(self):
        own = list(self.weight)
        index = {p: n for n, p in enumerate(self.path)}
        for n, path in enumerate(self.path):
            if len(path) > 1:
                own[index[path[:-1]]] -= self.weight[n]
        return own


def point(browser, layout, n, shown=None):
    """The middle of a frame in the window, while the range `shown` is shown."""
    begin, end = shown or (0, layout.all)
    box = browser.run("(r => [r.left, r.top, r.width])(sheet.canvas.getBoundingClientRect())")
    middle = layout.start[n] + layout.weight[n] / 2
    return box[0] + (middle - begin) / (end - begin) * box[2], box[1] + (len(layout.path[n]) + .5) * ROW


def shown(browser):
    return browser.run("[view.from, view.to]")


def search(browser, pattern):
    browser.run("byId('search').value = ''; byId('search').focus()")
    browser.call("Input.insertText", text=pattern)
    browser.settle()
    return texts(browser, "#found")[0]


# --- numbers --------------------------------------------------------------------------------------


def test_table_has_the_numbers_of_json(opened, report):
    wanted = {label(f): f for f in report[1]["reports"][0]["functions"]}
    opened.run("table.rows = 1e9; showRows()")
    rows = opened.run("[...byId('rows').rows].map(r => [...r.cells].map(c => c.textContent)"
                      ".concat(r.querySelector('button').title))")
    assert {row[-1] for row in rows} == wanted.keys()
    total = report[1]["reports"][0]["total_tt"]
    for calls, own, own_share, cumulative, share, _, _, name in rows:
        f = wanted[name]
        assert calls.replace(",", "") == f["ncalls"]
        for text, percent, value in (own, own_share, f["tottime"]), (cumulative, share, f["cumtime"]):
            assert seconds(text) == pytest.approx(value, rel=.006, abs=5e-10)
            if not percent.startswith("<"):
                assert float(percent.split()[0]) == pytest.approx(100 * value / total, abs=.051)
    order = [round(wanted[row[-1]]["tottime"] * 1e9) for row in rows]
    assert order == sorted(order, reverse=True)


def test_heading_has_the_facts(opened, report):
    source = report[1]["sources"][0]
    facts = dict(zip(texts(opened, "#facts dt"), texts(opened, "#facts dd")))
    assert texts(opened, "#command")[0] == " ".join(source["command"])
    assert facts["Interpreter"] == "CPython " + source["python"].split()[0]
    assert facts["Threads"] == str(source["n_threads"]) and facts["Losses"] == "none"
    assert facts["Calls"].replace(",", "") == str(report[1]["reports"][0]["total_calls"])
    assert seconds(facts["Recorded"]) == pytest.approx(source["recorded_s"], rel=.006)


def test_callers_and_callees_of_a_function(opened, report):
    functions = {label(f): f for f in report[1]["reports"][0]["functions"]}
    name = next(n for n in functions if n.endswith("(leaf)"))
    opened.run("[...byId('rows').querySelectorAll('button')].find(b => b.title.endsWith('(leaf)')).click()")
    assert texts(opened, "#chosen h3") == ["leaf"] and texts(opened, "#status")[0].startswith("leaf: ")
    assert texts(opened, "#rows [aria-current=true] button") == ["leaf"]
    captions = texts(opened, "#chosen caption")
    assert captions == ["Callers (%d)" % len(functions[name]["callers"]),
                        "Callees (%d)" % sum(name in map(label, f["callers"]) for f in functions.values())]
    rows = opened.run("[...document.querySelectorAll('#chosen table')].map(t => [...t.tBodies[0].rows]"
                      ".map(r => [r.querySelector('button').title, r.cells[0].textContent]))")
    assert dict(rows[0]) == {label(c): "{:,}".format(c["total_calls"]) for c in functions[name]["callers"]}
    assert dict(rows[1]) == {n: "{:,}".format(c["total_calls"]) for n, f in functions.items()
                             for c in f["callers"] if label(c) == name}


@pytest.mark.parametrize("key", ["calls", "total", "name"])
def test_table_can_be_sorted_and_filtered(opened, key):
    title = {"calls": "Calls", "total": "Cumulative", "name": "Function"}[key]
    for _ in range(2):
        opened.run("[...byId('heads').querySelectorAll('button')].find(b => b.textContent.startsWith(%r)).click()" % title)
        values = opened.run("table.fns.map(COLUMNS.find(c => c.name === %r).value)" % key)
        order = opened.run("byId('heads').querySelector('[aria-sort$=ending]').getAttribute('aria-sort')")
        assert values == sorted(values, reverse=order == "descending") and len(set(values)) > 2
    opened.run("byId('filter').focus()")
    opened.call("Input.insertText", text=r"\(le(ft|af)\)$")
    assert {t.rpartition("(")[2] for t in opened.run("[...byId('rows').querySelectorAll('button')].map(b => b.title)")} \
        == {"left)", "leaf)"}


# --- the graph ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["time", "calls"])
@pytest.mark.parametrize("pattern", ["fib", "leaf|left", r"\(work\)$", "^{", "second|fib"])
def test_share_that_a_search_finds(opened, report, pattern, metric):
    opened.run("byId('metric').value = %r; byId('metric').dispatchEvent(new Event('change'))" % metric)
    share = Layout(report[0], metric == "calls").share(pattern)
    text = search(opened, pattern)
    assert 0 < share < 1 and text.startswith("%.1f %% of the %s" % (100 * share, metric)), (text, share)


def test_a_pattern_that_is_invalid_or_finds_nothing(opened):
    assert "invalid" in search(opened, "(")
    assert opened.run("byId('search').getAttribute('aria-invalid')") == "true"
    assert search(opened, "no such function") == "nothing found"
    opened.key("Escape")
    opened.key("Escape")
    assert opened.run("found.fn") is None


def test_zoom_by_click_and_back(opened, report):
    layout = Layout(report[0])
    n = layout.find("left")
    opened.mouse(point(opened, layout, n))
    assert shown(opened) == [layout.start[n], layout.start[n] + layout.weight[n]]
    names = [re.sub(r"^.*\((.*)\)$", r"\1", p) for p in layout.path[n]]
    path = texts(opened, "#path button")
    assert path[0] == "all" and path[3:] == names[2:] and len(path) == len(names) + 1
    assert texts(opened, "#chosen h3") == ["left"]
    inner = next(k for k, p in enumerate(layout.path) if p[:-1] == layout.path[n] and layout.weight[k])
    opened.mouse(point(opened, layout, inner, shown(opened)))
    assert shown(opened) == [layout.start[inner], layout.start[inner] + layout.weight[inner]]
    opened.key("Backspace")
    assert shown(opened) == [layout.start[n], layout.start[n] + layout.weight[n]]
    opened.key("Escape")
    assert shown(opened) == [0, layout.all]
    opened.run("byId('back').click()")
    assert shown(opened) == [layout.start[n], layout.start[n] + layout.weight[n]]


def test_zoom_by_selection(opened, report):
    layout = Layout(report[0])
    left, top, width = opened.run("(r => [r.left, r.top, r.width])(sheet.canvas.getBoundingClientRect())")
    opened.mouse((left + width / 4, top + 5), (left + width / 3, top + 9), (left + width / 2, top + 9))
    assert shown(opened) == pytest.approx([layout.all / 4, layout.all / 2], abs=layout.all / width)
    opened.key("Backspace")
    assert shown(opened) == [0, layout.all]


def test_flame_graph_grows_upwards(opened, report):
    layout = Layout(report[0])
    n = layout.find("main")
    opened.key("i", "i")
    box = opened.run("(r => [r.left, r.bottom])(sheet.canvas.getBoundingClientRect())")
    x, y = point(opened, layout, n)
    opened.mouse((x, box[1] - (len(layout.path[n]) + .5) * ROW))
    assert texts(opened, "#path [aria-current]") == ["main"]


def test_frames_have_the_colours_of_their_packages(opened, report):
    layout = Layout(report[0])
    points = [point(opened, layout, n) for n in (layout.find("main"), layout.find("dumps"))]
    box = opened.run("(r => [r.left, r.top])(sheet.canvas.getBoundingClientRect())")
    at = [[int(x - box[0]), int(y - box[1]) + 6] for x, y in points]
    pixels = opened.run("(all => %r.map(([x, y]) => [...all.data.slice((y * all.width + x) * 4).slice(0, 3)]))"
                        "(sheet.context.getImageData(0, 0, sheet.canvas.width, 400))" % at)
    assert pixels[0] != pixels[1] and [255, 255, 255] not in pixels and [0, 0, 0] not in pixels
    assert "json" in " ".join(texts(opened, "#legend button"))


# --- the timeline ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calls(report):
    """The calls of the timeline: [(thread, depth, start, end, label)]."""
    page = Page(report[0].read_bytes())
    return [(track["thread"], depth, start, start + duration, page.label(fn))
            for track, fn, depth, start, duration, _ in page.calls()]


def period(browser):
    return browser.run("[period.from, period.to]")


def timeline_point(browser, calls, call):
    """The middle of a call in the window, while its thread is the first one."""
    begin, end = period(browser)
    browser.run("strip.box.scrollIntoView({block: 'center'})")
    browser.settle()
    left, top, width = browser.run("(r => [r.left, r.top, r.width])(strip.canvas.getBoundingClientRect())")
    middle = (max(call[2], begin) + min(call[3], end)) / 2
    return left + (middle - begin) / (end - begin) * width, top + (2 + call[1] + .5) * ROW


def test_timeline_shows_all_calls_at_first(opened, report, calls):
    assert period(opened) == [min(c[2] for c in calls), max(c[3] for c in calls)]
    events = report[1]["sources"][0]["events"]
    assert texts(opened, "#timeline-facts")[0].startswith("{:,} events of 2 threads".format(events))
    assert "Nothing older is missing" in texts(opened, "#timeline-facts")[0]


def test_timeline_zooms_to_a_call_and_back(opened, calls):
    opened.run("zoomTo(2)")
    whole, graph = period(opened), shown(opened)
    call = max((c for c in calls if c[0] == "MainThread" and c[4].endswith("(work)")), key=lambda c: c[3] - c[2])
    opened.mouse(timeline_point(opened, calls, call))
    assert period(opened) == [call[2], call[3]]
    assert texts(opened, "#timeline-status")[0].startswith("work: ") and texts(opened, "#chosen h3") == ["work"]
    opened.run("strip.box.focus()")
    opened.key("+", "+")
    begin, end = period(opened)
    assert end - begin == pytest.approx((call[3] - call[2]) / 2, abs=1) and begin > call[2]
    opened.key("ArrowRight")
    assert period(opened)[0] > begin and period(opened)[1] - period(opened)[0] == pytest.approx(end - begin, abs=1)
    for _ in range(3):
        opened.key("Backspace")
    assert period(opened) == whole
    assert shown(opened) == graph  # the graph has keys of its own


def test_timeline_by_selection_and_by_choice(opened, calls):
    begin, end = period(opened)
    opened.run("strip.box.scrollIntoView({block: 'center'})")
    left, top, width = opened.run("(r => [r.left, r.top, r.width])(strip.canvas.getBoundingClientRect())")
    opened.mouse((left + width / 2, top + 30), (left + width / 3, top + 30), (left + width / 4, top + 30))
    assert period(opened) == pytest.approx([begin + (end - begin) / 4, begin + (end - begin) / 2], abs=(end - begin) / width)
    opened.run("byId('last').options[0].value = '5000'; byId('last').dispatchEvent(new Event('change'))")
    assert period(opened) == [end - 5000, end]


def test_longest_calls_as_a_table(opened, calls):
    opened.run("byId('longest').querySelector('summary').click()")
    opened.settle()
    rows = opened.run("[...byId('longest-rows').rows].map(r => [...r.cells].map(c => c.textContent))")
    wanted = sorted((c[3] - c[2] for c in calls), reverse=True)[:50]
    assert [seconds(r[0]) for r in rows] == pytest.approx([ns * 1e-9 for ns in wanted], rel=.006)
    assert {r[2] for r in rows} >= {c[0] for c in calls if c[3] - c[2] > wanted[-1]}


# --- people and machines --------------------------------------------------------------------------


def test_it_works_by_keyboard_alone(opened, report):
    layout = Layout(report[0])
    widest = max((n for n, p in enumerate(layout.path) if len(p) == 3), key=lambda n: layout.weight[n])
    name = re.sub(r"^.*\((.*)\)$", r"\1", layout.path[widest][-1])
    opened.run("byId('graph').focus()")
    for key in "ArrowDown", "ArrowDown", "ArrowDown":
        opened.key(key)
    chosen = texts(opened, "#status")[0]
    assert chosen.startswith(name + ": ") and "call" in chosen
    opened.key("Enter")
    assert texts(opened, "#path [aria-current]") == [name]
    opened.key("/", "/")
    assert opened.run("document.activeElement.id") == "search"


def test_what_is_shown_as_a_table(opened, report):
    layout = Layout(report[0])
    opened.run("byId('below').querySelector('summary').click()")
    opened.settle()
    work = layout.find("work", 4)
    opened.mouse(point(opened, layout, work))
    children = [n for n, p in enumerate(layout.path) if p[:-1] == layout.path[work]]
    rows = opened.run("[...byId('below-rows').rows].map(r => [...r.cells].map(c => c.textContent))")
    assert [r[-1] for r in rows[1:]] == [layout.path[n][-1] for n in
                                         sorted(children, key=lambda n: -layout.weight[n])]
    for row, n in zip(rows[1:], sorted(children, key=lambda n: -layout.weight[n])):
        assert seconds(row[0]) == pytest.approx(layout.weight[n] * 1e-9, rel=.006, abs=5e-10)


def test_every_control_has_a_name(opened):
    nodes = opened.call("Accessibility.getFullAXTree")["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    roles = {role for role, _ in named}
    assert [name for role, name in named if role == "application"] == ["Flame graph", "Timeline"]
    assert {"application", "search", "searchbox", "table", "columnheader", "status", "main", "navigation",
            "heading", "complementary"} <= roles
    for role, name in named:
        if role in ("button", "searchbox", "combobox", "radio", "application", "table"):
            assert name or role == "table", role


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [800, 1920])
def test_it_fits_the_window(browser, report, width, dark):
    browser.open(report[0], width, 900, dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert brightness < 60 if dark else brightness > 200
    browser.run("nextTheme()" if dark else "nextTheme(), nextTheme()")
    flipped = browser.run("getComputedStyle(document.body).backgroundColor")
    assert flipped != background


def test_printing(opened):
    opened.run("document.documentElement.dataset.theme = 'dark'")
    assert len(opened.call("Page.printToPDF", printBackground=True)["data"]) > 10000
    assert opened.run("document.documentElement.dataset.theme") == "dark"
    light = opened.run("print(true), [document.documentElement.dataset.theme, colours.text]")
    assert light == ["light", "#15181d"]
    opened.run("print(false)")


# --- hostile input, and much of it ----------------------------------------------------------------


def test_names_do_no_harm(browser, tmp_path):
    program = ("for name in %s:\n"
               " def f(): pass\n"
               " f.__code__ = f.__code__.replace(co_name=name, co_filename='/x/' + name.replace('\\0', ''))\n"
               " f()\n" % ascii(NAMES))
    page, _ = write(tmp_path, program)
    browser.open(page)
    browser.run("table.rows = 1e9; showRows(); byId('below').open = true; zoomTo(1)")
    browser.run("for (const b of byId('rows').querySelectorAll('button')) b.click()")
    browser.settle()
    assert browser.problems() == []
    assert browser.run("[window.harmed, document.images.length, document.scripts.length]") == [None, 0, 2]
    found = {t.rpartition("(")[2] for t in browser.run("[...byId('rows').querySelectorAll('button')].map(b => b.title)")}
    assert {"<img src=x onerror=window.harmed=1>)", "line␊line\u2028)"} <= found


def test_the_policy_blocks_what_is_injected(browser, report):
    browser.open(report[0])
    blocked = browser.run("""new Promise(done => {
        const blocked = [];
        addEventListener("securitypolicyviolation", e => { blocked.push(e.effectiveDirective); if (new Set(blocked).size > 3) done(blocked); });
        setTimeout(() => done(blocked), 20000);
        const script = document.createElement("script");
        script.textContent = "window.harmed = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=http://127.0.0.1:9/x onerror='window.harmed=1'>");
        fetch("http://127.0.0.1:9/").catch(() => 0);
    })""")
    assert {"script-src-elem", "img-src", "connect-src"} <= set(blocked)
    assert browser.run("window.harmed") is None


def test_300_000_nodes(browser, tmp_path):
    page, _ = write(tmp_path, MANY, clock="wall")
    browser.open(page, 1920, 1080)
    n = browser.run("nodes.n")
    assert n > 300000 and browser.problems() == []
    browser.run("""(async () => {
        const frame = () => new Promise(requestAnimationFrame);
        for (const n of [1, 2, 3, 0]) { zoomTo(n); await frame(); await frame(); }
        for (const shape of [true, false]) { setShape(shape); await frame(); await frame(); }
        for (let y = 0; y < 200; y += 20) { sheet.box.scrollTop = y; await frame(); }
        find(fn => fn % 3 === 0, ""); drawSoon(); await frame(); await frame();
    })()""")
    interval = browser.run("""(async () => {
        const begin = performance.now();
        for (let i = 0; i < 30; i++) { drawSoon(); await new Promise(requestAnimationFrame); }
        return (performance.now() - begin) / 30;
    })()""")
    measures = browser.run("performance.getEntriesByType('measure').map(m => [m.name, m.duration])")
    loaded = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    draws = sorted(d for name, d in measures if name == "pyshim-draw")
    print("%d nodes, %.1f MB: loaded %.0f ms after navigation, of it %.0f ms in the script; %d frames, median %.1f ms,"
          " slowest %.1f ms; %.1f ms from frame to frame" % (n, page.stat().st_size / 1e6, loaded, dict(measures)["pyshim-open"], len(draws),
                                draws[len(draws) // 2], draws[-1], interval))
    assert browser.run("byId('rows').rows.length") == 100


def test_a_page_without_calls(browser, tmp_path):
    page, _ = write(tmp_path, "")
    text = page.read_text()
    empty = re.sub(r'"(depth|fn|calls|self|overhead|flags)": "[^"]*"', r'"\1": ""', text.partition('"nodes"')[2])
    page.write_text(text.partition('"nodes"')[0] + '"nodes"' + empty)
    browser.open(page)
    assert browser.problems() == [] and html.unescape(texts(browser, "#status")[0]) == "The recording has no calls."
