# SPDX-License-Identifier: LGPL-2.1-or-later
"""Space for others: recordings leave space in the file system and in a memory control group. A
program survives if its recording is removed or changed, and is recorded after it has dropped its
rights.
"""

import contextlib
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from conftest import FILTERED, PYTHONS, READER, SHIM, read_stats, run_bare
from test_resources import namespace

ONE_OF_EACH = list({p.version[:2]: p for p in PYTHONS}.values())
SOME = [p for p in ONE_OF_EACH if p in (ONE_OF_EACH[0], ONE_OF_EACH[-1])]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")


def some(test):
    return pytest.mark.parametrize("chosen", SOME, ids=lambda p: p.tag, scope="session")(test)


def calls(recordings, *names):
    stats = read_stats(*recordings, options=("--strict", "--force"))
    return tuple(sum(v[1] for f, v in stats.items() if f[2] == name) for name in names)


# A small /dev/shm

MANY = """
    import sys
    def f(): pass
    def g(): pass
    functions = []
    for i in range(400):
        space = {}
        exec("def made_%d(): pass" % i, space)
        functions.append(space["made_%d" % i])
    """
ONE = MANY + """
    for h in functions: h()
    for i in range(3000000): f()
    for h in functions: h()
    """
POOL = MANY + """
    import multiprocessing as mp
    def job(i):
        for h in functions: h()
        for i in range(400000): f()
        import decimal, fractions, statistics, json, csv, email.message, http.client
        g()
    n = int(sys.argv[1])
    pool = mp.get_context("fork").Pool(n)
    pool.map(job, range(n), 1)
    pool.close(); pool.join()
    """
USES_SHM = """
    import multiprocessing as mp
    from multiprocessing import shared_memory
    mp.Lock()
    s = shared_memory.SharedMemory(create=True, size=8 << 20)
    s.buf[:] = b"x" * len(s.buf)
    s.close(); s.unlink()
    print("done")
    """
PROGRAMS = {"one process": (ONE, 1), "a pool of 4": (POOL, 4), "20 workers": (POOL, 20)}


@pytest.mark.parametrize("program", PROGRAMS)
@some
def test_recordings_leave_half_of_64_mib_free(chosen, program, tmp_path):
    """Every call is recorded, half of the file system stays free, and the program's own shared
    memory works.
    """
    if not namespace():
        pytest.skip("no mount namespace is permitted here")
    source, n = PROGRAMS[program]
    (tmp_path / "program.py").write_text(textwrap.dedent(source) + textwrap.dedent(USES_SHM))
    text = ("mount -t tmpfs -o size=64m tmpfs /dev/shm; LD_PRELOAD='%s' \"$@\"; s=$?\n"
            "df --output=avail /dev/shm | tail -n 1\n"
            "for p in /dev/shm/pyprof.*; do\n"  # multiprocessing's resource tracker ends a little later
            "  p=${p#*pyprof.}; while kill -0 ${p%%%%.*} 2>/dev/null; do sleep 0.1; done\n"
            "done\n"
            "cp --sparse=always /dev/shm/pyprof.* .; exit $s" % SHIM)
    done = run_bare([*namespace(), "sh", "-c", text, "sh", chosen.exe, "-S", "program.py", n], cwd=tmp_path)
    assert (done.status, done.err) == (0, b"")
    said, free = done.out.split()
    assert said == b"done" and int(free) > 32 << 10
    recordings = list(tmp_path.glob("pyprof.*"))
    if program == "one process":
        assert calls(recordings, "f", "made_0", "made_399") == (3000000, 2, 2)
    else:
        assert calls(recordings, "f", "g", "made_399") == (n * 400000, n, n)


SHORT = """\
mount -t tmpfs -o size=2m tmpfs /dev/shm
for i in $(seq 50); do LD_PRELOAD='%(shim)s' "$@" || exit; done
du -B1 -d0 /dev/shm | cut -f 1
df -B1 --output=avail /dev/shm | tail -n 1
LD_PRELOAD='%(shim)s' PYSHIM_DIR=/dev/shm "$@"
'%(reader)s' --clean >/dev/null
LD_PRELOAD='%(shim)s' "$@"
ls /dev/shm
"""


@some
def test_short_programs_leave_half_of_a_small_file_system(chosen):
    """Each leaves a recording. When these take half, no other begins until they are removed."""
    if not namespace():
        pytest.skip("no mount namespace is permitted here")
    text = SHORT % {"shim": SHIM, "reader": READER}
    done = run_bare([*namespace(), "sh", "-c", text, "sh", chosen.exe, "-S", "-c", "pass"])
    used, free, *names = done.out.split()
    assert (1 << 20) - (64 << 10) < int(used) <= 1 << 20 <= int(free)
    assert done.status == 0 and re.fullmatch(
        rb"pyshim\[\d+\]: create a recording in /dev/shm: found that recordings take half of it or an eighth of "
        rb"the memory, expected less \(pyshim-read --clean\); the program runs unprofiled\n", done.err), done
    assert len(names) == 1 and names[0].startswith(b"pyprof.")


# Memory control groups

EATS = """
    import sys
    def leaf(): pass
    def calls():
        for i in range(1000000): leaf()
    def eat(mib):
        data = bytearray(mib << 20)
        for i in range(0, len(data), 4096): data[i] = 1
        return data
    first, mib = sys.argv[1], int(sys.argv[2])
    if first == "calls": calls(); data = eat(mib)
    else: data = eat(mib); calls()
    print("survived", len(data) >> 20)
    """


def memory_groups():
    """Returns the parent folder for a new group and its limit file, if one can be made here."""
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        probe = Path(parent) / ("pyshim-probe-%d" % os.getpid())
        try:
            probe.mkdir()
        except OSError:
            continue
        has = (probe / limit).exists()
        probe.rmdir()
        if has:
            return Path(parent), limit
    return None


@pytest.mark.parametrize("mib,eaten", [(128, 80), (64, 40), (48, 25), (64, 1)])
@pytest.mark.parametrize("first", ["calls", "memory"])
@some
def test_a_memory_limit_does_not_kill_the_program(chosen, first, mib, eaten, shim_dir):
    """Rings are charged to the program, which must survive as if the shim were absent."""
    if not memory_groups():
        pytest.skip("no memory control group can be made here")
    parent, limit = memory_groups()
    group = parent / ("pyshim-test-%d" % os.getpid())
    group.mkdir()
    try:
        (group / limit).write_text(str(mib << 20))
        env = {**os.environ, "LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir)}
        args = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs; exec "$@"', group, chosen.exe, "-S", "-c",
                textwrap.dedent(EATS), first, eaten]
        done = subprocess.run([str(a) for a in args], env=env, stdout=subprocess.PIPE, timeout=60)
        assert (done.returncode, done.stdout) == (0, b"survived %d\n" % eaten)
        assert calls(list(shim_dir.iterdir()), "leaf") == (1000000,)
    finally:
        shutil.rmtree(shim_dir, ignore_errors=True)
        shim_dir.mkdir()
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


GROUP_2 = """mount -t tmpfs none /sys/fs/cgroup; cd /sys/fs/cgroup
echo $((160 << 20)) >memory.max; echo $((48 << 20)) >memory.current
printf 'anon 1\\nfile %d\\nshmem %d\\n' $((32 << 20)) $((16 << 20)) >memory.stat
cd /; LD_PRELOAD=$shim exec "$@" """


@some
def test_rings_take_a_sixteenth_of_a_version_2_group(chosen, shim_dir):
    """The group's files are made up, as a container has them. Rings may take a sixteenth of the
    free memory, with droppable page cache counted as free: 160 MiB less 48, of which 16 are such
    cache, gives 8 MiB.
    """
    if not namespace():
        pytest.skip("no mount namespace is permitted here")
    code = "def leaf(): pass\nfor i in range(2000000): leaf()"
    done = run_bare([*namespace(), "sh", "-ec", GROUP_2, "sh", chosen.exe, "-S", "-c", code],
                    env={"PYSHIM_DIR": str(shim_dir), "shim": str(SHIM)})
    assert (done.status, done.err) == (0, b"")
    (recording,) = shim_dir.iterdir()
    assert 6 << 20 < recording.stat().st_blocks * 512 < 9 << 20
    assert calls([recording], "leaf") == (2000000,)


# Dropped rights

DROPS = """
    import os, sys
    def early(): pass
    def late(): pass
    early()
    how = sys.argv[1]
    if how == "setuid": os.setgid(65534); os.setuid(65534)
    elif how == "seteuid": os.seteuid(65534)
    elif how == "setresuid": os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
    elif how == "chroot": os.chroot(sys.argv[2]); os.chdir("/")
    elif how == "umask": os.umask(0o777)
    space = {}
    for i in range(3000): exec("def made_%d(): pass" % i, space)
    for i in range(3000): space["made_%d" % i]()
    for i in range(300000): late()
    """


@as_root
@pytest.mark.parametrize("how", ["setuid", "seteuid", "setresuid", "chroot", "umask"])
def test_recording_continues_after_dropping_rights(python, how, shim_dir, run_shim, tmp_path):
    """The file can still grow."""
    for folder in [shim_dir, tmp_path, *list(tmp_path.parents)[:-1]]:
        if folder.owner() == "root" and os.stat(folder).st_mode & 0o11 == 0:
            os.chmod(folder, 0o755)
    done = run_shim([python.exe, "-S", "-c", textwrap.dedent(DROPS), how, tmp_path],
                    env={"PYSHIM_BUFFER": "1M"})
    assert calls(done.recordings, "early", "late", "made_0", "made_2999") == (1, 300000, 1, 1)


def test_recording_works_with_a_umask_of_0777(python, shim_dir):
    done = run_bare(["sh", "-c", 'umask 0777; exec "$@"', "sh", python.exe, "-S", "-c", textwrap.dedent(DROPS),
                     "not"], env={"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir)})
    assert (done.status, done.err) == (0, b"")
    (recording,) = shim_dir.iterdir()
    assert recording.stat().st_mode & 0o777 == 0o600
    assert calls([recording], "late", "made_2999") == (300000, 1)


# Many threads

THREADS = """
    import threading
    threading.stack_size(64 << 10)
    def leaf(x): return x
    go = threading.Barrier(401)
    def work():
        for i in range(3000): leaf(i)
        go.wait()
        for i in range(3000): leaf(i)
    threads = [threading.Thread(target=work) for i in range(400)]
    for t in threads: t.start()
    go.wait()
    for t in threads: t.join()
    """


@pytest.mark.skipif(FILTERED, reason="under a filter of system calls nothing is given back to the file system")
def test_400_threads_at_once_need_48_kib_each(python, run_shim):
    """After the budget is used up, each thread works with one block and a table that grows by
    little. Outgrown tables are given back.
    """
    done = run_shim([python.exe, "-S", "-c", textwrap.dedent(THREADS)], env={"PYSHIM_BUFFER": "16M"})
    assert calls([done.recording], "leaf") == (400 * 6000,)
    assert done.recording.stat().st_blocks * 512 < 400 * (48 << 10)


# A recording that other processes change

BUSY = """
    import os, sys, threading, time
    def leaf(): pass
    def deep(n): return n and deep(n - 1)
    def work():
        i, end = 0, time.monotonic() + float(sys.argv[1])
        while time.monotonic() < end:
            leaf(); deep(20); len("x")
            i += 1
            if i % 50 == 0:
                space = {}
                exec("def made_%d(): pass\\nmade_%d()" % (i, i), space)
            if i % 2000 == 0:
                pid = os.fork()
                if not pid: leaf(); os._exit(0)
                os.waitpid(pid, 0)
    print("ready", flush=True)
    t = threading.Thread(target=work); t.start()
    work()
    t.join()
    print("done")
    """
CHANGES = {
    "made empty": "truncate -s 0 $F",
    "made short": "truncate -s 20000 $F",
    "opened for writing": ": >$F",
    "written over": "cp '%s' $F" % sys.executable,
    "full of zeros": "dd if=/dev/zero of=$F bs=4096 count=64 conv=notrunc status=none",
    "full of noise": "dd if=/dev/urandom of=$F bs=4096 count=500 conv=notrunc status=none",
    "removed": "rm $F",
    "renamed": "mv $F $F.old",
    "closed to all": "chmod 000 $F",
}


@contextlib.contextmanager
def busy(python, shim_dir, seconds, buffer):
    """The running program. It must end successfully and by itself."""
    env = {**os.environ, "LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(shim_dir), "PYSHIM_BUFFER": buffer}
    process = subprocess.Popen([python.exe, "-S", "-W", "ignore", "-c", textwrap.dedent(BUSY), str(seconds)], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, b"done\n", b"")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("change", CHANGES)
def test_a_program_outlives_damage_to_its_recording(python, change, shim_dir):
    with busy(python, shim_dir, 0.6, "256K") as process:
        time.sleep(0.1)
        path = shim_dir / ("pyprof.%d" % process.pid)
        subprocess.run(["sh", "-ec", CHANGES[change]], env={**os.environ, "F": str(path)}, check=True)


@contextlib.contextmanager
def fuse(tmp_path):
    """A folder on a file system served by a process, and that process."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    (tmp_path / "source").mkdir()
    (tmp_path / "mount").mkdir()
    server = subprocess.Popen(["bindfs", "-f", "--no-allow-other", tmp_path / "source", tmp_path / "mount"],
                              stderr=subprocess.PIPE)
    try:
        while not os.path.ismount(tmp_path / "mount"):
            if server.poll() is not None:
                pytest.skip("bindfs: %s" % server.stderr.read().decode())
            time.sleep(0.01)
        yield tmp_path / "mount", server
    finally:
        subprocess.run(["umount", "-l", tmp_path / "mount"], check=True)
        server.kill()
        server.communicate()


def test_recording_works_on_fuse(python, tmp_path, run_shim):
    with fuse(tmp_path) as (folder, _):
        run_shim([python.exe, "-S", "-c", "def f(): pass\nfor i in range(100000): f()"], env={"PYSHIM_DIR": str(folder)})
        assert calls(list(folder.iterdir()), "f") == (100000,)


@as_root
def test_a_program_outlives_the_server_of_its_file_system(python, tmp_path):
    with fuse(tmp_path) as (folder, server), busy(python, folder, 0.6, "64K"):
        time.sleep(0.1)
        server.kill()


WORDS = [0, 1, 7, 255, 4096, 1 << 20, 1 << 32, (1 << 64) - 1]


def first_ring(f, abi):
    rings, = struct.unpack("<Q", os.pread(f.fileno(), 8, abi["header.rings"]))
    return rings + abi["sizeof extent"]


def scribbles(f, abi, how, chance):
    """Returns twenty (place, bytes) at a time: anywhere in the file, or one word of the header or
    of the first ring.
    """
    place = {"header": chance.randrange(0, abi["sizeof header"], 8),
             "ring": first_ring(f, abi) + chance.randrange(0, abi["sizeof ring"], 8)}.get(how)
    while True:
        size = max(os.fstat(f.fileno()).st_blocks * 512, 4096)
        for _ in range(20):
            data = (chance.randbytes(8) if how == "any words" else chance.randbytes(4096)
                    if how == "pages" else chance.choice(WORDS).to_bytes(8, "little"))
            yield place if place is not None else chance.randrange(size) & -len(data), data
        time.sleep(0.0005)


@pytest.mark.parametrize("how", ["any words", "small words", "pages", "header", "ring"])
def test_random_writes_to_a_recording_do_not_kill_the_program(python, how, shim_dir, abi):
    """Any numbers in the file must not make the shim access other memory."""
    seed = int(os.environ.get("PYSHIM_SEED", time.time_ns() % 1000000))
    chance = random.Random(seed)
    with busy(python, shim_dir, 1.0, chance.choice(["64K", "256K", "64M"])) as process:
        print("seed", seed)
        end = time.monotonic() + 20
        with open(shim_dir / ("pyprof.%d" % process.pid), "r+b", buffering=0) as f:
            for at, data in scribbles(f, abi, how, chance):
                if process.poll() is not None or time.monotonic() > end:
                    break
                os.pwrite(f.fileno(), data, at)


CUT_AND_FORKED = """
    import os, struct, sys
    names, next_at = map(int, sys.argv[1:])
    recording = "%s/pyprof.%d" % (os.environ["PYSHIM_DIR"], os.getpid())
    def last_names():
        with open(recording, "rb") as f:
            at, = struct.unpack("Q", os.pread(f.fileno(), 8, names))
            while at:
                last = at
                at, = struct.unpack("Q", os.pread(f.fileno(), 8, at + next_at))
        return last
    def cut_and_fork(path, at):
        os.truncate(path, at)
        return os.fork()
    def f(n): return n and f(n - 1)
    f(1), last_names()
    with open(recording + ".other", "w"): pass
    if not cut_and_fork(recording + ".other", 0): os._exit(0)
    for i in range(3):
        name = "n%d" % i * 20000
        exec("def %s(): pass\\n%s()" % (name, name), {})
    if not cut_and_fork(recording, last_names()):
        for i in range(1000): f(10)
        os._exit(0)
    print(os.wait()[1], os.wait()[1])
    """


def test_a_child_outlives_damage_to_its_parents_recording(python, shim_dir, run_shim, abi):
    """The names that it would read were removed just before the fork."""
    done = run_shim([python.exe, "-S", "-c", textwrap.dedent(CUT_AND_FORKED), abi["header.names"],
                     abi["extent.next"]])
    assert (done.out, done.err) == (b"0 0\n", b"")


def test_a_lost_fold_table_is_noticed(python, shim_dir, abi):
    """The first table is too small for all functions."""
    with busy(python, shim_dir, 0.6, "64K") as process:
        time.sleep(0.3)
        with open(shim_dir / ("pyprof.%d" % process.pid), "r+b", buffering=0) as f:
            os.pwrite(f.fileno(), bytes(8), first_ring(f, abi) + abi["ring.fold"])
