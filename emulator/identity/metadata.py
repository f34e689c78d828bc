"""The metadata server, which issues identity tokens as on a Google Cloud machine."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from emulator import access
from emulator.identity import policy
from emulator.identity.token_sources import LIFETIME, TokenRequest
from emulator.identity.tokens import TokenIssuer
from emulator.stack.model import DEVELOPER, Stack

_FLAVOR = {"Metadata-Flavor": "Google"}
_ROOT = "/computeMetadata/v1"
_CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
_ACCOUNT = f"{_ROOT}/instance/service-accounts/{{account}}"

Handler = Callable[[Request], Awaitable[Response]]


class MetadataServer:
    """Serves the paths that google-auth reads; the account `default` is the developer.

    Unlike the cloud's server it issues the developer tokens for every account of the stack, to try out permissions.
    At the ports of another account, that account is `default`, and there is no other.
    """

    def __init__(self, stack: Stack, issuer: TokenIssuer) -> None:
        self._stack, self._issuer = stack, issuer

    def routes(self) -> list[Route]:
        """The routes, each with its full path; clients probe `/` to detect Google Cloud."""
        handlers: dict[str, Handler] = {
            "/": self._ping,
            f"{_ROOT}/project/project-id": self._project,
            f"{_ACCOUNT}/identity": self._identity,
            f"{_ACCOUNT}/token": self._token,
            f"{_ACCOUNT}/email": self._email,
            f"{_ACCOUNT}/": self._about,
        }
        return [Route(path, _guarded(handler), methods=["GET"]) for path, handler in handlers.items()]

    async def _ping(self, _: Request) -> Response:
        return PlainTextResponse("computeMetadata/\n")

    async def _project(self, _: Request) -> Response:
        return PlainTextResponse(self._stack.project)

    async def _identity(self, request: Request) -> Response:
        audience = request.query_params.get("audience")
        if not audience:
            raise HTTPException(400, "non-empty audience parameter required", _FLAVOR)
        token = await self._issuer.mint(TokenRequest("OIDC", audience, (), self._account(request)))
        return PlainTextResponse(token)

    async def _token(self, request: Request) -> Response:
        scopes = tuple(filter(None, request.query_params.get("scopes", _CLOUD_PLATFORM).split(",")))
        token = await self._issuer.mint(TokenRequest("OAuth2", None, scopes, self._account(request)))
        return JSONResponse({"access_token": token, "expires_in": LIFETIME // 2, "token_type": "Bearer"})

    async def _email(self, request: Request) -> Response:
        return PlainTextResponse(self._account(request))

    async def _about(self, request: Request) -> Response:
        return JSONResponse({"aliases": ["default"], "email": self._account(request), "scopes": []})

    def _account(self, request: Request) -> str:
        name, caller = request.path_params["account"], access.CALLER.get()
        own = policy.email(self._stack, DEVELOPER) if caller is None else caller.email
        account = own if name == "default" else policy.email(self._stack, name)
        if account != own and (caller is not None or account not in policy.accounts(self._stack)):
            raise HTTPException(404, f"there is no service account {account}", _FLAVOR)
        return account


def _guarded(handler: Handler) -> Handler:
    """Require the header that web pages cannot send, which keeps them from reading tokens."""

    async def guarded(request: Request) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            raise HTTPException(403, "the header Metadata-Flavor: Google is missing", _FLAVOR)
        response = await handler(request)
        response.headers.update(_FLAVOR)
        return response

    return guarded
