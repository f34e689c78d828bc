"""Rules of models.json: which inputs they match, and the mistakes that both of their readers name."""

import base64
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from gpu_service.checkpoints import registry
from gpu_service.errors import StartError
from gpu_service.tasks.registry import TASKS
from pipeline.routing import languages, models, rules
from pipeline.routing.models import READS
from pipeline.routing.rules import Facts
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published
from tests.functions.models_bucket import IMAGE, TEXT, ModelsBucket, entry
from tests.functions.routing.test_choice import PNG, started

ROOT = Path(__file__).parents[3]
TEXTS = Facts("text", 100, "mail/2026/a.txt", "text/plain", {"team": "legal"}, lambda: "de")


@pytest.mark.parametrize(
    ("when", "mismatch"),
    [
        ({}, None),
        ({"kind": "text"}, None),
        ({"kind": ["image", "text"]}, None),
        ({"kind": "table"}, "the kind is text"),
        ({"content_type": "text/plain"}, None),
        ({"content_type": ["image/*", "Text/*"]}, None),
        ({"content_type": "text/csv"}, "the content type is text/plain"),
        ({"language": "de"}, None),
        ({"language": ["fr", "nl"]}, "the language is de"),
        ({"prefix": "mail/"}, None),
        ({"prefix": "ail/"}, "the name is mail/2026/a.txt"),
        ({"prefix": ["x/", "*/2026/"]}, None),
        ({"prefix": "mail/*/b"}, "the name is mail/2026/a.txt"),
        ({"prefix": "mail/2026/a.txt"}, None),
        ({"prefix": "mail/[0-9]*"}, "the name is mail/2026/a.txt"),
        ({"metadata": {"team": "legal"}}, None),
        ({"metadata": {"Team": "l*"}}, None),
        ({"metadata": {"team": ["sales", "legal"]}}, None),
        ({"metadata": {"team": "sales"}}, "the metadata have team=legal"),
        ({"metadata": {"team": "*", "line": "3"}}, "the metadata have no line"),
        ({"max_bytes": 100}, None),
        ({"max_bytes": 99}, "it has 100 bytes"),
        ({"kind": "text", "language": "de", "max_bytes": 99}, "it has 100 bytes"),
    ],
)
def test_all_conditions_must_hold(when: dict[str, Any], mismatch: str | None) -> None:
    assert rules.parse({"name": "r", "when": when, "model": "m"}, None).mismatch(TEXTS) == mismatch


def test_what_an_input_does_not_have_matches_no_condition() -> None:
    message = Facts("text", 5)
    for when in (
        {"prefix": "a"},
        {"prefix": "*"},
        {"content_type": "*/*"},
        {"language": "en"},
        {"metadata": {"a": "*"}},
    ):
        assert rules.parse({"name": "r", "when": when, "model": "m"}, None).mismatch(message)


def test_a_rule_without_a_kind_is_for_what_its_model_reads() -> None:
    rule = rules.parse({"name": "r", "model": "m"}, "image")
    assert rule.mismatch(TEXTS) == "the kind is text"
    assert [kind for kind in ("image", "table", "records", "manifest") if rule.mismatch(Facts(kind, 1))] == []


def test_the_language_is_recognised_only_if_all_else_matches() -> None:
    def unexpected() -> str:
        raise AssertionError

    rule = rules.parse({"name": "r", "when": {"language": "de", "prefix": "x/"}, "model": "m"}, "text")
    assert rule.mismatch(Facts("text", 1, "a.txt", language=unexpected)) == "the name is a.txt"


SERVED = [entry("words", task=TEXT), entry("photos", task=IMAGE)]
MISTAKES: list[tuple[Any, str]] = [
    ({}, "routes must be a list of rules, not {}"),
    (["x"], "rule 1: must be an object with the keys name, when, model"),
    ([{"model": "words"}], "rule 1: 'name' must be up to 64 letters"),
    ([{"name": "a b", "model": "words"}], "rule 1 (a b): 'name' must be up to 64 letters"),
    ([{"name": "a"}], "rule 1 (a): 'model' is null; it must be one of words, photos"),
    ([{"name": "a", "model": "word"}], "'model' is \"word\" (did you mean 'words'?); it must be one of words, photos"),
    ([{"name": "a", "model": "words", "then": 1}], "unknown key 'then' (did you mean 'when'?); use name, when, model"),
    ([{"name": "a", "model": "words"}] * 2, "rule 2 (a): an earlier rule has the same name"),
    (
        {"when": []},
        "'when' must be an object with conditions: kind, content_type, language, prefix, metadata, max",
    ),
    ({"when": {"knd": "text"}}, "unknown condition 'knd' (did you mean 'kind'?); use kind, content_type, language"),
    ({"when": {"kind": "texts"}}, "'kind' is \"texts\" (did you mean 'text'?); it must be one of text, image, table"),
    ({"when": {"kind": "workbook"}}, "'kind' is \"workbook\""),
    ({"when": {"kind": "timeseries"}}, "'kind' is \"timeseries\""),
    ({"when": {"kind": []}}, "'kind' is []"),
    ({"when": {"kind": [["text"]]}}, "'kind' is [\"text\"]"),
    (
        {"when": {"kind": ["text", "image"]}},
        "'kind' is \"image\", but the model reads texts; it must be one of text",
    ),
    ({"model": "photos", "when": {"kind": "text"}}, "'kind' is \"text\", but the model reads images"),
    ({"model": "photos", "when": {"language": "de"}}, "'language' is for texts, but the model reads images"),
    ({"when": {"language": "german"}}, "'language' is \"german\""),
    ({"when": {"language": "DE"}}, "'language' is \"DE\""),
    ({"when": {"content_type": "plain"}}, "'content_type' must be a media type such as image/png or text/*"),
    ({"when": {"content_type": []}}, "'content_type' must be a media type"),
    ({"when": {"content_type": 1}}, "'content_type' must be a media type"),
    ({"when": {"prefix": ""}}, "'prefix' must be the beginning of object names"),
    ({"when": {"prefix": ["a/", 1]}}, "'prefix' must be the beginning of object names"),
    ({"when": {"metadata": "team"}}, "'metadata' must map keys to values"),
    ({"when": {"metadata": {"team": 1}}}, "'metadata' must map keys to values"),
    ({"when": {"max_bytes": 0}}, "'max_bytes' must be a whole number from 1, not 0"),
    ({"when": {"max_bytes": "1k"}}, "'max_bytes' must be a whole number from 1, not \"1k\""),
    ({"when": {"max_bytes": True}}, "'max_bytes' must be a whole number from 1, not true"),
]


def written(folder: Path, content: dict[str, Any]) -> Path:
    """A models.json whose models have folders."""
    for model in next(iter(content.values())):
        (folder / model["source"]).mkdir()
        (folder / model["source"] / "config.json").touch()
    file = folder / "models.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(("routes", "message"), MISTAKES)
def test_both_readers_name_a_mistake_with_what_is_allowed(tmp_path: Path, routes: Any, message: str) -> None:
    if isinstance(routes, dict) and routes:
        routes = [{"name": "a", "model": "words", **routes}]
    file = written(tmp_path, {"served": SERVED, "routes": routes})
    with pytest.raises(ValueError, match=re.escape(message)):
        models.parse(file.read_bytes(), "")
    with pytest.raises(StartError, match=re.escape(message)):
        registry.load(file, None)


def test_both_readers_take_the_rules_of_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "traffic.md").read_text()
    (text,) = re.findall(r"```json\n(\{\n.*?)```", page, re.DOTALL)
    example = json.loads(text)
    file = written(tmp_path, example)
    assert [rule.name for rule in models.parse(file.read_bytes(), "mine").rules] == ["german-mail", "line-3"]
    assert len(registry.load(file, "mine").entries) == len(example["mine"])
    conditions = re.findall(r"^\| `(\w+)` \|", page.split("conditions -->")[1], re.MULTILINE)
    assert tuple(conditions) == models.routes.CONDITIONS


def test_both_readers_have_the_same_checks_and_tasks() -> None:
    checks = [ROOT / folder / "routes.py" for folder in ("functions/pipeline/routing", "gpu_service/checkpoints")]
    assert checks[0].read_text() == checks[1].read_text()
    assert {name: task.kind for name, task in TASKS.items()} == READS
    assert list(TASKS) == list(READS) == list(get_args(registry.Task))
    assert {task for task, kind in READS.items() if kind == "image"} == set(registry.IMAGE_TASKS)


def test_a_profile_is_chosen_as_the_service_chooses_it() -> None:
    content = json.dumps({"a": SERVED, "b": [entry("other")], "routes": []}).encode()
    assert [model.name for model in models.parse(content, "b").entries] == ["other"]
    for profile in ("", "c"):
        with pytest.raises(ValueError, match=r"profile"):
            models.parse(content, profile)


# --- through the functions ---------------------------------------------------------------------------

ROUTES = [
    {"name": "german", "when": {"language": "de"}, "model": "german"},
    {"name": "legal", "when": {"prefix": "legal/", "content_type": "text/*"}, "model": "legal"},
    {"name": "pictures", "when": {"content_type": "image/png"}, "model": "photos"},
    {"name": "short", "when": {"kind": "text", "max_bytes": 10}, "model": "words"},
]
GERMAN = "Die Lieferung kam leider zu spät, und der Karton war beschädigt."


@pytest.fixture
def ruled(bucket: ModelsBucket) -> None:
    bucket.models(*SERVED, entry("german"), entry("legal"), routes=ROUTES)


@pytest.mark.parametrize(
    ("name", "data", "content_type", "rule"),
    [
        ("a.txt", GERMAN, None, "german"),
        ("a.txt", "The delivery was late, and the box was damaged.", None, None),
        ("a.csv", f'review,n\n"{GERMAN}",1\nDer Film ist langweilig,2\n', None, "german"),
        ("a.jsonl", json.dumps({"text": GERMAN}) + "\n", None, "german"),
        ("legal/a.txt", "The delivery was late, and the box was damaged.", None, "legal"),
        ("legal/a", "The delivery was late, and the box was damaged.", "text/markdown; charset=utf-8", "legal"),
        ("legal/a.png", PNG, "application/octet-stream", "pictures"),
        ("a.txt", "It is ok.", "text/plain", "short"),
    ],
)
def test_an_upload_goes_to_the_model_of_the_first_rule_that_matches(
    cloud: Cloud, function: Function, ruled: None, name: str, data: Any, content_type: str | None, rule: str | None
) -> None:
    argument = started(cloud, function, data, name=name, content_type=content_type)
    expected = next(({"name": each["model"], "rule": rule} for each in ROUTES if each["name"] == rule), None)
    model = argument["model"]
    assert (model and {"name": model["name"], "rule": model["rule"]}) == expected
    assert model is None or (model["version"], model["chosen_by"]) == (None, "rule")


def test_a_requested_model_precedes_the_rules(cloud: Cloud, function: Function, ruled: None) -> None:
    model = started(cloud, function, GERMAN, metadata={"model": "words"})["model"]
    assert model == {"name": "words", "version": None, "chosen_by": "requested"}


def test_a_message_is_routed_by_its_texts(cloud: Cloud, function: Function, ruled: None) -> None:
    function("on_message").post("/", **published(json.dumps({"instances": [{"text": GERMAN}]}).encode()))
    assert cloud.executions.arguments[0]["model"]["rule"] == "german"


def test_a_message_s_image_has_the_type_of_its_content(cloud: Cloud, function: Function, ruled: None) -> None:
    instance = {"image": {"b64": base64.b64encode(PNG).decode()}}
    function("on_message").post("/", **published(json.dumps({"instances": [instance]}).encode()))
    assert cloud.executions.arguments[0]["model"]["rule"] == "pictures"


def test_a_series_follows_no_rule(cloud: Cloud, function: Function, bucket: ModelsBucket) -> None:
    bucket.models(*SERVED, routes=[{"name": "all", "model": "words"}])
    rows = "".join(f"2026-01-{day:02},{day}\n" for day in range(1, 29))
    assert started(cloud, function, f"date,value\n{rows}", name="a.csv")["model"] is None


@pytest.mark.parametrize("text", ["", "12345", "!!!", "ok"])
def test_a_text_without_a_likely_language_has_none(text: str) -> None:
    assert languages.language(text) is None
