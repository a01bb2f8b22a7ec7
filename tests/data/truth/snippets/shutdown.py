# SPDX-License-Identifier: LGPL-2.1-or-later
# The end of the process: what runs after __main__ is recorded too.

# ==== atexit_functions
import atexit


def f(n):
    abs(n)


def bad():
    raise SystemExit


def late():
    atexit.register(f, 9)


atexit.register(f, 1)
atexit.register(len, "x")
atexit.register(late)
atexit.register(bad)
f(0)

# ==== finalizers_of_globals
class D:
    def __init__(self, n):
        self.n = n

    def __del__(self):
        leaf(self.n)


def leaf(n, size=len):
    return size("x" * n)


class Holder:
    d = D(1)


a, b = D(1), [D(2), D(3)]
cycle = [D(4)]
cycle.append(cycle)

# ==== finalizers_of_cycles
class D:
    def __init__(self):
        self.me = self

    def __del__(self):
        self.m()

    def m(self):
        pass


keep = [D() for i in range(3)]
D()

# ==== weakref_finalize_at_exit
import weakref


class C:
    pass


def bye(n):
    abs(n)


c = C()
weakref.finalize(c, bye, 1)
weakref.finalize(c, bye, 2).atexit = False
r = weakref.ref(c, lambda r: None)

# ==== flush_of_a_python_stream
import sys


class Out:
    def __init__(self, real):
        self.real = real

    def write(self, s):
        return self.real.write(s)

    def flush(self):
        self.real.flush()


sys.stdout = Out(sys.stdout)
print("x")

# ==== exit_now
import os


def f(n):
    if not n:
        os._exit(0)
    f(n - 1)


len("x")
f(3)

# ==== exit_now_in_a_thread (threads)
import os
import threading


def f():
    abs(1)
    os._exit(0)


t = threading.Thread(target=f)
t.start()
t.join()

# ==== exit_by_kill (status -9)
import os
import signal


def f(n):
    if not n:
        os.kill(os.getpid(), signal.SIGKILL)
    f(n - 1)


os.kill(os.getpid(), 0)
f(3)

# ==== exit_by_abort (status -6)
import os


def f():
    len("x")
    os.abort()


list(map(len, [""]))
f()

# ==== exit_by_a_signal_while_threads_run (status -15, threads)
import os
import signal
import threading


def f(n):
    abs(n)
    lock.acquire()


lock = threading.Lock()
lock.acquire()
for i in range(3):
    threading.Thread(target=f, args=(i,)).start()
os.kill(os.getpid(), signal.SIGTERM)

# ==== exit_in_atexit
import atexit
import os


def f():
    len("x")
    os._exit(0)


atexit.register(f)
atexit.register(abs, 1)

# ==== empty_program

# ==== one_call
len("")
