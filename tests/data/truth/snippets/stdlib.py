# SPDX-License-Identifier: LGPL-2.1-or-later
# The standard library calling back, and C code calling Python.

# ==== re_with_function
import re


def double(m):
    return m.group() * 2


pattern = re.compile(r"\d+")
pattern.sub(double, "a1b22c333"), re.sub("b", lambda m: str(len(m.group())), "abba")
[m.start() for m in pattern.finditer("1 22")], re.split(r"(,)", "a,b"), pattern.findall("1 2")
re.Scanner([("a", lambda s, t: len(t)), ("b", None)]).scan("aab")

# ==== json_hooks
import json


class Odd:
    pass


class Encoder(json.JSONEncoder):
    def default(self, o):
        return "odd" if isinstance(o, Odd) else super().default(o)


def default(o):
    return {"o": 1}


def hook(d):
    return len(d)


json.dumps([Odd(), {"k": Odd()}], default=default), json.dumps([Odd()], cls=Encoder, indent=2)
json.loads('[{"a": {"b": 1}}, 2.5]', object_hook=hook, parse_float=lambda s: float(s))
json.loads('{"a": 1}', object_pairs_hook=dict), list(Encoder().iterencode([1, Odd()]))
try:
    json.dumps(object())
except TypeError:
    pass
try:
    json.loads("{")
except ValueError:
    pass

# ==== collections_module
import collections


class D(collections.defaultdict):
    def __missing__(self, k):
        self[k] = abs(k)
        return self[k]


class U(collections.UserDict):
    def __setitem__(self, k, v):
        super().__setitem__(k, v)


d = collections.defaultdict(lambda: len("x"))
d[1], d[2], D()[3], U(a=1)["a"], U([(1, 2)]).get(1)
c = collections.Counter("abca")
c.most_common(1), c + c, c - c, c.update("ab"), sorted(c.elements())
o = collections.OrderedDict(a=1, b=2)
o.move_to_end("a"), o.popitem(), list(reversed(o))
q = collections.deque(map(str, range(3)), maxlen=2)
q.append(1), q.rotate(1), q.index("2") if "2" in q else 0
m = collections.ChainMap({}, {"k": 1})
m["k"], len(m), m.get("z"), collections.UserList([1]) + [2], collections.UserString("a").upper()

# ==== heapq_bisect_struct
import bisect
import heapq
import struct


class K:
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n


heap = []
for n in (3, 1, 2):
    heapq.heappush(heap, K(n))
heapq.heappop(heap), heapq.nlargest(2, [1, 3, 2], key=lambda x: -x)
heapq.nsmallest(2, map(K, [2, 1, 3]))
heapq.heapify([K(2), K(1)]), list(heapq.merge([1, 3], [2], key=lambda x: x))
list(heapq.merge([1], [2]))
bisect.insort(heap, K(5)), bisect.bisect_left(heap, K(2)), bisect.bisect([1, 2], 1)
struct.pack("<I", 1), struct.unpack("<H", b"ab"), struct.calcsize("q"), struct.Struct("b").pack(1)
list(struct.iter_unpack("b", b"ab"))

# ==== bisect_key (since 3.10)
import bisect


def key(x):
    return -x


xs = [9, 5, 1]
bisect.bisect_left(xs, -5, key=key), bisect.insort(xs, 7, key=key)

# ==== strings
import string
import textwrap


class Table(dict):
    def __missing__(self, k):
        return len("x")


class Fmt(string.Formatter):
    def get_value(self, key, args, kw):
        return super().get_value(key, args, kw)


",".join(str(i) for i in range(3)), "abc".translate(Table()), "a b".split()
"{a}".format_map(Table())
string.Template("$x").substitute(x=1), Fmt().format("{0} {k}", 1, k=2), textwrap.fill("word " * 30)
"x".encode().decode("utf-8", "replace"), "x".center(9), "%s" % 1, string.capwords("a b")
import codecs


def errors(e):
    return "?", e.end


codecs.register_error("mine", errors)
"a\u1234b".encode("ascii", "mine"), codecs.lookup("utf-8").name, "\xe9".encode("latin-1")

# ==== io_in_python
import io


class Raw(io.RawIOBase):
    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def readinto(self, b):
        n = min(len(b), len(self.data))
        b[:n], self.data = self.data[:n], self.data[n:]
        return n


class Out(io.TextIOBase):
    def write(self, s):
        return len(s)


text = io.TextIOWrapper(io.BufferedReader(Raw(b"one\ntwo\nthree"), 4))
list(text), print("x", "y", file=Out()), io.StringIO("a\nb").readlines(), io.BytesIO(b"x").read()
with open(__file__) as f:
    f.readline(), f.tell(), f.read(3)
text.close()

# ==== csv_and_configparser
import configparser
import csv
import io


class W:
    def write(self, s):
        return len(s)


class Dialect(csv.excel):
    delimiter = ";"


def lines():
    yield "a;b"
    yield "1;2"


csv.writer(W()).writerows([[1, 2], [3, "x,y"]]), list(csv.reader(lines(), Dialect()))
list(csv.DictReader(lines(), delimiter=";"))
c = configparser.ConfigParser()
c.read_string("[s]\na = 1\nb = %(a)s2\n")
c.get("s", "b"), c.getint("s", "a"), c.has_option("s", "x")

# ==== ast_and_tokenize
import ast
import io
import tokenize


class V(ast.NodeVisitor):
    def visit_Name(self, node):
        return len(node.id)


class T(ast.NodeTransformer):
    def visit_BinOp(self, node):
        return self.generic_visit(node)


tree = ast.parse("def f(x):\n    return [x + y for y in range(3) if y]\n")
V().visit(tree), T().visit(tree), ast.dump(tree), list(ast.walk(tree))
ast.literal_eval("[1, {2: 3}]")
list(tokenize.generate_tokens(io.StringIO("a = 1 + (2,)\n").readline))
compile(tree, "<tree>", "exec")

# ==== argparse_parser
import argparse


class Action(argparse.Action):
    def __call__(self, parser, space, values, option=None):
        setattr(space, self.dest, len(values))


def number(s):
    return int(s)


p = argparse.ArgumentParser(prog="p")
p.add_argument("--n", type=number, default=1)
p.add_argument("--a", action=Action)
p.add_argument("rest", nargs="*")
sub = p.add_mutually_exclusive_group()
sub.add_argument("-v", action="store_true")
p.parse_args(["--n", "3", "--a=xyz", "-v", "r"]), p.format_usage()

# ==== unittest_run
import io
import unittest


class T(unittest.TestCase):
    def setUp(self):
        self.x = len("x")

    def test_ok(self):
        self.assertEqual(self.x, 1)
        with self.assertRaises(KeyError):
            {}[1]

    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertTrue(i >= 0)

    @unittest.skip("no")
    def test_skipped(self):
        pass


suite = unittest.defaultTestLoader.loadTestsFromTestCase(T)
unittest.TextTestRunner(stream=io.StringIO()).run(suite)

# ==== logging_handlers
import logging


class H(logging.Handler):
    def emit(self, record):
        len(self.format(record))


log = logging.getLogger("a.b")
log.addHandler(H())
log.addFilter(lambda r: r.levelno > 10)
log.setLevel(logging.DEBUG)
log.info("x %s", 1), log.debug("dropped"), log.warning("y")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("z")

# ==== numbers
import decimal
import fractions
import math
import random
import statistics


class N:
    def __float__(self):
        return abs(2.0)

    def __ceil__(self):
        return 1

    def __index__(self):
        return 5


math.sqrt(N()), math.ceil(N()), math.gcd(4, 6), math.fsum([1, 2]), math.factorial(5)
math.hypot(3, 4)
fractions.Fraction(1, 3) + 1, fractions.Fraction("1/2") < 1, decimal.Decimal("1.1") * 2
statistics.mean([1, 2])
with decimal.localcontext() as ctx:
    ctx.prec = 5
    decimal.Decimal(1) / 3
rng = random.Random(1)
rng.random(), rng.randint(1, 6), rng.choice("abc"), rng.shuffle([1, 2, 3]), rng.sample(range(9), 3)

# ==== dates
import calendar
import datetime


class Zone(datetime.tzinfo):
    def utcoffset(self, dt):
        return datetime.timedelta(hours=len("ab"))

    def dst(self, dt):
        return None

    def tzname(self, dt):
        return "Z"


t = datetime.datetime(2020, 1, 2, 3, tzinfo=Zone())
t.isoformat(), t.astimezone(datetime.timezone.utc), t.strftime("%Y %Z"), t == t, hash(t), str(t)
datetime.datetime.strptime("2020-01-02", "%Y-%m-%d"), datetime.date(2020, 1, 1).isocalendar()
calendar.monthrange(2020, 2), calendar.TextCalendar().formatmonth(2020, 1)

# ==== difflib_and_pprint
import difflib
import pprint


class R:
    def __repr__(self):
        return "R"


list(difflib.unified_diff(["a", "b"], ["a", "c"]))
difflib.get_close_matches("appel", ["ape", "apple"])
difflib.SequenceMatcher(lambda x: x == " ", "ab cd", "abcd").ratio()
pprint.pformat([{"k": R(), "long" * 10: list(range(30))}, (R(),)])

# ==== xml_and_html_parsers
import html.parser
import xml.etree.ElementTree as ET
import xml.sax


class H(xml.sax.ContentHandler):
    def startElement(self, name, attrs):
        len(name)

    def characters(self, text):
        pass


class P(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        abs(len(attrs))

    def handle_data(self, data):
        pass


xml.sax.parseString(b"<a><b>t</b></a>", H())
root = ET.fromstring("<a x='1'><b/><b>t</b></a>")
[e.tag for e in root.iter("b")], root.find("b"), ET.tostring(root)
P().feed("<p class='c'>text &amp; <br/></p>")

# ==== expat_callbacks
import pyexpat


def start(name, attrs):
    return len(attrs)


class Stop(Exception):
    pass


def stop(name):
    raise Stop


p = pyexpat.ParserCreate()
p.StartElementHandler = start
p.Parse(b"<a x='1'><b/><c/></a>", True)
p = pyexpat.ParserCreate()
p.StartElementHandler, p.EndElementHandler = start, stop
try:
    p.Parse(b"<a><b></b></a>", True)
except Stop:
    pass

# ==== ctypes_callbacks
import ctypes

libc = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def compare(a, b):
    return (a[0] > b[0]) - (a[0] < b[0])


def sort(*xs):
    array = (ctypes.c_int * len(xs))(*xs)
    libc.qsort(array, len(xs), ctypes.sizeof(ctypes.c_int), COMPARE(compare))
    return list(array)


class P(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int)]


sort(3, 1, 2), sort(5, 4, 3, 2, 1), P(1).x, libc.abs(-3)
ctypes.pythonapi.PyObject_Repr.restype = ctypes.py_object


class R:
    def __repr__(self):
        return "R%d" % len("x")


ctypes.pythonapi.PyObject_Repr(ctypes.py_object(R()))

# ==== operator_and_itertools
import itertools
import operator


class C:
    def __init__(self, n):
        self.n = n

    def __add__(self, o):
        return C(self.n + o.n)

    def __lt__(self, o):
        return self.n < o.n


cs = [C(i) for i in range(3)]
operator.add(cs[0], cs[1]), list(itertools.accumulate(cs)), operator.lt(*cs[:2])
list(map(operator.neg, [1, 2]))
list(itertools.product("ab", repeat=2)), list(itertools.combinations("abc", 2))
next(itertools.count())
sorted(cs, key=operator.attrgetter("n")), [next(c) for c in [itertools.cycle("ab")] * 3]
list(itertools.permutations([1, 2])), operator.countOf([1, 1], 1), operator.length_hint([])

# ==== inspect_module
import inspect


def f(a, b=1, *args, **kw):
    """Doc."""
    return inspect.currentframe().f_code.co_name


class C:
    def m(self):
        return inspect.getframeinfo(inspect.currentframe(), 0).function


str(inspect.signature(f)), f(1), inspect.getmembers(C), C().m(), inspect.isfunction(f)
inspect.getdoc(f)
inspect.signature(f).bind(1, 2), inspect.getfullargspec(f)

# ==== paths_and_files
import glob
import os
import os.path
import pathlib

here = pathlib.Path(__file__).parent
here.name, here / "x" / "..", (here / "nope").exists(), here.is_dir(), os.path.join("a", "b")
os.path.exists("/"), os.path.splitext("a.b"), os.stat("/").st_mode, glob.glob("/nope/*")
os.fspath(here)


class Path:
    def __fspath__(self):
        return "/" * len("x")


os.fspath(Path()), os.path.isdir(Path()), os.listdir(Path()) and 0
sorted(p for p in pathlib.Path("/proc/self/fdinfo").glob("nope"))

# ==== hashes_and_compression
import base64
import binascii
import hashlib
import hmac
import zlib

hashlib.sha256(b"x").hexdigest(), hashlib.new("md5", b"y").digest()
hmac.new(b"k", b"m", "sha1").digest()
zlib.decompress(zlib.compress(b"x" * 99)), base64.b64encode(b"x"), binascii.crc32(b"x")
base64.b32decode(b"PA======")

# ==== urllib_and_email
import email
import urllib.parse

m = email.message_from_string("Subject: x\nTo: a@b\n\nbody\n")
m["subject"], m.get_payload(), m.as_string(), m.is_multipart()
urllib.parse.urlsplit("http://h:1/p?q=1#f"), urllib.parse.quote("a b")
urllib.parse.parse_qs("a=1&b=2"), urllib.parse.urljoin("http://a/b", "c")

# ==== code_object_methods
import dis
import io

dis.dis(compile("f(x) if x else [y for y in x]", "<d>", "eval"), file=io.StringIO())
[i.opname for i in dis.get_instructions(lambda x: x + 1)]
c = (lambda: 0).__code__
c.replace(co_name="n"), list(c.co_code), hash(c), c == c
