"""Vertex AI's Model Registry by REST: versions of models, and aliases that move from one to another."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_inference.errors import InputError
from event_inference.registry.api import Api

_NOT_IN_ID = re.compile(r"[^a-z0-9_-]+")
_MAX_ID = 63
_DEFAULT = "default"  # which a version can only get, not lose
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Version:
    """A version in the registry.

    Attributes:
        model: the model's resource name.
        number: the registry's own.
        artifacts: the folder in Cloud Storage.
        container: the `containerSpec` that serves it, with the image.
    """

    model: str
    name: str
    number: str
    aliases: tuple[str, ...]
    artifacts: str
    image: str
    container: Mapping[str, Any]


class Registry:
    """The registry of a project and region.

    Every method raises UnreachableError if Vertex AI does not answer or refuses.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def model(self, name: str) -> str:
        """The resource name of a model; its id is the name in the letters that ids may have."""
        identity = _NOT_IN_ID.sub("-", name.lower()).strip("-_")[:_MAX_ID].rstrip("-_")
        return f"{self._api.parent}/models/{identity}"

    def versions(self, name: str) -> list[Version]:
        """The versions of a model, oldest first; none if it is not registered."""
        found, token = [], ""
        while True:
            query = {"pageToken": token} if token else {}
            answer = self._api.call("GET", f"{self.model(name)}:listVersions", query=query, missing={})
            found += [_version(each) for each in answer.get("models", ())]
            token = answer.get("nextPageToken", "")
            if not token:
                return sorted(found, key=lambda version: int(version.number))

    def register(self, name: str, version: str, artifacts: str, container: Mapping[str, Any]) -> Version:
        """Register a folder, unless a version with it and the container's image exists.

        Raises:
            InputError: a model with a similar name has the id.
        """
        earlier = self.versions(name)
        if other := next((each.name for each in earlier if each.name != name), None):
            raise InputError(f"{other!r} is registered as {self.model(name)}; choose a name that differs more.")
        for each in earlier:
            if (each.artifacts, each.image) == (artifacts, container["imageUri"]):
                return each
        model = {
            "displayName": name,
            "versionDescription": f"version {version} of {name}",
            "artifactUri": artifacts,
            "containerSpec": container,
        }
        resource = self.model(name)
        identity = {"parentModel": resource} if earlier else {"modelId": resource.rsplit("/", 1)[1]}
        operation = self._api.call("POST", f"{self._api.parent}/models:upload", {"model": model, **identity})
        number = str(self._api.finished(operation)["modelVersionId"])
        return next(each for each in self.versions(name) if each.number == number)

    def move(self, version: Version, aliases: Iterable[str]) -> Version:
        """The version with aliases that other versions have lost."""
        for alias in aliases:
            self.assign(alias, self.versions(version.name), version.number)
        return next(each for each in self.versions(version.name) if each.number == version.number)

    def assign(self, alias: str, versions: Sequence[Version], number: str | None) -> bool:
        """Give an alias to the version with a number, or to none; returns whether that changed anything.

        It is taken away from others explicitly, since nothing says that Vertex AI does so.
        """
        losing = [each for each in versions if alias in each.aliases and each.number != number and alias != _DEFAULT]
        gaining = [each for each in versions if alias not in each.aliases and each.number == number]
        for version in losing:
            self._merge(version, f"-{alias}")
        for version in gaining:
            self._merge(version, alias)
        return bool(losing or gaining)

    def _merge(self, version: Version, alias: str) -> None:
        name = f"{version.model}@{version.number}:mergeVersionAliases"
        self._api.call("POST", name, {"versionAliases": [alias]})


def check_alias(alias: str) -> str:
    """Raises InputError for an alias that Vertex AI refuses."""
    if not _ALIAS.fullmatch(alias):
        raise InputError(
            f"{alias!r:.200} is not an alias of a version: letters, digits and hyphens, beginning with a small letter, "
            f"such as stable or candidate."
        )
    return alias


def _version(resource: Mapping[str, Any]) -> Version:
    container = resource.get("containerSpec", {})
    return Version(
        model=resource["name"].partition("@")[0],
        name=resource["displayName"],
        number=str(resource["versionId"]),
        aliases=tuple(resource.get("versionAliases", ())),
        artifacts=resource.get("artifactUri", ""),
        image=container.get("imageUri", ""),
        container=container,
    )
