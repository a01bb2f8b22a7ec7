# SPDX-License-Identifier: LGPL-2.1-or-later
"""JSON and the options that select the counted calls. Each is compared with the pstats file or the
text of the same recording, which other tests compare with Python's own.
"""

import json
import marshal
import re

import pytest

from conftest import DATA, READER, ROOT, read, read_stats, run_bare

PROGRAM = """\
import json, sys
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != 0 and even(n - 1)
def bad(n):
    if n % 3 == 0: raise ValueError(n)
    return int("x" if n % 3 == 1 else "1")
def gen(n):
    for i in range(n): yield i
class A:
    def same(self): return 1
class B:
    def same(self): return 2
fact(9); even(10)
for i in range(30):
    try: bad(i)
    except ValueError: pass
A().same(); B().same(); B().same()
list(gen(4)); sorted(range(5), key=lambda n: -n); f, g = lambda: 1, lambda: 2; f(); g(); g()
json.loads(json.dumps({"a": [1, {"b": None}]}, indent=1))
"""


def as_json(*args):
    """Returns the only JSON document, with numbers as Python reads them."""
    def refuse(word):
        raise ValueError(word)

    return json.loads(read("-f", "json", *args).out, parse_constant=refuse)


def key(entry):
    return entry["file_name"], entry["line_number"], entry["name"]


def functions(*args):
    """Returns {key: function} of the only report."""
    report, = as_json(*args)["reports"]
    found = {key(f): f for f in report["functions"]}
    assert len(found) == len(report["functions"])
    return found


def as_pstats(found):
    """Returns the same as marshal would: exact to the last bit of the times."""
    return {k: (f["primitive_calls"], f["total_calls"], f["tottime"], f["cumtime"],
                {key(c): (c["total_calls"], c["primitive_calls"], c["tottime"], c["cumtime"])
                 if c["tottime"] is not None else c["total_calls"] for c in f["callers"]})
            for k, f in found.items()}


STEADY = {"PYSHIM_CLOCK": "thread"}  # counts nanoseconds, because a wall clock's rate is known better with each read


@pytest.fixture
def recording(python, run_shim):
    return run_shim([python.exe, "-c", PROGRAM], env=STEADY).recording


# JSON


def documented():
    """Returns {object: its fields} of docs/json.md."""
    text = (ROOT / "docs" / "json.md").read_text()
    tables = re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    return {name: {f for row in re.findall(r"^\| (`.*?) \|", body, flags=re.M)
                   for f in re.findall(r"`([\w-]+)`", row)} for name, body in tables}


def check_fields(document):
    fields = documented()

    def same(name, found):
        assert set(found) == fields[name], name

    same("document", document)
    assert (document["format"], document["version"]) == ("pyshim-profile", 1)
    for source in document["sources"]:
        if source["kind"] == "pstats":
            assert set(source) == {"name", "kind"}
            continue
        same("source", source)
        same("losses", source["losses"])
        if source["correction"]:
            same("correction", source["correction"])
            same("calibration", source["correction"]["calibration"])
            same("costs", source["correction"]["calibration"]["costs"])
            for cost in source["correction"]["calibration"]["costs"].values():
                same("cost", cost)
        for thread in source["threads"]:
            same("thread", thread)
    for report in document["reports"]:
        same("report", report)
        if report["thread"]:
            same("thread", report["thread"])
        for function in report["functions"]:
            same("function", function)
            for caller in function["callers"]:
                same("caller", caller)


def test_json_has_the_documented_fields(recording, tmp_path):
    read("-o", tmp_path / "p", recording)
    for options in ([], ["--bias", "1e-7"]):
        document = as_json("--threads", *options, recording, tmp_path / "p")
        assert [s["kind"] for s in document["sources"]] == ["recording", "pstats"]
        assert bool(document["sources"][0]["correction"]) == bool(options)
        check_fields(document)


def test_json_names_source_clock_and_command(python, run_shim):
    run = run_shim([python.exe, "-c", "def f(): pass\nf()", "\u00e9 \U0001f40d", "\udcff\n"])
    source, = as_json(run.recording)["sources"]
    assert source["clock"] == "wall"
    assert source["command"][2:] == ["def f(): pass\nf()", "\u00e9 \U0001f40d", "\udcff\n"]
    assert source["name"] == str(run.recording)
    assert str(source["process"]) == run.recording.name.split(".")[1]
    assert source["python"].startswith("%d.%d.%d" % python.version)
    assert source["is_whole"] and not any(source["losses"].values())
    assert source["events"] == 2 * as_json(run.recording)["reports"][0]["total_calls"]
    assert not source["running"] and source["n_threads"] == 1 and source["recorded_s"] > 0


def test_json_equals_the_pstats_file(recording):
    found = functions(recording)
    assert as_pstats(found) == read_stats(recording)
    for f in found.values():
        assert (f["raw_tottime"], f["raw_cumtime"]) == (f["tottime"], f["cumtime"])
        assert f["percall_tottime"] == f["tottime"] / f["total_calls"]
        assert f["percall_cumtime"] == f["cumtime"] / f["primitive_calls"]
        assert not f["tottime_is_bound"]


def test_json_counts_exceptions(recording):
    found = functions(recording)
    assert found["<string>", 5, "bad"]["exceptions"] == 20
    assert found["<string>", 2, "fact"]["exceptions"] == 0
    caller, = found["<string>", 5, "bad"]["callers"]
    assert (caller["name"], caller["exceptions"]) == ("<module>", 20)


# Compares with get_stats_profile in the interpreter itself. That uses the plain name as key.
COMPARE = """\
import io, json, pstats, sys
report = json.load(open(sys.argv[2], "rb"))["reports"][0]
profile = pstats.Stats(sys.argv[1], stream=io.StringIO()).sort_stats("time").get_stats_profile()
assert float(pstats.f8(report["total_tt"])) == profile.total_tt
mine = {}
for f in report["functions"]:
    mine[f["name"]] = f  # as pstats does: the last of them
assert list(mine) == list(profile.func_profiles)
for name, theirs in profile.func_profiles.items():
    f = mine[name]
    f8 = lambda x: x if x == -1 else float(pstats.f8(x))
    assert f["ncalls"] == theirs.ncalls and f["file_name"] == theirs.file_name, (f, theirs)
    assert f["line_number"] == theirs.line_number
    for field in "tottime", "percall_tottime", "cumtime", "percall_cumtime":
        assert f8(f[field]) == getattr(theirs, field), (field, f, theirs)
print(len(mine))
"""


def test_json_equals_get_stats_profile(python, recording, tmp_path):
    read("-o", tmp_path / "p", recording)
    read("-f", "json", "-s", "time", "-o", tmp_path / "j", tmp_path / "p")
    if run_bare([python.exe, "-c", "import pstats; pstats.StatsProfile"]).status:
        pytest.skip("this pstats has no get_stats_profile: it came with 3.9")
    done = run_bare([python.exe, "-c", COMPARE, tmp_path / "p", tmp_path / "j"])
    assert done.status == 0 and int(done.out) > 10, done.err


def rows(text):
    """Returns (ncalls, label) of each row of a table, in order."""
    return re.findall(r"^ +([0-9/]+) (?: *[0-9.]+){2,4} (\S.*)$", text, flags=re.M)


@pytest.mark.parametrize("options", [[], ["-s", "calls", "--reverse"], ["-s", "name", "-r", "7"],
                                     ["-r", "<string>", "-r", "0.5"], ["--strip-dirs"]],
                         ids=" ".join)
def test_json_lists_the_same_functions_as_the_text(recording, options):
    text = read("-q", *options, recording).out.decode()
    labels = [(f["ncalls"], "{%s}" % f["name"][1:-1] if f["file_name"] == "~" else
               "%s:%d(%s)" % key(f)) for f in functions(*options, recording).values()]
    assert labels == rows(text) and len(labels) > 2


ODD = [  # file, line, name
    ("\ud800x", 1, "high"), ("x\udfff", 2, "low"), ("\udcff\udc80", 3, "bytes"),
    ('q"\\/', 4, "\b\f\n\r\t\x00\x1f\x7f"), ("\u2028\u00e9\U0001f40d", 5, "\uffff"), ("", 0, ""),
    ("~", 0, "<built-in method x>"), ("~", 0, "z"), ("a" * 70000, 2**31 - 1, "b" * 70000),
]


def write_stats(path, stats):
    path.write_bytes(marshal.dumps(stats, 2))
    return path


def test_json_keeps_odd_names(tmp_path):
    stats = {k: (i, i, i / 7, i / 3, {ODD[i - 1]: (1, 1, 0.1, -0.0)}) for i, k in enumerate(ODD)}
    path = write_stats(tmp_path / "p", stats)
    assert as_pstats(functions(path)) == stats
    out = read("-f", "json", path).out
    out.decode("utf-8")  # must be strict UTF-8
    assert b"NaN" not in out and b'"cumtime": -0.0' in out


def test_json_changes_only_pairs_of_surrogates(tmp_path):
    """json.loads joins a pair of surrogates, as docs/json.md says. Every other text is returned
    unchanged.
    """
    path = write_stats(tmp_path / "p", {("\ud83d\udc0d", 1, "\udc0d\ud83d"): (1, 1, 0., 0., {})})
    assert list(functions(path)) == [("\U0001f40d", 1, "\udc0d\ud83d")]


def test_json_has_no_infinities_or_nans(tmp_path):
    inf, nan = float("inf"), float("nan")
    path = write_stats(tmp_path / "p", {
        ("f", 1, "f"): (0, 0, nan, -inf, {("g", 1, "g"): (1, 1, inf, 5e-324)}),
        ("g", 1, "g"): (2**62, 2**63 - 1, 1.7976931348623157e308, .1, {("f", 1, "f"): 3})})
    found = functions(path)
    f, g = found["f", 1, "f"], found["g", 1, "g"]
    assert (f["tottime"], f["cumtime"], f["percall_tottime"]) == (None, None, -1)
    assert (f["callers"][0]["tottime"], f["callers"][0]["cumtime"]) == (None, 5e-324)
    assert (g["total_calls"], g["ncalls"]) == (2**63 - 1, "%d/%d" % (2**63 - 1, 2**62))
    assert (g["tottime"], g["cumtime"]) == (1.7976931348623157e308, .1)
    assert g["callers"][0]["total_calls"] == 3 and g["callers"][0]["raw_tottime"] is None


def test_json_adds_up_sources(python, run_shim, tmp_path):
    a = run_shim([python.exe, "-c", PROGRAM], env=STEADY).recording
    b = run_shim([python.exe, "-c", PROGRAM], env=STEADY).recording
    read("-o", tmp_path / "p", b)
    document = as_json(a, tmp_path / "p", b)
    assert [s["name"] for s in document["sources"]] == [str(a), str(tmp_path / "p"), str(b)]
    report, = document["reports"]
    stats = read_stats(a, tmp_path / "p", b)
    assert as_pstats({key(f): f for f in report["functions"]}) == stats
    assert report["total_calls"] == sum(s[1] for s in stats.values())
    assert report["source"] is None


def test_json_has_corrected_and_raw_times(recording):
    raw, corrected = functions(recording), functions("--bias", "2e-7", recording)
    assert set(raw) == set(corrected)
    for k, f in corrected.items():
        assert f["raw_tottime"] == pytest.approx(raw[k]["tottime"], rel=1e-9)
        assert f["raw_cumtime"] == pytest.approx(raw[k]["cumtime"], rel=1e-9)
        # A thread's clock may stand still.
        assert f["tottime"] < raw[k]["tottime"] or raw[k]["tottime"] == 0
        assert f["tottime_is_bound"] == (f["tottime"] == 0)
    assert any(raw[k]["tottime"] > 0 for k in raw)
    assert as_pstats(corrected) == read_stats(recording, options=["--bias", "2e-7"])
    source, = as_json("--bias", "2e-7", recording)["sources"]
    assert source["corrected_by"] == "number"
    assert source["correction"]["calibration"]["bias"] == 2e-7
    assert source["correction"]["n_bounded"] == sum(f["tottime_is_bound"]
                                                    for f in corrected.values())
    assert as_json("--bias", "none", recording)["sources"][0]["corrected_by"] == "none"


def test_json_marks_sampled_profiles():
    path = DATA / "pstats" / "3.15-sampled.pstats"
    report, = as_json(path)["reports"]
    assert report["sampled"] and report["total_calls"] > 0


def test_json_of_an_empty_profile_is_valid(tmp_path):
    path = write_stats(tmp_path / "p", {})
    document = as_json(path)
    check_fields(document)
    assert document["reports"][0]["functions"] == []


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", r"\N{DIGIT ONE}", "x{70000}"])
def test_invalid_patterns_are_refused_before_reading(pattern, recording, tmp_path):
    """The error comes before anything is read or written."""
    for options in [], ["-f", "json"], ["-o", tmp_path / "out"], ["--callers", "-r", "3"]:
        done = run_bare([READER, *options, "-r", pattern, "nothing", recording])
        assert (done.status, done.out) == (2, b"") and done.err.count(b"\n") == 1
        assert done.err.startswith(b"pyshim-read: read --restrict: found ")
    assert not list(tmp_path.iterdir())


# Options of what to count


def test_exceptions_add_a_column(recording):
    """Without the column, the text equals that of pstats to the byte. The column equals JSON."""
    plain = read("-q", recording).out.decode()
    text = read("-q", "--exceptions", recording).out.decode()
    column = re.compile(r"^((?: +[0-9/]+| +ncalls)(?: .{8}){4}) ( {0,7}\w+)(?= \S)", flags=re.M)
    assert column.sub(r"\1", text) == plain
    raised = {m[1]: int(m[0]) for m in re.findall(
        r"^ +[0-9/]+(?: .{8}){4} +([0-9]+) (\S.*)$", text, flags=re.M)}
    assert raised["<string>:5(bad)"] == 20 and raised["<string>:2(fact)"] == 0
    assert raised["{built-in method builtins.len}"] == 0
    assert sum(raised.values()) == sum(f["exceptions"] for f in functions(recording).values())
    assert read("-q", "--exceptions", "--callers", recording).out == read(
        "-q", "--callers", recording).out


def test_exceptions_of_c_functions_are_counted(python, run_shim):
    program = ("def f(n):\n for i in range(n):\n  try: [].pop()\n  except IndexError: pass\n"
               "f(9); [1].pop()")
    found = functions(run_shim([python.exe, "-c", program]).recording)
    pop = found["~", 0, "<method 'pop' of 'list' objects>"]
    assert (pop["total_calls"], pop["exceptions"]) == (10, 9)
    assert {c["name"]: c["exceptions"] for c in pop["callers"]} == {"f": 9, "<module>": 0}
    assert found["<string>", 1, "f"]["exceptions"] == 0


def without_callers(stats):
    return {f: v[:4] + ({},) for f, v in stats.items()}


def test_no_subcalls_removes_the_callers(recording):
    stats = read_stats(recording)
    assert any(v[4] for v in stats.values())
    assert read_stats(recording, options=["--no-subcalls"]) == without_callers(stats)
    assert read("-q", "--no-subcalls", recording).out == read("-q", recording).out
    assert b"<- \n" in read("-q", "--no-subcalls", "--callers", recording).out


CALLBACKS = """\
def key(x): return -x
def a():
    for i in range(5): sorted(range(3), key=key)
def b(n):
    if n: list(map(b, [n - 1]))
    else: sorted(range(4), key=key); key(1)
class C:
    def __len__(self): return key(3)*-1
def c(): return len(C()), len([])
a(); b(3); c(); list(map(key, [1, 2])); exec("a()")
"""


def counts(stats):
    """Like counts_only, but with the order of a caller's numbers unchanged."""
    return {f: (v[0], v[1], {c: e[:2] for c, e in v[4].items()}) for f, v in stats.items()}


def test_no_builtins_equals_a_recording_without_them(python, run_shim, tmp_path):
    """All calls and caller edges are equal, and the times add up: none is lost."""
    (tmp_path / "p.py").write_text(CALLBACKS)
    with_c = run_shim([python.exe, tmp_path / "p.py"], env=STEADY).recording
    without = run_shim([python.exe, tmp_path / "p.py"],
                       env={**STEADY, "PYSHIM_BUILTINS": "0"}).recording
    stats = read_stats(with_c, options=["--no-builtins"])
    assert counts(stats) == counts(read_stats(without))
    full = read_stats(with_c)
    assert any(f[0] == "~" for f in full)
    assert sum(v[2] for v in stats.values()) == pytest.approx(sum(v[2] for v in full.values()))
    for f, v in stats.items():
        assert v[3] == full[f][3]  # cumulative times still include their callees
        if v[4] and len(v[4]) == 1 and f[2] != "b":
            (_, _, own, below), = v[4].values()
            assert (own, below) == (pytest.approx(v[2]), v[3]), f


def test_no_builtins_on_a_pstats_file_divides_c_callees(tmp_path):
    """sorted has one caller, a, so its callees get that caller. map has two, which cannot be
    separated.
    """
    fn = {n: ("p.py", i, n) for i, n in enumerate("abkm")}
    sort, map_ = ("~", 0, "<sorted>"), ("~", 0, "<map>")
    a, b, k, m = fn.values()
    path = write_stats(tmp_path / "p", {
        a: (1, 1, 1., 16., {}), b: (1, 1, 2., 8., {a: (1, 1, 2., 8.)}),
        sort: (2, 2, 3., 4., {a: (2, 2, 3., 4.)}),
        k: (7, 7, 1.5, 1.5, {sort: (6, 6, 1., 1.), a: (1, 1, .5, .5)}),
        map_: (3, 3, 4., 6., {a: (1, 1, 1., 2.), b: (2, 2, 3., 4.)}),
        m: (3, 3, 2., 2., {map_: (3, 3, 2., 2.)})})
    stats = read_stats(path, options=["--no-builtins"])
    assert stats == {
        a: (1, 1, 5., 16., {}), b: (1, 1, 5., 8., {a: (1, 1, 5., 8.)}),
        k: (7, 7, 1.5, 1.5, {a: (7, 7, 1.5, 1.5)}), m: (3, 3, 2., 2., {map_: (3, 3, 2., 2.)})}
    assert b" 12 function calls in 13.500 seconds" in read("-q", "--no-builtins", path).out
    assert b"<map>" not in read("-q", "--no-builtins", path).out


GENERATORS = """\
def gen(n):
    for i in range(n): yield i
def tree(d):
    yield d
    if d:
        yield from tree(d - 1)
        yield from tree(d - 1)
def plain(n): return n and plain(n - 1)
list(gen(10)); list(gen(0)); list(tree(3)); list(tree(2)); plain(4)
"""


def test_true_calls_exclude_resumes(python, run_shim):
    recording = run_shim([python.exe, "-c", GENERATORS]).recording
    calls = {f[2]: v[:2] for f, v in read_stats(recording).items()}
    true = {f[2]: v[:2] for f, v in read_stats(recording, options=["--true-calls"]).items()}
    assert calls["gen"] == (12, 12) and true["gen"] == (2, 2)
    assert calls["tree"][1] > 22 and true["tree"] == (2, 22)
    assert true["plain"] == calls["plain"] == (1, 5)
    edges = {c[2]: e[:2] for c, e in next(
        v[4] for f, v in read_stats(recording, options=["--true-calls"]).items()
        if f[2] == "tree").items()}
    assert edges["tree"][0] == 20
    for f, v in read_stats(recording, options=["--true-calls"]).items():
        assert v[0] <= v[1] and all(e[1] <= e[0] for e in v[4].values()), f


def test_by_code_separates_functions_of_one_name(recording):
    """Each code object has its own row, and their sum is the common row."""
    together, apart = functions(recording), functions("--by-code", recording)
    line = 19 if ("<string>", 19, "<lambda>") in together else 18
    own = {k: f for k, f in apart.items() if k[:2] == ("<string>", line) and "lambda" in k[2]}
    assert sorted((k[2], f["total_calls"]) for k, f in own.items()) == [
        ("<lambda>", 5), ("<lambda>#2", 1), ("<lambda>#3", 2)]
    assert together["<string>", line, "<lambda>"]["total_calls"] == 8
    assert set(together) <= set(apart)
    assert sum(f["total_calls"] for f in apart.values()) == sum(
        f["total_calls"] for f in together.values())
    assert len(rows(read("-q", "--by-code", recording).out.decode())) == len(apart)
    assert read_stats(recording, options=["--by-code"]).keys() == apart.keys()


# Threads and sources

THREADS = """\
import sys, threading
try: get_id = threading.get_native_id
except AttributeError: get_id = lambda: 0
ids, go = {}, [threading.Event() for i in range(4)]
def leaf(n): return n
def work(n):
    ids[threading.current_thread().name] = get_id()
    for i in range(n): leaf(i)
    if n < 1000: go[n // 100].wait()
def start(name, n):
    t = threading.Thread(target=work, args=(n,), name=name)
    t.start()
    return t
for i in range(int(sys.argv[1])): start("one by one", 5000).join()
both = [start("w\u00e9 %d" % i, 100 * i) for i in (1, 2, 3)]
for e in go: e.set()
for t in both: t.join()
leaf(0)
ids["MainThread"] = get_id()
print(ids)
"""


def leaves(report):
    return sum(f["total_calls"] for f in report["functions"] if f["name"] == "leaf")


def record_threads(python, run_shim, n, **env):
    run = run_shim([python.exe, "-X", "utf8", "-c", THREADS, str(n)], env={**STEADY, **env})
    return run.recording, eval(run.out.decode())


def added(reports):
    """Returns the sum over all reports: {key: [calls, primitive calls, callers' calls]}."""
    total = {}
    for report in reports:
        for f in report["functions"]:
            t = total.setdefault(key(f), [0, 0, {}])
            t[0] += f["total_calls"]
            t[1] += f["primitive_calls"]
            for c in f["callers"]:
                t[2][key(c)] = t[2].get(key(c), 0) + c["total_calls"]
    return total


def test_threads_have_separate_reports(python, run_shim):
    recording, ids = record_threads(python, run_shim, 2)
    document = as_json("--threads", recording)
    reports, threads = document["reports"], document["sources"][0]["threads"]
    assert [r["thread"] for r in reports] == threads and len(threads) == 6
    assert not any(t["several"] for t in threads)
    assert sorted((r["thread"]["name"], leaves(r)) for r in reports) == [
        ("MainThread", 1), ("one by one", 5000), ("one by one", 5000),
        ("w\u00e9 1", 100), ("w\u00e9 2", 200), ("w\u00e9 3", 300)]
    for t in threads:
        if t["name"] != "one by one":
            assert t["native_id"] == ids[t["name"]]
    whole, = as_json(recording)["reports"]
    assert added(reports) == added([whole])
    assert sum(r["total_tt"] for r in reports) == pytest.approx(whole["total_tt"])


def test_thread_selects_by_name_id_or_number(python, run_shim):
    recording, ids = record_threads(python, run_shim, 2)
    number = next(t["number"] for t in as_json(recording)["sources"][0]["threads"]
                  if t["name"] == "w\u00e9 3")
    for name in "w\u00e9 3", str(ids["w\u00e9 3"]), "#%d" % number:
        report, = as_json("--thread", name, recording)["reports"]
        assert leaves(report) == 300 and report["thread"]["number"] == number
        text = read("--thread", name, recording).out.decode()
        assert re.findall(r": thread .*", text) == [
            ": thread %d, #%d, w\u00e9 3" % (ids["w\u00e9 3"], number)]
    report, = as_json("--thread", "one by one", recording)["reports"]
    assert leaves(report) == 10000 and report["thread"] is None
    assert read("--thread", "one by one", recording).out.count(b", one by one\n") == 2
    stats = read_stats(recording, options=["--thread", "w\u00e9 3"])
    assert sum(v[1] for f, v in stats.items() if f[2] == "leaf") == 300
    for name in "nobody", "#99", "w", "":
        done = run_bare([READER, "--thread", name, recording])
        assert (done.status, done.out) == (1, b"")
        assert done.err.startswith(b"pyshim-read: read --thread: found no thread '%s', expected "
                                   % name.encode())


def test_threads_folded_together_share_a_report(python, run_shim):
    """Each call is counted exactly once, and a thread's own report is complete."""
    recording, _ = record_threads(python, run_shim, 6, PYSHIM_BUFFER="64K")
    document = as_json("--threads", recording)
    reports = document["reports"]
    several = [r for r in reports if r["thread"]["several"]]
    assert len(several) == 1 and leaves(several[0]) >= 5000
    truth = {"MainThread": 1, "one by one": 5000, "w\u00e9 1": 100, "w\u00e9 2": 200, "w\u00e9 3": 300}
    apart = [(r["thread"]["name"], leaves(r)) for r in reports if r not in several]
    assert apart.count(("MainThread", 1)) == 1 and len(apart) <= 10 - 2
    assert all(truth[name] == n for name, n in apart), apart
    assert leaves(as_json("--thread", "#0", recording)["reports"][0]) == leaves(several[0])
    whole, = as_json(recording)["reports"]
    assert leaves(whole) == 6 * 5000 + 601
    assert added(reports) == added([whole])
    text = read("--threads", recording).out.decode()
    assert text.count(": threads that were folded together\n") == 1


def test_each_reports_every_source(python, run_shim, tmp_path):
    a = run_shim([python.exe, "-c", PROGRAM], env=STEADY).recording
    b = run_shim([python.exe, "-c", CALLBACKS], env=STEADY).recording
    read("-o", tmp_path / "p", b)
    alone = [as_json(s)["reports"][0] for s in (a, b, tmp_path / "p")]
    each = as_json("--each", a, b, tmp_path / "p")["reports"]
    assert [r.pop("source") for r in each] == [0, 1, 2]
    for report in alone:
        assert report.pop("source") is None
    assert each == alone
    labels = [read(s).out.split(b"\n")[0] + b"\n\n" for s in (a, b)]
    assert read("-q", "--each", a, b).out == (
        labels[0] + read("-q", a).out + labels[1] + read("-q", b).out)
    text = read("--each", a, b).out.decode()
    assert [text.count(str(s)) for s in (a, b)] == [1, 1]
    assert text.index(str(a)) < text.index(":3(even)") < text.index(
        str(b)) < text.index(":8(__len__)")
    assert len(as_json("--threads", a, tmp_path / "p")["reports"]) == 2
    assert len(as_json("--each", "--thread", "MainThread", a, b)["reports"]) == 2


@pytest.mark.parametrize("options, found", [
    (["--each", "-o", "x"], "--format: found pstats with --each"),
    (["--threads", "-f", "pstats"], "--format: found pstats with --threads"),
    (["--threads", "--thread", "1"], "--thread: found '1' with --threads"),
    (["--threads", "--bare-time", "1"], "--bare-time: found it with --threads"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_conflicting_options_are_refused(options, found, tmp_path):
    done = run_bare([READER, *options, "nothing"], cwd=tmp_path)
    assert (done.status, done.out) == (2, b"") and not list(tmp_path.iterdir())
    assert done.err.startswith(b"pyshim-read: read %s, expected " % found.encode())
