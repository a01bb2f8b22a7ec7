# SPDX-License-Identifier: LGPL-2.1-or-later
"""The short form of `make check-cpython`: a few modules of CPython's suite, with and without the
shim. Also tests the comparison itself, on made-up runs.
"""

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "cpython")]
import suite  # noqa: E402
import unavoidable  # noqa: E402
from pythons import find_pythons  # noqa: E402

SHIM = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve() / "libpyshim.so"

# Quick modules. Each has failed under the shim at some time.
SHORT = ["test_sys_setprofile", "test_profile", "test_cprofile", "test_sys_settrace", "test_generators",
         "test_coroutines", "test_gc", "test_atexit"]


def one_of_each_kind():
    """Returns the oldest version, 3.11 with its own frame layout, and the newest, if they ship
    tests.
    """
    shipping = [p for p in find_pythons() if suite.modules_of(p.exe)]
    wanted = shipping[:1] + [p for p in shipping if p.version[:2] == (3, 11)][:1] + shipping[-1:]
    return list(dict.fromkeys(wanted))


SHIPPING = one_of_each_kind()
NONE_SHIPS = pytest.param(None, id="no interpreter", marks=pytest.mark.skip(
    reason="no CPython here has its test suite (of Debian: a package such as libpython3.11-testsuite)"))


@pytest.mark.parametrize("module", SHORT)
@pytest.mark.parametrize("python", SHIPPING or [NONE_SHIPS], ids=lambda p: p.tag)
def test_suite_modules_have_the_same_outcomes_under_the_shim(python, module):
    texts = {}

    def run_both():
        bare, _ = suite.run_module(python.exe, module, limit=120)
        shim, said = suite.run_module(python.exe, module, SHIM, limit=120)
        texts.update(said)
        return bare, shim

    verdicts = suite.rounds(run_both, 3)
    assert verdicts[suite.MODULE][1][0] in suite.STATUS.values()
    assert sum(v[1][0] == "passed" for v in verdicts.values()) >= 3
    _, wrong = unavoidable.explain(module, python.version, verdicts, texts)
    wrong = {c: verdicts[c] + (texts.get(c, "")[-500:],) for c in wrong
             if verdicts[c][0] == "differs"}
    assert not wrong


# The arithmetic

SAME = {"t.a": "passed", "t.b": "skipped", suite.MODULE: "ok"}
BROKEN = {"t.a": "failed", "t.b": "skipped", suite.MODULE: "failed"}
DEAD = {suite.MODULE: "killed by SIGSEGV"}


def verdict(bare, shim):
    return {case: v[0] for case, v in suite.compare(bare, shim).items()}


@pytest.mark.parametrize("bare, shim, expected", [
    ([SAME], [SAME], {"t.a": "same", "t.b": "same", suite.MODULE: "same"}),
    ([BROKEN], [BROKEN], {"t.a": "same", "t.b": "same", suite.MODULE: "same"}),
    ([SAME], [BROKEN], {"t.a": "differs", "t.b": "same", suite.MODULE: "differs"}),
    ([BROKEN], [SAME], {"t.a": "differs", "t.b": "same", suite.MODULE: "differs"}),
    ([SAME], [DEAD], {"t.a": "differs", "t.b": "differs", suite.MODULE: "differs"}),
    ([SAME, SAME], [BROKEN, SAME], {"t.a": "unsteady", "t.b": "same", suite.MODULE: "unsteady"}),
    ([SAME] * 3, [BROKEN, SAME, BROKEN],
     {"t.a": "differs", "t.b": "same", suite.MODULE: "differs"}),
    ([SAME, BROKEN], [BROKEN, SAME], {"t.a": "flaky", "t.b": "same", suite.MODULE: "flaky"}),
])
def test_outcomes_give_the_expected_verdict(bare, shim, expected):
    assert verdict(bare, shim) == expected


def test_rounds_end_when_both_sides_are_the_same():
    runs = [(SAME, BROKEN), (BROKEN, SAME), (SAME, SAME)]
    left = list(runs)
    verdicts = suite.rounds(lambda: left.pop(0), 3)
    assert verdicts["t.a"][0] == "flaky" and len(left) == 1
    left = [(SAME, SAME), (SAME, BROKEN)]
    assert suite.rounds(lambda: left.pop(0), 3)["t.a"][0] == "same" and len(left) == 1


def test_only_documented_differences_are_allowed():
    entry = unavoidable.TABLE[0]
    case = "test.%s.T.test_x" % entry.module
    text = "AssertionError: 12319 != 0"
    verdicts = suite.compare([{case: "passed", suite.MODULE: "ok"}],
                             [{case: "failed", suite.MODULE: "failed"}])
    since = entry.since
    assert unavoidable.explain(entry.module, since, verdicts, {case: text}) == (
        {case: entry.reason, suite.MODULE: "of the tests that failed"}, [])
    for module, version, said in [("test_gc", since, text), (entry.module, (3, 7, 0), text),
                                  (entry.module, since, "AssertionError: 'a' != 'b'")]:
        assert unavoidable.explain(module, version, verdicts, {case: said}) == (
            {}, [suite.MODULE, case])


def test_junit_files_give_cases_and_failure_texts(tmp_path):
    (tmp_path / "junit.xml").write_text(
        "<testsuites><testsuite>"
        '<testcase name="t.a" status="run"/><testcase name="t.b"><skipped>no</skipped></testcase>'
        '<testcase name="t.c"><failure><![CDATA[why]]></failure></testcase>'
        '<testcase name="t.d 0x7f12"><error>E</error></testcase><testcase/><testcase name="t.a"/>'
        "</testsuite></testsuites>")
    cases, texts = suite.read_cases(tmp_path / "junit.xml")
    assert cases == {"t.a": "passed, passed", "t.b": "skipped", "t.c": "failed", "t.d 0x": "failed"}
    assert texts == {"t.c": "why", "t.d 0x": "E"}  # passed cases are not printed; another run's line
    assert suite.read_subtests("x\nFAIL: test_a (test.t.T) (i=1)\nERROR: test_b (test.t.T)\n"
                               "ERROR: test_c (t.T.test_c) [x]\n") == [
        "test_a (test.t.T) (i=1)", "test_c (t.T.test_c) [x]"]


def test_after_a_timeout_only_common_cases_are_compared():
    """After a timeout, only the cases that both sides reached are compared."""
    text = ("test_a (test.t.T) ... ok\ntest_b (test.t.T)\nIts docstring. ... skipped 'why'\n"
            "test_c (test.t.T) ... FAIL\ntest_d (test.t.T) ... ")
    cases = suite.read_printed(text)
    assert cases == {"test_a (test.t.T)": "passed", "test_b (test.t.T)": "skipped",
                     "test_c (test.t.T)": "failed"}
    cut = {**cases, suite.MODULE: suite.TOO_LONG}
    less = {"test_a (test.t.T)": "failed", suite.MODULE: suite.TOO_LONG}
    assert verdict([cut], [less]) == {"test_a (test.t.T)": "differs", suite.MODULE: "same"}


def test_every_allowed_difference_is_documented():
    """tests/README.md lists every allowed difference."""
    text = re.sub(r"\s+", " ", (ROOT / "tests" / "README.md").read_text())
    for entry in unavoidable.TABLE:
        assert entry.module in text and entry.reason in text, entry
