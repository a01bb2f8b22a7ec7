# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ground truth: what sys.setprofile in Python sees of `python snippet.py`, kept exactly.

`site` imports this module before __main__ in every run that has its folder in PYTHONPATH: in those
under the shim, where it only makes the run repeatable, and in those with TRUTH_OUT in the
environment, where it profiles as well. So both are one command line, one __main__, one set of
imported modules and one end of the process, and nothing has to be filtered out afterwards.

Repeatable: no cyclic collection but those asked for, and a thread runs until it blocks. The code
of threading.Event asks "has it been set?" and waits only if not, so its calls depend on who runs.

The recording begins with the call of the <module> whose globals are __main__'s and continues to
the end of the process. A file TRUTH_OUT.START.end (START: the monotonic clock) is written
- at a call that may end the process (posix._exit, abort, kill, execv, execve), with what is open,
- each time that the main thread has nothing running any more after __main__: at its return, after
  threading._shutdown, after each atexit function, after each finalizer. The last one stays.
TRUTH_OUT.START.module is the same at the return of __main__, for the comparison with _lsprof.
A file is a marshal of [thread], thread = (functions, edges, stack, inherited, stray):
  functions  {key: (label, open calls, finished calls, recursive ones)}
  edges      {(caller's key, key): (open calls, finished calls, recursive ones)}
  stack      the keys of the open calls; the first `inherited` of them were open at the fork
  stray      events of returns that no call belongs to
A key is the identity of a code object (kept alive) or the address of a C function's PyMethodDef.

A forked child starts over with the stack of the thread that forked: its open calls make further
calls of the same function recursive, but are not counted themselves.

This module changes the run: start_new_thread becomes a Python function, so that each thread
is profiled from its first frame. Events of its code objects (own) are dropped, except for the call
of the real start_new_thread. A C function given to start_new_thread is called by C (a partial
object), as it is without this module, so it makes no event. Threads of other origin are not seen.
"""

import gc
import posix
import sys
import time

import _ctypes
import _functools
import _thread
import marshal

gc.disable()
sys.setswitchinterval(1000)


class _Pointer(_ctypes._SimpleCData):
    _type_ = "P"


def _label_of_c(function, m_self, pointer=_Pointer.from_address):
    """The label that _lsprof.c's normalizeUserObj gives a PyCFunctionObject."""
    name, module = function.__name__, function.__module__
    if not m_self:
        return "<%s>" % name if module in (None, "builtins") else "<%s.%s>" % (module, name)
    for cls in type(function.__self__).__mro__:
        if name in cls.__dict__:
            return repr(cls.__dict__[name])
    return "<built-in method %s.%s>" % (module, name) if type(module) is str else \
        "<built-in method %s>" % name


def _truth(out, main):
    getpid, write, from_address = posix.getpid, posix.write, _Pointer.from_address
    setprofile, partial = sys.setprofile, _functools.partial
    last_calls = [getattr(posix, f) for f in ("_exit", "abort", "kill", "execv", "execve")]
    last_calls = {id(f): f for f in last_calls}
    label_of_c = _label_of_c  # the globals are gone when the last finalizers run
    dumps, posix_open, posix_close = marshal.dumps, posix.open, posix.close
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC
    labels, kept, threads = {}, [], []
    pid, now = getpid(), time.monotonic_ns
    started = now()

    def dump(suffix):
        data = dumps([(
            {k: (labels[k], *v) for k, v in functions.items()},
            {k: tuple(v) for k, v in edges.items()}, list(stack), *state)
            for functions, edges, stack, state in threads])
        fd = posix_open("%s.%020d.%s" % (out, started, suffix), flags, 0o600)
        write(fd, data)
        posix_close(fd)

    def start_over(mine):
        nonlocal pid, started
        pid, started = getpid(), now()
        threads[:] = [mine]
        functions, edges, stack, state = mine
        state[:] = len(stack), 0
        for table in functions, edges:
            for counts in table.values():
                counts[1:] = 0, 0

    def tracer(is_main):
        functions, edges, stack = {}, {}, []
        state = [0, 0]  # inherited, stray
        mine = functions, edges, stack, state
        threads.append(mine)
        waiting = is_main

        def enter(key):
            functions.setdefault(key, [0, 0, 0])[0] += 1
            if stack:
                edges.setdefault((stack[-1], key), [0, 0, 0])[0] += 1
            stack.append(key)

        def leave(key):
            if not stack:
                return
            if stack[-1] != key:
                state[1] += 1
                return
            stack.pop()
            new = len(stack) >= state[0]
            state[0] = min(state[0], len(stack))
            pairs = [functions[key]]
            if stack:
                pairs.append(edges[stack[-1], key])
            for counts in pairs:
                counts[0] -= 1
                counts[1] += new
                counts[2] += new and counts[0] > 0

        def trace(frame, event, arg):
            nonlocal waiting, main, is_main
            code = frame.f_code
            if waiting:
                if event != "call" or code.co_name != "<module>" or frame.f_globals is not main:
                    return
                waiting = False
                main = None  # or the finalizers of its globals would never run
            if getpid() != pid:
                start_over(mine)
                is_main = True
            if event == "call" or event == "return":
                if id(code) in own:
                    return
                key = id(code)
                if key not in labels:
                    labels[key] = code.co_filename, code.co_firstlineno, code.co_name
                    kept.append(code)
            else:
                if id(code) in own and id(arg) not in replaced:
                    return
                key = from_address(id(arg) + 16).value
                if key not in labels:
                    labels[key] = "~", 0, label_of_c(arg, from_address(id(arg) + 24).value)
            if event == "call":
                enter(key)
            elif event == "c_call":
                enter(key)
                if id(arg) in last_calls:
                    dump("end")
            else:
                was = len(stack)
                leave(key)
                if is_main and was and not stack:
                    if first_end:
                        first_end.clear()
                        dump("module")
                    dump("end")

        return trace

    first_end = [True]

    def boot(call):
        setprofile(tracer(False))
        call()

    def replace_new(real):
        def start_new_thread(function, args=(), kwargs={}):
            return real(boot, (partial(function, *args, **kwargs),))

        return start_new_thread

    def replace_joinable(real):
        def start_joinable_thread(function, **named):
            return real(partial(boot, partial(function)), **named)

        return start_joinable_thread

    replaced, own = {}, {id(boot.__code__)}
    for name, replace in (("start_new_thread", replace_new), ("start_new", replace_new),
                          ("start_joinable_thread", replace_joinable)):
        real = getattr(_thread, name, None)
        if real:
            replaced[id(real)] = real, replace(real)
            own.add(id(replaced[id(real)][1].__code__))
    for module in _thread, sys.modules.get("threading"):
        for name, value in list(vars(module).items()) if module else ():
            if id(value) in replaced:
                setattr(module, name, replaced[id(value)][1])
    setprofile(tracer(True))


if posix.environ.get(b"TRUTH_OUT"):
    _truth(posix.environ[b"TRUTH_OUT"].decode(), sys.modules["__main__"].__dict__)
