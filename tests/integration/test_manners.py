# SPDX-License-Identifier: LGPL-2.1-or-later
"""Side effects of the shim: it allocates nothing and takes no lock for an event, runs no code of
the program in its hook, and works beside other preloaded libraries.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from conftest import BUILD, SHIM, read_stats, run_bare

C_SOURCES = Path(__file__).parent / "c"


@pytest.fixture(scope="session")
def compile_here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")

    def compile_here(source, *flags):
        out = folder / source
        done = run_bare(["cc", "-O1", "-pthread", *flags, C_SOURCES / (source + ".c"), "-o", out])
        assert done.status == 0, done.err.decode()
        return out

    return compile_here


COUNTED = """\
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
lib.count_allocations.restype = lib.count_locks.restype = ctypes.c_long
def leaf(n): return len(OBJECT) + n
def middle(n):
    try: return leaf(n) + fail(n)
    except ValueError: return leaf(n)
def fail(n): raise ERROR
def values():
    while True: yield 1
OBJECT, ERROR, MORE = "x", ValueError(), values()
def work(n):
    for i in range(n): middle(5); next(MORE); OBJECT.isalpha()
def count(n):
    before = lib.count_allocations(), lib.count_locks()
    work(n)
    return lib.count_allocations() - before[0], lib.count_locks() - before[1]
work(20000); count(10); work(20000)  # all edges are folded by now, so no table grows
ERROR.__traceback__ = None
few = count(1000)
ERROR.__traceback__ = None
many = count(3000)
print(few, many)
"""


@pytest.mark.parametrize("buffer", ["64M", "64K"])
def test_events_take_no_allocation_and_no_lock(python, buffer, compile_here, run_shim, tmp_path):
    """The shim allocates nothing and takes no lock, for any number of events, with a large buffer
    and with a fold of each block. The interpreter's own number is subtracted: it is the same as
    without the shim.
    """
    counter = compile_here("count_calls", "-shared", "-fPIC")
    (tmp_path / "counted.py").write_text(COUNTED)
    args = [python.exe, tmp_path / "counted.py", counter]
    env = {"LD_PRELOAD": str(counter), "PYTHONMALLOC": "pymalloc"}
    bare = run_bare(args, env=env)
    assert bare.status == 0 and bare.out, bare
    done = run_shim(args, env={**env, "LD_PRELOAD": "%s:%s" % (SHIM, counter),
                               "PYSHIM_BUFFER": buffer})
    assert sum(v[1] for v in read_stats(done.recording).values()) > 24000 * 6
    assert done.out == bare.out


RUDE = """\
import gc, sys, threading
class Rude(type):
    def __getattribute__(cls, name): seen.append(("metaclass", name)); return type.__getattribute__(cls, name)
    def __repr__(cls): seen.append("repr of a class"); return "x"
    def __hash__(cls): seen.append("hash of a class"); return 1
    def __eq__(cls, other): seen.append("eq of a class"); return True
class Thing(metaclass=Rude):
    def __getattribute__(self, name): seen.append(("object", name)); return object.__getattribute__(self, name)
    def __repr__(self): seen.append("repr"); return "y"
    def __hash__(self): seen.append("hash"); return 2
    def __eq__(self, other): seen.append("eq"); return True
    def __call__(self): return 7
    def __len__(self): return 3
    def method(self): return 5
class Text(str):
    def __hash__(self): seen.append("hash of a text"); return str.__hash__(self)
    def __eq__(self, other): seen.append("eq of a text"); return str.__eq__(self, other)
    def encode(self, *a): seen.append("encode"); return b""
    def __str__(self): seen.append("str"); return "z"
    def __repr__(self): seen.append("repr of a text"); return "t"
class Items(list):
    def __repr__(self): seen.append("repr of a list"); return "l"
    def __len__(self): seen.append("len of a list"); return 9
class Module(type(sys)):
    def __getattribute__(self, name): seen.append(("module", name)); return super().__getattribute__(name)
seen = []
def f(n): return n
def work():
    t = Thing(); t(); len(t); t.method(); Text("a").upper(); Text("b").join(["c"]); [].append(t); {}.get(t)
    items = Items(); items.append(1); items.extend([2]); pop = items.pop; pop(); items.clear()
    space = {}
    code = compile("def g(): return 1", Text("file"), "exec")
    exec(code, space); space["g"].__code__ = space["g"].__code__.replace(co_name=Text("h")); space["g"]()
    m = Module("m"); m.f = f; m.f(1)
    class Named(threading.Thread):
        _name = property(lambda self: seen.append("name") or "n", lambda self, v: None)
    t = Named(target=work2); t.start(); t.join()
    class Gone:
        def __init__(self): self.me = self
        def __del__(self): seen.append(("gone", sys._getframe(1).f_code.co_name))
    Gone(); gc.collect()
def work2(): [f(n) for n in range(5)]
work(); work()
print(seen)
"""


def test_the_hook_runs_no_code_of_the_program(python, run_shim, tmp_path):
    """Metaclasses, __repr__, __hash__ and __eq__ of objects, names and modules, properties of
    threads, and finalisers are called as often as without the shim, and from the same places.
    """
    (tmp_path / "rude.py").write_text(RUDE)
    args = [python.exe, tmp_path / "rude.py"]
    bare = run_bare(args)
    done = run_shim(args)
    assert bare.status == 0 and bare.out.count(b"gone") == 2, bare
    assert (done.out, done.err) == (bare.out, bare.err)


COLLECTED = """\
import ctypes, gc, os, sys
seen = []
class Gone:
    def __init__(self): self.me = self
    def __del__(self):
        frame, names = sys._getframe(1), []
        while frame: names.append(frame.f_code.co_name); frame = frame.f_back
        seen.append(names)
def leaf(n): return n
def work(n):
    for i in range(n):
        exec("def made_%d(): return leaf(%d)\\nmade_%d()" % (i, i, i), globals())
        Gone()
if "FLOOR" in os.environ: ctypes.PyDLL(os.environ["FLOOR"]).floor_start()
gc.set_threshold(1, 1, 1)
work(200)
gc.disable(); gc.collect()
print(len(seen), [names[0] for names in seen], flush=True)
"""


def test_garbage_collections_happen_at_the_same_places(python, run_shim, tmp_path):
    """Every allocation may start a collection with finalisers: objects must end at the same places.
    3.11 makes a frame object for each event, so it is compared with a hook that does nothing.
    """
    (tmp_path / "collected.py").write_text(COLLECTED)
    args = [python.exe, tmp_path / "collected.py"]
    floor = BUILD / "bench" / "libfloor.so"
    if python.version[:2] == (3, 11) and not floor.exists():
        pytest.skip("needs %s" % floor)
    bare = run_bare(args, env={"FLOOR": str(floor)} if python.version[:2] == (3, 11) else None)
    done = run_shim(args)
    assert bare.status == 0 and bare.out.startswith(b"200 ["), bare
    assert (done.out, done.err) == (bare.out, bare.err)
    assert sum(v[1] for f, v in read_stats(done.recording).items() if f[2] == "leaf") == 200


ENDS = {
    "stack overflow": ("ulimit -s 1024 -v 2000000 -c 0", """\
import sys
sys.setrecursionlimit(10**6)
def f(n): return sorted([n], key=lambda n: f(n + 1))
print("begun", flush=True)
f(0)
"""),
    "stack overflow in a thread": ("ulimit -s 8192 -v 2000000 -c 0", """\
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(256 << 10)
def f(n): return max([n], key=lambda n: f(n + 1))
t = threading.Thread(target=f, args=(0,))
print("begun", flush=True)
t.start(); t.join()
"""),
    "MemoryError": ("ulimit -v 600000", """\
def big(): return [0] * 10**10
try: big()
except MemoryError as e: print("caught", e.args, flush=True)
kept = []
def fill():
    while True: kept.append(bytes(10**7))
try: fill()
except MemoryError: print("caught", len(kept) > 20, flush=True)
del kept[:]
big()
"""),
}


@pytest.mark.parametrize("end", ENDS)
def test_exhausted_stack_and_memory_end_the_same_way(python, end, run_shim, tmp_path):
    """A crash stays the same crash, an exception the same exception."""
    limits, source = ENDS[end]
    (tmp_path / "ends.py").write_text(source)
    args = ["bash", "-c", limits + '; exec "$@"', "bash", python.exe, tmp_path / "ends.py"]
    bare = run_bare(args)
    # 3.14 checks the remaining stack and raises an exception, at a place that differs from run to
    # run.
    guarded = b"RecursionError: Stack overflow (" in bare.err
    assert bare.out and (bare.status or guarded)
    done = run_shim(args, status=None)
    # 3.12 counts frames of C itself, and the depth that it prints differs.
    varies = rb"repeated \d+ more|used \d+ kB|0x[0-9a-f]+"
    done.err, bare.err = (re.sub(varies, b"", e) for e in (done.err, bare.err))
    if guarded:
        done.err, bare.err = (set(e.replace(b" while calling a Python object", b"").splitlines())
                              for e in (done.err, bare.err))
    assert (done.status, done.out, done.err) == (bare.status, bare.out, bare.err)
    assert read_stats(done.recording)


# Other preloaded libraries


def library(name):
    """Returns the path of a library by the linker, or None."""
    found = run_bare(["cc", "-print-file-name=" + name]).out.decode().strip()
    if os.path.isabs(found):
        return os.path.realpath(found)
    names = run_bare(["sh", "-c", "/sbin/ldconfig -p | sed -n 's/.*=> //p'"]).out.decode().split()
    return next((n for n in names if os.path.basename(n) == name), None)


BESIDE = """\
import json, os, subprocess, sys, threading
def known(n): return n
def work(): [known(n) for n in range(100)]
t = threading.Thread(target=work); t.start(); t.join()
work()
while len(os.listdir("/proc/self/task")) > 1: pass  # 3.12 warns of a thread that is just ending
sys.stdout.flush()
if not os.fork(): work(); os._exit(0)
print(os.wait()[1], json.dumps([1]), len(subprocess.check_output(["ls", "/"])) > 10)
"""


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("name", ["libasan.so", "libjemalloc.so.2"])
def test_other_preloaded_libraries_work_beside_the_shim(python, name, before, run_shim):
    other = library(name)
    if not other:
        pytest.skip("no %s here" % name)
    env = {"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0", "LD_PRELOAD": other}
    args = [python.exe, "-c", BESIDE]
    bare = run_bare(args, env=env)
    assert bare.status == 0, bare
    both = [other, str(SHIM)] if before else [str(SHIM), other]
    done = run_shim(args, env={**env, "LD_PRELOAD": ":".join(both)})
    assert (done.out, done.err) == (bare.out, bare.err)
    # The child and the parent; the parent has the larger count.
    counts = sorted(sum(v[1] for f, v in read_stats(r).items() if f[2] == "known")
                    for r in done.recordings)
    assert counts == [100, 200]


def test_paths_with_blanks_are_recorded(python, shim_dir, tmp_path):
    """The folder and the program may have blanks in their paths. The shim may not, because ld.so
    splits LD_PRELOAD at blanks.
    """
    here = tmp_path / "a program\tof mine"
    folder = shim_dir / "my recordings"
    here.mkdir()
    folder.mkdir()
    (here / "the script.py").write_text("def known(n): return n\nfor i in range(100): known(i)\n")
    done = run_bare([python.exe, here / "the script.py"],
                    env={"LD_PRELOAD": str(SHIM), "PYSHIM_DIR": str(folder)})
    assert (done.status, done.out, done.err) == (0, b"", b"")
    (recording,) = folder.iterdir()
    assert read_stats(recording)[(str(here / "the script.py"), 1, "known")][:2] == (100, 100)


def test_setuid_programs_run_without_the_shim(compile_here, tmp_path):
    """For a program with other rights, ld.so ignores such libraries silently."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs to be root, and setpriv")
    folder = Path("/tmp") if os.access("/tmp", os.W_OK) else tmp_path
    program = folder / ("pyshim-setuid-%d" % os.getpid())
    shutil.copy(compile_here("is_loaded"), program)
    library = folder / ("pyshim-setuid-%d.so" % os.getpid())
    shutil.copy(SHIM, library)
    library.chmod(0o755)
    try:
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env",
                  "LD_PRELOAD=%s" % library, "PYSHIM_DEBUG=1", program]
        os.chmod(program, 0o755)
        done = run_bare(nobody)
        assert (done.status, done.out, done.err) == (0, b"ordinary loaded\n", b"")
        os.chmod(program, 0o4755)
        done = run_bare(nobody)
        if b"ordinary" in done.out:
            pytest.skip("setuid has no effect in %s" % folder)
        assert (done.status, done.out, done.err) == (0, b"secure not loaded\n", b"")
    finally:
        program.unlink()
        library.unlink()


# Other programs

C_PROGRAM = "#include <stdio.h>\nint main(void) { puts(\"built\"); return 0; }\n"
OTHERS = {
    "gcc": "gcc -O2 -Wall -o program program.c && ./program && gcc -c -g program.c",
    "make": "printf 'all: a b\\na b:\\n\\t@echo $@; $(MAKE) -s c\\nc:\\n\\t@echo in $@\\n' > Makefile; "
            "make -s -j2 | sort",
    "git": "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x --date "
           "2020-01-01T00:00:00Z && git log --format=%s && git status --porcelain && git gc -q && "
           "git fsck --no-progress",
    "vim": "printf 'one\\ntwo\\n' > text; vim -u NONE -es -c '%s/one/three/' -c 'wq' text; cat text; "
           "vim --version | head -n 1",
    "bash": "f() { local x=$1; ((x > 0)) && f $((x - 1)); }; f 50; for i in {1..20}; do (echo $i); done "
            "| sort -n | tail -n 1; coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x",
    "gdb": "gdb -batch -nx -ex 'info line main' -ex 'break main' -ex run -ex 'print 6*7' -ex kill "
           "/bin/true 2>&1 | tail -n 2",
    "perl": "perl -e 'print join(\",\", map { $_ * 2 } 1..5), \"\\n\"; fork or exit 3; wait; print $? >> 8'",
    "tar": "tar c program.c | tar t; find . -name '*.c' | xargs cat | wc -l",
}


@pytest.mark.parametrize("name", OTHERS)
def test_common_tools_work_the_same_under_the_shim(name, run_shim, tmp_path):
    if not shutil.which(name):
        pytest.skip("no %s here" % name)
    runs = []
    for n, run in enumerate([run_bare, run_shim]):
        here = tmp_path / str(n) / "here"
        here.mkdir(parents=True)
        (here / "program.c").write_text(C_PROGRAM)
        extra = {"status": None} if run is run_shim else {}
        runs.append(run(["bash", "-c", OTHERS[name]], cwd=here,
                        env={"PYSHIM_DEBUG": "1", "HOME": str(tmp_path)}, **extra))
    bare, done = runs
    assert bare.out and bare.status == 0, bare
    if name == "gdb":  # has an embedded Python, which is recorded
        done.err = b""
    assert (done.status, done.out, done.err) == (bare.status, bare.out, bare.err)
    assert not done.recordings or name in ("gdb", "vim")
