# SPDX-License-Identifier: LGPL-2.1-or-later
"""counted.py SHARED SCENARIO: publishes the number of calls of each of its functions, at every
call.

SHARED is a file of 64-bit words. A function named KIND_WORD_SLOT first adds 1 to that word, each
time it is called or resumed. A thread runs the functions of one slot. So whenever this process
ends, the file has all calls, except for the one call that each thread may have begun but not yet
counted.

Further words of a slot: the word after that of a `rec` has its primitive calls, and the last word
has the number of calls of abs() about to be made. Word 0 becomes 1 when everything has run once.
"""

import itertools
import mmap
import os
import signal
import sys
import threading

WORDS_PER_SLOT = 32
ABS = WORDS_PER_SLOT - 1
FUNCTIONS = {
    "leaf": "def NAME(): c[I] += 1",
    "key": "def NAME(x):\n c[I] += 1\n return -x",
    "rec": "def NAME(n, top=True):\n c[I] += 1\n if top: c[I + 1] += 1\n if n: NAME(n - 1, False)",
    "gen": "def NAME():\n c[I] += 1\n yield 1\n c[I] += 1\n yield 2\n c[I] += 1",
    "ever": "def NAME():\n c[I] += 1\n while 1:\n  try: yield\n  except KeyError: pass\n  c[I] += 1",
    "coro": "async def NAME():\n c[I] += 1",
    "throw": "def NAME():\n c[I] += 1\n raise KeyError",
    "through": "def NAME(f):\n c[I] += 1\n f()",
}

with open(sys.argv[1], "r+b") as shared:
    c = memoryview(mmap.mmap(shared.fileno(), 0)).cast("Q")


def make(kind, slot, text, i, n=""):
    name = "%s%s_%d_%d" % (kind, n, i, slot)
    space = {"c": c}
    text = text.replace("NAME", name).replace("[I", "[%d" % i)
    exec(compile(text, "<%s>" % kind, "exec"), space)
    # A recursive function must find itself; any other must be freed when it is dropped.
    return space[name] if kind == "rec" else space.pop(name)


class Slot:
    """The functions of one slot, and the work of its thread."""

    def __init__(self, number):
        self.number = number
        self.base = WORDS_PER_SLOT * (number + 1)
        self.fresh = itertools.count()
        for k, (kind, text) in enumerate(FUNCTIONS.items()):
            setattr(self, kind, make(kind, number, text, self.base + 2 * k))
        self.going_on = self.ever()
        next(self.going_on)

    def make(self, kind, k, n=""):
        """Returns a function that is compiled, called once and dropped."""
        make(kind, self.number, "def NAME(): c[I] += 1", self.base + k, n)()

    def calls(self):
        for i in range(7):
            self.leaf()
        self.rec(5)
        sorted((3, 1, 2), key=self.key)
        c[self.base + ABS] += 1
        abs(-1)

    def generators(self):
        for i in self.gen():
            self.leaf()
        next(self.going_on)
        self.going_on.throw(KeyError())
        try:
            self.coro().send(None)
        except StopIteration:
            pass

    def exceptions(self):
        try:
            self.through(self.throw)
        except KeyError:
            pass

    def made(self):
        self.make("made", 20)
        self.make("alias", 21, next(self.fresh) % 50)
        self.make("fresh", 22, next(self.fresh))

    def everything(self, times=65):
        for i in range(times):
            self.calls()
            self.generators()
            self.exceptions()
            if i % 4 == 0:
                self.made()
            if i % 64 == 0:
                self.rec(300)


def calls():
    slot = Slot(0)
    while True:
        slot.calls()
        yield


def mix():
    slot = Slot(0)
    while True:
        slot.everything()
        yield


def forever(work, *args):
    while True:
        work(*args)


def threads(what=Slot.everything, *args):
    slots = [Slot(i) for i in range(4)]
    for slot in slots[1:]:
        threading.Thread(target=forever, args=(what, slot, *args), daemon=True).start()
    while True:
        what(slots[0], *args)
        if all(c[slot.base] for slot in slots):
            yield


def calls_in_threads():
    yield from threads(Slot.calls)


def daemons():
    """Ends while the daemon threads are still working."""
    for i in threads():
        yield
        return


def forks():
    """Children start and end. Their words are those of slots 1 to 3."""
    slots = [Slot(i) for i in range(4)]
    for n in itertools.count():
        pid = os.fork()
        if not pid:
            slot = slots[1 + n % 3]
            slot.fresh = itertools.count(1000 * (n + 1))
            slot.everything(1 + n % 40)
            os._exit(0)
        slots[0].everything(n % 20)
        os.waitpid(pid, 0)
        yield


def short_threads():
    slots = [Slot(i) for i in range(3)]
    for n in itertools.count():
        running = [threading.Thread(target=slot.everything, args=(1 + n % 40,)) for slot in slots]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        yield


signal.alarm(120)  # the process that should kill this one may have died
sys.setswitchinterval(1e-4)
for _ in globals()[sys.argv[2]]():
    c[0] = 1
