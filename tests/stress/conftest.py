# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shared by all stress tests: the interpreters, runs and reports of the integration tests, and a
time budget.

tests/integration/conftest.py is loaded by its path as the module `integration`, because two files
named conftest cannot import each other. The names that pytest looks for in a conftest are imported
below.

PYSHIM_STRESS_SECONDS (default 30) is the time for killing processes, over all interpreters, and
scales the time of everything else. From FULL_SECONDS on, every test runs at its full size.
PYSHIM_STRESS_SEED seeds the random choices, to repeat a case; the session's header and every
failure show it.
"""

import collections
import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest


def _load_integration():
    path = Path(__file__).resolve().parents[1] / "integration" / "conftest.py"
    spec = importlib.util.spec_from_file_location("integration", path)
    module = sys.modules["integration"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared = _load_integration()
pytest_generate_tests = _shared.pytest_generate_tests
pytest_sessionstart = _shared.pytest_sessionstart
shim_dir = _shared.shim_dir
run_shim = _shared.run_shim

# Workers of xdist must use the same seed, so they inherit it from the process that starts them.
os.environ.setdefault("PYSHIM_STRESS_SEED", str(int(time.time())))


def pytest_report_header(config):
    from stress import SECONDS, SEED

    return [_shared.pytest_report_header(config),
            "PYSHIM_STRESS_SECONDS=%g PYSHIM_STRESS_SEED=%s" % (SECONDS, SEED)]


@pytest.fixture
def tally(record_property):
    """tally(name, n=1): adds to the sums that are printed after all tests."""
    sums = collections.Counter()

    def add(what, n=1):
        sums[what] += n

    yield add
    for what, n in sums.items():
        record_property("tally " + what, n)


def pytest_terminal_summary(terminalreporter):
    sums = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                for name, value in report.user_properties:
                    if name.startswith("tally "):
                        sums[name[6:]] += value
    for what, n in sorted(sums.items()):
        terminalreporter.write_line("%8d %s" % (n, what))
