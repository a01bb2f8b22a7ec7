# SPDX-License-Identifier: LGPL-2.1-or-later
"""After a kill at any moment, a recording has every event, with names, except the one that was
being written.

The program (programs/counted.py) publishes its own counts at every call. Half of the time it is
killed at random, the other half at the kill points that the shim's sources name by
KILLPOINT("..."), in a build that has them (make KILLPOINTS=1). New kill points are tested
automatically.
"""

import random
import re
import subprocess
import time

import pytest

import steps
from integration import BUILD, PYTHONS, READER, ROOT
from stress import (ENGINES, FULL, PATIENCE, SECONDS, SEED, Counted, check_killed, check_snapshot,
                    running)

KILL_SHIM = BUILD / "killpoints" / "libpyshim.so"
SCENARIOS = ["calls", "mix", "threads", "short_threads", "forks"]
POINTS = sorted({name for folder in ("shim", "include/pyprof") for path in (ROOT / folder).rglob("*.[ch]")
                 for name in re.findall(r'\b(?:KILLPOINT|PYPROF_TESTPOINT)\("([^"]+)"\)',
                                        path.read_text())})
# {kill point: the reason why no run of this file reaches it}
OF_THE_COUNTER = {"half-a-pair"}  # reached with this clock only
UNREACHED = {}
# Ways to reach a kill point, tried in turn: scenario, settings, with a live reader.
WAYS = [
    ("mix", {"PYSHIM_BUFFER": "64K"}, False),
    ("short_threads", {"PYSHIM_BUFFER": "64K"}, False),
    ("mix", {"PYSHIM_BUFFER": "64K"}, True),
    ("threads", {"PYSHIM_BUFFER": "64K", "PYSHIM_OVERFLOW": "block"}, True),
    ("threads", {"PYSHIM_BUFFER": "64K", "PYSHIM_OVERFLOW": "block"}, False),
]


def settings(rng):
    env = {"PYSHIM_BUFFER": rng.choice(["64K", "64K", "64K", "1M", "64M"])}
    if rng.random() < 0.25:
        env["PYSHIM_CLOCK"] = "count"
    return env


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_at_a_random_time_keeps_every_event(python, scenario, shim_dir, tally):
    deadline = time.monotonic() + SECONDS / 2 / len(PYTHONS) / len(SCENARIOS)
    for n in range(1 << 30):
        rng = random.Random("%s %s %s %d" % (SEED, python.tag, scenario, n))
        env, delay = settings(rng), rng.choice([0.003, 0.03, 0.03, 0.1]) * rng.random()
        with running(Counted, shim_dir / ("random-%s-%s-%d" % (python.tag, scenario, n)), python,
                     scenario, env) as target:
            target.wait_until_ready()
            time.sleep(delay)
            target.end()
            calls = check_killed(target, env)
        tally("random kills, " + python.tag)
        tally("calls until a kill", calls)
        if time.monotonic() > deadline:
            break


# Kill points


def attempt(folder, python, way, point, count, seconds):
    """Runs until the kill point is passed for the count'th time. Returns true if that happened in
    time.
    """
    scenario, env, with_reader = way
    env = {**env, "PYSHIM_KILL": "%s:%d" % (point, count)}
    with running(Counted, folder, python, scenario, env, shim=KILL_SHIM) as target:
        deadline = time.monotonic() + seconds
        while target.process.poll() is None and time.monotonic() < deadline:
            if with_reader and target.recordings:
                subprocess.run([READER, "-o", folder / "live", target.recording], timeout=PATIENCE,
                               stderr=subprocess.DEVNULL)
            else:
                time.sleep(0.001)
        reached = target.process.poll() is not None
        target.end()
        check_killed(target, env)
    return reached


_way_to = {}


def find_way(folder, python, point):
    """Returns the first way that reaches a kill point. It does not depend on the interpreter."""
    if point not in _way_to:
        for i, way in enumerate(WAYS):
            if attempt(folder / ("find-%s-%d" % (point, i)), python, way, point, 1, 5):
                _way_to[point] = way
                break
    return _way_to.get(point)


def test_kill_points_are_in_the_test_build_only():
    assert POINTS
    strings = KILL_SHIM.read_bytes()
    assert [p for p in POINTS if p.encode() + b"\0" not in strings] == [], "make KILLPOINTS=1"
    assert b"PYSHIM_KILL\0" not in (BUILD / "libpyshim.so").read_bytes()


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_kill_point_keeps_every_event(python, point, shim_dir, tally):
    if point in UNREACHED:
        pytest.skip(UNREACHED[point])
    deadline = time.monotonic() + SECONDS / 2 / len(PYTHONS) / len(POINTS)
    way = find_way(shim_dir, python, point)
    assert way, "no run gets to KILLPOINT(\"%s\"): give it one in WAYS, or a reason in UNREACHED" % point
    most = 4
    for n in range(1 << 30):
        rng = random.Random("%s %s %s %d" % (SEED, python.tag, point, n))
        count = rng.randint(1, most) if n else 1
        reached = attempt(shim_dir / ("%s-%s-%d-%d" % (point, python.tag, count, n)), python, way,
                          point, count, 1 if n else PATIENCE)
        assert reached or n, "KILLPOINT(\"%s\") was not reached in %d seconds" % (point, PATIENCE)
        tally(("aimed kills, " if reached else "random kills, ") + python.tag)
        # The count is that of passes within the first second.
        most = min(most * 2, 1 << 20) if reached else max(most // 2, 1)
        if time.monotonic() > deadline:
            break


# Single steps


@pytest.mark.parametrize("point", [p for p in POINTS if p not in UNREACHED])
@pytest.mark.parametrize("stepped", PYTHONS if FULL else ENGINES, ids=lambda p: p.tag)
def test_a_kill_at_any_instruction_keeps_every_event(stepped, point, shim_dir, tally):
    """Checks the state that a kill at each instruction would leave. Steps from a kill point on,
    first each instruction, then every few hundred, through the fold of a block and beyond.
    """
    reason = steps.unavailable()
    if reason:
        pytest.skip(reason)
    rng = random.Random("%s %s %s" % (SEED, stepped.tag, point))
    way = find_way(shim_dir, stepped, point)
    if not way or way[0] != "mix" or way[2]:
        pytest.skip("a way to %s with one thread and no reader is not known" % point)
    env = {**way[1], "PYSHIM_KILL": "%s:%d" % (point, rng.randint(1, 3))}
    if point not in OF_THE_COUNTER:
        env["PYSHIM_CLOCK"] = "count"
    with running(Counted, shim_dir / ("steps-%s-%s" % (point, stepped.tag)), stepped, "mix", env,
                 shim=KILL_SHIM) as target:
        tracer = steps.Steps(target.process.pid)
        tracer.run_to_kill()
        deadline = time.monotonic() + SECONDS / 100
        for n in range(1 << 30):
            check_snapshot(target)
            tally("instants between single steps, " + stepped.tag)
            if time.monotonic() > deadline:
                break
            tracer.step(1 if n < 40 else int(2 ** rng.uniform(0, 9)))
