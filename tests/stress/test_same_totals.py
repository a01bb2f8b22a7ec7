# SPDX-License-Identifier: LGPL-2.1-or-later
"""Any ring size, overflow policy and readers give the same calls, the same edges and, if the clock
counts events, the same times.
"""

import contextlib
import itertools
import random
import signal
import subprocess
import time

import pytest

from integration import READER, counts_only
from stress import (ENGINES, EVENTS, FULL, LOST, PATIENCE, PROGRAMS, ROUNDS, SEED, THREADS,
                    Fixed, assert_same, check_conservation, load, preamble, read_strictly, running,
                    said)

BUFFERS = ["64K", "1M", "64M"]


def run_fixed(folder, python, args, env, attach=None):
    with running(Fixed, folder, python, args, env) as target:
        seen = attach(target) if attach else []
        stats = target.finish()
        check_conservation(stats, exact=env.get("PYSHIM_CLOCK") == "count")
        check_growing([*seen, stats])
        return stats


def check_growing(profiles):
    """No count in a live read is higher than in a later one."""
    for earlier, later in zip(profiles, profiles[1:]):
        fewer = [(f, v[1], later.get(f, v)[1]) for f, v in earlier.items()
                 if f not in later or v[1] > later[f][1]]
        assert not fewer, fewer[:3]


# Readers of a live recording. They return their counts when the work is done.


def never(target):
    target.wait_until_done()
    return []


def at_the_end(target):
    target.wait_until_done()
    return [read_strictly(target.recording)]


def looking_on(target):
    """Reads all the time, and changes nothing."""
    seen = []
    target.wait_until_readable()
    while not target.is_done(0):
        seen.append(read_strictly(target.recording))
    return seen


def held_up(target):
    """Reads, and stops in the middle while the target continues to fold."""
    rng = random.Random(SEED)
    seen = []
    target.wait_until_readable()
    while not target.is_done(0):
        out = target.folder / "held"
        with subprocess.Popen([READER, "--strict", "-o", out, target.recording],
                              stderr=subprocess.PIPE) as reader:
            time.sleep(rng.random() * 0.003)
            reader.send_signal(signal.SIGSTOP)
            time.sleep(rng.choice([0, 0.001, 0.003]))
            reader.send_signal(signal.SIGCONT)
            found = (reader.wait(PATIENCE), reader.stderr.read().decode())
        assert found == (0, ""), found
        seen.append(load(out))
    return seen


@contextlib.contextmanager
def consumer(target):
    """The reader that folds instead of the target until the target ends."""
    with subprocess.Popen([READER, "--wait", "--strict", "-o", target.folder / "waited",
                           target.recording], stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def check_consumer(process):
    assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")


def all_the_time(target):
    target.wait_until_readable()
    with consumer(target) as with_it:
        target.let_end()
        check_consumer(with_it)
    return [load(target.folder / "waited")]


def held_up_beside_another(target):
    """Reads while another reader folds."""
    target.wait_until_readable()
    with consumer(target) as other:
        seen = held_up(target)
        target.let_end()
        check_consumer(other)
    return seen


def killed_and_again(target):
    """Folds, is killed at any time, stays a zombie for a while, and is replaced by another."""
    rng = random.Random(SEED)
    target.wait_until_readable()
    while not target.is_done(0):
        with consumer(target) as reader:
            time.sleep(rng.random() * 0.02)
            reader.kill()
            if rng.random() < 0.5:
                time.sleep(rng.random() * 0.02)
    return []


READERS = [never, at_the_end, looking_on, held_up, all_the_time, held_up_beside_another,
           killed_and_again]


def times_only(stats):
    return {f: (round(v[2] * 1e9), round(v[3] * 1e9),
                {c: (round(e[2] * 1e9), round(e[3] * 1e9)) for c, e in v[4].items()})
            for f, v in stats.items()}


_reference = {}


def reference(python, folder):
    """The profile of a run that never fills its ring and has no reader."""
    if python not in _reference:
        env = {"PYSHIM_BUFFER": "64M", "PYSHIM_CLOCK": "count"}
        stats = run_fixed(folder / "reference", python,
                          [PROGRAMS / "fixed.py", ROUNDS, THREADS], env)
        events = events_of(stats)
        assert 2.5 * (1 << 20) / 8 < events, "too few to fill a ring of 1M twice: %d" % events
        _reference[python] = stats
    return _reference[python]


def events_of(stats):
    return 2 * sum(v[1] for v in stats.values())


def combinations(attach, python):
    """Returns [(buffer, policy, clock)]. In a short run, few of them wait for absent readers,
    because each thread waits a second or more.
    """
    if FULL:
        return list(itertools.product(BUFFERS, ("fold", "block"), ("count", "wall")))
    chosen = [(buffer, "fold", "count") for buffer in BUFFERS] + [("64K", "fold", "wall")]
    if attach is all_the_time or attach is never and python in ENGINES:
        chosen.append(("64K", "block", "count"))
    return chosen


@pytest.mark.parametrize("attach", READERS)
def test_every_ring_and_reader_gives_the_same_totals(python, attach, shim_dir, tally):
    expected = reference(python, shim_dir)
    for buffer, policy, clock in combinations(attach, python):
        env = {"PYSHIM_BUFFER": buffer, "PYSHIM_OVERFLOW": policy, "PYSHIM_CLOCK": clock}
        folder = shim_dir / "-".join((attach.__name__, buffer, policy, clock, python.tag))
        stats = run_fixed(folder, python, [PROGRAMS / "fixed.py", ROUNDS, THREADS], env, attach)
        assert_same(counts_only(stats), counts_only(expected), env)
        if clock == "count":
            assert_same(times_only(stats), times_only(expected), env)
        tally("runs with the same totals")


# A full ring that loses events

# Programs for the test below. A full buffer is met by one thread, by several, and by later ones.
DROPPING = {
    "one thread": [PROGRAMS / "fixed.py", 4 * ROUNDS, 0],
    "threads": [PROGRAMS / "fixed.py", ROUNDS, THREADS],
    "short threads": [PROGRAMS / "one_by_one.py", 40, 3000],
    "shorter threads": [PROGRAMS / "one_by_one.py", 4000, 30],
}


@pytest.mark.parametrize("program", DROPPING)
@pytest.mark.parametrize("buffer", ["64K", "1M"])
def test_reported_and_lost_events_add_up(python, buffer, program, shim_dir):
    """The reported and the lost events add up to those of a run without losses."""
    texts, all_stats = [], []
    for policy, size in (("fold", "64M"), ("drop", buffer)):
        env = {"PYSHIM_BUFFER": size, "PYSHIM_OVERFLOW": policy, "PYSHIM_CLOCK": "count"}
        with running(Fixed, shim_dir / policy, python, DROPPING[program], env) as target:
            target.let_end()
            assert target.stderr() == ""
            texts.append(preamble(target.recording))
            all_stats.append(target.read())
    whole, cut = all_stats
    assert said(texts[0], LOST) == 0 < said(texts[1], LOST), texts
    assert said(texts[1], EVENTS) > 0, texts
    assert said(texts[1], EVENTS) + said(texts[1], LOST) == said(texts[0], EVENTS), texts
    check_conservation(cut, exact=True)
    for f, (cc, nc, tt, ct, callers) in cut.items():
        assert nc <= whole[f][1] and round((ct - whole[f][3]) * 1e9) <= 0, f
        for caller, edge in callers.items():
            assert edge[0] <= whole[f][4][caller][0], (f, caller)
