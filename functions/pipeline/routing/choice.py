"""Chooses the model of an input and its version, and says why.

The model is the one that the input names, else that of the first rule which applies, else the default one. The version
is the one that the input names, else what traffic.json assigns, else the default one.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast, get_args

from pipeline import logs
from pipeline.errors import RejectedError
from pipeline.jobs.job import Job, Model, is_requested, on_endpoint
from pipeline.kinds import SINGLE
from pipeline.routing import models, traffic
from pipeline.routing.models import Content, Models
from pipeline.routing.rules import Facts, Rule
from pipeline.routing.traffic import Traffic
from pipeline.routing.watched import Watched
from pipeline.settings import Settings

MAX_NOTE = 300  # characters
_OF_VERSION = ("version", "version_by", "experiment", "endpoint", "task")


@dataclass(frozen=True, slots=True)
class Routing:
    """What inputs are routed by at the moment; `notes` say what is wrong with the newest files."""

    models: Models = field(default_factory=Models)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def model(self, requested: Model | None, facts: Callable[[], Facts]) -> Model | None:
        """The model without a version that was not requested; None for a batch's default, which its records decide."""
        if requested is not None:
            return {**requested, "chosen_by": "requested"}
        if self.models.rules:
            rule, mismatch = self.considered(facts())[-1]
            if mismatch is None:
                return {"name": rule.model, "version": None, "chosen_by": "rule", "rule": rule.name}
        return None

    def considered(self, facts: Facts) -> list[tuple[Rule, str | None]]:
        """The rules up to the first that matches, each with the condition that does not hold."""
        rules: list[tuple[Rule, str | None]] = []
        for rule in self.models.rules:
            rules.append((rule, rule.mismatch(facts)))
            if rules[-1][1] is None:
                break
        return rules

    def default(self, content: Content, *, batched: bool = False) -> Model | None:
        """The default model of texts or images; None if models.json does not say which it is."""
        entry = self.models.default(content, batched=batched)
        return None if entry is None else {"name": entry.name, "version": None, "chosen_by": "default"}

    def versioned(self, model: Model, job: str, *, shadowed: bool) -> tuple[Model, str | None]:
        """The model with the version that a job gets, and a note on a version that traffic.json names in vain."""
        if model["version"] is not None:
            return {**model, "version_by": "requested"}, None
        entries = self.models.named(model["name"])
        found = self._traffic(model["name"])
        if found is None:
            return model, None
        served = {entry.version for entry in entries}
        if entries and found.stable not in served:
            return model, _missing(model, found.stable, "default")
        note = None
        if entries and found.candidate is not None and found.candidate not in served:
            note = _missing(model, found.candidate, "stable")
            found = replace(found, candidate=None)
        version, experiment = found.assign(job, shadowed=shadowed)
        chosen: Model = {**model, "version": version, "version_by": "traffic"}
        return ({**chosen, "experiment": experiment} if experiment else chosen), note

    def placed(self, model: Model, *, batched: bool) -> Model:
        """The model with the endpoint that serves the version, if that is not the GPU service.

        Without a version, a batch is left to the GPU service if that serves any.
        """
        entry = self.models.answering(model["name"], model["version"])
        if batched and model["version"] is None and not all(each.endpoint for each in self.models.named(model["name"])):
            return model
        if entry is None or entry.endpoint is None:
            return model
        return {**model, "version": entry.version, "endpoint": entry.endpoint, "task": entry.task}

    def runs(self, model: str, experiment: str) -> bool:
        """Whether an experiment goes on, as far as the files can be read."""
        found = self._traffic(model)
        is_running = found is not None and found.runs and found.experiment == experiment
        return is_running or bool(self.notes)

    def described(self, model: str | None) -> dict[str, Any] | None:
        """The traffic of a model; None if it has none of its own."""
        found = None if model is None else self._traffic(model)
        return None if found is None else asdict(found)

    def _traffic(self, model: str) -> Traffic | None:
        """Of a model by its name or source."""
        entries = self.models.named(model)
        return self.traffic.get(entries[0].name if entries else model)


def begin(settings: Settings) -> None:
    """Begins to read what has changed, beside what else an input needs."""
    if settings.models_bucket:
        registry, traffics = _files(settings.models_bucket, settings.models, settings.profile)
        registry.refresh()
        traffics.refresh()


def current(settings: Settings) -> Routing:
    if not settings.models_bucket:
        return Routing()
    registry, traffics = _files(settings.models_bucket, settings.models, settings.profile)
    (known, registry_problem), (assigned, traffic_problem) = registry.value(), traffics.value()
    problems = [problem for problem in (registry_problem, traffic_problem) if problem]
    return Routing(known, assigned, tuple(problem[:MAX_NOTE] for problem in problems))


def routed(settings: Settings, job: Job, facts: Callable[[], Facts]) -> Job:
    """The job, whose kind is known, with its model; None if the GPU service's default is to answer."""
    if job.kind == "timeseries":
        return job
    routing = current(settings)
    model = routing.model(job.model, facts)
    if model is None and (content := models.OF_KIND.get(job.kind or "")):
        model = routing.default(content)
    return _checked(assigned(routing, job, model))


def of_batch(settings: Settings, job: Job, chosen: Model | None, content: Content | None) -> Model | None:
    """The model of a batch that is being cut.

    Args:
        chosen: by its manifest or at its intake; one that cannot read the batch and was not requested is replaced.
        content: what all records hold; None if they may differ, so that only a named model takes part in experiments.
    """
    routing, model = current(settings), chosen
    if model is not None and content and not is_requested(model):
        reads = routing.models.reads(model["name"])
        if reads not in (None, content):
            logs.warning("the model does not read the column", job=job.id, model=model["name"], content=content)
            model = None
    if model is None and content:
        model = routing.default(content, batched=True)
    if model is None or "version_by" in model:
        return model
    return _checked(assigned(routing, job, cast(Model, {"chosen_by": "requested", **model}))).model


def _checked(job: Job) -> Job:
    """The job; rejects one of many records whose model only takes single inputs."""
    if job.model is not None and on_endpoint(job.model) and job.kind not in SINGLE:
        raise RejectedError(
            "invalid_parameters",
            f"The model {job.model['name']}, version {job.model['version']}, is on an endpoint of Vertex AI, which"
            " takes single texts and images. Choose another model or version for tables, records and manifests.",
            job.kind,
        )
    return job


def assigned(routing: Routing, job: Job, model: Model | None) -> Job:
    """The job with a model and the version that it gets."""
    note = None
    if model is not None:
        model, note = routing.versioned(model, job.id, shadowed=job.kind in SINGLE)
        model = routing.placed(model, batched=job.kind not in SINGLE)
        if model["chosen_by"] == "default" and model["version"] is None:
            model = None
    if note:
        logs.warning("a version is not served", reason=note)
    return replace(job, model=model, notes=(*routing.notes, *([note] if note else [])))


def kept(settings: Settings, job: Job, earlier: Model | None) -> Job:
    """The job of a further execution with the model of the one before; if its experiment has ended, as of now."""
    experiment = None if earlier is None else earlier.get("experiment")
    routing = current(settings)
    if earlier is None or experiment is None or routing.runs(earlier["name"], experiment["id"]):
        return replace(job, model=earlier)
    reasons = {key: value for key, value in earlier.items() if key not in _OF_VERSION}
    return assigned(routing, job, cast(Model, {**reasons, "version": None}))


def preferred_regions(settings: Settings, job: Job) -> tuple[str, ...]:
    """The regions that the entry of the job's model lists, the best first.

    The default model is that of the job's kind; of a batch, whose records decide, if it makes no difference.
    """
    known = current(settings).models
    if job.model is not None:
        entry = known.answering(job.model["name"], job.model["version"])
        entries = [*([entry] if entry else []), *known.named(job.model["name"])]
        return next((entry.regions for entry in entries if entry.regions), ())
    content = models.OF_KIND.get(job.kind or "")
    contents: tuple[Content, ...] = (content,) if content else get_args(Content)
    defaults = [known.default(each, batched=content is None) for each in contents]
    lists = {entry.regions for entry in defaults if entry}
    return lists.pop() if len(lists) == 1 else ()


def _missing(model: Model, version: str, other: str) -> str:
    return f"traffic.json: {model['name']} has no version {version!r:.100}; the {other} one is used."


@functools.cache
def _files(bucket: str, registry: str, profile: str) -> tuple[Watched[Models], Watched[Mapping[str, Traffic]]]:
    """models.json and traffic.json; `registry` is where models.json is, if not in the bucket."""
    location = registry or f"gs://{bucket}/{models.FILE}"
    known = Watched(location, functools.partial(models.parse, profile=profile), Models())
    return known, Watched(f"gs://{bucket}/{traffic.FILE}", traffic.parse, {})
