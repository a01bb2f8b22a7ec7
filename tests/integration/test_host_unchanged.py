# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program does not notice the recording: output, status and state are the same with and without.

Each entry of the tables runs bare and under the shim, in the same folder and environment; stdout,
stderr and status must be the same to the byte. Entries marked `ADDRESSES` have addresses in what
they print, which differ between any two runs; these, and nothing else, are blotted out.

The table leaves out CPython's own differences under any profiler, cProfile included:
  - 3.11 and 3.12 count a recursion that goes through C functions (getattr) otherwise, and reach
    the recursion limit at 500 calls instead of 992, and at 499 instead of 748;
  - tracemalloc sees what CPython allocates for the events.
"""

import difflib
import os
import re
import shutil

import pytest

from conftest import counts_only, read_stats, run_bare

# name -> source of script.py
SCRIPTS = {}
# name -> (arguments of python, source of script.py, stdin)
COMMANDS = {}
ADDRESSES = set()
# name -> the first version that has what the script uses
SINCE = {}

SCRIPTS["state of the interpreter"] = """
import builtins, gc, locale, os, signal, sys, threading
print(sys.argv, sys.path, sys.flags, sys.orig_argv if hasattr(sys, "orig_argv") else "")
print(sorted(sys.modules))
print(sorted(globals()), __name__, __file__, __spec__, __package__, __doc__, type(__loader__))
print([type(h) for h in sys.path_hooks], [getattr(m, "__name__", type(m)) for m in sys.meta_path])
print(sorted(sys.path_importer_cache), sys.executable, sys.prefix, sys.exec_prefix)
print(sys.getprofile(), sys.gettrace(), sys.getrecursionlimit(), sys.getswitchinterval())
print(sys._getframe().f_back, sys._getframe().f_trace, len(sys._current_frames()))
print(sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, sys.exc_info())
print(sys.breakpointhook is sys.__breakpointhook__, sys.unraisablehook is sys.__unraisablehook__)
print(sys.get_asyncgen_hooks(), sys.warnoptions, sys._xoptions, sorted(dir(builtins)))
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, gc.garbage)
print([t.name for t in threading.enumerate()], threading._profile_hook, threading._trace_hook)
"""
SCRIPTS["state of the process"] = """
import os, resource, signal, stat
print(os.listdir("/proc/self/task") == [str(os.getpid())], os.getcwd())
def kind(fd):
    try: mode = os.fstat(int(fd)).st_mode
    except OSError: return "the listing itself"
    return stat.S_IFMT(mode), os.get_inheritable(int(fd))
print([(fd, kind(fd)) for fd in sorted(os.listdir("/proc/self/fd"), key=int)])
told = ("SigBlk", "SigIgn", "SigCgt", "Threads", "NoNewPrivs", "Seccomp", "Umask")
def known(line):  # the shim catches SIGBUS, by which a recording that somebody cut would end the program
    name, _, mask = line.partition(":")
    return "%x" % (int(mask, 16) & ~(1 << signal.SIGBUS - 1)) if name == "SigCgt" else line
with open("/proc/self/status") as f: print([known(line) for line in f if line.startswith(told)])
print([signal.getsignal(n) for n in range(1, signal.NSIG) if n not in (32, 33)])
print(signal.pthread_sigmask(0, []), signal.set_wakeup_fd(-1))
print(signal.getitimer(signal.ITIMER_REAL), signal.getitimer(signal.ITIMER_PROF))
print([resource.getrlimit(n) for n in range(16)])
print(os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0), os.umask(0o22))
with open("/proc/self/comm") as f: print(f.read())
with open("/proc/self/cmdline") as f: print(f.read())
"""
SCRIPTS["errno"] = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def fail(n): return libc.open(b"/nowhere/%d" % n, 0)
print([(fail(n), ctypes.get_errno()) for n in range(3)])
ctypes.set_errno(77)
[len("x") for i in range(1000)]
def fresh(): pass
exec("def g(): pass\\ng()")
fresh()
print(ctypes.get_errno())
location = ctypes.CDLL(None).__errno_location
location.restype = ctypes.POINTER(ctypes.c_int)
at = location()
def keep(at):
    at[0] = 99
    fresh(); exec("def h(): pass\\nh()")
    return at[0]
print(keep(at))
"""
SCRIPTS["traceback, nested"] = """
import functools
class Deep:
    def __getattr__(self, name): return self.missing(name)
    def missing(self, name): raise AttributeError(name + "!")
def gen():
    try: yield Deep().one
    finally: print("closed")
def chain():
    try: list(gen())
    except AttributeError as e: raise ValueError("second") from e
def context():
    try: chain()
    except ValueError: {}["third"]
print("before", flush=True)
sorted([2, 1], key=lambda n: functools.reduce(lambda a, b: context(), [1, 2]))
"""
SCRIPTS["traceback of a group"] = """
def f(n): raise ValueError(n)
errors = []
for n in range(3):
    try: f(n)
    except ValueError as e: errors.append(e)
raise ExceptionGroup("several", errors + [ExceptionGroup("inner", [TypeError("x")])])
"""
SINCE["traceback of a group"] = (3, 11)
SCRIPTS["traceback printed and formatted"] = """
import sys, traceback
def f(n): return f(n - 1) if n else 1 / 0
try: f(5)
except ZeroDivisionError as e:
    traceback.print_exc(); print(traceback.format_exc(), e.__traceback__.tb_lineno)
    tb, depth = e.__traceback__, 0
    while tb: tb, depth = tb.tb_next, depth + 1
    print(depth, e.__context__, e.__cause__, sys.exc_info()[0])
traceback.print_stack()
def h(): traceback.print_stack(); print([x.name for x in traceback.extract_stack()])
h()
"""
SCRIPTS["SyntaxError"] = "def f(:\n    pass\n"
SCRIPTS["IndentationError"] = "if 1:\nprint()\n"
SCRIPTS["SyntaxError of an import"] = """
open("broken.py", "w").write("x = = 1\\n")
import broken
"""
SCRIPTS["bad encoding"] = "# -*- coding: no-such-codec -*-\nprint()\n"
SCRIPTS["ImportError"] = "def f(): import no_such_module\nf()\n"
SCRIPTS["RecursionError"] = """
import sys
depth = 0
def f():
    global depth
    depth += 1
    return f()
try: f()
except RecursionError as e: print(depth, e)
depth = 0
class A:
    def __getattr__(self, name):
        global depth
        depth += 1
        return getattr(self, name + "x")
try: A().x
except RecursionError as e: print(depth > 400, type(e))
def g(n): return len(sorted([0], key=lambda _: n and g(n - 1)))
print(g(60))
sys.setrecursionlimit(9000)
def h(n): return n and 1 + h(n - 1)
print(h(8000))
sys.setrecursionlimit(1000)
f()
"""
SCRIPTS["RecursionError of repr"] = """
import json
a = []
for i in range(100000): a = [a]
for f in (repr, json.dumps):
    try: f(a)
    except RecursionError as e: print(type(e))
"""
for value in ("", "None", "0", "3", "256", "-1", "True", "'text'", "'é'", "2**40", "[1]", "1, 2"):
    SCRIPTS["SystemExit(%s)" % value] = (
        "import sys\ndef f():\n    try: sys.exit(%s)\n    finally: print('finally')\nf()\n" % value
    )
SCRIPTS["KeyboardInterrupt"] = "def f(): raise KeyboardInterrupt\nf()\n"
SCRIPTS["SIGINT"] = """
import os, signal
def f(): os.kill(os.getpid(), signal.SIGINT); [0] * 10
f()
"""
SCRIPTS["signal handlers"] = """
import os, signal, time
seen = []
def handler(number, frame): seen.append((number, frame.f_code.co_name))
signal.signal(signal.SIGUSR1, handler); signal.signal(signal.SIGALRM, handler)
def work():
    for i in range(5): os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while len(seen) < 6: time.sleep(0.001)
work()
print(seen, flush=True)
signal.signal(signal.SIGUSR2, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGUSR2)
signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM)
"""
SCRIPTS["warnings"] = """
import warnings
def old(): warnings.warn("old", DeprecationWarning, stacklevel=2)
def user(): old(); old(); warnings.warn("user")
user(); user()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always"); user()
print([(str(w.message), w.lineno, w.filename) for w in caught])
warnings.simplefilter("error"); user()
"""
SCRIPTS["unraisable"] = """
import gc, weakref
class A:
    def __del__(self): raise ValueError("in del")
def f(): A()
f(); f()
def g():
    try: yield
    finally: raise KeyError("in generator")
x = g(); next(x); del x
a = set(); r = weakref.ref(a, lambda r: 1 / 0); del a
class B:
    def __repr__(self): return "B"
    def __del__(self): raise TypeError
b = B(); b.me = b; del b; gc.collect()
"""
ADDRESSES.add("unraisable")
SCRIPTS["end of the process"] = """
import atexit, sys, threading, weakref
class A:
    def __init__(self, name): self.name = name
    def __del__(self): print("del", self.name, sys.is_finalizing())
kept = A("global"); kept.me = kept
@atexit.register
def first(): print("atexit 1")
@atexit.register
def second(): raise ValueError("atexit 2")
weakref.finalize(kept, print, "finalized")
main_ends = threading.Event()
def late(): main_ends.wait(); print("thread ends")
threading.Thread(target=late).start()
def daemon():
    while True: threading.Event().wait(0.001)
threading.Thread(target=daemon, daemon=True).start()
sys.stderr.write("no newline")
print("main ends")
main_ends.set()
"""
ADDRESSES.add("end of the process")
SCRIPTS["threads"] = """
import concurrent.futures, os, sys, threading, time, _thread
def fail(): raise ValueError("in a thread")
t = threading.Thread(target=fail, name="T"); t.start(); t.join()
def leave(): sys.exit(3)
t = threading.Thread(target=leave); t.start(); t.join()
done = threading.Event()
def bare(): done.set()
_thread.start_new_thread(bare, ()); done.wait()
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    print(list(pool.map(lambda n: n * n, range(20))))
local = threading.local(); local.x = 1
def look(): print(hasattr(local, "x"), threading.current_thread().name, threading.stack_size())
t = threading.Thread(target=look, name="looker"); t.start(); t.join()
print([t.name for t in threading.enumerate()], sys.getprofile())
for n in range(1000):
    if len(os.listdir("/proc/self/task")) == 1: break
    time.sleep(0.01)
else: print(os.listdir("/proc/self/task"))
"""
SCRIPTS["fork"] = """
import os, sys, warnings
warnings.simplefilter("always")
for n in range(3):
    pid = os.fork()
    if not pid:
        def f(n): return n and f(n - 1)
        f(10)
        os._exit(n)
    print(os.waitpid(pid, 0)[1], flush=True)
pid = os.fork()
if not pid: sys.exit("the child's own end")
print(os.waitpid(pid, 0)[1], len(os.listdir("/proc/self/task")))
"""
SCRIPTS["multiprocessing"] = """
import multiprocessing, sys
def square(n): return n * n
def fail(n): raise ValueError(n)
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(10)))
            try: pool.map(fail, [7])
            except ValueError as e: print(repr(e))
    print(len(multiprocessing.active_children()))
"""
SCRIPTS["subprocess"] = """
import os, subprocess, sys
run = subprocess.run
print(run([sys.executable, "-c", "import sys; sys.exit(sys.argv[1])", "a"], stderr=subprocess.PIPE))
print(run([sys.executable, "-c", "1/0"], stderr=subprocess.PIPE).stderr)
print(run("echo $0; exit 3", shell=True, stdout=subprocess.PIPE))
print(run(["cat"], input=b"x" * 10, stdout=subprocess.PIPE).stdout)
print(run(["true"], close_fds=False).returncode)
print(run([sys.executable, "-"], input=b"print(__name__)", stdout=subprocess.PIPE).stdout)
print(os.popen("echo popen").read(), os.system("exit 5"))
print(os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)[1])
try: run(["/nowhere/x"])
except OSError as e: print(e)
sys.stdout.flush()
source = "import sys; print('execed', sys.argv); sys.exit(9)"
os.execv(sys.executable, [sys.executable, "-c", source, "b"])
"""
SCRIPTS["all descriptors closed"] = """
import os
def f(): return 1
f()
os.closerange(3, 4096)
print(sum(f() for i in range(1000)))
exec("def g(): return 2\\nprint(g())")
a, b = os.pipe(); print(a, b)
os.close(2); print(os.open("/dev/null", os.O_WRONLY))
"""
SCRIPTS["daemon"] = """
import os, time
r, w = os.pipe()
if os.fork():
    os.close(w); print(os.read(r, 100), flush=True); os.wait(); os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir("/"); os.umask(0)
for fd in (0, 1, 2): os.close(fd)
def f(): return 5
os.write(w, b"%d" % sum(f() for i in range(100)))
os._exit(0)
"""
SCRIPTS["profilers of the program's own"] = """
import cProfile, io, profile, pstats, sys, threading
def leaf(n): return len(str(n))
def work(): return [leaf(n) for n in range(50)]
p = cProfile.Profile(); p.enable(); work(); p.disable()
p.create_stats()
print(sorted((f, v[:2], sorted((c, e[:2]) for c, e in v[4].items())) for f, v in p.stats.items()))
print(sys.getprofile())
with cProfile.Profile() as p: work()
events = []
def hook(frame, event, arg):
    events.append((frame.f_code.co_name, event, getattr(arg, "__name__", None)))
sys.setprofile(hook); work(); print(sys.getprofile() is hook); sys.setprofile(None)
print(len(events), events[:4], events[-3:], sys.getprofile())
work()
for run in (lambda q: q.runcall(work), lambda q: q.run("work()"), lambda q: q.run("max([0])")):
    q = profile.Profile(); run(q); q.create_stats()
    print(sorted((f[2], v[:2]) for f, v in q.stats.items()))
for call in (sys.setprofile, lambda f: list(map(sys.setprofile, [f])), lambda f: sys.setprofile(*[f])):
    del events[:]
    call(hook); work(); call(hook); call(None); print(len(events), events[:3], events[-3:])
    try: sys.setprofile()
    except TypeError as e: print(e)
p = cProfile.Profile(); p.enable(); del events[:]; sys.setprofile(hook); work(); sys.setprofile(None)
print(events[:3])
p.disable()
if hasattr(threading, "setprofile_all_threads"):
    del events[:]; threading.setprofile_all_threads(hook); work()
    threading.setprofile_all_threads(None); print(events[:4], events[-4:])
threading.setprofile(hook)
t = threading.Thread(target=work); t.start(); t.join()
threading.setprofile(None)
print(sum(e[0] == "leaf" for e in events), sys.getprofile())
print(pstats.Stats(p, stream=io.StringIO()).total_calls)
"""
ADDRESSES.add("profilers of the program's own")
SCRIPTS["tracers of the program's own"] = """
import bdb, sys, threading, trace
lines = []
def tracer(frame, event, arg):
    lines.append((frame.f_code.co_name, event, frame.f_lineno))
    return tracer
def leaf(n):
    if n > 2: raise ValueError
    return n
def work():
    for n in range(5):
        try: leaf(n)
        except ValueError: pass
    return [leaf(m) for m in (0, 1)]
sys.settrace(tracer); work(); print(sys.gettrace() is tracer); sys.settrace(None)
print(len(lines), lines[:6], lines[-4:], sys.gettrace())
t = trace.Trace(count=1, trace=0, countcallers=1); t.runfunc(work)
print(sorted((l, n) for (f, l), n in t.results().counts.items()), len(t.results().callers))
class Db(bdb.Bdb):
    def user_line(self, frame): lines.append(frame.f_lineno); self.set_step()
d = Db(); d.runcall(work); print(len(lines))
sys.settrace(tracer); sys.setprofile(lambda *a: None); work()
sys.setprofile(None); sys.settrace(None)
print(len(lines))
"""
SCRIPTS["sys.monitoring of the program's own"] = """
import sys
m = sys.monitoring
for tool in (0, 1, 2): m.use_tool_id(tool, "tool%d" % tool)
seen = []
E = m.events
def start(code, offset): seen.append(("start", code.co_name))
def line(code, number): seen.append(("line", number)); return m.DISABLE
def call(code, offset, callable, arg): seen.append(("call", getattr(callable, "__name__", "")))
def off(code, offset): seen.append(("once", code.co_name)); return m.DISABLE
m.register_callback(0, E.PY_START, start); m.register_callback(0, E.LINE, line)
m.register_callback(1, E.CALL, call); m.register_callback(2, E.PY_START, off)
def leaf(n): return len([n])
def work(): return [leaf(n) for n in range(4)]
m.set_events(0, E.PY_START | E.LINE); m.set_events(2, E.PY_START)
m.set_local_events(1, work.__code__, E.CALL)
work(); work(); m.restart_events(); work()
for tool in (0, 1, 2): m.set_events(tool, 0)
print(len(seen), seen, m.get_tool(0), m.get_events(1), m.get_local_events(1, work.__code__))
for tool in (0, 1, 2): m.free_tool_id(tool)
work()
"""
SINCE["sys.monitoring of the program's own"] = (3, 12)
SCRIPTS["audit hooks"] = """
import sys
events = []
def hook(event, args): events.append(event)
sys.addaudithook(hook)
def f(n): return n and f(n - 1)
f(3); exec("def g(): pass\\ng()"); id(f); open("/dev/null").close(); sys._getframe()
print(events)
"""
SCRIPTS["faulthandler"] = """
import faulthandler, sys
def f(n):
    if n: return f(n - 1)
    faulthandler.dump_traceback(sys.stdout, all_threads=False)
    faulthandler.enable(); faulthandler._sigsegv()
sys.stdout.flush()
f(3)
"""
ADDRESSES.add("faulthandler")
SCRIPTS["abort"] = "import os\nprint('x', flush=True)\ndef f(): os.abort()\nf()\n"
SCRIPTS["generators and coroutines"] = """
import asyncio, inspect, types
def gen():
    try:
        while True:
            try: x = yield
            except ValueError as e: print("caught", e)
    finally: print("closing")
g = gen(); next(g); g.send(1); g.throw(ValueError("v"))
print(inspect.getgeneratorstate(g), g.gi_frame.f_lineno); g.close()
def outer(): return (yield from inner())
def inner(): x = yield 1; return x
o = outer(); next(o)
try: o.send(5)
except StopIteration as e: print(e.value)
async def never(): pass
never()
async def ticker():
    for i in range(3): yield i; await asyncio.sleep(0)
async def main():
    ticks = [i async for i in ticker()]
    return ticks, await asyncio.gather(*[asyncio.sleep(0, n) for n in range(3)])
print(asyncio.run(main()))
@types.coroutine
def old(): yield "x"
async def use(): await old()
print(use().send(None))
raise StopIteration("top")
"""
ADDRESSES.add("generators and coroutines")
SCRIPTS["code objects in a loop"] = """
import gc, sys, weakref
gone = []
for i in range(300):
    space = {}
    exec(compile("def f(n): return n + %d" % i, "<made %d>" % i, "exec"), space)
    assert space["f"](1) == i + 1
    weakref.finalize(space["f"].__code__, gone.append, i)
    del space
gc.collect()
print(len(gone), sys.getrefcount(compile("1", "x", "eval")) <= 2)
"""
SINCE["functions handed to another interpreter"] = (3, 14)
SCRIPTS["functions handed to another interpreter"] = """
from concurrent import interpreters
def make():
    def inner(n):
        def innermost(k): return k
        return innermost(n) + 1
    return inner
inner = make()
other = interpreters.create()
print(inner(1), other.call(inner, 41), other.call(lambda n: n * 2, 4))
other.close()
"""
SCRIPTS["introspection of callables"] = """
import dis, inspect, sys
def f(a, b=1, *c, d, **e): "doc"; return [len(c), sorted(e), a]
f(1, d=2); f(1, 2, 3, d=4, x=5)
print(f.__code__.co_code, f.__code__.co_flags, f.__code__.co_stacksize)
print([(i.opname, i.argval) for i in dis.get_instructions(f)])
print(inspect.signature(f), inspect.getsource(f), inspect.currentframe().f_lineno)
import marshal; print(len(marshal.dumps(f.__code__)), f.__code__ == f.__code__.replace())
dis.dis(f)
"""
ADDRESSES.add("introspection of callables")
SCRIPTS["__del__ and weak references"] = """
import sys, weakref
class A:
    def __del__(self): print("gone")
def f(a): return sys.getrefcount(a)
a = A(); print(f(a), sys.getrefcount(a), sys.getrefcount(f), sys.getrefcount(f.__code__))
def g(): x = A(); raise ValueError
try: g()
except ValueError: print("caught")
r = weakref.ref(a); del a; print(r())
class M(type):
    def __call__(cls, *a): print("meta"); return super().__call__(*a)
class C(metaclass=M):
    def __new__(cls): print("new"); return super().__new__(cls)
    def __init_subclass__(cls): print("sub")
    def __set_name__(self, *a): print("named")
    def __getattribute__(self, name): print("get", name); return super().__getattribute__(name)
    __slots__ = ("x",)
class D(C): c = C()
D().x = 1
"""
SCRIPTS["descriptors and odd callables"] = """
import functools, operator
class Callable:
    __name__ = property(lambda self: 1 / 0)
    def __call__(self): return 5
    def __getattr__(self, name): raise RuntimeError(name)
    def __hash__(self): raise TypeError("unhashable")
    def __eq__(self, other): raise TypeError("no equality")
print(Callable()())
class Str(str):
    def __str__(self): raise ValueError
    def join(self, x): return super().join(x)
print(Str("-").join("abc") == "a-b-c", Str("x").upper())
class L(list):
    def __repr__(self): raise ValueError("no repr")
    def __hash__(self): raise ValueError
l = L(); l.append(1); l.sort(key=operator.neg); print(len(l), max(l), l.pop())
print(functools.partial(len, [1])(), dict.fromkeys("ab"), str.maketrans("a", "b"))
print(int.from_bytes(b"a", "big"), [].append.__self__)
try: [].append(1, 2)
except TypeError as e: print(e)
try: list.append()
except TypeError as e: print(e)
try: list.append({}, 1)
except TypeError as e: print(e)
try: len()
except TypeError as e: print(e)
try: "".join(1 / 0 for x in "a")
except ZeroDivisionError as e: print(e)
"""

FAILS = "def f(): 1 / 0\nf()\n"
ARGV = "import sys; print(sys.argv, sys.path, __name__, sorted(globals()))\n"
COMMANDS["no such file"] = (["nothing.py"], "", b"")
COMMANDS["no such module"] = (["-m", "no_such_module"], "", b"")
COMMANDS["module fails"] = (["-m", "script"], FAILS, b"")
COMMANDS["-c fails"] = (["-c", FAILS], "", b"")
COMMANDS["-c argv"] = (["-c", ARGV, "a", "-b"], "", b"")
COMMANDS["-m argv"] = (["-m", "script", "a", "-b"], ARGV, b"")
COMMANDS["stdin fails"] = (["-"], "", FAILS.encode())
COMMANDS["stdin argv"] = (["-", "a"], "", ARGV.encode())
COMMANDS["stdin is read"] = (
    ["script.py"],
    "import sys; print(input(), repr(sys.stdin.read()))\n",
    b"a line\nthe rest",
)
COMMANDS["-i after a failure"] = (["-i", "script.py"], "x = 5\n" + FAILS, b"x\nf()\nexit(7)\n")
COMMANDS["-W error"] = (["-W", "error", "script.py"], "import warnings\nwarnings.warn('x')\n", b"")
COMMANDS["-X dev"] = (["-X", "dev", "script.py"], "def f(): open('script.py')\nf()\n", b"")
COMMANDS["-X tracemalloc"] = (
    ["-X", "tracemalloc=3", "script.py"],
    "import tracemalloc\ndef f(): return bytes(100000)\nx = f()\n"
    "print(tracemalloc.get_object_traceback(x), tracemalloc.get_traceback_limit())\n",
    b"",
)
COMMANDS["-X faulthandler"] = (
    ["-X", "faulthandler", "script.py"],
    "import os\ndef f(): os.abort()\nf()\n",
    b"",
)
ADDRESSES.add("-X faulthandler")
COMMANDS["-v"] = (["-v", "-I", "-S", "-c", "pass"], "", b"")
ADDRESSES.add("-v")
COMMANDS["-bb -u -OO"] = (
    ["-bb", "-u", "-OO", "script.py"],
    "'doc'\nassert 0\nprint(__doc__)\nprint(b'x' == 'x')\n",
    b"",
)
COMMANDS["--version"] = (["--version"], "", b"")
COMMANDS["--help"] = (["--help"], "", b"")
COMMANDS["unknown option"] = (["--unknown"], "", b"")
COMMANDS["pdb"] = (
    ["-m", "pdb", "script.py"],
    "def f(n):\n    return n + 1\nf(1)\nprint('x')\n",
    b"b f\nc\np n\nw\ns\ns\nc\nq\n",
)
COMMANDS["doctest"] = (
    ["-m", "doctest", "-v", "script.py"],
    '"""\n>>> 1 + 1\n2\n>>> len("x")\n5\n"""\n',
    b"",
)
COMMANDS["trace"] = (["-m", "trace", "-t", "script.py"], "def f(n):\n    return n\nf(1)\n", b"")
COMMANDS["profile"] = (
    ["-m", "profile", "-s", "name", "script.py"],
    "def f(n): return len([n])\nfor i in range(9): f(i)\n",
    b"",
)
ADDRESSES.add("profile")
COMMANDS["cProfile"] = (
    ["-m", "cProfile", "-s", "name", "script.py"],
    "def f(n): return len([n])\nfor i in range(9): f(i)\n",
    b"",
)

TABLE = {name: (["script.py"], source, b"") for name, source in SCRIPTS.items()}
TABLE.update(COMMANDS)


def blot(name, text):
    if name in ADDRESSES:
        text = re.sub(rb"0x[0-9a-fA-F]+", b"0x", text)
        # 3.14: the interpreter's own C functions, which differ under any tool of sys.monitoring
        text = re.sub(rb"  Binary file .*\n", b"", text)
    if name in ("cProfile", "profile"):  # the times
        text = re.sub(rb"\d+\.\d\d\d\b", b"0.000", text)
    return text


def show_difference(what, bare, ours):
    if bare == ours:
        return []
    a, b = (x.decode("utf-8", "backslashreplace").splitlines() for x in (bare, ours))
    lines = list(difflib.unified_diff(a, b, what + ", bare", what + ", shim", n=1, lineterm=""))
    return [line[:300] for line in lines[:30]] or ["%s: %r, %r" % (what, bare[-200:], ours[-200:])]


def check_same(name, bare, done):
    lines = show_difference("stdout", blot(name, bare.out), blot(name, done.out))
    lines += show_difference("stderr", blot(name, bare.err), blot(name, done.err))
    if bare.status != done.status:
        lines.append("status %d bare, %d under the shim" % (bare.status, done.status))
    assert not lines, "\n".join(lines)


def fresh_folder(where, source):
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    (where / "script.py").write_text(source, encoding="utf-8")
    return where


@pytest.mark.parametrize("name", TABLE)
def test_output_and_status_are_the_same_as_without_the_shim(python, name, run_shim, tmp_path):
    if python.version < SINCE.get(name, (3, 8)):
        pytest.skip("%s needs Python %d.%d" % (name, *SINCE[name]))
    args, source, stdin = TABLE[name]
    here = tmp_path / "here"
    env = {"HOME": str(tmp_path)}
    args = [python.exe, *args]
    bare = run_bare(args, env=env, cwd=fresh_folder(here, source), input=stdin)
    done = run_shim(args, env=env, cwd=fresh_folder(here, source), input=stdin, status=None)
    check_same(name, bare, done)


# Limits of the process

LIMITS = {
    "no file may grow": "ulimit -f 0",
    "files may grow a little": "ulimit -f 64",
    "address space": "ulimit -v 400000",
    "few descriptors": "ulimit -n 8",
    "locked memory": "ulimit -l 0",
    "small stack": "ulimit -s 512",
    "descriptors closed": "exec 0<&- 2>&-",
    "SIGXFSZ at its default": "trap - XFSZ; ulimit -f 0",
}
LIMITED = """\
def f(n): return n and f(n - 1)
for i in range(300): f(i % 40)
import json, threading
exec("def g(): return [f(3) for i in range(5)]")
t = threading.Thread(target=f, args=(5,)); t.start(); t.join()
print(len(json.dumps([g()])), flush=True)
raise SystemExit(3)
"""


@pytest.mark.parametrize("limit", LIMITS)
def test_output_and_status_are_the_same_within_limits(python, limit, run_shim, tmp_path):
    """Without space to record, one line says so and the program continues unrecorded."""
    if limit == "address space" and "SAN" in os.environ:
        pytest.skip("sanitizers reserve terabytes of address space")
    args = ["bash", "-c", LIMITS[limit] + '; exec "$@"', "bash", python.exe, "script.py"]
    here = fresh_folder(tmp_path / "here", LIMITED)
    bare = run_bare(args, cwd=here)
    done = run_shim(args, cwd=here, status=None)
    assert bare.status == 3 and bare.out
    done.err, n = re.subn(rb"pyshim\[\d+\]: .*; the program runs unprofiled\n", b"", done.err)
    assert n == (not done.recordings), done.err
    check_same(limit, bare, done)


AUDITED = """\
import sys
told = []
def hook(event, args):
    told.append(event)
    if event == REFUSED: raise RuntimeError("refused")
sys.addaudithook(hook)
"""
AUDITS = """\
import asyncio, cProfile, os, sitecustomize, sys, threading
def f(n): return n and f(n - 1)
def work(): f(5); exec("def g(): return len('x')\\ng()")
async def coroutine(): await asyncio.sleep(0)
if not os.fork(): work(); os._exit(0)
os.wait()
for i in range(3): t = threading.Thread(target=work); t.start(); t.join()
asyncio.run(coroutine())
for hook in (lambda *a: None, None):
    try: sys.setprofile(hook); work()
    except RuntimeError as e: print(e)
work()
t = threading.Thread(target=work); t.start(); t.join()
print(*sitecustomize.told, sep="\\n")
"""


@pytest.mark.parametrize("refused", ["none", "sys.setprofile", "sys.monitoring.register_callback"])
def test_audit_hooks_see_the_same_events(python, refused, run_shim, tmp_path):
    """An audit hook in Python from before __main__ sees nothing of the shim. It would otherwise run
    in the middle of the shim's code, and on 3.8 to 3.10 through its frame hook.
    """
    here = tmp_path / "here"
    env = {"PYTHONPATH": str(tmp_path / "site")}
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("REFUSED = %r\n" % refused + AUDITED)
    args = [python.exe, "script.py"]
    bare = run_bare(args, env=env, cwd=fresh_folder(here, AUDITS))
    done = run_shim(args, env=env, cwd=fresh_folder(here, AUDITS))
    assert bare.status == 0 and b"exec\n" in bare.out
    check_same("audit hooks", bare, done)
    assert len(done.recordings) == 2
    calls = [sum(v[1] for f, v in read_stats(r).items() if f[2] == "work") for r in done.recordings]
    # Before 3.12, work is not recorded while the program has the hook.
    taken = python.version < (3, 12) and refused != "sys.setprofile"
    assert calls == [7 - taken - bare.out.count(b"refused\n"), 1]


def test_the_programs_own_cprofile_works_beside_the_shim(python, run_shim, tmp_path):
    """From 3.12 on both profilers count at the same time. Before, there is one hook and the program
    has it.
    """
    source = (
        "import cProfile\ndef f(): pass\ndef g(): pass\ndef h(): pass\nfor i in range(10): f()\n"
        "p = cProfile.Profile(); p.enable()\nfor i in range(20): g()\np.disable()\n"
        "for i in range(30): h()\n"
    )
    script = fresh_folder(tmp_path / "here", source) / "script.py"
    stats = counts_only(read_stats(run_shim([python.exe, script]).recording))
    found = {f[2]: v[1] for f, v in stats.items() if f[0] == str(script) and len(f[2]) == 1}
    if python.version >= (3, 12):
        assert found == {"f": 10, "g": 20, "h": 30}
    else:
        assert found["f"] == 10 and "g" not in found
