"""traffic.json: what each model's traffic becomes by a decision, and writes that fail if anyone else was faster."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline import storage
from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

FILE = "traffic.json"
REMEMBERED_ORDERS = 20

Entry = dict[str, Any]
"""A model's traffic; docs/promotion.md lists its keys."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The file's content by model, and the generation that it was read in; 0 if there is no file."""

    models: dict[str, Entry]
    generation: int

    def write(self, models: "Bucket", model: str, entry: Entry) -> None:
        """Replaces a model's traffic.

        Raises:
            PreconditionFailed: the file has changed since it was read.
        """
        text = json.dumps({**self.models, model: entry}, ensure_ascii=False, indent=2) + "\n"
        storage.put(models.blob(FILE), text, {}, generation=self.generation)


def read(models: "Bucket") -> Traffic:
    """Reads the file.

    Raises:
        ConfigurationError: it is not a JSON object of objects.
    """
    blob = models.blob(FILE)
    try:
        content = json.loads(blob.download_as_bytes())
    except NotFound:
        return Traffic({}, 0)
    except ValueError as error:
        raise ConfigurationError(f"{FILE} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise ConfigurationError(f"{FILE} must map models to objects.")
    return Traffic(content, blob.generation)


def is_running(entry: Entry) -> bool:
    """Whether a candidate takes part in an experiment now."""
    return bool(entry.get("candidate") and entry.get("experiment")) and entry.get("mode") in ("shadow", "split")


def shares_experiment(models: dict[str, Entry], model: str) -> bool:
    """Whether another model's traffic names the same experiment, so that their observations would mix."""
    experiment = models[model].get("experiment")
    return any(entry.get("experiment") == experiment for name, entry in models.items() if name != model)


# --- what an entry becomes; each change says since when, by whom, and why --------------------------


def promoted(entry: Entry) -> Entry:
    return {**_without_candidate(entry), "stable": entry["candidate"], "previous": entry["stable"]}


def rolled_back(entry: Entry) -> Entry:
    """Without the candidate; if there is none, with the version that was stable before."""
    if entry.get("candidate"):
        return _without_candidate(entry)
    return {**entry, "stable": entry["previous"], "previous": entry["stable"]}


def raised(entry: Entry, share: float) -> Entry:
    return {**entry, "share": share, "mode": "split"}


def frozen(entry: Entry) -> Entry:
    return {**entry, "mode": "frozen", "frozen_mode": entry["mode"]}


def resumed(entry: Entry) -> Entry:
    return {**{key: value for key, value in entry.items() if key != "frozen_mode"}, "mode": entry["frozen_mode"]}


def _without_candidate(entry: Entry) -> Entry:
    dropped = ("experiment", "frozen_mode")
    return {**{key: value for key, value in entry.items() if key not in dropped}, "candidate": None, "share": 0}
