"""The real gcloud as a client: the commands of Google's documentation, against the emulator."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gcloud

SOURCE = "main: {params: [n], steps: [{done: {return: '${n + 1}'}}]}"
SLEEPS = "main: {steps: [{nap: {call: sys.sleep, args: {seconds: 900}}}]}"


@pytest.fixture(scope="module")
def gcloud(cloud, tmp_path_factory):
    """Runs `gcloud workflows …` and returns the finished process."""
    if not shutil.which("gcloud"):
        sys.stderr.write("\nSKIPPED: gcloud is not installed, so nothing shows that it works with the emulator\n")
        pytest.skip("gcloud is not installed")
    folder = tmp_path_factory.mktemp("gcloud")
    (folder / "token").write_text("local")
    environment = {
        **os.environ,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_WORKFLOWS": f"{cloud.http}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_WORKFLOWEXECUTIONS": f"{cloud.http}/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(folder / "token"),
        "CLOUDSDK_CONFIG": str(folder / "config"),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_PROJECT": "local-project",
        "CLOUDSDK_WORKFLOWS_LOCATION": "us-central1",
    }

    def gcloud(*arguments: str, source: str = "") -> subprocess.CompletedProcess[str]:
        if source:
            (folder / "workflow.yaml").write_text(source)
            arguments = (*arguments, f"--source={folder / 'workflow.yaml'}")
        command = ["gcloud", "workflows", *arguments, "--format=json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)

    return gcloud


def answer(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_deploy_describe_list_and_delete(gcloud):
    deployed = answer(gcloud("deploy", "greet", "--set-env-vars=A=1", "--labels=team=ml", source=SOURCE))
    assert deployed["revisionId"].startswith("000001-")
    assert deployed["userEnvVars"] == {"A": "1"}
    again = answer(gcloud("deploy", "greet", "--call-log-level=log-all-calls", source=SOURCE.replace("1", "2")))
    assert again["revisionId"].startswith("000002-")
    assert (again["labels"], again["callLogLevel"]) == ({"team": "ml"}, "LOG_ALL_CALLS")
    assert answer(gcloud("describe", "greet")) == again
    assert again["name"] in [workflow["name"] for workflow in answer(gcloud("list"))]
    assert gcloud("delete", "greet").returncode == 0
    assert gcloud("describe", "greet").returncode == 1


def test_source_that_does_not_compile_is_refused_with_its_line(gcloud):
    refused = gcloud("deploy", "bad", source="main:\n  steps:\n    - a:\n        return: ${nowhere}\n")
    assert refused.returncode == 1
    assert "[INVALID_ARGUMENT] main.yaml:4:" in refused.stderr


def test_run_and_the_executions_commands(gcloud):
    answer(gcloud("deploy", "count", source=SOURCE))
    ran = answer(gcloud("run", "count", "--data=41", "--labels=job=abc"))
    assert (ran["state"], ran["result"], ran["labels"]) == ("SUCCEEDED", "42", {"job": "abc"})
    listed = answer(gcloud("executions", "list", "count"))
    assert [execution["name"] for execution in listed] == [ran["name"]]
    execution_id = ran["name"].rsplit("/", 1)[1]
    assert answer(gcloud("executions", "describe", execution_id, "--workflow=count")) == ran
    assert answer(gcloud("executions", "describe-last")) == ran
    assert answer(gcloud("executions", "wait", execution_id, "--workflow=count")) == ran


def test_execute_and_cancel(gcloud):
    answer(gcloud("deploy", "sleep", source=SLEEPS))
    started = answer(gcloud("execute", "sleep"))
    assert started["state"] == "ACTIVE"
    execution_id = started["name"].rsplit("/", 1)[1]
    assert answer(gcloud("executions", "cancel", execution_id, "--workflow=sleep"))["state"] == "CANCELLED"
    again = gcloud("executions", "cancel", execution_id, "--workflow=sleep")
    assert again.returncode == 1
    assert "FAILED_PRECONDITION" in again.stderr


def test_errors(gcloud):
    answer(gcloud("deploy", "strict", source=SOURCE))
    assert "NOT_FOUND" in gcloud("run", "nowhere").stderr
    assert "INVALID_ARGUMENT" in gcloud("run", "strict", "--data={").stderr
