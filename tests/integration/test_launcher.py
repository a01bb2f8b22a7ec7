# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pyshim COMMAND` runs COMMAND as if the launcher were absent, and reports at its end.

The tested Python calls `known` a number of times, and the report must have that number.
"""

import glob
import json
import marshal
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, MEMORY, PYTHONS, READER, SHIM, _environment, run_bare

LAUNCHER = BUILD / "pyshim"
C_SOURCES = Path(__file__).parent / "c"
PYTHON = PYTHONS[-1].exe  # for tests that do not depend on the version
KNOWN = "def known(n): return n\nfor i in range(100): known(i)\n"
RUN_FOLDER = r"/\S+/pyshim\.\d+\.\d+\.\w{6}(?:/run\.[0-9a-f]{32})?"  # the latter for root, in a folder where all users may write
NO_PYTHON = re.compile(r"pyshim: find recordings of \S+: found none, expected that it starts "
                       r"CPython 3\.8 or later \(.*static, setuid or free-threaded.*environment.*\)\n")


def folders():
    return set(glob.glob("/dev/shm/pyshim.*.??????") + glob.glob("/tmp/pyshim.*.??????"))


@pytest.fixture(autouse=True)
def nothing_left():
    """Removes the launcher's folders after each test, including those of tests that run in
    parallel.
    """
    before = folders()
    yield
    new = folders() - before
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any(map(os.path.exists, new)):
        time.sleep(0.05)
    assert not [f for f in new if os.path.exists(f)]


def launch(*args, status=0, **how):
    """Runs the launcher and returns a Run. Fails on any other status than `status`."""
    done = run_bare([LAUNCHER, *args], **how)
    assert done.status == status, (done.args, done.status, done.out, done.err)
    return done


def start(*args, env=None, **how):
    return subprocess.Popen([str(LAUNCHER), *map(str, args)], env=_environment(env),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def reported_calls(text, name="known"):
    """Returns the calls of a function in the text report; 0 if it is not listed."""
    found = re.findall(r"^ *(\d+)(?:/\d+)? .*\(%s\)$" % name, text.decode(), flags=re.M)
    assert len(found) <= 1, text
    return int(found[0]) if found else 0


def calls_in(path, name="known"):
    stats = marshal.loads(Path(path).read_bytes())
    return sum(v[1] for f, v in stats.items() if f[2] == name)


# Streams, status and environment of the command


def test_streams_reach_the_command_unchanged(python):
    """Every byte of standard input reaches the command, and the output is the command's only."""
    program = KNOWN + ("import sys; data = sys.stdin.buffer.read()\n"
                       "sys.stdout.buffer.write(data[::-1]); sys.stderr.write('its own\\n')\n")
    data = bytes(range(256)) * 1000
    bare = run_bare([python.exe, "-c", program], input=data)
    done = launch(python.exe, "-c", program, input=data)
    assert done.out == bare.out == data[::-1]
    assert done.err.startswith(bare.err) and bare.err == b"its own\n"
    assert reported_calls(done.err) == 100


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_commands_exit_status_is_returned(python, status):
    done = launch(python.exe, "-c", KNOWN + "raise SystemExit(%d)" % status, status=status)
    assert reported_calls(done.err) == 100


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "ABRT", "SEGV", "HUP", "USR1", "RTMIN"])
def test_the_launcher_dies_of_the_commands_signal(python, name):
    """The launcher dies of the command's signal, after the report."""
    program = KNOWN + ("import os, signal; s = signal.SIG%s\n"
                       "s != signal.SIGKILL and signal.signal(s, signal.SIG_DFL)\n"
                       "os.kill(os.getpid(), s)" % name)
    done = launch(python.exe, "-c", program, status=-getattr(signal, "SIG" + name))
    assert reported_calls(done.err) == 100


def core_of(args, cwd):
    """Returns (true if the status says that the process dumped a core, number of files)."""
    child = subprocess.Popen([str(a) for a in args], cwd=cwd, env=_environment(None),
                             stderr=subprocess.DEVNULL, preexec_fn=lambda: resource.setrlimit(
                                 resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2))
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status), len(list(cwd.iterdir()))


def test_a_crash_leaves_one_core_file(tmp_path):
    for folder in ("bare", "launched"):
        (tmp_path / folder).mkdir()
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("cores are forbidden here")
    command = [PYTHON, "-c", "import os; os.abort()"]
    dumps, n_files = core_of(command, tmp_path / "bare")
    if not dumps:
        pytest.skip("the system dumps no cores")
    assert core_of([LAUNCHER, *command], tmp_path / "launched") == (False, n_files)


SURROUNDINGS = """\
import json, os, signal, sys
status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
ignored = {s.name: str(signal.getsignal(s)) for s in signal.Signals}
json.dump({
    "descriptors": {n: os.readlink("/proc/self/fd/" + n) for n in "012"},
    "n_descriptors": len(os.listdir("/proc/self/fd")),
    "signals": [status["SigBlk"], status["SigIgn"], status["SigPnd"], ignored],
    "place": [os.getcwd(), oct(os.umask(0)), os.getpgrp(), os.getsid(0), os.nice(0)],
    "environment": {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYSHIM_DIR")},
    "arguments": sys.argv,
}, sys.stdout, sort_keys=True)
"""


IGNORED = [(), ("CHLD",), ("HUP", "INT", "QUIT"), ("PIPE", "USR1")]


@pytest.mark.parametrize("ignored", IGNORED, ids=lambda i: "+".join(i) or "none")
def test_the_command_inherits_the_launchers_environment(ignored, tmp_path):
    """The command has the launcher's descriptors, signals, groups and environment."""
    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
        for name in {"CHLD", "HUP", "INT", "QUIT", "PIPE", "USR1"}:
            disposition = signal.SIG_IGN if name in ignored else signal.SIG_DFL
            signal.signal(getattr(signal, "SIG" + name), disposition)

    def seen(*first):
        args = [*first, PYTHON, "-c", SURROUNDINGS, "--", "-s", "--help", "", "a b"]
        with open(tmp_path / "in", "w+b") as i, open(tmp_path / "out", "w+b") as o, \
                open(tmp_path / "err", "w+b") as e:
            done = subprocess.run([str(a) for a in args], env=_environment(None), stdin=i,
                                  stdout=o, stderr=e, cwd=tmp_path, preexec_fn=prepare, timeout=300)
            assert done.returncode == 0, Path(tmp_path / "err").read_bytes()
        return json.loads((tmp_path / "out").read_bytes())

    assert seen(LAUNCHER) == seen()


def test_streams_closed_by_the_command_are_closed():
    """A reader of the command's output sees its end as soon as the command closes it."""
    program = "import os, time; print('said', flush=True); os.close(0); os.close(1); time.sleep(60)"
    child = start(PYTHON, "-c", program, stdin=subprocess.PIPE, start_new_session=True)
    try:
        assert child.stdout.read() == b"said\n"
        with pytest.raises(BrokenPipeError):
            child.stdin.write(b"x" * 1000000)
            child.stdin.flush()
        assert child.poll() is None
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        assert child.wait(300) == -signal.SIGTERM


# Signals that are sent

COUNTS = """\
import signal, sys, time
got = []
for name in sys.argv[1:]:
    signal.signal(getattr(signal, "SIG" + name), lambda n, f: got.append(signal.Signals(n).name))
def known(n): return n
known(0)
print("ready", flush=True)
end = time.monotonic() + 30
while len(set(got)) < len(sys.argv) - 1 and time.monotonic() < end: known(time.sleep(0.005))
time.sleep(0.3)
print(*sorted(got))
sys.exit(len(got))
"""


@pytest.mark.parametrize("to", ["launcher", "group", "both"])
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_a_signal_reaches_the_command_once(name, to):
    """A signal to the launcher is passed on. A signal to its group is not passed on as well."""
    s = getattr(signal, "SIG" + name)
    child = start(PYTHON, "-c", COUNTS, name, start_new_session=True)
    assert child.stdout.readline() == b"ready\n"
    if to != "group":
        os.kill(child.pid, s)
    if to != "launcher":  # `timeout` does both, in this order
        os.killpg(child.pid, s)
    out, err = child.communicate(timeout=300)
    assert (out, child.returncode) == (b"SIG%s\n" % name.encode(), 1), err
    assert reported_calls(err) > 0


def test_repeated_signals_to_the_group_arrive_once_each():
    child = start(PYTHON, "-c", COUNTS, "TERM", "HUP", "USR1", start_new_session=True)
    assert child.stdout.readline() == b"ready\n"
    for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.killpg(child.pid, s)
    out, err = child.communicate(timeout=300)
    assert (out, child.returncode) == (b"SIGHUP SIGTERM SIGUSR1\n", 3), err
    # A later signal is distinguished again, by another witness process.
    child = start(PYTHON, "-c", COUNTS, "TERM", "HUP", start_new_session=True)
    assert child.stdout.readline() == b"ready\n"
    os.killpg(child.pid, signal.SIGTERM)
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGHUP)
    out, err = child.communicate(timeout=300)
    assert (out, child.returncode) == (b"SIGHUP SIGTERM\n", 2), err


def test_a_signal_to_the_group_arrives_once_on_a_busy_machine():
    """The launcher compares with a witness process in the group. On a busy machine, the signal may
    still be pending there.
    """
    child = start(PYTHON, "-c", COUNTS, "TERM", start_new_session=True)
    assert child.stdout.readline() == b"ready\n"
    children = Path("/proc/%d/task/%d/children" % (child.pid, child.pid)).read_text().split()
    (witness,) = [int(p) for p in children if Path("/proc/%s/comm" % p).read_text() == "pyshim\n"]
    os.kill(witness, signal.SIGSTOP)
    os.killpg(child.pid, signal.SIGTERM)
    out, err = child.communicate(timeout=300)
    assert (out, child.returncode) == (b"SIGTERM\n", 1), err


def wait_for_end_of(pgid):
    deadline = time.monotonic() + 120
    while is_group(pgid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_group(pgid)


@pytest.mark.parametrize("command", ["true", "nosuch"])
def test_the_launcher_leaves_no_process(command):
    """The launcher leaves no process when it ends."""
    child = start(command, start_new_session=True)
    child.communicate(timeout=300)
    wait_for_end_of(child.pid)


def test_a_killed_launcher_leaves_no_process():
    """The launcher leaves no process when it is killed."""
    child = start("-v", "sleep", "60", start_new_session=True)
    pid, folder = re.fullmatch(r"pyshim: record process (\d+) and its children in (%s)\n" % RUN_FOLDER,
                               child.stderr.readline().decode()).groups()
    os.kill(child.pid, signal.SIGKILL)
    os.kill(int(pid), signal.SIGKILL)
    child.communicate(timeout=300)
    wait_for_end_of(child.pid)
    remove_run(folder)


def test_clean_removes_the_files_of_a_killed_launcher(tmp_path):
    """--clean removes the recordings of an ended command, and nothing else."""
    env = {"PYSHIM_DIR": str(tmp_path)}
    source = "import sys; print('on', flush=True); sys.stdin.read()"
    running = start(PYTHON, "-c", source, env=env, stdin=subprocess.PIPE)
    killed = start(PYTHON, "-c", source, env=env, stdin=subprocess.PIPE)
    assert running.stdout.readline() == killed.stdout.readline() == b"on\n"
    before = sorted(tmp_path.glob("pyshim.*/pyprof.*"))
    own, = tmp_path.glob("pyshim.%d.*" % killed.pid)
    recording, = own.iterdir()
    killed.kill()
    killed.wait()

    def clean():
        done = run_bare([READER, "--clean"], env=env)
        assert (done.status, done.err) == (0, b"")
        return done.out.decode()

    assert clean() == "" and sorted(tmp_path.glob("pyshim.*/pyprof.*")) == before
    target = int(recording.name.partition(".")[2])
    killed.stdin.close()
    deadline = time.monotonic() + 120
    while os.path.exists("/proc/%d" % target) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert clean() == "removed %s\nremoved %s\n" % (recording, own)
    left, = tmp_path.glob("pyshim.*/pyprof.*")
    assert left in before and left != recording
    assert running.communicate(timeout=300)[1].count(b"function calls") == 1


def is_group(pgid):
    """Returns true if a process of the group runs. Ended processes may stay as zombies if PID 1
    does not wait.
    """
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            state, _, group = Path(stat).read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if group == str(pgid) and state != "Z":
            return True
    return False


def state_of(pid):
    return Path("/proc/%d/stat" % pid).read_text().rpartition(") ")[2][0]


# At a terminal


class Terminal:
    """An interactive bash on its own terminal."""

    def __init__(self, cwd):
        env = _environment({"PS1": "prompt> ", "TERM": "dumb", "HOME": str(cwd)})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
        self.shown = ""
        self.expect("prompt> ")

    def expect(self, pattern, timeout=300):
        """Waits for a pattern in the output since the last call. Returns the match."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.shown)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], (pattern, self.shown)
            self.shown += os.read(self.fd, 65536).decode().replace("\r", "")
        self.shown = self.shown[match.end():]
        return match

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        self.expect("prompt> ")
        self.type("echo status=$?\n")
        return int(self.expect(r"\nstatus=(\d+)\n")[1])

    def close(self):
        os.close(self.fd)  # hangs the terminal up
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(tmp_path):
    t = Terminal(tmp_path)
    yield t
    t.close()


def test_ctrl_c_reaches_the_command_and_reports(python, terminal, tmp_path):
    """Ctrl-C reaches the command once. The report is still printed, and the shell sees the signal.
    """
    (tmp_path / "app.py").write_text(KNOWN + (
        "import time\ntry:\n print('ready', flush=True)\n time.sleep(60)\n"
        "except KeyboardInterrupt: print('first', flush=True)\n"
        "time.sleep(0.2)\nprint('going on', flush=True)\ntime.sleep(60)\n"))
    terminal.type("'%s' -s ncalls '%s' app.py\n" % (LAUNCHER, python.exe))
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect("first\n")
    terminal.expect("going on\n")
    terminal.type("\x03")
    terminal.expect("KeyboardInterrupt\n")
    terminal.expect(r"\n +100 .*\(known\)\n")
    assert terminal.status() == 128 + signal.SIGINT


def wait_for_state(state, *pids):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        states = [state_of(p) for p in pids]
        if all(s in state for s in states):
            return
        time.sleep(0.01)
    raise AssertionError(states)


TICKS = KNOWN + """\
import os, signal, sys, time
print("pid", os.getpid(), os.getppid(), flush=True)
exec(sys.argv[1])
for i in range(5):
    sys.stdin.readline()
    print("line", i, flush=True)
sys.exit(5)
"""


def stopped_and_continued(terminal, python, before, tmp_path):
    (tmp_path / "app.py").write_text(TICKS)
    terminal.type("'%s' '%s' app.py '%s'\n" % (LAUNCHER, python, before))
    match = terminal.expect(r"pid (\d+) (\d+)\n")
    return int(match[1]), int(match[2])


def finish(terminal):
    for i in range(5):
        terminal.type("\n")
        terminal.expect("line %d\n" % i)
    terminal.expect(r"\n +100 .*\(known\)\n")
    assert terminal.status() == 5


def test_ctrl_z_stops_the_command_and_fg_continues_it(python, terminal, tmp_path):
    """Ctrl-Z stops both and fg continues both, repeatedly."""
    pids = stopped_and_continued(terminal, python.exe, "", tmp_path)
    for _ in range(5):
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect("prompt> ")
        wait_for_state("T", *pids)
        terminal.type("fg\n")
        wait_for_state("SR", *pids)
    finish(terminal)


def test_a_background_job_that_reads_stops(terminal, tmp_path):
    """A background job that reads from the terminal stops, and the launcher with it."""
    (tmp_path / "app.py").write_text(TICKS)
    terminal.type("'%s' '%s' app.py '' &\n" % (LAUNCHER, PYTHON))
    match = terminal.expect(r"pid (\d+) (\d+)\n")
    wait_for_state("T", int(match[1]), int(match[2]))
    terminal.type("fg\n")
    wait_for_state("SR", int(match[1]), int(match[2]))
    finish(terminal)


def test_a_program_that_stops_itself_stops_the_launcher(terminal, tmp_path):
    """The program stops itself as an editor does. The launcher must stop too, so that the shell
    gets the terminal back.
    """
    pids = stopped_and_continued(terminal, PYTHON, "os.kill(os.getpid(), signal.SIGTSTP)", tmp_path)
    terminal.expect("Stopped")
    wait_for_state("T", *pids)
    terminal.type("fg\n")
    wait_for_state("SR", *pids)
    finish(terminal)


def test_sigstop_and_sigcont_from_others_work(terminal, tmp_path):
    """SIGSTOP to the command does not stop the launcher. SIGCONT to the launcher continues both."""
    command, launcher = stopped_and_continued(terminal, PYTHON, "", tmp_path)
    os.kill(command, signal.SIGSTOP)
    wait_for_state("T", command)
    time.sleep(0.1)
    wait_for_state("S", launcher)
    os.kill(command, signal.SIGCONT)
    wait_for_state("SR", command)
    os.kill(command, signal.SIGTSTP)
    terminal.expect("Stopped")
    terminal.expect("prompt> ")
    wait_for_state("T", command, launcher)
    os.kill(launcher, signal.SIGCONT)
    wait_for_state("T", command, launcher)  # now in the background, and reading
    terminal.type("fg\n")
    wait_for_state("SR", command, launcher)
    finish(terminal)


# Contents of the report

FAMILY = """\
import multiprocessing, os, subprocess, sys
def known(n): return n
def many(n):
    for i in range(n): known(i)
if __name__ == "__main__":
    many(100)
    code = "def known(n): return n\\nfor i in range(%d): known(i)"
    subprocess.run([sys.executable, "-c", code % 1000], check=True)
    subprocess.run(["sh", "-c", "'%s' -c '%s' & wait" % (sys.executable, code % 2000)], check=True)
    pid = os.fork()
    if not pid:
        many(10000)
        os._exit(0)
    os.waitpid(pid, 0)
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        children = [context.Process(target=many, args=(100000,)) for i in range(2)]
        for c in children: c.start()
        for c in children: c.join()
"""


def test_all_python_children_are_reported(python, tmp_path):
    """The report has all Python processes of the command, and no others."""
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    other = start(PYTHON, "-c", KNOWN + "import time; print(flush=True); time.sleep(60)")
    other.stdout.readline()
    done = launch("-o", tmp_path / "out", python.exe, script)
    other.terminate()
    other.communicate(timeout=300)
    assert (done.out, done.err) == (b"", b"")
    assert calls_in(tmp_path / "out") == 100 + 1000 + 2000 + 10000 + 6 * 100000


OWN_ENVIRONMENT = """\
import os, subprocess, sys
def known(n): return n
for i in range(100): known(i)
me = [sys.executable, "-c", "pass"]
subprocess.run(me, env={})
subprocess.run(["true"], env={"PATH": "/nonexistent:" + os.environ["PATH"]})
subprocess.run(me, env={k: v for k, v in os.environ.items() if k != "PYSHIM_DIR"})
subprocess.run(me, env=dict(os.environ, MORE="1"))
subprocess.run(["ls", "/nonexistent"], stderr=subprocess.DEVNULL)
os.waitpid(os.posix_spawn(me[0], me, {}), 0)
try: subprocess.run(["/nonexistent"], env={})
except FileNotFoundError: pass
child = os.fork()
if not child: os.execve(me[0], me, {})
os.waitpid(child, 0)
del os.environ["LD_PRELOAD"]
subprocess.run(me, close_fds=False)
"""


def test_children_without_the_shim_are_counted(python):
    """Children whose environment does not preload the shim are counted. Failed attempts to start
    one are not.
    """
    # A child without PYSHIM_DIR would record into /dev/shm.
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        done = launch(python.exe, "-c", OWN_ENVIRONMENT, env={"PYSHIM_DIR": folder})
    name = os.path.basename(python.exe)
    found = re.findall(r"^  (\d+) programs? w\w+ started without pyshim, so \w+ and \w+ children are in no "
                       r"report: (.*)$", done.err.decode(), flags=re.M)
    assert sorted(found) == [("1", name), ("5", name + " (4), true")], done.err  # a forked child has its own report
    for path in Path("/dev/shm").glob("pyprof.*"):  # of the forked child
        if b"-c\0pass\0" in path.read_bytes()[:4096]:
            path.unlink()
    assert b"without pyshim" not in launch(python.exe, "-c", KNOWN).err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a setuid program and become somebody else")
def test_setuid_children_without_the_shim_are_counted():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        shutil.copy(shutil.which("true"), folder + "/become")
        os.chmod(folder + "/become", 0o4755)
        os.chmod(folder, 0o777)
        code = KNOWN + "import subprocess; subprocess.run(['%s/become'])" % folder
        env = _environment({"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": folder})
        subprocess.run(["/usr/bin/python3", "-c", code], env=env, check=True)
        (recording,) = Path(folder).glob("pyprof.*")
        assert b"without pyshim" not in run_bare([READER, recording]).out  # a setuid root program changes nothing for root
        recording.unlink()
        shutil.copy(SHIM, folder)
        env["LD_PRELOAD"] = folder + "/libpyshim.so"
        subprocess.run(["/usr/bin/python3", "-c", code], env=env, check=True, cwd="/",
                       preexec_fn=lambda: os.setuid(65534))
        (recording,) = Path(folder).glob("pyprof.*")
        out = run_bare([READER, "--force", recording]).out
        assert b"  1 program was started without pyshim, so it and its children are in no report: become\n" in out


def test_nested_launchers_both_report(tmp_path):
    """Both launchers report, and the outer one includes the inner one's processes."""
    inner = [LAUNCHER, "-q", PYTHON, "-c", KNOWN]
    shell = " ".join("'%s'" % a for a in inner)
    done = launch("-o", tmp_path / "out", "sh", "-c", "%s; %s; exit 3" % (shell, shell), status=3)
    assert len(re.findall(rb"^ *100 .*\(known\)$", done.err, flags=re.M)) == 2
    assert calls_in(tmp_path / "out") == 200


@pytest.mark.parametrize("options", [
    ["--sort", "tottime", "--restrict", "1", "--quiet"], ["--sor=tottime", "--restr=1", "--qui"],
    ["-s", "tottime", "-r", "1", "-q"], ["-stottime", "-qr1"], ["-qr", "1", "-s", "tottime", "--"],
], ids=" ".join)
def test_reader_options_are_accepted_in_every_form(options):
    """Every spelling is accepted. Arguments after the command belong to the command."""
    program = KNOWN + "import sys; print(sys.argv[1:])"
    done = launch(*options, PYTHON, "-c", program, "-s", "nonsense", "--help", "--", "-q")
    assert done.out == b"['-s', 'nonsense', '--help', '--', '-q']\n"
    assert done.err.split(b"\n", 1)[0].endswith(b" seconds") and b"recorded" not in done.err
    assert b"Ordered by: internal time\n   List reduced from " in done.err
    assert re.search(rb" to 1 due to restriction <1>\n", done.err)


def test_each_separates_processes_and_threads():
    program = KNOWN + (
        "import subprocess, sys, threading\n"
        "t = threading.Thread(target=lambda: [known(i) for i in range(60)], name='other')\n"
        "t.start(); t.join()\n"
        "subprocess.run([sys.executable, '-c', 'def known(n): return n\\nknown(1); known(2)'])\n")
    err = launch("--each", "-q", PYTHON, "-c", program).err
    assert sorted(re.findall(rb"^ +(\d+) .*\(known\)$", err, flags=re.M)) == [b"160", b"2"]
    err = launch("--threads", PYTHON, "-c", program).err.decode()
    assert re.findall(r": thread \d+, #\d+, (\w+)$", err, flags=re.M).count("other") == 1
    assert sorted(re.findall(r"^ +(\d+) .*\(known\)$", err, flags=re.M)) == ["100", "2", "60"]
    assert reported_calls(launch("-q", "--thread", "other", PYTHON, "-c", program).err) == 60


def test_settings_in_the_environment_apply():
    program = "len('')\n" + KNOWN
    assert reported_calls(launch(PYTHON, "-c", program).err) == 100
    assert b"built-in method builtins.len" in launch(PYTHON, "-c", program).err
    done = launch(PYTHON, "-c", program, env={"PYSHIM_BUILTINS": "0"})
    assert b"built-in" not in done.err and reported_calls(done.err) == 100


def build_library(folder):
    library = folder / "libother.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library),
                    str(C_SOURCES / "other_preload.c")], check=True)
    return library


@pytest.mark.parametrize("separator", [":", " "])
def test_other_preloads_are_kept(python, separator, tmp_path):
    library = build_library(tmp_path)
    others = "libm.so.6%s%s" % (separator, library)
    program = KNOWN + ("import ctypes, os; print(ctypes.CDLL(None).answer_of_other_preload())\n"
                       "print(os.environ['LD_PRELOAD'])")
    done = launch(python.exe, "-c", program, env={"LD_PRELOAD": others})
    assert done.out.decode() == "42\n%s:%s\n" % (SHIM, others)
    assert reported_calls(done.err) == 100


def test_odd_characters_in_paths_work(python, tmp_path):
    """LD_PRELOAD cannot express such paths, nor one with a literal dollar."""
    here = tmp_path / "a b:c $LIB 'd'\u00e9"
    here.mkdir()
    for file in (LAUNCHER, SHIM, READER):
        shutil.copy(file, here)
    (here / "my program.py").write_text(
        KNOWN + "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', %r]))"
        % (KNOWN + "raise SystemExit(9)"))
    for env in ({}, {"PYSHIM_DIR": str(here)}):
        done = run_bare([here / "pyshim", "-o", here / "the output", "--", python.exe,
                         here / "my program.py"], env=env)
        assert (done.status, done.out, done.err) == (9, b"", b"")
        assert calls_in(here / "the output") == 200
    assert len(list(here.glob("pyprof.*"))) == 2


def test_output_files_have_the_readers_formats(tmp_path):
    """The formats are those of pyshim-read, and paths are relative to the launcher's folder."""
    for options in [], ["-fpstats"], ["-f", "text"]:
        done = launch("-o", "out", *options, PYTHON, "-c", KNOWN + "import os; os.chdir('/')",
                      cwd=tmp_path)
        assert (done.out, done.err) == (b"", b"")
        if "text" in options:
            assert reported_calls((tmp_path / "out").read_bytes()) == 100
        else:
            assert calls_in(tmp_path / "out") == 100
    done = launch("-f", "text", "-o", "/dev/stdout", PYTHON, "-c", KNOWN + "print('its own')")
    assert done.out.startswith(b"its own\n") and done.err == b""
    assert reported_calls(done.out) == 100


# No report


def test_other_programs_are_reported_as_not_python(tmp_path):
    for args, status in [["true"], 0], [["sh", "-c", "exit 3"], 3], [["sh", "-c", "kill $$"], -15]:
        done = launch(*args, status=status)
        assert done.out == b"" and NO_PYTHON.fullmatch(done.err.decode()), done.err
    program = tmp_path / "static.c"
    program.write_text("int main(void) { return 5; }\n")
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "static"), str(program)], check=True)
    assert NO_PYTHON.fullmatch(launch(tmp_path / "static", status=5).err.decode())
    done = launch("env", "-i", PYTHON, "-c", "print(1)")
    assert done.out == b"1\n" and NO_PYTHON.fullmatch(done.err.decode())
    assert NO_PYTHON.fullmatch(launch(PYTHON, "-c", "", env={"PYSHIM_DISABLE": "1"}).err.decode())


def test_commands_that_cannot_run_give_126_or_127(tmp_path):
    """The status is that of env, timeout and the shells."""
    (tmp_path / "plain").write_text("print(1)\n")
    (tmp_path / "script").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    for command, status in {"nosuch": 127, "./nosuch": 127, "./script": 127, "./plain": 126,
                            ".": 126, "": 127}.items():
        for args in [command], ["--", command, "x"]:
            done = launch(*args, status=status, cwd=tmp_path)
            assert run_bare(["env", command], cwd=tmp_path).status == status
            assert done.out == b""
            assert re.fullmatch(r"pyshim: run \S*: .+, expected a command\n", done.err.decode())


@pytest.mark.parametrize("args", [
    [], ["--"], ["-q"], ["--unknown", "touch", "x"], ["-Z", "touch", "x"], ["-s"], ["--sort"],
    ["--reverse=1", "touch", "x"], ["-s", "nonsense", "touch", "x"],
    ["-f", "nonsense", "touch", "x"], ["--list", "touch", "x"], ["--clean", "touch", "x"],
    ["--calibrate", "9", "touch", "x"],
    ["-r", "(", "touch", "x"], ["--python", "x", "touch", "x"], ["--threads", "-o", "out", "touch", "x"],
], ids=" ".join)
def test_wrong_options_are_refused_before_the_command_runs(args, tmp_path):
    """Usage errors are reported before the command runs. A command that itself ends with status 2
    gives no such line.
    """
    done = launch(*args, status=2, cwd=tmp_path)
    assert done.out == b"" and not list(tmp_path.iterdir())
    lines = done.err.decode().splitlines()
    assert len(lines) == 1 and re.match(r"(\S*/)?pyshim(-read)?: ", lines[0]), lines


def test_version_and_help_are_printed():
    assert re.fullmatch(rb"pyshim \d+\.\d+\.\d+\n", launch("--version").out)
    usage = launch("--help")
    assert usage.err == b"" and usage.out.startswith(b"usage: pyshim ")
    lines = usage.out.decode().splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) < 100


def recordings_said_to_be_in(err):
    (folder,) = re.findall(r"^pyshim: .* (%s)$" % RUN_FOLDER, err.decode(), flags=re.M)
    return Path(folder)


def remove_run(folder):
    folder = Path(folder)
    shutil.rmtree(folder.parent if folder.name.startswith("run.") else folder)


@pytest.mark.parametrize("status", [0, 7])
def test_a_failed_report_keeps_the_recordings(status, tmp_path):
    """The command's status counts. If that is 0, the missing report makes it 1. The recordings are
    kept.
    """
    target = tmp_path / "nowhere" / "out"
    done = launch("-o", target, PYTHON, "-c", KNOWN + "exit(%d)" % status, status=status or 1)
    folder = recordings_said_to_be_in(done.err)
    (recording,) = folder.iterdir()
    assert reported_calls(run_bare([READER, recording]).out) == 100
    remove_run(folder)


def test_strict_turns_a_loss_into_status_3():
    """With --strict, a loss is the status of a command that succeeds."""
    program = "def known(n): return n\nfor i in range(300000): known(i)\n"
    env = {"PYSHIM_BUFFER": "64K", "PYSHIM_OVERFLOW": "drop"}
    done = launch("--strict", PYTHON, "-c", program, env=env, status=3)
    assert 0 < reported_calls(done.err) < 300000
    launch("--strict", PYTHON, "-c", program + "exit(9)", env=env, status=9)
    launch("--strict", PYTHON, "-c", program, status=0)
    launch(PYTHON, "-c", program, env=env, status=0)


def test_a_closed_pipe_is_quiet(tmp_path):
    """A closed pipe gives no message and does not change the status."""
    for status in 0, 7:
        python = [PYTHON, "-c", KNOWN + "exit(%d)" % status]
        for command in python, ["sh", "-c", "exit %d" % status]:
            r, w = os.pipe()
            os.close(r)
            child = subprocess.Popen([str(LAUNCHER), *command], env=_environment(None), stderr=w)
            os.close(w)
            assert child.wait(300) == status
        child = start("-f", "text", "-o", "/dev/stdout", PYTHON, "-c", "exit(%d)" % status)
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(300) == status
        child.stderr.close()


# Places of the recordings


def test_recordings_stay_in_a_given_folder(python, tmp_path):
    """They have the same names as without the launcher, and no existing file is overwritten."""
    program = KNOWN + ("import os, sys; open('%s/pyprof.%%d' %% os.getpid(), 'w').write('taken')\n"
                       "os.fork()" % tmp_path)
    done = launch("-o", "/dev/null", "-f", "text", python.exe, "-c", program,
                  env={"PYSHIM_DIR": str(tmp_path)})
    assert done.err == b""
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 3, names
    contents = {n: (tmp_path / n).read_bytes() for n in names}
    ((taken, _),) = [c for c in contents.items() if c[1] == b"taken"]
    assert taken + ".1" in names
    read = run_bare([READER, *(tmp_path / n for n in names if n != taken)])
    assert reported_calls(read.out) == 100, read.err


def test_unusable_folders_are_refused(tmp_path):
    for folder in ("relative", str(tmp_path / "missing"), "/dev/null"):
        done = launch("touch", tmp_path / "x", env={"PYSHIM_DIR": folder}, status=1)
        assert re.fullmatch(rb"pyshim: .*, expected .*\n", done.err), done.err
        assert not list(tmp_path.iterdir())


def test_a_missing_shim_or_reader_is_an_error(tmp_path):
    for file in (LAUNCHER, READER):
        shutil.copy(file, tmp_path)
    for name in ("libpyshim.so", "pyshim-read"):
        done = run_bare([tmp_path / "pyshim", "true"])
        assert done.status == 1
        assert done.err.startswith(b"pyshim: find %s: found none beside this program " % name.encode()), done.err
        (tmp_path / "pyshim-read").unlink(missing_ok=True)


DAEMON = KNOWN + """\
import os, time
open("begun", "w").close()
end = time.monotonic() + 600  # it does not outlive a test that was killed for long
while not os.path.exists("go") and time.monotonic() < end: time.sleep(0.01)
for i in range(100): known(i)
open("end", "w").close()
"""
BEGIN = "'%s' -c '%s' >/dev/null 2>&1 & until [ -e begun ]; do sleep 0.1; done;"


def test_a_running_command_can_be_read_by_its_pid():
    """The recording of a running command can be read by its PID, and is listed."""
    program = KNOWN + "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()\n"
    with start(PYTHON, "-c", program, stdin=subprocess.PIPE) as launcher:
        pid = launcher.stdout.readline().decode().strip()
        found = run_bare([READER, "-q", pid])
        listed = run_bare([READER, "--list"])
        launcher.stdin.close()
        assert launcher.wait(300) == 0
    assert (found.status, found.err) == (0, b"")
    assert reported_calls(found.out) == 100
    assert re.search(r"^ *%s  running .*/pyshim\.[\w./]+/pyprof\.%s  " % (pid, pid), listed.out.decode(), re.M)
    gone = run_bare([READER, pid])
    assert (gone.status, gone.out) == (1, b"") and b"open /dev/shm/pyprof." in gone.err


def test_a_daemon_is_reported_and_its_recording_stays(python, tmp_path):
    """A daemon continues after the command. The report has its calls until then, and its recording
    stays.
    """
    done = launch("sh", "-c", BEGIN % (python.exe, DAEMON), cwd=tmp_path)
    assert reported_calls(done.err) == 100
    (folder,) = map(Path, re.findall(
        r"^pyshim: remove (%s): found that process \d+ still runs" % RUN_FOLDER,
        done.err.decode(), flags=re.M))
    (recording,) = folder.iterdir()
    (tmp_path / "go").touch()
    assert reported_calls(run_bare([READER, "--wait", recording]).out) == 200
    remove_run(folder)


def test_wait_includes_a_daemon_to_its_end(tmp_path):
    done = launch("--wait", "sh", "-c", BEGIN % (PYTHON, DAEMON) + "(sleep 2; touch go) &",
                  cwd=tmp_path)
    assert (tmp_path / "end").exists()
    assert reported_calls(done.err) == 200 and b"still runs" not in done.err


def test_a_process_that_ends_shortly_after_is_complete(tmp_path):
    """A process that ends shortly after the command is complete in the report."""
    done = launch("-q", "sh", "-c", BEGIN % (PYTHON, DAEMON) + "(sleep 0.2; touch go) &",
                  cwd=tmp_path)
    assert reported_calls(done.err) == 200 and b"pyshim" not in done.err


def runs_as_nobody(python):
    """Returns true if other users may read the interpreter's folder."""
    try:
        return subprocess.run([python.exe, "-c", ""], cwd="/", stderr=subprocess.DEVNULL,
                              preexec_fn=lambda: os.setuid(65534)).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_command_that_changes_its_user_is_reported():
    try:
        python = next(filter(runs_as_nobody, PYTHONS))
    except StopIteration:
        pytest.skip("no interpreter here may be run by everybody")
    program = ("import os, sys; os.setuid(65534)\n"
               "os.execv(sys.executable, [sys.executable, '-c', %r])" % KNOWN)
    with tempfile.TemporaryDirectory() as folder:
        for file in (LAUNCHER, SHIM, READER):  # to a folder that others may read
            shutil.copy(file, folder)
        os.chmod(folder, 0o755)
        done = run_bare([folder + "/pyshim", "-q", python.exe, "-c", program], cwd="/")
    assert reported_calls(done.err) == 100 and b"pyshim" not in done.err, done.err


# Kept recordings, and two reports at once


def test_keep_keeps_the_recordings(python, tmp_path):
    """One line names their folder. More reports can be made of them, and --clean removes them."""
    done = launch("--keep", "-q", python.exe, "-c", KNOWN)
    (folder,) = re.findall(r"^pyshim: keep recordings: they are in (%s)$" % RUN_FOLDER, done.err.decode(), flags=re.M)
    (recording,) = Path(folder).iterdir()
    assert reported_calls(done.err) == reported_calls(run_bare([READER, recording]).out) == 100
    remove_run(folder)
    kept = tmp_path / "kept"
    kept.mkdir()
    done = launch("--keep", "-q", python.exe, "-c", KNOWN, env={"PYSHIM_DIR": str(kept)})
    assert b"pyshim: keep recordings: they are in %s\n" % os.fsencode(kept) in done.err
    assert len(list(kept.glob("pyprof.*"))) == len(list(kept.iterdir())) == 1


def test_clean_removes_kept_recordings(tmp_path):
    folder = tmp_path / "a b"  # not /dev/shm, because --clean would remove other runs there; the shim is loaded by a link
    folder.mkdir()
    for file in (LAUNCHER, SHIM, READER):
        shutil.copy(file, folder)
    done = run_bare([folder / "pyshim", "--keep", "-q", PYTHON, "-c", KNOWN])
    (run,) = re.findall(r"they are in (%s)$" % RUN_FOLDER, done.err.decode(), flags=re.M)
    assert [p.name.split(".")[0] for p in Path(run).iterdir()] == ["pyprof"]  # the link to the shim is removed
    shutil.copytree(Path(run).parent if "/run." in run else run, folder / Path(re.search(r"pyshim\.[^/]+", run)[0]))
    remove_run(run)
    done = run_bare([READER, "--clean"], env={"PYSHIM_DIR": str(folder)})
    assert done.out.count(b"removed ") == (3 if "/run." in run else 2) and not list(folder.glob("pyshim.*"))


def test_text_prints_a_report_beside_the_file(tmp_path):
    done = launch("-o", tmp_path / "out", "--text", "-s", "ncalls", PYTHON, "-c", KNOWN)
    assert calls_in(tmp_path / "out") == reported_calls(done.err) == 100
    assert b"Ordered by: call count" in done.err
    done = launch("-o", tmp_path / "json", "-f", "json", "--text", PYTHON, "-c", KNOWN)
    assert json.loads((tmp_path / "json").read_bytes()) and reported_calls(done.err) == 100
    for args in ["--text"], ["--text", "-o", "-"]:
        assert b"--text: found no -o FILE" in launch(*args, "touch", tmp_path / "x", status=2).err
    assert not (tmp_path / "x").exists()


def test_a_dash_writes_the_report_to_standard_output(tmp_path):
    """"-o -" is standard output, not a file name."""
    done = launch("-o", "-", PYTHON, "-c", KNOWN + "print('its own')", cwd=tmp_path)
    assert done.out.startswith(b"its own\n") and done.err == b"" and not list(tmp_path.iterdir())
    assert reported_calls(done.out) == 100
    done = launch("-o-", "-fjson", PYTHON, "-c", KNOWN, cwd=tmp_path)
    assert json.loads(done.out) and not list(tmp_path.iterdir())


def test_without_python_an_existing_file_is_kept(tmp_path):
    """A script must not take an old file for a new one."""
    old = tmp_path / "out"
    old.write_bytes(b"old")
    for args, status in [["true"], 1], [["sh", "-c", "exit 7"], 7]:
        done = launch("-o", old, *args, status=status)
        assert old.read_bytes() == b"old" and done.err.endswith(b"; no file is written\n")
        assert len(done.err.splitlines()) == 1
    assert launch("-o", "-", "true", status=0).out == b""


def test_reports_do_not_name_a_removed_folder():
    done = launch(PYTHON, "-c", KNOWN)
    assert re.match(rb"pyshim: pyprof\.\d+: CPython ", done.err)
    done = launch("--keep", PYTHON, "-c", KNOWN)
    (name,) = re.findall(r"^pyshim: (%s/pyprof\.\d+): CPython " % RUN_FOLDER, done.err.decode(), flags=re.M)
    assert os.path.exists(name)
    remove_run(os.path.dirname(name))


def test_any_number_of_recordings_is_reported():
    code = KNOWN + ("import os, shutil\n"
                    "p = os.environ['PYSHIM_DIR'] + '/pyprof.'\n"
                    "data = open(p + str(os.getpid()), 'rb').read()\n"
                    "first = p + '5000000'\n"
                    "with open(first, 'wb') as f: f.write(data)\n"
                    "for i in range(1500): os.link(first, p + '%d.' % (5000001 + i) + '0' * 200)\n")
    done = run_bare(["prlimit", "--stack=1048576", LAUNCHER, "-q", "-r", "known", "-f", "text", "-o", "-",
                     PYTHON, "-c", code])
    # 390 KB of names; with a stack of 1 MiB the kernel accepts 256
    assert (done.status, reported_calls(done.out), done.err) == (0, 1502 * 100, b"")


def test_a_report_after_ctrl_c_begins_on_a_new_line(terminal, tmp_path):
    """The terminal shows ^C without a newline, so the report must begin on a new line."""
    (tmp_path / "app.py").write_text(KNOWN + "import signal\nsignal.signal(2, signal.SIG_DFL)\n"
                                     "print('ready', flush=True)\nsignal.pause()\n")
    terminal.type("'%s' '%s' app.py\n" % (LAUNCHER, PYTHON))
    terminal.expect("ready")
    terminal.type("\x03")
    terminal.expect(r"\^C\npyshim: pyprof\.\d+: ")
    assert terminal.status() == 128 + signal.SIGINT


def test_wrong_options_refer_to_help():
    for program in LAUNCHER, READER:
        for args in ["-Z"], ["--nosuch"], ["--sort"], ["--reverse=1"]:
            done = run_bare([program, *args])
            assert done.status == 2 and done.err.endswith(b" (see --help)\n") and done.err.count(b"\n") == 1


NO_PROC = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
needs_mounts = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*NO_PROC, "true"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="mount namespaces are refused here")


@needs_mounts
def test_the_launcher_works_without_proc(python, tmp_path):
    """The launcher is called by an absolute path, a relative one, and by PATH. No file stays."""
    for program, cwd, path in (LAUNCHER, tmp_path, None), ("./pyshim", BUILD, None), ("pyshim", tmp_path, BUILD):
        env = {"PATH": "%s:%s" % (path, os.environ["PATH"])} if path else {}
        done = run_bare([*NO_PROC, program, "-q", python.exe, "-c", KNOWN], cwd=cwd, env=env)
        assert (done.status, reported_calls(done.err)) == (0, 100), done.err
        assert b"still runs" not in done.err
    shutil.copy(LAUNCHER, tmp_path)
    done = run_bare([*NO_PROC, tmp_path / "pyshim", "true"])
    assert done.status == 1 and b"find pyshim-read: found none" in done.err


# Files that other users plant among root's recordings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
NOBODY = 65534
WAITS = KNOWN + "import os, sys; print(os.environ['PYSHIM_DIR'], flush=True); sys.stdin.read()\n"


@pytest.fixture
def all_may_write():
    if not os.stat("/dev/shm").st_mode & 0o1002 == 0o1002:
        pytest.skip("/dev/shm is not for all users here")


@as_root
def test_other_users_cannot_list_or_write_the_run_folder(all_may_write):
    """Another user can neither list the run's folder nor create files in its visible parent."""
    with start("-q", PYTHON, "-c", WAITS, stdin=subprocess.PIPE) as launcher:
        folder = Path(launcher.stdout.readline().decode().strip())
        outer = folder.parent
        assert outer.stat().st_mode & 0o777 == 0o711 and folder.stat().st_mode & 0o7777 == 0o1733
        for attempt in ["ls", outer], ["touch", outer / "pyprof.77"], ["ls", folder]:
            done = subprocess.run(attempt, stderr=subprocess.PIPE, preexec_fn=lambda: os.setuid(NOBODY))
            assert b"ermission denied" in done.stderr, attempt
        launcher.stdin.close()
        assert launcher.wait(60) == 0


PLANTS = {
    "folder": "mkdir -p pyprof.77/x/y; touch pyprof.77/x/y/z; mkdir other",
    "pipe": "mkfifo pyprof.77",
    "link": "ln -s /etc/shadow pyprof.77; ln -s /dev/zero pyprof.78; ln -s /dev/tty pyprof.79",
    "link to a folder": "ln -s %(victim)s pyprof.77",
    "garbage": "head -c 100000 /dev/urandom > pyprof.77",
    "sparse": "truncate -s 3G pyprof.77",
    "many": "for i in $(seq 500); do : > pyprof.9$i; done",
    "steal": "for f in %(recording)s; do mv $f x; rm -f $f; done",
}


@as_root
@pytest.mark.parametrize("plant", PLANTS)
def test_files_planted_by_the_commands_user_are_removed(plant, all_may_write, tmp_path):
    """The user knows the folder, because the command changed to that user. The report is right, and
    all files are removed.
    """
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    with start("-q", PYTHON, "-c", WAITS, stdin=subprocess.PIPE) as launcher:
        folder = Path(launcher.stdout.readline().decode().strip())
        (recording,) = folder.iterdir()
        script = PLANTS[plant] % {"victim": victim, "recording": recording.name}
        subprocess.run(["sh", "-c", script], cwd=folder, stderr=subprocess.DEVNULL,
                       preexec_fn=lambda: os.setuid(NOBODY))
        launcher.stdin.close()
        err = launcher.stderr.read()
        assert launcher.wait(60) == 0, err
    assert reported_calls(err) == 100 and err.count(b"\n") < 40
    assert not folder.exists() and not folder.parent.exists() and (victim / "file").exists()
    assert b"pyshim: remove" not in err


@as_root
def test_planted_recordings_of_running_processes_do_not_delay(all_may_write):
    with start(PYTHON, "-c", WAITS, stdin=subprocess.PIPE) as other, \
            start("-q", "--wait", PYTHON, "-c", WAITS, stdin=subprocess.PIPE) as launcher:
        (running,) = Path(other.stdout.readline().decode().strip()).iterdir()
        folder = Path(launcher.stdout.readline().decode().strip())
        shutil.copy(running, folder / "pyprof.77")
        os.chown(folder / "pyprof.77", NOBODY, NOBODY)
        try:
            _, err = launcher.communicate(timeout=60)
        finally:
            other.communicate(timeout=60)
        assert launcher.returncode == 0 and not folder.exists(), err
