"""models.json: finding models, and reporting every mistake of a profile."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gpu_service.checkpoints import registry, sources
from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.errors import ModelNotFound, StartError
from gpu_service.settings import MODELS_FILE, read

TEXT, IMAGE = "text-classification", "image-classification"
GOOD = {"name": "a", "task": TEXT, "source": "owner/a"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models.json that does not exist yet, beside two models and an empty folder."""
    for name in ("moods/1", "moods/2"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path / "models.json"


def mistakes(models: Path, *entries: Any, profile: str | None = "p") -> str:
    models.write_text(json.dumps({"p": entries}))
    with pytest.raises(StartError) as refusal:
        registry.load(models, profile)
    return refusal.value.message.replace(str(models), "FILE").replace(str(models.parent), "FOLDER")


def test_the_included_profiles():
    starter = registry.load(MODELS_FILE, "starter")
    assert [entry.task for entry in starter.entries] == [TEXT, IMAGE]
    digits = sources.locate(starter.default(IMAGE).source, MODELS_FILE)
    assert digits == sources.Folder(MODELS_FILE.parent / "models" / "digits")
    hub = registry.load(MODELS_FILE, "hub")
    assert hub.find("google/vit-base-patch16-224", None).task == IMAGE


def test_models_of_the_hub_are_pinned_to_a_commit():
    entries = [entry for name in ("starter", "hub") for entry in registry.load(MODELS_FILE, name).entries]
    found = [(sources.locate(entry.source, MODELS_FILE), entry.revision) for entry in entries]
    revisions = [revision for source, revision in found if isinstance(source, sources.Repository)]
    assert len(revisions) == 2
    assert all(revision and re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)


def test_versions_and_defaults():
    served = Registry(
        [
            Entry(name="a", version="1", task=TEXT, source="x"),
            Entry(name="a", version="2", task=TEXT, source="x", default=True),
            Entry(name="a", version="3", task=TEXT, source="x"),
            Entry(name="b", version="7", task=TEXT, source="y"),
        ]
    )
    assert [served.find("a", version).version for version in (None, "1", "3")] == ["2", "1", "3"]
    assert served.find("b", None).version == "7"
    assert served.default(TEXT).version == "2"
    for name, version in (("c", None), ("a", "9")):
        with pytest.raises(ModelNotFound):
            served.find(name, version)
    with pytest.raises(ModelNotFound, match="No model for image-classification"):
        served.default(IMAGE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sources": "x"}, "unknown key 'sources' (did you mean 'source'?); known keys: name, version, task, source, "),
        ({"zzz": 1}, "unknown key 'zzz'; known keys: name, "),
        ({"name": None}, "'name' must be a string, not null"),
        ({"name": "a b"}, "'name' must consist of up to 128 letters, digits, '.', '_', '/' and '-', and begin with a "),
        ({"name": ""}, "'name' must consist of"),
        ({"version": 2}, "'version' must be a string, not 2"),
        ({"version": "/2"}, "'version' must consist of"),
        ({"name": "x/ready"}, "'name' is 'x/ready', whose part 'ready' names a route: in a URL it would be read as"),
        ({"name": "x/y/infer"}, "whose part 'infer' names a route"),
        ({"name": "x/versions"}, "whose part 'versions' names a route"),
        ({"name": "x/versions/2"}, "whose part 'versions' names a route"),
        ({"version": "ready"}, "'version' is 'ready', whose part 'ready' names a route"),
        ({"version": "1/infer"}, "whose part 'infer' names a route"),
        ({"name": "x/../y"}, "'name' is 'x/../y': between and after slashes there must be more than dots"),
        ({"name": "x/"}, "between and after slashes there must be more than dots"),
        ({"version": "1//2"}, "between and after slashes there must be more than dots"),
        ({"task": "text-clasification"}, "(did you mean 'text-classification'?); it must be one of text-class"),
        ({"task": "chat"}, "'task' is \"chat\"; it must be one of text-classification, token-classification"),
        ({"task": "sentiment-analysis"}, "(did you mean 'text-classification'?)"),
        ({"task": "ner"}, "(did you mean 'token-classification'?)"),
        ({"parameters": 3}, "'parameters' must be an object with names and values, not 3"),
        ({"parameters": {"topk": 3}}, "'topk' is not a parameter (did you mean top_k?)"),
        ({"parameters": {"top_k": "3"}}, "top_k must be a whole number from 1 to 1000, not '3'"),
        ({"parameters": {"labels": ["a"]}}, "labels does not apply to text-classification"),
        ({"parameters": {"high_confidence": 0.9}}, "high_confidence must be in 'thresholds', not in 'parameters'"),
        ({"thresholds": {"high": 0.9}}, "'high' is not a parameter; use one of high_confidence, requires_review"),
        ({"thresholds": {"high_confidence": "0.9"}}, "high_confidence must be a number from 0 to 1, not '0.9'"),
        ({"task": ["a"]}, "'task' is [\"a\"]"),
        ({"source": 3}, "'source' must be a string, not 3"),
        ({"default": "yes"}, "'default' must be true or false, not \"yes\""),
        ({"default": 1}, "'default' must be true or false, not 1"),
        ({"revision": 7}, "'revision' must be a string, not 7"),
        ({"source": "moods/3"}, "there is no folder FOLDER/moods/3; in place of '3' there are 1, 2."),
        ({"source": "mods/1/x"}, "there is no folder FOLDER/mods/1/x (did you mean 'moods'?)"),
        ({"source": "./owner/a"}, "there is no folder FOLDER/owner/a"),
        ({"source": "../a"}, "there is no folder FOLDER/../a"),
        ({"source": "/nowhere/a"}, "there is no folder /nowhere/a"),
        ({"source": "mood"}, "no folder FOLDER/mood (did you mean 'moods'?); a model of the hub is written owner/name"),
        ({"source": ""}, "the folder FOLDER has no config.json"),
        ({"source": "empty"}, "the folder FOLDER/empty has no config.json; save a model there with save_pretrained"),
        ({"source": "moods/1/config.json"}, "is a file; name the folder"),
        ({"source": "moods"}, "the folder FOLDER/moods has no config.json; there are models in 1, 2"),
        ({"source": "moods/1", "revision": "main"}, "'revision' is for models of the hub"),
        ({"source": "gs://bucket/a", "revision": "1"}, "'revision' is for models of the hub"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place_and_what_is_allowed(models: Path, change: dict[str, Any], said: str):
    message = mistakes(models, {**GOOD, "name": "first"}, {**GOOD, **change})
    assert message.startswith("FILE: profile 'p', entry 2"), message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "ready"), ("name", "infer/x"), ("name", "x/already"), ("name", "a.b/c-d/v1.0"), ("version", "1/rc")],
)
def test_a_name_that_no_url_mistakes_for_a_route_is_accepted(models: Path, key: str, value: str):
    models.write_text(json.dumps({"p": [{**GOOD, key: value}]}))
    assert getattr(registry.load(models, "p").entries[0], key) == value


@pytest.mark.parametrize("missing", ["name", "task", "source"])
def test_a_missing_key_is_reported(models: Path, missing: str):
    entry = {key: value for key, value in GOOD.items() if key != missing}
    assert f"the key {missing!r} is missing" in mistakes(models, entry)


@pytest.mark.parametrize("entry", [None, [], "a", 3])
def test_an_entry_that_is_not_an_object_is_reported(models: Path, entry: Any):
    assert mistakes(models, entry).startswith("FILE: profile 'p', entry 1: must be an object with the keys name, ")


ENDPOINT = "projects/p/locations/us-central1/endpoints/7"


def test_models_on_an_endpoint_of_vertex_ai_are_not_loaded(models: Path):
    on_vertex = {**GOOD, "version": "2", "source": "nowhere", "engine": "vertex", "endpoint": ENDPOINT}
    models.write_text(json.dumps({"p": [GOOD, {**on_vertex, "default": True}]}))
    served = registry.load(models, "p")
    assert [entry.version for entry in served.entries] == ["1"]
    assert served.default(TEXT).version == "1"
    assert "only models with the engine vertex" in mistakes(models, on_vertex)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "vertex"}, "'engine' vertex and 'endpoint' belong together"),
        ({"endpoint": ENDPOINT}, "'engine' vertex and 'endpoint' belong together"),
        ({"engine": "vertex", "endpoint": "7"}, "must be projects/P/locations/REGION/endpoints/ID, not '7'"),
        ({"engine": "vertex-ai"}, "did you mean 'vertex'?"),
    ],
)
def test_mistakes_about_the_engine_are_reported(models: Path, change: dict[str, Any], said: str):
    assert said in mistakes(models, {**GOOD, **change})


def test_all_mistakes_of_a_profile_are_reported_together(models: Path):
    message = mistakes(models, {**GOOD, "versions": "1"}, {"name": "b", "task": "chat"}, {**GOOD, "source": "moods/3"})
    assert [line.partition(", ")[2].partition(":")[0] for line in message.splitlines()] == [
        "entry 1 (a)", "entry 2 (b)", "entry 2 (b)", "entry 3 (a)",
    ]  # fmt: skip


def test_the_same_name_and_version_twice_is_reported(models: Path):
    message = mistakes(models, GOOD, {**GOOD, "version": "1", "source": "owner/b"})
    assert message == "FILE: profile 'p', entry 2 (a): entry 1 (a) has the same name and version '1'."


def test_two_defaults_for_a_task_are_reported(models: Path):
    one = {**GOOD, "default": True}
    message = mistakes(models, one, {**one, "name": "b", "task": IMAGE}, {**one, "name": "c"})
    assert message == (
        "FILE: profile 'p', entry 3 (c): entry 1 (a) is the default for text-classification too; only one model may be."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"p": [], "p": []}', "the key 'p' occurs twice in one object"),
        ('{"p": [{"name": "a", "name": "b"}]}', "the key 'name' occurs twice in one object"),
        ("[]", "must map profiles to lists of models"),
        (f"[{json.dumps(GOOD)}]", "must map profiles to lists of models"),
        (json.dumps(GOOD), "must map profiles to lists of models"),
        ("{}", "must map profiles to lists of models"),
        ("3", "must map profiles to lists of models"),
        ('{"p": []}', "the profile 'p' must be a list of at least one model"),
        ('{"p": {}}', "the profile 'p' must be a list of at least one model"),
        ('{"prod": [{}], "test": [{}]}', "has no profile 'p'; choose one of prod, test"),
        ('{"pp": [{}]}', "has no profile 'p' (did you mean 'pp'?); choose one of pp"),
    ],
)
def test_a_file_of_another_shape_is_reported(models: Path, content: str, said: str):
    models.write_text(content)
    with pytest.raises(StartError) as refusal:
        registry.load(models, "p")
    assert refusal.value.message.startswith(str(models))
    assert said in refusal.value.message


def test_a_missing_file_is_reported(tmp_path: Path):
    with pytest.raises(StartError, match=r"There is no file .*models\.json; MODELS "):
        registry.load(tmp_path / "models.json", None)
    with pytest.raises(StartError, match=r"cannot be read as models\.json: Is a directory; MODELS is"):
        registry.load(tmp_path, None)


def test_a_bad_profile_does_not_block_the_others(models: Path):
    models.write_text(json.dumps({"bad": [{"task": "chat"}], "worse": 3, "empty": [], "good": [GOOD]}))
    assert registry.load(models, "good").find("a", None).source == "owner/a"


def test_the_only_profile_is_served_whatever_its_name(models: Path):
    models.write_text(json.dumps({"mine": [GOOD]}))
    assert registry.load(models, None).find("a", None).name == "a"
    models.write_text(json.dumps({"mine": [GOOD], "yours": [GOOD]}))
    with pytest.raises(StartError, match="has several profiles; set PROFILE to one of mine, yours"):
        registry.load(models, None)


@pytest.mark.parametrize(
    ("source", "path"), [("moods/1", "moods/1"), ("./moods/2", "moods/2"), ("moods/../moods/1/", "moods/1")]
)
def test_a_folder_is_relative_to_the_file(models: Path, source: str, path: str):
    found = sources.locate(source, models)
    assert isinstance(found, sources.Folder)
    assert found.path.resolve() == models.parent / path
    assert sources.locate(str(models.parent / path), models) == sources.Folder(models.parent / path)


@pytest.mark.parametrize("source", ["owner/name", "moods.org/1", "google/vit-base-patch16-224"])
def test_owner_and_name_are_a_repository_unless_there_is_such_a_folder(models: Path, source: str):
    assert sources.locate(source, models) == sources.Repository(source)


def test_settings_come_from_the_command_line_then_the_environment():
    environ = {"PORT": "9000", "PROFILE": "hub", "GPU_REQUIRED": "1", "INPUT_BUCKET": "in", "MAX_WAIT_SECONDS": "2.5"}
    read_ = read(["--port", "9001"], environ)
    assert (read_.port, read_.profile, read_.gpu_required, read_.max_wait_s) == (9001, "hub", True, 2.5)
    assert (read_.input_bucket, read_.work_bucket) == ("in", None)
    assert read([], {**environ, "AIP_HTTP_PORT": "9002"}).port == 9002


def test_the_starter_profile_is_the_default_of_the_included_file_alone(tmp_path: Path):
    own = str(tmp_path / "models.json")
    assert (read([], {}).models, read([], {}).profile) == (MODELS_FILE, "starter")
    assert (read([], {"MODELS": "", "PROFILE": ""}).models, read([], {"MODELS": "", "PROFILE": ""}).profile) == (
        MODELS_FILE,
        "starter",
    )
    assert read([], {"MODELS": str(MODELS_FILE)}).profile == "starter"
    assert (read([], {"MODELS": own}).models, read([], {"MODELS": own}).profile) == (Path(own), None)
    assert read([], {"MODELS": own, "PROFILE": "p"}).profile == "p"
    assert read([], {"MODELS": "gs://b/models.json"}).models == "gs://b/models.json"


@pytest.mark.parametrize(
    "environ", [{"PORT": "x"}, {"MAX_QUEUE": "-1"}, {"DRAIN_SECONDS": "0"}, {"DEADLINE_SECONDS": "x"}]
)
def test_an_invalid_setting_prevents_the_start(environ: dict[str, str]):
    with pytest.raises(StartError):
        read([], environ)
