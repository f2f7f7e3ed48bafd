"""Restate's side, twice: ``python -m bench.drivers.restate_service PORT``

``Saga/four`` calls a service for each step, as a business transaction that spans services does. ``Local/four`` is the
fastest idiomatic form: each step is a ``ctx.run`` in the handler's own process, and no other service is asked at all.
Either way the server journals a step's result before the next begins, and compensations are registered as it goes.
"""

import asyncio
import sys
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import restate

shop = restate.Service("Shop")
saga = restate.Service("Saga")
local = restate.Service("Local")


STEPS = ("order", "stock", "pay", "ship")


async def step(value: str) -> str:
    return value


async def undo(value: str) -> None:
    """Nothing to undo."""


@shop.handler("step")
async def shop_step(ctx: Any, value: str) -> str:
    return value


@shop.handler("undo")
async def shop_undo(ctx: Any, value: str) -> None:
    """Nothing to undo."""


@saga.handler("four")
async def across_services(ctx: Any, value: str) -> str:
    done: list[str] = []
    try:
        for _ in STEPS:
            done.append(value)
            value = await ctx.service_call(shop_step, value)
    except restate.TerminalError:
        for given in reversed(done):
            await ctx.service_call(shop_undo, given)
        raise
    return value


@local.handler("four")
async def in_one_process(ctx: Any, value: str) -> str:
    done: list[tuple[str, str]] = []
    try:
        for name in STEPS:
            done.append((name, value))
            value = await ctx.run_typed(name, step, value=value)
    except restate.TerminalError:
        for name, given in reversed(done):
            await ctx.run_typed(f"undo {name}", undo, value=given)
        raise
    return value


if __name__ == "__main__":
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    asyncio.run(hypercorn.asyncio.serve(restate.app([shop, saga, local]), config))
