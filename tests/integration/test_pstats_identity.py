# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text report is equal to the byte to that of Python's own pstats. Sources are recordings,
files of cProfile, profile and Stats.dump_stats, and sums of them. Options are every sort key and
abbreviation, reversed order, stripped folders, callers and callees, and chains of restrictions.

Each profile meets every combination once, on one of the interpreters: of N interpreters, the k-th
prints the k-th, (k + N)-th ... combination, by pstats_texts.py in one process. Only the lines with
file names are left out, because pyshim-read prints them in another form.
"""

import concurrent.futures
import itertools
import json
import marshal
import os
import random
import re
import shutil
import struct
import tempfile
from pathlib import Path

import pytest

from conftest import DATA, MEMORY, PYTHONS, READER, SHIM, read, run_bare

TEXTS = Path(__file__).parent / "pstats_texts.py"
PROGRAMS = ["argparse_tool", "callbacks_from_c", "json_roundtrip", "tokenize_sources",
            "difflib_report", "ast_transform", "pydoc_pages"]
WORDS = ["calls", "ncalls", "cumtime", "cumulative", "filename", "line", "module", "name", "nfl",
         "pcalls", "stdname", "time", "tottime"]
SEVERAL = [["time", "calls"], ["calls", "name"], ["module", "line", "name"], ["nfl", "pcalls"],
           ["pcalls", "stdname"], ["line", "cumulative", "filename"]]
CHAINS = [
    [], [5], [0], [1], [10**6], [-1], [0.1], [0.5], [0.999], [1.5], [0.0],
    ["json"], ["^{"], ["^{", 3], [r"\.py:\d+\(", 7], ["init|load|main", 0.5], [20, "e", 3],
    [0.5, 0.5, 0.5], ["nothing is called so"], ["("], ["[z-a]", 3], ["*", "a", "+b"], ["'"],
    ["it's a \"(\""], ["tab\t\\(", "\\"], ["\u00e9\u2028\U0001f40d\x7f("], [r"\bre\b"],
    ["(?i)BUILT-IN"], ["a{,2}b*?$"], ["\u00e9|\\udcff|\U0001f40d"], [r"(?P<q>[a-z])(?P=q)"],
    ["", 4], [r"\)\Z"], [r"(?<=<)\w+(?=>)", 3, 0.5], [r"(?<!a|bc)x"], ["(?x) m  o  # d u l e"],
    [r"[^\W\d_]{12,}", "[[:alpha:]]"], [r"(\w)\1", r"\141|\x62|\u0063"],
]


# Profiles


def function(file, line, name, calls=1, own=0.0, total=0.0, callers=None, primitive=None):
    primitive = calls if primitive is None else primitive
    return (file, line, name), (primitive, calls, own, total, callers or {})


def odd_names():
    names = ["lone \ud800 surrogate", "\udcff\udc80", "\U0001f40d astral", "e\u0301", "nul \0 in it",
             "new\nline", "tab\tcr\resc\x1b[31m", "", " ", "a(b)c", "<x>", "<>", "<", "~",
             "x" * 5000, "\u202eright to left", "\ufeff\u2028", "'\"\\", "%s %d {} $", "\0"]
    entries, previous = [], None
    for n, name in enumerate(names):
        for key in ((name, n, "f"), ("/a/" + name, n, name), ("~", 0, name), ("~", 1, name)):
            callers = {previous: (n, n, n / 7, n / 3)} if previous else {}
            entries.append((key, (n, n + n % 2, n / 3, n / 2, callers)))
            previous = key
    return dict(entries)


def ties():
    """All functions are equal in rank, so only the order of the dict decides."""
    keys = [("/x/%s.py" % "zmab"[n % 4], 100 - n % 3, "f%d" % (n % 5)) for n in range(60)]
    keys = list(dict.fromkeys(keys))
    return {k: (1, 1, 0.25, 0.5, {c: (1, 1, 0.25, 0.5) for c in keys[n::7]})
            for n, k in enumerate(keys)}


def large_and_small():
    counts = [0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**45, 2**62]
    seconds = [0.0, 5e-324, 1e-9, 0.0004999, 0.0005, 0.00050001, 0.0015, 1.0, 99999.9995, 1e15,
               1e300, float("inf"), -1.5, -0.0]
    stats = {}
    for n, (count, second) in enumerate(itertools.product(counts, seconds)):
        key, value = function("large.py", n - 5, "f", count, second, -second / 3)
        stats[key] = (count // 3,) + value[1:4] + ({("large.py", n - 6, "f"): value[:4]},)
    return {k: v for k, v in stats.items() if v[1] < 2**62 or k[1] % 14 == 3}


def same_without_folders():
    """Functions and callers become equal without folders. In a dict of callers the last one
    replaces the others.
    """
    stats = {}
    for n, folder in enumerate(("/b/", "/a/", "", "/a/b/c/", "rel/", "//")):
        callers = {(f + "m.py", 1, "g"): (n + k, 1, n / 9, k / 7)
                   for k, f in enumerate(("/z/", "/y/", "", "/b/", "x//"))}
        callers[folder + "own.py", n % 2, "h"] = (3, 2, 0.5, 0.25)
        stats.update([function(folder + "m.py", 1, "g", 7 + n, n / 3, n * 1.7, callers, 5)])
        stats.update([function(folder + "own.py", n % 2, "h", n, 0.1 * n, 0.3)])
    stats.update([function("~", 0, "<a/b>"), function("/", 3, "slash"), function("end/", 3, "s")])
    return stats


def counts_of_callers():
    """A profile as profile.py writes it. The first function has no callers, so the next one decides
    the form.
    """
    keys = [("/p/%d.py" % (n % 3), n, "f%d" % n) for n in range(20)]
    return {k: (n, n + n % 3, n / 7, n / 3, {c: n * 2**28 + 1 for c in keys[:n:3]})
            for n, k in enumerate(keys)}


def top_level():
    """The entry of a profiler from 1994 that pstats still checks for."""
    (a, va), (b, vb) = function("t.py", 1, "one", 2, 1.0, 3.0), function("t.py", 2, "two", 4)
    top = ("jprofile", 0, "profiler")
    return {top: (1, 1, 0.5, 9.0, {}), a: va[:4] + ({top: (2, 2, 1.0, 3.0)},), b: vb}


def rounded(n, seconds):
    """1e16 and four times 1: the sum depends on the order of addition."""
    return dict(function("r.py", n + k, "r", 1, seconds, seconds) for k in range(n))


MADE = {"odd names": odd_names(), "ties": ties(), "large and small": large_and_small(),
        "same without folders": same_without_folders(), "counts": counts_of_callers(),
        "top level": top_level(), "one": dict([function("one.py", 1, "f")]),
        "rounded": rounded(1, 1e16), "rounded off": rounded(4, 1.0)}
# The code of profile.run must be text. Otherwise the file names the program by an object with its
# address.
PROFILE = """\
import profile, runpy, sys
sys.setrecursionlimit(20000)
p = profile.Profile()
p.runctx("runpy.run_path(sys.argv[1], run_name='__main__')", globals(), locals())
p.dump_stats(sys.argv[2])
"""
ADDED = """\
import pstats, sys
a, b = sys.argv[1:3]
pstats.Stats(a, b, a).dump_stats(sys.argv[3])
pstats.Stats(a).strip_dirs().add(pstats.Stats(b).strip_dirs()).dump_stats(sys.argv[4])
"""


def write(path, content):
    path.write_bytes(content)
    return str(path)


def made_files(folder):
    files = {}
    for name, stats in MADE.items():
        version = len(files) % 5  # Python's marshal has versions 0 to 4 since 3.4
        files[name] = [write(folder / (name + ".pstats"), marshal.dumps(stats, version))]
    return files


def profiled_files(folder):
    """One profile by cProfile and one by profile for each interpreter, each of another program;
    three of each if there are fewer interpreters.
    """
    files = {}
    for n in range(max(3, len(PYTHONS))):
        python, name = PYTHONS[n % len(PYTHONS)], PROGRAMS[n % len(PROGRAMS)]
        program = DATA / "programs" / (name + ".py")
        out = folder / ("%d.c.pstats" % n), folder / ("%d.p.pstats" % n)
        for args in (["-m", "cProfile", "-o", out[0], program], ["-c", PROFILE, program, out[1]]):
            done = run_bare([python.exe, *args], cwd=folder)
            assert done.status == 0, done
        files["cProfile of %s by %s" % (name, python.tag)] = [str(out[0])]
        files["profile of %s by %s" % (name, python.tag)] = [str(out[1])]
    return files


def recorded_files(folder, where):
    """{name: [recording]} of three programs, {recording: pstats file}"""
    files, converted = {}, {}
    for python, program in zip((PYTHONS[0], PYTHONS[-1], PYTHONS[len(PYTHONS) // 2]), PROGRAMS[1:]):
        here = tempfile.mkdtemp(dir=where)
        # A wall clock's tick length depends on the time of reading.
        env = {"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": here, "PYSHIM_CLOCK": "cpu"}
        done = run_bare([python.exe, DATA / "programs" / (program + ".py")], env=env, cwd=folder)
        assert done.status == 0, done
        recording = str(next(Path(here).glob("pyprof.*")))
        converted[recording] = str(folder / (program + ".pstats"))
        read("-o", converted[recording], recording)
        files["recording of %s by %s" % (program, python.tag)] = [recording]
    return files, converted


def sums(folder, files):
    """Several sources at once, and files of Stats.dump_stats with their sum, with and without
    folders.
    """
    c, p = ([f[0] for name, f in files.items() if name.startswith(kind)]
            for kind in ("cProfile of", "profile of"))
    r = [f[0] for name, f in files.items() if name.startswith("recording")]
    added = str(folder / "added.pstats"), str(folder / "stripped.pstats")
    done = run_bare([PYTHONS[-1].exe, "-c", ADDED, c[0], c[-1], *added])
    assert done.status == 0, done
    return {"two": [c[0], c[-1]], "three": c[:3], "one twice": [c[0], c[0]], "all of cProfile": c,
            "all of profile": p, "recordings": r, "recordings and files": [r[0], c[0], r[1], c[1]],
            "made": [files["ties"][0], files["same without folders"][0], files["odd names"][0]],
            "sums of sums": [files["rounded"][0], files["rounded off"][0]],
            "dumped sum": [added[0]], "dumped without folders": [added[1]]}


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    """{name: (sources of pyshim-read, files of pstats)}"""
    folder = tmp_path_factory.mktemp("profiles")
    where = tempfile.mkdtemp(prefix="pyshim-test-", dir=MEMORY)
    try:
        files = {**made_files(folder), **profiled_files(folder)}
        recorded, converted = recorded_files(folder, where)
        files.update(recorded)
        files.update(sums(folder, files))
        yield {name: (sources, [converted.get(s, s) for s in sources])
               for name, sources in files.items()}
    finally:
        shutil.rmtree(where, ignore_errors=True)


# Combinations


def abbreviations():
    """Returns the keys of get_sort_arg_defs: every prefix of a word that is not ambiguous."""
    known, refused = {}, set()
    for word in WORDS:
        for n in range(len(word), 0, -1):
            if word[:n] in known:
                refused.add(word[:n])
                break
            known[word[:n]] = word
    return sorted(known.keys() - refused - set(WORDS)), sorted(refused)


def combinations(start):
    """Returns (strip, keys, reverse, listing, chain); each profile starts with another chain."""
    keys = [[word] for word in WORDS] + [[-1], [0], [1], [2]] + SEVERAL
    chains = itertools.cycle(CHAINS[start % len(CHAINS):] + CHAINS[:start % len(CHAINS)])
    for choice in itertools.product((False, True), keys, (False, True),
                                    ("stats", "callers", "callees")):
        yield (*choice, next(chains))
    for short in abbreviations()[0]:
        yield False, [short], False, "stats", [3]
    for chain, listing in zip(CHAINS, itertools.cycle(("callers", "stats", "callees"))):
        yield False, ["stdname"], False, listing, chain


def jobs(profiles, python):
    """Returns [(sources, job of pstats_texts)] of this interpreter."""
    own, found = PYTHONS.index(python), []
    for n, (sources, files) in enumerate(profiles.values()):
        for strip, keys, *rest in itertools.islice(combinations(7 * n), own, None, len(PYTHONS)):
            found.append((sources, [files, strip, keys, *rest]))
    return found


def arguments(sources, job):
    _, strip, keys, reverse, listing, chain = job
    words = ["-q"]
    words += [word for key in keys for word in ("-s", str(key))]
    words += [word for r in chain for word in ("-r", r if isinstance(r, str) else repr(r))]
    words += ["--strip-dirs"] * strip + ["--reverse"] * reverse
    return words + ["--" + listing] * (listing != "stats") + ["--", *sources]


def texts(python, jobs, folder):
    """Returns the output of this interpreter's pstats for each job."""
    asked, told = folder / "jobs", folder / "texts"
    asked.write_text(json.dumps(jobs))
    done = run_bare([python.exe, TEXTS, asked, told], timeout=500)
    assert done.status == 0, done.err.decode()[-3000:]
    data, at = told.read_bytes(), 0
    while at < len(data):
        (n,) = struct.unpack_from("<q", data, at)
        yield data[at + 8 : at + 8 + n]
        at += 8 + n


def difference(ours, theirs):
    """Returns the first difference of two outputs with its context; "" if they are equal."""
    if ours == theirs:
        return ""
    at = len(os.path.commonprefix([ours, theirs]))
    return "from byte %d\n  pyshim-read: %r\n  pstats:      %r" % (
        at, ours[max(0, at - 60) : at + 60], theirs[max(0, at - 60) : at + 60])


def is_refused(done, theirs):
    """Accepts an error for an invalid pattern. pstats prints one above its table if functions are
    left.
    """
    refused = done.status == 2
    if refused:
        assert done.out == b"" and b"read --restrict: found " in done.err, done
    named = b"   <Invalid regular expression " in theirs
    assert named <= refused <= (named or b"Ordered by: " not in theirs), (done, theirs)
    return refused


def compare(python, jobs, folder):
    """Returns [differences] between pyshim-read and this interpreter's pstats."""
    def ours(job):
        return run_bare([READER, *arguments(*job)])

    found = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        expected = texts(python, [job for _, job in jobs], folder)
        for (sources, job), done, theirs in zip(jobs, pool.map(ours, jobs), expected):
            if is_refused(done, theirs):
                continue
            assert (done.status, done.err) == (0, b""), done
            if done.out != theirs:
                found.append("%s\n%s" % (done.args[1:], difference(done.out, theirs)))
    return found




def test_every_combination_of_options_is_assigned(profiles):
    """There are 25 profiles with thousands of combinations, and each combination belongs to an
    interpreter.
    """
    assert len(profiles) >= 25 and len(CHAINS) >= 20
    asked = [json.dumps([s, j]) for python in PYTHONS for s, j in jobs(profiles, python)]
    assert len(asked) == len(profiles) * len(list(combinations(0))) > 10000
    assert len(set(asked)) > 0.9 * len(asked)


def test_reports_equal_those_of_pstats_to_the_byte(python, profiles, tmp_path):
    mine = jobs(profiles, python)
    wrong = compare(python, mine, tmp_path)
    assert not wrong, "%d of %d differ:\n%s" % (len(wrong), len(mine), "\n".join(wrong[:10]))


# Regular expressions

ATOMS = (
    "a b i s A \u00e9 \u00c9 \u00df \u017f _ 1 \u0663 \\n \\d \\D \\w \\W \\s \\S \\b \\A \\Z ^ $ . [ab] [^a] [a-c] "
    "[\\w-] [^\\W\\d] []a] [a-] [[:alpha:]] [\\d-x] [b-a] [^]] [a&&b] [\\b] [\u00e9-\u00fc] \\x41 \\u00e9 \\x4 "
    "\\07 \\0 \\101 \\1 \\2 \\10 \\400 (?P=n) \\. \\( \\- \\q \\h \\K \\R \\v \\e \\G \\Q \\p \\X # \udcff "
    "[\\ud800-\\udfff] \\ud800 (*ACCEPT) { } {2} {,2} {1,} {} {a} * + ? | (?#c) - ] [ [^ (?i) (?x) (?L) \\"
).split(" ") + [" ", "\n"]
REPEATS = [""] * 6 + "* + ? {2} {1,2} {,2} {0} *? ?? *+ {1,2}+ {2,1} ** *{2}".split()
OPENINGS = ("( ( (?: (?= (?! (?<= (?<! (?> (?i: (?-i: (?s-i: (?x: (?a: (?P<n> (?m: (?(1) (?(n) (?<x> (?| "
            "(?R").split()
NAMES = ["a", "ab", "aab", "A", "I", "\u0130", "i", "S", "\u017f", "K", "\u212a", "\u00e9", "\u00c9",
         "\u00df", "\u1e9e", "1", "\u0663", "_", " ", "\n", "a\n", "\na", "a\nb", "\ud800", "x\udcffy",
         "\U0001f40d", "]", "[", ":", "{2}", "aaaa", "\0", "\b", "abab", "\x1c", "\u2028", "\u180e", "#a"]


def random_pattern(rng, depth):
    words = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        if depth and rng.random() < 0.35:
            body = random_pattern(rng, depth - 1)
            if rng.random() < 0.4:
                body += "|" + random_pattern(rng, depth - 1)
            words.append(rng.choice(OPENINGS) + body + ")")
        else:
            words.append(rng.choice(ATOMS))
        words.append(rng.choice(REPEATS))
    return "".join(words)


def test_random_patterns_match_like_re(python, tmp_path):
    """Matches and invalid patterns in reports are those of this interpreter's re."""
    left_out = r"\d{4}|[Nz]"  # repeats beyond PCRE2; named characters, and additions of 3.14
    if python.version < (3, 11):  # possessive repeats, flags anywhere, conditions on missing groups
        left_out += r"|[*+?}]\+|\(\?>|.\(\?[a-zA-Z]+\)|\(\?\("
    rng = random.Random(python.tag)
    stats = {("~", n, name): (n, n, 0.0, 0.0, {}) for n, name in enumerate(NAMES)}
    file = tmp_path / "names.pstats"
    file.write_bytes(marshal.dumps(stats))
    found = []
    while len(found) < 600:
        pattern = rng.choice(("", "", "", "(?i)", "(?x)", "(?m)", "(?ai)")) + random_pattern(rng, 2)
        if not re.search(left_out, pattern) and not re.fullmatch(r"[\s\d._]*", pattern):
            found.append(([str(file)], [[str(file)], False, ["line"], False, "stats", [pattern]]))
    wrong = compare(python, found, tmp_path)
    assert not wrong, "%d differ:\n%s" % (len(wrong), "\n".join(wrong[:10]))


# Interpreters that a machine may lack


GOLDEN = sorted((DATA / "pstats").glob("*.pstats"))


def test_the_golden_files_exist():
    assert {p.name.split("-")[0] for p in GOLDEN} >= {"2.7", "3.6", "3.14", "3.15"}
    assert "3.15-sampled.pstats" in {p.name for p in GOLDEN}


@pytest.mark.parametrize("file", GOLDEN, ids=lambda p: p.stem)
def test_reports_equal_the_golden_files(file):
    """The files and outputs come from tests/data/pstats/make.py."""
    jobs = json.loads((DATA / "pstats" / "jobs.json").read_text())
    theirs, ours = file.with_suffix(".txt").read_bytes(), b""
    heads = [json.dumps(job).encode() + b"\n" for job in jobs]
    for job, head, following in zip(jobs, heads, heads[1:] + [b""]):
        done = run_bare([READER, *arguments([file], [[file], *job])])
        expected = theirs[theirs.index(head) + len(head) :]
        expected = expected[: expected.index(following) if following else None]
        ours += head + (expected if is_refused(done, expected) else done.out)
    assert not difference(ours, theirs), difference(ours, theirs)


def test_sort_keys_for_samples_work_on_sampled_profiles():
    """Python 3.15 added these words. In other profiles they are unknown."""
    sampled = DATA / "pstats" / "3.15-sampled.pstats"
    for ours, theirs, title in (("samples", "calls", b"sample count"), ("nsamples", "0", None),
                                ("psamples", "pcalls", b"primitive call count")):
        a, b = (read("-q", "-s", key, "-s", "stdname", sampled).out.split(b"\n\n")
                for key in (ours, theirs.replace("0", "ncalls")))
        assert a[2:] == b[2:] and (not title or title in a[1]), (a[1], b[1])
    done = read("-q", "-s", "samples", DATA / "pstats" / "3.15-cprofile.pstats", status=1)
    assert b"samples" in done.err and done.out == b""
    assert read("-s", "sample", sampled, status=2).out == b""
