# SPDX-License-Identifier: LGPL-2.1-or-later
"""trees.py HOW: a tree of processes. Each calls leaf() some times and prints "PID PARENT CALLS".

`child N` is the command of a newly started process.
"""

import os
import subprocess
import sys
import threading

CHILD = [sys.executable, "-S", __file__, "child"]


def leaf():
    pass


def call(n):
    for i in range(n):
        leaf()


def say(n):
    os.write(1, b"%d %d %d\n" % (os.getpid(), os.getppid(), n))


def work(n):
    """Makes all calls of a child that makes no others."""
    say(n)
    call(n)


def child(n):
    work(int(n))


def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0


def fork_and_work(n):
    pid = os.fork()
    if not pid:
        work(n)
        os._exit(0)
    return pid


def fork():
    call(10)
    pid = fork_and_work(111)
    call(20)
    wait(pid)
    say(30)


def fork_and_return():
    """The child returns through the frames that were open at the fork."""
    call(10)
    pid = os.fork()
    call(20)
    if pid:
        wait(pid)
        say(30)
    else:
        say(20)


def fork_many():
    call(10)
    pids = [fork_and_work(1000 + i) for i in range(20)]
    for pid in pids:
        wait(pid)
    say(10)


def fork_in_a_fork():
    pid = os.fork()
    if not pid:
        call(5)
        wait(fork_and_work(77))
        say(5)
        os._exit(0)
    call(7)
    wait(pid)
    say(7)


def fork_in_a_thread():
    def run():
        call(11)
        wait(fork_and_work(222))

    threads = [threading.Thread(target=run) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(33)


def fork_beside_busy_threads():
    stop = []

    def run():
        while not stop:
            sum(range(10))

    threads = [threading.Thread(target=run) for i in range(3)]
    for thread in threads:
        thread.start()
    for i in range(10):
        call(10)
        wait(fork_and_work(300 + i))
    stop.append(True)
    for thread in threads:
        thread.join()
    say(100)


def multiprocessing_(method):
    import multiprocessing

    context = multiprocessing.get_context(method)
    processes = [context.Process(target=work, args=(400 + i,)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with context.Pool(2) as pool:
        assert pool.map(abs, range(20)) == list(range(20))
        pool.close()
        pool.join()
    call(40)
    say(40)


def multiprocessing_fork():
    multiprocessing_("fork")


def multiprocessing_spawn():
    multiprocessing_("spawn")


def multiprocessing_forkserver():
    multiprocessing_("forkserver")


def posix_spawn():
    call(10)
    wait(os.posix_spawn(sys.executable, [*CHILD, "123"], os.environ))
    wait(os.posix_spawn("/bin/true", ["true"], os.environ))
    call(20)
    say(30)


def subprocess_():
    """Uses vfork, if the interpreter does."""
    for i in range(5):
        call(2)
        subprocess.run([*CHILD, str(500 + i)], check=True)
        call(3)
        subprocess.run(["/bin/true"], check=True)
    say(25)


def subprocess_by_fork():
    subprocess.run([*CHILD, "5"], check=True, preexec_fn=lambda: work(3))
    call(10)
    say(10)


def subprocess_through_a_shell():
    command = "'%s' -S '%s' child 600; true; '%s' -S '%s' child 601" % (
        sys.executable, __file__, sys.executable, __file__)
    subprocess.run(command, shell=True, check=True)
    call(10)
    say(10)


def daemon_by_double_fork():
    call(10)
    pid = os.fork()
    if not pid:
        os.setsid()
        if os.fork():
            say(0)
            os._exit(0)
        call(1000)
        say(1000)
        os._exit(0)
    wait(pid)
    call(20)
    say(30)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
