# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of tools/bench and tools/bench-compare: their arithmetic on made-up samples, and one short
run. No time is asserted.
"""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import figures  # noqa: E402
import instructions  # noqa: E402
import measure  # noqa: E402
import workloads  # noqa: E402
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
PYTHONS = find_pythons()


def load_tool(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def series(pairs, *rounds):
    """Returns rounds of CPU times by mode. Elapsed times are ten times as long."""
    return {"pairs": pairs, "rounds": [{m: [t, 10 * t] for m, t in r.items()} for r in rounds]}


# Native runs take 100. The floor adds 50, 60 and 40; ring adds 60, 90 and 48: 1.2, 1.5 and 1.2
# floors.
THREE = (
    {"bare": 100, "floor": 150, "ring": 160, "cprofile": 200},
    {"bare": 110, "floor": 170, "ring": 200, "cprofile": 210},
    {"bare": 100, "floor": 140, "ring": 148, "cprofile": 220},
)


def test_run_ratio_is_the_median_of_rounds():
    f = figures.run_ratio(series(10, *THREE), "ring")
    assert f.median == 1.6  # the median of 1.6, 200/110 and 1.48
    assert f.least == 1.48
    assert f.spread == pytest.approx((200 / 110 - 1.48) / 4)
    assert figures.run_ratio(series(10, *THREE), "fold") is None
    assert figures.run_ratio(series(10, *THREE), "ring", figures.ELAPSED).least == 1.48


def test_added_time_is_per_pair_and_none_without_pairs():
    f = figures.added_ns(series(10, *THREE), "ring")
    assert (f.median, f.least) == (6.0, 4.8)
    assert figures.added_ns(series(0, *THREE), "ring") is None


def test_added_ratio_divides_the_means():
    # Added per pair: ring 6 and 1, floor 5 and 0.5.
    quick = series(100, {"bare": 100, "floor": 150, "ring": 200})
    interpreter = {"workloads": {"calls": series(10, THREE[0]), "fib": quick}}
    f = figures.added_ratio(interpreter, ("calls", "fib"), "ring", "floor")
    assert f.median == f.least == pytest.approx(7 / 5.5)
    assert figures.added_ratio(interpreter, ("calls", "fib"), "ring", "cprofile") is None
    assert figures.added_ratio(interpreter, ("calls", "len"), "ring", "floor") is None


def test_modes_slower_than_cprofile_are_listed():
    slow = series(1, {"bare": 100, "cprofile": 200, "ring": 199, "fold": 250, "live": 200})
    assert figures.above_cprofile({"workloads": {"sort": slow}}) == [("sort", "fold", 1.5)]


def test_off_ratio_is_a_geometric_mean():
    half, double = series(1, {"bare": 100, "off": 50}), series(1, {"bare": 100, "off": 200})
    f = figures.off_ratio({"workloads": {"a": half, "b": double}}, "off")
    assert f.least == pytest.approx(1.0)


def test_start_up_and_rebuild_figures():
    rounds = [{"bare": [10e6, 20e6], "ring": [12e6, 21e6]}, {"bare": [11e6, 19e6], "ring": [12e6, 22e6]}]
    cpu = figures.start_up_ms(rounds, "ring", figures.CPU)
    assert (cpu.median, cpu.least) == (1.5, 2.0)
    speed, ratio = figures.rebuild_speed([[1000, 10000, 30000]])
    assert (speed.median, ratio.least) == (100.0, pytest.approx(1 / 3))


def test_a_change_must_exceed_the_spread_and_the_least():
    compare = load_tool("bench-compare")
    a = figures.Figure(1.5, 1.5, 0.1)
    assert compare.changed(a, figures.Figure(1.8, 1.7, 0.1))
    assert not compare.changed(a, figures.Figure(1.6, 1.6, 0.1))  # within the spreads
    assert not compare.changed(a, figures.Figure(1.8, 1.4, 0.1))  # the least samples contradict


CALLGRIND = """\
ob=(1) /usr/bin/python3
fn=(1) eval
10 1000
cob=(2) /lib/libpyshim.so
cfn=(2) hook
calls=3 20
* 70
cfn=(3) other
calls=1 30
+1 500

ob=(2)
fn=(2)
20 10
cfn=(5) thread_room
calls=1 5
* 30
cob=(3) /lib/libc.so.6
cfn=(4) memset
calls=3 0
* 30

ob=(3)
fn=(4)
0 30
"""


def test_inclusive_counts_the_functions_that_an_object_calls(tmp_path):
    part = tmp_path / "out.1"
    part.write_text(CALLGRIND)
    assert instructions.inclusive(part, "libpyshim.so") == 70
    assert instructions.inclusive(part, "libc.so.6") == 30
    assert instructions.inclusive(part, "libm.so.6") == 0


def test_a_budget_is_exceeded_above_5_per_cent():
    budget = {"call": 100.0, "c_call": 100.0}
    assert not instructions.exceeded({"call": 104.9, "c_call": 50.0, "new": 9.0}, budget)
    assert len(instructions.exceeded({"call": 105.1, "c_call": 106.0}, budget)) == 2


@pytest.mark.parametrize("n", [1, 5, workloads.FIB])
def test_fib_calls_equals_a_counted_run(n):
    counted = []

    def fibonacci(n):
        counted.append(n)
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    fibonacci(n)
    assert workloads.fib_calls(n) == len(counted)
    assert instructions.fib_records(n) == 2 * len(counted)


@pytest.mark.parametrize("python", PYTHONS[:1] + PYTHONS[1:][-1:], ids=lambda p: p.tag)
def test_a_short_run_has_every_mode(python, tmp_path):
    """Runs every mode on the oldest and the newest interpreter."""
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "bench", "--build", BUILD, "--python", python.exe,
         "--rounds", "1", "--workload", "threads", "--workload", "json_roundtrip", "--json", out],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    interpreter = json.loads(out.read_text())["interpreters"][python.tag]
    for name, one in interpreter["workloads"].items():
        assert len(one["rounds"]) == 1
        for taken in one["rounds"]:
            assert set(taken) - {"yappi"} == set(measure.MODES) - {"yappi"}
            assert all(cpu > 0 and wall > 0 for cpu, wall in taken.values())
        assert (one["pairs"] > 0) == (name == "threads")
    same = subprocess.run([sys.executable, ROOT / "tools" / "bench-compare", out, out],
                          capture_output=True, text=True)
    assert same.stdout.startswith("0 of "), (same.stdout, same.stderr)
