"""``make demo`` judges itself: outcomes and the participants' own books; here it must say that all is well."""

import asyncio
import os
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("store", "coordinators", "kills"), [("sqlite", "1", 2), ("redis", "3", 4)], ids=["sqlite", "redis"]
)
async def test_the_demo_ends_well(store, coordinators, kills):
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.order_saga.demo",
        cwd=Path(__file__).parents[2],
        env=os.environ | {"STORE": store, "COORDINATORS": coordinators},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(90):
            printed, _ = await demo.communicate()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    assert demo.returncode == 0, printed.decode()
    assert b"The books agree" in printed
    assert printed.count(b"kill -9") == kills
