"""Collects the evidence on a candidate: counts of its experiment's observations, and the limit of time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound, PreconditionFailed

from event_inference.promotion import observations
from event_inference.promotion.decision import Situation
from event_inference.promotion.observations import Limit, Observation
from event_inference.promotion.records import Trial, rules
from pipeline import storage, times
from pipeline.deployment import Deployment
from promoting.traffic import Entry

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

SETTLING = timedelta(seconds=2)  # after which every write that Cloud Storage has dated is listed
PAGE = 1000
FIELDS = "items(name,metadata,timeCreated),nextPageToken"


@dataclass(frozen=True, slots=True)
class State:
    """The last look at an experiment, as `evidence/<model>/<experiment>/counts.json` keeps it."""

    content: dict[str, Any]

    @property
    def began(self) -> str | None:
        return self.content.get("began")

    @property
    def action(self) -> str | None:
        return self.content.get("action")


def collect(deployment: Deployment, model: str, entry: Entry, state: State, now: datetime) -> Trial:
    """All that a decision follows from, up to two seconds ago.

    Raises:
        ValueError, TypeError: the model's rules cannot be used.
    """
    models, experiment, until = deployment.models, entry["experiment"], now - SETTLING
    held_to = rules(entry.get("rules") or {})
    limit = _limit(models, model, experiment)
    stable_ms: list[float] = []
    phases = observations.count(_noting(_listed(deployment.output, experiment, until), stable_ms), limit)
    if limit is None and (fixed := observations.limit(stable_ms, until, held_to.limit_answers)):
        _fix(models, model, experiment, fixed)
    began = times.parse(state.began or began_of(entry, now))
    return Trial(
        model=model,
        experiment=experiment,
        stable=entry["stable"],
        candidate=entry["candidate"],
        rules=held_to,
        situation=Situation(
            share=float(entry["share"]) if entry["mode"] == "split" else 0.0,
            days=max(0.0, round((now - began) / timedelta(days=1), 6)),
        ),
        phases=tuple(phases),
        until=until,
        limit=limit,
    )


def began_of(entry: Entry, now: datetime) -> str:
    """When an experiment began, as far as its traffic tells."""
    try:
        return times.parse(str(entry.get("since"))).isoformat()
    except ValueError:
        return now.isoformat()


def read_state(models: "Bucket", model: str, experiment: str) -> State:
    try:
        return State(json.loads(models.blob(f"{_folder(model, experiment)}counts.json").download_as_bytes()))
    except NotFound:
        return State({})


def write_state(models: "Bucket", model: str, experiment: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    storage.put(models.blob(f"{_folder(model, experiment)}counts.json"), text, {}, generation=None)


def _listed(output: "Bucket", experiment: str, until: datetime) -> Iterator[Observation]:
    """The observations written until a moment, in the order of their names."""
    for blob in output.list_blobs(prefix=observations.prefix(experiment), page_size=PAGE, fields=FIELDS):
        observed = Observation.parse(blob.name, blob.metadata, blob.time_created)
        if observed and observed.written_at <= until:
            yield observed


def _noting(listed: Iterator[Observation], stable_ms: list[float]) -> Iterator[Observation]:
    """The same observations; adds the stable version's times to a list."""
    for observed in listed:
        if (ms := observed.stable_ms) is not None:
            stable_ms.append(ms)
        yield observed


def _limit(models: "Bucket", model: str, experiment: str) -> Limit | None:
    try:
        return Limit.parse(json.loads(models.blob(f"{_folder(model, experiment)}limit.json").download_as_bytes()))
    except NotFound:
        return None


def _fix(models: "Bucket", model: str, experiment: str, limit: Limit) -> None:
    """Fixes the limit for good; decisions use it from the next look on."""
    blob = models.blob(f"{_folder(model, experiment)}limit.json")
    try:
        storage.put(blob, json.dumps(limit.json()) + "\n", {}, generation=0)
    except PreconditionFailed:
        return  # another look has fixed it


def _folder(model: str, experiment: str) -> str:
    return f"evidence/{model}/{experiment}/"
