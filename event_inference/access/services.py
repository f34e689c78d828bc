"""Calls to the services of a local stack, as the developer."""

from typing import TYPE_CHECKING, Any

from event_inference.errors import UnreachableError
from event_inference.targets.target import Target

if TYPE_CHECKING:
    from requests import Response

_METADATA = "/computeMetadata/v1/instance/service-accounts/default/identity"
_TOKEN_S = 30


def authorized(target: Target, service: str, method: str, path: str, **options: Any) -> "Response":
    """Call a service with an identity token of the developer's; `options` are those of `requests.request`.

    Raises:
        UnreachableError: the stack has no such service, or it does not answer.
    """
    import requests

    url = target.services.get(service)
    if url is None:
        raise UnreachableError(f"The {target.description} has no service {service}.")
    try:
        token = requests.get(
            f"{target.storage}{_METADATA}",
            params={"audience": url},
            headers={"Metadata-Flavor": "Google"},
            timeout=_TOKEN_S,
        )
        token.raise_for_status()
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {token.text}"}
        return requests.request(method, f"{url}{path}", headers=headers, **options)  # noqa: S113 - callers set it
    except requests.RequestException as error:
        raise UnreachableError(f"{service} of the {target.description} does not answer: {error}") from error
