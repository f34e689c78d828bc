"""Pairs of predictions of the same inputs by two versions of a model, from their documents and true labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from event_inference.promotion.evidence import Evidence, Pairs

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what could not be.

    Args:
        unlabelled: inputs that both versions predicted and that have no label.
        unpaired: labelled inputs that only one version, or none, predicted.
        versions: those of the model that predicted any input.
    """

    evidence: Evidence
    right: tuple[int, int]
    unlabelled: int
    unpaired: int
    versions: tuple[str, ...]


def compare(
    documents: Iterable[Json], model: str, stable: str, candidate: str, labels: Mapping[str, str]
) -> Comparison:
    """Compares by label; of several documents of an input by the same version, the last one counts.

    Args:
        documents: results, in the order in which they were finished.
        labels: the true label by the input's name. They must not be chosen by what a version answered: corrections of
            one version's answers promote any other version.
    """
    answers: dict[str, dict[str, str]] = {stable: {}, candidate: {}}
    seen: set[str] = set()
    for document in documents:
        served, predictions = document.get("model") or {}, document.get("predictions") or []
        version, name = served.get("version"), document["input"].get("name")
        if served.get("name") == model:
            seen.add(str(version))
        if served.get("name") == model and version in answers and name and len(predictions) == 1:
            answers[version][name] = str(predictions[0].get("label"))
    both = answers[stable].keys() & answers[candidate].keys()
    win = loss = same = right = 0
    for name in both & labels.keys():
        is_right = [answers[version][name] == labels[name] for version in (stable, candidate)]
        win += is_right == [False, True]
        loss += is_right == [True, False]
        same += is_right[0] == is_right[1]
        right += all(is_right)
    return Comparison(
        Evidence(pairs=Pairs(win, loss, same)),
        right=(right + loss, right + win),
        unlabelled=len(both - labels.keys()),
        unpaired=len(labels.keys() - both),
        versions=tuple(sorted(seen)),
    )
