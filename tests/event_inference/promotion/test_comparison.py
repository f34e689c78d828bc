"""`einf compare`: documents of two versions joined with labels, and the decision that is printed."""

import json
from pathlib import Path
from typing import Any

import pytest

from event_inference.promotion.comparison import compare
from event_inference.promotion.evidence import Pairs
from tests.event_inference.conftest import Emulated, local_environment


def document(name: str, version: str, label: str, model: str = "m") -> dict[str, Any]:
    return {"input": {"name": name}, "model": {"name": model, "version": version}, "predictions": [{"label": label}]}


def test_documents_are_paired_by_input() -> None:
    documents = [
        document("a", "1", "x"), document("a", "2", "y"),  # only the stable version is right
        document("b", "1", "y"), document("b", "2", "x"),  # only the candidate
        document("c", "1", "x"), document("c", "2", "x"),  # both
        document("d", "1", "y"), document("d", "2", "y"),  # neither
        document("e", "1", "x"), document("e", "2", "x"),  # no label
        document("f", "1", "x"), document("f", "3", "x"),  # another version
        document("g", "2", "x", model="other"), document("g", "1", "x"),
        document("c", "2", "y"), document("c", "2", "x"),  # sent again: the last counts
        {"input": {"topic": "t", "message_id": "1"}, "model": None, "predictions": []},
        {"input": {"name": "h"}, "model": {"name": "m", "version": "1"}, "data": {}},
    ]  # fmt: skip
    found = compare(documents, "m", "1", "2", dict.fromkeys("abcdfg", "x"))
    assert found.evidence.pairs == Pairs(win=1, loss=1, same=2)
    assert found.right == (2, 2)
    assert (found.unlabelled, found.unpaired) == (1, 2)
    assert found.versions == ("1", "2", "3")


def predicted(laptop: Emulated, count: int, right: dict[str, int]) -> str:
    """Documents of both versions, and a CSV of labels; the first so many answers of each are right."""
    for version, good in right.items():
        for number in range(count):
            label = "x" if number < good else "y"
            fields: dict[str, Any] = {
                "model": {"name": "m", "version": version},
                "predictions": [{"label": label, "score": 1.0}],
            }
            laptop.document("results", f"{number}.txt", 10 * int(version), **fields)
    labels = "\n".join(["name,label", *(f"{number}.txt,x" for number in range(count))])
    Path("labels.csv").write_text(labels)
    return "labels.csv"


@pytest.mark.parametrize(
    ("right", "verdict"),
    [({"1": 20, "2": 38}, "promote 2"), ({"1": 38, "2": 20}, "keep 1"), ({"1": 30, "2": 31}, "not decided yet")],
)
def test_the_command_says_which_version_is_better(
    invoke: Any, laptop: Emulated, right: dict[str, int], verdict: str
) -> None:
    labels = predicted(laptop, 40, right)
    ended = invoke("compare", "m", "1", "2", "--labels", labels, env=local_environment(laptop))
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[1].split() == ["1", f"{right['1'] / 40:.1%}"]
    assert lines[2].split() == ["2", f"{right['2'] / 40:.1%}"]
    assert verdict in lines
    as_json = json.loads(
        invoke("compare", "m", "1", "2", "--labels", labels, "--json", env=local_environment(laptop)).out
    )
    assert as_json["evidence"]["pairs"]["win"] == max(0, right["2"] - right["1"])


def test_labels_need_their_columns(invoke: Any, laptop: Emulated) -> None:
    Path("labels.csv").write_text("a,b\n1,2\n")
    ended = invoke("compare", "m", "1", "2", "--labels", "labels.csv", env=local_environment(laptop))
    assert (ended.status, ended.err.splitlines()[-1]) == (2, "einf: labels.csv needs the columns name and label.")


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        (("1", "3"), "Version 3 of m has predicted nothing; versions with results: 1, 2."),
        (("1", "1"), "STABLE and CANDIDATE must be two versions."),
    ],
)
def test_a_comparison_needs_two_versions_that_have_predicted(
    invoke: Any, laptop: Emulated, versions: tuple[str, str], words: str
) -> None:
    labels = predicted(laptop, 2, {"1": 1, "2": 2})
    ended = invoke("compare", "m", *versions, "--labels", labels, env=local_environment(laptop))
    assert (ended.status, ended.err.splitlines()[-1]) == (2, f"einf: {words}")
