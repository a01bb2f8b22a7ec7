# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of CPython's suite that fail under the shim because of CPython itself.

tests/README.md lists the same; test_suite.py checks that.
"""

import fnmatch
import re
from dataclasses import dataclass

from suite import MODULE


@dataclass(frozen=True)
class Unavoidable:
    """Test cases of a module that fail under the shim, and the reason.

    `cases` is a pattern for fnmatch. `found`, a regular expression, must match the failure text.
    `since` and `until` are the first and the last version, such as (3, 11).
    """

    module: str
    cases: str
    found: str
    reason: str
    since: tuple = (3, 8)
    until: tuple = (3, 99)

    def covers(self, module, version, case, text):
        return (module == self.module and self.since <= version[:2] <= self.until and
                fnmatch.fnmatchcase(case, self.cases) and re.search(self.found, text))


TABLE = [
    Unavoidable(
        "test_monitoring", "*", r"AssertionError: \d+ != 0|Lists differ|!= \{",
        "each test begins and ends with the demand that no tool is told of anything", since=(3, 12)),
    Unavoidable(
        "test_capi", "*DebugTests.test_set_nomemory", r"lost sys\.stderr|exit code|return code",
        "an event of `sys.monitoring` takes memory for the offset, where the test has left none",
        since=(3, 12)),
    Unavoidable(
        "test_exceptions", "*.test_exec_set_nomemory_hang", "-11 not found in",
        "an event of `sys.monitoring` that finds no memory crashes the interpreter",
        since=(3, 15), until=(3, 15)),
    Unavoidable(
        "test_exceptions", "*.test_memory_error_in_PyErr_PrintEx", "-11 not found in",
        "an event of `sys.monitoring` that finds no memory crashes the interpreter",
        since=(3, 15), until=(3, 15)),
    Unavoidable(
        "test_atexit", "*.test_atexit_with_low_memory", "-11 not found in",
        "an event of `sys.monitoring` that finds no memory crashes the interpreter",
        since=(3, 15), until=(3, 15)),
]


def explain(module, version, verdicts, texts):
    """Returns {case: reason} of the allowed differences and the list of the others.

    `texts`: {case: failure text under the shim}
    """
    wrong = {c for c, v in verdicts.items() if v[0] in ("differs", "unsteady")}
    reasons = {}
    for case in wrong:
        for entry in TABLE:
            if entry.covers(module, version, case, texts.get(case, "")):
                reasons[case] = entry.reason
    if reasons and wrong - set(reasons) == {MODULE} and "failed" in verdicts[MODULE][2]:
        reasons[MODULE] = "of the tests that failed"
    return reasons, sorted(wrong - set(reasons))
