"""An HTTP proxy that counts requests by what they do to which bucket."""

import re
from types import TracebackType
from typing import Self

from aiohttp import ClientError, ClientSession, web

PATH = re.compile(r"(?P<upload>/upload)?(?:/download)?/storage/v1/b/(?P<bucket>[^/?]+)(?P<object>/o/?[^?]*)?")
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host"}


class CountingProxy:
    """An async context manager; set `target` (`http://host:port`) before the first request arrives."""

    def __init__(self) -> None:
        self.target = ""
        self.url = ""
        self.seen: list[str] = []

    async def __aenter__(self) -> Self:
        self._session = ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.Response:
        self.seen.append(operation(request.method, request.raw_path))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = self.target + request.raw_path
        body = await request.read()
        try:
            async with self._session.request(request.method, url, data=body, headers=headers) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except ClientError as error:  # the stack stops while a service still has a request open
            return web.Response(status=502, text=str(error))


def operation(method: str, path: str) -> str:
    """The request as a phrase such as `create object in local-work`."""
    match = PATH.match(path)
    if not match:
        return f"{method} {path.split('?')[0]}"
    if match["upload"]:
        return f"create object in {match['bucket']}"
    what = (
        "object" if (match["object"] or "").removeprefix("/o").strip("/") else "list" if match["object"] else "bucket"
    )
    return f"{'read' if 'alt=media' in path else method} {what} in {match['bucket']}"
