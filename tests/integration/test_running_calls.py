# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that run at the end of a recording have their time until then: hanging threads, a live
process, a pause, a killed process. Times are bounds: at least the program's sleep, at most the time
the test measured.
"""

import json
import subprocess
import time
from pathlib import Path

import pytest

from conftest import READER, SHIM, _environment, read, read_stats

HANGS = """\
import threading, time
def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
def joins(t): t.join()
def ends():
    time.sleep(0.1)
a = threading.Thread(target=deadlock, daemon=True)
b = threading.Thread(target=joins, args=(a,), daemon=True)
for t in a, b, threading.Thread(target=ends): t.start()
until = time.monotonic() + 1
while time.monotonic() < until: time.sleep(0.02)
"""
SLEEPS = """\
import sys, threading, time
def waits(): time.sleep(60)
threading.Thread(target=waits, daemon=True).start()
print(flush=True)
waits()
"""
SLEEPS_WITHOUT_MAIN_THREAD = """\
import ctypes, threading, time
def waits(): time.sleep(60)
for _ in range(2): threading.Thread(target=waits).start()
print(flush=True)
ctypes.CDLL(None).syscall(60, 0)  # exit: of this thread alone
"""
PAUSES = """\
import ctypes, sys, threading, time
shim = ctypes.PyDLL(None)
go = threading.Event()
def waits(): go.wait()
def leaves(): left.wait()
left = threading.Event()
threads = [threading.Thread(target=f) for f in (waits, leaves)]
for t in threads: t.start()
time.sleep(0.4)
shim.pyshim_stop()
time.sleep(0.8)
left.set()  # ends during the pause
threads[1].join()
if sys.argv[1] == "goes-on":
    shim.pyshim_start()
    time.sleep(0.2)
go.set()
threads[0].join()
"""


def total_of(stats, name):
    """Returns the cumulative seconds of the only function with this name."""
    found = [v[3] for (_, _, f), v in stats.items() if f == name]
    assert len(found) == 1, (name, found)
    return found[0]


def self_times_are_the_preambles(recording):
    report = json.loads(read("-f", "json", recording).out)
    assert report["sources"][0]["losses"]["rings_with_wrong_times"] == 0
    assert b"self times add up to the total time: yes" in read("--check", recording).out
    return report["sources"][0]


def check_hangs(recording):
    stats, source = read_stats(recording), self_times_are_the_preambles(recording)
    for name in "deadlock", "joins":
        assert 1 <= total_of(stats, name) <= source["recorded_s"] + 0.001
    assert 0.1 <= total_of(stats, "ends") < 0.9
    acquire = total_of(stats, "<method 'acquire' of '_thread.lock' objects>")
    assert acquire > 0.99 or total_of(stats, "joins") > 0.99
    assert read("-f", "json", recording).out == read("-f", "json", recording).out
    assert source["open_calls"] >= 4


@pytest.mark.parametrize("buffer", ["64M", "64K"])
def test_a_deadlock_has_its_time_until_the_end(python, run_shim, buffer):
    check_hangs(run_shim([python.exe, "-c", HANGS], env={"PYSHIM_BUFFER": buffer}).recording)


def test_a_deadlock_has_no_cpu_time_of_its_own_thread(python, run_shim):
    """The process's CPU time continues in other threads; a thread's own clock stands still."""
    spins = HANGS.replace("time.sleep(0.02)", "pass")
    process = run_shim([python.exe, "-c", spins], env={"PYSHIM_CLOCK": "cpu"}).recording
    thread = run_shim([python.exe, "-c", spins], env={"PYSHIM_CLOCK": "thread"}).recording
    for recording, shared in (process, True), (thread, False):
        all_s = self_times_are_the_preambles(recording)["recorded_s"]
        hung_s = total_of(read_stats(recording), "deadlock")
        assert hung_s > 0.6 * all_s if shared else hung_s < 0.3 * all_s
        words = b"the time of each thread includes that of the others"
        assert (words in read(recording).out) == shared


class Target:
    def __init__(self, python, source, folder):
        env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
        self.began = time.monotonic()
        self.process = subprocess.Popen([python.exe, "-c", source], env=env,
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.ready = time.monotonic()
        self.recording = folder / ("pyprof.%d" % self.process.pid)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.parametrize("program", [SLEEPS, SLEEPS_WITHOUT_MAIN_THREAD],
                         ids=["main-thread-runs", "main-thread-ended"])
def test_running_calls_of_a_live_process_have_their_time(python, shim_dir, program):
    target = Target(python, program, shim_dir)
    try:
        for _ in range(2):
            time.sleep(0.6)
            least = time.monotonic() - target.ready - 0.05
            stats = read_stats(target.recording)
            most = time.monotonic() - target.began
            # Two calls of one function in two threads: both times count.
            assert 2 * least < total_of(stats, "waits") < 2 * most
            source = self_times_are_the_preambles(target.recording)
            assert least < source["recorded_s"] < time.monotonic() - target.began
    finally:
        target.kill()
    ended = read("-f", "json", target.recording).out
    time.sleep(0.3)
    assert read("-f", "json", target.recording).out == ended


@pytest.mark.parametrize("program", [SLEEPS, SLEEPS_WITHOUT_MAIN_THREAD],
                         ids=["main-thread-runs", "main-thread-ended"])
def test_a_waiting_reader_records_the_end(python, shim_dir, program):
    """Later readers find the end that it recorded. A process whose main thread has ended shows no
    mappings, like each killed process for a moment.
    """
    target = Target(python, program, shim_dir)
    reader = subprocess.Popen([READER, "--wait", "-f", "json", target.recording], env=_environment({}),
                              stdout=subprocess.PIPE)
    while str(target.recording) not in Path("/proc/%d/maps" % reader.pid).read_text():
        time.sleep(0.01)
    time.sleep(1)
    least = time.monotonic() - target.ready
    target.kill()
    most = time.monotonic() - target.began + 0.1  # the reader polls
    first = reader.communicate()[0]
    assert read("-f", "json", target.recording).out.replace(b'"running": true', b"") == \
        first.replace(b'"running": true', b"")
    assert 2 * least - 0.1 < total_of(read_stats(target.recording), "waits") < 2 * most


def test_time_after_execve_belongs_to_the_new_program(python, shim_dir):
    source = ("import os, sys\n"
              "os.execv(sys.executable, [sys.executable, '-c', 'print(flush=True)\\n"
              "import time; time.sleep(60)'])\n")
    target = Target(python, source, shim_dir)
    try:
        time.sleep(0.5)
        times = [json.loads(read("-f", "json", p).out)["sources"][0]["recorded_s"]
                 for p in shim_dir.iterdir()]
        assert len(times) == 2 and min(times) < 0.4 < max(times)
    finally:
        target.kill()


@pytest.mark.parametrize("how", ["stays", "goes-on"])
def test_a_pause_ends_the_time_of_running_calls(python, run_shim, how):
    """Calls that run when recording stops count until then, even if their thread ends during the
    pause.
    """
    done = run_shim([python.exe, "-c", PAUSES, how])
    stats, text = read_stats(done.recording), read(done.recording).out
    for name in "waits", "leaves":
        assert 0.35 < total_of(stats, name) < 0.75, name
    assert (b"when the program stopped recording" in text) == (how == "stays")
    assert b" calls were running at the end" not in text
    self_times_are_the_preambles(done.recording)


def test_calls_of_ended_threads_are_not_extended(python, run_shim):
    """A thread leaves by pthread_exit with open frames, and its ring stays idle."""
    source = ("import ctypes, threading, time\n"
              "def leaves():\n"
              "    time.sleep(0.1)\n"
              "    ctypes.CDLL(None).pthread_exit(None)\n"
              "t = threading.Thread(target=leaves, daemon=True)\n"
              "t.start()\n"
              "time.sleep(0.8)\n"
              "import os; os._exit(0)\n")
    done = run_shim([python.exe, "-c", source])
    assert 0.1 <= total_of(read_stats(done.recording), "leaves") < 0.6


def test_a_blind_interval_is_not_the_end_of_the_recording(python, run_shim):
    """Frames closed by a blind interval or by another thread do not run at the end."""
    source = ("import sys\n"
              "def f(): pass\n"
              "for i in range(100):\n"
              "    sys.setprofile(lambda *a: None); sys.setprofile(None); f()\n")
    done = run_shim([python.exe, "-c", source])
    report = json.loads(read("-f", "json", done.recording).out)
    assert report["sources"][0]["open_calls"] <= 3
