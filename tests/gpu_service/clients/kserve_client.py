"""Calls a service with KServe's own client, in that package's environment, and prints the answers as JSON.

python kserve_client.py URL
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

TEXTS = ["a good film", "bad"]


def request(*, binary: bool, **options: Any) -> InferRequest:
    tensor = InferInput(name="text", shape=[len(TEXTS)], datatype="BYTES")
    tensor.set_data_from_numpy(np.array([text.encode() for text in TEXTS], dtype=np.object_), binary_data=binary)
    return InferRequest(model_name="moods", infer_inputs=[tensor], **options)


async def status(call: Awaitable[Any]) -> tuple[int, str]:
    try:
        await call
    except httpx.HTTPStatusError as error:
        return error.response.status_code, str(error)
    return 200, ""


async def answers(url: str) -> dict[str, Any]:
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    found: dict[str, Any] = {
        "v1 live": await v1.is_server_live(url),
        "v1 model": await v1.is_model_ready(url, "moods"),
        "v1 predict": (await v1.infer(url, {"instances": TEXTS}, model_name="moods"))["predictions"],
        "v1 missing": await status(v1.infer(url, {"instances": TEXTS}, model_name="nobody")),
        "v2 live": await v2.is_server_live(url),
        "v2 ready": await v2.is_server_ready(url),
        "v2 model": await v2.is_model_ready(url, "moods"),
        "v2 missing": await v2.is_model_ready(url, "nobody"),
        "v2 error": await status(v2.infer(url, request(binary=False), model_name="nobody")),
    }
    one = [RequestedOutput("label", {"binary_data": True})]
    forms = {
        "json": request(binary=False),
        "binary": request(binary=True, request_id="42", parameters={"binary_data_output": True}),
        "one output": request(binary=True, request_outputs=one),
    }
    for name, form in forms.items():
        response = await v2.infer(url, form, model_name="moods")
        outputs = {output.name: [_plain(value) for value in output.data] for output in response.outputs}
        found[name] = {"id": response.id, "model": response.model_name, "outputs": outputs}
    await v1.close()
    await v2.close()
    return found


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


print(json.dumps(asyncio.run(answers(sys.argv[1]))))
