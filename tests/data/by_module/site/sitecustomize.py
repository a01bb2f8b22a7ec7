# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes what a program's calls are, as sys.setprofile reports them, to the file TRUTH_TO.

Without TRUTH_TO, the run begins and ends in the same way for the shim: see
programs/site/sitecustomize.py. A tick passes at each event. The result is the tree of calls in
JSON: [[parent, function, calls, own ticks], ...], and the functions: [file, line, name, module].
The module is what Python says: __name__ of a function's globals, __module__ of a C function or of
the type that has it.
"""

import atexit
import gc
import importlib  # noqa: F401  (gives importlib._bootstrap its name)
import json
import os
import sys
import types

gc.disable()
to = os.environ.get("TRUTH_TO")
finish, argument = (sys.setprofile, None) if to else (os._exit, 0)

nodes = [[0, None, 0, 0]]  # of the tree; the first is the root
children = {}  # (parent, function) -> node
functions = {}  # function -> its number
current = last = now = 0
running = False


@atexit.register
def end():
    sys.stdout.flush()
    finish(argument)
    with open(to, "w") as f:
        json.dump({"nodes": nodes, "functions": list(functions)}, f)
    os._exit(0)


def c_function(f):
    """Returns the module of a C function. A class method's label does not name one."""
    self, name = getattr(f, "__self__", None), f.__name__
    if f is sys.setprofile:
        return "posix"  # stands for os._exit
    owner = getattr(f, "__objclass__", None)
    if owner is None and self is not None and not isinstance(self, types.ModuleType):
        owner = next((t for t in reversed(type(self).__mro__) if name in vars(t)), None)
        if owner is None or name == "__new__":
            return "builtins"
    return owner.__module__ if owner else f.__module__ or "builtins"


def enter(function):
    global current
    number = functions.setdefault(function, len(functions))
    node = children.get((current, number))
    if node is None:
        node = children[current, number] = len(nodes)
        nodes.append([current, number, 0, 0])
    nodes[node][2] += 1
    current = node


def tick():
    global now, last
    now += 1
    nodes[current][3] += now - last
    last = now


def event(frame, what, arg):
    global running, current
    if not running:
        if what != "call" or frame.f_globals["__name__"] != "__main__":
            return
        running = True
    tick()
    if what == "call":
        code = frame.f_code
        enter((code.co_filename, code.co_firstlineno, code.co_name, frame.f_globals["__name__"]))
    elif what == "c_call":
        enter(("~", 0, arg.__name__, c_function(arg)))
    else:
        current = nodes[current][0]


if to:
    sys.setprofile(event)
