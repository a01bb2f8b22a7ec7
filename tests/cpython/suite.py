# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs CPython's own test suite, one module at a time, with and without the shim, and compares the
results.

A run gives {test case: outcome}. Outcomes come from the JUnit file of `python -m test`, from the
FAIL: and ERROR: lines of subtests, and from the exit status, which also shows that a module changed
its process. Needs the standard library only.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

from places import memory

ROOT = Path(__file__).resolve().parents[2]

# Modules that take a minute or more are last, so that a short run has the others.
MODULES = """
test_sys_setprofile test_cprofile test_profile test_profiling test_pstats test_monitoring
test_sys_settrace test_generators test_coroutines test_fork1 test_gc test_exceptions test_atexit test_trace test_bdb
test_weakref test_threading test_signal test_faulthandler test_embed test_interpreters
test__xxsubinterpreters test__interpreters test_capi test_subprocess test_io test_asyncio
test_concurrent_futures test_multiprocessing_main_handling test_multiprocessing_fork
test_multiprocessing_forkserver test_multiprocessing_spawn
""".split()

MODULE = "(module)"
STATUS = {0: "ok", 1: "not run", 2: "failed", 3: "changed its environment", 4: "no test ran"}
ABSENT = "absent"
TOO_LONG = "not over within the time limit"


def environment(extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSHIM_", "PYTHON", "LD_"))}
    env.update(LC_ALL="C.UTF-8", **extra)
    return env


def modules_of(exe):
    """Returns the modules of MODULES that this interpreter ships; none if it ships no test suite.
    """
    probe = ("import os, test\n"
             "print(*{os.path.splitext(n)[0] for p in test.__path__ for n in os.listdir(p)})")
    out = subprocess.run([exe, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env=environment({}), text=True).stdout.split()
    return [m for m in MODULES if m in out]


def read_cases(junit):
    """Returns {case: outcomes in one text}, {case: failure text}. A case listed twice has two
    outcomes.

    A case without a name is one of which only subtests failed (see read_subtests).
    """
    found, texts = {}, {}
    for case in ElementTree.parse(junit).iterfind(".//testcase[@name]"):
        kinds = {child.tag for child in case}
        outcome = ("failed" if kinds & {"error", "failure"}
                   else "skipped" if "skipped" in kinds else "passed")
        name = re.sub(r"0x[0-9a-f]+", "0x", case.get("name"))
        found.setdefault(name, []).append(outcome)
        if outcome == "failed":
            texts[name] = " ".join(" ".join(c.itertext()) for c in case)
    return {n: ", ".join(sorted(outcomes)) for n, outcomes in found.items()}, texts


def read_printed(text):
    """Returns {case: outcome} of the lines of `-v`, such as "test_x (test.test_gc.GCTests) ... ok".
    """
    words = {"ok": "passed", "skipped": "skipped", "FAIL": "failed", "ERROR": "failed"}
    lines = re.findall(r"^(test\w* \([\w.]+\))(?:\n.*?)? \.\.\. (ok|skipped|FAIL|ERROR)\b", text, re.M)
    return {name: words[word] for name, word in lines}


def read_subtests(text):
    """Returns failed subtests, which the JUnit file lacks, such as "FAIL: test_x (...) (i=1)"."""
    names = re.findall(r"^(?:FAIL|ERROR): (\w+ \([\w.]+\) [\[(].*)$", text, re.M)
    return [re.sub(r"0x[0-9a-f]+", "0x", n) for n in names]


def status_text(status):
    if status is None:
        return TOO_LONG
    if status < 0:
        return "killed by " + signal.Signals(-status).name
    return STATUS.get(status, "exit status %d" % status)


def _wait(process, limit):
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:  # also changes that the module left in its process
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def run_module(exe, module, preload=None, limit=600, keep=None, args=()):
    """Runs a module of the suite in its own process. Returns {case: outcome}, {case: failure text}.

    `preload` is the library to preload. Recordings are in a temporary folder. `keep` is a file for
    the output.
    """
    here = Path(tempfile.mkdtemp(prefix="pyshim-cpython-"))
    records = Path(tempfile.mkdtemp(prefix="pyshim-cpython-", dir=memory()))
    try:
        env = environment({"TMPDIR": str(here), "HOME": str(here), "PYSHIM_DIR": str(records)})
        if preload:
            env["LD_PRELOAD"] = str(preload)
        command = [exe, "-m", "test", "-v", "--fail-env-changed", "--junit-xml",
                   str(here / "junit.xml"), *args, module]
        with open(here / "printed", "wb") as printed:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed,
                                       stderr=subprocess.STDOUT, env=env, cwd=here,
                                       start_new_session=True)
            status = _wait(process, limit)
        text = (here / "printed").read_text(errors="replace")
        if keep:
            keep.write_text(text)
        cases, texts = {}, {}
        if (here / "junit.xml").exists():
            cases, texts = read_cases(here / "junit.xml")
        else:  # timed out
            cases = read_printed(text)
        for name in read_subtests(text):
            cases[name] = "failed"
        cases[MODULE] = status_text(status)
        return cases, texts
    finally:
        shutil.rmtree(here, ignore_errors=True)
        shutil.rmtree(records, ignore_errors=True)


def compare(bare, shim):
    """Compares two lists of runs: {case: (verdict, outcomes without, outcomes under the shim)}

    "same"      one outcome without the shim, and no other under it
    "flaky"     several outcomes without the shim, and no others under it
    "unsteady"  an outcome that occurs only under the shim, once
    "differs"   an outcome that occurs only under the shim, more than once or in the only run

    After a timeout on either side, only the cases that both sides reached are compared.
    """
    verdicts = {}
    cut = TOO_LONG in [run.get(MODULE) for run in bare + shim]
    for case in sorted(set().union(*bare, *shim)):
        b = [run.get(case, ABSENT) for run in bare]
        s = Counter(run.get(case, ABSENT) for run in shim)
        if cut and ABSENT in b + list(s):
            continue
        odd = [n for outcome, n in s.items() if outcome not in b]
        if not odd:
            verdict = "same" if len(set(b)) == 1 else "flaky"
        elif sum(odd) == 1 and len(shim) > 1:
            verdict = "unsteady"
        else:
            verdict = "differs"
        verdicts[case] = (verdict, b, list(s.elements()))
    return verdicts


def rounds(run_both, tries):
    """Runs both sides again, up to `tries` times, while they differ. Returns the verdicts."""
    bare, shim = [], []
    for _ in range(tries):
        b, s = run_both()
        bare.append(b)
        shim.append(s)
        verdicts = compare(bare, shim)
        if all(v[0] in ("same", "flaky") for v in verdicts.values()):
            break
    return verdicts
