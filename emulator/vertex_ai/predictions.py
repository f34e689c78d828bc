"""Predictions: chooses a deployed model by the endpoint's traffic split, and asks its container."""

import json
import random
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator import json_bodies
from emulator.googleapi import rest
from emulator.googleapi.errors import (
    ApiError,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import require
from emulator.vertex_ai import fields
from emulator.vertex_ai.deployments import Deployments, predict_route

MAX_PAYLOAD = 1_500_000  # bytes, of a request to a shared public endpoint
TIMEOUT_S = 60.0
_MAX_MESSAGE = 2000  # characters
_REFUSALS: dict[int, type[ApiError]] = {404: NotFoundError, 429: ResourceExhaustedError, 503: UnavailableError}
_ENDPOINT = "/v1/projects/{project}/locations/{location}/endpoints/{endpoint}"


class Predictions:
    """The methods `predict` and `rawPredict`.

    Args:
        endpoint: an endpoint by its name; raises NotFoundError.
        version: the version of a model, by its resource name.
        choice: decides between models by their shares, as `random.choices` does.
    """

    def __init__(
        self,
        deployments: Deployments,
        endpoint: Callable[[str], Json],
        version: Callable[[str], Json],
        *,
        choice: Callable[..., list[str]] = random.choices,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._deployments, self._endpoint, self._version = deployments, endpoint, version
        self._choice, self._timeout_s = choice, timeout_s
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(auto_decompress=True, timeout=aiohttp.ClientTimeout(self._timeout_s))

    async def stop(self) -> None:
        if self._http:
            await self._http.close()

    def routes(self) -> list[Route]:
        """The REST routes."""
        return [
            rest.route(f"{_ENDPOINT}:predict", ["POST"], self._predict),
            Route(f"{_ENDPOINT}:rawPredict", self._predict_raw, methods=["POST"]),
        ]

    async def _predict(self, request: Request) -> Json:
        endpoint, deployed = self._chosen(request, "predict")
        await _body(request)
        body = fields.request(await rest.body(request), "instances parameters labels endpoint")
        instances = body.get("instances")
        if not isinstance(instances, list) or not instances:
            raise InvalidArgumentError("instances must be a list of at least one instance", field="instances")
        question = {"instances": instances}
        if body.get("parameters") is not None:
            question["parameters"] = body["parameters"]
        status, content, _ = await self._ask(endpoint, deployed, json.dumps(question).encode(), "application/json")
        answer = _answer(status, content)
        version = self._version(f"{deployed['model']}@{deployed['modelVersionId']}")
        return {
            "predictions": answer["predictions"],
            "deployedModelId": deployed["id"],
            "model": deployed["model"],
            "modelDisplayName": version["displayName"],
            "modelVersionId": deployed["modelVersionId"],
            **({"metadata": answer["metadata"]} if "metadata" in answer else {}),
        }

    async def _predict_raw(self, request: Request) -> Response:
        try:
            endpoint, deployed = self._chosen(request, "rawPredict")
            kind = request.headers.get("content-type", "application/json")
            status, content, kind = await self._ask(endpoint, deployed, await _body(request), kind)
        except ApiError as error:
            return JSONResponse(error.body(), error.code)
        except ClientDisconnect:
            raise
        names = {
            "X-Vertex-AI-Endpoint-Id": endpoint["name"].rsplit("/", 1)[1],
            "X-Vertex-AI-Deployed-Model-Id": deployed["id"],
        }
        return Response(content, status, names, media_type=kind)

    def _chosen(self, request: Request, verb: str) -> tuple[Json, Json]:
        """The endpoint in the path, and one of its deployed models."""
        name = request.url.path.removeprefix("/v1/").removesuffix(f":{verb}")
        require("aiplatform.endpoints.predict", name)
        endpoint = self._endpoint(name)
        split = endpoint.get("trafficSplit") or {}
        if not split:
            raise FailedPreconditionError(f"The Endpoint {name} has no deployed model with traffic.")
        (chosen,) = self._choice(list(split), weights=list(split.values()))
        return endpoint, next(each for each in endpoint["deployedModels"] if each["id"] == chosen)

    async def _ask(self, endpoint: Json, deployed: Json, body: bytes, kind: str) -> tuple[int, bytes, str]:
        """Status, content and media type of a container's answer."""
        if self._http is None:
            raise UnavailableError("the emulator is stopping")
        server = self._deployments.server(endpoint["name"], deployed["id"])
        spec = self._version(f"{deployed['model']}@{deployed['modelVersionId']}")["containerSpec"]
        route = predict_route(spec, endpoint["name"].rsplit("/", 1)[1], deployed["id"])
        try:
            async with self._http.post(f"{server.url}{route}", data=body, headers={"Content-Type": kind}) as answer:
                return answer.status, await answer.read(), answer.content_type
        except TimeoutError as error:
            raise DeadlineExceededError(f"The container did not answer within {self._timeout_s:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"The container of {deployed['id']} cannot be reached: {error}") from error


def _answer(status: int, content: bytes) -> Json:
    """The predictions of a container.

    Raises:
        ApiError: the container refused, or answered something else.
    """
    text = content.decode(errors="replace")[:_MAX_MESSAGE]
    if status in _REFUSALS:
        raise _REFUSALS[status](text)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise InvalidArgumentError(text)
    try:
        answer = json_bodies.decode(content)
    except ValueError:
        answer = None
    if status != HTTPStatus.OK or not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        raise ApiError(f"The container answered {status} without predictions: {text}")
    return answer


async def _body(request: Request) -> bytes:
    content = await request.body()
    if len(content) > MAX_PAYLOAD:
        raise InvalidArgumentError(f"Request payload size exceeds the limit: {MAX_PAYLOAD} bytes.")
    return content
