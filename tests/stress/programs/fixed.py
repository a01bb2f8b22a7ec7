# SPDX-License-Identifier: LGPL-2.1-or-later
"""fixed.py ROUNDS THREADS: always makes the same calls, in the main thread and in others.

Prints "." when the work is done, and ends when its standard input ends. Until then the test can
inspect the recording. Uses nothing whose calls depend on timing, such as threading's waits.
"""

import _thread
import posix
import sys


def leaf():
    pass


def branch(n):
    for i in range(n):
        leaf()


def tree(n):
    return tree(n - 1) + tree(n - 1) if n else 1


def even(n):
    return n and odd(n - 1)


def odd(n):
    return n and even(n - 1)


def generator(n):
    for i in range(n):
        try:
            yield branch(1)
        except LookupError:
            leaf()


async def coroutine(n):
    return await coroutine(n - 1) if n else leaf()


def thrower(n):
    if n:
        thrower(n - 1)
    raise LookupError(n)


def key(x):
    return leaf() or -x


def catcher(n):
    try:
        thrower(n)
    except LookupError:
        leaf()


def coroutines(n):
    try:
        coroutine(n).send(None)
    except StopIteration:
        pass


def compiled(n):
    for i in range(n):
        space = {"leaf": leaf}
        exec("def made%d():\n leaf()\n leaf()\nmade%d()" % (i % 3, i % 3), space)
        space.clear()


def generators(n):
    g = generator(n)
    next(g)
    g.throw(LookupError())
    for i in g:
        leaf()


def work(rounds):
    for i in range(rounds):
        branch(20)
        tree(4)
        even(9)
        sorted([3, 1, 2], key=key)
        catcher(4)
        generators(5)
        coroutines(4)
        if i % 16 == 0:
            compiled(4)
            even(400)


def thread(rounds, done):
    try:
        work(rounds)
    finally:
        done.release()


def main(rounds, threads):
    locks = [_thread.allocate_lock() for i in range(threads)]
    for lock in locks:
        lock.acquire()
        _thread.start_new_thread(thread, (rounds, lock))
    work(rounds)
    for lock in locks:
        lock.acquire()


sys.setswitchinterval(1e-3)
main(int(sys.argv[1]), int(sys.argv[2]))
# Waits for the last thread. No event: C code calls _count.
for count in iter(_thread._count, 0):
    pass
posix.write(1, b".")
posix.read(0, 1)
