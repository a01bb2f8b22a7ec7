# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: counted.py N KIND...

What tests/bench/instructions.py counts the instructions of. Between two calls of os.getppid() lies
one stretch: of each KIND each of its VARIANTS, first N pairs of events and then 3 N, the stretch's
own call among them. valgrind closes a part of its output whenever getppid() is called.

The variants do the same with other functions: a function whose address shares its place in a hash
table with another takes longer to be found, and which one that is depends on the machine.
"""

import os
import sys

VARIANTS = 4


def new_stretch(body, before="pass"):
    """A function of n that runs `body`; its code objects, and those of `before`, are new ones."""
    scope = {}
    exec("%s\ndef stretch(n):\n    %s" % (before, body), scope)
    return scope["stretch"]


def calls(expression):
    return new_stretch("for _ in range(n - 1): " + expression, "def function(): pass")


def resumes():
    body = "for _ in function(n - 2): pass"  # the generator's end is one more
    return new_stretch(body, "def function(n):\n    yield from range(n)")


KINDS = {
    "call": [calls("function()") for _ in range(VARIANTS)],
    "c_call": [calls(e) for e in ("len(())", "hash(1)", "callable(1)", "id(1)")],
    "c_method": [calls(e) for e in ("{}.get(1)", "''.lower()", "b''.find(1)", "().count(1)")],
    "resume": [resumes() for _ in range(VARIANTS)],
}


def main(n, kinds):
    close_part = iter(os.getppid, -1)  # is called from C: no event
    stretches = [stretch for kind in kinds for stretch in KINDS[kind]]
    for stretch in stretches:  # what is seen for the first time, and what warms up
        stretch(200)
    for length, stretch in [(1, calls("0"))] + [(m, s) for s in stretches for m in (n, 3 * n)]:
        stretch(length)
        for _ in close_part:
            break


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
