# SPDX-License-Identifier: LGPL-2.1-or-later
# Classes: bodies, construction, metaclasses, dataclasses, context managers.

# ==== class_bodies
def f(n):
    return abs(n)


class A:
    x = f(1)

    class Inner:
        y = f(2)

        def m(self):
            class Local:
                z = f(3)

            return Local

    def m(self):
        return self.Inner().m()


A().m(), A().m()
for i in range(3):
    class Loop:
        n = f(i)

# ==== construction
class Plain:
    pass


class Init:
    def __init__(self, x=0):
        self.x = abs(x)


class New:
    def __new__(cls, *args):
        return super().__new__(cls)


class Both(Init):
    def __new__(cls, *args):
        return object.__new__(cls)

    def __init__(self, *args):
        super().__init__(*args)


class Other:
    def __new__(cls):
        return len("not an instance")

    def __init__(self):
        raise AssertionError


class Sub(int):
    def __new__(cls, x):
        return int.__new__(cls, x)


class Slots:
    __slots__ = "a", "b"

    def __init__(self):
        self.a = self.b = 1


Plain(), Init(), Init(-1), Init(x=2), New(), New(1), Both(1), Other(), Sub("3"), Slots()
list(map(Init, range(3))), [Plain() for i in range(2)], Init(*[1]), Init(**{"x": 1})

# ==== metaclasses
class Meta(type):
    @classmethod
    def __prepare__(meta, name, bases, **kw):
        return dict(prepared=len(name))

    def __new__(meta, name, bases, space, **kw):
        return super().__new__(meta, name, bases, dict(space))

    def __init__(cls, name, bases, space, **kw):
        super().__init__(name, bases, space)

    def __call__(cls, *args):
        return super().__call__(*args)

    def __iter__(cls):
        return iter([cls])

    def __instancecheck__(cls, x):
        return bool(abs(0))

    def __getattr__(cls, name):
        return len(name)


class A(metaclass=Meta, option=1):
    def __init__(self, x=0):
        self.x = x


class B(A):
    pass


A(), B(1), list(A), isinstance(1, A), A.missing, Meta("C", (A,), {})(2), type("D", (), {"x": 1})()

# ==== init_subclass_and_set_name
class Registered:
    known = []

    def __init_subclass__(cls, tag=None, **kw):
        super().__init_subclass__(**kw)
        cls.known.append(tag)


class Named:
    def __set_name__(self, owner, name):
        self.name = abs(len(name))


class A(Registered, tag="a"):
    x = Named()
    y = Named()


class B(A):
    pass


type("C", (A,), {"z": Named()})

# ==== super_in_a_diamond
class Base:
    def __init__(self):
        self.seen = [len("Base")]

    def m(self):
        return 1


class Left(Base):
    def __init__(self):
        super().__init__()
        self.seen.append("Left")

    def m(self):
        return super().m() + 1


class Right(Base):
    def __init__(self):
        super().__init__()
        self.seen.append("Right")

    def m(self):
        return super(Right, self).m() + 1


class Bottom(Left, Right):
    def __init__(self):
        super().__init__()

    def m(self):
        return super().m() + Base.m(self)


b = Bottom()
b.m(), b.m(), Left().m()


class MyList(list):
    def append(self, x):
        super().append(x)

    def __len__(self):
        return super().__len__()


m = MyList()
m.append(1), len(m), m.extend([2])

# ==== abstract_classes_and_isinstance
import abc
import collections.abc


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self):
        return 0

    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, "area") or NotImplemented


class Square(Shape):
    def area(self):
        return super().area() + abs(-1)


class Duck:
    area = 1


class Sized:
    def __len__(self):
        return 1


Square().area(), isinstance(Duck(), Shape), issubclass(int, Shape), isinstance(3, Shape)
isinstance(Sized(), collections.abc.Sized), issubclass(list, collections.abc.Sequence)
try:
    Shape()
except TypeError:
    pass
Shape.register(int)
isinstance(3, Shape)

# ==== dataclasses
import dataclasses
from dataclasses import dataclass, field


@dataclass
class P:
    x: int
    y: int = 2
    z: list = field(default_factory=list)

    def __post_init__(self):
        self.sum = abs(self.x + self.y)


@dataclass(frozen=True, order=True)
class Q:
    a: int
    b: str = "b"


@dataclass
class R(P):
    w: int = 0


P(1), P(1, 2, [3]), R(1), repr(P(1)), P(1) == P(1), Q(1) < Q(2), hash(Q(1)), sorted([Q(2), Q(1)])
dataclasses.asdict(P(1)), dataclasses.astuple(Q(1)), dataclasses.replace(Q(1), a=2)
dataclasses.fields(P)
try:
    Q(1).a = 2
except dataclasses.FrozenInstanceError:
    pass
D = dataclasses.make_dataclass("D", [("n", int)])
D(1) == D(2)

# ==== dataclasses_whose_init_share_a_label
# Both __init__ are ("<string>", 2 or so, "__init__"): one calls the other, and none is recursive.
from dataclasses import dataclass, field


@dataclass
class Inner:
    n: int = 0
    m: int = 0


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    m: int = 0


@dataclass
class Outermost:
    outer: Outer = field(default_factory=Outer)
    m: int = 0


for i in range(10):
    Outermost()
for i in range(1000):
    Inner(i)
repr(Outermost()), Outermost() == Outermost()

# ==== enumerations
import enum


class Color(enum.Enum):
    RED = 1
    GREEN = 2

    @property
    def pretty(self):
        return self.name.lower()

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class F(enum.IntFlag):
    A = enum.auto()
    B = enum.auto()


Color.RED, Color(1), Color["GREEN"], Color(9), Color.RED.pretty, list(Color), len(Color)
Color.RED in Color
F.A | F.B, F(3), bool(F.A & F.B), repr(F.A | F.B), str(Color.RED)

# ==== named_tuples
import collections
import typing

P = collections.namedtuple("P", "x y", defaults=[1])


class T(typing.NamedTuple):
    a: int
    b: str = "b"

    def m(self):
        return len(self.b)


P(1), P(1, 2)._replace(x=3), P._make([1, 2]), P(1)._asdict(), repr(P(1)), P(1) == P(1)
T(1), T(1).m(), T(2)._replace(b="x"), tuple(T(3))

# ==== typing_generics
import typing

X = typing.TypeVar("X")


class Box(typing.Generic[X]):
    def __init__(self, x):
        self.x = x

    def __class_getitem__(cls, item):
        return super().__class_getitem__(item)


class Own:
    def __class_getitem__(cls, item):
        return abs(item)


def f(x: "int", y: typing.Optional[int] = None) -> "str":
    return str(x)


Box[int](1), Own[3], typing.List[int], typing.get_type_hints(f), typing.cast(int, 1)
typing.Optional[str], typing.Union[int, str], Box[Box[int]]

# ==== type_parameters (since 3.12)
class Box[T]:
    def get(self) -> T:
        return self.x


def first[T](xs: list[T]) -> T:
    return xs[0]


type Pair[A] = tuple[A, A]
Box[int](), first([1]), Pair.__value__, Pair[int]

# ==== match_statement (since 3.10)
class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return self.x == other


def f(v):
    match v:
        case Point(x=0, y=y) if abs(y):
            return 1
        case Point(x, 0):
            return 2
        case [a, *rest]:
            return len(rest)
        case {"k": Point() as p}:
            return f(p)
        case _:
            return 0


for v in (Point(0, 1), Point(1, 0), [1, 2], {"k": Point(5, 6)}, 3):
    f(v)

# ==== context_managers
import contextlib


class Guard:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


@contextlib.contextmanager
def managed(x):
    try:
        yield abs(x)
    except KeyError:
        pass


@managed(2)
def decorated():
    return 1


class Closing:
    def close(self):
        len("close")


with Guard(), managed(1) as m:
    pass
with managed(1):
    raise KeyError
try:
    with managed(1):
        raise ValueError
except ValueError:
    pass
decorated(), decorated()
with contextlib.closing(Closing()), contextlib.nullcontext(), contextlib.suppress(OSError):
    open("/nonexistent/file")
with contextlib.ExitStack() as stack:
    for i in range(3):
        stack.enter_context(managed(i))
    stack.callback(abs, -1)
    stack.callback(lambda: len("x"))
    stack.push(Guard())
import io

with contextlib.redirect_stdout(io.StringIO()) as out:
    print("x")

# ==== copy_protocol
import copy


class A:
    def __init__(self, x):
        self.x = x

    def __deepcopy__(self, memo):
        return A(copy.deepcopy(self.x, memo))

    def __copy__(self):
        return A(self.x)


class B:
    def __init__(self):
        self.a = A([1, 2])
        self.me = self

    def __reduce_ex__(self, p):
        return super().__reduce_ex__(p)


copy.copy(A(1)), copy.deepcopy(A([1])), copy.deepcopy([A(1), {"k": A(2)}]), copy.deepcopy(B())
copy.copy(B())

# ==== pickling
import io
import pickle


class State:
    def __init__(self, x):
        self.x = x

    def __getstate__(self):
        return {"x": abs(self.x)}

    def __setstate__(self, state):
        self.__dict__.update(state)


class Reduce:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return Reduce, self.args


class P(pickle.Pickler):
    def persistent_id(self, obj):
        return len("id") if isinstance(obj, int) else None


class U(pickle.Unpickler):
    def persistent_load(self, pid):
        return pid

    def find_class(self, module, name):
        return super().find_class(module, name)


for protocol in range(5):
    pickle.loads(pickle.dumps([State(-1), Reduce(1, 2)], protocol))
f = io.BytesIO()
P(f).dump([1, 2, Reduce()])
U(io.BytesIO(f.getvalue())).load()
pickle._loads(pickle._dumps([State(1), {1: (2, 3)}, "x" * 300]))
