"""The Model Registry: models, their versions and aliases."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from emulator.googleapi import paging
from emulator.googleapi.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from emulator.googleapi.filters import Field, compile_filter
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method
from emulator.googleapi.timestamps import rfc3339
from emulator.vertex_ai import fields
from emulator.vertex_ai.operations import EMPTY, TYPE, Operations, new_id
from emulator.vertex_ai.store import Store

_LOCATION = "projects/*/locations/*"
_MODEL = f"{_LOCATION}/models/*"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CHANGEABLE = "displayName description versionDescription labels metadata"
_GIVEN = (
    "displayName description versionDescription containerSpec artifactUri labels metadata metadataSchemaUri"
    " predictSchemata encryptionSpec"
)
_FILTERED = (
    Field("displayName", "string"),
    Field("name", "string"),
    Field("versionId", "string"),
    Field("labels", "map"),
    Field("createTime", "time"),
    Field("updateTime", "time"),
)
DEFAULT = "default"


class Models:
    """The methods of the registry.

    Args:
        check_image: raises ApiError for an image that cannot run here.
        now: nanoseconds since 1970.
    """

    def __init__(
        self, store: Store, operations: Operations, check_image: Callable[[str], Any], now: Callable[[], int]
    ) -> None:
        self._store, self._operations, self._check_image, self._now = store, operations, check_image, now

    def version(self, name: str) -> Json:
        """A version by `…/models/M`, the default one, or `…/models/M@VERSION_OR_ALIAS`.

        Raises:
            NotFoundError
        """
        model, _, wanted = name.partition("@")
        wanted = wanted or DEFAULT
        for version in self._store.versions(model):
            if wanted == version["versionId"] or wanted in version.get("versionAliases", ()):
                return version
        raise NotFoundError(f"The Model {name} does not exist.")

    @json_method(
        f"POST /v1/{{parent={_LOCATION}}}/models:upload *",
        read_body=partial(fields.request, known="model parentModel modelId serviceAccount"),
        needs="aiplatform.models.upload",
    )
    def upload(self, parent: str, model: Json, parent_model: str = "", model_id: str = "") -> Json:
        """Create a model, or a version of one, and return the operation.

        Raises:
            AlreadyExistsError: the id is taken.
            NotFoundError: there is no such parent model.
            InvalidArgumentError: a field breaks a rule.
        """
        given = fields.read("model", model)
        self._check(given)
        aliases = fields.aliases(given.get("versionAliases", []))
        name = parent_model.partition("@")[0] or f"{parent}/models/{_id(model_id)}"
        earlier = self._store.versions(name)
        if parent_model and not earlier:
            raise NotFoundError(f"The Model {parent_model} does not exist.")
        if earlier and not parent_model:
            raise AlreadyExistsError(f"The Model {name} already exists; a version of it needs parentModel.")
        if not earlier:
            aliases = list(dict.fromkeys([*aliases, DEFAULT]))
        time = rfc3339(self._now())
        with self._store.transaction():
            version = {
                "name": name,
                "versionId": self._store.next_version(name),
                "versionAliases": aliases,
                "versionCreateTime": time,
                "versionUpdateTime": time,
                **{key: value for key, value in given.items() if key in _GIVEN.split()},
                "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
                "supportedInputStorageFormats": ["jsonl"],
                "supportedOutputStorageFormats": ["jsonl"],
                "createTime": earlier[0]["createTime"] if earlier else time,
                "updateTime": time,
                "modelSourceInfo": {"sourceType": "CUSTOM"},
            }
            self._take_aliases(name, aliases)
            self._store.write_version(version)
            response = {"@type": f"{TYPE}UploadModelResponse", "model": name, "modelVersionId": version["versionId"]}
            return self._operations.done(name, "UploadModel", response)

    @json_method(f"GET /v1/{{name={_MODEL}}}", needs="aiplatform.models.get")
    def get(self, name: str) -> Json:
        return self._shown(self.version(name), self._deployed())

    @json_method(f"GET /v1/{{parent={_LOCATION}}}/models", needs="aiplatform.models.list")
    def page(
        self,
        parent: str,
        *,
        filter: str = "",
        order_by: str = "",
        page_size: str | int = 0,
        page_token: str = "",
    ) -> Json:
        """A page of the default versions of a location's models, the latest first."""
        defaults = [self.version(name) for name in self._store.models(parent)]
        return self._page(defaults, filter, order_by, page_size, page_token, parent)

    @json_method(f"GET /v1/{{name={_MODEL}}}:listVersions", needs="aiplatform.models.list")
    def list_versions(
        self,
        name: str,
        *,
        filter: str = "",
        order_by: str = "",
        page_size: str | int = 0,
        page_token: str = "",
    ) -> Json:
        """A page of a model's versions, oldest first."""
        versions = self._store.versions(name.partition("@")[0])
        if not versions:
            raise NotFoundError(f"The Model {name} does not exist.")
        return self._page(versions, filter, order_by, page_size, page_token, name)

    @json_method(
        f"PATCH /v1/{{model.name={_MODEL}}} model",
        read_body=partial(fields.read, "model"),
        needs="aiplatform.models.update",
    )
    def update(self, model: Json, update_mask: str = "") -> Json:
        """Change the fields of a version that the mask names."""
        version = self.version(model["name"])
        for path in fields.mask(update_mask, _CHANGEABLE):
            version.pop(path, None)
            if path in model:
                version[path] = model[path]
        version["versionUpdateTime"] = version["updateTime"] = rfc3339(self._now())
        self._check(version)
        self._store.write_version(version)
        return self.get(f"{version['name']}@{version['versionId']}")

    @json_method(
        f"POST /v1/{{name={_MODEL}}}:mergeVersionAliases *",
        read_body=partial(fields.request, known="versionAliases"),
        needs="aiplatform.models.update",
    )
    def merge_version_aliases(self, name: str, version_aliases: list[str]) -> Json:
        """Give aliases to a version, which other versions then lose, and take away those with the prefix `-`.

        Raises:
            FailedPreconditionError: no version would be the default.
        """
        changes = fields.aliases(version_aliases, removal=True)
        if not changes:
            raise InvalidArgumentError("versionAliases is empty", field="version_aliases")
        version = self.version(name)
        added = [alias for alias in changes if not alias.startswith("-") and f"-{alias}" not in changes]
        removed = {alias.removeprefix("-") for alias in changes if alias.startswith("-")}
        if DEFAULT in removed - set(changes):
            raise FailedPreconditionError("The alias default cannot be removed; give it to another version.")
        with self._store.transaction():
            self._take_aliases(version["name"], added)
            version = self.version(f"{version['name']}@{version['versionId']}")
            kept = [alias for alias in version["versionAliases"] if alias not in removed - set(changes)]
            version["versionAliases"] = list(dict.fromkeys([*kept, *added]))
            version["versionUpdateTime"] = rfc3339(self._now())
            self._store.write_version(version)
        return self._shown(version, self._deployed())

    @json_method(f"DELETE /v1/{{name={_MODEL}}}:deleteVersion", needs="aiplatform.models.delete")
    def delete_version(self, name: str) -> Json:
        """Delete a version and return the operation.

        Raises:
            FailedPreconditionError: it is deployed, the default, or the only one.
        """
        if "@" not in name:
            raise InvalidArgumentError(f"{name} names no version", field="name")
        version = self.version(name)
        if len(self._store.versions(version["name"])) == 1:
            raise FailedPreconditionError("The only version of a model is deleted with the model.")
        if DEFAULT in version["versionAliases"]:
            raise FailedPreconditionError("The default version cannot be deleted; make another one the default.")
        self._refuse_deployed([version])
        with self._store.transaction():
            self._store.delete_version(version["name"], version["versionId"])
            return self._operations.done(version["name"], "Delete", {"@type": EMPTY})

    @json_method(f"DELETE /v1/{{name={_MODEL}}}", needs="aiplatform.models.delete")
    def delete(self, name: str) -> Json:
        """Delete a model with its versions and return the operation.

        Raises:
            FailedPreconditionError: a version is deployed.
        """
        versions = self._store.versions(name)
        if not versions:
            raise NotFoundError(f"The Model {name} does not exist.")
        self._refuse_deployed(versions)
        with self._store.transaction():
            self._store.delete_model(name)
            return self._operations.done(name, "Delete", {"@type": EMPTY})

    def _check(self, model: Json) -> None:
        if not model.get("displayName"):
            raise InvalidArgumentError("model.displayName is required", field="model.display_name")
        image = model.get("containerSpec", {}).get("imageUri")
        if not image:
            raise InvalidArgumentError("model.containerSpec.imageUri is required", field="model.container_spec")
        artifacts = model.get("artifactUri", "gs://")
        if not str(artifacts).startswith("gs://"):
            raise InvalidArgumentError(f"model.artifactUri must begin with gs://, not {artifacts!r:.200}")
        self._check_image(image)

    def _take_aliases(self, model: str, aliases: Iterable[str]) -> None:
        """Take the aliases away from the versions that have them."""
        taken = set(aliases)
        for version in self._store.versions(model):
            kept = [alias for alias in version["versionAliases"] if alias not in taken]
            if kept != version["versionAliases"]:
                self._store.write_version({**version, "versionAliases": kept})

    def _deployed(self) -> dict[tuple[str, str], list[Json]]:
        """Where each version is deployed, by its model and id."""
        places: dict[tuple[str, str], list[Json]] = {}
        for endpoint in self._store.endpoints():
            for deployed in endpoint.get("deployedModels", ()):
                reference = {"endpoint": endpoint["name"], "deployedModelId": deployed["id"]}
                places.setdefault((deployed["model"], deployed["modelVersionId"]), []).append(reference)
        return places

    def _shown(self, version: Json, deployed: dict[tuple[str, str], list[Json]]) -> Json:
        places = deployed.get((version["name"], version["versionId"]))
        return {**version, "deployedModels": places} if places else version

    def _refuse_deployed(self, versions: list[Json]) -> None:
        deployed = self._deployed()
        for version in versions:
            if places := deployed.get((version["name"], version["versionId"])):
                where = f"{version['name']}@{version['versionId']} is deployed to {places[0]['endpoint']}"
                raise FailedPreconditionError(f"{where}; undeploy it first.")

    def _page(self, versions: list[Json], filter: str, order: str, size: str | int, token: str, request: str) -> Json:
        keep = compile_filter(filter, _FILTERED)
        ordering = paging.parse_order(order, ("displayName", "createTime", "updateTime"))
        kept = paging.selection(versions, _record, keep, ordering)
        limit = paging.page_size(size, default=100, largest=1000)
        page, following = paging.page(kept, limit, token, request, filter, order)
        deployed = self._deployed()
        return paging.listing("models", [self._shown(version, deployed) for version in page], following)


def _record(version: Json) -> Json:
    return {"labels": {}, **version}


def _id(requested: str) -> str:
    if requested and not _ID.fullmatch(requested):
        form = "up to 63 small letters, digits, '_' and '-', not beginning with either"
        raise InvalidArgumentError(f"modelId {requested!r:.200} must have {form}", field="model_id")
    return requested or new_id()
