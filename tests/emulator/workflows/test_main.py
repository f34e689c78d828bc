import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.workflows.__main__ import main, overrides

ROOT = Path(__file__).parents[3]
ECHO = "main:\n  params: [a]\n  steps:\n    - r: {return: {got: '${a}', env: '${sys.get_env(\"NAME\", \"none\")}'}}\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "echo.yaml"
    path.write_text(ECHO)
    return path


def last_line(text: str) -> dict[str, object]:
    report = json.loads(text.strip().splitlines()[-1])
    assert isinstance(report, dict)
    return report


def test_run_prints_the_result_on_the_last_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(source), "--data", '{"x": [1, null]}', "--env", "NAME=a=b"]) == 0
    assert last_line(capsys.readouterr().out) == {
        "state": "SUCCEEDED",
        "result": {"got": {"x": [1, None]}, "env": "a=b"},
    }


def test_run_without_data_passes_null(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(source)]) == 0
    assert last_line(capsys.readouterr().out)["result"] == {"got": None, "env": "none"}


def test_run_reports_a_failure_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fails.yaml"
    path.write_text("- r:\n    raise: {code: 7, message: no}\n")
    assert main(["run", str(path)]) == 1
    assert last_line(capsys.readouterr().out) == {
        "state": "FAILED",
        "error": {"payload": {"code": 7, "message": "no"}, "context": 'no\nin step "r", routine "main", line: 2'},
    }


def test_run_of_a_source_that_does_not_deploy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("- r: {retrun: 1}\n")
    assert main(["run", str(path)]) == 1
    report = last_line(capsys.readouterr().out)
    assert report["state"] == "FAILED"
    assert "unknown key 'retrun'" in json.dumps(report)


def test_trace_shows_each_step_with_its_duration(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(source), "--trace"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert " ms  main/r (return, line 4)" in first


def test_control_characters_never_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "raises.yaml"
    path.write_text("main:\n  params: [a]\n  steps:\n    - r: {raise: '${a}'}\n")
    assert main(["run", str(path), "--trace", "--data", '"\\u009b31m \\u001b]0;x \\u202e"']) == 1
    output = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in output)
    error = last_line(output)["error"]
    assert isinstance(error, dict)
    assert error["payload"] == "\x9b31m \x1b]0;x \u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["run", "no/such/file.yaml"],
        ["run", "SOURCE", "--data", "{"],
        ["run", "SOURCE", "--data", "NaN"],
        ["run", "SOURCE", "--data", "1e400"],
        ["run", "SOURCE", "--env", "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT=x"],
        ["run", "SOURCE", "--env", "NAME"],
        ["run", "SOURCE", "--env", "GOOGLE_X=1"],
        ["run", "SOURCE", "--endpoint", "storage"],
        ["check"],
        ["check", "no/such/file.yaml"],
        ["walk"],
    ],
)
def test_wrong_usage_has_exit_status_2(arguments: list[str], source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(source) if word == "SOURCE" else word for word in arguments])
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_check_prints_problems_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("- a: {return: 1}\n")
    bad.write_text("- a: {next: nowhere}\n")
    assert main(["check", str(good)]) == 0
    assert main(["check", str(good), str(bad)]) == 1
    assert capsys.readouterr().out.startswith(f"{bad}:1:13: error in step a: next step 'nowhere'")


def test_warnings_alone_have_exit_status_0_unless_strict(tmp_path: Path) -> None:
    path = tmp_path / "warns.yaml"
    path.write_text("- a: {call: http.get, args: {url: 'http://x'}}\n")
    assert main(["check", str(path)]) == 0
    assert main(["check", "--strict", str(path)]) == 1


def test_endpoints_from_gclouds_variables() -> None:
    variables = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://127.0.0.1:1/storage/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": "http://127.0.0.1:2/",
        "OTHER": "x",
    }
    assert overrides(variables) == {"storage": "http://127.0.0.1:1", "pubsub": "http://127.0.0.1:2"}


def test_endpoints_from_the_emulators_variables() -> None:
    variables = {
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:2",
        "WORKFLOWS_EMULATOR_HOST": "127.0.0.1:3",
        "FIRESTORE_EMULATOR_HOST": "localhost:4",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": "http://127.0.0.1:5/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://127.0.0.1:5/",
    }
    assert overrides(variables) == {
        "storage": "http://127.0.0.1:1",
        "pubsub": "http://127.0.0.1:5",
        "run": "http://127.0.0.1:5",
        "workflows": "http://127.0.0.1:3",
        "workflowexecutions": "http://127.0.0.1:3",
        "firestore": "http://localhost:4",
    }


def test_as_a_process(source: Path) -> None:
    command = [sys.executable, "-m", "emulator.workflows", "run", str(source), "--data", '"é"']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONUTF8": "1"}, check=False)
    assert done.returncode == 0, done.stderr
    assert last_line(done.stdout.decode())["result"] == {"got": "é", "env": "none"}


def test_a_terminal_with_ascii_encoding(source: Path) -> None:
    command = [sys.executable, "-m", "emulator.workflows", "run", str(source), "--data", '"é😀"']
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert last_line(done.stdout.decode("ascii"))["result"] == {"got": "é😀", "env": "none"}


def test_source_and_data_from_standard_input(
    source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ECHO))
    assert main(["run", "-", "--data", "1"]) == 0
    assert last_line(capsys.readouterr().out)["result"] == {"got": 1, "env": "none"}
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    assert main(["run", str(source), "--data", "-"]) == 0
    assert last_line(capsys.readouterr().out)["result"] == {"got": [2], "env": "none"}


def test_every_built_in_variable_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT"
    path = tmp_path / "attempt.yaml"
    path.write_text(f"- r: {{return: '${{sys.get_env(\"{name}\")}}'}}\n")
    assert main(["run", str(path), "--env", f"{name}=2"]) == 0
    assert last_line(capsys.readouterr().out)["result"] == "2"
