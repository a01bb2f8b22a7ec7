# SPDX-License-Identifier: LGPL-2.1-or-later
"""Modules that call each other through each other, in several kinds of packages."""

import collections
import json
import sys
import threading  # noqa: F401  (its _shutdown runs before the end)

import libx
import ns.leaf
import pkg
import pkg.sub.deep
import spaced.one.code
import spaced.two.code
from pkg import walk

Point = collections.namedtuple("Point", "x y")


def visit(n):
    """The script's own module is called again from pkg.walk, and by C functions."""
    return n + walk.down(n - 1, visit) if n > 0 else 0


def numbers(n):
    for i in range(n):
        yield libx.square(i, key=lambda v: v + 1)


for i in list(range(6)) * int(sys.argv[1]):
    visit(i)
    pkg.entry(i, visit)
    pkg.sub.deep.dive(i, ns.leaf.touch)
    sorted(numbers(i), key=spaced.one.code.order)
    list(map(spaced.two.code.twice, [Point(i, i).x] * i))
    try:
        json.loads(json.dumps({"a": [i]})[i:])
    except ValueError:
        pass
