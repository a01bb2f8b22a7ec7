# SPDX-License-Identifier: LGPL-2.1-or-later
# Coroutines and asynchronous generators, by hand and under asyncio.

# ==== coroutine_driven_by_hand
class Wait:
    def __init__(self, n):
        self.n = n

    def __await__(self):
        for i in range(self.n):
            yield i
        return self.n


async def leaf(n):
    return await Wait(n)


async def top(n):
    return await leaf(n) + await leaf(n)


def drive(c):
    try:
        while True:
            c.send(None)
    except StopIteration as e:
        return e.value


drive(top(3))

# ==== coroutine_close_and_throw
import types


@types.coroutine
def pause():
    try:
        yield 1
    except KeyError:
        yield 2


async def work():
    await pause()
    return len("done")


c = work()
c.close()
c = work()
c.send(None)
c.close()
c = work()
c.send(None)
c.throw(KeyError)
try:
    c.throw(ValueError)
except ValueError:
    pass
c = work()
try:
    c.throw(OSError)
except OSError:
    pass

# ==== coroutine_never_awaited
import warnings


async def forgotten():
    pass


with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    forgotten()
    c = forgotten()
    del c
print(len(seen))

# ==== coroutine_deleted_while_suspended
import types


@types.coroutine
def pause():
    yield


async def work():
    try:
        await pause()
    finally:
        len("deleted")


def use():
    c = work()
    c.send(None)


use()
use()

# ==== coroutine_awaited_twice
async def work():
    return 1


c = work()
for i in range(2):
    try:
        c.send(None)
    except (StopIteration, RuntimeError) as e:
        print(type(e).__name__)

# ==== async_generator_by_hand
async def agen(n):
    for i in range(n):
        try:
            yield i
        except KeyError:
            yield "caught"


def drive(c):
    try:
        c.send(None)
    except StopIteration as e:
        return e.value
    except StopAsyncIteration:
        return "end"


it = agen(3)
drive(it.__anext__())
drive(it.asend("x"))
drive(it.athrow(KeyError))
drive(it.__anext__())
drive(it.__anext__())
it = agen(2)
drive(it.__anext__())
drive(it.aclose())
it = agen(2)
drive(it.aclose())

# ==== async_for_with_and_comprehensions
class Guard:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        return exc[0] is KeyError


class Count:
    def __init__(self, n):
        self.n = n

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.n:
            raise StopAsyncIteration
        self.n -= 1
        return self.n


async def agen(n):
    for i in range(n):
        yield i


async def value(x):
    return x


async def top():
    out = []
    async for x in Count(3):
        out.append(x)
    async for x in agen(3):
        out.append(x)
    else:
        out.append(-1)
    async with Guard() as g, Guard():
        raise KeyError
    out += [x async for x in agen(4)]
    out += [await value(x) for x in range(3)]
    out += {x: y async for x in agen(2) async for y in Count(x)}.values()
    it = (x async for x in agen(3) if x)
    async for x in it:
        out.append(x)
    return out


try:
    top().send(None)
except StopIteration as e:
    print(e.value)

# ==== async_generator_break_and_delete
async def agen(n):
    try:
        for i in range(n):
            yield i
    finally:
        len("agen over")


async def top():
    async for x in agen(5):
        if x == 2:
            break
    it = agen(2)
    await it.__anext__()
    del it
    it = agen(2)
    await it.asend(None)
    await it.aclose()


try:
    top().send(None)
except StopIteration:
    pass

# ==== asyncio_run
import asyncio


async def leaf(n):
    await asyncio.sleep(0)
    return n


async def agen(n):
    for i in range(n):
        yield await leaf(i)


async def main():
    out = await asyncio.gather(*(leaf(i) for i in range(5)))
    async for x in agen(3):
        out.append(x)
    t = asyncio.create_task(leaf(7))
    out.append(await t)
    return out


print(asyncio.run(main()))

# ==== asyncio_queue_lock_event
import asyncio


async def producer(q, n):
    for i in range(n):
        await q.put(i)
    await q.put(None)


async def consumer(q, lock, out):
    while True:
        x = await q.get()
        if x is None:
            return
        async with lock:
            out.append(x)


async def main():
    q, lock, event, out = asyncio.Queue(2), asyncio.Lock(), asyncio.Event(), []
    tasks = [asyncio.ensure_future(producer(q, 5)), asyncio.ensure_future(consumer(q, lock, out))]
    asyncio.get_running_loop().call_soon(event.set)
    await event.wait()
    await asyncio.gather(*tasks)
    return out


print(asyncio.run(main()))

# ==== asyncio_cancel_and_errors
import asyncio


async def forever():
    try:
        await asyncio.Future()
    finally:
        len("cancelled")


async def bad():
    raise ValueError("bad")


async def main():
    t = asyncio.ensure_future(forever())
    await asyncio.sleep(0)
    t.cancel()
    try:
        await t
    except asyncio.CancelledError:
        pass
    out = await asyncio.gather(bad(), asyncio.sleep(0), return_exceptions=True)
    try:
        await asyncio.wait_for(bad(), 1000)
    except ValueError:
        pass
    it = left()
    await it.__anext__()
    keep.append(it)
    return out


async def left():
    try:
        yield 1
    finally:
        len("shutdown_asyncgens")


keep = []
asyncio.run(main())

# ==== asyncio_protocol_over_socketpair
import asyncio
import socket


async def main():
    a, b = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=a)
    b.sendall(b"one\ntwo\n")
    out = [await reader.readline(), await reader.readline()]
    b.close()
    out.append(await reader.read())
    writer.close()
    return out


print(asyncio.run(main()))

# ==== context_variables
import contextvars

var = contextvars.ContextVar("var", default=0)


def inner():
    var.set(var.get() + 1)
    return var.get()


ctx = contextvars.copy_context()
ctx.run(inner)
ctx.run(inner)
ctx.run(len, "abc")
inner()
