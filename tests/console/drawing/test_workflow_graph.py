"""The workflow's graph shows every step of the real workflow, and the path of an execution."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from console.drawing import workflow_graph
from console.drawing.workflow_graph import Node
from console.pipeline.executions import Step

SOURCE = Path("workflow.yaml").read_text()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(number: int, name: str, state: str = "succeeded") -> Step:
    return Step(number, "main", name, "call", state, NOW, NOW)


def names(nodes: list[Node]) -> set[str]:
    return {node.name for node in nodes if node.name} | {name for node in nodes for name in names(node.children)}


def steps_of(value: object) -> set[str]:
    """The names of all steps below a value of the workflow's YAML."""
    if isinstance(value, list):
        return {name for item in value for name in steps_of(item)}
    if not isinstance(value, dict):
        return set()
    found = {name for part in value.values() for name in steps_of(part)}
    own = value.get("steps", [])
    return found | {name for item in own for name in item}


def test_every_step_is_in_the_graph() -> None:
    assert names(workflow_graph.parse(SOURCE)) == steps_of(yaml.safe_load(SOURCE)["main"])


def test_the_taken_path_links_to_its_steps() -> None:
    taken = {"configure": step(1, "configure"), "fast_path": step(3, "fast_path", "failed")}
    svg = str(workflow_graph.draw(workflow_graph.parse(SOURCE), taken))
    assert '<a href="#step-1"' in svg
    assert 'rect class="failed"' in svg
    assert "steps not taken" in svg
    assert "style=" not in svg
    everything = str(workflow_graph.draw(workflow_graph.parse(SOURCE), taken, everything=True))
    assert "call_preprocess" in everything


def test_hostile_names_are_escaped() -> None:
    nodes = workflow_graph.parse('main: {steps: [{"<script>": {return: 1}}]}')
    svg = str(workflow_graph.draw(nodes, {"<script>": step(1, "<script>")}))
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg


def test_what_is_no_workflow_has_no_graph() -> None:
    for source in ("", "[", "main: 1", "other: {steps: []}", "- a"):
        assert workflow_graph.draw(workflow_graph.parse(source), {}) == ""
