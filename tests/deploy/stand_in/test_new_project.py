"""The faults of a first deployment, reproduced in the stand-in for a new project, and what avoids each."""

import re
from pathlib import Path
from typing import Any

import pytest

from deploy import inventory
from deploy.monitoring import bodies
from tests.deploy import shape
from tests.deploy.shape import NUMBER, PROJECT, REGION
from tests.deploy.stand_in import new_project, refusals
from tests.deploy.stand_in.fresh import FreshGoogle

SYSTEM = inventory.load({"project_id": PROJECT})
PREFIX = shape.prefix(SYSTEM)
PROJECT_SH = (Path(__file__).parents[3] / "deploy/gcloud/project.sh").read_text()
POLICY = f"/cloudresourcemanager/v1/projects/{PROJECT}:setIamPolicy"
FUNCTIONS = f"/cloudfunctions/v2/projects/{PROJECT}/locations/{{}}/functions"
SERVICES = f"/run/apis/serving.knative.dev/v1/namespaces/{PROJECT}/services"
ALERTS = f"/monitoring/v3/projects/{PROJECT}/alertPolicies"


def account(name: str) -> str:
    return shape.account(SYSTEM, name)


@pytest.fixture
def google() -> FreshGoogle:
    """A project whose APIs are on and whose builder may build."""
    made = FreshGoogle()
    made.project.enable(SYSTEM["apis"])
    made.project.make_identity(account("builder"))
    made.project.pass_time(new_project.IDENTITY_DELAY)
    for role in ("roles/logging.logWriter", "roles/artifactregistry.writer", "roles/storage.objectViewer"):
        made.project.grant(PROJECT, role, account("builder"))
    made.project.pass_time(new_project.ROLE_DELAY)
    return made


def post(google: FreshGoogle, path: str, body: Any) -> dict[str, Any]:
    """The error that a request is refused with, at once or by its operation; empty if it succeeds."""
    status, answer = google.answer("POST", path, body)
    if status == 200 and answer.get("done") is False:
        _, answer = google.answer("GET", f"/cloudfunctions/v2/{answer['name']}", {})
    return dict(answer.get("error", {}))


def bind(*bindings: tuple[str, str]) -> dict[str, Any]:
    return {"bindings": [{"role": role, "members": [f"serviceAccount:{member}"]} for role, member in bindings]}


def function(memory: str = "1Gi", instances: int = 2) -> dict[str, Any]:
    builder = f"projects/{PROJECT}/serviceAccounts/{account('builder')}"
    config = {"availableCpu": "1", "availableMemory": memory, "maxInstanceCount": instances}
    return {"name": "f", "buildConfig": {"serviceAccount": builder}, "serviceConfig": config}


def gpu_service(instances: int) -> dict[str, Any]:
    limits = {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    template = {
        "metadata": {"annotations": {"autoscaling.knative.dev/maxScale": str(instances)}},
        "spec": {"containers": [{"resources": {"limits": limits}}]},
    }
    return {"metadata": {"name": "gpu"}, "spec": {"template": template}}


class TestApis:
    def test_an_api_that_is_off_says_so_in_googles_form(self):
        google = FreshGoogle()
        error = post(google, f"/pubsub/v1/projects/{PROJECT}/topics/a", {})
        assert (error["code"], error["status"]) == (403, "PERMISSION_DENIED")
        assert error["details"][0]["reason"] == "SERVICE_DISABLED"
        assert error["details"][0]["metadata"]["service"] == "pubsub.googleapis.com"

    def test_an_enabled_api_answers_after_a_while(self):
        google = FreshGoogle()
        google.project.enable(["pubsub.googleapis.com"])
        put: tuple[str, str, Any] = ("PUT", f"/pubsub/v1/projects/{PROJECT}/topics/a", {})
        assert google.answer(*put)[0] == 403
        google.project.pass_time(new_project.API_DELAY)
        assert google.answer(*put)[0] == 200

    def test_the_api_that_reads_the_project_is_off_where_the_request_counts_for_the_project(self):
        google = FreshGoogle()
        get: tuple[str, str, Any] = ("GET", f"/cloudresourcemanager/v1/projects/{PROJECT}", {})
        assert google.answer(*get, {"X-Goog-User-Project": PROJECT})[0] == 403
        assert google.answer(*get)[0] == 200

    def test_no_api_is_enabled_without_billing(self):
        google = FreshGoogle()
        google.project.billing = False
        path = f"/serviceusage/v1/projects/{PROJECT}/services:batchEnable"
        error = post(google, path, {"serviceIds": ["run.googleapis.com"]})
        assert (error["code"], error["status"]) == (400, "FAILED_PRECONDITION")
        assert "Billing must be enabled" in error["message"]


class TestAgentsAndRoles:
    def test_no_role_is_granted_to_an_agent_before_it_is_made(self, google: FreshGoogle):
        agent = new_project.agent("pubsub")
        assert post(google, POLICY, bind(("roles/pubsub.publisher", agent)))["message"] == (
            f"Service account {agent} does not exist."
        )
        path = f"/serviceusage/v1beta1/projects/{PROJECT}/services/pubsub.googleapis.com:generateServiceIdentity"
        assert not post(google, path, {})
        assert post(google, POLICY, bind(("roles/pubsub.publisher", agent))), "it is not known everywhere yet"
        google.project.pass_time(new_project.IDENTITY_DELAY)
        assert not post(google, POLICY, bind(("roles/pubsub.publisher", agent)))

    def test_a_build_right_after_its_roles_were_granted_fails(self):
        google = FreshGoogle()
        google.project.enable(SYSTEM["apis"])
        google.project.make_identity(account("builder"))
        google.project.pass_time(new_project.IDENTITY_DELAY)
        roles = [row["role"] for row in SYSTEM["iam"] if row["who"] == "builder" and row["target"] == "project"]
        assert not post(google, POLICY, bind(*((role, account("builder")) for role in roles)))
        error = post(google, FUNCTIONS.format(REGION), function())
        assert "missing permission on the build service account" in error["message"]
        google.project.pass_time(new_project.ROLE_DELAY)
        assert not post(google, FUNCTIONS.format(REGION), function())

    def test_a_trigger_needs_the_roles_of_two_agents_and_of_its_account(self, google: FreshGoogle):
        path = f"/eventarc/v1/projects/{PROJECT}/locations/{REGION}/triggers?triggerId=t"
        trigger = {"serviceAccount": account("events")}
        for email, role, message in (
            (new_project.agent("eventarc"), "roles/eventarc.serviceAgent", refusals.EVENTARC_LACKS),
            (new_project.agent("storage"), "roles/pubsub.publisher", refusals.STORAGE_LACKS),
            (account("events"), "roles/eventarc.eventReceiver", refusals.RECEIVER_LACKS.format(account("events"))),
        ):
            assert post(google, path, trigger)["message"] == message
            google.project.make_identity(email)
            google.project.pass_time(new_project.IDENTITY_DELAY)
            google.project.grant(PROJECT, role, email)
            google.project.pass_time(new_project.ROLE_DELAY)
        assert not post(google, path, trigger)


class TestQuotas:
    @pytest.mark.parametrize(
        ("memory", "instances", "quota"),
        [
            ("1Gi", 80, "CpuAllocPerProjectRegion requested: 80000 allowed: 20000"),
            ("4Gi", 20, "MemAllocPerProjectRegion"),
        ],
    )
    def test_a_function_whose_maximum_exceeds_them_is_refused(
        self, google: FreshGoogle, memory: str, instances: int, quota: str
    ):
        assert quota in post(google, FUNCTIONS.format(REGION), function(memory, instances))["message"]

    def test_three_gpu_instances_exceed_the_memory_and_two_fit(self, google: FreshGoogle):
        assert "MemAllocPerProjectRegion requested: 51539607552" in post(google, SERVICES, gpu_service(3))["message"]
        assert not post(google, SERVICES, gpu_service(2))

    def test_without_a_grant_no_gpu_service_starts(self, google: FreshGoogle):
        google.project.gpus = 0
        error = post(google, SERVICES, gpu_service(1))
        assert "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion requested: 1 allowed: 0" in error["message"]

    @pytest.mark.parametrize("name", SYSTEM["functions"])
    def test_every_function_of_the_inventory_fits(self, google: FreshGoogle, name: str):
        entry = SYSTEM["functions"][name]
        assert not post(google, FUNCTIONS.format(REGION), function(entry["memory"], entry["max_instances"]))

    def test_builds_are_refused_in_a_restricted_region(self, google: FreshGoogle):
        error = post(google, FUNCTIONS.format("europe-west4"), function())
        assert "due to quota restrictions, cannot run builds in this region" in error["message"]


class TestMetricsWithoutData:
    def threshold(self, metric: str) -> dict[str, Any]:
        return {"displayName": metric, "conditions": [{"conditionThreshold": {"filter": f'metric.type="{metric}"'}}]}

    def test_a_threshold_on_a_metric_without_data_is_refused(self, google: FreshGoogle):
        error = post(google, ALERTS, self.threshold("pubsub.googleapis.com/subscription/dead_letter_message_count"))
        assert (error["code"], error["status"]) == (404, "NOT_FOUND")
        assert "Cannot find metric(s) that match type" in error["message"]

    def test_a_metric_from_logs_is_known_a_while_after_it_was_made(self, google: FreshGoogle):
        metric = f"logging.googleapis.com/user/{PREFIX}-events"
        google.answer("POST", f"/logging/v2/projects/{PROJECT}/metrics", bodies.log_metric(SYSTEM, "events"))
        assert post(google, ALERTS, self.threshold(metric))
        google.project.pass_time(new_project.METRIC_DELAY)
        assert not post(google, ALERTS, self.threshold(metric))

    def test_a_query_is_refused_unless_its_metrics_are_not_validated(self, google: FreshGoogle):
        query = {"query": "sum(rate(run_googleapis_com:request_count[1m])) > 0"}
        policy = {"displayName": "a", "conditions": [{"conditionPrometheusQueryLanguage": query}]}
        assert post(google, ALERTS, policy)["message"] == refusals.NO_PROMQL_METRIC
        query["disableMetricValidation"] = True  # type: ignore[assignment]
        assert not post(google, ALERTS, policy)

    @pytest.mark.parametrize("name", SYSTEM["alerts"])
    def test_every_alert_of_the_inventory_is_accepted(self, google: FreshGoogle, name: str):
        assert not post(google, ALERTS, bodies.alert(SYSTEM, name))

    def test_the_service_level_objective_is_accepted_once_its_metrics_from_logs_are_known(self, google: FreshGoogle):
        path = f"/monitoring/v3/projects/{PROJECT}/services/{PREFIX}/serviceLevelObjectives?serviceLevelObjectiveId=s"
        assert post(google, path, bodies.slo(SYSTEM))
        for name in SYSTEM["log_metrics"]:
            google.answer("POST", f"/logging/v2/projects/{PROJECT}/metrics", bodies.log_metric(SYSTEM, name))
        google.project.pass_time(new_project.METRIC_DELAY)
        assert not post(google, path, bodies.slo(SYSTEM))


class TestWhatDeployShRepeats:
    """deploy.sh decides by the message whether to repeat a command."""

    passing, lasting = (
        re.compile(re.findall(rf"^{name}='(.*)'$", PROJECT_SH, re.MULTILINE)[0], re.IGNORECASE)
        for name in ("PASSING", "LASTING")
    )

    @pytest.mark.parametrize(
        "message",
        [
            refusals.API_OFF,
            refusals.UNKNOWN_ACCOUNT,
            refusals.BUILDER_LACKS,
            refusals.EVENTARC_LACKS,
            refusals.STORAGE_LACKS,
            refusals.RECEIVER_LACKS,
            refusals.TOPIC_LACKS,
            refusals.NO_METRIC,
        ],
    )
    def test_what_passes_with_time(self, message: str):
        assert self.passing.search(message)
        assert not self.lasting.search(message)

    @pytest.mark.parametrize(
        "message",
        [refusals.NO_BILLING, refusals.BILLING_DISABLED, refusals.OVER_QUOTA, refusals.BUILDS_RESTRICTED],
    )
    def test_not_what_someone_has_to_mend(self, message: str):
        assert self.lasting.search(message) or not self.passing.search(message)

    def test_for_longer_than_a_role_takes(self):
        (tries,) = re.findall(r"^TRIES=\$\{TRIES:-(\d+)\}", PROJECT_SH, re.MULTILINE)
        (seconds,) = re.findall(r"^WAIT_SECONDS=\$\{WAIT_SECONDS:-(\d+)\}", PROJECT_SH, re.MULTILINE)
        assert int(tries) * int(seconds) > 7 * 60


class TestTokens:
    def test_a_token_expires_after_an_hour_and_is_replaced_five_minutes_before(self, google: FreshGoogle, tmp_path):
        google.project.issue_tokens(tmp_path / "token")
        path = f"/cloudresourcemanager/v1/projects/{PROJECT}"
        first = (tmp_path / "token").read_text()
        google.project.pass_time(3290)
        assert (tmp_path / "token").read_text() == first
        assert google.answer("GET", path, {}, {"Authorization": f"Bearer {first}"})[0] == 200
        google.project.pass_time(10)
        assert (tmp_path / "token").read_text() != first
        assert google.answer("GET", path, {}, {"Authorization": f"Bearer {first}"})[0] == 200
        google.project.pass_time(300)
        status, answer = google.answer("GET", path, {}, {"Authorization": f"Bearer {first}"})
        assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")
        second = (tmp_path / "token").read_text()
        assert google.answer("GET", path, {}, {"Authorization": f"Bearer {second}"})[1]["projectNumber"] == NUMBER
