"""`einf traffic`: what it writes to traffic.json, and what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from event_inference import traffic as file
from event_inference.access.clients import Connection
from event_inference.errors import USAGE, InputError
from pipeline.routing import traffic as reader
from tests.event_inference.conftest import Emulated, Ended, local_environment

Run = Callable[..., Ended]


class Traffic:
    """traffic.json in the laptop's models bucket."""

    def __init__(self, laptop: Emulated, invoke: Callable[..., Ended]) -> None:
        self.connection: Connection = laptop.client.connection
        self._bucket = self.connection.storage.bucket(laptop.target.models_bucket)
        self._invoke, self._env = invoke, local_environment(laptop)

    def run(self, *arguments: str, reason: str = "a try") -> Ended:
        options = () if arguments[0] == "show" else ("--reason", reason, "--by", "ada")
        return self._invoke("traffic", *arguments, *options, env=self._env)

    @property
    def blob(self) -> Any:
        return self._bucket.blob("traffic.json")

    @property
    def models(self) -> dict[str, Any]:
        models: dict[str, Any] = json.loads(self.blob.download_as_bytes())
        reader.parse(json.dumps(models).encode())  # as the functions read it
        return models

    @property
    def sentiment(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.models["sentiment"]
        return entry


@pytest.fixture
def traffic(laptop: Emulated, invoke: Callable[..., Ended]) -> Traffic:
    return Traffic(laptop, invoke)


def test_a_split_names_both_versions_and_keeps_the_reason(traffic: Traffic):
    ended = traffic.run("split", "sentiment", "2", "--stable", "1", "--share", "0.1")
    assert (ended.status, ended.out) == (
        0, "sentiment: version 2 answers 0.1 of the inputs, version 1 the others\n",
    )  # fmt: skip
    entry = traffic.sentiment
    assert entry.pop("since").endswith("Z")
    assert entry.pop("experiment").startswith("2-2")
    assert entry == {
        "stable": "1", "candidate": "2", "share": 0.1, "mode": "split", "by": "ada", "reason": "a try",
    }  # fmt: skip


def test_another_share_and_mode_continue_the_experiment_and_other_versions_begin_one(traffic: Traffic):
    traffic.run("shadow", "sentiment", "2", "--stable", "1", "--experiment", "e1")
    traffic.run("split", "sentiment", "2", "--share", "0.1")
    traffic.run("split", "sentiment", "2", "--share", "0.5")
    assert (traffic.sentiment["experiment"], traffic.sentiment["share"]) == ("e1", 0.5)
    traffic.run("split", "sentiment", "3", "--share", "0.1")
    assert traffic.sentiment["experiment"].startswith("3-")


def test_a_frozen_experiment_goes_on_and_a_stopped_one_ends(traffic: Traffic):
    traffic.run("split", "sentiment", "2", "--stable", "1", "--share", "0.1", "--experiment", "e1")
    assert traffic.run("freeze", "sentiment", reason="an outage").out == "sentiment: all inputs go to version 1\n"
    assert (traffic.sentiment["mode"], traffic.sentiment["reason"]) == ("frozen", "an outage")
    traffic.run("split", "sentiment", "2", "--share", "0.1")
    assert (traffic.sentiment["mode"], traffic.sentiment["experiment"]) == ("split", "e1")
    assert traffic.run("stop", "sentiment").out == "sentiment: all inputs go to version 1\n"
    assert (traffic.sentiment["candidate"], "experiment" in traffic.sentiment) == (None, False)


def test_set_makes_a_version_stable_and_keeps_other_models(traffic: Traffic):
    traffic.run("split", "digits", "2", "--stable", "1", "--share", "0.1")
    traffic.run("split", "sentiment", "2", "--stable", "1", "--share", "0.1")
    traffic.run("set", "sentiment", "2")
    assert traffic.sentiment["stable"] == "2"
    assert (traffic.sentiment["candidate"], traffic.sentiment["previous"]) == (None, "1")
    assert traffic.models["digits"]["candidate"] == "2"


def test_show_lists_what_there_is(traffic: Traffic):
    assert traffic.run("show").out == ""
    traffic.run("split", "sentiment", "2", "--stable", "1", "--share", "0.1", "--experiment", "e1")
    heading, row = traffic.run("show").out.splitlines()
    assert heading.split() == ["model", "stable", "candidate", "share", "mode", "experiment", "since", "by", "reason"]
    assert row.split()[:6] == ["sentiment", "1", "2", "0.1", "split", "e1"]
    (entry,) = traffic.run("show", "sentiment", "--json").json
    assert entry == traffic.models
    assert traffic.run("show", "digits").status == USAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("split", "sentiment", "2", "--share", "0.1"), "no stable version yet. Name it with --stable."),
        (("split", "sentiment", "1", "--stable", "1", "--share", "0.1"), "1 is the stable version already"),
        (("split", "sentiment", "2", "--stable", "1", "--share", "0"), "0.0 is not in the range"),
        (("split", "sentiment", "2", "--stable", "1", "--share", "1.5"), "1.5 is not in the range"),
        (("freeze", "sentiment"), "no candidate, so that nothing is to be frozen"),
        (("stop", "sentiment"), "no candidate, so that nothing is to be stopped"),
    ],
)
def test_what_is_not_possible_is_refused_and_changes_nothing(
    traffic: Traffic, arguments: tuple[str, ...], message: str
):
    ended = traffic.run(*arguments)
    assert (ended.status, message in " ".join(ended.err.split())) == (USAGE, True), ended.err
    assert not traffic.blob.exists()


def test_a_reason_is_required(traffic: Traffic, invoke: Callable[..., Ended]):
    ended = invoke("traffic", "set", "sentiment", "1", env=traffic._env)
    assert (ended.status, "--reason" in ended.err) == (USAGE, True)


@pytest.mark.parametrize("content", ["{", "[]", '{"sentiment": 1}'])
def test_a_broken_file_is_not_overwritten(traffic: Traffic, content: str):
    traffic.blob.upload_from_string(content)
    ended = traffic.run("set", "sentiment", "1")
    assert (ended.status, "traffic.json" in ended.err) == (USAGE, True)
    assert traffic.blob.download_as_text() == content


def test_a_change_at_the_same_moment_is_not_overwritten(traffic: Traffic):
    traffic.run("split", "sentiment", "2", "--stable", "1", "--share", "0.1", "--experiment", "e1")

    def meanwhile(entry: file.Entry) -> file.Entry:
        if entry["mode"] == "split":
            traffic.run("freeze", "sentiment", reason="an outage")
        return file.tried("2", 0.5, "split", stable=None, experiment=None)(entry)

    with pytest.raises(InputError, match=r"ada has just changed the traffic of sentiment: an outage"):
        file.change(traffic.connection, "sentiment", meanwhile, by="bob", reason="more")
    assert traffic.sentiment["mode"] == "frozen"


def test_a_change_of_another_model_at_the_same_moment_is_kept(traffic: Traffic):
    def meanwhile(entry: file.Entry) -> file.Entry:
        if not traffic.blob.exists():
            traffic.run("set", "digits", "1")
        return file.settled("1")(entry)

    file.change(traffic.connection, "sentiment", meanwhile, by="bob", reason="more")
    assert traffic.models.keys() == {"digits", "sentiment"}
