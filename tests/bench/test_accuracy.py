# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of tools/bench-accuracy: its arithmetic on made-up samples, and one short run. No time is
asserted.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]
import accuracy  # noqa: E402
import accuracy_works  # noqa: E402
from accuracy import BARE, CORRECTED, CPROFILE, RAW  # noqa: E402
from accuracy_programs import PROGRAMS  # noqa: E402
from pythons import find_pythons  # noqa: E402

BUILD = Path(os.environ.get("PYSHIM_BUILD", ROOT / "build")).resolve()
PYTHONS = find_pythons()


def runs(**times):
    return {mode: {"runs": list(t), "parts": {}} for mode, t in times.items()}


def test_total_is_relative_to_the_native_run():
    """The least run of each round counts: 2.0, 1.5 and 1.0 times native; 150 to 80 over all rounds.
    """
    rounds = [runs(bare=(100, 120), raw=(250, 200)), runs(bare=(100, 100), raw=(150, 160)),
              runs(bare=(200, 80, 90), raw=(80 * 2, 170))]
    f = accuracy.total(rounds, RAW)
    assert (f.median, f.least) == (2.0, 150 / 80)


def test_share_of_calls_is_scaled_by_the_native_run():
    """Native halves take 100 and 200. Reported: 150 and 250, 300 and 200, 100 and 200; in all 100
    and 200.
    """
    def halves(calls, flat):
        return {RAW: {"runs": [], "parts": {"half_calls": calls, "half_flat": flat}},
                BARE: {"runs": [], "parts": {"half_calls": [120, 100], "half_flat": [200]}}}

    rounds = [halves([160, 150], [250]), halves([300], [200, 210]), halves([100], [200])]
    f = accuracy.share(rounds, RAW)
    assert f.median == pytest.approx(100 * 1.5 / (1.5 + 1.25))
    assert f.least == pytest.approx(50)
    assert accuracy.share(rounds[:2], RAW).least == pytest.approx(60)


def test_spins_report_the_error_per_call():
    """A spin of k rounds takes 3 ns each. The reported time is off by 19 or 21 ns a call."""
    def sample(off):
        parts = {}
        for name, _, n, k in accuracy_works.cases():
            n = min(n, accuracy_works.SLICE)
            parts["inline_%d" % k], parts["empty_%d" % k] = [n * (5 + 3 * k)], [n * 5, n * 6]
            parts["spin_" + name] = [n * (3 * k + off), n * 1000000]
            parts[name] = [n * (3 * k + 40 + off)]
        return {"runs": [], "parts": parts}

    rounds = [{BARE: sample(0), RAW: sample(21), CORRECTED: sample(-19)}]
    for mode, off in ((RAW, 21), (CORRECTED, -19)):
        for case in accuracy.spins(rounds, mode):
            k = max(1, accuracy_works.SPINS // case.n_calls)
            assert case.known_self == pytest.approx(3 * k)
            assert case.known_total == pytest.approx(3 * k + 40)
            assert case.off_self == pytest.approx(off) and case.off_total == pytest.approx(off)
            assert case.is_right() == (abs(off) <= max(20, 0.05 * 3 * k))


def test_offsets_of_one_round_cancel_out():
    """An offset of one round, in native and reported times, must cancel out."""
    def sample(bare):
        parts = {}
        for name, _, n, k in accuracy_works.cases():
            n = min(n, accuracy_works.SLICE)
            parts["inline_%d" % k], parts["empty_%d" % k] = [n * bare], [0]
            parts["spin_" + name], parts[name] = [n * (bare + 7)], [n * bare]
        return {"runs": [], "parts": parts}

    rounds = [{BARE: sample(1000), RAW: sample(1000)}, {BARE: sample(1000), RAW: sample(1000)},
              {BARE: sample(500), RAW: sample(1000)}]
    for case in accuracy.spins(rounds, RAW):
        assert (case.known_self, case.known_total) == pytest.approx((1000, 1000))
        assert (case.off_self, case.off_total) == pytest.approx((7, 0))


def test_summary_has_the_median_of_the_rounds():
    """The summary has the median of three rounds."""
    def rounds(bare, raw, corrected):
        return [runs(bare=[bare], raw=[raw], corrected=[c]) for c in (corrected, corrected * 3, bare / 2)]

    works = {"deep": rounds(100, 200, 106), "classes": rounds(100, 150, 98),
             "flat": rounds(100, 101, 99), "flat_in_c": rounds(100, 101, 70)}
    assert list(accuracy.summary(works, CORRECTED, PROGRAMS).values()) == ["4.0", "6", "1", "0.99", "0.70"]
    assert list(accuracy.summary(works, RAW, PROGRAMS).values()) == ["75.0", "100", "0", "1.01", "1.01"]


def test_parts_are_found_by_name_and_caller():
    """Parts are found by name. A function with many callers has one time for each."""
    times = {"run_0": [1, 10, {}], "run_12": [1, 12, {}], "caller_a_0": [2, 20, {}],
             "caller_a_b_0": [3, 30, {}], "spin_a_3": [4, 40, {}],
             "spin_a_b": [5, 50, {"caller_a_b_0": 6, "caller_a_b_1": 7}]}
    sample = accuracy.sample_of(times, ["a", "a_b"])
    assert sample == {"runs": [10, 12], "parts": {"a": [20], "spin_a": [4], "a_b": [30],
                                                  "spin_a_b": [6, 7]}}


@pytest.mark.parametrize("python", PYTHONS[:1] + PYTHONS[1:][-1:], ids=lambda p: p.tag)
def test_a_short_run_has_every_mode(python, tmp_path):
    """Runs every mode on the oldest and the newest interpreter."""
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "bench-accuracy", "--build", BUILD, "--python", python.exe,
         "--rounds", "1", "--calls", "1000", "--work", "fifty", "--work", "spins", "--work", "deep",
         "--json", out], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    works = json.loads(out.read_text())["interpreters"][python.tag]["works"]
    assert set(works) == {"fifty", "spins", "deep"}
    for (one,) in works.values():
        assert set(one) == {BARE, RAW, CORRECTED, CPROFILE}
        for sample in one.values():
            assert len(sample["runs"]) == accuracy_works.REPEATS and min(sample["runs"]) >= 0
    # Each slice has this many of a million calls. The recording includes the warm-up.
    parts = {mode: sample["parts"] for mode, sample in works["spins"][0].items()}
    n = 1000000 // accuracy_works.SLICE
    assert len(parts[BARE]["loop_1000000"]) == n
    for mode, warm in ((RAW, 1), (CORRECTED, 1), (CPROFILE, 0)):
        assert len(parts[mode]["spin_loop_1000000"]) == n + warm * n // accuracy_works.REPEATS
        assert len(parts[mode]["spin_c_100"]) == accuracy_works.REPEATS + warm
    table = done.stdout[done.stdout.index("| raw / "):].strip().splitlines()
    assert len(table) == 2 + 5  # two halves, three lines of programs, spins
    assert len({line.count("|") for line in table}) == 1


def test_every_work_runs_and_fills_in_its_times():
    """Works that time their parts must fill in all times."""
    for name in ("fifty", "spins"):
        accuracy_works.measured.clear()
        accuracy_works.find(name)([10, 10])
        assert accuracy_works.measured and all(t for v in accuracy_works.measured.values() for t in v)
    for name, program in PROGRAMS.items():
        if name not in ("sympy", "jinja2", "pygments"):  # need packages that may be missing
            program(1)
