# SPDX-License-Identifier: LGPL-2.1-or-later
"""asyncio: tasks, queues, locks, futures, async generators and cancellation, without timers."""

import asyncio


async def produce(queue, n):
    for i in range(n):
        await queue.put(i)
        if i % 7 == 0:
            await asyncio.sleep(0)
    await queue.put(None)


async def consume(queue, seen):
    while True:
        item = await queue.get()
        if item is None:
            return len(seen)
        seen.append(item)


async def count(n):
    try:
        for i in range(n):
            yield i
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)


async def guarded(lock, log, name):
    async with lock:
        log.append(name)
        await asyncio.sleep(0)


async def fail(after):
    for _ in range(after):
        await asyncio.sleep(0)
    raise ValueError(after)


async def forever():
    try:
        while True:
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        raise


async def main():
    loop = asyncio.get_running_loop()
    queue, seen = asyncio.Queue(5), []
    _, length = await asyncio.gather(produce(queue, 100), consume(queue, seen))
    numbers = [i async for i in count(50) if i % 2]
    agen = count(10)
    async for i in agen:
        if i == 3:
            break
    await agen.aclose()
    lock, log = asyncio.Lock(), []
    await asyncio.gather(*(guarded(lock, log, i) for i in range(20)))
    failed = await asyncio.gather(*(fail(i) for i in range(5)), return_exceptions=True)
    task = loop.create_task(forever())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        failed.append(None)
    event, future = asyncio.Event(), loop.create_future()
    loop.call_soon(future.set_result, 42)
    loop.call_soon(event.set)
    await event.wait()
    done, pending = await asyncio.wait([loop.create_task(guarded(lock, log, 99))])
    return length, len(numbers), len(log), len(failed), await future, len(done), len(pending)


print(asyncio.run(main()))
