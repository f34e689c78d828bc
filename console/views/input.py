"""An input's page: what came in, what came out, and every step in between."""

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.drawing import series, timeline, workflow_graph
from console.index.store import PENDING, Row
from console.pipeline import executions
from console.pipeline.executions import Execution
from console.views import answers, previews
from console.views.previews import Preview
from console.web import console as shared
from console.web import live, snippets
from console.web.console import Console
from event_inference import Document, UnreachableError
from event_inference.access.clients import translated
from event_inference.outcomes import reading
from event_inference.targets import Target

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_LAPTOP_PAUSE_S, _CLOUD_PAUSE_S = 1, 5  # between two looks at an execution that runs
_HISTORY_HEAD, _HISTORY_TAIL = 8 * 1024, 512 * 1024
_HISTORY = "https://cloud.google.com/workflows/docs/debug-steps"
_LOGS = "https://console.cloud.google.com/logs/query;query="


def page(request: Request) -> Response:
    console, row = shared.of(request), _row(request)
    values = _values(console, row, everything="all" in request.query_params)
    template = "partials/input.html" if request.headers.get("hx-request") else "input.html"
    return shared.page(request, template, **values)


def live_page(request: Request) -> Response:
    """The same while the input is being processed."""
    console, first = shared.of(request), _row(request)
    token, pause = request.state.token, _CLOUD_PAUSE_S if console.client.target.is_cloud else _LAPTOP_PAUSE_S

    def row() -> Row:
        return console.index.input(first["document"]) or first

    def render() -> str:
        return shared.render(console, token, "partials/input.html", **_values(console, row(), everything=False))

    def version() -> object:
        """Differs with the row, and as long as steps may follow each other, with the time."""
        return row()["state"], row()["object_generation"], time.monotonic() // pause

    return live.stream(request, render, version=version, is_final=lambda: row()["state"] not in PENDING)


def _row(request: Request) -> Row:
    console = shared.of(request)
    document, job = request.query_params.get("document", ""), request.query_params.get("job", "")
    by_job = "SELECT * FROM inputs WHERE job = ?"
    found = console.index.row(by_job, (job,)) if job else console.index.input(document)
    if found is None:
        raise HTTPException(404, "There is no such input. It may have been deleted, or not been listed yet.")
    return found


def _values(console: Console, row: Row, *, everything: bool) -> dict[str, Any]:
    target, connection = console.client.target, console.client.connection
    with translated(target):
        blob = previews.input_object(console, row["name"], row["document"])
        document = reading.document_of(connection.output, row["document"])
        batch = reading.batch_of(connection.output, row["job"]) if row["job"] else None
        preview = previews.of_blob(blob, row["kind"])
        data = _data(console, document)
        chart = _chart(console, document, blob, row)
        shadow = reading.read_json(connection.output, f"shadow/{row['document']}.json")
    execution, trouble = _execution(console, (document and document.execution) or row["execution"])
    if document is None and row["state"] not in PENDING:
        row = {**row, "state": "waiting"}
    return {
        "row": row,
        "document": document,
        "blob": blob,
        "batch": batch,
        "preview": preview,
        "data": data,
        "chart": chart,
        "backtest": series.sentence(document.content.get("forecast") or {}) if chart and document else "",
        "notes": document.content.get("forecast", {}).get("series", {}).get("notes") or [] if document else [],
        "everything": everything,
        "pretty": timeline.pretty,
        "is_open": row["state"] in PENDING,
        "scores": answers.scores(document),
        "answers": answers.answers(document),
        "outcome": answers.batch_outcome(document),
        "routing": answers.routing_sentence(document.content.get("routing") or {}) if document else "",
        "shadow": answers.shadow_sentence(shadow, row["label"]),
        "newer": _newer(console, row),
        "label": console.index.row("SELECT label, source FROM labels WHERE job = ?", (row["job"],)),
        "attempts": document.content.get("attempts", []) if document else [],
        "logs": _logs(console, row["job"]),
        "about_history": _HISTORY,
        "google": _google(target, row["job"], execution),
        "snippets": snippets.status(target, row["name"], row["document"], row["folder"]),
        "parameters": (document.content.get("parameters") or {}) if document else {},
        "execution_snippets": execution and snippets.execution(target, execution.id, row["name"]),
        **_steps(console, execution, trouble, everything=everything),
    }  # fmt: skip


def _newer(console: Console, row: Row) -> str | None:
    """The document of a later upload under the same name."""
    query = "SELECT document FROM inputs WHERE name = ? AND generation > ? ORDER BY generation DESC LIMIT 1"
    found = console.index.row(query, (row["name"], row["generation"]))
    return None if found is None else found["document"]


def _data(console: Console, document: Document | None) -> Preview | None:
    """The first rows of the answers of a batch or a forecast."""
    if document is None or document.data_name is None:
        return None
    blob = console.client.connection.output.get_blob(document.data_name)
    if blob is None:
        return Preview("nothing", note="The data are not there any more.")
    content = previews.head(blob) or ""
    if document.data_name.endswith(".csv"):
        return previews.table(content, whole=(blob.size or 0) <= len(content))
    return Preview("text", text=content[:4000])


def _chart(console: Console, document: Document | None, blob: "Blob | None", row: Row) -> series.Chart | None:
    if document is None or document.kind != "timeseries" or document.data_name is None:
        return None
    output, work = console.client.connection.output, console.client.connection.work
    data = previews.decoded(output.blob(document.data_name).download_as_bytes()) or ""
    converted = work.get_blob(f"converted/{row['job']}.csv")
    about = document.content.get("forecast", {}).get("series", {})
    return series.chart(data, _history(converted or blob), about)


def _history(blob: "Blob | None") -> str:
    """A series, or of a long one its header and its end."""
    if blob is None:
        return ""
    size = blob.size or 0
    if size <= _HISTORY_HEAD + _HISTORY_TAIL or blob.name.endswith(".gz"):
        return previews.head(blob, _HISTORY_HEAD + _HISTORY_TAIL) or ""
    head = previews.decoded(blob.download_as_bytes(start=0, end=_HISTORY_HEAD - 1)) or ""
    tail = previews.decoded(blob.download_as_bytes(start=size - _HISTORY_TAIL)) or ""
    return head.rpartition("\n")[0] + "\n" + tail.partition("\n")[2]


def _execution(console: Console, id: str | None) -> tuple[Execution | None, str]:
    """The execution, and why it cannot be shown."""
    if not id:
        return None, ""
    try:
        return executions.get(console.client, id), ""
    except UnreachableError as error:
        return None, str(error)


def _steps(console: Console, execution: Execution | None, trouble: str, *, everything: bool) -> dict[str, Any]:
    if execution is None:
        return {"execution": None, "trouble": trouble, "bars": [], "graph": "", "hidden": 0}
    if console.emulator is not None:
        timeline.attach(execution.steps, console.emulator.calls(execution.name))
    bars = timeline.bars(execution, everything=everything)
    taken = workflow_graph.first_steps(execution.steps)
    nodes = workflow_graph.parse(executions.source(console.client))
    return {
        "execution": execution,
        "trouble": "" if execution.steps else "The steps of this execution are not kept any more.",
        "bars": bars,
        "hidden": len(execution.steps) - len(bars),
        "graph": workflow_graph.draw(nodes, taken, everything=everything),
    }


def _logs(console: Console, job: str) -> list[tuple[str, list[dict[str, Any]]]]:
    if console.emulator is None or not job:
        return []
    return console.emulator.logs(job)


def _google(target: Target, job: str, execution: Execution | None) -> dict[str, str]:
    """Google's pages for what only they show; empty on the laptop."""
    if not target.is_cloud:
        return {}
    query = quote(f'jsonPayload.job="{job}"', safe="")
    pages = {"Logs of this input": f"{_LOGS}{query}?project={target.project}"}
    if execution is not None:
        workflow = target.workflow.rpartition("/")[2]
        pages["This execution"] = (
            f"https://console.cloud.google.com/workflows/workflow/{target.region}/{workflow}/execution/{execution.id}"
            f"?project={target.project}"
        )
    return pages
