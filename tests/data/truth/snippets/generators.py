# SPDX-License-Identifier: LGPL-2.1-or-later
# Generators: each resume is a call, each yield a return.

# ==== next_until_exhausted
def g(n):
    for i in range(n):
        yield len("x" * i)


def use():
    it = g(3)
    out = [next(it), next(it), next(it)]
    try:
        next(it)
    except StopIteration:
        out.append(next(it, None))
    return out


use()

# ==== next_by_for_loop_and_builtins
def g(n):
    for i in range(n):
        yield i


total = 0
for i in g(4):
    total += i
list(g(3)), tuple(g(2)), set(g(5)), sum(g(6)), max(g(3)), sorted(g(4)), dict(zip(g(2), g(3)))
a, *b = g(4)
x, y = g(2)
print(*g(3), 2 in g(4), 9 in g(4), any(g(4)), all(g(4)))

# ==== send_values
def averager():
    total = count = 0
    value = yield
    while value is not None:
        total += value
        count += 1
        value = yield total / count
    return count


def drive(values):
    it = averager()
    next(it)
    for v in values:
        it.send(v)
    try:
        it.send(None)
    except StopIteration as e:
        return e.value


drive([1, 2, 3, 4])
it = averager()
try:
    it.send(1)
except TypeError:
    it.send(None)

# ==== send_called_by_c
def echo():
    got = None
    while True:
        got = yield got


it = echo()
next(it)
list(map(it.send, range(5)))
it.close()

# ==== throw_caught_inside
def g():
    while True:
        try:
            yield 1
        except ValueError as e:
            yield str(e)


it = g()
next(it)
for i in range(3):
    it.throw(ValueError("v"))
    next(it)

# ==== throw_not_caught
def g():
    try:
        yield 1
        yield 2
    finally:
        len("finally")


def use():
    it = g()
    next(it)
    try:
        it.throw(KeyError("k"))
    except KeyError:
        pass
    try:
        it.throw(KeyError("again"))
    except KeyError:
        pass
    return list(it)


use()
use()

# ==== throw_into_unstarted
def g():
    yield 1


def use():
    it = g()
    try:
        it.throw(ZeroDivisionError)
    except ZeroDivisionError:
        pass
    return list(it)


use()
use()

# ==== throw_makes_it_return
def g():
    try:
        yield 1
    except OSError:
        return 5


it = g()
next(it)
try:
    it.throw(OSError)
except StopIteration as e:
    print(e.value)

# ==== close_unstarted
def g():
    yield 1


for i in range(3):
    g().close()
it = g()
it.close()
it.close()

# ==== close_suspended
def plain():
    yield 1
    yield 2


def guarded():
    try:
        yield 1
        yield 2
    finally:
        len("closed")


def catching():
    try:
        yield 1
    except GeneratorExit:
        return


for make in plain, guarded, catching:
    it = make()
    next(it)
    it.close()
    it.close()

# ==== close_ignored
def stubborn():
    while True:
        try:
            yield 1
        except GeneratorExit:
            yield 2
            return


it = stubborn()
next(it)
try:
    it.close()
except RuntimeError as e:
    print(e)
list(it)

# ==== close_raises
def g():
    try:
        yield 1
    finally:
        raise LookupError


it = g()
next(it)
try:
    it.close()
except LookupError:
    pass

# ==== delete_suspended
def plain():
    yield 1
    yield 2


def guarded():
    try:
        yield 1
    finally:
        len("deleted")


def use(make):
    box = [make()]
    next(box[0])
    box.clear()
    box.append(make())
    next(box[0])


use(plain)
use(guarded)
it = plain()
next(it)
del it

# ==== delete_suspended_local (since 3.11)
# Up to 3.10 sys.setprofile keeps the locals alive in f_locals until the next event, and what is
# then deleted runs unseen inside the profiler: no truth to be had.
def plain():
    yield 1
    yield 2


def guarded():
    try:
        yield 1
    finally:
        len("deleted")


def use(make):
    it = make()
    next(it)
    del it
    it = make()
    next(it)


use(plain)
use(guarded)

# ==== delete_unstarted_and_finished
def g():
    yield 1


it = g()
del it
it = g()
list(it)
del it
for i in range(3):
    g()

# ==== left_suspended_at_exit
def plain():
    yield 1
    yield 2


def guarded():
    try:
        yield 1
    finally:
        len("at exit")


first, second, third = plain(), guarded(), plain()
next(first), next(second)

# ==== yield_from_nested
def leaf(n):
    yield from range(n)
    yield len("leaf")


def middle(n):
    for i in range(n):
        yield from leaf(i)
    return n


def top(n):
    got = yield from middle(n)
    yield got


list(top(4))

# ==== yield_from_send_throw_close
def leaf():
    got = None
    while True:
        try:
            got = yield got
        except KeyError:
            got = "caught"


def middle():
    yield from leaf()


def top():
    try:
        yield from middle()
    except ValueError:
        yield "out"


it = top()
next(it)
it.send(1)
it.send(2)
it.throw(KeyError)
it.throw(ValueError)
list(it)
it = top()
next(it)
it.close()
it = top()
next(it)
it.send(3)
del it

# ==== yield_from_python_iterator
class It:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return self

    def __next__(self):
        if not self.n:
            raise StopIteration("over")
        self.n -= 1
        return self.n

    def send(self, value):
        return next(self)

    def throw(self, *args):
        return "thrown"

    def close(self):
        len("closed")


def g(n):
    return (yield from It(n))


list(g(3))
it = g(5)
next(it)
it.send(1)
it.throw(ValueError())
it.close()

# ==== yield_from_throw_into_unstarted_delegate
def leaf():
    yield 1


def top(it):
    yield from it


inner = leaf()
it = top(inner)
try:
    it.throw(ValueError)
except ValueError:
    pass
next(inner)
it = top(inner)
try:
    next(it)
except StopIteration:
    pass

# ==== recursive_generator
def walk(tree):
    if isinstance(tree, list):
        for t in tree:
            yield from walk(t)
    else:
        yield tree


def walk_by_loop(tree):
    for t in tree:
        if isinstance(t, list):
            for x in walk_by_loop(t):
                yield x
        else:
            yield t


tree = [1, [2, [3, [4, 5], 6]], [[7]], []]
list(walk(tree)) == list(walk_by_loop(tree))

# ==== generator_raises
def g(n):
    for i in range(n):
        yield 1 / (2 - i)


def use():
    for x in g(5):
        pass


for i in range(2):
    try:
        use()
    except ZeroDivisionError:
        pass

# ==== stop_iteration_inside_becomes_runtime_error
def g():
    yield 1
    next(iter(()))


try:
    list(g())
except RuntimeError as e:
    print(e)

# ==== already_executing
def g():
    try:
        next(it)
    except ValueError as e:
        yield str(e)
    try:
        it.close()
    except ValueError as e:
        yield str(e)


it = g()
print(list(it))

# ==== ping_pong
def player(name, other, n):
    yield
    for i in range(n):
        try:
            next(other[0])
        except (StopIteration, ValueError, IndexError):
            pass
        yield


box = []
a = player("a", box, 5)
b = player("b", [a], 5)
next(a), next(b)
box.append(b)
list(a), list(b)

# ==== resumed_by_different_callers
def g():
    while True:
        yield len("tick")


def first(it):
    return next(it)


def second(it):
    return first(it) + it.send(None)


def third(it):
    for x in it:
        return x


it = g()
for f in first, second, third, third, first:
    f(it)

# ==== generator_expressions
data = [3, 1, 2]
sum(x * x for x in data)
",".join(str(x) for x in data)
any(x > 2 for x in data), all(x > 0 for x in data)
dict((x, y) for x in data for y in (z for z in range(x)))
max((len(str(x)) for x in data), default=0)
it = (x for x in data)
next(it)
list(it)

# ==== generator_in_a_cycle_is_collected
import gc


def g():
    me = yield
    try:
        yield me
    finally:
        len("collected")


for i in range(3):
    it = g()
    next(it)
    it.send(it)
    del it
    gc.collect()

# ==== generator_methods_by_attribute
def g():
    for i in range(3):
        yield i


it = g()
step = it.__next__
step()
type(it).__next__(it)
send = type(it).send
send(it, None)
try:
    step()
except StopIteration:
    pass
it.gi_frame, it.gi_running, it.gi_code.co_name

# ==== itertools_over_generators
import itertools


def g(n):
    for i in range(n):
        yield i


list(itertools.chain(g(2), g(3)))
list(itertools.chain.from_iterable(g(i) for i in range(3)))
list(itertools.islice(g(10), 2, 6))
a, b = itertools.tee(g(3))
list(a), list(b)
del a, b
[(k, list(v)) for k, v in itertools.groupby(g(6), lambda x: x // 2)]
list(itertools.takewhile(lambda x: x < 3, g(9)))
list(itertools.dropwhile(lambda x: x < 3, g(5)))
list(itertools.starmap(lambda x, y: x + y, zip(g(3), g(3))))
list(itertools.accumulate(g(4), lambda x, y: x * y))
list(itertools.filterfalse(lambda x: x % 2, g(4)))
list(itertools.zip_longest(g(1), g(3)))

# ==== generator_that_yields_in_finally_and_with
class Guard:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return exc[0] is ValueError


def g():
    with Guard():
        yield 1
        raise ValueError
    try:
        yield 2
    finally:
        yield 3


list(g())
it = g()
next(it), next(it)
it.throw(LookupError)
try:
    next(it)
except LookupError:
    pass
