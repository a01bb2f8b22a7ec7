# SPDX-License-Identifier: LGPL-2.1-or-later
"""Without space or permission to record, a program behaves as if the shim were absent.

The tests use small file systems in mount namespaces, real limits and real seccomp filters, and skip
what this machine does not permit. The program prints, forks, has threads and many functions, and
ends with status 3. Each test runs it with and without the shim in the same environment.
PYSHIM_DEBUG must give the reason why nothing was recorded.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import FILTERED, PYTHONS, READER, SHIM, read, read_stats, run_bare

C_SOURCES = Path(__file__).parent / "c"
FEW = list(dict.fromkeys([PYTHONS[0], *[p for p in PYTHONS if p.version[:2] == (3, 11)][:1],
                          PYTHONS[-1]])) if PYTHONS else []

PROGRAM = """\
import json, os, sys, threading
def f(n): return n and f(n - 1)
def work(n):
    for i in range(n): f(30)
    for i in range(400): exec("def a_rather_long_name_of_a_function_%d(): pass" % i, {})
    for i in range(400):
        space = {}
        exec("def a_rather_long_name_of_a_function_%d(): pass" % i, space)
        space.popitem()[1]()
N = int(sys.argv[1])
pid = os.fork()
if not pid: work(10); os._exit(4)
print(os.waitpid(pid, 0)[1] >> 8)
threads = [threading.Thread(target=work, args=(N,)) for i in range(2)]
for t in threads: t.start()
for t in threads: t.join()
work(N)
print(len(json.dumps([1] * 50)), "done", flush=True)
raise SystemExit(3)
"""
CALLS = 31 * 3  # calls of f for each of N, with the two threads


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(PROGRAM)
    return tmp_path / "script.py"


def few(test):
    return pytest.mark.parametrize("chosen", FEW, ids=lambda p: p.tag, scope="session")(test)


def split_said(done):
    """Removes the lines of PYSHIM_DEBUG from stderr and returns them."""
    said = re.findall(rb"^pyshim\[\d+\]: .*\n", done.err, re.M)
    done.err = re.sub(rb"^pyshim\[\d+\]: .*\n", b"", done.err, flags=re.M)
    return b"".join(said).decode()


def assert_same(bare, done):
    assert (done.status, done.out, done.err) == (bare.status, bare.out, bare.err)


# File systems


@functools.lru_cache(maxsize=None)
def namespace():
    """Returns a command that runs another in its own mount namespace, or None."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if shutil.which("unshare") and not subprocess.run(probe, stderr=subprocess.PIPE).returncode:
            return command
    return None


# A /dev without a folder shm.
BARE_DEV = """mkdir $here/dev && mount --rbind /dev $here/dev && mount -t tmpfs tmpfs /dev
for n in null zero urandom random; do touch /dev/$n; mount --bind $here/dev/$n /dev/$n; done
"""
NO_CAPABILITIES = "setpriv --bounding-set -all --inh-caps -all"

NONE, LOSSY, WHOLE = "no recording", "a recording with losses", "one without losses"

# name: setup, the command to run in it, the text of PYSHIM_DEBUG, the state of the recording
PLACES = {
    "full": ("mount -t tmpfs -o size=1m tmpfs /dev/shm; head -c 2m /dev/zero >/dev/shm/x 2>/dev/null || :",
             "", r"create /dev/shm/pyprof\.\d+: No space left on device: off", NONE),
    "no inode left": ("mount -t tmpfs -o nr_inodes=1 tmpfs /dev/shm",
                      "", r"create /dev/shm/pyprof\.\d+: No space left on device: off", NONE),
    "300 KiB": ("mount -t tmpfs -o size=300k tmpfs /dev/shm",
                "", r"grow /dev/shm/pyprof\.\d+ to \d+ bytes: No space left on device", LOSSY),
    "6 MiB": ("mount -t tmpfs -o size=6m tmpfs /dev/shm", "", r"recording \S+ .* into", WHOLE),
    "read-only": ("mount -t tmpfs -o ro tmpfs /dev/shm",
                  "", r"create /dev/shm/pyprof\.\d+: Read-only file system: off", NONE),
    "missing": (BARE_DEV, "", r"create /dev/shm/pyprof\.\d+: No such file or directory: off", NONE),
    "no folder": (BARE_DEV + "touch /dev/shm",
                  "", r"create /dev/shm/pyprof\.\d+: Not a directory: off", NONE),
    "not ours": ("mount -t tmpfs -o mode=0755,uid=1 tmpfs /dev/shm", NO_CAPABILITIES,
                 r"create /dev/shm/pyprof\.\d+: Permission denied: off", NONE),
    "chroot": ("mkdir $here/root && mount --bind / $here/root && mount -t tmpfs none $here/root/dev",
               "chroot $here/root", r"create /dev/shm/pyprof\.\d+: No such file or directory: off",
               NONE),
}


def run_in_place(place, python, script, shim, n, env=None):
    setup, command, _, _ = PLACES[place]
    here = script.parent / ("shim" if shim else "bare")
    here.mkdir()
    text = 'set -e; here=%s\n%s\ncd /\nset +e\n%s%s "$@"; s=$?\n%s; exit $s' % (
        here, setup, "env LD_PRELOAD='%s' " % SHIM if shim else "", command,
        "cp /dev/shm/pyprof.* $here 2>/dev/null")
    if shim:  # only the program gets the shim, not the copying commands
        text = text.replace("env LD_PRELOAD", "PYSHIM_DEBUG=1 env LD_PRELOAD")
    args = [*namespace(), "sh", "-c", text, "sh", python.exe, script, n]
    done = run_bare(args, env=env)
    done.recordings = sorted(here.glob("pyprof.*"))
    return done


@pytest.mark.parametrize("place", PLACES)
def test_unusable_places_leave_the_program_unchanged(python, place, script):
    if not namespace():
        pytest.skip("no mount namespace is permitted here")
    if PLACES[place][1] and os.getuid():
        pytest.skip("needs to be root")
    _, _, reason, kept = PLACES[place]
    n = 4000 if kept == WHOLE else 300
    bare = run_in_place(place, python, script, False, n)
    assert (bare.status, bare.out) == (3, b"4\n150 done\n"), bare
    done = run_in_place(place, python, script, True, n)
    said = split_said(done)
    assert_same(bare, done)
    assert re.search(reason, said), said
    if kept == NONE:
        assert not done.recordings
        return
    (parent,) = [p for p in done.recordings if b"(forked)" not in run_bare([READER, p]).out]
    text = read(parent)
    assert (b"events lost: the file could not grow" in text.out) == (kept == LOSSY)
    if kept == WHOLE:
        assert sum(v[1] for f, v in read_stats(parent).items() if f[2] == "f") == CALLS * n


def test_64_mib_of_dev_shm_are_enough_to_record_all(script, tmp_path):
    """64 MiB is the default of containers, and the program would fill it more than once. With the
    default buffer it is folded, nothing is lost, and more than half of the space stays free.
    """
    chosen = PYTHONS[-1]
    if not namespace():
        pytest.skip("no mount namespace is permitted here")
    n = 55000
    text = ("mount -t tmpfs -o size=64m tmpfs /dev/shm; LD_PRELOAD='%s' \"$@\"; s=$?\n"
            "df --output=avail /dev/shm | tail -n 1; mv /dev/shm/pyprof.* %s; exit $s"
            % (SHIM, tmp_path))
    done = run_bare([*namespace(), "sh", "-c", text, "sh", chosen.exe, script, n])
    assert (done.status, done.err) == (3, b"")
    assert done.out.startswith(b"4\n150 done\n") and int(done.out.split()[-1]) > 32 << 10
    (parent,) = [p for p in tmp_path.glob("pyprof.*") if b"(forked)" not in run_bare([READER, p]).out]
    assert b"lost" not in read(parent).out
    assert sum(v[1] for f, v in read_stats(parent).items() if f[2] == "f") == CALLS * n


def test_a_program_outlives_the_removal_of_its_recording(python, shim_dir, run_shim, tmp_path):
    """The program continues after its file is removed. Events without space are not recorded."""
    source = PROGRAM.replace("N = int", "import glob\nfor p in glob.glob(%r): os.unlink(p)\nN = int"
                             % str(shim_dir / "pyprof.*"))
    (tmp_path / "script.py").write_text(source)
    args = [python.exe, tmp_path / "script.py", 3000]
    bare = run_bare(args)
    done = run_shim(args, env={"PYSHIM_DEBUG": "1"}, status=None)
    said = split_said(done)
    assert_same(bare, done)
    if not FILTERED:  # where the shim does not check whether the file exists
        assert re.search(r"grow \S+ to \d+ bytes: No such file or directory", said), said


# Limits

LIMITS = {"ulimit -f %d" % n: PROGRAM for n in (0, 4, 256, 257, 300, 1000)}
LIMITS.update({"ulimit -n %d" % n: PROGRAM for n in (4, 5, 8)})
ROOM = """\
import mmap, os, resource, sys
if len(sys.argv) > 1:
    used = int(sys.argv[1])
else:
    with open("/proc/self/statm") as f: used = int(f.read().split()[0]) * mmap.PAGESIZE
    print(used)
limit = resource.getrlimit(resource.RLIMIT_AS)[0]
most = mmap.mmap(-1, int((limit - used) * 0.8) & -mmap.PAGESIZE)
def f(n): return n and f(n - 1)
print(f(100), most[-1])
"""


def most_calls_of_f(recordings):
    """Returns the calls of f in the parent, which makes more than its child."""
    return max(sum(v[1] for f, v in read_stats(r).items() if f[2] == "f") for r in recordings)


@few
def test_limits_of_files_leave_the_program_unchanged(chosen, run_shim, script):
    """Limits of file size and descriptors, down to those with which Python itself fails."""
    n_ran = 0
    for limit in LIMITS:
        args = ["bash", "-c", limit + '; exec "$@"', "bash", chosen.exe, script, 100]
        bare = run_bare(args)
        done = run_shim(args, status=None, env={"PYSHIM_DEBUG": "1"})
        said = split_said(done)
        # without descriptors, Python reports that it cannot open the script
        assert (done.status, done.out) == (bare.status, bare.out), (limit, bare, done)
        assert done.err == bare.err, limit
        n_ran += bare.status == 3
        if bare.status == 3 and not done.recordings:
            assert "create " in said, (limit, said)
        elif "-n" in limit and bare.status == 3:
            # the shim takes none of the last descriptors, because another thread may need them
            assert most_calls_of_f(done.recordings) == CALLS * 100, limit
    assert n_ran >= 8


@few
def test_a_limit_of_address_space_leaves_the_program_unchanged(chosen, run_shim, tmp_path):
    """RLIMIT_AS, from the least with which Python starts: the shim takes little of the rest."""
    (tmp_path / "room.py").write_text(ROOM)
    n_ran = n_recorded = 0
    for kib in (20000, 50000, 100000, 200000, 400000, 3000000):
        args = ["bash", "-c", 'ulimit -v %d; exec "$@"' % kib, "bash", chosen.exe,
                tmp_path / "room.py"]
        first = run_bare(args)
        if first.status:
            continue
        args.append(int(first.out.split()[0]))
        bare = run_bare(args)
        done = run_shim(args, status=None, env={"PYSHIM_DEBUG": "1"})
        said = split_said(done)
        assert_same(bare, done)
        n_ran += bare.status == 0
        n_recorded += len(done.recordings)
        assert done.recordings or "Cannot allocate memory" in said, (kib, said)
        for recording in done.recordings:
            # Under a seccomp filter a file without space is not removed.
            if FILTERED and b"found a recording that was never begun" in run_bare([READER, recording]).err:
                continue
            assert sum(v[1] for f, v in read_stats(recording).items() if f[2] == "f") == 101
    assert n_ran >= 4 and n_recorded >= 3, (n_ran, n_recorded)


VM_SIZE = """\
for line in open("/proc/self/status"):
    if line.startswith("VmSize:"): print(int(line.split()[1]))
"""


@pytest.mark.parametrize("buffer", [1, 64])
def test_the_shim_maps_little_address_space_at_the_start(python, buffer, run_shim):
    """Address space counts for RLIMIT_AS and mlockall. The shim maps PYSHIM_BUFFER and 64 MiB at
    most, because the recording can grow. Under a seccomp filter it maps the file twice.
    """
    args = [python.exe, "-S", "-c", VM_SIZE]
    bare = int(run_bare(args).out)
    size = int(run_shim(args, env={"PYSHIM_BUFFER": "%dM" % buffer}).out)
    assert size - bare <= (buffer + 64) * 1024 * (2 if FILTERED else 1)


def run_c(args):
    done = run_bare(args)
    assert done.status == 0, done.err.decode()


@few
def test_a_signal_while_space_is_reserved_does_not_end_the_recording(chosen, run_shim, shim_dir, tmp_path):
    library = tmp_path / "interrupted.so"
    run_c(["cc", "-shared", "-fPIC", C_SOURCES / "interrupted.c", "-o", library])
    run_shim([chosen.exe, "-c", "def f(): pass\nf(); f()"], env={"LD_PRELOAD": "%s %s" % (library, SHIM)})
    stats = read_stats(*shim_dir.glob("pyprof.*"))
    assert [v[1] for f, v in stats.items() if f[2] == "f"] == [2]


@pytest.fixture(scope="session")
def take_keys(tmp_path_factory):
    out = tmp_path_factory.mktemp("keys") / "take_keys.so"
    run_c(["cc", "-shared", "-fPIC", C_SOURCES / "take_keys.c", "-o", out, "-pthread"])
    return out


@pytest.mark.parametrize("before", [False, True])
@few
def test_a_lack_of_thread_specific_keys_changes_nothing(chosen, before, take_keys, run_shim, script):
    """Another library has all keys, either from the start or after the interpreter has taken its
    own.
    """
    n_ran = 0  # Python does not start without its own keys
    for left in range(8):  # the number it needs differs
        args = [chosen.exe, script, 10]
        preload = [str(take_keys), str(SHIM)] if before else [str(SHIM), str(take_keys)]
        env = {"KEYS_LEFT": str(left), "LD_PRELOAD": str(take_keys)}
        bare = run_bare(args, env=env)
        done = run_shim(args, env={**env, "LD_PRELOAD": ":".join(preload)}, status=None)
        if bare.status == 3:
            n_ran += 1
            assert_same(bare, done)
            assert most_calls_of_f(done.recordings) == CALLS * 10
    assert n_ran >= 2


# Seccomp

OWN_FILTER = """\
import ctypes, struct, sys
def close_sandbox(how, numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    code = struct.pack("HBBI", 0x20, 0, 0, 0)
    allow, kill = struct.pack("HBBI", 6, 0, 0, 0x7fff0000), struct.pack("HBBI", 6, 0, 0, 0x80000000)
    for n in numbers:
        if n == 28:  # madvise, but with neither MADV_REMOVE nor MADV_POPULATE_WRITE
            code += struct.pack("HBBI", 0x15, 0, 5, n) + struct.pack("HBBI", 0x20, 0, 0, 32)
            code += struct.pack("HBBI", 0x15, 1, 0, 9) + struct.pack("HBBI", 0x15, 0, 1, 23) + kill + allow
        else:
            code += struct.pack("HBBI", 0x15, 0, 1, n) + allow
    code += kill
    kept = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(kept))
    at = ctypes.create_string_buffer(program)
    if libc.prctl(38, 1, 0, 0, 0): sys.exit(125)
    if how == "prctl": bad = libc.prctl(22, 2, at, 0, 0)
    elif how == "syscall": bad = libc.syscall(317, 1, 0, at)
    else: bad = 0
    if bad: sys.exit(125)
"""
CLOSED = OWN_FILTER + """\
import os, threading
def f(n): return n and f(n - 1)
def work(n):
    for i in range(n): f(30)
    for i in range(200): exec("def name_%d(): pass\\nname_%d()" % (i, i), {})
work(10)
t = threading.Thread(target=work, args=(10,)); t.start(); t.join()
numbers = [int(n) for n in open(sys.argv[2]).read().split()] if len(sys.argv) > 2 else []
close_sandbox(sys.argv[1], numbers)
work(3000)
t = threading.Thread(target=work, args=(1000,)); t.start(); t.join()
print("done", flush=True)
os._exit(0)
"""
SYS_SECCOMP, SYS_PRCTL = 317, 157  # x86-64
SYS_CLONES, SYS_OPENS = (435, 56), {2, 257}


@pytest.fixture(scope="session")
def syscalls(tmp_path_factory):
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    out = tmp_path_factory.mktemp("syscalls") / "syscalls"
    run_c(["cc", "-O1", "-std=gnu11", C_SOURCES / "syscalls.c", "-o", out])
    for mode in ("trace", "allow"):
        probe = run_bare([out, mode, out.parent / "numbers", "true"])
        if probe.status:
            pytest.skip("%s is not permitted here: %s" % (mode, probe.err.decode()))
    return out


def trace(syscalls, tmp_path, words, args):
    """Returns the system calls of three runs without the shim, because runs differ a little."""
    numbers = set()
    for _ in range(3):
        done = run_bare([syscalls, *words, tmp_path / "numbers", *args])
        assert done.status in (0, 3), done
        numbers |= set(map(int, (tmp_path / "numbers").read_text().split()))
    (tmp_path / "numbers").write_text("\n".join(map(str, sorted(numbers))))
    return done


OPENS = """\
import _thread, os
def f(n): return n and f(n - 1)
def work(i):
    for k in range(300): exec("def another_function_%d_%d(): pass\\nanother_function_%d_%d()" % (i, k, i, k))
    for k in range(1000): f(30)
    done[i].release()
    stay.acquire()
done = [_thread.allocate_lock() for i in range(2)]
stay = _thread.allocate_lock()
for lock in [stay, *done]: lock.acquire()
for i in range(2): _thread.start_new_thread(work, (i,))
for lock in done: lock.acquire()
os._exit(3)
"""


def opens_beside_threads(syscalls, run, python, tmp_path, limit):
    """Returns true if any file is opened after the first thread starts."""
    for clone in SYS_CLONES:  # the C library chooses one of these
        done = run([syscalls, "after", clone, tmp_path / "numbers", "bash", "-c",
                    'ulimit -n %d; exec "$@"' % limit, "bash", python.exe, "-S", "-E", "-c", OPENS])
        assert done.status == 3, done
        made = set(map(int, (tmp_path / "numbers").read_text().split()))
        if clone in made:
            return bool(made & SYS_OPENS)
    raise AssertionError("no thread was seen to start")


@pytest.mark.skipif(FILTERED, reason="under a filter of system calls the shim does not ask how many are left")
def test_the_last_descriptors_are_left_to_the_program(python, syscalls, run_shim, tmp_path):
    """Another thread must not fail to open a file because of the shim. With few descriptors left,
    the shim opens none.
    """
    def recorded(command):
        return run_shim(command, status=None, env={"PYSHIM_DEBUG": "1"})

    assert not opens_beside_threads(syscalls, run_bare, python, tmp_path, 4)
    assert not opens_beside_threads(syscalls, recorded, python, tmp_path, 4)
    assert opens_beside_threads(syscalls, recorded, python, tmp_path, 64), "it had nothing to open"


def test_a_strict_filter_from_the_start_permits_recording(python, syscalls, run_shim, script, tmp_path):
    """The filter kills for each system call that a run without the shim does not make."""
    args = [python.exe, script, 1000]
    bare = trace(syscalls, tmp_path, ["trace"], args)
    done = run_shim([syscalls, "allow", tmp_path / "numbers", *args], status=3)
    assert_same(bare, done)
    assert most_calls_of_f(done.recordings) == CALLS * 1000
    assert len(done.recordings) == 2


FORKS = """\
import os, sys
def f(): pass
def forked(): return os.fork()
def child(i):
    f()
    if i % 10 == 0:
        pid = forked()
        if not pid: f(); os._exit(0)
        os.waitpid(pid, 0)
f()
for i in range(100):
    pid = forked()
    if not pid: child(i); os._exit(0)
    os.waitpid(pid, 0)
print("done", flush=True)
os._exit(3)
"""


def test_forks_under_a_filter_are_recorded(python, syscalls, run_shim, tmp_path):
    """Children know their parent's running calls and share recordings, as without a filter."""
    args = [python.exe, "-c", FORKS]
    trace(syscalls, tmp_path, ["trace"], args)
    done = run_shim([syscalls, "allow", tmp_path / "numbers", *args], status=3)
    assert (done.out, done.err) == (b"done\n", b"")
    stats = read_stats(*done.recordings, options=("--strict",))
    assert sum(v[1] for f, v in stats.items() if f[2] == "f") == 1 + 100 + 10
    assert 64 < len(done.recordings) < 75


def closed_program(python, how, syscalls, tmp_path):
    """Returns the command of CLOSED, and its run without the shim. System calls for memory and
    locks are always allowed, because not every run needs them at the same place.
    """
    (tmp_path / "closed.py").write_text(CLOSED)
    args = [python.exe, tmp_path / "closed.py", how]
    bare = trace(syscalls, tmp_path, ["after", SYS_PRCTL],
                 [python.exe, tmp_path / "closed.py", "none"])
    with open(tmp_path / "numbers", "a") as f:
        f.write("\n%d\n" % (SYS_PRCTL if how == "prctl" else SYS_SECCOMP))
        f.write("9 10 11 12 28 202\n")  # mmap, mprotect, munmap, brk, madvise, futex
    args.append(tmp_path / "numbers")
    assert run_bare(args).status == 0
    return args, bare


@pytest.mark.parametrize("how, clock", [("prctl", "wall"), ("syscall", "wall"), ("prctl", "thread"),
                                        ("syscall", "cpu")])
def test_a_strict_filter_of_the_program_does_not_kill_it(python, how, clock, syscalls, run_shim, tmp_path):
    """The program installs a filter that kills for each later system call it does not make without
    the shim. Then the shim may not even open a file, and events without space are not recorded.
    """
    args, bare = closed_program(python, how, syscalls, tmp_path)
    done = run_shim(args, env={"PYSHIM_DEBUG": "1", "PYSHIM_CLOCK": clock})
    split_said(done)
    assert_same(bare, done)
    found = sum(v[1] for f, v in read_stats(done.recording).items() if f[2] == "f")
    assert 31 * 20 <= found <= 31 * 4020


SHORT = """mount -t tmpfs -o size=16m tmpfs "$PYSHIM_DIR" && head -c 5m /dev/zero >"$PYSHIM_DIR/pyprof.1" &&
LD_PRELOAD=$shim exec "$@" """


def test_a_filter_does_not_exceed_the_share_of_the_file_system(python, syscalls, shim_dir, tmp_path):
    """The share is that of the file system. A thread's unused space returns to the file system,
    unless there is a filter.
    """
    if not namespace():
        pytest.skip("no mount namespaces are permitted here")
    args, bare = closed_program(python, "prctl", syscalls, tmp_path)
    done = run_bare([*namespace(), "sh", "-c", SHORT, "sh", *args],
                    env={"PYSHIM_DIR": str(shim_dir), "shim": str(SHIM)})
    assert_same(bare, done)
