"""The documents agree with the code."""

import json
import re
from pathlib import Path
from typing import get_args

from emulator.workflows import assumptions
from gpu_service.checkpoints import registry
from pipeline.errors import REASONS
from pipeline.inputs.pubsub import inline, manifests

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SET_BY_GOOGLE = {"K_REVISION", "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID", "GOOGLE_CLOUD_WORKFLOW_REVISION_ID"}


def test_every_reason_for_a_rejection_is_documented_in_the_same_words():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", (DOCS / "rejections.md").read_text(), re.MULTILINE))
    assert rows == REASONS


def test_every_assumption_of_the_emulator_is_documented():
    text = (DOCS / "emulator.md").read_text()
    assert [name for name in vars(assumptions) if name.isupper() and f"`{name}`" not in text] == []


def test_links_between_documents_have_targets():
    root = DOCS.parent
    for page in [*DOCS.rglob("*.md"), *root.glob("*.md"), *root.glob("benchmarks/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_variable_of_the_functions_and_the_workflow_is_documented():
    settings = (ROOT / "functions/pipeline/settings.py").read_text()
    workflow = (ROOT / "workflow.yaml").read_text()
    variables = {*re.findall(r'env(?:\.get\(|, )"([A-Z_]+)"', settings), *re.findall(r'get_env\("([A-Z_]+)"', workflow)}
    assert "SHARD_SECONDS" in variables
    assert "SHARD_CONCURRENCY" in variables
    page = (DOCS / "configuration.md").read_text()
    assert [name for name in sorted(variables - SET_BY_GOOGLE) if f"`{name}`" not in page] == []


def test_the_example_messages_are_accepted():
    blocks = re.findall(r"^```json\n(.*?)^```", (DOCS / "messages.md").read_text(), re.MULTILINE | re.DOTALL)
    instances, manifest = map(json.loads, blocks)
    assert inline.parse(instances).kind == "text"
    assert manifests.parse(manifest).id == "night-2026-11-28"


def test_the_keys_and_tasks_of_models_json_are_documented():
    page = (DOCS / "models.md").read_text()
    for mark, names in (("entry", registry.Entry.__struct_fields__), ("tasks", get_args(registry.Task))):
        table = page.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
        assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(names)


def test_the_examples_of_models_json_are_valid(tmp_path: Path):
    examples = re.findall(r"^```json\n(.*?)^```", (DOCS / "models.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for folder in ("topics-2025", "topics-2026", "nli"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    for example in examples:
        (tmp_path / "models.json").write_text(example)
        entries = registry.load(tmp_path / "models.json", None).entries
        assert any(entry.parameters and entry.thresholds for entry in entries)
