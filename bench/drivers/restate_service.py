"""Restate's side, twice: ``python -m bench.drivers.restate_service PORT``

``Saga/four`` and ``Saga/ten`` call a service for each step, as a business transaction that spans services does.
``Local`` is the fastest idiomatic form: each step is a ``ctx.run`` in the handler's own process, and no other service
is asked at all. Either way the server journals a step's result before the next begins, and compensations are
registered as it goes.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import restate

from bench.drivers.loop import REFUSED, STEPS

shop = restate.Service("Shop")
saga = restate.Service("Saga")
local = restate.Service("Local")


async def step(value: str) -> str:
    return value


async def pay(value: str) -> str:
    if value == REFUSED:
        raise restate.TerminalError("refused", 409)
    return value


async def undo(value: str) -> None:
    """Nothing to undo."""


@shop.handler("step")
async def shop_step(ctx: Any, value: str) -> str:
    return await step(value)


@shop.handler("pay")
async def shop_pay(ctx: Any, value: str) -> str:
    return await pay(value)


@shop.handler("undo")
async def shop_undo(ctx: Any, value: str) -> None:
    """Nothing to undo."""


async def across_services(ctx: Any, names: Sequence[str], value: str) -> str:
    done: list[str] = []
    try:
        for name in names:
            value = await ctx.service_call(shop_pay if name == "pay" else shop_step, value)
            done.append(value)
    except restate.TerminalError:
        for given in reversed(done):
            await ctx.service_call(shop_undo, given)
        raise
    return value


async def in_one_process(ctx: Any, names: Sequence[str], value: str) -> str:
    done: list[tuple[str, str]] = []
    try:
        for name in names:
            value = await ctx.run_typed(name, pay if name == "pay" else step, value=value)
            done.append((name, value))
    except restate.TerminalError:
        for name, given in reversed(done):
            await ctx.run_typed(f"undo {name}", undo, value=given)
        raise
    return value


@saga.handler("four")
async def four_across_services(ctx: Any, value: str) -> str:
    return await across_services(ctx, STEPS[:4], value)


@saga.handler("ten")
async def ten_across_services(ctx: Any, value: str) -> str:
    return await across_services(ctx, STEPS, value)


@local.handler("four")
async def four_in_one_process(ctx: Any, value: str) -> str:
    return await in_one_process(ctx, STEPS[:4], value)


@local.handler("ten")
async def ten_in_one_process(ctx: Any, value: str) -> str:
    return await in_one_process(ctx, STEPS, value)


if __name__ == "__main__":
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    asyncio.run(hypercorn.asyncio.serve(restate.app([shop, saga, local]), config))
