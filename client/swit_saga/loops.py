"""Which event loop something belongs to: gRPC's calls and asyncio's locks cannot be used from another one."""

import asyncio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs this code, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
