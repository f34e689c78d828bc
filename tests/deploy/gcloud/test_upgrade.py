"""New revisions are asked before they get traffic, and what served before can be restored."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from deploy import inventory
from deploy.gcloud import releases, smoke
from tests.functions.conftest import (  # noqa: F401  fixtures
    Function,
    cloud,
    executions_server,
    function,
    storage_server,
)
from tests.gpu_service.conftest import starter

ROOT = Path(__file__).parents[3]
SYSTEM = inventory.load({"project_id": "my-project"})


@contextmanager
def answering(answers: dict[str, tuple[int, str]], otherwise: tuple[int, str] = (404, "")) -> Iterator[str]:
    """A server that gives these answers, by path."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers.get(self.path, otherwise)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = respond

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestASmokeRequest:
    @pytest.mark.parametrize("name", SYSTEM["functions"])
    def test_every_function_passes(self, name: str, function: Function):  # noqa: F811
        kind = "http" if SYSTEM["functions"][name].get("health") else "events"
        server = make_server("127.0.0.1", 0, function(name.replace("-", "_")).application)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert smoke.KINDS[kind](f"http://127.0.0.1:{server.server_port}", "token") is None
        finally:
            server.shutdown()
            thread.join()

    def test_the_gpu_service_passes(self):
        with starter(ROOT / "gpu_service/models.json") as serve:
            server = serve("--profile", "starter")
            server.wait_until_ready()
            assert smoke.models(f"http://127.0.0.1:{server.port}", "token") is None

    @pytest.mark.parametrize(
        ("kind", "status", "body"),
        [
            ("models", 503, '{"error": {"code": "unavailable"}}'),
            ("models", 200, "<html>Another page</html>"),
            ("models", 403, "<html>Your client does not have permission</html>"),
            ("http", 500, "boom"),
            ("http", 404, "<html>Not found</html>"),
            ("events", 403, "<html>Your client does not have permission</html>"),
            ("events", 200, "ok"),
        ],
    )
    def test_another_answer_is_reported(
        self, kind: str, status: int, body: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        monkeypatch.setenv("TOKEN", "a-token")
        with answering({}, (status, body)) as url:
            assert smoke.main([kind, url]) == 1
        assert f"answered {status}" in capsys.readouterr().err

    def test_models_that_read_no_text_pass(self):
        refusal = json.dumps({"error": {"code": "model_not_found", "message": "No model reads texts."}})
        with answering({"/ready": (200, "{}"), "/predict": (404, refusal)}) as url:
            assert smoke.models(url, "token") is None

    def test_faults_of_predictions_are_reported(self):
        fault = '{"predictions": [{"error": {"code": "inference_failed"}}]}'
        with answering({"/ready": (200, "{}"), "/predict": (200, fault)}) as url:
            assert smoke.models(url, "token") == f"POST /predict answered 200: {fault}"

    def test_an_address_without_a_server_is_reported(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        monkeypatch.setenv("TOKEN", "a-token")
        assert smoke.main(["http", "http://127.0.0.1:1"]) == 1
        assert "cannot be reached" in capsys.readouterr().err


def release(revision: str, workflow: str = "w") -> releases.Release:
    return {
        "services": {"inference-forecast us-central1": revision},
        "workflow": {"source": workflow, "env": {}},
        "jobs": {},
    }


class TestReleases:
    def test_the_one_before_what_serves_now_is_restored_step_by_step(self):
        first, second, third = release("1"), release("2"), release("3")
        recorded = [first, second, third]
        assert releases.previous(third, recorded) == 1
        assert releases.previous(second, recorded) == 0, "after a rollback, the one before"
        assert releases.previous(first, recorded) is None

    def test_after_an_unfinished_run_the_newest_one_is_restored(self):
        assert releases.previous(release("4"), [release("1"), release("2")]) == 1

    def test_what_served_twice_counts_as_its_last_time(self):
        assert releases.previous(release("1"), [release("1"), release("2"), release("1")]) == 1

    def test_they_hold_what_served_without_what_google_adds(self, tmp_path: Path):
        traffic = [
            {"revisionName": "inference-forecast-2", "tag": "candidate"},
            {"revisionName": "inference-forecast-1", "percent": 100},
        ]
        services = [
            {"metadata": {"name": "inference-forecast"}, "status": {"traffic": traffic}},
            {"metadata": {"name": "of-someone-else"}, "status": {"traffic": traffic}},
        ]
        job: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Job",
            "metadata": {"name": "j", "uid": "1"},
            "spec": {},
            "status": {},
        }
        for name, body in {
            "services.us-central1": services,
            "workflow": {"sourceContents": "main:\n", "userEnvVars": {"A": "1"}, "revisionId": "000002-abc"},
            "job.gpu-job.us-central1": job,
        }.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(body))
        kept = {"metadata": {"name": "j", "labels": {}}, "spec": {}}
        assert releases.describe(tmp_path, ["inference-forecast"]) == {
            "services": {"inference-forecast us-central1": "inference-forecast-1"},
            "workflow": {"source": "main:", "env": {"A": "1"}},
            "jobs": {"gpu-job us-central1": {"apiVersion": "v1", "kind": "Job", **kept}},
        }
