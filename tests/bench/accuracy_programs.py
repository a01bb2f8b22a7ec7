# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of many kinds, to measure the error of reported times: name -> function of n.

The error of a profiler depends on the mix of calls and other work, so the mixes differ as much as
possible. pyshim-read does not calibrate itself with any of these programs. Some of its own
calibration programs are similar, and were chosen knowing the errors of these.
"""

import argparse
import ast
import asyncio
import dataclasses
import difflib
import functools
import json
import re
import string
import sys
import textwrap
from collections import OrderedDict, namedtuple
from pathlib import Path

DEBIAN = "/usr/lib/python3/dist-packages"  # pure Python: good for every version
TEXT = " ".join("%s%d, %s;" % (w, i, w * 2) for i, w in enumerate(string.ascii_lowercase * 4))


def queens(columns, row, size):
    if row == size:
        return 1
    found = 0
    for column in range(size):
        for r, c in enumerate(columns):
            if c == column or abs(c - column) == row - r:
                break
        else:
            found += queens(columns + [column], row + 1, size)
    return found


def recursion(n):
    for _ in range(n):
        queens([], 0, 6)


def ackermann(m, n):
    if not m:
        return n + 1
    return ackermann(m - 1, ackermann(m, n - 1) if n else 1)


def deep(n):
    for _ in range(n):
        ackermann(2, 9)


class Tree:
    def __init__(self, depth):
        self.value = depth
        self.left = Tree(depth - 1) if depth else None
        self.right = Tree(depth - 1) if depth else None

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.value
        if self.right:
            yield from self.right


def evens(values):
    for value in values:
        if value % 2 == 0:
            yield value * 3


def generators(n):
    tree = Tree(6)
    for _ in range(n):
        sum(evens(tree))
        max(x + y for x, y in zip(evens(range(200)), tree))


def tiny_c(n):
    words = TEXT.split()
    for _ in range(n):
        seen, order = {}, []
        for word in words:
            if isinstance(word, str) and word.endswith(","):
                order.append(word.strip(","))
                seen.setdefault(word[0], []).append(len(word))
            elif hash(word) & 1:
                seen.pop(word, None)
        order.sort()
        "".join(order)


Row = namedtuple("Row", "name age city")


def by_age(a, b):
    return a.age - b.age


def sort_keys(n):
    rows = [Row("n%d" % (i * 7919 % 1000), i * 31 % 90, i % 13) for i in range(400)]
    for _ in range(n):
        rows.sort(key=lambda r: (r.city, r.name))
        rows.sort(key=lambda r: r.age, reverse=True)
        sorted(rows[:100], key=functools.cmp_to_key(by_age))
        max(rows, key=lambda r: r.name)


def json_text(n):
    value = {"rows": [{"id": i, "name": "row %d" % i, "at": [i / 3, None, True]} for i in range(60)]}
    for _ in range(n):
        text = json.dumps(value, indent=1, sort_keys=True)
        assert json.loads(text, object_hook=OrderedDict)["rows"]


def regex(n):
    word, number = re.compile(r"([a-z]+)(\d+),\s*"), re.compile(r"\d")
    for i in range(n):
        word.sub(lambda m: m.group(2) + m.group(1).upper(), TEXT)
        for match in number.finditer(TEXT[:200]):
            match.start()
        re.compile(r"(?P<a>x|y{2,%d})[a-f]*(?=z)\s+\w?" % (2 + i % 500))
        re.purge()


class Vector:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __eq__(self, other):
        return self.x == other.x and self.y == other.y

    @property
    def norm(self):
        return self.x * self.x + self.y * self.y


class Shape:
    def __init__(self, name):
        self.name = name
        self.at = Vector(0, 0)

    def move(self, by):
        self.at = self.at + by
        return self

    def area(self):
        raise NotImplementedError


class Square(Shape):
    def __init__(self, name, side):
        super().__init__(name)
        self.side = side

    def area(self):
        return self.side**2


@dataclasses.dataclass(order=True)
class Item:
    weight: int
    name: str = "x"


def classes(n):
    step = Vector(1, 2)
    for i in range(n):
        shapes = [Square("s%d" % k, k) for k in range(30)]
        for shape in shapes:
            shape.move(step).move(step)
            if shape.area() > 100 and shape.at.norm and shape.at == step:
                shape.name += "!"
        min(Item(k % 7) for k in range(20))


class Guard:
    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        return kind is KeyError


def parse(text, depth):
    if depth:
        return parse(text, depth - 1)
    return int(text)


def exceptions(n):
    for _ in range(n):
        for text in ("1", "x", "22", "", "y"):
            try:
                parse(text, 3)
            except ValueError as e:
                str(e)
            finally:
                with Guard():
                    {}[text]
        getattr(n, "nothing", None)


async def produce(queue, n):
    for i in range(n):
        await queue.put(i)
    await queue.put(None)


async def consume(queue, lock):
    total = 0
    while True:
        item = await queue.get()
        if item is None:
            return total
        async with lock:
            total += item


async def tasks(n):
    queue, lock = asyncio.Queue(4), asyncio.Lock()
    for _ in range(n):
        await asyncio.gather(produce(queue, 60), consume(queue, lock),
                             *[asyncio.sleep(0) for _ in range(10)])


def asyncio_tasks(n):
    asyncio.run(tasks(n))


def sympy(n):
    from sympy import ZZ, Matrix, factorint
    from sympy.polys.rings import ring

    r, x, y = ring("x,y", ZZ)
    for _ in range(n):
        p = (x + y + 1) ** 3
        (p * (x - y)).gcd(p)
        Matrix(2, 2, lambda i, j: i * j + 1 + (i == j)).det()
        factorint(2**31 + 1)


def jinja2(n):
    import jinja2

    env = jinja2.Environment(autoescape=True, cache_size=0)
    source = ("{% macro row(x) %}<i>{{ x.v * 2 }}</i>{% endmacro %}{% for x in items if x.v % 2 %}"
              "{{ row(x) }}{{ loop.index }}{% else %}-{% endfor %}{{ text|wordwrap(20)|upper }}")
    items = [{"k": i % 3, "v": i} for i in range(20)]
    for _ in range(n):
        template = env.from_string(source)
        for _ in range(4):
            template.render(items=items, text="a word " * 10)


def pygments(n):
    import pygments
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    source = Path(dataclasses.__file__).read_text()[20000:20500]
    lexer, formatter = PythonLexer(), HtmlFormatter()
    for _ in range(n):
        pygments.highlight(source, lexer, formatter)


def arguments(n):
    for _ in range(n):
        parser = argparse.ArgumentParser(prog="tool", description="Does " + "this and that, " * 9)
        parser.add_argument("--size", type=int, default=3, metavar="N", help="how large (%(default)s)")
        parser.add_argument("-v", "--verbose", action="count", help="say more")
        parser.add_argument("files", nargs="*")
        for i in range(3):
            parser.parse_args(["--size", str(i), "-vv", "a", "b"])
        parser.format_help()


class Renamed(ast.NodeTransformer):
    def visit_Name(self, node):
        return ast.copy_location(ast.Name(node.id + "_", node.ctx), node)


def syntax(n):
    source = textwrap.dedent("""
        def f(a, *b, c=1):
            for i in range(a):
                if i % 2 and b[i] > c or not a:
                    c += [x * i for x in b if x is not None][0]
                else:
                    yield c, {"k": a - 1, **{}}
        """)
    for _ in range(n):
        tree = Renamed().visit(ast.parse(source))
        sum(isinstance(node, ast.Name) for node in ast.walk(tree))
        ast.dump(tree)


def differences(n):
    a = [w + "\n" for w in TEXT.split()[:60]]
    b = a[:10] + ["new\n", "x %s" % a[11]] + a[14:30] + a[33:]
    for _ in range(n):
        list(difflib.unified_diff(a, b))
        list(difflib.ndiff(a[8:16], b[8:16]))


def flat(n):
    total = 0
    for i in range(n * 1000):
        total = (total * 3 + i) % 1000003
        if total & 1:
            total ^= 5
    return total


def flat_in_c(n):
    """A program without calls that spends its time inside slow bytecodes instead of in many fast
    ones.
    """
    found, numbers, big, modulus = 0, tuple(range(100)), 3**400, 7**300
    for _ in range(n):
        found += (-1 in numbers) + (big * big % modulus > 0)
    return found


OURS = (recursion, deep, generators, tiny_c, sort_keys, json_text, regex, classes, exceptions,
        asyncio_tasks, sympy, jinja2, pygments, arguments, syntax, differences)
PROGRAMS = {f.__name__: f for f in OURS}
sys.path.append(DEBIAN)
