# SPDX-License-Identifier: LGPL-2.1-or-later
# Threads: each has a stack of its own, the tables are added up.

# ==== thread_targets (threads)
import threading


def leaf(n):
    return abs(n)


def work(n):
    for i in range(n):
        leaf(i)


class T(threading.Thread):
    def run(self):
        work(4)


threads = [threading.Thread(target=work, args=(i,)) for i in range(4)] + [T(), T()]
threads += [threading.Thread(target=len, args=("x",)), threading.Thread()]
for t in threads:
    t.start()
for t in threads:
    t.join()
leaf(1)

# ==== thread_recursion_is_per_thread (threads)
# The function is open in the starting thread while others run it: their calls are primitive.
import threading


def down(n):
    if n:
        t = threading.Thread(target=down, args=(n - 1,))
        t.start()
        t.join()
        flat(n)


def flat(n):
    return flat(n - 1) if n else len("flat")


down(4), flat(3)

# ==== thread_low_level (threads)
import _thread


class C:
    def __call__(self, *args):
        lock.release()


def f(a, b=0):
    abs(a)
    lock.release()


def leave():
    lock.release()
    _thread.exit()


lock = _thread.allocate_lock()
for start in (lambda: _thread.start_new_thread(f, (1,)),
              lambda: _thread.start_new_thread(f, (1,), {"b": 2}),
              lambda: _thread.start_new_thread(C(), ()),
              lambda: _thread.start_new_thread(lock.release, ()),
              lambda: _thread.start_new(leave, ())):
    lock.acquire()
    start()
    lock.acquire()
    lock.release()

# ==== thread_exceptions (threads)
import threading


def hook(args):
    len(str(args.exc_value))


def bad(n):
    if n:
        bad(n - 1)
    raise ValueError("bad")


threading.excepthook = hook
t = threading.Thread(target=bad, args=(3,))
t.start()
t.join()
t = threading.Thread(target=exit)
t.start()
t.join()

# ==== thread_synchronisation (threads)
# One thread beside the main one at a time, so that what threading finds ended does not vary.
import threading


class Box:
    def __init__(self):
        self.items, self.ready = [], threading.Condition()


def consume(box, n, out):
    while len(out) < n:
        with box.ready:
            box.ready.wait_for(lambda: box.items)
            out.append(box.items.pop())
            box.ready.notify()


def produce(box, n):
    for i in range(n):
        with box.ready:
            box.items.append(i)
            box.ready.notify()
            box.ready.wait_for(lambda: not box.items)


def start(f, *args):
    t = threading.Thread(target=f, args=args)
    t.start()
    return t


box, out, event, barrier = Box(), [], threading.Event(), threading.Barrier(2)
t = start(consume, box, 3, out)
produce(box, 3)
t.join()
t = start(event.wait)
event.set()
t.join()
t = start(barrier.wait)
barrier.wait()
t.join()
with threading.RLock(), threading.Semaphore(2), threading.BoundedSemaphore():
    len(out)

# ==== thread_queue (threads)
import queue
import threading


def worker(q, out):
    while True:
        x = q.get()
        if x is None:
            return
        out.put(abs(x))
        q.task_done()


q, out = queue.Queue(), queue.SimpleQueue()
t = threading.Thread(target=worker, args=(q, out))
t.start()
for i in range(5):
    q.put(-i)
q.join()
q.put(None)
t.join()
[out.get() for i in range(5)]

# ==== thread_pool (threads)
from concurrent.futures import ThreadPoolExecutor, as_completed


def f(x):
    return g(x) + 1


def g(x):
    return len(str(x))


def bad(x):
    raise KeyError(x)


with ThreadPoolExecutor(1) as pool:
    list(pool.map(f, range(5)))
    futures = [pool.submit(f, i) for i in range(3)]
    [x.result() for x in futures]
    try:
        pool.submit(bad, 1).result()
    except KeyError:
        pass
    done = pool.submit(f, 1)
    done.add_done_callback(lambda x: g(x.result()))
    done.result()

# ==== thread_pool_left_open (threads)
from concurrent.futures import ThreadPoolExecutor


def init(n):
    len("init")


def f(x):
    return abs(x)


pool = ThreadPoolExecutor(1, initializer=init, initargs=(1,))
pool.submit(f, 1).result()

# ==== asyncio_to_thread (threads)
import asyncio
from concurrent.futures import ThreadPoolExecutor


def f(x):
    return abs(x)


async def main(pool):
    return await asyncio.get_running_loop().run_in_executor(pool, f, 1)


with ThreadPoolExecutor(1) as pool:
    asyncio.run(main(pool))

# ==== generator_passed_between_threads (threads)
import threading


def g(n):
    try:
        for i in range(n):
            yield abs(i)
    finally:
        len("over")


def take(it, n):
    for i in range(n):
        next(it)


def run(f, *args):
    t = threading.Thread(target=f, args=args)
    t.start()
    t.join()


it = g(20)
take(it, 2), run(take, it, 3), take(it, 1), run(take, it, 4)
run(it.close)
it = g(5)
run(take, it, 2)
run(list, it)
it = g(5)
next(it)
box = [it]
del it
run(box.clear)


def delegate(it):
    yield from it


inner = g(9)
outer = delegate(inner)
next(outer), run(take, outer, 2), run(take, inner, 2), run(outer.close)

# ==== coroutine_passed_between_threads (threads)
import threading
import types


@types.coroutine
def pause():
    yield


async def work(n):
    for i in range(n):
        await pause()
    return len("done")


def step(c):
    try:
        c.send(None)
    except StopIteration:
        pass


c = work(3)
for i in range(4):
    t = threading.Thread(target=step, args=(c,))
    t.start()
    t.join()

# ==== thread_local_data (threads)
import threading


class D:
    def __del__(self):
        len("thread over")


class L(threading.local):
    def __init__(self, x):
        self.x = abs(x)
        self.d = D()


local = L(-1)


def f():
    local.x, local.d


for i in range(2):
    t = threading.Thread(target=f)
    t.start()
    t.join()
f()

# ==== daemon_thread_blocked_at_exit (threads)
import threading


def outer(lock):
    return inner(lock)


def inner(lock):
    len("before")
    lock.acquire()


lock = threading.Lock()
lock.acquire()
threads = [threading.Thread(target=outer, args=(lock,), daemon=True) for i in range(2)]
for t in threads:
    t.start()

# ==== thread_runs_after_main (threads)
import threading


def late(t):
    t.join()
    abs(-1)
    other = threading.Thread(target=abs, args=(1,))
    try:
        other.start()
        other.join()
    except RuntimeError:
        len("too late")


threading.Thread(target=late, args=(threading.main_thread(),)).start()

# ==== thread_timer (threads)
import threading


def f(n):
    return abs(n)


t = threading.Timer(0, f, (1,))
t.start()
t.join()
t = threading.Timer(1000, f, (2,))
t.start()
t.cancel()
t.join()

# ==== thread_started_by_threads (threads)
import threading


def spawn(n):
    if n:
        ts = [threading.Thread(target=spawn, args=(n - 1,)) for i in range(2)]
        for t in ts:
            t.start()
            t.join()
    return len("x")


spawn(4)

# ==== thread_exec_functions (threads)
import threading

source = "def f(n):\n    return len(str(n))\nfor i in range(50):\n    f(i)\n"


def work():
    for i in range(10):
        exec(source, {})


for i in range(3):
    t = threading.Thread(target=work)
    t.start()
    t.join()
work()

# ==== hundred_short_threads (threads)
import _thread
import threading

lock = threading.Lock()


def f(n):
    abs(n)
    lock.release()


for i in range(100):
    lock.acquire()
    _thread.start_new_thread(f, (i,))
    lock.acquire()
    lock.release()

# ==== trace_functions_in_threads (threads)
import sys
import threading


def trace(frame, event, arg):
    return trace


def f(n):
    return abs(n)


threading.settrace(trace)
t = threading.Thread(target=f, args=(1,))
t.start()
t.join()
threading.settrace(None)
