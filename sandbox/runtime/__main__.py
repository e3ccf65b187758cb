"""`python -m sandbox.runtime`: play the pods of the sandbox that SANDBOX_INSTANCE names, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import aiohttp

from sandbox.paths import Instance
from sandbox.runtime.api import Api
from sandbox.runtime.node import Runtime


async def main() -> None:
    """Run until a signal asks for the end; then stop every process that was started."""
    instance = Instance(os.environ["SANDBOX_INSTANCE"])
    for directory in (instance.pods, instance.volumes):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o711)
    kubeconfig = instance.part_kubeconfig("runtime")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Api(kubeconfig) as api, aiohttp.ClientSession() as http:
        runtime = Runtime(instance, api, http)
        playing = asyncio.create_task(runtime.run())
        await asyncio.wait([playing, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        try:
            await runtime.shut_down()
        finally:
            if playing.done():
                playing.result()  # raises what ended the runtime
            playing.cancel()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main())
