# SPDX-License-Identifier: LGPL-2.1-or-later
"""A reader that folds instead of the target may stop or die at any moment, and so may the target.
"""

import collections
import random
import subprocess
import time

import pytest

import steps
from integration import PYTHONS, READER
from rings import Rings
from stress import (ENGINES, FULL, PATIENCE, SECONDS, SEED, SMALL, Counted, Stoppable, check_at_most,
                    check_between, check_killed, check_snapshot, load, preamble, read_strictly, running, said,
                    scaled, wait_for)

COUNTING = {**SMALL, "PYSHIM_CLOCK": "count"}
MOST_STEPS = 200000  # more than enough to take a table over and to fold a block


class Reader(Stoppable):
    """pyshim-read --wait on a target. It ends with the block."""

    def __init__(self, target):
        self.args = [READER, "--wait", "-o", target.folder / "waited", target.recording]
        self.process = subprocess.Popen(self.args, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class Changes:
    """Counts the changes of the fold table of the only ring."""

    def __init__(self, target, enough):
        self._rings = Rings(target.recording)
        self._before = self._rings.table(0)
        self._enough = enough
        self.n = 0

    def are_new(self):
        now = self._rings.table(0)
        if now == self._before:
            return False
        self._before = now
        self.n += 1
        return True

    def are_enough(self):
        self.are_new()
        return self.n >= self._enough


def until_reader_has_folded(target):
    """Waits for the reader to fold instead of the target. Returns the rings."""
    rings = Rings(target.recording)
    deadline = time.monotonic() + PATIENCE
    seen = set()
    while len(seen) < 5:
        assert time.monotonic() < deadline, "the reader does not fold"
        seen.add(rings.folded(0))
        time.sleep(0.001)
    return rings


def stop_with_claim(reader, target):
    """Stops both while the reader holds the claim of the only ring."""
    rings = until_reader_has_folded(target)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        target.stop()
        reader.stop()
        if rings.holder(0) == reader.process.pid:
            return
        reader.go_on()
        target.go_on()
        time.sleep(0.0005)
    pytest.fail("the reader was never met with the claim in %d seconds" % PATIENCE)


def rounds(name, python, least=1):
    """Yields numbers with their random choices until the time is up."""
    deadline = time.monotonic() + SECONDS / 60
    for n in range(1 << 30):
        yield n, random.Random("%s %s %s %d" % (SEED, name, python.tag, n))
        if n + 1 >= least and time.monotonic() > deadline:
            break


def test_killing_target_and_reader_keeps_every_event(python, shim_dir, tally):
    """Both are working and are killed one after the other."""
    for n, rng in rounds("both", python):
        with running(Counted, shim_dir / ("both-%s-%d" % (python.tag, n)), python,
                     rng.choice(["calls", "mix", "threads"]), COUNTING) as target:
            target.wait_until_ready()
            with Reader(target) as reader:
                time.sleep(rng.random() * 0.05)
                for process in rng.sample([target.process, reader.process], 2):
                    process.kill()
                    time.sleep(rng.choice([0, 0, 0.001, 0.01]) * rng.random())
            target.end()
            check_killed(target, COUNTING)
        tally("kills of a target and its reader")


def test_a_waiting_reader_reports_the_same_as_a_later_one(python, shim_dir, tally):
    """A waiting reader's report of a killed target equals a later one."""
    for n, rng in rounds("end", python):
        with running(Counted, shim_dir / ("end-%s-%d" % (python.tag, n)), python,
                     rng.choice(["calls", "mix", "threads"]), COUNTING) as target:
            target.wait_until_ready()
            with Reader(target) as reader:
                time.sleep(rng.random() * 0.05)
                target.end()
                assert reader.process.wait(PATIENCE) == 0
                assert reader.process.stderr.read() == b""
            assert load(target.folder / "waited") == read_strictly(target.recording)
            check_killed(target, COUNTING)


@pytest.mark.parametrize("reaped", [True, False])
def test_the_claim_of_a_killed_reader_is_taken_back(python, reaped, shim_dir):
    """The target takes the claim of a dead reader, even while that is a zombie."""
    with running(Counted, shim_dir / ("claim-" + python.tag), python, "calls", COUNTING) as target:
        target.wait_until_ready()
        with Reader(target) as reader:
            stop_with_claim(reader, target)
            reader.process.kill()
            if reaped:
                reader.process.wait()
            target.go_on()
            wait_for_words(target, 20000)
            target.end()
        check_killed(target, COUNTING)


def test_a_stopped_reader_does_not_stop_the_target(python, shim_dir):
    """The reader is stopped in the middle of a fold. The target continues beyond its budget."""
    with running(Counted, shim_dir / ("stopped-" + python.tag), python, "calls", COUNTING) as target:
        target.wait_until_ready()
        with Reader(target) as reader:
            stop_with_claim(reader, target)
            target.go_on()
            wait_for_words(target, 5000)
            assert Rings(target.recording).holder(0) == reader.process.pid
            reader.go_on()
            wait_for_words(target, 20000)
            target.end()
        check_killed(target, COUNTING)


def test_a_reader_stopped_forever_causes_counted_losses(python, shim_dir):
    """Events beyond that space are lost and counted; all others are recorded."""
    with running(Counted, shim_dir / ("stopped-" + python.tag), python, "calls", COUNTING) as target:
        target.wait_until_ready()
        with Reader(target) as reader:
            stop_with_claim(reader, target)
            target.go_on()
            lost = r"^  (\d+) events lost: a reader"
            wait_for(lambda: said(preamble(target.recording), lost) > 0, "the buffer is full")
            wait_for_words(target, 5000)
            target.end()
        assert target.recording.stat().st_size < 80 << 20
        check_at_most(target)


@pytest.mark.parametrize("beside_another", [False, True])
@pytest.mark.parametrize("looked_at", PYTHONS if FULL else ENGINES, ids=lambda p: p.tag)
def test_readers_of_a_live_recording_see_every_event(looked_at, beside_another, shim_dir, tally):
    """Readers of a live recording see all events while the target or another reader folds."""
    with running(Counted, shim_dir / ("looking-on-" + looked_at.tag), looked_at,
                 "calls_in_threads", SMALL) as target:
        target.wait_until_ready()
        reader = Reader(target) if beside_another else None
        deadline = time.monotonic() + SECONDS / 10
        seen = collections.Counter()
        while time.monotonic() < deadline:
            before = list(target.words)
            stats = read_strictly(target.recording)
            check_between(stats, before, target.words)
            calls = collections.Counter({f: v[1] for f, v in stats.items()})
            assert not seen - calls, seen - calls
            seen = calls
            tally("looks at a live recording")
        if reader:
            reader.__exit__()


# Single steps


def catch_folding(target, rng):
    """Stops a reader at some instruction of folding a block, with the target stopped too. Returns
    (reader, the rings).
    """
    reader = Reader(target)
    try:
        rings = until_reader_has_folded(target)
        target.stop()
        traced = steps.Steps(reader.process.pid)
        assert traced.step_until(lambda: rings.holder(0) != reader.process.pid, MOST_STEPS)
        target.go_on()
        for _ in range(20):
            # Meanwhile the target fills its ring, and enlarges the table on the reader's request.
            wait_for_words(target, 5000)
            target.stop()
            if traced.step_until(lambda: rings.holder(0) == reader.process.pid, MOST_STEPS // 10):
                changes = Changes(target, rng.randint(0, 500))
                traced.step_until(lambda: changes.are_enough() or not rings.holder(0), MOST_STEPS)
                return reader, rings
            target.go_on()
        pytest.fail("the reader was not met with the claim")
    except BaseException:
        reader.__exit__()
        raise


@pytest.mark.parametrize("stepped", PYTHONS if FULL else ENGINES, ids=lambda p: p.tag)
def test_a_reader_killed_in_a_fold_loses_nothing(stepped, shim_dir, tally):
    """The reader dies at any instruction of a fold. The target undoes the partial fold and
    continues.
    """
    skip_without_steps()
    for n, rng in rounds("fold", stepped):
        with running(Counted, shim_dir / ("fold-%s-%d" % (stepped.tag, n)), stepped, "mix",
                     COUNTING) as target:
            target.wait_until_ready()
            reader, rings = catch_folding(target, rng)
            with reader:
                check_snapshot(target)
            target.go_on()
            wait_for_words(target, 5000)
            target.end()
            check_killed(target, COUNTING)
        tally("kills of a reader that folds")


@pytest.mark.parametrize("stepped", PYTHONS if FULL else ENGINES, ids=lambda p: p.tag)
def test_a_target_killed_in_an_undo_loses_nothing(stepped, shim_dir, tally):
    """The target is killed at any instruction while it undoes a reader's partial fold."""
    skip_without_steps()
    for n, rng in rounds("undo", stepped):
        with running(Counted, shim_dir / ("undo-%s-%d" % (stepped.tag, n)), stepped, "calls",
                     COUNTING) as target:
            target.wait_until_ready()
            reader, rings = catch_folding(target, rng)
            reader.__exit__()
            traced = steps.Steps(target.process.pid)
            target.go_on()
            base = steps.address_of(target.process.pid, target.recording)
            while rings.holder(0) != target.process.pid:
                traced.run_to_write(base + rings.consumer_offset(0))
            tally("instants of taking over", check_changes(target, traced, scaled(120, 1000)))


def check_changes(target, traced, most):
    """Steps for a while, and checks the recording after each change. Returns the number of changes.
    """
    changes = Changes(target, most)

    def check():
        if changes.are_new():
            check_snapshot(target)
        return changes.n >= most

    traced.step_until(check, MOST_STEPS)
    return changes.n


def wait_for_words(target, more):
    before = sum(target.words)
    wait_for(lambda: sum(target.words) > before + more, "the target goes on")


def skip_without_steps():
    reason = steps.unavailable()
    if reason:
        pytest.skip(reason)
