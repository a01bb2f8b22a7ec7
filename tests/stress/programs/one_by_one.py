# SPDX-License-Identifier: LGPL-2.1-or-later
"""one_by_one.py THREADS CALLS: runs threads one after the other. Ends as fixed.py does."""

import _thread
import posix
import sys


def leaf():
    pass


def thread(calls, done):
    for i in range(calls):
        leaf()
    done.release()


def one(calls):
    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(thread, (calls, done))
    done.acquire()


def main(threads, calls):
    for i in range(threads):
        one(calls)


main(int(sys.argv[1]), int(sys.argv[2]))
for count in iter(_thread._count, 0):  # until the last thread has returned as well
    pass
posix.write(1, b".")
posix.read(0, 1)
