# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks the instruction counts against the budget in tests/bench/instructions.txt; see
instructions.py.

Without a budget for an interpreter or a compiler, the count is reported as skipped, with its
numbers.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import instructions  # noqa: E402
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
PYTHONS = find_pythons()


def check(name, count, python):
    built_by, budget = instructions.read_budget()
    try:
        measured = count(python, BUILD)
    except instructions.CannotCount as why:
        pytest.skip(str(why))
    if instructions.compiler(BUILD) != built_by:
        pytest.skip("the budget is for %s, not for %s: %s"
                    % (built_by, instructions.compiler(BUILD), measured))
    if name not in budget:
        pytest.skip("no budget for %s: %s" % (name, measured))
    assert sorted(budget[name]) == sorted(measured)
    too_many = instructions.exceeded(measured, budget[name])
    if too_many:
        pytest.fail("\n".join(["%s: more than its budget" % name, *too_many]), pytrace=False)


@pytest.mark.parametrize("python", PYTHONS, ids=lambda p: p.tag)
def test_shim_stays_within_its_instruction_budget(python):
    check("%d.%d" % python.version[:2], instructions.count_shim, python)


def test_reader_stays_within_its_instruction_budget():
    """One interpreter is enough: the recording is the same for all."""
    assert PYTHONS, "no CPython 3.8 or later found: name some in PYTHONS"
    check(instructions.READER, instructions.count_reader, PYTHONS[-1])
