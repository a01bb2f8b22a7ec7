# SPDX-License-Identifier: LGPL-2.1-or-later
# Calls: recursion, decorators, comprehensions, callbacks from C, exec and eval.

# ==== direct_recursion
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def fact(n):
    return 1 if n < 2 else n * fact(n - 1)


fib(10), fact(20), fib(1)

# ==== mutual_recursion
def even(n):
    return True if n == 0 else odd(n - 1)


def odd(n):
    return False if n == 0 else even(n - 1)


def a(n):
    return b(n - 1) + c(n - 1) if n > 0 else 1


def b(n):
    return c(n - 1) + a(n - 2) if n > 0 else 1


def c(n):
    return a(n - 1) + c(n - 2) if n > 0 else len("c")


even(10), odd(7), a(7)

# ==== recursion_through_c
def tree(n):
    return [n] + list(map(tree, range(n)))


def total(t):
    return sum(map(total, t[1:]), t[0])


def by_sorted(xs):
    return sorted(xs, key=lambda x: len(by_sorted(xs[1:])) if xs else 0)


total(tree(4)), by_sorted([1, 2, 3])

# ==== recursive_lambda_and_y_combinator
fact = lambda n: 1 if n < 2 else n * fact(n - 1)
y = lambda f: (lambda x: x(x))(lambda x: f(lambda *a: x(x)(*a)))
fact(6), y(lambda me: lambda n: 1 if n < 2 else n * me(n - 1))(5)

# ==== c_recursion_is_not_primitive
class L:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return len(L(self.n - 1)) if self.n else 0

    def __repr__(self):
        return repr(L(self.n - 1)) if self.n else "L"


len(L(4)), repr(L(3)), repr([L(1), L(2)])

# ==== lambdas_on_one_line
fs = [lambda: 1, lambda: len("2"), lambda: fs[1]()]
for f in fs * 2:
    f()
(lambda x: (lambda y: (lambda z: x + y + z)(3))(2))(1)

# ==== closures_defaults_keywords
def make(n, m=len("ab")):
    def inner(x, *args, k=n, **kw):
        nonlocal n
        n += 1
        return x + n + m + k

    return inner


f, g = make(1), make(2, 3)
f(1), f(1, 2, 3), g(1, k=5, z=6), g(*[1, 2], **{"k": 3})

# ==== star_calls
def f(*args, **kw):
    return len(args) + len(kw)


args, kw = [1, 2], {"a": 1}
f(*args), f(**kw), f(*args, **kw), f(1, *args, b=2, **kw)
len(*[[1]]), max(*args), max(*args, **{"key": abs}), print(*args, **{"end": "\n"})
[].append(*[1]), "".join(*[["a"]]), dict.fromkeys(*[[1, 2]], **{})

# ==== decorators
import functools


def plain(f):
    def wrapper(*args):
        return f(*args)

    return wrapper


def wrapped(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)

    return wrapper


def with_argument(n):
    def decorate(f):
        @functools.wraps(f)
        def wrapper(*args):
            return [f(*args) for i in range(n)]

        return wrapper

    return decorate


class Counted:
    def __init__(self, f):
        self.f, self.n = f, 0

    def __call__(self, *args):
        self.n += 1
        return self.f(*args)


def tagged(cls):
    cls.tag = len(cls.__name__)
    return cls


@plain
@wrapped
@with_argument(2)
@Counted
def f(x):
    return abs(x)


@tagged
class C:
    @staticmethod
    @plain
    def s(x):
        return x

    @classmethod
    def c(cls, x):
        return cls.s(x)

    @property
    @wrapped
    def p(self):
        return self.c(1)


f(1), f(-1), C.s(1), C.c(2), C().p

# ==== functools_callables
import functools
import operator


@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.lru_cache(maxsize=2)
def small(n):
    return abs(n)


@functools.singledispatch
def show(x):
    return "object"


@show.register(int)
def show_int(x):
    return "int"


@show.register(list)
def show_list(x):
    return [show(y) for y in x]


@functools.total_ordering
class T:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __lt__(self, other):
        return self.n < other.n


class P:
    def cell(self, a, b):
        return a + b

    fixed = functools.partialmethod(cell, 1)

    @functools.cached_property
    def once(self):
        return len("once")


def add(a, b):
    return a + b


fib(20), fib(5), fib.cache_info(), [small(i) for i in (1, 2, 3, 1)]
show(1), show("x"), show([1, [2]])
T(1) <= T(2), T(1) > T(2), sorted([T(3), T(1), T(2)])
p = P()
p.fixed(2), p.once, p.once
functools.partial(add, 1)(2), functools.partial(len, "x")(), functools.reduce(add, range(5))
operator.itemgetter(1)([1, 2]), operator.attrgetter("n")(T(1))
operator.methodcaller("cell", 1, 2)(p)

# ==== sort_keys_and_comparisons
import functools


def key(x):
    return -x


def compare(a, b):
    return (a > b) - (a < b)


class K:
    def __init__(self, n):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n

    def __gt__(self, other):
        return self.n > other.n


xs = [5, 3, 8, 1, 9, 2]
sorted(xs, key=key), xs.sort(key=key, reverse=True), sorted(xs, key=functools.cmp_to_key(compare))
xs.sort(key=lambda x: (key(x), abs(x))), sorted(map(str, xs), key=str.lower), sorted("bAc", key=len)
min(xs, key=key), max(xs, key=key), min(map(K, xs)), max(map(K, xs)), sorted(map(K, xs))
[K(1), K(2)].sort(key=lambda k: k.n)

# ==== map_filter_and_friends
def f(x, y=0):
    return x + y


def odd(x):
    return x % 2


list(map(f, range(4))), list(map(f, range(3), range(3))), list(filter(odd, range(5)))
list(filter(None, map(odd, range(4)))), list(map(len, ["a", "bb"])), list(map(str.upper, "ab"))
any(map(odd, [0, 2, 3, 4])), sum(map(f, range(3))), dict(map(lambda x: (x, f(x)), range(3)))
it = iter(lambda box=[3]: box.append(box.pop() - 1) or box[0], 0)
list(it), list(reversed([1, 2])), list(enumerate(map(f, "")))
list(map(lambda g: g(), [lambda: len(""), lambda: f(1)]))

# ==== comprehensions
# One function each up to 3.11, in line from 3.12 on but for generator expressions.
def f(x):
    return x


[f(x) for x in range(3)]
[[f(x) for x in range(y)] for y in range(3)]
{f(x) for x in range(2)}, {f(x): [f(y) for y in range(x)] for x in range(3)}
[x for x in [y for y in [z for z in range(3)]] if f(x)]
[(lambda: f(x))() for x in range(2)]
list(f(x) for x in range(2) for y in range(2) if f(y))


class C:
    values = [f(x) for x in range(2)]
    pairs = {x: [y for y in range(x)] for x in range(2)}


def local(n):
    return [f(n) for i in range(n)], {i: f(i) for i in range(n) if i}


local(3)

# ==== method_descriptors
class D(dict):
    def get(self, k, default=None):
        return super().get(k, default)

    def items(self):
        return [x for x in dict.items(self)]


class S(str):
    pass


xs = []
list.append(xs, 1), xs.append(2), getattr(xs, "append")(3), type(xs).extend(xs, (4,))
append = xs.append
append(5), [append(i) for i in range(2)]
str.upper("a"), "a".upper(), S("a").upper(), str.join(",", "ab"), S("x").join("ab")
d = D(a=1)
d.get("a"), d.items(), d.keys(), dict.get(d, "b"), D.fromkeys("ab"), dict.fromkeys("ab")
int.from_bytes(b"a", "big"), (5).bit_length(), int.bit_length(True), float.fromhex("0x1p0")
str.maketrans("a", "b"), bytes.fromhex("00"), bytes.maketrans(b"a", b"b"), (1.5).hex()
{1}.union({2}), set.union({1}, {2}), frozenset.__contains__(frozenset(), 1), {1}.__contains__(1)
{}.__getitem__ and {1: 2}.__getitem__(1), dict.__contains__({}, 1), [1].__reversed__()

# ==== wrappers_and_types_are_no_c_functions
class C:
    pass


object(), int("3"), str(1), list("ab"), dict(a=1), type(1), range(3), enumerate([]), zip(), super
"a".__len__(), [].__len__(), (1).__add__(2), int.__add__(1, 2), object.__init__(C()), C.__call__()
object.__repr__(1), type.__call__(C), C().__eq__(1), object.__str__(C()) and None
object.__new__(C), int.__new__(int, 3), C.__new__(C), object().__reduce_ex__(2), C().__dir__()
object().__sizeof__(), object().__format__(""), C().__init_subclass__(), C.__subclasses__()
type.mro(C), C.mro(), C.__subclasshook__(1)

# ==== bound_method_of_a_c_function
# See BOUND_C_METHODS in the test: `ord` and `chr` are called in no other way.
import types


class C:
    measure = len
    code = types.MethodType(ord, "a")


def f():
    m = types.MethodType(chr, 97)
    return m() + m() + str(abs(-1))


f(), f(), C.code(), C().code(), C.measure("x"), list(map(types.MethodType(ord, "b"), []))
try:
    types.MethodType(ord, "too long")()
except TypeError:
    abs(-1)
bound = types.MethodType(lambda self, x: abs(x), 3)
bound(-1), list(map(bound, [1, 2]))

# ==== methods_of_all_kinds
class C:
    def m(self):
        return self.s()

    @staticmethod
    def s():
        return len("s")

    @classmethod
    def c(cls):
        return cls().m()

    def __call__(self, x=0):
        return self.m()


c = C()
m = c.m
c.m(), C.m(c), m(), c.s(), C.s(), c.c(), C.c(), c(), c(1), C.__call__(c), list(map(c, [1, 2]))
[f() for f in (m, C.s, C.c, c)]

# ==== operators_in_python
class N:
    def __init__(self, n):
        self.n = n

    def __add__(self, o):
        return N(self.n + getattr(o, "n", o))

    __radd__ = __iadd__ = __add__

    def __eq__(self, o):
        return self.n == getattr(o, "n", o)

    def __lt__(self, o):
        return self.n < o.n

    def __hash__(self):
        return hash(self.n)

    def __bool__(self):
        return bool(self.n)

    def __len__(self):
        return abs(self.n)

    def __index__(self):
        return self.n

    def __int__(self):
        return self.n

    def __float__(self):
        return float(self.n)

    def __contains__(self, x):
        return x == self.n

    def __getitem__(self, i):
        if i > 2:
            raise IndexError
        return i

    def __setitem__(self, i, v):
        pass

    def __delitem__(self, i):
        pass

    def __neg__(self):
        return N(-self.n)

    def __matmul__(self, o):
        return self

    def __format__(self, spec):
        return "<" + spec + ">"

    def __str__(self):
        return "N"

    def __repr__(self):
        return "N(%d)" % self.n

    def __pow__(self, o, mod=None):
        return self


a, b = N(1), N(2)
a + b, a + 1, 1 + a, sum([a, b]), a == b, a != b, a < b, a > b, -a, a @ b, a ** b, pow(a, 1, 2)
a += b
{a: 1, b: 2}[N(2)], {a, b, N(1)}, a in [b, a], [b, a].index(a), [a, b].count(b), [a] == [N(1)]
not a, bool(b), len(b), [1, 2, 3][b], "abc"[a:b], int(a), float(a), range(b), 3 in a, list(a)
a[0], f"{a:x}{b!r}{a}", "%s %r" % (a, b), "{} {:y}".format(a, b), str([a]), repr({a: b})
a[1] = 2
del a[1]
[x for x in a], max(a), (a, b) < (b, a), [a, b].remove(b), sorted([b, a]), hex(a), bytes([b])

# ==== attribute_hooks
class Descriptor:
    def __get__(self, obj, cls=None):
        return len("get")

    def __set__(self, obj, value):
        len("set")

    def __delete__(self, obj):
        len("delete")

    def __set_name__(self, owner, name):
        self.name = name


class A:
    d = Descriptor()

    @property
    def p(self):
        return self.x

    @p.setter
    def p(self, value):
        self.x = value

    def __getattr__(self, name):
        return abs(len(name))

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        object.__delattr__(self, name)


class B(A):
    def __getattribute__(self, name):
        return super().__getattribute__(name)

    def method(self):
        return 1


for cls in A, B:
    a = cls()
    a.d, cls.d, a.missing, getattr(a, "other"), hasattr(a, "third"), a.p
    a.d = 1
    del a.d
    a.p = 2
    a.p
    a.y = 3
    del a.y
    vars(a), setattr(a, "z", 1), delattr(a, "z"), dir(a) and None
b = B()
b.method(), getattr(b, "method")()

# ==== exec_and_eval
def f(x):
    return abs(x)


eval("f(1) + f(2)"), exec("f(3)\nf(4)"), eval(compile("f(5)", "<five>", "eval"))
exec(compile("def g(x):\n    return f(x)\ng(1)", "<six>", "exec"))
exec("class C:\n    n = f(1)\n    def m(self):\n        return eval('self.n')\nC().m()")
eval("[f(x) for x in range(3)]"), eval("(lambda: f(1))()"), eval("eval('eval(\"f(9)\")')")
exec("exec('exec(\"f(9)\")')")
try:
    exec("f(1)\n1 / 0")
except ZeroDivisionError:
    pass
try:
    eval("1 +")
except SyntaxError:
    pass


class Names(dict):
    def __missing__(self, name):
        return len(name)


eval("abc + de", {"__builtins__": {}}, Names())
code = compile("f(7)", "<again>", "exec")
for i in range(5):
    exec(code)

# ==== thousand_exec_functions_kept
source = "def f(n):\n    return len(str(n))\n"
fs = []
for i in range(1000):
    space = {}
    exec(source, space)
    fs.append(space["f"])
for i, f in enumerate(fs):
    f(i)
    if i % 3 == 0:
        f(i)

# ==== thousand_exec_functions_dropped
source = "def f(n):\n    return len(str(n))\nf(1)\n"
for i in range(1000):
    exec(source, {})
for i in range(300):
    eval("(lambda x: x + %d)(1)" % i)

# ==== thousand_exec_functions_distinct
for i in range(1000):
    exec("def f_%d(n):\n    return abs(n)\nf_%d(%d)" % (i, i, i), globals())
f_0(1), f_999(2)

# ==== exec_functions_of_one_label_that_call_each_other
# All share file, line and name, and each is a function of its own: none of the calls is recursive.
source = "def f(n, rest):\n    return rest[0](n, rest[1:]) + len(rest) if rest else 0\n"


def make():
    space = {}
    exec(source, space)
    return space["f"]


fs = [make() for i in range(10)]
fs[0](1, fs[1:])
fs[0](1, fs[1:5] + fs[1:5])
fs[0](1, [fs[0], fs[0]])

# ==== code_replaced_and_shared
def f(x):
    return abs(x)


def g(x):
    return len(str(x))


h = type(f)(f.__code__, globals())
k = type(f)(f.__code__.replace(co_name="renamed"), globals())
same = type(f)(f.__code__.replace(), globals())
f(1), g(1), h(1), k(1), same(1)
f.__code__ = g.__code__
f(2), g(2), h(2)


def odd(n, other):
    return other(n - 1, other) if n else 0


twin = type(odd)(odd.__code__, globals())
odd(5, twin), odd(4, odd)

# ==== imports
import colorsys
import importlib
import truth_package
from truth_package import leaf, outer
import truth_package.leaf as again

outer(1), leaf.inner(2)
colorsys.rgb_to_hsv(0.1, 0.2, 0.3)
importlib.reload(leaf)
importlib.import_module("truth_package.leaf").inner(3)
try:
    import truth_package.missing
except ImportError:
    pass
try:
    from truth_package import nothing
except ImportError:
    pass


def lazy():
    import keyword
    return keyword.iskeyword("if")


lazy(), lazy()

# ==== importlib_finders_and_loaders
import importlib.abc
import importlib.util
import sys


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.startswith("made_"):
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec("def f():\n    return len(__name__)", module.__dict__)


sys.meta_path.insert(0, Finder())
import made_one
import made_two

made_one.f(), made_two.f(), made_two.f()

# ==== trace_function_of_the_program
import sys


def trace(frame, event, arg):
    seen.append(event)
    helper()
    return trace


def helper():
    return len("helper")


def f(n):
    for i in range(n):
        abs(i)
    return n


seen = []
f(2)
sys.settrace(trace)
f(3)
sys.settrace(None)
f(4)

# ==== many_functions
names = ["f%d" % i for i in range(300)]
exec("\n".join("def %s(n):\n    return %s(n) + 1" % p for p in zip(names, names[1:])))
exec("def f299(n):\n    return len(n)")
f0(""), f100("x"), f298("y")

# ==== twenty_thousand_functions
space = {}
exec("\n".join("def f%d(): return len('')" % i for i in range(20000)), space)
for i in range(20000):
    space["f%d" % i]()

# ==== odd_names
def plain():
    return "".upper()


def renamed(name):
    code = plain.__code__.replace(co_name=name, co_filename=name)
    return type(plain)(code, {})


for name in ("", "ü", "日本", "a\nb", "a\0b", "\ud800", "<lambda>", "x" * 100000, "{}()",
             "a'\"\\"):
    renamed(name)()
    renamed(name)()

# ==== builtin_functions
class C:
    def __round__(self, n=None):
        return 1

    def __trunc__(self):
        return 2

    def __abs__(self):
        return abs(-3)

    def __divmod__(self, o):
        return divmod(4, 2)

    def __reversed__(self):
        return iter([1])

    def __dir__(self):
        return ["b", "a"]

    def __sizeof__(self):
        return 10

    def __instancecheck__(self, x):
        return True


c = C()
abs(c), round(c), round(c, 1), divmod(c, 1), list(reversed(c)), dir(c), isinstance(1, c)
ord("a"), chr(97), hex(1), bin(2), oct(3), id(c) and 0, hash("a"), callable(c), format(1, "x")
repr(c) and 0, ascii("x"), iter([]), next(iter([1])), len(""), pow(2, 3), sum([1]), min(1, 2)
issubclass(C, object), globals() and 0, locals() and 0, vars(c), print(end=""), sorted([])
import sys

sys.getsizeof(c), sys.intern("x"), sys.getrefcount(c) and 0, sys._getframe().f_code.co_name

# ==== __del__by_reference_count
class D:
    def __init__(self, n):
        self.n = n

    def __del__(self):
        len("deleted")
        if self.n:
            D(self.n - 1)


def f():
    d = D(2)
    return abs(-1)


f()
x = D(0)
x = D(1)
x = None
[D(0) for i in range(3)].clear()
{1: D(0)}.pop(1)
list(map(D, [0, 0]))

# ==== __del__by_collection
import gc


class D:
    def __init__(self):
        self.me = self

    def __del__(self):
        len("collected")


def f():
    for i in range(3):
        D()
    gc.collect()


f(), gc.collect(), f()

# ==== __del__resurrects
keep = []


class D:
    def __del__(self):
        keep.append(self)


d = D()
del d
keep.pop()
D()
keep.clear()

# ==== weak_references
import weakref


class C:
    def m(self):
        return 1


def callback(ref):
    len("callback")


c = C()
refs = [weakref.ref(c, callback), weakref.proxy(c, callback), weakref.ref(c)]
final = weakref.finalize(c, abs, -1)
method = weakref.WeakMethod(c.m, callback)
values, keys = weakref.WeakValueDictionary(a=c), weakref.WeakKeyDictionary()
members = weakref.WeakSet()
keys[c] = 1
members.add(c)
refs[0](), refs[1].m(), method()(), len(values), len(keys), c in members
del c
len(values), len(keys), len(members), method(), final.alive

# ==== gc_callbacks
import gc


def callback(phase, info):
    len(phase)


gc.callbacks.append(callback)
gc.collect()
gc.collect(0)
gc.callbacks.remove(callback)
