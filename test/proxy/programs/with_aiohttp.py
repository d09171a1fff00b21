import asyncio
import os
import sys

import aiohttp


async def main():
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with session.get(sys.argv[1], proxy=os.environ["PROXY_URL"]) as response:
            print(await response.text())


asyncio.run(main())
