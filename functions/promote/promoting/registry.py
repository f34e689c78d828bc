"""Vertex AI's Model Registry follows the traffic: each version that it names is registered, with its alias.

Only models that someone has registered are followed (`einf models push --vertex`).
"""

import os
import posixpath
import time
from typing import TYPE_CHECKING

from event_inference.errors import EventInferenceError
from event_inference.registry.api import Api
from event_inference.registry.vertex import Registry, Version
from pipeline import logs
from pipeline.deployment import Deployment
from pipeline.routing import choice
from promoting import traffic
from promoting.traffic import Entry

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ALIASES = ("stable", "candidate")
EMULATOR = "VERTEX_EMULATOR_HOST"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
TIMEOUT = 15.0  # seconds for a request, and for an upload; what takes longer is found at the next look
LONGEST = 60.0  # seconds after which the other models are left to the next look


def follow(deployment: Deployment) -> None:
    """Registers what traffic.json names and moves the aliases; a failure is logged, and the next look tries again.

    Raises:
        ConfigurationError: traffic.json cannot be read.
    """
    parent = deployment.settings.vertex_registry
    if not parent:
        return
    api = Api(_url(parent), parent, _credentials, timeout=TIMEOUT, operation_timeout=TIMEOUT)
    registry = Registry(api)
    until = time.monotonic() + LONGEST
    for model, entry in traffic.read(deployment.models).models.items():
        if time.monotonic() > until:
            logs.warning("failed", code="registry_not_updated", reason="Vertex AI is slow; the next look goes on")
            return
        try:
            _follow(deployment, registry, model, entry)
        except (EventInferenceError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            logs.warning("failed", code="registry_not_updated", model=model, reason=reason)


def _follow(deployment: Deployment, registry: Registry, model: str, entry: Entry) -> None:
    versions = [version for version in registry.versions(model) if version.name == model]
    if not versions:
        return
    for alias in ALIASES:
        name = entry.get(alias)
        holder = _registered(deployment, registry, versions, model, name) if name else None
        if name and holder is None:
            reason = f"version {name} is not in the models bucket"
            logs.warning("failed", code="registry_not_updated", model=model, reason=reason)
            continue
        if holder is not None and holder not in versions:
            versions.append(holder)
        if registry.assign(alias, versions, holder.number if holder else None):
            logs.info("alias moved", model=model, alias=alias, version=name)


def _registered(
    deployment: Deployment, registry: Registry, versions: list[Version], model: str, name: str
) -> Version | None:
    """The newest registration of a version, made in the container of the model's newest one if there is none.

    None if the version's files are not in the models bucket.
    """
    artifacts = _artifacts(deployment, model, name)
    if artifacts is None:
        return None
    for version in reversed(versions):
        if version.artifacts.rstrip("/") == artifacts:
            return version
    registered = registry.register(model, name, artifacts, versions[-1].container)
    logs.info("version registered", model=model, version=name, number=registered.number)
    return registered


def _artifacts(deployment: Deployment, model: str, version: str) -> str | None:
    """The folder of a version in the models bucket."""
    settings = deployment.settings
    entry = choice.current(settings).models.answering(model, version)
    if entry is None:
        return None
    location = settings.models or f"gs://{settings.models_bucket}/models.json"
    source = entry.source
    if not source.startswith("gs://"):
        bucket, _, name = location.removeprefix("gs://").partition("/")
        source = f"gs://{bucket}/{posixpath.normpath(posixpath.join(posixpath.dirname(name), source))}"
    folder = source.rstrip("/")
    prefix = f"gs://{settings.models_bucket}/"
    if not folder.startswith(prefix):
        return None
    return folder if deployment.models.blob(f"{folder.removeprefix(prefix)}/config.json").exists() else None


def _url(parent: str) -> str:
    return os.environ.get(EMULATOR) or f"https://{parent.rpartition('/')[2]}-aiplatform.googleapis.com"


def _credentials() -> "Credentials":
    """The function's own; anonymous for an emulator."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if os.environ.get(EMULATOR):
        return AnonymousCredentials()
    credentials, _ = google.auth.default(scopes=SCOPES)
    return credentials
