"""Answers every HTTP request with the same prediction, to measure the limit of the load generator."""

import asyncio
import os
from typing import cast

BODY = b'{"label": "NEGATIVE", "score": 0.5}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Trivial(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):  # the load generator's requests end so, and nothing in them does before
            self.transport.write(ANSWER)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
