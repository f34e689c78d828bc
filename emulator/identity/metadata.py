"""The metadata server, which issues tokens and describes the machine as on Google Cloud."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from emulator import access
from emulator.identity import policy
from emulator.identity.token_sources import TokenRequest
from emulator.identity.tokens import RENEW_BEFORE, TokenIssuer
from emulator.stack.model import DEVELOPER, Stack

_FLAVOR = {"Metadata-Flavor": "Google"}
_ROOT = "/computeMetadata/v1"
_ACCOUNT = f"{_ROOT}/instance/service-accounts/{{account}}"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_NUMBER = "0"  # of the project, as in the resources of buckets

Handler = Callable[[Request], Awaitable[Response]]
Entries = Mapping[str, "Entries | str | list[str]"]


class MetadataServer:
    """Serves the paths that Google's clients read; the account `default` is the developer.

    Unlike the cloud's server it issues the developer tokens for every account of the stack, to try out permissions.
    At the ports of another account, that account is `default`, and there is no other.
    """

    def __init__(self, stack: Stack, issuer: TokenIssuer) -> None:
        self._stack, self._issuer = stack, issuer

    def routes(self) -> list[Route]:
        """The routes, each with its full path; clients probe `/` to detect Google Cloud."""
        handlers: dict[str, Handler] = {
            "/": self._ping,
            f"{_ACCOUNT}/identity": self._identity,
            f"{_ACCOUNT}/token": self._token,
            f"{_ROOT}/{{path:path}}": self._entry,
            _ROOT: self._entry,
        }
        return [Route(path, _guarded(handler), methods=["GET"]) for path, handler in handlers.items()]

    async def _ping(self, _: Request) -> Response:
        return PlainTextResponse("computeMetadata/\n")

    async def _identity(self, request: Request) -> Response:
        audience = request.query_params.get("audience")
        if not audience:
            raise HTTPException(400, "non-empty audience parameter required", _FLAVOR)
        account = self._account(request.path_params["account"])
        return PlainTextResponse(await self._issuer.mint(TokenRequest("OIDC", audience, (), account)))

    async def _token(self, request: Request) -> Response:
        """An access token for Google's APIs."""
        scopes = tuple(filter(None, request.query_params.get("scopes", _SCOPE).split(",")))
        account = self._account(request.path_params["account"])
        token = await self._issuer.mint(TokenRequest("OAuth2", None, scopes, account))
        return JSONResponse({"access_token": token, "expires_in": RENEW_BEFORE, "token_type": "Bearer"})  # at least

    async def _entry(self, request: Request) -> Response:
        """A value, or the names in a folder; with `recursive=true` a folder's whole content as JSON."""
        path = request.path_params.get("path", "")
        entry: Entries | str | list[str] = self._entries(path)
        for name in filter(None, path.split("/")):
            if not isinstance(entry, Mapping) or name not in entry:
                raise HTTPException(404, f"there is no metadata at {path}", _FLAVOR)
            entry = entry[name]
        in_json = request.query_params.get("alt") == "json"
        if isinstance(entry, str | list):
            text = entry if isinstance(entry, str) else "".join(f"{line}\n" for line in entry)
            return JSONResponse(entry) if in_json else PlainTextResponse(text)
        if request.query_params.get("recursive", "").lower() == "true":
            return JSONResponse(_in_camel_case(entry))
        if path and not path.endswith("/"):
            return RedirectResponse(f"{_ROOT}/{path}/", 301)
        names = [f"{name}/" if isinstance(value, Mapping) else name for name, value in entry.items()]
        return JSONResponse(names) if in_json else PlainTextResponse("".join(f"{name}\n" for name in names))

    def _entries(self, path: str) -> Entries:
        """The tree of all values, with the account in the path."""
        project, location = self._stack.project, self._stack.location
        names = ["default", self._account("default")]
        match path.split("/"):
            case ["instance", "service-accounts", str(name), *_] if name:
                names.append(name)
        return {
            "instance": {
                "attributes": {},
                "hostname": f"laptop.c.{project}.internal",
                "id": "1",
                "name": "laptop",
                "region": f"projects/{_NUMBER}/regions/{location}",
                "service-accounts": {name: self._about(name) for name in names},
                "zone": f"projects/{_NUMBER}/zones/{location}-a",
            },
            "project": {"attributes": {}, "numeric-project-id": _NUMBER, "project-id": project},
            "universe": {"universe-domain": "googleapis.com"},
        }

    def _about(self, name: str) -> Entries:
        return {"aliases": ["default"], "email": self._account(name), "scopes": [_SCOPE]}

    def _account(self, name: str) -> str:
        caller = access.CALLER.get()
        own = policy.email(self._stack, DEVELOPER) if caller is None else caller.email
        account = own if name == "default" else policy.email(self._stack, name)
        if account != own and (caller is not None or account not in policy.accounts(self._stack)):
            raise HTTPException(404, f"there is no service account {account}", _FLAVOR)
        return account


def _in_camel_case(entry: Entries | str | list[str]) -> object:
    """The form of a recursive answer: `service-accounts` is `serviceAccounts`; accounts keep their names."""
    if not isinstance(entry, Mapping):
        return entry
    return {_camel_case(name): _in_camel_case(value) for name, value in entry.items()}


def _camel_case(name: str) -> str:
    first, *others = name.split("-")
    return name if "@" in name else first + "".join(word.capitalize() for word in others)


def _guarded(handler: Handler) -> Handler:
    """Require the header that web pages cannot send, which keeps them from reading tokens."""

    async def guarded(request: Request) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            raise HTTPException(403, "the header Metadata-Flavor: Google is missing", _FLAVOR)
        response = await handler(request)
        response.headers.update(_FLAVOR)
        return response

    return guarded
