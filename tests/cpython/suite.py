# SPDX-License-Identifier: LGPL-2.1-or-later
"""CPython's own test suite, a module of it at a time, with and without the shim; and what differs.

A run gives {test case: outcome}, from the JUnit file that `python -m test` writes, the FAIL: and ERROR:
lines of subtests, and the exit status, which also tells that a module left its process changed.
Needs the standard library only.
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

# Those that take a minute or more are last, so that a run that is cut short has the others.
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
    """The modules of MODULES that this interpreter ships; an interpreter without a suite has none."""
    probe = ("import os, test\n"
             "print(*{os.path.splitext(n)[0] for p in test.__path__ for n in os.listdir(p)})")
    out = subprocess.run([exe, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env=environment({}), text=True).stdout.split()
    return [m for m in MODULES if m in out]


def read_cases(junit):
    """{case: outcomes in one text}, {case: why it failed}; what stands there twice has two outcomes.

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
    """{case: outcome} of the lines of `-v`, such as "test_x (test.test_gc.GCTests) ... ok"."""
    words = {"ok": "passed", "skipped": "skipped", "FAIL": "failed", "ERROR": "failed"}
    lines = re.findall(r"^(test\w* \([\w.]+\))(?:\n.*?)? \.\.\. (ok|skipped|FAIL|ERROR)\b", text, re.M)
    return {name: words[word] for name, word in lines}


def read_subtests(text):
    """Names of failed subtests, which the JUnit file does not have: as in "FAIL: test_x (...) (i=1)"."""
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
        try:  # what the module left behind, too
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def run_module(exe, module, preload=None, limit=600, keep=None, args=()):
    """Runs a module of the suite in a process of its own -> {case: outcome}, {case: why it failed}.

    `preload` is the library to load before others. Recordings lie in a folder that is removed. `keep`:
    a file for what was printed.
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
        else:  # cut short
            cases = read_printed(text)
        for name in read_subtests(text):
            cases[name] = "failed"
        cases[MODULE] = status_text(status)
        return cases, texts
    finally:
        shutil.rmtree(here, ignore_errors=True)
        shutil.rmtree(records, ignore_errors=True)


def compare(bare, shim):
    """Two lists of runs -> {case: (verdict, its outcomes bare, its outcomes under the shim)}

    "same"      under the shim there was no outcome but that there is without it, always
    "flaky"     ... that there is without it at times
    "unsteady"  one that there is not without it, once
    "differs"   one that there is not without it, more than once, or in the only run

    Where time was up on either side, only what both got to is compared.
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
    """Runs both sides anew, up to `tries` times, as long as they are not the same -> verdicts"""
    bare, shim = [], []
    for _ in range(tries):
        b, s = run_both()
        bare.append(b)
        shim.append(s)
        verdicts = compare(bare, shim)
        if all(v[0] in ("same", "flaky") for v in verdicts.values()):
            break
    return verdicts
