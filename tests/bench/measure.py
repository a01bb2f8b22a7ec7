# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the measured processes, one for each sample: a workload under a mode, a start-up, a reader.

A sample is [CPU ns, elapsed ns]. Figures use CPU time, because a busy machine stretches elapsed
time. Elapsed time is kept for targets that wait for a reader.
"""

import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from places import memory

HERE = Path(__file__).resolve().parent
TARGET = HERE / "target.py"
REPEATS = 5
# A recording grows by steps of an eighth, so it grows in each repeat if there are few.
RING_BYTES = 2 << 30


@dataclass(frozen=True)
class Mode:
    hook: str = "none"  # of target.py
    shim: dict = None  # settings of the preloaded shim; None: not preloaded
    reader: bool = False
    what: str = ""


MODES = {
    "bare": Mode(what="no profiler"),
    "floor": Mode(hook="floor", what="a hook that does nothing, on the same event source"),
    "stamp": Mode(hook="stamp", what="a hook that only stores the counter in new shared memory"),
    "ring": Mode(shim={"PYSHIM_BUFFER": str(RING_BYTES)}, what="pyshim, the ring does not fill"),
    "fold": Mode(shim={"PYSHIM_BUFFER": "64K"}, what="pyshim, folding, no reader"),
    "live": Mode(shim={"PYSHIM_BUFFER": "1M"}, reader=True, what="pyshim, pyshim-read --wait beside"),
    "off": Mode(shim={"PYSHIM_START": "off"}, what="pyshim, PYSHIM_START=off"),
    "disabled": Mode(shim={"PYSHIM_DISABLE": "1"}, what="pyshim, PYSHIM_DISABLE=1"),
    "cprofile": Mode(hook="cprofile", what="cProfile"),
    "yappi": Mode(hook="yappi", what="yappi, wall clock"),
}

STARTUPS = {
    "pass": "pass",
    "imports": "import argparse, asyncio, concurrent.futures, csv, ctypes, decimal, email.message,"
    " html.parser, http.client, json, logging.config, multiprocessing, pydoc, sqlite3, ssl, tarfile,"
    " typing, unittest.mock, urllib.request, xml.dom.minidom, zipfile",
}
STARTUP_MODES = ("bare", "ring", "off", "disabled")


def least(samples):
    return [min(values) for values in zip(*samples)]


def processors():
    """Returns (processor of the target, processor of the reader): the last two available, or one
    for both.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[-2:][0]


def machine(target_cpu, reader_cpu):
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "kernel": platform.release(),
        "target_cpu": target_cpu,
        "reader_cpu": reader_cpu,
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def table(heading, rows):
    """Formats rows of cells. The first cell of each row is left-aligned."""
    rows = [[str("" if cell is None else cell) for cell in row] for row in [heading, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
    print()


class Failed(Exception):
    """A measured process failed; the text says what was found."""


@dataclass
class Bench:
    """The paths and processors of a measurement. The context manager removes its folder at the end.
    """

    build: Path
    target_cpu: int
    reader_cpu: int
    work: Path = field(init=False)

    def __enter__(self):
        self.work = Path(tempfile.mkdtemp(prefix="pyshim-bench-", dir=memory()))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    def environment(self, mode):
        names = ("PYSHIM_", "PYTHON", "LD_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(names)}
        env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        if mode.shim is not None:
            env.update(mode.shim, LD_PRELOAD=str(self.build / "libpyshim.so"))
            env["PYSHIM_DIR"] = str(self.work)
        if mode.reader:
            env["PYSHIM_BENCH_WAIT"] = "1"
        return env

    def start(self, command, cpu, **options):
        """Starts a process on one processor, which it inherits."""
        os.sched_setaffinity(0, {cpu})
        return subprocess.Popen([str(word) for word in command], **options)

    def recordings(self):
        return sorted(self.work.glob("pyprof.*"))

    def forget(self):
        for path in self.recordings():
            path.unlink()

    def finish(self, process):
        out, err = process.communicate(timeout=600)
        if process.returncode:
            raise Failed("%s: exit status %d: %s" % (
                " ".join(process.args), process.returncode, err.strip()[-500:]))
        return out

    def target(self, python, mode, arguments):
        floor = [self.build / "bench" / "libfloor.so"] if mode.hook in ("floor", "stamp") else []
        return self.start([python.exe, "-s", TARGET, *arguments, *floor], self.target_cpu,
                          env=self.environment(mode), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def calibrate(self, python, workload, seconds):
        arguments = ["calibrate", workload, seconds]
        return int(self.finish(self.target(python, MODES["bare"], arguments)))

    def start_reader(self, target):
        """Starts the reader of a target that is ready, and waits until it reads."""
        target.stdout.readline()
        recordings = self.recordings()
        if len(recordings) != 1:
            raise Failed("%d recordings of one process" % len(recordings))
        reader = self.start(
            [self.build / "pyshim-read", "--wait", "-o", self.work / "pstats", recordings[0]],
            self.reader_cpu, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.03)
        return reader

    def sample(self, python, mode_name, workload, n):
        """Returns (pairs, [CPU ns, elapsed ns]): the least of REPEATS runs in one process."""
        mode = MODES[mode_name]
        target = self.target(python, mode, [mode.hook, workload, n, REPEATS])
        reader = self.start_reader(target) if mode.reader else None
        result = json.loads(self.finish(target))  # writes the line that a waiting target reads
        if reader:
            self.finish(reader)
        if mode_name == "ring":
            size = sum(path.stat().st_blocks * 512 for path in self.recordings())
            if size > RING_BYTES * 0.9:
                raise Failed("%s: a recording of %d bytes: the ring filled" % (workload, size))
        self.forget()
        return result["pairs"], least(result["times"])

    def start_up(self, python, mode_name, name):
        """Returns [CPU ns, elapsed ns] of an interpreter with a minimal program, from fork to exit.
        """
        mode = MODES[mode_name]
        command = [python.exe, "-c", STARTUPS[name]]
        os.sched_setaffinity(0, {self.target_cpu})
        begun = time.perf_counter_ns()
        pid = os.posix_spawn(python.exe, command, self.environment(mode))
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter_ns() - begun
        self.forget()
        if status:
            raise Failed("%s: wait status %d" % (" ".join(command), status))
        return [round((usage.ru_utime + usage.ru_stime) * 1e9), wall]

    def read_cpu(self, recording):
        """Returns the CPU ns of one pyshim-read."""
        reader = self.build / "pyshim-read"
        command = [str(reader), "-o", str(self.work / "pstats"), str(recording)]
        os.sched_setaffinity(0, {self.target_cpu})
        _, status, usage = os.wait4(os.posix_spawn(reader, command, os.environ), 0)
        if status:
            raise Failed("%s: wait status %d" % (" ".join(command), status))
        return round((usage.ru_utime + usage.ru_stime) * 1e9)

    def rebuild(self, python, n):
        """Returns [records, CPU ns to read them, CPU ns to record them] of a newly recorded fib.

        Subtracts the reader's time for an empty recording.
        """
        mode = MODES["ring"]
        times = []
        for length in (1, n):
            target = self.target(python, mode, ["none", "fib", length, REPEATS])
            result = json.loads(self.finish(target))
            times.append((result, min(self.read_cpu(self.recordings()[0]) for _ in range(3))))
            self.forget()
        (_, short_cpu), (result, cpu) = times
        records = 2 * result["pairs"]
        recording_cpu = least(result["times"])[0]
        return [records * (REPEATS + 1), cpu - short_cpu, recording_cpu * (REPEATS + 1)]
