# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that take away and give back the shim's hooks: the profile hook of 3.8 to 3.11, the
frame evaluator, the tool of sys.monitoring, and recording itself.

Each program calls `before` while it is recorded, `unseen` while it has the hook, and `after`
afterwards. All calls of `before` and `after` must be recorded, with a blind interval exactly where
events were missed.
"""

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from conftest import counts_only, read, read_stats

HERE = Path(__file__).parent

PROLOGUE = """
import atexit, cProfile, ctypes, gc, io, os, pstats, signal, sys, threading, time

def before(): pass
def unseen(): pass
def after(): pass

def more():
    for i in range(100): after()
    time.sleep(0.01)

library = ctypes.PyDLL(LIBRARY) if LIBRARY else None
def function(n):
    library.make.restype = ctypes.py_object
    return library.make(n)
"""


@pytest.fixture(scope="session")
def takers(tmp_path_factory):
    """Returns the path of c/takers.c as a shared library."""
    out = tmp_path_factory.mktemp("takers") / "libtakers.so"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-std=c11", "-O1", "-shared", "-fPIC", "-o", out,
                    HERE / "c" / "takers.c"], check=True)
    return out


@pytest.fixture
def record(run_shim, takers, tmp_path):
    """record(python, source, **env): runs the source as a script and returns its recordings."""

    def run(python, source, **env):
        path = tmp_path / "program.py"
        library = "LIBRARY = %r\n" % (str(takers) if python.version < (3, 12) else "")
        path.write_text(library + PROLOGUE + textwrap.dedent(source))
        return run_shim([python.exe, path], env=env).recordings

    return run


def calls(recording):
    """Returns {name: calls} of the program's own functions that were called."""
    found = {}
    for function, (_, n, _) in counts_only(read_stats(recording)).items():
        if function[0].endswith("program.py") and n:
            found[function[2]] = found.get(function[2], 0) + n
    return found


def losses(recording):
    """Returns the report's numbers on blind intervals, missing returns and the end: {kind:
    numbers}.
    """
    done = read("-v", "--check", recording)
    text = done.out.decode() + done.err.decode()
    patterns = {
        "gaps": r"([\d.]+) s were not recorded, in (\d+) intervals?:",
        "blind": r"(\d+) threads? w\w+ not recorded after ([\d.]+) s[\w ]*, for ([\d.]+) s",
        "missing": r"(\d+) calls? without a return event",
        "open": r"(\d+) calls? w\w+ running at the end",
        "broken": r"add up to [\w ]+: NO",
    }
    return {k: tuple(map(float, m.groups()))
            for k, m in ((k, re.search(p, text)) for k, p in patterns.items()) if m}


def strict_status(recording):
    for status in 0, 3:
        try:
            read("--strict", recording, status=status)
            return status
        except AssertionError:
            pass
    raise AssertionError("neither 0 nor 3")


def only_before_312(python):
    if python.version >= (3, 12):
        pytest.skip("the profile hook is not the shim's")


NOTHING_MISSED = {
    "disable": "cProfile.Profile().disable()",
    "stats of a profile that was never enabled": "p = cProfile.Profile(); p.create_stats()",
    "sys.setprofile(None)": "sys.setprofile(None)",
    "disable in a generator": """
        def g():
            cProfile.Profile().disable(); before(); yield
            cProfile.Profile().disable(); before(); yield
        list(g()); before(); before()""",
    "disable in a thread": """
        t = threading.Thread(target=lambda: (cProfile.Profile().disable(), more()))
        t.start(); t.join()""",
    "disable in a function that ends there": "(lambda: cProfile.Profile().disable())()",
    "disable by map": "list(map(cProfile.Profile.disable, [cProfile.Profile()]))",
    "disable at exit": "atexit.register(lambda: (cProfile.Profile().disable(), more()))",
}


@pytest.mark.parametrize("name", NOTHING_MISSED)
def test_a_cleared_hook_is_restored_at_once(python, name, record):
    source = NOTHING_MISSED[name]
    body = textwrap.dedent(source) + "\nbefore()\nmore()\nlen('')\n"
    recording, = record(python, body)
    found = calls(recording)
    assert found["before"] == body.count("before()")
    assert found["after"] == 100 * (2 if "more" in source else 1)
    # 3.8 cannot check safely between two instructions, and this code calls no C function that is
    # reported.
    missed = python.version < (3, 9) and name == "disable by map"
    assert set(losses(recording)) == ({"gaps"} if missed else set())
    assert strict_status(recording) == (3 if missed else 0)


def test_an_unknown_function_that_clears_the_hook_is_noticed(python, record):
    """It is detected at the second call too. On 3.8 the first call is a blind interval, because its
    return is not reported.
    """
    only_before_312(python)
    recording, = record(python, """
        relinquish = function(1)
        def f(): before(); relinquish(); len(""); more()
        f(); f()
        """)
    assert calls(recording)["before"] == 2 and calls(recording)["after"] == 200
    stats = counts_only(read_stats(recording))
    assert sum(v[1] for f, v in stats.items() if f[2] == "<relinquish>") == 2
    expected = {"gaps"} if python.version < (3, 9) else set()
    assert set(losses(recording)) == expected


SEEN_AGAIN = {
    "enable, disable": "p = cProfile.Profile(); p.enable(); unseen(); p.disable()",
    "with": "with cProfile.Profile(): unseen()" ,
    "create_stats": "p = cProfile.Profile(); p.enable(); unseen(); p.disable(); p.create_stats()",
    "pstats": "p = cProfile.Profile(); p.enable(); unseen(); p.disable(); pstats.Stats(p)",
    "print_stats": """
        p = cProfile.Profile(); p.enable(); unseen(); p.disable()
        out, sys.stdout = sys.stdout, io.StringIO(); p.print_stats(); sys.stdout = out""",
    "dump_stats": "p = cProfile.Profile(); p.enable(); unseen(); p.dump_stats(os.devnull)",
    "run": "cProfile.run('unseen()', os.devnull)",
    "runctx": "cProfile.runctx('unseen()', globals(), {}, os.devnull)",
    "runcall": "cProfile.Profile().runcall(unseen)",
    "setprofile": "sys.setprofile(lambda *a: None); unseen(); sys.setprofile(None)",
    "nested": """
        p, q = cProfile.Profile(), cProfile.Profile()
        p.enable(); unseen(); q.enable(); unseen(); q.disable(); p.disable()""",
    "a signal handler": """
        def handler(*a): cProfile.Profile().runcall(unseen)
        signal.signal(signal.SIGUSR1, handler); os.kill(os.getpid(), signal.SIGUSR1)""",
    "a generator": """
        def g():
            p = cProfile.Profile(); p.enable(); unseen(); yield; p.disable(); yield
        for i in g(): pass""",
    "unknown, by the API": "function(0)(); unseen(); function(1)()",
    "unknown, directly": "function(2)(); unseen(); function(3)()",
    "unknown, by the API and ctypes": "function(0)(); unseen(); library.drop()",
}


@pytest.mark.parametrize("name", SEEN_AGAIN)
@pytest.mark.parametrize("where", ["main thread", "thread"])
def test_recording_continues_when_the_hook_is_given_back(python, name, where, record):
    """The blind interval has the length of the missed time."""
    only_before_312(python)
    if where == "thread" and "signal" in name:
        pytest.skip("signals are the main thread's")
    body = textwrap.dedent(SEEN_AGAIN[name]).replace("unseen()", "(unseen(), time.sleep(0.05))", 1)
    body = "def f():\n    global p, q\n" + textwrap.indent(body, "    ") + "\n    more()\n"
    run = "f()" if where == "main thread" else \
        "t = threading.Thread(target=f); t.start(); t.join()"
    recording, = record(python, body + "before()\n%s\n%s\nbefore()\n" % (run, run))
    found, reported = calls(recording), losses(recording)
    assert found["before"] == 2 and found["after"] == 200 and "unseen" not in found
    assert set(reported) == {"gaps"} and reported["gaps"][1] >= 2
    slept = 0.05 if "time.sleep(0.05)" in body else 0
    assert 2 * slept <= reported["gaps"][0] < 2 * slept + 2
    assert strict_status(recording) == 3


def test_profiling_each_request_loses_only_the_requests(python, record):
    recording, = record(python, """
        def outside(): before()
        for i in range(5):
            outside()
            p = cProfile.Profile()
            p.runcall(unseen)
            pstats.Stats(p, stream=io.StringIO()).print_stats()
            after()
        """)
    found = calls(recording)
    assert found["outside"] == found["before"] == found["after"] == 5
    if python.version < (3, 12):
        assert losses(recording)["gaps"][1] == 5


def test_threads_continue_after_another_thread_took_their_hook(python, record):
    """yappi sets the hook in the same way: from one thread, for all threads, directly in their
    state.
    """
    only_before_312(python)
    recording, = record(python, """
        taken, given = threading.Event(), threading.Event()
        def work():
            before()
            while not taken.is_set(): time.sleep(0.001)
            time.sleep(0.1)
            while not given.is_set(): time.sleep(0.001)
            more()
        poke_all, wipe_all = function(4), function(5)
        threads = [threading.Thread(target=work) for i in range(3)]
        for t in threads: t.start()
        time.sleep(0.05)
        poke_all(); taken.set(); unseen(); time.sleep(0.1); wipe_all(); given.set()
        for t in threads: t.join()
        """)
    found, reported = calls(recording), losses(recording)
    assert found["before"] == 3 and found["after"] == 300 and "unseen" not in found
    assert reported["gaps"][1] >= 4 and 0.4 <= reported["gaps"][0] < 4
    assert "missing" not in reported


@pytest.mark.parametrize("take", [0, 2], ids=["by the API", "directly"])
def test_a_hook_that_is_never_given_back_blinds_the_rest(python, take, record):
    """A thread is unrecorded until it ends, the main thread until the process ends."""
    only_before_312(python)
    recording, = record(python, """
        def f(): before(); function(%d)(); unseen(); time.sleep(0.2)
        f()
        """ % take)
    reported = losses(recording)
    assert calls(recording)["before"] == 1 and "unseen" not in calls(recording)
    assert set(reported) == {"blind"} and reported["blind"][0] == 1 and 0.2 <= reported["blind"][2] < 2
    assert strict_status(recording) == 3
    recording, = record(python, """
        def f(): before(); function(%d)(); unseen(); time.sleep(0.2)
        t = threading.Thread(target=f); t.start(); t.join(); more()
        """ % take)
    reported = losses(recording)
    assert calls(recording)["before"] == 1 and calls(recording)["after"] == 100
    assert set(reported) == {"gaps"} and reported["gaps"][1] == 1 and 0.2 <= reported["gaps"][0] < 2


def test_threads_with_threading_setprofile_are_not_recorded(python, record):
    recording, = record(python, """
        threading.setprofile(lambda *a: None)
        for i in range(3): t = threading.Thread(target=unseen); t.start(); t.join()
        threading.setprofile(None)
        t = threading.Thread(target=more); t.start(); t.join()
        """)
    assert calls(recording)["after"] == 100
    if python.version < (3, 12):
        assert losses(recording)["gaps"][1] == 3 and "unseen" not in calls(recording)


def test_a_child_forked_while_the_hook_is_taken_is_recorded(python, record):
    only_before_312(python)
    for recording in record(python, """
            p = cProfile.Profile(); p.enable()
            child = os.fork()
            unseen(); p.disable(); more()
            if not child: os._exit(0)
            os.wait()
            """):
        assert calls(recording)["after"] == 100 and "unseen" not in calls(recording)
        assert losses(recording)["gaps"][1] == 1


EVALUATORS = [
    "chain thread unchain thread thread",
    "thread chain thread unchain thread",
    "chain thread chain thread chain thread unchain thread",
    "replace thread reset thread replace thread reset thread",
    "chain disable thread replace thread disable thread reset thread unchain thread",
]


@pytest.mark.parametrize("steps", EVALUATORS)
def test_frame_evaluators_may_be_set_in_any_order(python, steps, record):
    if not (3, 9) <= python.version < (3, 12):
        pytest.skip("3.8 has no function to set one, and from 3.12 on ours is not needed")
    lines = {"thread": "t = threading.Thread(target=more); t.start(); t.join()",
             "disable": "cProfile.Profile().disable()"}
    recording, = record(python, "\n".join(lines.get(s, "library.%s()" % s)
                                          for s in steps.split()))
    assert calls(recording)["after"] == 100 * steps.count("thread")
    assert losses(recording) == {}


def test_the_frame_hook_of_311_is_removed_soon(python, record):
    """A thread may wait in a C function that it calls for the first time."""
    if not (3, 11) <= python.version < (3, 12):
        pytest.skip("3.8 to 3.10 may keep it: it costs next to nothing there")
    record(python, """
        readable, writable = os.pipe()
        t = threading.Thread(target=lambda: os.read(readable, 1), daemon=True); t.start()
        time.sleep(1.2)
        api = ctypes.pythonapi
        for f in api.PyInterpreterState_Main, api._PyInterpreterState_GetEvalFrameFunc:
            f.restype = ctypes.c_void_p
        api._PyInterpreterState_GetEvalFrameFunc.argtypes = [ctypes.c_void_p]
        more()
        is_set = api._PyInterpreterState_GetEvalFrameFunc(api.PyInterpreterState_Main())
        assert is_set == ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p).value
        """)


# --- sys.monitoring ------------------------------------------------------------------------------

OURS = """
M = sys.monitoring
E = M.events
ours = next(i for i in range(6) if M.get_tool(i) == "pyshim")
"""
SWITCHED_OFF = {
    "set_events": "M.set_events(ours, 0)",
    "set_events by map": "list(map(M.set_events, [ours], [0]))",
    "register_callback": "for e in 'PY_START', 'PY_RETURN', 'CALL': M.register_callback(ours, getattr(E, e), None)",
    "free_tool_id": "M.free_tool_id(ours)",
    "another tool takes the id": "M.use_tool_id(ours, 'other')",
    "another tool takes the id that was freed": "M.free_tool_id(ours); M.use_tool_id(ours, 'other')",
}


def only_since_312(python):
    if python.version < (3, 12):
        pytest.skip("there is no sys.monitoring")


@pytest.mark.parametrize("name", SWITCHED_OFF)
def test_a_tool_that_is_switched_off_is_restored(python, name, record):
    only_since_312(python)
    recording, = record(python, OURS + SWITCHED_OFF[name] + "\nmore()\n"
                        "if M.get_tool(ours) == 'other': M.set_events(ours, 0); before()\n")
    assert calls(recording)["after"] == 100
    assert calls(recording).get("before", 0) == ("another" in name)
    assert losses(recording) == {} and strict_status(recording) == 0


def test_a_program_may_take_all_monitoring_tools(python, record):
    """It gets the tools, as without the shim. That is a blind interval, or the rest of the run."""
    only_since_312(python)
    take = OURS + "before()\nfor i in range(6): M.use_tool_id(i, 'mine')\nunseen(); time.sleep(0.1)\n"
    recording, = record(python, take)
    reported = losses(recording)
    assert calls(recording)["before"] == 1 and "unseen" not in calls(recording)
    assert set(reported) == {"blind"} and 0.1 <= reported["blind"][2] < 2
    assert strict_status(recording) == 3
    recording, = record(python, take + "for i in range(6): M.free_tool_id(i)\nmore()")
    reported = losses(recording)
    assert calls(recording)["after"] == 100 and "unseen" not in calls(recording)
    assert set(reported) == {"gaps"} and reported["gaps"][1] == 1 and 0.1 <= reported["gaps"][0] < 2


def test_the_program_cannot_get_the_callbacks(python, record):
    """Only the interpreter may call them."""
    only_since_312(python)
    recording, = record(python, OURS + """
for e in "PY_START", "PY_RESUME", "PY_RETURN", "CALL":
    old = M.register_callback(ours, getattr(E, e), None)
    assert old is None, old
    old = M.register_callback(ours, getattr(E, e), before)
    assert old is None, old
more()
assert not [o for o in gc.get_objects() if "pyshim" in type(o).__module__]
""")
    assert calls(recording)["after"] == 100 and losses(recording) == {}


# --- recording that is stopped and continued -------------------------------------------------

def test_only_calls_open_at_the_end_are_reported_as_running(python, record):
    recording, = record(python, """
        stop, start = ctypes.PyDLL(None).pyshim_stop, ctypes.PyDLL(None).pyshim_start
        def f(): stop(); start(); sys.setprofile(lambda *a: None); sys.setprofile(None); before()
        for i in range(1000): f()
        """)
    assert calls(recording)["before"] == 1000 and "open" not in losses(recording)
    recording, = record(python, "def f(): before(); ctypes.PyDLL(None).pyshim_stop()\nf()")
    assert "open" not in losses(recording)
    recording, = record(python, "def f(): before(); os._exit(0)\nf()")
    assert losses(recording)["open"] == (3,)


@pytest.mark.parametrize("buffer", ["64K", "64M"])
def test_folded_blind_intervals_do_not_end_the_recording(python, buffer, record):
    recording, = record(python, """
        stop, start = ctypes.PyDLL(None).pyshim_stop, ctypes.PyDLL(None).pyshim_start
        def f(): stop(); start(); before()
        for i in range(1000): f(); more() if i % 100 == 0 else None
        for i in range(100): more()
        """, PYSHIM_BUFFER=buffer)
    assert calls(recording)["before"] == 1000 and losses(recording) == {}


def test_recording_may_start_in_a_signal_handler(python, record):
    """Some versions handle signals at the very start of a function, before they report its call."""
    recording, = record(python, """
        stop, start = ctypes.PyDLL(None).pyshim_stop, ctypes.PyDLL(None).pyshim_start
        n = 0
        def handler(*a):
            global n
            n += 1
            stop(); start()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        def f(n):
            before(); len(""); return n
        while n < 200: f(n)
        signal.setitimer(signal.ITIMER_REAL, 0)
        more()
        """)
    assert calls(recording)["after"] == 100
    assert losses(recording) == {}
