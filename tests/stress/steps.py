# SPDX-License-Identifier: LGPL-2.1-or-later
"""Single-steps a process by ptrace from a kill point on. At each step it might be killed.

A kill point calls kill(getpid(), SIGKILL). The tracer intercepts that system call, cancels it, and
continues one instruction at a time. x86-64 only.
"""

import ctypes
import os
import platform
import signal

SEIZE, INTERRUPT, SYSCALL, SINGLESTEP, CONT, DETACH = 0x4206, 0x4207, 24, 9, 7, 17
PEEKUSER, POKEUSER, SETOPTIONS = 3, 6, 0x4200
O_TRACESYSGOOD, O_EXITKILL = 1, 0x00100000
RSI, ORIG_RAX = 13 * 8, 15 * 8
DEBUG_REGISTERS = 848  # offset in struct user
WATCH_8_BYTES_WRITTEN = 0x90001  # DR7: register 0, enabled, on writes of 8 bytes
SYS_KILL = 62
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def unavailable():
    """Returns the reason why stepping is impossible here, or None."""
    if platform.machine() != "x86_64":
        return "single steps are known for x86_64 only, this is %s" % platform.machine()
    child = os.fork()
    if not child:
        signal.pause()
    try:
        _ptrace(SEIZE, child)
        return None
    except OSError as e:
        return "ptrace: %s" % e.strerror
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, WALL)


def _ptrace(request, pid, addr=0, data=0):
    ctypes.set_errno(0)
    result = _libc.ptrace(request, pid, addr, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def address_of(pid, path):
    """Returns the address at which a process has mapped the start of a file."""
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            words = line.split()
            if len(words) > 5 and words[5] == str(path) and int(words[2], 16) == 0:
                return int(words[0].split("-")[0], 16)
    raise LookupError("process %d has not mapped %s" % (pid, path))


class Steps:
    """A traced process, which runs only by these methods. It is killed with the tracer."""

    def __init__(self, pid):
        self.pid = pid
        _ptrace(SEIZE, pid, 0, O_TRACESYSGOOD | O_EXITKILL)
        _ptrace(INTERRUPT, pid)
        self._wait()

    def _wait(self):
        """Returns the signal that it stopped with; 0x80 is added for a system call."""
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError("the traced process has ended, status %#x" % status)
        return status >> 8 & 0xff, status >> 16

    def run_to_kill(self):
        """Continues until it is about to kill itself, and cancels that."""
        deliver = 0
        while True:
            _ptrace(SYSCALL, self.pid, 0, deliver)
            stopped, event = self._wait()
            deliver = 0 if event or stopped & 0x80 else stopped
            if (stopped & 0x80 and _ptrace(PEEKUSER, self.pid, ORIG_RAX) == SYS_KILL
                    and _ptrace(PEEKUSER, self.pid, RSI) == signal.SIGKILL):
                _ptrace(POKEUSER, self.pid, ORIG_RAX, ctypes.c_void_p(-1))
                return

    def step(self, n=1):
        deliver = 0
        for _ in range(n):
            _ptrace(SINGLESTEP, self.pid, 0, deliver)
            stopped, event = self._wait()
            deliver = 0 if event or stopped == signal.SIGTRAP else stopped

    def step_until(self, condition, most):
        for _ in range(most):
            if condition():
                return True
            self.step()
        return False

    def run_to_write(self, address):
        """Continues until the 8 bytes at this address have been written."""
        _ptrace(POKEUSER, self.pid, DEBUG_REGISTERS, address)
        _ptrace(POKEUSER, self.pid, DEBUG_REGISTERS + 7 * 8, WATCH_8_BYTES_WRITTEN)
        deliver = 0
        while True:
            _ptrace(CONT, self.pid, 0, deliver)
            stopped, event = self._wait()
            if stopped == signal.SIGTRAP and not event:
                break
            deliver = 0 if event else stopped
        _ptrace(POKEUSER, self.pid, DEBUG_REGISTERS + 7 * 8, 0)

    def go_on(self):
        """Continues untraced."""
        _ptrace(DETACH, self.pid)
