# SPDX-License-Identifier: LGPL-2.1-or-later
"""ends.py HOW: calls leaf() 1000 times and ends in the given way."""

import os
import signal
import sys
import threading


def leaf():
    pass


def branch(n):
    for i in range(n):
        leaf()


def return_():
    pass


def sys_exit():
    sys.exit(3)


def sys_exit_in_a_thread():
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()


def uncaught():
    raise ValueError("uncaught")


def uncaught_from_deep_within(n=50):
    uncaught_from_deep_within(n - 1) if n else uncaught()


def runaway():
    runaway()


def os__exit():
    os._exit(4)


def os__exit_in_a_thread():
    thread = threading.Thread(target=os._exit, args=(5,))
    thread.start()
    thread.join()
    signal.pause()


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


def sigterm_handled():
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(6))
    sigterm()


def sigint():
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()


def sigkill():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def sigsegv():
    import ctypes

    ctypes.string_at(0)


def abort():
    os.abort()


def execv():
    os.execv(sys.executable, [sys.executable, "-S", __file__, "return_"])


def execv_in_a_thread():
    thread = threading.Thread(target=execv)
    thread.start()
    thread.join()
    signal.pause()


def execv_something_else():
    os.execv("/bin/true", ["/bin/true"])


def daemons():
    """Daemon threads that still work when the interpreter is finalized."""
    started = []

    def work(number):
        started.append(number)
        while True:
            sum(range(100))

    for i in range(4):
        threading.Thread(target=work, args=(i,), daemon=True).start()
    while len(started) < 4:
        pass


def non_daemons():
    """Threads that Python joins at its end."""
    for i in range(4):
        threading.Thread(target=branch, args=(1000,)).start()


def atexit_():
    import atexit

    atexit.register(branch, 1000)


def atexit_that_exits():
    import atexit

    atexit.register(branch, 1000)
    atexit.register(os._exit, 7)  # comes first


branch(1000)
globals()[sys.argv[1]]()
