# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a program that publishes its own counts under the shim, and checks its report."""

import collections
import contextlib
import marshal
import mmap
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from integration import BUILD, PYTHONS, READER, SHIM, _environment, run_bare

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
KEPT = BUILD / "stress-failures"
SECONDS = float(os.environ.get("PYSHIM_STRESS_SECONDS") or 30)
SEED = os.environ["PYSHIM_STRESS_SEED"]
FULL_SECONDS = 600  # with this much time, everything runs at its full size
FULL = SECONDS >= FULL_SECONDS
# One interpreter for each engine. In a short time, others would find nothing new.
ENGINES = [p for new in (False, True) for p in
           [p for p in PYTHONS if (p.version >= (3, 12)) == new][-1:]]
SMALL = {"PYSHIM_BUFFER": "64K"}
ROUNDS, THREADS = 350, 3  # rounds of programs/fixed.py; all of them fill more than a ring of 1M
PATIENCE = 600 if FULL else 60  # seconds for work that takes a fraction of it; a loaded machine may need more

# The same numbers as in programs/counted.py.
WORDS_PER_SLOT = 32
SLOTS = 8
ABS = WORDS_PER_SLOT - 1
COUNTED = re.compile(r"([a-z]+)\d*_(\d+)_(\d+)")


def scaled(least, full):
    """Returns a size or a time: `least` at 30 seconds, `full` at FULL_SECONDS, linear in between.
    """
    share = min(max((SECONDS - 30) / (FULL_SECONDS - 30), 0), 1)
    return type(full)(least + (full - least) * share)


# Processes


class Stoppable:
    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Target(Stoppable):
    """A running program under the shim, with its own folder for recordings."""

    def __init__(self, folder, args, env=None, shim=SHIM, **options):
        self.folder = folder
        self.recordings_folder = folder / "recordings"
        self.recordings_folder.mkdir()
        self._lives, held = os.pipe()  # its descendants hold the other end
        self.errors = folder / "stderr"
        env = {"LD_PRELOAD": str(shim), "PYSHIM_DIR": str(self.recordings_folder), **(env or {})}
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen([str(a) for a in args], env=_environment(env), cwd=folder,
                                            stderr=errors, pass_fds=[held], **streams)
        os.close(held)

    @property
    def recordings(self):
        return sorted(self.recordings_folder.iterdir())

    @property
    def recording(self):
        (path,) = self.recordings
        return path

    def read(self):
        """Returns the profile, even if events were lost."""
        out = self.folder / "stats"
        done = run_bare([READER, "-o", out, self.recording], timeout=PATIENCE)
        assert done.status == 0, done
        return load(out)

    def stderr(self):
        return self.errors.read_bytes().decode(errors="replace")

    def end(self):
        """Kills it if it still runs, and waits for it and its children. Returns its status."""
        self.process.kill()
        status = self.process.wait()
        if self._lives is not None:
            ended = select.select([self._lives], [], [], PATIENCE)[0]
            os.close(self._lives)
            self._lives = None
            assert ended, "a child did not end"
        return status


class Counted(Target):
    """programs/counted.py, and the words that it publishes."""

    def __init__(self, folder, python, scenario, env=None, shim=SHIM):
        shared = folder / "shared"
        with open(shared, "w+b") as f:
            f.truncate(8 * WORDS_PER_SLOT * (SLOTS + 1))
            self._map = mmap.mmap(f.fileno(), 0)
        self.words = memoryview(self._map).cast("Q")
        # -S: site takes most of the start-up time, and other tests use it.
        args = [python.exe, "-S", PROGRAMS / "counted.py", shared, scenario]
        super().__init__(folder, args, env, shim)

    def wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE
        while not self.words[0]:
            time.sleep(0.0005)
            assert self.process.poll() is None, (self.process.returncode, self.stderr())
            assert time.monotonic() < deadline, "the program did not start"


class Fixed(Target):
    """A program that reports when its work is done, and ends on request."""

    def __init__(self, folder, python, args, env=None, **options):
        self._ours, theirs = os.pipe()
        go_on, self._tell = os.pipe()
        args = [python.exe, "-S", *args]
        super().__init__(folder, args, env, stdin=go_on, stdout=theirs, **options)
        os.close(theirs)
        os.close(go_on)

    def is_done(self, seconds):
        """Returns true if it has done its work within this many seconds."""
        return bool(select.select([self._ours], [], [], seconds)[0])

    def wait_until_done(self):
        assert self.is_done(PATIENCE), "the program was not done after %d seconds" % PATIENCE

    def wait_until_readable(self):
        deadline = time.monotonic() + PATIENCE
        while not self.recordings or run_bare([READER, "--check", self.recording]).status:
            assert time.monotonic() < deadline and self.process.poll() is None, self.stderr()

    def finish(self, errors=""):
        """Lets it end. Returns the profile from a reader that reports no loss."""
        self.let_end()
        assert errors is None or self.stderr() == errors
        return read_strictly(self.recording)

    def let_end(self):
        if self._tell is None:
            return
        self.wait_until_done()
        assert os.read(self._ours, 2) == b"."
        os.close(self._tell)
        self._tell = None
        assert self.process.wait(PATIENCE) == 0, self.stderr()

    def end(self):
        for fd in (self._ours, self._tell):
            if fd is not None:
                os.close(fd)
        self._ours = self._tell = None
        return super().end()


@contextlib.contextmanager
def running(kind, folder, *args, **options):
    """A target in a new folder. The folder is removed at the end, and kept after a failed check."""
    target = None
    folder.mkdir()
    try:
        target = kind(folder, *args, **options)
        yield target
    except BaseException as e:
        if target:
            target.end()
        if isinstance(e, Exception):
            keep(folder, e)
        raise
    finally:
        if target:
            target.end()
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder, error):
    KEPT.mkdir(parents=True, exist_ok=True)
    where = KEPT / ("%s-%d" % (folder.name, time.time_ns() // 1000000))
    shutil.copytree(folder, where)
    error.args = ("%s\n(seed %s; what was found is kept in %s)" % (
        error.args[0] if error.args else error, SEED, where), *error.args[1:])


# Reports


def read_strictly(*recordings, out=None):
    """Returns the profile from a reader that reports no loss."""
    out = out or recordings[0].parent.parent / "stats"
    done = run_bare([READER, "--strict", "-o", out, *recordings], timeout=PATIENCE)
    found = (done.status, done.err.decode(errors="replace"))
    assert found == (0, ""), found
    return load(out)


def load(path):
    return marshal.loads(path.read_bytes())


def preamble(*recordings, options=()):
    """Returns the reader's text on the recordings themselves."""
    done = run_bare([READER, "--check", *options, *recordings], timeout=PATIENCE)
    assert done.err == b"", done
    return done.out.decode()


def said(text, pattern):
    """Returns the sum of the numbers in matching lines of the preamble."""
    return sum(int(n) for n in re.findall(pattern, text, re.M))


EVENTS = r" (\d+) events,"
LOST = r"^  (\d+) events lost: "


def calls_of(stats, name):
    return sum(v[1] for f, v in stats.items() if f[2] == name)


def check_conservation(stats, exact=False):
    """Checks that time and calls are conserved: no function has more time than its callers, and
    each call has a caller or is a root. `exact`: times are counted ticks.
    """
    slack = 0.5e-9 if exact else 1e-6 * sum(v[3] for v in stats.values() if not v[4]) + 1e-12
    roots = [f for f, v in stats.items() if not v[4]]
    selves = sum(v[2] for v in stats.values())
    total = sum(stats[f][3] for f in roots)
    assert bool(roots) == bool(stats), "no function without a caller"
    assert abs(selves - total) <= slack * max(1, len(stats)), (selves, total, roots)
    for f, (cc, nc, tt, ct, callers) in stats.items():
        assert "<unknown function>" not in f[2], f
        assert 0 <= cc <= nc and tt > -slack and ct - tt > -slack, (f, cc, nc, tt, ct)
        if callers:
            assert sum(e[0] for e in callers.values()) == nc, (f, nc, callers)
            assert abs(sum(e[2] for e in callers.values()) - tt) <= slack, (f, tt, callers)
        assert not set(callers) - set(stats), (f, callers)


def assert_same(found, expected, env):
    differ = [(f, found.get(f), expected.get(f)) for f in sorted(set(found) | set(expected))
              if found.get(f) != expected.get(f)]
    text = "%s: %d functions differ: function, found, expected: %s" % (env, len(differ), differ[:3])
    assert differ == [], text[:2000]


def check_counted(stats, words, exact=False):
    """Compares the report of programs/counted.py with the counts that it published."""
    got, primitive, known = collections.Counter(), collections.Counter(), {0}
    n_abs = 0
    for (file, line, name), (cc, nc, tt, ct, callers) in stats.items():
        match = COUNTED.fullmatch(name)
        if match:
            kind, word = match.group(1), int(match.group(2))
            assert int(match.group(3)) == word // WORDS_PER_SLOT - 1, name
            got[word] += nc
            known.add(word)
            if kind == "rec":
                primitive[word + 1] += cc
                known.add(word + 1)
            if kind == "fresh":
                assert nc == 1, (name, nc)
        if name == "<built-in method builtins.abs>":
            n_abs += nc
    in_flight = collections.Counter()
    for word, n in got.items():
        assert 0 <= n - words[word] <= 1, (word, n, words[word])
        in_flight[word // WORDS_PER_SLOT] += n - words[word]
    for word, n in primitive.items():
        assert 0 <= n - words[word] <= 1, ("primitive calls", word, n, words[word])
    assert not in_flight or max(in_flight.values()) <= 1, in_flight
    slots = range(1, len(words) // WORDS_PER_SLOT)
    announced = sum(words[WORDS_PER_SLOT * slot + ABS] for slot in slots)
    in_use = sum(1 for slot in slots if words[WORDS_PER_SLOT * slot + ABS])
    assert 0 <= announced - n_abs <= in_use, (announced, n_abs)
    known |= {WORDS_PER_SLOT * slot + ABS for slot in slots}
    missing = {word: words[word] for word in range(len(words)) if words[word] and word not in known}
    assert not missing, ("functions that the report does not name", missing)
    check_conservation(stats, exact)
    return sum(got.values())


def check_killed(target, env):
    """Checks the report of a killed target. Returns its number of calls."""
    assert target.process.returncode == -signal.SIGKILL, (target.process.returncode,
                                                          target.stderr())
    assert target.stderr() == ""
    stats = read_strictly(*target.recordings)
    return check_counted(stats, target.words, exact=env.get("PYSHIM_CLOCK") == "count")


def check_between(stats, before, after):
    """Checks that the report of a running target is between the counts before and after it."""
    got = collections.Counter()
    for f, v in stats.items():
        match = COUNTED.fullmatch(f[2])
        if match:
            got[int(match.group(2))] += v[1]
    wrong = {word: (before[word], n, after[word]) for word, n in got.items()
             if not before[word] <= n <= after[word] + 1}
    assert not wrong, wrong
    check_conservation(stats)


def check_at_most(target):
    """Checks the report of a target that lost events: the loss is reported and nothing is invented.
    """
    stats = target.read()
    lost = said(preamble(target.recording), LOST)
    got = collections.Counter()
    for f, v in stats.items():
        match = COUNTED.fullmatch(f[2])
        if match:
            got[int(match.group(2))] += v[1]
    more = {word: (n, target.words[word]) for word, n in got.items() if n > target.words[word] + 1}
    assert not more, more
    missing = sum(target.words[word] - n for word, n in got.items())
    assert missing <= lost, (missing, lost)
    check_conservation(stats)


def check_snapshot(target):
    """Checks the report of the current recording while the target is stopped."""
    folder = target.folder / "now"
    folder.mkdir(exist_ok=True)
    copy = folder / "recording"
    copy.write_bytes(target.recording.read_bytes())
    check_counted(read_strictly(copy), target.words, exact=True)


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "%s: not in %d seconds" % (what, PATIENCE)
        time.sleep(0.001)
