"""Dashboards, alerts and log-based metrics use only listed metrics of Google's and fields that the functions log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import inventory
from deploy.monitoring import bodies
from event_inference.cost.figures import NAMES
from postprocessing import costs
from tests.functions.cloud import Cloud
from tests.functions.conftest import (  # noqa: F401  fixtures
    Function,
    cloud,
    executions_server,
    finalized,
    function,
    published,
    storage_server,
)

ROOT = Path(__file__).parents[2]
SYSTEM = inventory.load({"project_id": "my-project"})
KNOWN = yaml.safe_load((ROOT / "deploy/monitoring/metrics.yaml").read_text())
DASHBOARDS = {name: bodies.dashboard(SYSTEM, name) for name in SYSTEM["dashboards"]}
DOCUMENT: Any = {
    "status": "succeeded",
    "kind": "text",
    "predictions": [],
    "model": {"name": "m", "version": "1"},
    "cost": costs.estimate(costs.PREPARED, 1, 1, "us-central1"),
}
CONCLUDED = {"job", *costs.logged(DOCUMENT)}  # fields that postprocess logs of a document
OURS = "logging.googleapis.com/user/inference-"


def uses() -> Iterator[tuple[str, str, str | None, list[str]]]:
    """Each use of a metric: where, its filter, the aligner and what is grouped by."""
    for key in ("good", "total"):
        yield "slo", SYSTEM["slo"][key], None, []
    for name, dashboard in DASHBOARDS.items():
        for tile in dashboard["mosaicLayout"]["tiles"]:
            for series in tile["widget"]["xyChart"]["dataSets"]:
                query = series["timeSeriesQuery"].get("timeSeriesFilter")
                if query:
                    aggregation = query["aggregation"]
                    groups = aggregation.get("groupByFields", [])
                    yield name, query["filter"], aggregation["perSeriesAligner"], groups


USES = list(uses())


def described(metric: str) -> dict[str, Any]:
    if metric.startswith(OURS):
        definition = bodies.log_metric(SYSTEM, metric.removeprefix(OURS))
        return {
            **definition["metricDescriptor"],
            "kind": "DELTA",
            "value": "INT64",
            "labels": list(definition["labelExtractors"]),
        }
    known: dict[str, Any] = KNOWN["metrics"][metric]
    return known


@pytest.mark.parametrize(("where", "filter_", "aligner", "groups"), USES)
def test_every_metric_exists_with_its_labels_and_resource(
    where: str, filter_: str, aligner: str | None, groups: list[str]
):
    metrics = re.findall(r'metric\.type="([^"]+)"', filter_)
    resources = re.findall(r'resource\.type="([^"]+)"', filter_)
    assert len(metrics) == len(resources) == 1, "a filter names one metric and one resource"
    metric = described(metrics[0])
    assert metric.get("resource", resources[0]) == resources[0]
    assert resources[0] in KNOWN["resources"]
    labels = re.findall(r"metric\.labels?\.(\w+)", " ".join([filter_, *groups]))
    assert set(labels) <= set(metric["labels"])
    of_resource = re.findall(r"resource\.labels?\.(\w+)", " ".join([filter_, *groups]))
    assert set(of_resource) <= set(KNOWN["resources"][resources[0]])


@pytest.mark.parametrize(("where", "filter_", "aligner", "groups"), USES)
def test_aligners_suit_the_kind_of_their_metric(where: str, filter_: str, aligner: str | None, groups: list[str]):
    metric = described(re.findall(r'metric\.type="([^"]+)"', filter_)[0])
    if aligner is None:
        assert metric["kind"] == "DELTA", "a ratio needs counts"
    elif aligner.startswith("ALIGN_PERCENTILE"):
        assert metric["value"] == "DISTRIBUTION"
    elif aligner in ("ALIGN_RATE", "ALIGN_DELTA"):
        assert metric["kind"] == "DELTA"
        assert metric["value"] != "DISTRIBUTION"
    else:
        assert (aligner, metric["kind"]) == ("ALIGN_MAX", "GAUGE")


def queries() -> Iterator[tuple[str, str]]:
    """Each PromQL query of alerts and dashboards, and where it is."""
    for name, policy in SYSTEM["alerts"].items():
        yield name, policy["query"]
    for name, dashboard in DASHBOARDS.items():
        for tile in dashboard["mosaicLayout"]["tiles"]:
            for series in tile["widget"]["xyChart"]["dataSets"]:
                if query := series["timeSeriesQuery"].get("prometheusQuery"):
                    yield name, query


def in_promql(metric: str) -> str:
    """The name of a metric in PromQL."""
    domain, _, path = metric.partition("/")
    return re.sub(r"\W", "_", domain) + ":" + re.sub(r"\W", "_", path)


BY_NAME = {in_promql(name): name for name in [*KNOWN["metrics"], *(f"{OURS}{name}" for name in SYSTEM["log_metrics"])]}
QUERIES = list(queries())


def selectors(query: str) -> list[tuple[str, dict[str, str]]]:
    """The metrics that a query selects, by Google's names, with the matched labels."""
    found = re.findall(r"(\w+:\w+?)(_bucket)?\{([^}]*)\}", query)
    return [(BY_NAME[name], dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))) for name, _, labels in found]


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_selects_existing_metrics_by_existing_labels(where: str, query: str):
    assert selectors(query)
    for name, labels in selectors(query):
        metric, resource = described(name), labels.pop("monitored_resource")
        assert metric.get("resource", resource) == resource or name.endswith("billable_instance_time")
        assert set(labels) <= {*metric["labels"], *KNOWN["resources"][resource]}
        assert "${" not in query


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_is_valid_promql(where: str, query: str):
    promql_parser = pytest.importorskip("promql_parser", reason="promql-parser is in requirements.txt: run make setup")
    promql_parser.parse(query)


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_queries_compute_what_the_kind_of_their_metric_allows(where: str, query: str):
    for called, name, bucket in re.findall(r"(\w*)\((\w+:\w+?)(_bucket)?\{", query):
        metric = described(BY_NAME[name])
        assert (called in ("rate", "increase")) == (metric["kind"] == "DELTA"), name
        assert bool(bucket) == (metric["value"] == "DISTRIBUTION"), name


def test_the_alert_on_errors_watches_every_service_and_no_other_deployment():
    for _, labels in selectors(SYSTEM["alerts"]["errors"]["query"]):
        pattern = re.compile(labels["service_name"])
        assert all(pattern.fullmatch(f"inference-{name}") for name in [*SYSTEM["functions"], "gpu-service"])
        assert not pattern.fullmatch("inference-dev-on-upload")


def test_a_prefix_with_hyphens_is_written_with_underscores_in_names_of_metrics():
    system = inventory.load({"project_id": "my-project", "service_prefix": "my-team"})
    assert "user_my_team_events{" in system["alerts"]["throttled"]["query"]


@pytest.mark.parametrize(
    ("alerts", "having"),
    [(["dead-letters"], "dead_letter"), (["oldest-input", "uncollected"], ""), (["expiring-input"], "")],
)
def test_every_subscription_for_inputs_is_monitored(alerts: list[str], having: str):
    patterns = [
        labels["subscription_id"] for name in alerts for _, labels in selectors(SYSTEM["alerts"][name]["query"])
    ]
    subscriptions = {**SYSTEM["push"], "uploads": SYSTEM["pull"]["uploads"]}
    if not having:
        del subscriptions["promote"]  # which has no inputs
    watched = [f"inference-{name}" for name, entry in subscriptions.items() if not having or having in entry]
    for name in [*watched, "eventarc-us-central1-inference-on-upload-sub-001"]:
        assert any(re.fullmatch(each, name) for each in patterns), name
    for name in ("dev-inference-on-message", "eventarc-us-central1-dev-inference-on-upload-sub-001"):
        assert not any(re.fullmatch(each, name) for each in patterns), name


def test_every_metric_on_the_list_has_a_source_and_a_use():
    used = {metric for _, filter_, _, _ in USES for metric in re.findall(r'metric\.type="([^"]+)"', filter_)}
    used |= {name for _, query in QUERIES for name, _ in selectors(query)}
    for name, metric in KNOWN["metrics"].items():
        assert metric["source"] in KNOWN["sources"], name
        assert name in used or "billable_instance_time" in name, name
    assert {f"{OURS}{name}" for name in SYSTEM["log_metrics"]} <= used


def test_dashboard_tiles_do_not_overlap():
    for dashboard in DASHBOARDS.values():
        taken: set[tuple[int, int]] = set()
        for tile in dashboard["mosaicLayout"]["tiles"]:
            cells = {
                (x, y)
                for x in range(tile["xPos"], tile["xPos"] + tile["width"])
                for y in range(tile["yPos"], tile["yPos"] + tile["height"])
            }
            assert not taken & cells
            taken |= cells


@pytest.fixture
def lines(
    cloud: Cloud,  # noqa: F811
    function: Function,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> list[dict[str, Any]]:
    """What the functions log of one event of each outcome, and of a sweep that finds a lost input."""
    on_upload, on_message = function("on_upload"), function("on_message")
    accepted = cloud.upload("fine.txt", b"A fine film.")
    on_upload.post("/", **finalized(accepted))
    on_upload.post("/", **finalized(accepted, event_id="2"))
    on_upload.post("/", **finalized(cloud.upload("empty.txt", b"")))
    on_upload.post("/", **finalized(accepted, event_id="3", bucket="another"))
    cloud.upload("lost.txt", b"Nobody told of this one.")
    on_message.post("/", **published(json.dumps({"sweep": {}}).encode()))
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    capped = function("on_upload")
    for name in ("one.csv", "one-too-many.csv"):  # tables, which cannot share an execution
        capped.post("/", **finalized(cloud.upload(name, b"text,stars\nA fine film,5\nA dull film,1\n")))
    written = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in written if line.startswith("{")]


class TestMetricsFromLogs:
    def test_every_outcome_is_counted(self, lines: list[dict[str, Any]]):
        selected = set(
            re.findall(r'"(\w+)"', SYSTEM["log_metrics"]["events"]["filter"].partition("message=")[2].partition(")")[0])
        )
        closing = {line["message"] for line in lines if line["message"] in selected}
        assert closing == selected == {"accepted", "rejected", "ignored", "throttled", "failed"}

    def test_every_label_is_a_logged_field(self, lines: list[dict[str, Any]]):
        fields = {name for line in lines for name in line}
        for name in ("events", "recovered"):
            labels = SYSTEM["log_metrics"][name]["labels"].values()
            assert {field.partition(".")[2] for field in labels if field.startswith("jsonPayload.")} <= fields

    def test_rejections_log_their_reason_and_failures_their_code(self, lines: list[dict[str, Any]]):
        first = {line["message"]: line for line in reversed(lines)}
        assert first["rejected"]["reason"] == "empty"
        assert first["failed"]["code"] == "malformed_request"
        assert first["accepted"]["kind"] == "text"

    def test_a_sweep_that_starts_something_is_counted(self, lines: list[dict[str, Any]]):
        assert 'jsonPayload.reason="sweep" AND jsonPayload.started>0' in SYSTEM["log_metrics"]["recovered"]["filter"]
        assert [line["started"] for line in lines if line.get("reason") == "sweep"] == [1]

    def test_the_workflow_logs_the_fields_of_the_jobs_metric_and_the_views(self):
        steps = yaml.safe_load((ROOT / "workflow.yaml").read_text())["main"]["steps"]
        logged = next(step["log_outcome"]["args"]["json"] for step in steps if "log_outcome" in step)
        metric = SYSTEM["log_metrics"]["jobs"]
        assert f'jsonPayload.message="{logged["message"]}"' in metric["filter"]
        assert {field.partition(".")[2] for field in metric["labels"].values()} <= set(logged)

    def test_the_views_read_fields_that_are_logged(self, lines: list[dict[str, Any]]):
        sql = (ROOT / "deploy/monitoring/views.sql").read_text()
        fields = {name for line in lines for name in line} | CONCLUDED
        assert set(re.findall(r"jsonPayload\.(\w+)", sql)) <= fields

    def test_figures_have_the_names_of_the_command(self):
        sql = (ROOT / "deploy/monitoring/views.sql").read_text()
        selected = set(re.findall(r"AS (\w+)", sql.partition(".cost_figures`")[2]))
        of_models = {"inputs", "inferences", "gpu_seconds", "usd", "usd_per_inference", "usd_per_1000_inputs"}
        assert selected - {"day", "SELECT"} - of_models == {"batching_saves_usd"}
        tiles = [tile["widget"]["title"] for tile in DASHBOARDS["cost"]["mosaicLayout"]["tiles"]]
        shown = {title.partition(":")[0] for title in tiles if ":" in title}
        assert shown | selected >= set(NAMES)
        assert shown <= set(NAMES)

    def test_the_sink_exports_the_lines_that_the_views_read(self):
        filter_ = SYSTEM["log_sink"]["filter"]
        assert 'jsonPayload.message="job finished"' in filter_
        assert '"rejected"' in filter_
        assert 'jsonPayload.message="concluded"' in filter_
