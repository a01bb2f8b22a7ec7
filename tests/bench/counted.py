# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: counted.py N KIND...

The program that tests/bench/instructions.py counts instructions of. For each KIND and each of its
VARIANTS it runs N pairs of events and then 3 N, including the call of the loop itself. It calls
os.getppid() between the two: valgrind closes a part of its output at each getppid().

Variants do the same with other functions. A function whose address collides with another in a hash
table takes longer to find, and the collisions depend on the machine.
"""

import os
import sys

VARIANTS = 4


def new_stretch(body, before="pass"):
    """Returns a function of n that runs `body`. Its code objects and those of `before` are new."""
    scope = {}
    exec("%s\ndef stretch(n):\n    %s" % (before, body), scope)
    return scope["stretch"]


def calls(expression):
    return new_stretch("for _ in range(n - 1): " + expression, "def function(): pass")


def resumes():
    body = "for _ in function(n - 2): pass"  # the generator's end is one more event
    return new_stretch(body, "def function(n):\n    yield from range(n)")


KINDS = {
    "call": [calls("function()") for _ in range(VARIANTS)],
    "c_call": [calls(e) for e in ("len(())", "hash(1)", "callable(1)", "id(1)")],
    "c_method": [calls(e) for e in ("{}.get(1)", "''.lower()", "b''.find(1)", "().count(1)")],
    "resume": [resumes() for _ in range(VARIANTS)],
}


def main(n, kinds):
    close_part = iter(os.getppid, -1)  # called from C: no event
    stretches = [stretch for kind in kinds for stretch in KINDS[kind]]
    for stretch in stretches:  # first calls and warm-up
        stretch(200)
    for length, stretch in [(1, calls("0"))] + [(m, s) for s in stretches for m in (n, 3 * n)]:
        stretch(length)
        for _ in close_part:
            break


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
