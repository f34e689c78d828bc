"""The inventory is complete and agrees with the code that it deploys and with the documents."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import gpu_service.job
import gpu_service.settings
import notifying.settings
from deploy import inventory, machines, stage
from deploy.gcloud import bucket as gcloud_bucket
from deploy.monitoring import bodies
from gpu_service.checkpoints import device
from messaging import lanes, sweep
from messaging import orders as collections
from pipeline import settings as functions
from pipeline.jobs import outcomes
from promoting import orders
from tests.deploy import shape

ROOT = Path(__file__).parents[2]
SYSTEM = inventory.load({"project_id": "my-project"})
OWN_MODELS = inventory.load(
    {"project_id": "my-project", "models": "gs://my-models/models.json", "hub_token_secret": "hf-token"}
)
TOGETHER = inventory.load({"project_id": "my-project", "micro_batching": True})
NOTIFYING = inventory.load({"project_id": "my-project", "notifications_secret": "endpoints"})
ON_CPUS = inventory.load({"project_id": "my-project", "gpu_type": "none"})
DELIVERIES = {**NOTIFYING["triggers"], **NOTIFYING["push"], **NOTIFYING["pull"]}


class RecordingEnviron(Mapping[str, str]):
    """An environment that records which variables were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.variables, self.names = values, set[str]()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self.variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)


def test_every_function_is_deployed():
    assert {name.replace("-", "_") for name in NOTIFYING["functions"]} == set(stage.names())


@pytest.mark.parametrize("name", NOTIFYING["functions"])
def test_every_function_starts_with_its_environment_and_reads_all_of_it(name: str):
    environ = RecordingEnviron(inventory.environment(NOTIFYING, name))
    main = (ROOT / "functions" / name.replace("-", "_") / "main.py").read_text()
    functions.load(environ, starts_executions="starts_executions=True" in main)
    if name == "notify":
        notifying.settings.load(environ)
    logged = re.findall(r'environ\.get\("(\w+)"\)', (ROOT / "functions/pipeline/logs.py").read_text())
    assert set(environ) <= environ.names | set(logged)
    assert ("WORKFLOW" in environ) == ("starts_executions=True" in main)


@pytest.mark.parametrize("name", ["gpu-service", "gpu-job"])
def test_the_gpu_service_and_job_start_with_their_environment_and_read_all_of_it(name: str):
    environ = RecordingEnviron(inventory.environment(SYSTEM, name))
    read = gpu_service.settings.read([], environ)
    of_the_hub = re.findall(r'environ\.get\("(\w+)"', (ROOT / "gpu_service/checkpoints/hub.py").read_text())
    assert set(environ) | set(inventory.secrets(OWN_MODELS)) <= environ.names | set(of_the_hub)
    assert read.gpu_required
    assert (read.models, read.profile) == (gpu_service.settings.MODELS_FILE, "hub")
    assert (read.input_bucket, read.work_bucket) == ("my-project-inference-input", "my-project-inference-work")
    assert read.port == SYSTEM["gpu_service"]["port"]
    assert environ.names >= {"PORT", "K_REVISION"}, "what Cloud Run sets"


def test_the_gpu_jobs_command_exists_and_receives_its_batch():
    assert SYSTEM["gpu_job"]["command"] == ["python", "-m", gpu_service.job.__name__]
    environ = RecordingEnviron(
        {"BATCH_INDEX": "gs://w/i.json", "CLOUD_RUN_TASK_INDEX": "1", "CLOUD_RUN_TASK_COUNT": "3"}
    )
    assert gpu_service.job.Task.read(environ) == gpu_service.job.Task("gs://w/i.json", 1, 3)
    assert environ.names == set(environ)
    assert "name: BATCH_INDEX" in (ROOT / "workflow.yaml").read_text()


def test_the_cut_jobs_command_exists_and_receives_its_batch():
    job = SYSTEM["cut_job"]
    launcher, *command = job["command"]
    assert launcher == "/cnb/lifecycle/launcher"
    assert command == ["python", "-m", "preprocessing.cut_job"]
    source = (ROOT / "functions" / job["function"] / "preprocessing/cut_job.py").read_text()
    assert re.findall(r'environ\.get\("(\w+)"', source) == ["CUT_ARGUMENT"]
    assert "name: CUT_ARGUMENT" in (ROOT / "workflow.yaml").read_text()
    environ = RecordingEnviron(inventory.environment(SYSTEM, "cut-job"))
    read = functions.load(environ)
    assert (read.work_bucket, read.cut_job_bytes) == ("my-project-inference-work", 0)
    assert set(environ) <= environ.names | {"GOOGLE_CLOUD_PROJECT"}


def test_the_function_hands_over_what_the_job_cuts():
    assert functions.load(inventory.environment(SYSTEM, "preprocess")).cut_job_bytes == 2 << 30


def test_the_workflow_reads_exactly_the_variables_that_are_set():
    source = (ROOT / "workflow.yaml").read_text()
    optional = set(re.findall(r'sys\.get_env\("(\w+)",', source))
    required = set(re.findall(r'sys\.get_env\("(\w+)"\)', source)) - {
        "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID",
        "GOOGLE_CLOUD_WORKFLOW_REVISION_ID",
    }
    variables = set(SYSTEM["workflow"]["env"]) | set(SYSTEM["workflow"]["urls"])
    assert required <= variables <= required | optional


def test_the_workflows_timeouts_cover_those_of_the_services():
    env = SYSTEM["workflow"]["env"]
    called = set(SYSTEM["workflow"]["urls"].values()) - {"gpu-service"}
    assert {SYSTEM["functions"][name]["timeout"] for name in called} == {int(env["CPU_TIMEOUT_SECONDS"])}
    assert SYSTEM["gpu_service"]["timeout"] == int(env["GPU_TIMEOUT_SECONDS"])


def test_the_workflow_runs_the_deployed_job():
    job, env = SYSTEM["gpu_job"], SYSTEM["workflow"]["env"]
    assert job["regions"] == ["us-central1"]
    assert env["GPU_JOB"] == f"projects/my-project/locations/us-central1/jobs/inference-{job['name']}"
    assert int(env["JOB_TASKS"]) == job["parallelism"], "all tasks of a batch run concurrently"
    job = SYSTEM["cut_job"]
    assert env["CUT_JOB"] == f"projects/my-project/locations/us-central1/jobs/inference-{job['name']}"


def test_urls_of_several_regions_keep_their_order():
    system = inventory.load({"project_id": "my-project", "gpu_regions": "europe-west4, us-central1"})
    assert system["gpu_service"]["regions"] == ["europe-west4", "us-central1"]
    assert system["gpu_job"]["regions"] == ["europe-west4", "us-central1"]
    jobs = system["workflow"]["env"]["GPU_JOB"].split(",")
    assert [job.split("/")[3] for job in jobs] == ["europe-west4", "us-central1"]
    assert "/locations/us-central1/" in system["env"]["intake"]["WORKFLOW"]


def test_the_local_stack_is_the_same_system():
    stack = yaml.safe_load((ROOT / "deploy/local/stack.yaml").read_text())
    assert set(stack["topics"]) == set(NOTIFYING["topics"])
    pull = {name: {key: each[key] for key in ("topic", "ack_deadline")} for name, each in SYSTEM["pull"].items()}
    assert pull == stack["subscriptions"]
    local = stack["services"]["on-message"]["env"]["COLLECT_SUBSCRIPTION"]
    assert local.rpartition("/")[2] == collected(SYSTEM).removeprefix("projects/my-project/subscriptions/inference-")
    assert {name.removeprefix("local-") for name in stack["buckets"]} == set(SYSTEM["buckets"]) - {"source"}
    assert stack["buckets"]["local-work"]["lifecycle_days"] == SYSTEM["buckets"]["work"]["delete_after"]
    assert set(stack["triggers"]) == set(NOTIFYING["triggers"]) | set(NOTIFYING["push"])
    assert set(stack["services"]) == {*NOTIFYING["functions"], "gpu-service", "console"}  # which people run themselves
    assert {
        name: {key: notification[key] for key in ("topic", "prefix")}
        for name, notification in NOTIFYING["notifications"].items()
    } == {
        name: {key: notification[key] for key in ("topic", "prefix")}
        for name, notification in stack["notifications"].items()
    }
    assert set(SYSTEM["workflow"]["urls"]) <= set(stack["workflows"]["inference"]["env"])
    assert set(stack["workflows"]["inference"]["env"]) <= {*SYSTEM["workflow"]["urls"], *SYSTEM["workflow"]["env"]}


def test_the_scheduler_sends_what_on_message_understands():
    body = yaml.safe_load(SYSTEM["schedules"]["sweep"]["message"])
    assert body.keys() == {"sweep"}
    assert sweep.parse(body["sweep"]) == sweep.Sweep()
    order = SYSTEM["schedules"]["promote"]
    assert order["topic"] == SYSTEM["push"]["promote"]["topic"] == "promotions"
    assert orders.parse(yaml.safe_load(order["message"])) is None
    for system, waits in ((SYSTEM, False), (TOGETHER, True)):  # an empty subscription is not waited for every minute
        order = system["schedules"]["collect"]
        message = yaml.safe_load(order["message"])
        assert (order["topic"], message.keys()) == ("messages", {"collect"})
        assert collections.parse(message["collect"]) == collections.Collection(wait_for_uploads=waits)


class TestOwnModels:
    def test_they_are_served_with_their_only_profile_or_the_chosen_one(self):
        for profile in ("", "mine"):
            values = {"project_id": "my-project", "models": "gs://my-models/models.json", "models_profile": profile}
            environ = inventory.environment(inventory.load(values), "gpu-job")
            read = gpu_service.settings.read([], environ)
            assert (read.models, read.profile) == ("gs://my-models/models.json", profile or None)

    def test_the_hub_is_asked_only_where_models_may_come_from_it(self):
        offline = [inventory.environment(system, "gpu-service")["HF_HUB_OFFLINE"] for system in (SYSTEM, OWN_MODELS)]
        assert offline == ["1", "0"]

    def test_without_a_token_there_is_no_secret_and_nobody_may_read_any(self):
        assert SYSTEM["secrets"] == {}
        assert not [row for row in SYSTEM["iam"] if "secret" in row["role"]]

    def test_only_the_gpu_service_and_job_may_read_only_the_token(self):
        rows = [(row["who"], row["target"]) for row in OWN_MODELS["iam"] if "secret" in row["role"]]
        assert rows == [("gpu-service", "secret/HF_TOKEN"), ("gpu-job", "secret/HF_TOKEN")]
        assert inventory.secrets(OWN_MODELS) == {"HF_TOKEN": "hf-token"}

    def test_other_models_need_no_other_image(self):
        """The tag of the image is a digest of what it is built from."""
        script = (ROOT / "deploy/gcloud/project.sh").read_text()
        (digest,) = re.findall(r"gpu-service:\$\(\{(.*?)contents", script)
        assert re.findall(r"setting (\w+);", digest) == ["gpu_profile", "wheels"]

    @pytest.mark.parametrize("value", ["models.json", "gs://bucket", "gs:///models.json", "s3://b/models.json"])
    def test_another_location_is_refused(self, value: str):
        with pytest.raises(inventory.VariableError, match="models is"):
            inventory.load({"project_id": "my-project", "models": value})


class TestTrackedObjects:
    SYSTEM = inventory.load({"project_id": "my-project", "track_objects": True})

    def test_both_buckets_changes_reach_a_bucket_and_the_sweep_lists_no_uploads(self):
        tracked = self.SYSTEM
        assert {tracked["notifications"][name]["bucket"] for name in tracked["notifications"]} == {"input", "output"}
        assert {each["topic"] for each in tracked["notifications"].values()} == {tracked["pull"]["changes"]["topic"]}
        assert tracked["pull"]["changes"]["bucket"] in tracked["buckets"].keys() - SYSTEM["buckets"].keys()
        order = json.loads(tracked["schedules"]["sweep"]["message"])
        assert sweep.parse(order["sweep"]) == sweep.Sweep(uploads=False)

    def test_they_are_off_by_default(self):
        assert json.loads(SYSTEM["schedules"]["sweep"]["message"]) == {"sweep": {}}
        assert "changes" not in {*SYSTEM["topics"], *SYSTEM["pull"], *SYSTEM["buckets"]}

    def test_those_who_publish_and_write_may(self):
        granted = {(row["who"], row["role"], row["target"]) for row in self.SYSTEM["iam"]}
        assert granted - {(row["who"], row["role"], row["target"]) for row in SYSTEM["iam"]} == {
            ("agent/storage", "roles/pubsub.publisher", "topic/changes"),
            ("agent/pubsub", "roles/storage.objectCreator", "bucket/changes"),
            ("agent/pubsub", "roles/storage.legacyBucketReader", "bucket/changes"),
        }


class TestNotifications:
    def test_without_endpoints_nothing_of_them_exists(self):
        assert {"notify"} == NOTIFYING["functions"].keys() - SYSTEM["functions"].keys()
        assert {"notify", "notify-again"} == NOTIFYING["push"].keys() - SYSTEM["push"].keys()
        assert SYSTEM["notifications"] == {}
        assert not [row for row in SYSTEM["iam"] if row["who"] == "notify"]

    def test_every_folder_of_documents_is_announced_and_nothing_else(self):
        announced = [entry["prefix"] for entry in NOTIFYING["notifications"].values()]
        assert sorted(announced) == sorted({f"{folder}/" for folder in outcomes.FOLDERS.values()})
        assert {entry["bucket"] for entry in NOTIFYING["notifications"].values()} == {"output"}

    def test_notify_reads_neither_inputs_nor_documents(self):
        rows = {(row["role"], row["target"]) for row in NOTIFYING["iam"] if row["who"] == "notify"}
        assert rows == {
            ("roles/storage.objectCreator", "bucket/output"),
            ("roles/pubsub.publisher", "topic/notification-retries"),
            ("roles/pubsub.publisher", "topic/notifications"),
            ("roles/secretmanager.secretAccessor", "secret/NOTIFICATIONS"),
        }

    def test_the_secret_is_mounted_where_the_function_reads_it_and_reaches_nothing_else(self):
        secret = inventory.secret_file(NOTIFYING, "notify")
        read = notifying.settings.load(inventory.environment(NOTIFYING, "notify"))
        assert (secret["secret"], f"{secret['folder']}/{secret['file']}") == ("endpoints", str(read.endpoints))
        assert read.retries_topic.rpartition("/")[2] == "inference-notification-retries"
        assert not read.allow_loopback
        assert inventory.secrets(NOTIFYING) == {}

    def test_an_endpoint_is_tried_for_less_time_than_its_message_is_kept(self):
        again = NOTIFYING["push"]["notify-again"]
        tried = notifying.settings.Settings(None, "").retry_for.days
        assert again["retention_days"] >= tried + 2
        assert "dead_letter" not in again


class TestMicroBatching:
    def test_uploads_arrive_by_exactly_one_route(self):
        assert (set(SYSTEM["triggers"]), set(SYSTEM["notifications"])) == ({"on-upload"}, set())
        assert (set(TOGETHER["triggers"]), set(TOGETHER["notifications"])) == (set(), {"uploads"})
        assert TOGETHER["schedules"].keys() == SYSTEM["schedules"].keys()
        assert SYSTEM["schedules"]["collect"]["schedule"] == "* * * * *"  # inputs that may wait need it either way

    def test_entries_off_under_one_setting_are_on_under_the_other(self):
        for chosen, other in ((SYSTEM, TOGETHER), (TOGETHER, SYSTEM)):
            for section in ("triggers", "notifications", "schedules"):
                off = chosen["off"][section].keys() - other["off"][section].keys()
                assert off == other[section].keys() - chosen[section].keys()

    def test_terraform_filters_every_section_with_conditional_entries(self):
        systems = (SYSTEM, TOGETHER, NOTIFYING, ON_CPUS, TestAnExistingInputBucket.SYSTEM)
        either = [entry for system in systems for entry in system["off"].items()]
        left_out = {section for section, entries in either if entries and isinstance(entries, dict | list)}
        named = re.findall(r"for section in (\[.*?\])", (ROOT / "deploy/terraform/main.tf").read_text())
        assert left_out == {*yaml.safe_load(named[0]), "iam"}

    def test_waiting_uploads_can_be_collected_after_switching_off(self):
        for section in ("functions", "env", "topics", "pull", "push", "alerts"):
            assert SYSTEM[section] == TOGETHER[section]
        assert collected(SYSTEM) == collected(TOGETHER) == "projects/my-project/subscriptions/inference-uploads"

    def test_the_buckets_notifications_are_what_is_collected(self):
        notification = TOGETHER["notifications"]["uploads"]
        assert TOGETHER["pull"]["uploads"]["topic"] == notification["topic"]
        assert notification["bucket"] == SYSTEM["triggers"]["on-upload"]["bucket"]
        assert (notification["event"], notification["payload"]) == ("OBJECT_FINALIZE", "JSON_API_V1")

    def test_the_ack_deadline_exceeds_a_round_and_failures_become_dead_letters(self):
        pull, push = SYSTEM["pull"]["uploads"], SYSTEM["push"]["on-message"]
        assert 60 < pull["ack_deadline"] <= 600
        assert (pull["dead_letter"], pull["attempts"]) == (push["dead_letter"], push["attempts"])

    def test_collector_and_publisher_have_their_permissions(self):
        rows = {(row["who"], row["role"], row["target"]) for row in TOGETHER["iam"]}
        assert ("on-message", "roles/pubsub.subscriber", "subscription/uploads") in rows
        assert ("agent/storage", "roles/pubsub.publisher", "topic/uploads") in rows


def collected(system: inventory.Inventory) -> str:
    return inventory.environment(system, "on-message")["COLLECT_SUBSCRIPTION"]


def test_the_price_is_the_one_that_the_code_assumes():
    price = inventory.environment(SYSTEM, "postprocess")["GPU_USD_PER_SECOND"]
    assert float(price) == functions.Settings("a", "b", "c").gpu_usd_per_second


class TestMachines:
    def values(self, **chosen: Any) -> dict[str, Any]:
        return inventory.settings({"project_id": "my-project", **chosen})

    @pytest.mark.parametrize(
        ("chosen", "price"),
        [
            ({}, "0.0002907"),
            ({"gpu_cpu": 8, "gpu_memory": "32Gi"}, "0.0003947"),
            ({"gpu_type": "nvidia-rtx-pro-6000"}, "0.00088522"),
            ({"gpu_type": "none"}, "0.000116"),
            ({"gpu_type": "none", "gpu_cpu": "1", "gpu_memory": "2Gi"}, "0.000029"),
            ({"gpu_type": "none", "gpu_usd_per_second": "0.00005"}, "0.00005"),
        ],
    )
    def test_the_price_of_a_second_is_that_of_gpu_cpus_and_memory(self, chosen: dict[str, Any], price: str):
        assert self.values(**chosen)["gpu_usd_per_second"] == price

    def test_every_gpu_type_is_described_and_its_own_defaults_are_allowed(self):
        pattern = inventory.variables()["gpu_type"]["pattern"]
        assert pattern == f"^({'|'.join(machines.machines())})$"
        cpus = {cpu for machine in machines.machines().values() for cpu in machine["cpus"]}
        assert inventory.variables()["gpu_cpu"]["pattern"] == f"^(0|{'|'.join(map(str, sorted(cpus)))})$"
        for name, machine in machines.machines().items():
            chosen = self.values(gpu_type=name)
            assert (chosen["gpu_cpu"], chosen["gpu_memory"]) == (machine["cpu"], machine["memory"])

    @pytest.mark.parametrize(
        ("chosen", "message"),
        [
            ({"gpu_cpu": 2}, "gpu_cpu is 2; with gpu_type nvidia-l4 it must be one of .4, 6, 8."),
            ({"gpu_memory": "8Gi"}, "gpu_memory is 8Gi; with gpu_type nvidia-l4 it must be at least 16Gi"),
            ({"gpu_type": "nvidia-rtx-pro-6000", "gpu_cpu": 4}, "gpu_cpu is 4"),
            ({"gpu_type": "none", "gpu_cpu": 20}, "gpu_cpu is 20"),
            ({"vpc_network": "projects/p/global/networks/n"}, "vpc_network and vpc_subnetwork go together"),
            (
                {
                    "vpc_network": "projects/p/global/networks/n",
                    "vpc_subnetwork": "projects/p/regions/europe-west4/subnetworks/s",
                },
                "vpc_subnetwork must lie in the only GPU region",
            ),
            (
                {"kms_key": "projects/p/locations/eu/keyRings/r/cryptoKeys/k"},
                "kms_key must lie in the region us-central1",
            ),
            ({"gpu_regions": "us-central1,europe-west4", "gpu_revision": "r"}, "gpu_revision names a revision of one"),
            (
                {"gpu_regions": "us-central1,europe-west4", "gpu_region_weights": "1"},
                "gpu_region_weights needs a number",
            ),
            ({"gpu_regions": "us-central1,europe-west4", "gpu_region_weights": "0,0"}, "one of them above 0"),
            ({"gpu_region_weights": "1,2"}, "gpu_region_weights needs a number"),
        ],
    )
    def test_an_instance_that_cloud_run_lacks_is_refused(self, chosen: dict[str, Any], message: str):
        with pytest.raises(inventory.VariableError, match=message):
            self.values(**chosen)


class TestSharing:
    """What shares the hour's executions and the calls of on-message."""

    def test_the_functions_read_what_the_deployment_says(self):
        chosen = {"max_collections": "5", "tenants": "team", "tenant_share": "0.25", "max_executions_per_hour": "400"}
        system = inventory.load({"project_id": "my-project", **chosen})
        for name in ("on-upload", "on-message"):
            read = functions.load(inventory.environment(system, name), starts_executions=True)
            assert (read.tenants, read.tenant_share) == ("team", 0.25)
        assert read.max_collections == 5

    def test_by_default_the_deployment_and_the_functions_agree(self):
        read = functions.load(inventory.environment(SYSTEM, "on-message"), starts_executions=True)
        default = functions.Settings("a", "b", "c")
        for each in (read, default):
            assert (each.max_collections, each.tenants, each.tenant_share) == (4, "", 0.1)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("max_collections", value) for value in ("0", "33", "-1", "2.5", "four")),
            *(("tenants", value) for value in ("folder/team", "a b", 'folder"', "${x}")),
            *(("tenant_share", value) for value in ("0", "0.0", "1.5", "-0.1", "1e-05", "a tenth")),
        ],
    )
    def test_other_values_are_refused(self, name: str, value: str):
        with pytest.raises(inventory.VariableError, match=f"{name} is .* which does not match"):
            inventory.settings({"project_id": "my-project", name: value})

    @pytest.mark.parametrize("share", [0.1, "0.1", "0.0001", "0.25", 1, "1", "0.9999"])
    def test_a_share_is_above_0_and_at_most_1(self, share: object):
        assert inventory.settings({"project_id": "my-project", "tenant_share": share})["tenant_share"] == share

    def test_collections_leave_calls_of_on_message_to_other_messages(self):
        inventory.load({"project_id": "my-project", "max_collections": "5"})
        with pytest.raises(inventory.VariableError, match="max_collections is 6, but on-message handles 6 messages"):
            inventory.load({"project_id": "my-project", "max_collections": "6"})

    def test_a_share_needs_a_cap_of_which_it_is_a_part(self):
        with pytest.raises(inventory.VariableError, match="tenants needs a max_executions_per_hour above 0"):
            inventory.settings({"project_id": "my-project", "tenants": "folder", "max_executions_per_hour": "0"})

    def test_there_is_a_lane_for_each_collection(self):
        pattern = inventory.variables()["max_collections"]["pattern"]
        assert [n for n in range(100) if re.search(pattern, str(n))] == list(range(1, lanes.COUNT + 1))


class TestWithoutAGpu:
    @pytest.mark.parametrize("name", ["gpu-service", "gpu-job"])
    def test_the_service_and_the_job_start_on_cpus(self, name: str):
        read = gpu_service.settings.read([], inventory.environment(ON_CPUS, name))
        assert not read.gpu_required
        assert device.choose(read.device, read.dtype, required=read.gpu_required).name == "cpu"

    def test_cpus_are_billed_while_requests_are_handled(self):
        assert ON_CPUS["gpu_service"]["cpu_idle"]
        assert not SYSTEM["gpu_service"]["cpu_idle"]

    def test_nothing_else_of_the_system_differs(self):
        differing = {section for section in SYSTEM if SYSTEM[section] != ON_CPUS[section]}
        assert differing == {"env", "gpu_service", "gpu_job", "alerts", "off", "settings"}
        assert SYSTEM["alerts"].keys() - ON_CPUS["alerts"].keys() == {"idle-gpu"}

    @pytest.mark.parametrize("quota", ["cpu", "gib"])
    def test_everything_fits_into_a_new_projects_quotas(self, quota: str):
        assert sum(need[quota] for name, need in needs(ON_CPUS).items() if name != "gpu-job") <= NEW_PROJECT[quota]


def test_only_the_work_bucket_expires_and_kept_data_can_be_restored():
    buckets = SYSTEM["buckets"]
    assert [name for name, bucket in buckets.items() if bucket["delete_after"]] == ["work"]
    assert {name: bucket["soft_delete"] > 0 for name, bucket in buckets.items() if bucket["keep"]} == {
        "input": True,
        "output": True,
        "models": True,
    }
    assert [name for name, bucket in buckets.items() if bucket["versioning"]] == ["output", "models"]


def test_claims_and_outcomes_outlive_every_event_that_is_handled_without_a_look_at_the_output_bucket():
    """An event is judged by its age once, and may be handled until its function's time is up."""
    lease = functions.Settings("a", "b", "c").claim_lease
    timeouts = [function["timeout"] for function in SYSTEM["functions"].values()]
    deadlines = [push["ack_deadline"] for push in (*SYSTEM["push"].values(), *SYSTEM["pull"].values())]
    longest_delay = timedelta(seconds=max(*timeouts, *deadlines) + lease)
    clocks_differ = timedelta(hours=1)
    local = yaml.safe_load((ROOT / "deploy/local/stack.yaml").read_text())["buckets"]["local-work"]["lifecycle_days"]
    for days in (SYSTEM["buckets"]["work"]["delete_after"], local):
        assert outcomes.REMEMBERED + longest_delay + clocks_differ < timedelta(days=days)


NEW_PROJECT = {"cpu": 20.0, "gib": 40.0}  # Cloud Run's quotas of a region


def gib(memory: str) -> float:
    return int(memory[:-2]) / {"Gi": 1, "Mi": 1024}[memory[-2:]]


def needs(system: inventory.Inventory) -> dict[str, dict[str, float]]:
    """What each entry takes of the quotas at its maximum."""
    most = {name: (function, function["max_instances"]) for name, function in system["functions"].items()}
    most["gpu-service"] = (system["gpu_service"], system["gpu_service"]["max_instances"])
    most["gpu-job"] = (system["gpu_job"], system["gpu_job"]["parallelism"])
    return {name: {"cpu": run["cpu"] * n, "gib": gib(run["memory"]) * n} for name, (run, n) in most.items()}


class TestANewProjectsQuotas:
    @pytest.mark.parametrize("quota", NEW_PROJECT)
    def test_every_entry_fits(self, quota: str):
        assert {name: need for name, need in needs(SYSTEM).items() if need[quota] > NEW_PROJECT[quota]} == {}

    @pytest.mark.parametrize("quota", NEW_PROJECT)
    @pytest.mark.parametrize("without", ["gpu-job", "gpu-service"])
    def test_the_functions_fit_together_with_the_gpu_service_or_with_the_job(self, quota: str, without: str):
        assert sum(need[quota] for name, need in needs(SYSTEM).items() if name != without) <= NEW_PROJECT[quota]

    def test_the_gpus_fit_into_the_first_grant(self):
        assert SYSTEM["gpu_service"]["max_instances"] == SYSTEM["gpu_job"]["tasks"] == 2
        assert not SYSTEM["gpu_service"]["zonal_redundancy"]
        assert not SYSTEM["gpu_job"]["zonal_redundancy"]

    def test_the_documented_totals_are_those_of_the_inventory(self):
        total = {
            quota: sum(need[quota] for name, need in needs(SYSTEM).items() if name != "gpu-job")
            for quota in NEW_PROJECT
        }
        assert f"{total['cpu']:.0f} CPUs and {total['gib']:.0f} GiB" in (ROOT / "docs/deployment.md").read_text()

    def test_a_call_is_retried_until_others_of_the_longest_kind_have_ended(self):
        env = SYSTEM["workflow"]["env"]
        assert "backoff: {initial_delay: 1, max_delay: 60, multiplier: 2}" in (ROOT / "workflow.yaml").read_text()
        waits = sum(min(60, 2**retry) for retry in range(int(env["MAX_RETRIES"])))
        assert waits >= int(env["CPU_TIMEOUT_SECONDS"])


def test_limits_are_valid_for_cloud_run():
    for name, function in SYSTEM["functions"].items():
        assert function["concurrency"] == 1 or function["cpu"] >= 1, name
        assert function["timeout"] <= 3600, name
    probe = SYSTEM["gpu_service"]["startup_probe"]
    assert probe["period"] * probe["failures"] <= 240
    assert probe["timeout"] <= probe["period"]
    assert SYSTEM["gpu_job"]["task_timeout"] <= 3600, "the longest task with a GPU"
    assert SYSTEM["gpu_job"]["parallelism"] <= SYSTEM["gpu_job"]["tasks"]
    assert SYSTEM["push"]
    for name, push in SYSTEM["push"].items():
        assert SYSTEM["functions"][push["service"]]["timeout"] <= push["ack_deadline"] <= 600, name
        assert 5 <= push.get("attempts", 5) <= 100, name


class TestDeliveryAttempts:
    def test_everything_that_may_become_a_dead_letter_is_tried_as_often_as_pubsub_can(self):
        attempts = {name: entry.get("attempts") for name, entry in DELIVERIES.items() if "dead_letter" in entry}
        assert attempts == {"on-upload": 100, "on-message": 100, "promote": 100, "uploads": 100}

    def test_they_outlast_an_outage_and_end_before_the_message_does(self):
        eventarc = {"backoff": [10, 600], "retention_days": 1}  # of the subscriptions that Eventarc creates
        for entry in DELIVERIES.values():
            if "dead_letter" not in entry:
                continue
            least, most = (eventarc | entry)["backoff"]
            waits = sum(min(most, least * 2**attempt) for attempt in range(entry["attempts"] - 1))
            assert 15 * 3600 < waits < (eventarc | entry)["retention_days"] * 86400

    def test_an_alert_precedes_the_dead_letter_by_hours(self):
        query = SYSTEM["alerts"]["expiring-input"]["query"]
        assert int(query.rpartition(" > ")[2]) <= 8 * 3600

    def test_those_of_the_local_stack_outlast_a_lease_and_end_within_minutes(self):
        stack = yaml.safe_load((ROOT / "deploy/local/stack.yaml").read_text())
        tried = {name: entry for name, entry in stack["triggers"].items() if "dead_letter_topic" in entry}
        assert set(tried) == {"on-upload", "on-message", "promote"}
        for entry in tried.values():
            least, most = entry["backoff"]["min"], entry["backoff"]["max"]
            waits = sum(min(most, least * 2**attempt) for attempt in range(entry["max_delivery_attempts"] - 1))
            assert int(stack["env"]["CLAIM_LEASE_SECONDS"]) < waits < 120


class TestPermissions:
    def test_every_part_has_an_account_and_every_account_is_used(self):
        used = {row["who"] for row in NOTIFYING["iam"]}
        assert {*NOTIFYING["functions"], "gpu-service", "gpu-job", "cut-job", "workflow"} <= set(SYSTEM["accounts"])
        assert used == set(SYSTEM["accounts"]) | {f"agent/{name}" for name in SYSTEM["agents"]}

    def test_nothing_is_public_and_no_role_is_broad(self):
        assert not [row for row in SYSTEM["iam"] if row["who"].startswith("all")]
        broad = re.compile(r"roles/(owner|editor|viewer|storage\.objectAdmin|run\.developer|.*\.admin)$")
        assert not [row for row in SYSTEM["iam"] if broad.match(row["role"])]

    def test_data_roles_are_granted_on_buckets(self):
        rows = [row for row in SYSTEM["iam"] if row["role"].startswith("roles/storage.")]
        assert rows
        assert [row for row in rows if not row["target"].startswith("bucket/") and not row.get("only")] == []

    def test_only_the_pipeline_writes_never_to_inputs_and_promote_alone_to_models(self):
        writes = {(row["who"], row["target"]) for row in SYSTEM["iam"] if row["role"] == "roles/storage.objectUser"}
        assert {target for _, target in writes} == {"bucket/work", "bucket/output", "bucket/models"}
        assert {who for who, target in writes if target == "bucket/models"} == {"promote"}

    def test_permissions_are_unique_and_have_a_reason(self):
        assert [row for row in SYSTEM["iam"] if not row["why"]] == []
        keys = [(row["who"], row["role"], row["target"], row.get("only")) for row in SYSTEM["iam"]]
        assert len(keys) == len(set(keys))

    def test_targets_exist(self):
        known = {"project"} | {f"account/{name}" for name in SYSTEM["accounts"]}
        for kind, section in (
            ("bucket", "buckets"),
            ("trigger", "triggers"),
            ("topic", "topics"),
            ("subscription", "push"),
            ("subscription", "pull"),
            ("service", "functions"),
        ):
            known |= {f"{kind}/{name}" for name in SYSTEM[section]}
        known |= {"service/gpu-service", "job/gpu-job", "job/cut-job"}
        assert {row["target"] for row in SYSTEM["iam"]} <= known

    def test_every_service_admits_only_its_callers(self):
        callers = {row["target"]: row["who"] for row in SYSTEM["iam"] if row["role"] == "roles/run.invoker"}
        called = {f"service/{name}": "workflow" for name in SYSTEM["workflow"]["urls"].values()}
        delivered = {f"service/{name}": "events" for name in (*SYSTEM["triggers"], *SYSTEM["push"])}
        assert callers == called | delivered

    @pytest.mark.parametrize("name", ["gpu-job", "cut-job"])
    def test_only_the_workflow_may_run_a_job_and_view_its_executions(self, name: str):
        rows = {(row["who"], row["role"]) for row in SYSTEM["iam"] if row["target"] == f"job/{name}"}
        assert rows == {("workflow", "roles/run.jobsExecutorWithOverrides"), ("workflow", "roles/run.viewer")}
        workflow = (ROOT / "workflow.yaml").read_text()
        assert workflow.count("jobs.run\n") == workflow.count("skip_polling: true") == 2, (
            "a connector that polls reads operations, which takes a role on the project"
        )

    @pytest.mark.parametrize(("service", "job"), [("gpu-service", "gpu-job"), ("preprocess", "cut-job")])
    def test_a_job_has_the_permissions_of_its_service(self, service: str, job: str):
        granted = {
            who: {(row["role"], row["target"]) for row in SYSTEM["iam"] if row["who"] == who} for who in (service, job)
        }
        assert granted[service] == granted[job]

    def test_dead_letters_can_be_forwarded(self):
        rows = {(row["role"], row["target"]) for row in SYSTEM["iam"] if row["who"] == "agent/pubsub"}
        subscriptions = SYSTEM["push"] | SYSTEM["pull"]
        topics = {name: entry["dead_letter"] for name, entry in subscriptions.items() if "dead_letter" in entry}
        assert set(topics) == {"on-message", "promote", "uploads"}
        assert rows >= {("roles/pubsub.publisher", f"topic/{topic}") for topic in topics.values()}
        assert rows >= {("roles/pubsub.subscriber", f"subscription/{name}") for name in topics}


def test_the_documented_tables_match_the_inventory():
    page = (ROOT / "docs/deployment.md").read_text()
    assert "| on-upload | roles/storage.objectViewer | bucket/input |" in page
    assert page == inventory.document(page), "update the tables: python deploy/inventory.py document"


def test_every_variable_is_described_and_has_a_valid_default():
    assert all(variable["description"].endswith(".") for variable in inventory.variables().values())
    seed = "project_id region zone service_prefix gpu_type gpu_memory gpu_cpu preprocess_memory postprocess_memory"
    assert {*seed.split(), "max_instances", "timeout_seconds"} <= set(inventory.variables())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "project_id is not set"),
        ({"project_id": "Nope"}, "project_id is 'Nope'"),
        ({"project_id": "my-project", "timeout_seconds": 3000}, "timeout_seconds"),
        ({"project_id": "my-project", "gpu_type": "nvidia-h100"}, "gpu_type"),
        ({"project_id": "my-project", "gpu_regions": "us-central1,Europe"}, "gpu_regions is 'Europe'"),
        ({"project_id": "my-project", "audit_logs": "yes"}, "audit_logs is 'yes', neither true nor false"),
    ],
)
def test_an_invalid_value_is_refused_with_the_variables_description(given: dict[str, Any], message: str):
    with pytest.raises(inventory.VariableError, match=message):
        inventory.settings(given)


def test_the_environment_sets_switches_and_lists(capsys: pytest.CaptureFixture[str]):
    channels = "projects/my-project/notificationChannels/"
    environ = {"PROJECT_ID": "my-project", "AUDIT_LOGS": "true", "NOTIFICATION_CHANNELS": f"{channels}1, {channels}2"}
    system = inventory.load(inventory.from_environ(environ))
    assert system["settings"]["audit_logs"] is True
    assert bodies.alert(system, "errors")["notificationChannels"] == [f"{channels}1", f"{channels}2"]
    assert inventory.main(["rows", "settings"], environ) == 0
    assert "audit_logs\x1fyes" in capsys.readouterr().out.splitlines()


class TestRetention:
    def bucket(self, name: str, **chosen: Any) -> dict[str, Any]:
        system = inventory.load({"project_id": "my-project", **chosen})
        return dict(system["buckets"][name])

    def test_variables_reach_their_buckets_alone(self):
        chosen = {"input_storage_class": "NEARLINE", "input_delete_after": "30", "output_delete_after": "90"}
        more = {"noncurrent_delete_after": "10", "soft_delete_days": "14", "output_storage_class": "COLDLINE"}
        system = inventory.load({"project_id": "my-project", **chosen, **more})["buckets"]
        assert {name: bucket["delete_after"] for name, bucket in system.items() if bucket["delete_after"]} == {
            "input": 30,
            "work": 7,
            "output": 90,
        }
        assert {name: bucket["class"] for name, bucket in system.items() if bucket["class"] != "STANDARD"} == {
            "input": "NEARLINE",
            "output": "COLDLINE",
        }
        noncurrent = {name: bucket["noncurrent_after"] for name, bucket in system.items() if bucket["versioning"]}
        assert noncurrent == {"output": 10, "models": 10}
        assert {bucket["soft_delete"] for bucket in system.values() if bucket["keep"]} == {14}
        assert system["work"] == SYSTEM["buckets"]["work"]

    @pytest.mark.parametrize(
        "chosen",
        [
            {"output_delete_after": 30},
            {"output_delete_after": 30, "input_delete_after": 30},
            {"output_delete_after": "36", "input_delete_after": "30"},
            {"output_delete_after": 30, "input_delete_after": 1, "existing_input_bucket": "my-bucket"},
        ],
    )
    def test_documents_outlive_their_uploads_which_sweeps_would_process_again(self, chosen: dict[str, Any]):
        with pytest.raises(inventory.VariableError, match="documents must be kept at least 7 days longer"):
            self.bucket("output", **chosen)

    @pytest.mark.parametrize("days", ["3", "91", "-1"])
    def test_cloud_storage_knows_no_such_soft_delete(self, days: str):
        with pytest.raises(inventory.VariableError, match="soft_delete_days"):
            self.bucket("output", soft_delete_days=days)

    @pytest.mark.parametrize(
        ("name", "chosen"),
        [("output", {}), ("output", {"noncurrent_delete_after": 5}), ("work", {}), ("input", {"soft_delete_days": 0})],
    )
    def test_gcloud_updates_what_differs_and_nothing_else(self, name: str, chosen: dict[str, Any], tmp_path: Path):
        bucket, file = self.bucket(name, **chosen), tmp_path / "lifecycle.json"
        found = {
            "storageClass": bucket["class"],
            "versioning": {"enabled": bucket["versioning"]},
            "softDeletePolicy": {"retentionDurationSeconds": str(bucket["soft_delete"] * 86400)},
            "lifecycle": {"rule": gcloud_bucket.lifecycle(bucket)},
        }
        assert gcloud_bucket.flags(bucket, found, file) == []
        key = shape.COMPANY["kms_key"]
        assert gcloud_bucket.flags(bucket, found, file, key) == [f"--default-encryption-key={key}"]
        encrypted = {**found, "encryption": {"defaultKmsKeyName": key}}
        assert gcloud_bucket.flags(bucket, encrypted, file) == ["--clear-default-encryption-key"]
        for field, flag in (
            ({"storageClass": "ARCHIVE"}, f"--default-storage-class={bucket['class']}"),
            (
                {"versioning": {"enabled": not bucket["versioning"]}},
                "--versioning" if bucket["versioning"] else "--no-versioning",
            ),
            (
                {"lifecycle": {"rule": ["another"]}},
                f"--lifecycle-file={file}" if gcloud_bucket.lifecycle(bucket) else "--clear-lifecycle",
            ),
            (
                {"softDeletePolicy": {"retentionDurationSeconds": "1"}},
                f"--soft-delete-duration={bucket['soft_delete']}d" if bucket["soft_delete"] else "--clear-soft-delete",
            ),
        ):
            assert gcloud_bucket.flags(bucket, {**found, **field}, file) == [flag]


class TestAnExistingInputBucket:
    SYSTEM = inventory.load(
        {"project_id": "my-project", "existing_input_bucket": "uploads.example.com", "existing_input_location": "us"}
    )

    def test_it_replaces_the_deployments_own_and_is_not_created(self):
        assert set(SYSTEM["buckets"]) - set(self.SYSTEM["buckets"]) == {"input"}
        for name in ("on-upload", "preprocess", "gpu-service"):
            assert inventory.environment(self.SYSTEM, name)["INPUT_BUCKET"] == "uploads.example.com"

    def test_its_events_are_received_where_it_lies(self):
        assert self.SYSTEM["triggers"]["on-upload"]["location"] == "us"
        assert SYSTEM["triggers"]["on-upload"]["location"] == "us-central1"
        assert "eventarc-us-inference-on-upload" in str(self.SYSTEM["alerts"]["oldest-input"])

    def test_permissions_are_granted_on_it(self):
        assert self.SYSTEM["iam"] == SYSTEM["iam"]

    @pytest.mark.parametrize("name", ["gs://bucket", "Bucket", "a", "-bucket", "my_project:bucket"])
    def test_another_name_is_refused(self, name: str):
        with pytest.raises(inventory.VariableError, match="existing_input_bucket"):
            inventory.load({"project_id": "my-project", "existing_input_bucket": name})


class TestMisspeltVariables:
    def test_those_of_a_file_are_refused_with_what_was_meant(self, tmp_path: Path):
        file = tmp_path / "my.tfvars"
        lines = ["# max_instance = 1", 'project_id = "a = b # {" # c', 'sources="."', "  gpu_regions = ["]
        file.write_text("\n".join([*lines, '  "us-central1",', "]", "max_instance = 8", ""]))
        assert inventory.assigned(file.read_text()) == ["project_id", "sources", "gpu_regions", "max_instance"]
        with pytest.raises(inventory.VariableError, match=r"max_instance is not .*Did you mean max_instances"):
            inventory.main(["check", str(file)])

    def test_those_of_the_examples_are_accepted(self):
        files = [*ROOT.glob("deploy/*/*.tfvars")]
        assert len(files) >= 4
        assert [inventory.main(["check", str(file)], {}) for file in files] == [0] * len(files)

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("MAX_INSTANCE", "MAX_INSTANCES"),
            ("MAX_INSTACES", "MAX_INSTANCES"),
            ("MAXINSTANCES", "MAX_INSTANCES"),
            ("GPU_MAX_INSTANCES", "MAX_INSTANCES"),
            ("GPU_REGION", "GPU_REGIONS"),
            ("GPU_CPUS", "GPU_CPU"),
            ("PROJECTID", "PROJECT_ID"),
            ("REGIN", "REGION"),
            ("JOB_TASK", "JOB_TASKS"),
            ("MICROBATCHING", "MICRO_BATCHING"),
            ("TIMEOUT_SECOND", "TIMEOUT_SECONDS"),
        ],
    )
    def test_they_are_refused_with_what_was_meant(self, name: str, meant: str):
        with pytest.raises(inventory.VariableError, match=f"{name} is not a variable.*Set {meant}"):
            inventory.from_environ({"PROJECT_ID": "my-project", name: "8"})

    @pytest.mark.parametrize("variable", inventory.variables())
    def test_a_variable_that_lacks_a_letter_is_refused(self, variable: str):
        name = variable.upper()[:-1]
        with pytest.raises(inventory.VariableError, match=f"Set {variable.upper()}, or unset {name}"):
            inventory.from_environ({name: "8"})

    def test_variables_of_the_scripts_and_of_other_programs_are_left_alone(self):
        scripts = "".join(path.read_text() for path in (ROOT / "deploy").glob("*/*.sh"))
        of_scripts = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", scripts))
        assert {"WAIT_SECONDS", "SMOKE_SECONDS", "TRIES", "GPU_IMAGE"} <= of_scripts
        others = (
            "PATH HOME LANG USER SHELL TERM PWD OLDPWD HOSTNAME LOGNAME CI PROFILE TIMEOUT GOOGLE_CLOUD_PROJECT "
            "GCP_PROJECT GOOGLE_APPLICATION_CREDENTIALS CLOUDSDK_CORE_PROJECT AWS_REGION GITHUB_ACTIONS INPUT_BUCKET "
            "WORKFLOW MAX_RETRIES BATCH_INDEX HF_TOKEN HF_HUB_OFFLINE CLAIM_LEASE_SECONDS SHARD_SECONDS MODELS_CACHE"
        )
        environ = {**dict.fromkeys([*of_scripts, *others.split()], "x"), "max_instance": "8"}
        assert set(inventory.from_environ(environ)) <= set(inventory.variables())


def test_the_command_prints_rows_for_a_shell(capsys: pytest.CaptureFixture[str]):
    assert inventory.main(["rows", "iam", "who", "role", "target", "only"], {"PROJECT_ID": "my-project"}) == 0
    lines = [line.split("\x1f") for line in capsys.readouterr().out.splitlines()]
    assert ["on-upload", "roles/storage.objectViewer", "bucket/input", ""] in lines
    assert len(lines) == len(SYSTEM["iam"])


class TestWaiting:
    @pytest.mark.parametrize("waits", ["0", "90s", "24h", "15m,live/=0", "0,nightly/=1h,very long name.d/a_b-c/=999m"])
    def test_how_long_inputs_may_wait_reaches_the_functions_that_take_them_in(self, waits: str):
        system = inventory.load({"project_id": "my-project", "max_wait": waits, "min_instances": 1, "gpu_type": "none"})
        for name in ("on-upload", "on-message"):
            env = inventory.environment(system, name)
            assert env["MAX_WAIT"] == waits
            assert functions.load(env, starts_executions=True).max_wait
        assert (env["GPU_TYPE"], env["MIN_INSTANCES"]) == ("none", "1")

    @pytest.mark.parametrize("waits", ["25h", "1d", "soon", "a=", "nightly/=1h,", "1h;2h", '"=1h'])
    def test_a_wait_that_the_functions_would_refuse_is_refused(self, waits: str):
        with pytest.raises(inventory.VariableError, match="max_wait"):
            inventory.load({"project_id": "my-project", "max_wait": waits})
