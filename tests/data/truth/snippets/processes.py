# SPDX-License-Identifier: LGPL-2.1-or-later
# Processes: a forked child carries on with open frames, a started one is a program of its own.

# ==== fork_and_leave (processes 2)
import os


def leaf(n):
    return abs(n)


def child():
    leaf(1)
    leaf(2)
    os._exit(0)


def parent(pid):
    os.waitpid(pid, 0)
    leaf(3)


leaf(0)
pid = os.fork()
parent(pid) if pid else child()

# ==== fork_and_return_through_open_frames (processes 2)
import os


def leaf(n):
    return len(str(n))


def outer():
    leaf(1)
    middle()
    leaf(2)


def middle():
    leaf(3)
    inner()
    leaf(4)


def inner():
    global pid
    pid = os.fork()
    leaf(5)


outer()
leaf(6)
if pid:
    os.waitpid(pid, 0)

# ==== fork_in_recursion (processes 2)
# What is open at the fork makes further calls of the same function recursive.
import os


def f(n, pids):
    if n == 0:
        pids.append(os.fork())
    else:
        f(n - 1, pids)
    g(n)


def g(n):
    if n:
        g(n - 1)
    else:
        len("g")


def again(n, pids):
    if not n:
        f(2, pids) if not pids else None
        return
    again(n - 1, pids)
    again(0, [1])
    g(1)


pids = []
again(2, pids)
if pids[0]:
    os.waitpid(pids[0], 0)

# ==== fork_in_a_fork (processes 3)
import os


def spawn(n):
    if not n:
        return len("end")
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return abs(n)
    return spawn(n - 1)


spawn(2)

# ==== fork_many (processes 6)
import os
import sys


def work(n):
    for i in range(n):
        abs(i)


for i in range(5):
    pid = os.fork()
    if not pid:
        work(i)
        sys.exit(0)
    os.waitpid(pid, 0)

# ==== fork_with_handlers (processes 2)
import os


def before():
    len("before")


def after_parent():
    abs(1)


def after_child():
    abs(2)
    abs(3)


os.register_at_fork(before=before, after_in_parent=after_parent, after_in_child=after_child)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)

# ==== fork_with_suspended_generator (processes 2)
import os


def g():
    try:
        for i in range(10):
            yield abs(i)
    finally:
        len("closed")


it = g()
next(it)
pid = os.fork()
next(it)
list(it)
it = g()
next(it)
if pid:
    os.waitpid(pid, 0)

# ==== fork_in_a_generator (processes 2)
import os


def g():
    yield abs(1)
    pid = os.fork()
    yield pid
    yield abs(2)


pids = list(g())
if pids[1]:
    os.waitpid(pids[1], 0)

# ==== fork_in_a_callback (processes 2)
import os


def key(x):
    global pid
    if x == 2:
        pid = os.fork()
    return abs(x)


sorted([1, 2, 3], key=key)
if pid:
    os.waitpid(pid, 0)

# ==== fork_under_c_frames (processes 2)
# What C functions have open at the fork is the caller of what they call next.
import functools
import os


def forking(x):
    if x == 1 and not pids:
        pids.append(os.fork())
    return abs(x)


def add(x, y):
    return sorted([x, y, 3], key=forking)[0]


def build(x):
    class Body:
        value = functools.reduce(add, [x, 1, 2, x])
        other = len("body")

    return Body.other


pids = []
exec("[max([0, 1, 2], key=build) for i in range(2)]\nlen('exec')")
len("over")
if pids[0]:
    os.waitpid(pids[0], 0)

# ==== fork_after_a_busy_handler (processes 2)
import os


def busy():
    for i in range(50000):
        abs(i)


def child():
    len("child")


os.register_at_fork(before=busy, after_in_child=child)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)

# ==== fork_in_deep_recursion (processes 2)
import os


def down(n):
    if n:
        down(n - 1)
        return abs(n)
    pids.append(os.fork())


pids = []
down(700)
if pids[0]:
    os.waitpid(pids[0], 0)

# ==== fork_in_del (processes 2)
import os


class D:
    def __del__(self):
        pids.append(os.fork())
        len("del")


def f():
    box = [D()]
    box.clear()
    return abs(-1)


pids = []
f()
if pids[0]:
    os.waitpid(pids[0], 0)

# ==== fork_then_exception_through_open_frames (processes 2)
import os


def f(n):
    if n:
        return f(n - 1)
    pids.append(os.fork())
    raise KeyError


pids = []
try:
    f(3)
except KeyError:
    len("caught")
if pids[0]:
    os.waitpid(pids[0], 0)

# ==== fork_in_a_thread (threads, processes 2)
import os
import threading
import warnings

warnings.simplefilter("ignore")


def leaf(n):
    return abs(n)


def work():
    leaf(1)
    pid = os.fork()
    if not pid:
        leaf(2)
        os._exit(0)
    os.waitpid(pid, 0)
    leaf(3)


t = threading.Thread(target=work)
t.start()
t.join()

# ==== fork_in_a_thread_and_return (threads, processes 2)
import os
import threading
import warnings

warnings.simplefilter("ignore")


def leaf(n):
    return abs(n)


def work():
    pid = list(map(start, [1]))[0]
    leaf(2)
    if pid:
        os.waitpid(pid, 0)


def start(n):
    return os.fork()


t = threading.Thread(target=work)
t.start()
t.join()
leaf(3)

# ==== fork_while_other_threads_wait (threads, processes 2)
import os
import threading
import warnings

warnings.simplefilter("ignore")


def wait():
    lock.acquire()
    len("woken")


lock = threading.Lock()
lock.acquire()
t = threading.Thread(target=wait)
t.start()
pid = os.fork()
if not pid:
    abs(1)
    new = threading.Thread(target=abs, args=(2,))
    new.start()
    new.join()
    os._exit(0)
os.waitpid(pid, 0)
lock.release()
t.join()

# ==== multiprocessing_fork (processes 2, threads)
import multiprocessing


def leaf(n):
    return abs(n)


def work(n):
    for i in range(n):
        leaf(i)


if __name__ == "__main__":
    p = multiprocessing.get_context("fork").Process(target=work, args=(3,))
    p.start()
    p.join()

# ==== subprocess_python (processes 2)
import subprocess
import sys

program = "def f(n):\n    return abs(n)\nfor i in range(3):\n    f(i)\nlen('x')\n"


def run():
    return subprocess.call([sys.executable, "-c", program])


run()

# ==== subprocess_module_and_pipe (processes 2)
import subprocess
import sys

out = subprocess.check_output([sys.executable, "-m", "truth_package"])
len(out)

# ==== subprocess_other (processes 1)
import os
import subprocess

subprocess.call(["/bin/true"]), subprocess.call("exit 3", shell=True), os.system("true")
subprocess.check_output(["/bin/echo", "x"])

# ==== spawned_python (processes 2)
import os
import sys

program = "def f():\n    len('x')\nf()\nf()"
pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program], os.environ)
os.waitpid(pid, 0)

# ==== exec_python (processes 2)
# The new program in the old process is a program of its own.
import os
import sys


def f(n):
    abs(n)
    os.execv(sys.executable, [sys.executable, "-c", "def g():\n    len('x')\ng()\ng()"])


try:
    os.execv("/nonexistent/program", ["x"])
except OSError:
    list(map(f, [1]))

# ==== fork_and_subprocess_in_the_child (processes 3)
import os
import subprocess
import sys


def start():
    subprocess.call([sys.executable, "-c", "abs(1)"])


pid = os.fork()
if pid:
    os.waitpid(pid, 0)
else:
    start()
