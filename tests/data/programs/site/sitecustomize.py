# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gives a program one exact beginning and one exact end, for two profilers to be compared.

Both runs of tests/integration/test_cprofile.py are `python PROGRAM` with this folder first in
PYTHONPATH, so that what is imported before the program is the same in both.

The beginning is the call of the main `<module>`. The shim begins there by itself. For _lsprof, an
audit hook enables it at the `exec` event of the main code object, the last thing before that call:
nothing inside an audit hook is profiled, the return from the hook included, so the first event is
the call itself, and the `exec` and its driver that cProfile's own reports show do not exist.

The end is the last line of `end`, which runs after threading._shutdown and all other atexit
functions, being the first that was registered. The shim's run leaves through os._exit there,
_lsprof's through Profiler.disable: the one label that differs.

The collector is off: when it runs depends on how many objects a profiler itself allocates, and
finalizers and weakref callbacks are calls.
"""

import atexit
import gc
import itertools
import marshal
import os
import sys

from _lsprof import Profiler

for name in os.environ.get("PRELOAD", "").split():
    __import__(name)
gc.disable()
profiler = Profiler(itertools.count().__next__, 1.0)
dump_to = os.environ.get("PROFILE_TO")
finish, arguments = (profiler.disable, ()) if dump_to else (os._exit, (0,))


@atexit.register
def end():
    sys.stdout.flush()
    finish(*arguments)
    with open(dump_to, "wb") as f:
        marshal.dump(added_up(profiler.getstats()), f)
    os._exit(0)


def label(code):
    if isinstance(code, str):
        return ("~", 0, code)
    return (code.co_filename, code.co_firstlineno, code.co_name)


def added_up(entries):
    """{function: [pcalls, calls, tottime, cumtime, {caller: [calls, pcalls, tottime, cumtime]}]}
    with times in ticks; what shares a label is added, where cProfile keeps one of them."""
    stats = {}

    def fields(e):
        return (e.callcount, e.callcount - e.reccallcount, int(e.inlinetime), int(e.totaltime))

    def add(total, values):
        total[:4] = [a + b for a, b in zip(total, values)]

    for e in entries:
        nc, cc, tt, ct = fields(e)
        add(stats.setdefault(label(e.code), [0, 0, 0, 0, {}]), (cc, nc, tt, ct))
    for e in entries:
        for sub in e.calls or ():
            callers = stats[label(sub.code)][4]
            add(callers.setdefault(label(e.code), [0, 0, 0, 0]), fields(sub))
    return stats


if dump_to:

    def begin(event, args):
        global running
        if event == "cpython.run_file":
            running = True
        elif event == "exec" and running:
            running = None
            profiler.enable()

    running = False
    sys.addaudithook(begin)
