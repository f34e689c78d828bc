"""models.json after a push: which entry answers, what is kept, and that no other change is lost."""

import json
from typing import Any

import pytest

from event_inference.errors import InputError
from event_inference.registry.models_file import add, with_entry
from gpu_service.checkpoints.registry import Entry as Served
from gpu_service.checkpoints.registry import Registry
from tests.event_inference.conftest import Emulated

TASK = "text-classification"
NEW = {"name": "a", "version": "9", "task": TASK, "source": "a/9"}


def entry(name: str, version: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "task": TASK, "source": f"{name}/{version}", **fields}


def served(entries: list[dict[str, Any]]) -> Registry:
    return Registry([Served(**fields) for fields in entries])


LISTS = [
    [entry("a", "1")],
    [entry("a", "1"), entry("a", "2")],
    [entry("a", "1"), entry("a", "2", default=True)],
    [entry("a", "1", default=True), entry("a", "2")],
    [entry("b", "1"), entry("a", "1")],
    [entry("a", "1"), entry("b", "1")],
    [entry("a", "1"), entry("b", "1", default=True)],
    [entry("b", "1"), entry("a", "1"), entry("c", "1"), entry("a", "2"), entry("d", "1")],
]


@pytest.mark.parametrize("entries", LISTS)
def test_a_new_version_answers_only_those_that_name_it(entries: list[dict[str, Any]]) -> None:
    before, after = served(entries), served(with_entry(entries, NEW))
    for name in {each["name"] for each in entries}:
        assert after.find(name, None).version == before.find(name, None).version
    assert after.default(TASK).source == before.default(TASK).source
    assert after.find("a", "9").source == "a/9"
    assert len(after.entries) == len(entries) + 1


@pytest.mark.parametrize("entries", [[], *LISTS])
def test_a_new_default_answers_everyone(entries: list[dict[str, Any]]) -> None:
    after = served(with_entry(entries, {**NEW, "default": True}))
    assert after.find("a", None).version == "9"
    assert after.default(TASK).version == "9"
    assert sum(each.default for each in after.entries) == 1


def test_an_entry_is_updated_and_keeps_what_a_push_does_not_say() -> None:
    entries = [entry("a", "1", default=True, parameters={"top_k": 1}, revision="main"), entry("a", "2")]
    assert with_entry(entries, {**NEW, "version": "1"}) == [
        {**NEW, "version": "1", "default": True, "parameters": {"top_k": 1}},
        entry("a", "2"),
    ]


def test_an_endpoint_serves_one_version() -> None:
    engine = {"engine": "vertex", "endpoint": "projects/p/locations/l/endpoints/e"}
    entries = [entry("a", "1", **engine), entry("b", "1", engine="vertex", endpoint="another")]
    assert with_entry(entries, {**NEW, **engine})[0] == entry("a", "1", default=True)
    assert with_entry(entries, {**NEW, **engine})[2] == entries[1]
    assert with_entry(entries, {**entries[0], "source": "new"})[0] == {**entries[0], "source": "new"}


class TestFile:
    def read(self, laptop: Emulated) -> Any:
        return json.loads(self.blob(laptop).download_as_bytes())

    def blob(self, laptop: Emulated) -> Any:
        return laptop.client.connection.storage.bucket(laptop.target.models_bucket).blob("models.json")

    def test_a_missing_file_is_created(self, laptop: Emulated) -> None:
        assert add(self.blob(laptop).bucket, NEW, None) == "models"
        assert self.read(laptop) == {"models": [NEW]}

    def test_other_profiles_and_rules_stay(self, laptop: Emulated) -> None:
        rules = [{"name": "all", "model": "a"}]
        self.blob(laptop).upload_from_string(json.dumps({"routes": rules, "mine": [entry("b", "1")]}))
        assert add(self.blob(laptop).bucket, NEW, None) == "mine"
        assert self.read(laptop) == {"routes": rules, "mine": [entry("b", "1"), NEW]}
        with pytest.raises(InputError, match="key of the rules"):
            add(self.blob(laptop).bucket, NEW, "routes")
        assert add(self.blob(laptop).bucket, NEW, "theirs") == "theirs"
        with pytest.raises(InputError, match="choose one of mine, theirs with --profile"):
            add(self.blob(laptop).bucket, NEW, None)

    def test_the_same_entry_changes_nothing(self, laptop: Emulated) -> None:
        add(self.blob(laptop).bucket, NEW, None)
        generation = self.blob(laptop).bucket.get_blob("models.json").generation
        add(self.blob(laptop).bucket, NEW, None)
        assert self.blob(laptop).bucket.get_blob("models.json").generation == generation

    @pytest.mark.parametrize("content", ["[]", "{", '{"a": {}}', '{"a": [{"name": "b"}]}', '{"a": [1]}'])
    def test_a_file_that_is_not_valid_stays_as_it_is(self, laptop: Emulated, content: str) -> None:
        self.blob(laptop).upload_from_string(content)
        with pytest.raises(InputError, match="Mend it first"):
            add(self.blob(laptop).bucket, NEW, None)
        assert self.blob(laptop).download_as_text() == content
