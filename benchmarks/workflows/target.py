"""The HTTP service that the workflow calls: it responds with the body of the request."""

import sys
from typing import Any

import uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    message = await receive()
    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    await send(head)
    await send({"type": "http.response.body", "body": message["body"]})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
