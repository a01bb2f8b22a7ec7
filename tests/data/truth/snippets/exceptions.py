# SPDX-License-Identifier: LGPL-2.1-or-later
# Exceptions through Python and C frames.

# ==== through_python_frames
def deep(n):
    if n == 0:
        raise ValueError("deep")
    deep(n - 1)


def catch():
    try:
        deep(5)
    except ValueError:
        return len("caught")


catch()
catch()

# ==== raised_by_c
def use(d, k):
    try:
        d.pop(k)
    except KeyError:
        pass
    try:
        [].pop()
    except IndexError:
        pass
    try:
        getattr(d, "nope")
    except AttributeError:
        pass
    try:
        int("x"), float("y")
    except ValueError:
        pass
    try:
        ord("long")
    except TypeError:
        pass
    try:
        next(iter(()))
    except StopIteration:
        pass
    try:
        d[k]
    except KeyError:
        pass
    try:
        "x".encode("nope")
    except LookupError:
        pass


use({}, 1)
use({}, 2)

# ==== wrong_arguments_to_c
for call in (lambda: len(), lambda: len(1, 2), lambda: [].append(), lambda: [].append(1, 2),
             lambda: "x".join(), lambda: {}.get(), lambda: abs("x"), lambda: len(x=1),
             lambda: [].sort(1), lambda: divmod(1)):
    try:
        call()
    except TypeError:
        pass

# ==== method_descriptor_without_its_object
# No call on any version: there is nothing to bind.
for call in (lambda: list.append(), lambda: str.upper(1), lambda: list.append((), 1),
             lambda: dict.get(x=1)):
    try:
        call()
    except TypeError:
        abs(-1)

# ==== wrong_arguments_to_python
def f(a, b, *, c=1):
    return a


for args, kw in [((), {}), ((1,), {}), ((1, 2, 3), {}), ((1, 2), {"d": 1}), ((1, 2), {"a": 1})]:
    try:
        f(*args, **kw)
    except TypeError:
        pass
f(1, 2, c=3)
try:
    f()
except TypeError:
    pass

# ==== through_c_frames
import functools


def bad(*args):
    raise LookupError


for call in (lambda: sorted([1, 2], key=bad), lambda: [1, 2].sort(key=bad),
             lambda: list(map(bad, [1])),
             lambda: min([1, 2], key=bad), lambda: functools.reduce(bad, [1, 2]),
             lambda: list(filter(bad, [1])), lambda: sum(map(bad, [1])), lambda: eval("bad()"),
             lambda: exec("bad()"), lambda: list(iter(bad, 0)), lambda: functools.partial(bad)()):
    try:
        call()
    except LookupError:
        pass

# ==== c_calls_python_calls_c_raises
def key(x):
    return inner(x)


def inner(x):
    return [].pop(x)


def outer(xs):
    return sorted(xs, key=key)


def catch():
    try:
        return list(map(outer, [[1, 2], [3]]))
    except IndexError:
        return None


catch()
catch()

# ==== reraise_finally_from
def a():
    try:
        b()
    except ValueError as e:
        raise KeyError from e


def b():
    try:
        c()
    finally:
        len("finally")


def c():
    try:
        raise ValueError
    except ValueError:
        raise


for i in range(2):
    try:
        a()
    except KeyError as e:
        str(e.__cause__)

# ==== finally_overrides
def f():
    try:
        raise ValueError
    finally:
        return 1


def g():
    for i in range(3):
        try:
            raise ValueError
        finally:
            continue


f(), g(), f()

# ==== custom_exception_classes
class Base(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.n = len(args)

    def __str__(self):
        return "base %d" % self.n


class Derived(Base):
    def __init__(self, *args, extra=None):
        super().__init__(*args)


def f(cls):
    try:
        raise cls(1, 2)
    except Base as e:
        return str(e), repr(e)


f(Base), f(Derived)

# ==== stop_iteration_from_class
class Down:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n


list(Down(3))
for x in Down(2):
    pass
a, b = Down(2)
sum(Down(4))

# ==== exception_in_operators
class V:
    def __add__(self, other):
        raise TypeError

    def __eq__(self, other):
        raise ArithmeticError

    def __hash__(self):
        raise RuntimeError

    def __len__(self):
        raise OSError

    def __getattr__(self, name):
        raise AttributeError(name)

    def __bool__(self):
        raise EOFError


v = V()
for call in (lambda: v + 1, lambda: v == 1, lambda: {v: 1}, lambda: len(v), lambda: v.x,
             lambda: hasattr(v, "x"), lambda: getattr(v, "x", None), lambda: not v,
             lambda: [1, 2].index(v), lambda: v in [1]):
    try:
        call()
    except Exception:
        pass

# ==== with_suppress_and_exit
import contextlib


class Guard:
    def __init__(self, swallow):
        self.swallow = swallow

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return self.swallow


with contextlib.suppress(KeyError):
    {}[1]
with Guard(True):
    raise ValueError
try:
    with Guard(False):
        with Guard(True), Guard(False):
            raise KeyError
        raise LookupError
except LookupError:
    pass

# ==== exception_group (since 3.11)
def f(kind):
    raise ExceptionGroup("g", [kind(), ValueError()])


def use(kind):
    try:
        f(kind)
    except* KeyError as e:
        len(e.exceptions)
    except* ValueError:
        len("rest")


use(KeyError), use(ValueError)
try:
    use(OSError)
except* OSError:
    pass

# ==== exception_in_del_goes_to_the_hook
import sys


def hook(u):
    str(u.exc_value)


class D:
    def __del__(self):
        raise ValueError("in del")


sys.unraisablehook = hook
D()
d = D()
del d

# ==== traceback_module
import traceback


def f(n):
    return f(n - 1) if n else 1 / n


try:
    f(3)
except ZeroDivisionError:
    text = traceback.format_exc()
    traceback.extract_stack(limit=1)
print(len(text.splitlines()) > 3)

# ==== warnings_module
import warnings


def old():
    warnings.warn("old", DeprecationWarning, stacklevel=2)


with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for i in range(3):
        old()
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        old()
    except DeprecationWarning:
        pass

# ==== deep_recursion_unwound
import sys

sys.setrecursionlimit(5000)


def down(n):
    if not n:
        raise ValueError
    down(n - 1)


def bounce(n):
    try:
        if not n:
            raise ValueError
        bounce(n - 1)
    except ValueError:
        raise


for f in down, bounce:
    try:
        f(900)
    except ValueError:
        pass

# ==== signal_handler
# The handler runs in the call that unblocks the signal. One that waits for the next bytecode would
# run inside the profiler, unseen by it, up to 3.10.
import signal


def handler(signum, frame):
    len("signal")
    if raising:
        raise InterruptedError


def f():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.raise_signal(signal.SIGUSR1)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    except InterruptedError:
        return abs(-1)


signal.signal(signal.SIGUSR1, handler)
for raising in False, True, False, True:
    f()

# ==== signal_handler_between_bytecodes (since 3.11)
import signal


def handler(signum, frame):
    len("signal")
    if raising:
        raise InterruptedError


def f():
    try:
        signal.raise_signal(signal.SIGUSR1)
        abs(-1)
    except InterruptedError:
        abs(-2)


signal.signal(signal.SIGUSR1, handler)
for raising in False, True, False, True:
    f()

# ==== loop_of_try_in_called_function
def f(x):
    try:
        return g(x)
    except (KeyError, IndexError):
        return h(x)


def g(x):
    return {}[x] if x % 2 else [][x]


def h(x):
    try:
        g(x)
    except Exception as e:
        return repr(e)


for i in range(10):
    f(i)

# ==== uncaught (status 1)
import sys


def hook(kind, value, tb):
    print(kind.__name__, len(str(value)))


sys.excepthook = hook


def f():
    g()


def g():
    raise ValueError("uncaught")


f()

# ==== uncaught_default_hook (status 1)
def f():
    raise ValueError("uncaught")


f()

# ==== sys_exit_from_the_depth (status 3)
import sys


def f(n):
    try:
        if not n:
            sys.exit(3)
        f(n - 1)
    finally:
        len("unwound")


f(4)
