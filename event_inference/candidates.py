"""Candidates of a pipeline: their traffic, the last look at their evidence, decisions, and the counts recomputed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_inference.access.clients import Connection
from event_inference.errors import InputError
from event_inference.promotion import observations, records
from event_inference.promotion.counts import Phase
from event_inference.promotion.observations import Observation
from event_inference.promotion.records import Trial

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

TRAFFIC = "traffic.json"
_FIELDS = "items(name,metadata,timeCreated),nextPageToken"

Json = dict[str, Any]


def traffic(connection: Connection) -> Json:
    """traffic.json of the models bucket; empty if there is none."""
    return _read(_models(connection), TRAFFIC) or {}


def entry(connection: Connection, model: str) -> Json:
    """A model's traffic. Raises InputError if it has none."""
    models = traffic(connection)
    if model not in models:
        known = ", ".join(models) or "none"
        raise InputError(f"{TRAFFIC} does not name {model}; models with traffic: {known}.")
    found: Json = models[model]
    return found


def last_look(connection: Connection, model: str, experiment: str) -> Json | None:
    """What `promote` found when it looked at an experiment last; None before that."""
    return _read(_models(connection), f"evidence/{model}/{experiment}/counts.json")


def decisions(connection: Connection, model: str) -> Iterator[tuple[str, Json]]:
    """The names and documents of a model's decisions, the oldest first."""
    for blob in _models(connection).list_blobs(prefix=f"decisions/{model}/"):
        yield blob.name, json.loads(blob.download_as_bytes())


def decision(connection: Connection, name: str) -> Json:
    """A decision's document: a file on this machine, or an object of the models bucket. Raises InputError."""
    if Path(name).is_file():
        try:
            content = json.loads(Path(name).read_bytes())
        except ValueError as error:
            raise InputError(f"{name} is not JSON.") from error
    else:
        bucket = _models(connection)
        content = _read(bucket, name.removeprefix(f"gs://{bucket.name}/"))
    if not isinstance(content, Mapping) or content.get("schema") != records.SCHEMA:
        raise InputError(f"{name} is no decision: neither a file here nor an object of the models bucket.")
    return dict(content)


def recounted(connection: Connection, document: Json) -> list[Phase]:
    """The counts of a decision's document, from the observations that are still stored."""
    trial = Trial.parse(document)
    return observations.count(_observed(connection, trial), trial.limit)


def _observed(connection: Connection, trial: Trial) -> Iterator[Observation]:
    prefix = observations.prefix(trial.experiment)
    for blob in connection.output.list_blobs(prefix=prefix, page_size=1000, fields=_FIELDS):
        observed = Observation.parse(blob.name, blob.metadata, blob.time_created)
        if observed and observed.written_at <= trial.until:
            yield observed


def _models(connection: Connection) -> "Bucket":
    bucket: Bucket = connection.storage.bucket(connection.target.models_bucket)
    return bucket


def _read(bucket: "Bucket", name: str) -> Json | None:
    from google.api_core.exceptions import NotFound

    try:
        content: Json = json.loads(bucket.blob(name).download_as_bytes())
    except NotFound:
        return None
    return content
