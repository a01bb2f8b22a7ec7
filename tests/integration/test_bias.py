# SPDX-License-Identifier: LGPL-2.1-or-later
"""Corrected times: the choice of the calibration, the overhead that is subtracted, and the report
of both.

No time is asserted, only sums that hold for any duration: raw time is corrected time plus overhead.
"""

import collections
import glob
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import time

import pytest
from conftest import PYTHONS, READER, patch, read, read_stats, run_bare

PROGRAM = """\
import time

def leaf(x):
    return len(str(x))

def inner(n):
    return sum(leaf(i) for i in range(n))

def raises(x):
    raise ValueError(x)

def recursive(n):
    return recursive(n - 1) + 1 if n else 0

def outer():
    for i in range(200):
        inner(10)
        recursive(5)
        try:
            raises(i)
        except ValueError:
            pass
    sorted(range(100), key=leaf)
    time.sleep(0.005)

outer()
"""
NO_CALIBRATION = "  raw times: no calibration fits (pyshim-read --calibrate 100000 makes one)"
KINDS = ["python", "c", "bare", "exception", "resume", "method", "other", "large", "large-site",
         "exception-c"]


@pytest.fixture
def recording(python, run_shim):
    return run_shim([python.exe, "-S", "-c", PROGRAM]).recording


@pytest.fixture
def config(tmp_path):
    """A private folder of calibrations."""
    return tmp_path / "config"


QUIET = "cpu=$elapsed switches=0 reference=1000 running=1"
INTERPRETER = "#!/bin/sh\n" """\
%s "$@" | while read loop slice elapsed cpu switches reference running; do
    %s
    echo $loop $slice $elapsed $cpu $switches $reference $running
done
"""


@pytest.fixture
def interpreter(tmp_path):
    """interpreter(python, edit): a program that runs the interpreter but reports the load of a
    quiet machine.

    A shell line edits its output, so that the load of this machine does not matter. The loops and
    their recordings are real.
    """
    def make(python, edit=QUIET):
        path = tmp_path / "interpreter"
        path.write_text(INTERPRETER % (shlex.quote(python.exe), edit))
        path.chmod(0o755)
        return path

    return make


def calibrate(exe, config, *options, env=None):
    return run_bare([READER, "--calibrate", "1000", "--python", exe, *options],
                    env={"XDG_CONFIG_HOME": str(config), **(env or {})})


@pytest.fixture
def keep(kept_once, interpreter):
    """keep(python, config): keeps a calibration as if it had been made on a quiet machine."""
    return lambda python, config: kept_once(python, config, interpreter(python))


@pytest.fixture(scope="session")
def kept_once(tmp_path_factory):
    """Calibrates once, because that takes seconds."""
    folder = tmp_path_factory.mktemp("calibrations")

    def keep(python, config, exe):
        made = folder / python.tag
        if not made.exists():
            assert calibrate(exe, made).status == 0
        shutil.copytree(made, config, dirs_exist_ok=True)

    return keep


def kept(config):
    return sorted((config / "pyshim").iterdir())


def report(recording, config, *options):
    """Returns the lines of the preamble."""
    done = run_bare([READER, *options, "-r", "0", recording], env={"XDG_CONFIG_HOME": str(config)})
    assert (done.status, done.err) == (0, b""), done
    return done.out.decode().split("\n\n")[0].split("\n")


def write_calibration(path, inside=1, outside=1, bytecode=1, **more):
    """Writes a calibration with the same overhead in ns for all kinds of calls."""
    lines = ["pyshim calibration 6", "bytecode %s" % bytecode, "python %s %s 0" % (inside, outside),
             "c %s %s 0" % (inside, outside),
             *("%s 0 0 0" % kind for kind in KINDS[2:]), "cold 0"]
    lines += ["%s %s" % item for item in more.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def total(stats):
    return sum(v[2] for v in stats.values())


def check_taken_out(recording, inside, outside, *options):
    """Checks that each self time loses exactly the overhead of the function's calls, inside and
    outside.
    """
    raw = read_stats(recording, options=("--bias", "none"))
    corrected = read_stats(recording, options=options)
    made = dict.fromkeys(raw, 0)
    assert raw.keys() == corrected.keys()
    for function, (_, _, _, _, callers) in raw.items():
        for caller, edge in callers.items():
            made[caller] += edge[0]
    for function, (primitive, calls, tottime, cumtime, callers) in raw.items():
        now = corrected[function]
        assert now[:2] == (primitive, calls)
        cost = calls * inside + made[function] * outside
        assert tottime - now[2] == pytest.approx(cost, abs=1e-11), function
        assert 0 <= now[2] <= now[3] <= cumtime
        if len(callers) == 1 and sum(edge[0] for edge in callers.values()) == calls:
            (edge,) = now[4].values()
            assert edge[2] == pytest.approx(now[2], abs=1e-11)
    return raw, corrected


# --- a number, a file, the recorded setting -------------------------------------------------------


def test_bias_in_seconds_is_subtracted_from_each_event(recording, config):
    """A tenth of a nanosecond is so little that no self time becomes negative."""
    raw, corrected = check_taken_out(recording, 1e-10, 1e-10, "--bias", "1e-10")
    lines = report(recording, config, "--bias", "1e-10")
    said = re.fullmatch(r"  times corrected by 1e-10 s per event: ([\d.]+) s of overhead subtracted from "
                        r"([\d.]+) s", lines[3])
    assert said, lines
    assert float(said[1]) == pytest.approx(total(raw) - total(corrected), abs=5.1e-4)
    assert float(said[2]) == pytest.approx(total(raw), abs=5.1e-4)


def test_a_named_calibration_file_is_applied(recording, config, tmp_path):
    made = int(time.time() - 10 * 86400)
    path = write_calibration(tmp_path / "mine", 0.1, 0.3, made=made)
    check_taken_out(recording, 1e-10, 3e-10, "--bias", path)
    lines = report(recording, config, "--bias", path)
    assert lines[3].startswith("  times corrected by the calibration that is 10 days old: "), lines


def test_bias_none_gives_raw_times(recording, config):
    lines = report(recording, config, "--bias", "none")
    assert lines[3] == "  raw times"
    assert report(recording, config)[3] == NO_CALIBRATION
    assert read_stats(recording, options=("--bias", "none")) == read_stats(recording)


def test_slow_bytecode_shortens_python_functions_only(recording, tmp_path):
    """Only the factor is set: Python functions lose their part of it, C functions nothing."""
    path = write_calibration(tmp_path / "mine", 0, 0, bytecode=1.25)
    raw = read_stats(recording, options=("--bias", "none"))
    corrected = read_stats(recording, options=("--bias", path))
    for function, now in corrected.items():
        factor = 1 if function[0] == "~" else 1.25
        assert now[2] * factor == pytest.approx(raw[function][2], abs=1e-11), function
        assert raw[function][3] / 1.25 - 1e-11 <= now[3] <= raw[function][3] + 1e-11


def lost_by(recording, tmp_path, **costs):
    """Returns {name: tenths of a nanosecond that its self time loses} for a program given on a
    command line.

    Both times come from one report. In recordings of under a millisecond, the length of a tick
    differs between two reads by some parts in a million.
    """
    path = write_calibration(tmp_path / "mine", 0, 0, **costs)
    (report,) = json.loads(read("-f", "json", "--bias", path, recording).out)["reports"]
    lost = collections.Counter()
    for function in report["functions"]:
        if function["file_name"] in ("<string>", "~"):
            lost[function["name"]] += (function["raw_tottime"] - function["tottime"]) * 1e10
    return lost


OTHERS = """\
import functools
class Plain: pass
class Meta(type): pass
class Made(metaclass=Meta): pass
class Slotted:
    __slots__ = ()
    def __init__(self): pass
class Base:
    def __init__(self): pass
    def method(self): pass
class Derived(Base):
    def __init__(self): super().__init__()
class Callable:
    def __call__(self): pass
class Fails:
    def __init__(self): raise KeyError
class Defaulted:
    def __init__(self, x=1): pass
class Variable:
    def __init__(self, *args): pass
class Keyword:
    def __init__(self, *, x=1): pass
class Changed:
    def __init__(self): pass
def call(what, times):
    for i in times: what()
def classes(times): call(Plain, times)
def metaclasses(times): call(Made, times)
def slotted(times): call(Slotted, times)
def partials(times): call(functools.partial(len, ()), times)
def objects(times): call(Callable(), times)
def functions(times): call(callable_one, times)
def methods(times): call(Base().method, times)
def instances(times):
    for i in times: Base()
def derived(times):
    for i in times: Derived()
def texts(times):
    for i in times: str(i)
def lists(times):
    for i in times: list()
def callable_one(): pass
def fails(times):
    for i in times:
        try: Fails()
        except KeyError: pass
def defaulted(times):
    for i in times: Defaulted()
def variable(times):
    for i in times: Variable()
def keyword(times):
    for i in times: Keyword()
def unchanged(times):
    for i in times: Changed()
def changed(times):
    Changed.__init__ = Defaulted.__init__
    for i in times: Changed()
def fresh(functions):
    for f in functions: f()
codes = [callable_one.__code__.replace(co_name='f%%d' %% i) for i in range(%d)]
fresh([type(callable_one)(code, {}) for code in codes])
times = [None] * %d
for one in (classes, metaclasses, slotted, partials, objects, functions, methods, instances, derived, texts, lists,
            fails, defaulted, variable, keyword, unchanged, changed): one(times)
print(len(callable_one.__code__.co_code))
"""


def lost_per_call(python, run_shim, tmp_path, **costs):
    """Returns ({name: tenths of a nanosecond that one more call takes from its self time}, bytes of
    callable_one).

    Compares two recordings, so that one-off calls cancel out.
    """
    runs = [run_shim([python.exe, "-S", "-c", OTHERS % (n, n)]) for n in (100, 200)]
    few, many = (lost_by(run.recording, tmp_path, **costs) for run in runs)
    return ({name: pytest.approx((many[name] - few[name]) / 100, abs=0.01) for name in many},
            int(runs[0].out))


def test_class_calls_take_overhead_from_the_caller(python, run_shim, tmp_path):
    """Each class call takes a tenth of a nanosecond from its caller. 3.12 and later report them."""
    lost, code_bytes = lost_per_call(python, run_shim, tmp_path, other="0 0.1 0")
    reported = python.version >= (3, 12)
    # Calls whose __init__ the interpreter can inline count two and a half.
    instance = 2.5 if python.version >= (3, 13) else reported
    assert 5 * reported == lost["call"]
    assert [lost["objects"], lost["methods"], lost["functions"]] == [0, 0, 0]
    assert [instance] * 4 == [lost[name] for name in ("instances", "derived", "fails", "unchanged")]
    # It cannot inline an __init__ with default values or a variable number of arguments.
    assert [reported] * 4 == [lost[name] for name in ("defaulted", "variable", "keyword", "changed")]
    assert 29 / 8 * reported == lost["__init__"], "one super() costs as much as so many"
    assert 1.125 * reported == lost["lists"]
    assert (2 if python.version[:2] == (3, 12) else 1.125 * reported) == lost["texts"]
    # Code is instrumented before its first run.
    assert (32 + code_bytes // 4) / 8 * reported == lost["fresh"]


def test_calls_from_c_have_no_call_site_overhead(python, run_shim, tmp_path):
    """C code calls a class's __init__ and an object's __call__. Before 3.12 no call site is
    reported at all.
    """
    lost, _ = lost_per_call(python, run_shim, tmp_path, bare="0 0.1 0")
    reported = int(python.version >= (3, 12))
    assert 2 * reported == lost["call"]
    assert [reported] * 3 == [lost["instances"], lost["derived"], lost["fails"]]
    assert [lost["__init__"], lost["functions"]] == [0, 0]


FAILING = """\
def fails():
    for i in range(70):
        try: next(iter(()))
        except StopIteration: pass
fails()
"""


def test_c_exceptions_have_their_own_overhead(python, run_shim, tmp_path):
    recording = run_shim([python.exe, "-S", "-c", FAILING]).recording
    exceptions = lost_by(recording, tmp_path, **{"exception-c": "0.1 0 0"})
    assert exceptions["<built-in method builtins.next>"] == pytest.approx(70, abs=0.2)
    assert exceptions["fails"] == pytest.approx(0, abs=0.2)


SIZES = """\
def small(x): return len(x)
exec("def large(x):\\n    if x is None:\\n" + "        x = [x, x, x, x]\\n" * %d + "    return len(x)")
for i in range(100):
    small("")
    large("")
import sys
print(len(small.__code__.co_code), len(large.__code__.co_code))
"""


def check_code_bytes(python, run_shim, tmp_path, lines):
    """Checks the overhead by the length of the code, which is in the recording."""
    done = run_shim([python.exe, "-S", "-c", SIZES % lines])
    lost = lost_by(done.recording, tmp_path, large="0.1 0 0")
    for name, size in zip(("small", "large"), map(int, done.out.split())):
        assert lost[name] == pytest.approx(100 * min(size / 1024, 8), abs=0.2), (name, size)


FAR_PLACES = """\
import collections, sys
class Plain: pass
exec("def mixed(n, x=0):\\n    bin(7)\\n    if x is None:\\n" + "        x = [x, x, x, x]\\n" * %d +
     "    for i in range(n):\\n        bin(7)\\n        yield i\\n    Plain()\\n")
def run():
    for i in range(10):
        for _ in mixed(9): pass
def count(event):
    def reported(code, place, *more):
        if code is mixed.__code__ and int(str(place)) is not int(str(place)): # not a cached integer
            far[event, event == "C_RETURN" and more[0] is bin] += 1
    return reported
far = collections.Counter()
if len(sys.argv) > 1:
    m = sys.monitoring
    m.use_tool_id(4, "")
    for event in "PY_RETURN", "PY_YIELD", "C_RETURN":
        m.register_callback(4, getattr(m.events, event), count(event))
    m.set_events(4, m.events.PY_RETURN | m.events.PY_YIELD | m.events.CALL)
run()
if len(sys.argv) > 1:
    m.set_events(4, 0)
    print(far["PY_RETURN", 0] + far["PY_YIELD", 0], far["C_RETURN", 1], far["C_RETURN", 0])
"""


def check_far_places(python, run_shim, tmp_path, lines):
    """Checks the overhead by the number of high offsets, as a tool of sys.monitoring sees them."""
    program = [python.exe, "-S", "-c", FAR_PLACES % lines]
    ends, c_ends, others = map(int, run_bare([*program, "count"]).out.split())
    assert lines < 200 or (ends, c_ends, others) == (100, 90, 20)
    recording = run_shim(program).recording
    assert lost_by(recording, tmp_path, large="0.1 0 0")["mixed"] == pytest.approx(ends, abs=0.2)
    inside = lost_by(recording, tmp_path, **{"large-site": "0.1 0 0"})
    outside = lost_by(recording, tmp_path, **{"large-site": "0 0.1 0"})
    assert inside["<built-in method builtins.bin>"] == pytest.approx(c_ends, abs=0.2)
    assert outside["mixed"] == pytest.approx(c_ends + others, abs=0.2)


@pytest.mark.parametrize("lines", [3, 12, 20, 200, 1000])
def test_large_code_has_more_overhead(python, run_shim, tmp_path, lines):
    check = check_far_places if python.version >= (3, 12) else check_code_bytes
    check(python, run_shim, tmp_path, lines)


DISTANCES = """\
def f(): pass
def g(): pass
def warm(n):
    for i in range(n): f()
def often(n):
    for i in range(n): f()
def seldom(n):
    for i in range(n):
        for k in range(60): f()
        g()
def slowly(n):
    for i in range(n):
        for k in loop: pass
        f()
loop = [None] * 1000
warm(3000)
often(500)
seldom(100)
slowly(200)
"""


def distances(most):
    """Returns the sum of reuse distances of each function's calls, each limited to `most` events.
    """
    # Each round has sixty calls of f, the first of which contains a call of g, then g, then sixty
    # calls of f.
    of_f, of_g = most + 100 * 59 * 2 + 99 * 4, most + 99 * min(122, most)
    return {"often": most + 499 * 2, "seldom": of_f + of_g, "slowly": most + 199 * 2}


@pytest.mark.parametrize("buffer", ["64M", "64K"])
def test_rare_calls_have_more_overhead(python, run_shim, tmp_path, abi, buffer):
    """The reuse distance of an edge is the number of events between two of its calls, call and
    return both counted. The first call has the largest distance.

    From 3.12 on time counts too: up to 512 ticks before each event, as 256 events.
    """
    recording = run_shim([python.exe, "-S", "-c", DISTANCES], env={"PYSHIM_BUFFER": buffer}).recording
    reported = python.version >= (3, 12)
    expected = distances(3000 if reported else 100)
    if reported:
        lost = lost_by(recording, tmp_path, cold=0.1)
        # Each call follows a loop longer than the limit. The return follows almost at once.
        assert 200 * 256 <= lost["slowly"] - expected["slowly"] <= 2 * 200 * 256
        assert 0 < lost["often"] - expected["often"] <= 2 * 500 * 256
        patch(recording, abi["header.max_idle"], bytes(2))
    lost = lost_by(recording, tmp_path, cold=0.1)
    for name, events in expected.items():
        if buffer == "64M" or not reported:  # otherwise it is folded with the time
            assert lost[name] == pytest.approx(events, abs=0.2), name


def test_pyshim_bias_overrides_a_kept_calibration(python, run_shim, config, keep):
    """PYSHIM_BIAS overrides a kept calibration, and --bias overrides both."""
    keep(python, config)
    done = run_shim([python.exe, "-S", "-c", PROGRAM], env={"PYSHIM_BIAS": "1e-10"})
    lines = report(done.recording, config)
    assert lines[3].startswith("  times corrected by 1e-10 s per event (PYSHIM_BIAS): "), lines
    assert report(done.recording, config, "--bias", "auto") == lines
    assert report(done.recording, config, "--bias", "none")[3] == "  raw times"
    check_taken_out(done.recording, 1e-10, 1e-10)
    check_taken_out(done.recording, 2e-10, 2e-10, "--bias", "2e-10")


def test_an_overhead_above_all_times_leaves_none_negative(recording, config):
    """The overhead exceeds all times. No time becomes negative, and the reported sum and bounds are
    right.
    """
    raw = read_stats(recording, options=("--bias", "none"))
    corrected = read_stats(recording, options=("--bias", "0.5"))
    assert all(0 <= v[2] <= v[3] for v in corrected.values())
    assert total(corrected) <= total(raw)
    lines = report(recording, config, "--bias", "0.5")
    said = re.fullmatch(r"  (\d+) functions took less time than the overhead of their calls: .*", lines[4])
    assert int(said[1]) == sum(v[2] == 0 and v[1] > 0 for v in corrected.values())
    assert re.fullmatch(r"  [\d.]+ s of overhead were not subtracted: no time was left", lines[5]), lines


# --- calibrations that are kept ------------------------------------------------------------------


def test_calibrate_keeps_a_complete_file(python, recording, config, interpreter):
    done = calibrate(interpreter(python), config)
    assert (done.status, done.err) == (0, b""), done
    (path,) = kept(config)
    text = path.read_text()
    assert done.out.decode().endswith("  kept in %s\n" % path)
    assert text.startswith("pyshim calibration 6\ninterpreter %d.%d.%d" % python.version)
    for kind in KINDS:
        assert re.search(r"^%s -?\d+\.\d+ -?\d+\.\d+ \d+\.\d+$" % kind, text, re.M), text
    assert re.search(r"^cold \d\.\d+$", text, re.M), text
    error = float(re.search(r"^error (\d+\.\d+)$", text, re.M)[1])
    bias = float(re.search(r"^  one number per event: (\S+) s$", done.out.decode(), re.M)[1])
    numbers = re.search(r"^python (\S+) (\S+)", text, re.M)
    assert bias == pytest.approx(sum(map(float, numbers.groups())) / 2 * 1e-9, rel=2e-3)

    lines = report(recording, config)
    said = re.fullmatch(r"  times corrected by the calibration that is 0\.0 hours old: ([\d.]+) s of "
                        r"overhead subtracted from ([\d.]+) s \(median error for small programs: (\d+) % of "
                        r"the overhead\)", lines[3])
    assert said, lines
    assert int(said[3]) == pytest.approx(error * 100, abs=0.51)
    assert report(recording, config, "--bias", path)[3] == lines[3]
    assert report(recording, config, "--bias", "none")[3] == "  raw times"
    assert float(said[1]) <= float(said[2])


def folders_of(pid):
    """Returns the folders of a calibration's recordings."""
    return glob.glob("/dev/shm/pyshim.%d.*" % pid)


def test_calibrate_removes_its_recordings(python, config, keep, interpreter):
    keep(python, config)
    (path,) = kept(config)
    old = path.read_bytes()
    command = [READER, "--calibrate", "1000", "--python", interpreter(python)]
    with subprocess.Popen(command, env={**os.environ, "XDG_CONFIG_HOME": str(config)},
                          stdout=subprocess.PIPE) as process:
        while process.poll() is None and not (made := folders_of(process.pid)):
            time.sleep(0.01)
        assert made, "a folder of this name is what is looked for below"
        process.communicate(timeout=600)
        assert process.returncode == 0
    assert folders_of(process.pid) == []
    assert kept(config) == [path] and path.read_bytes() != old


def test_a_calibration_of_another_interpreter_is_not_used(python, recording, config, keep):
    """A calibration of one interpreter is not used for another."""
    others = [p for p in PYTHONS if p != python]
    if not others:
        pytest.skip("there is one interpreter only")
    other = others[0]
    keep(other, config)
    assert report(recording, config)[3] == NO_CALIBRATION


def test_a_calibration_with_another_key_is_not_used(python, recording, config, keep):
    """The file has the right path but another key, as after a hash collision."""
    keep(python, config)
    (path,) = kept(config)
    text = path.read_text()
    for name in ("interpreter", "engine", "shim", "processor", "clock"):
        path.write_text(re.sub(r"^%s " % name, name + " another ", text, flags=re.M))
        assert report(recording, config)[3] == NO_CALIBRATION, name
    path.write_text("pyshim calibration 2\n")
    assert report(recording, config)[3] == NO_CALIBRATION
    path.write_text(text)
    assert "hours old" in report(recording, config)[3]


@pytest.mark.parametrize("clock", ["cpu", "thread"])
def test_each_clock_has_its_own_calibration(python, run_shim, config, clock, keep, interpreter):
    """Each clock has its own calibration, because reading it takes its own time."""
    env = {"PYSHIM_CLOCK": clock}
    wall = run_shim([python.exe, "-S", "-c", PROGRAM]).recording
    other = run_shim([python.exe, "-S", "-c", PROGRAM], env=env).recording
    assert calibrate(interpreter(python), config, env=env).status == 0
    (path,) = kept(config)
    assert re.search("^clock %s$" % clock, path.read_text(), re.M)
    assert "hours old" in report(other, config)[3]
    assert report(wall, config)[3] == NO_CALIBRATION
    keep(python, config)
    assert len(kept(config)) == 2
    assert "hours old" in report(wall, config)[3]


def test_calibrations_are_kept_below_home(python, recording, tmp_path, interpreter):
    """Without XDG_CONFIG_HOME, calibrations are below HOME."""
    env = {"XDG_CONFIG_HOME": "", "HOME": str(tmp_path)}
    done = run_bare([READER, "--calibrate", "1000", "--python", interpreter(python)], env=env)
    assert done.status == 0, done
    assert len(kept(tmp_path / ".config")) == 1
    done = run_bare([READER, "-r", "0", recording], env=env)
    assert b"hours old" in done.out


def test_progress_of_a_calibration_is_shown_on_a_terminal(config, interpreter):
    """Progress is shown on a terminal only; the first test of --calibrate checks its absence."""
    exe = interpreter(PYTHONS[0])
    ours, theirs = pty.openpty()
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(theirs, 2)
        os.environ["XDG_CONFIG_HOME"] = str(config)
        os.execv(READER, [str(READER), "--calibrate", "1000", "--python", str(exe)])
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1000):
            said += data
    except OSError:  # the terminal's other end is closed
        pass
    os.close(ours)
    assert os.waitpid(pid, 0)[1] == 0
    assert b"\rround 1 of 15" in said and b"\rround 15 of 15" in said and said.endswith(b"\r\033[K")


# --- calibrations that other work disturbed: of one interpreter, for what is judged is the same of

DISTURBED = {"waited": "cpu=$((elapsed / 2))", "slower": "reference=2000", "crowded": "running=1000000"}


def disturbed(cause, slices):
    """Makes this number of five slices disturbed. With three, each loop still has quiet slices in
    each round.
    """
    return "%s; [ $((slice %% 5)) -lt %d ] && %s" % (QUIET, slices, DISTURBED[cause])


def share_of(done):
    return int(re.search(r"^  calibrated: 15 rounds, (\d+) % of slices disturbed by other work: ",
                         done.out.decode(), re.M)[1])


def check_not_kept(done, share, n_rounds, before=""):
    assert done.status == 1 and b"  kept in" not in done.out
    assert re.fullmatch(r"pyshim-read: keep the calibration: %d %% of its slices were disturbed by other work "
                        r"and %d rounds undisturbed \(load [\d.]+, steal \d+ %%, throttled \d+ %%\), "
                        r"expected at most 50 %% and at least 10: calibrate again when this machine is quiet, or add --keep-anyway%s\n"
                        % (share, n_rounds, before), done.err.decode()), done.err


@pytest.fixture
def one_kept(keep, config):
    """Returns the path of a calibration that was made on a quiet machine."""
    keep(PYTHONS[0], config)
    (path,) = kept(config)
    return path


def test_a_calibration_with_few_disturbed_slices_is_trusted(config, interpreter):
    """A few disturbed slices do no harm, because the others are fast enough."""
    done = calibrate(interpreter(PYTHONS[0], disturbed("slower", 1)), config)
    assert (done.status, done.err) == (0, b""), done
    assert 20 <= share_of(done) <= 25, "4 of 20 slices of a loop, 3 of 12 of a program"
    assert re.search(r"^trusted yes\nslices \d+\nwaited 0\nslower \d+\ncrowded 0\n",
                     kept(config)[0].read_text(), re.M)


def test_a_calibration_on_a_crowded_machine_is_not_kept(config, interpreter):
    """Other processes run all the time, so nothing shows whether the loops are slower."""
    done = calibrate(interpreter(PYTHONS[0], disturbed("crowded", 5)), config)
    check_not_kept(done, 100, 0)
    assert not config.exists()


def test_keep_anyway_replaces_a_calibration_and_is_reported(any_recording, config, interpreter, one_kept):
    """It replaces another calibration only with --keep-anyway, and then each report says so."""
    good = one_kept.read_bytes()
    exe = interpreter(PYTHONS[0], disturbed("waited", 3))
    done = calibrate(exe, config)
    share = share_of(done)
    check_not_kept(done, share, 15, "; the one that was kept before stays")
    assert 60 <= share <= 67, "12 of 20 slices of a loop, 8 of 12 of a program"
    assert kept(config) == [one_kept] and one_kept.read_bytes() == good

    assert calibrate(exe, config, "--keep-anyway").status == 0
    assert kept(config) == [one_kept] and b"\ntrusted no\n" in one_kept.read_bytes()
    doubt = ("  this calibration was kept although other work disturbed %d %% of its slices: times may "
             "be wrong (calibrate again on an idle machine)" % share)
    assert report(any_recording, config)[4] == doubt
    assert report(any_recording, config, "--bias", one_kept)[4] == doubt
    assert doubt not in report(any_recording, config, "--bias", "none")

    assert calibrate(interpreter(PYTHONS[0]), config).status == 0
    assert kept(config) == [one_kept] and doubt not in report(any_recording, config)


def test_a_calibration_slower_than_the_kept_one_is_not_kept(config, interpreter, one_kept):
    """All loops are slower by the same factor. Only a trusted kept calibration shows that."""
    slow = interpreter(PYTHONS[0], QUIET.replace("reference=1000", "reference=1200"))
    done = calibrate(slow, config)
    check_not_kept(done, 100, 0, "; the one that was kept before stays")
    assert b": 0 % waited, 100 % slower, 0 % crowded" in done.out
    one_kept.write_text(one_kept.read_text().replace("\ntrusted yes\n", "\ntrusted no\n"))
    assert calibrate(slow, config).status == 0


def test_json_has_the_quality_of_the_calibration(any_recording, tmp_path):
    def quality(bias):
        (source,) = json.loads(read("-f", "json", "--bias", bias, any_recording).out)["sources"]
        return source["correction"]["calibration"]["quality"]

    reported = {"trusted": "no", "slices": 1000, "waited": 300, "slower": 200, "crowded": 100,
            "others": 0.5, "steal": 0.25, "throttled": 0.75, "reference": 35000}
    assert quality(write_calibration(tmp_path / "mine", **reported)) == {
        "is_trusted": False, "n_slices": 1000, "n_waited": 300, "n_slower": 200, "n_crowded": 100,
        "others": 0.5, "steal": 0.25, "throttled": 0.75,
        "reference_s": pytest.approx(3.5e-5)}
    assert quality(write_calibration(tmp_path / "older")) is None
    assert quality("1e-10") is None


# --- the time of a native run --------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.25, 1.5])
def test_bare_time_scales_the_overhead(recording, config, scale):
    raw = read_stats(recording, options=("--bias", "none"))
    once = read_stats(recording, options=("--bias", "1e-10"))
    wanted = "%.15g" % (total(raw) - (total(raw) - total(once)) * scale)
    options = ("--bias", "1e-10", "--bare-time", wanted)
    scaled = read_stats(recording, options=options)
    assert total(scaled) == pytest.approx(float(wanted), abs=1e-9)
    assert report(recording, config, *options)[3].endswith(
        " (calibrated overhead times %.3f, to match --bare-time)" % scale)
    check_taken_out(recording, scale * 1e-10, scale * 1e-10, *options)


# --- the same times on every read ----------------------------------------------------------------


def test_corrected_times_are_the_same_on_every_read(recording, tmp_path):
    """The reader's own clock must not matter."""
    files = []
    for i in range(3):
        out = tmp_path / str(i)
        read("--bias", "1e-10", "-o", out, recording)
        text = read("--bias", "1e-10", recording).out
        files.append((out.read_bytes(), text))
        time.sleep(0.02)
    assert files[0] == files[1] == files[2]


def test_a_copy_from_another_boot_has_the_same_times(recording, tmp_path):
    """A recording copied from another machine has the same times."""
    copy = tmp_path / "copy"
    shutil.copy(recording, copy)
    data = bytearray(copy.read_bytes())
    with open("/proc/sys/kernel/random/boot_id", "rb") as f:
        at = data.index(f.read().strip())
    data[at:at + 4] = b"dead"
    copy.write_bytes(data)
    assert read_stats(copy) == read_stats(recording)


# --- refused input -----------------------------------------------------------------------------


def check_refused(status, message, *args, env=None):
    done = run_bare([READER, *args], env=env)
    assert (done.status, done.out) == (status, b""), done
    assert re.fullmatch("pyshim-read: " + message + "\n", done.err.decode()), done.err


@pytest.fixture(scope="module")
def any_recording(tmp_path_factory):
    """A recording of any interpreter."""
    where = tmp_path_factory.mktemp("recording")
    env = {"LD_PRELOAD": str(READER.parent / "libpyshim.so"), "PYSHIM_DIR": str(where)}
    assert run_bare([PYTHONS[0].exe, "-S", "-c", PROGRAM], env=env).status == 0
    (recording,) = where.iterdir()
    return recording


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1s", "inf", "nan", "1e9"])
def test_malformed_bare_times_are_refused(text):
    check_refused(2, "read --bare-time: found '%s', expected seconds" % text, "--bare-time", text, "1")


@pytest.mark.parametrize("text", ["", "x", "-5", "999", "10000001", "1e5", "1000 "])
def test_malformed_numbers_of_calls_are_refused(text):
    check_refused(2, "read --calibrate: found '%s', expected 1000 to 10000000 calls" % text,
                  "--calibrate", text)


def test_an_impossible_bare_time_is_refused(any_recording):
    check_refused(1, r"apply --bare-time: found 1000 s, expected less than the \S+ s of the recording",
                  "--bias", "1e-9", "--bare-time", "1000", any_recording)


@pytest.mark.parametrize("options", [(), ("--bias", "none")])
def test_bare_time_without_a_calibration_is_refused(any_recording, options):
    check_refused(1, r"apply --bare-time: found no calibration that could be scaled, expected one "
                  r"\(pyshim-read --calibrate 100000 makes it\)", *options, "--bare-time", "1e-6",
                  any_recording)


def test_broken_calibration_files_are_refused(any_recording, tmp_path):
    for name, content, why in (("none", None, "No such file or directory"),
                               ("empty", "", "no calibration"),
                               ("short", "pyshim calibration 2\n", "no calibration")):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        check_refused(1, r"read --bias: found '%s' \(%s\), expected auto, none, seconds per event or a "
                      "file that --calibrate has written" % (path, why), "--bias", path, any_recording)
    check_refused(1, r"read --bias: found '-1' \(No such file or directory\), expected .*",
                  "--bias", "-1", any_recording)


def test_calibrating_another_program_than_python_is_refused(config):
    env = {"XDG_CONFIG_HOME": str(config)}
    for exe in ("/bin/true", "/nonexistent/python"):
        check_refused(1, "run %s: it did not finish its loops, expected a CPython from 3.8 on" % exe,
                      "--calibrate", "1000", "--python", exe, env=env)
    assert not config.exists()


def test_a_calibration_that_cannot_be_saved_is_an_error(interpreter):
    env = {"XDG_CONFIG_HOME": "/dev/null/x"}
    exe = interpreter(PYTHONS[0])
    done = run_bare([READER, "--calibrate", "1000", "--python", exe], env=env)
    assert done.status == 1
    assert b"one number per event" in done.out
    assert re.fullmatch(r"pyshim-read: keep /dev/null/x/pyshim/calibration-\w+: Not a directory, expected "
                        r"a folder below XDG_CONFIG_HOME or HOME that can be written to\n",
                        done.err.decode())
