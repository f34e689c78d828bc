"""Keeps labels as labels/<job>.json of the output bucket, and notes what they say of an experiment's answers."""

import json
from typing import TYPE_CHECKING, Any, Literal

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import storage
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError, RejectedError
from pipeline.jobs import observations, outcomes
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import document_of_object, fit
from pipeline.labels.label import UNSELECTED, Label
from pipeline.times import timestamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MAX_EARLIER = 20
Fields = dict[str, Any]
Kept = Literal["kept", "known"]


def keep(deployment: Deployment, label: Label) -> Kept:
    """Keeps a label of an input that has its document.

    Of several labels of an input the newest holds, but none by a user's correction replaces one from another source;
    the earlier ones are kept too.

    Returns:
        `known` if the same label was kept before.

    Raises:
        RejectedError: `unknown_input`, or `invalid_label` for an input whose answer has no label.
        InProgressError: the input has no document yet; to be tried again.
    """
    name, document = _document(deployment, label)
    _check_answer(document, label)
    record, generation, is_new = _record(deployment.output, label, name, document)
    observations.label(deployment.output, document, _observed(record, document), generation)
    return "kept" if is_new else "known"


def _document(deployment: Deployment, label: Label) -> tuple[str, Fields]:
    """The input's document by its name without folder and suffix."""
    output = deployment.output
    if label.by == "document":
        name = label.target.removeprefix(f"gs://{output.name}/").removesuffix(".json")
        folder, _, rest = name.partition("/")
        name = rest if folder in outcomes.FOLDERS.values() else name
        if found := _any_folder(output, name):
            return name, found
        raise _unknown(label)
    if label.by == "job":
        if outcome := outcomes.read(deployment.work, label.target):
            return outcome.document.partition("/")[2].removesuffix(".json"), dict(outcome.content)
        is_claimed = Claims(deployment.work, deployment.settings.claim_lease).read(label.target) is not None
    else:
        if found := _read(output, f"latest/{fit(label.target)}.json"):
            return document_of_object(found["input"]["name"], int(found["input"]["generation"])), found
        newest = deployment.input.get_blob(label.target)
        name = "" if newest is None else document_of_object(label.target, newest.generation)
        if newest is not None and (found := _any_folder(output, name)):  # without latest/
            return name, found
        is_claimed = newest is not None
    if is_claimed:
        raise InProgressError(f"The input of the {label} has no document yet.")
    raise _unknown(label)


def _any_folder(output: "Bucket", name: str) -> Fields | None:
    folders = dict.fromkeys(outcomes.FOLDERS.values())
    return next((found for folder in folders if (found := _read(output, f"{folder}/{name}.json"))), None)


def _read(bucket: "Bucket", name: str) -> Fields | None:
    try:
        content: Fields = json.loads(bucket.blob(name).download_as_bytes())
    except NotFound:
        return None
    return content


def _check_answer(document: Fields, label: Label) -> None:
    """Raises RejectedError, `invalid_label`, for an answer that is not one label; a failed input has none to check."""
    if document["status"] in ("failed", "rejected"):
        return
    predictions = document.get("predictions") or []
    if len(predictions) != 1 or "label" not in predictions[0]:
        raise RejectedError("invalid_label", f"The answer for the {label} is not one label that could be wrong.")


def _unknown(label: Label) -> RejectedError:
    return RejectedError("unknown_input", f"There is no input with the {label}.")


def _record(output: "Bucket", label: Label, name: str, document: Fields) -> tuple[Fields, int, bool]:
    """The input's labels with this one, their object's generation, and whether it was not among them."""
    blob = output.blob(f"labels/{document['job']}.json")
    while True:
        current = output.get_blob(blob.name)
        known: Fields = json.loads(current.download_as_bytes()) if current else {}
        own: Fields = {"label": label.label, "source": label.source, "time": timestamp()}
        entries = [known, *known.get("earlier", ())] if known else []
        if current and any((entry["label"], entry["source"]) == (label.label, label.source) for entry in entries):
            return known, current.generation, False
        head = {"job": document["job"], "document": name}
        parts = [{key: entry[key] for key in own} for entry in entries]
        first, *earlier = sorted([own, *parts], key=lambda entry: entry["source"] not in UNSELECTED)
        record = {**head, **first, **({"earlier": earlier[:MAX_EARLIER]} if earlier else {})}
        try:
            text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
            storage.put(blob, text, storage.stamp(document["job"]), generation=current.generation if current else 0)
        except (PreconditionFailed, NotFound):
            continue
        return record, blob.generation, True


def _observed(record: Fields, document: Fields) -> Fields:
    """What the labels say of the answer."""
    served = next((prediction.get("label") for prediction in document.get("predictions") or []), None)
    corrections = [
        entry["label"] for entry in (record, *record.get("earlier", ())) if entry["source"] not in UNSELECTED
    ]
    return {
        "label": record["label"] if record["source"] in UNSELECTED else None,
        "corrected": any(correction != served for correction in corrections),
    }
