"""The preflight names everything that would stop a deployment, and what mends it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import inventory
from deploy.preflight import __main__ as preflight
from deploy.preflight import policies, quotas
from deploy.preflight.findings import Finding, Level, Project
from tests.deploy import shape
from tests.deploy.shape import PROJECT
from tests.deploy.stand_in.fresh import FreshGoogle

ROOT = Path(__file__).parents[2]
Examine = Callable[..., list[Finding]]


@pytest.fixture
def google() -> FreshGoogle:
    made = FreshGoogle()
    made.project.enable([*inventory.load({"project_id": PROJECT})["apis"], "cloudbilling.googleapis.com"])
    made.enabled |= set(made.project.apis)
    made.project.pass_time(60)
    return made


@pytest.fixture
def examine(google: FreshGoogle, tmp_path: Path) -> Examine:
    """Reads the stand-in as preflight.sh does, and returns the findings for variables."""

    def found(**variables: Any) -> list[Finding]:
        system = inventory.load({"project_id": PROJECT, **variables})
        requests = {name: (api, path, body) for name, api, path, body in preflight.paths(system)}
        requests["project"] = ("cloudresourcemanager", f"v1/projects/{PROJECT}", "")
        requests["billing"] = ("cloudbilling", f"v1/projects/{PROJECT}/billingInfo", "")
        requests["services"] = ("serviceusage", f"v1/projects/{PROJECT}/services", "")
        for name, (api, path, body) in requests.items():
            headers = {"X-Goog-User-Project": PROJECT}
            body = json.loads(body or "null")
            status, answer = google.answer("POST" if body else "GET", f"/{api}/{path}", body, headers)
            answer = answer["services"] if name == "services" and status == 200 else answer
            kind = "json" if status == 200 else "error"
            (tmp_path / f"{name}.{kind}").write_text(json.dumps(answer))
        return list(preflight.findings(Project(system, tmp_path)))

    return found


def blocked(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == Level.BLOCKED]


def only(findings: list[Finding]) -> Finding:
    (finding,) = blocked(findings)
    return finding


def test_a_new_project_with_gpus_stands_in_nobodys_way(examine: Examine):
    findings = examine()
    assert {finding.level for finding in findings} == {Level.OK}, "\n".join(map(str, findings))


def test_every_finding_is_one_line_with_what_mends_it(google: FreshGoogle, examine: Examine):
    google.project.billing, google.project.gpus = False, 0
    google.project.policies["iam.disableServiceAccountCreation"] = {"booleanPolicy": {"enforced": True}}
    google.project.lacking = {"storage.buckets.create"}
    findings = blocked(examine(max_instances=1, job_tasks=1))
    assert len(findings) == 5, "all of them: billing, permission, the GPUs of the service and of the job, the policy"
    for finding in findings:
        assert "\n" not in str(finding)
        assert "gcloud " in finding.mend or "https://" in finding.mend


class TestApisAndAccounts:
    def test_apis_that_are_off_are_named_in_one_command(self, google: FreshGoogle, examine: Examine):
        google.enabled -= {"run.googleapis.com", "eventarc.googleapis.com"}
        finding = only(examine())
        assert finding.text.startswith("2 of ")
        assert "gcloud services enable eventarc.googleapis.com run.googleapis.com --project=my-project" in finding.mend

    def test_billing(self, google: FreshGoogle, examine: Examine):
        google.project.billing = False
        assert "gcloud billing projects link my-project --billing-account=" in only(examine()).mend

    def test_missing_permissions_are_named(self, google: FreshGoogle, examine: Examine):
        google.project.lacking = {"run.services.create", "iam.serviceAccounts.actAs"}
        assert only(examine()).text == "you may not iam.serviceAccounts.actAs, run.services.create"

    def test_a_project_that_cannot_be_read_blocks(self, google: FreshGoogle, examine: Examine):
        del google.project.apis["cloudresourcemanager.googleapis.com"]
        findings = examine()
        assert "could not be read: cloudresourcemanager API has not been used" in blocked(findings)[0].text
        assert "gcloud services enable cloudresourcemanager.googleapis.com" in blocked(findings)[0].mend


class TestWhatCannotBeRead:
    def test_it_is_unknown_and_says_what_reads_it(self, google: FreshGoogle, examine: Examine):
        del google.project.apis["cloudquotas.googleapis.com"]
        findings = examine()
        unknown = [finding for finding in findings if finding.level == Level.UNKNOWN]
        assert not blocked(findings)
        assert len(unknown) == 4
        for finding in unknown:
            assert finding.mend == "gcloud services enable cloudquotas.googleapis.com --project=my-project"

    def test_a_denial_names_the_role_that_reads_it(self, tmp_path: Path):
        denial = {"error": {"message": "The caller does not have permission", "status": "PERMISSION_DENIED"}}
        project = Project(inventory.load({"project_id": PROJECT}), tmp_path)
        for name in policies.constraints(project.system):
            (tmp_path / f"{policies.document(name)}.error").write_text(json.dumps(denial))
        (finding,) = policies.findings(project)
        assert finding.level == Level.UNKNOWN
        assert finding.text.startswith("15 organisation policies (gcp.resourceLocations, ")
        assert finding.text.endswith("could not be read: The caller does not have permission")
        assert finding.mend == "ask for roles/orgpolicy.policyViewer"

    def test_gclouds_message_is_shortened_to_its_line(self, tmp_path: Path):
        (tmp_path / "billing.error").write_text(
            "ERROR: (gcloud.billing.projects.describe) PERMISSION_DENIED: no\n more\n"
        )
        assert Project({}, tmp_path).refusal("billing") == "PERMISSION_DENIED: no more"
        assert Project({}, tmp_path).refusal("project") == "it was not read"


class TestQuotas:
    @pytest.mark.parametrize(
        ("quota", "value", "mend"),
        [
            ("cpus", 4, "set MAX_INSTANCES=1"),
            ("gib", 16, "set MAX_INSTANCES=1"),
            ("gib", 8, "choose a smaller instance"),
        ],
    )
    def test_an_entry_that_exceeds_one_is_blocked(
        self, google: FreshGoogle, examine: Examine, quota: str, value: int, mend: str
    ):
        setattr(google.project, quota, value)
        findings = blocked(examine())
        assert any(finding.text.startswith("gpu-service takes up to ") and mend in finding.mend for finding in findings)
        assert all("AllocPerProjectRegion at https://console.cloud.google.com" in finding.mend for finding in findings)

    def test_a_function_is_lowered_in_the_inventory(self, google: FreshGoogle, examine: Examine):
        google.project.cpus = 1
        finding = next(finding for finding in blocked(examine()) if finding.text.startswith("on-upload"))
        assert finding.mend.startswith("lower max_instances to 1 in deploy/inventory.yaml")

    def test_tasks_of_the_job_wait_instead(self, google: FreshGoogle, examine: Examine):
        google.project.gpus = 10
        findings = examine(job_tasks=6)
        assert not blocked(findings)
        notes = [finding.text for finding in findings if finding.level == Level.NOTE]
        assert notes[0] == "gpu-job takes up to 24 CPUs in us-central1, and the quota is 20"

    def test_what_fits_one_by_one_but_not_together_is_a_note(self, google: FreshGoogle, examine: Examine):
        google.project.cpus = 10
        findings = examine()
        assert not blocked(findings)
        (note,) = [finding for finding in findings if finding.level == Level.NOTE]
        assert "all instances together take up to 18 CPUs in us-central1" in note.text

    @pytest.mark.parametrize(("granted", "blocks"), [(0, 2), (1, 2), (2, 0), (3, 0)])
    def test_the_grant_of_gpus_is_compared_with_service_and_job(
        self, google: FreshGoogle, examine: Examine, granted: int, blocks: int
    ):
        google.project.gpus = granted
        findings = blocked(examine())
        assert len(findings) == blocks
        for finding in findings:
            assert "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion" in finding.text
            assert "g.co/cloudrun/gpu-quota" in finding.mend
            assert ("set " in finding.mend) == (granted > 0)

    def test_zonal_redundancy_has_a_quota_of_its_own(self):
        system = inventory.load({"project_id": PROJECT})
        system["gpu_service"] = {**system["gpu_service"], "zonal_redundancy": True}
        assert quotas.gpu_quota(system) == "NvidiaL4GpuAllocPerProjectRegion"

    def test_the_quota_of_an_rtx_counts_thousandths(self, tmp_path: Path):
        system = inventory.load({"project_id": PROJECT, "gpu_type": "nvidia-rtx-pro-6000", "max_instances": 1})
        info = {"dimensionsInfos": [{"details": {"value": "1000"}, "applicableLocations": ["us-central1"]}]}
        (tmp_path / "quota-gpu.json").write_text(json.dumps(info))
        found = {finding.text: finding.level for finding in quotas.findings(Project(system, tmp_path))}
        assert found["gpu-service: 1 of 1 nvidia-rtx-pro-6000 in us-central1"] == Level.OK

    def test_every_gpu_region_is_compared(self, google: FreshGoogle, examine: Examine):
        google.project.gpus = 1
        regions = "us-central1,europe-west4"
        found = blocked(examine(gpu_regions=regions, max_instances=2, job_tasks=1))
        assert {finding.text.partition(" in ")[2].partition(",")[0] for finding in found} == set(regions.split(","))

    def test_a_region_without_the_gpu_is_blocked(self, examine: Examine):
        finding = next(iter(blocked(examine(gpu_regions="africa-south1"))))
        assert "not among the regions where Cloud Run is documented to offer nvidia-l4" in finding.text
        assert "GPU_REGIONS" in finding.mend

    def test_a_region_where_cloud_build_is_restricted_is_blocked(self, examine: Examine):
        finding = only(examine(region="europe-west4"))
        assert finding.text.startswith("Cloud Build is restricted in europe-west4 for this project")
        assert "set REGION to one of " in finding.mend

    def test_a_quota_that_lists_no_value_is_zero_and_a_negative_one_unlimited(self):
        def info(**details: str) -> dict[str, Any]:
            return {"dimensionsInfos": [{"details": details, "applicableLocations": ["us-central1"]}]}

        assert quotas.limit(info(), "us-central1") == 0
        assert quotas.limit(info(value="-1"), "us-central1") == -1
        assert quotas.limit(info(value="3"), "us-east4") is None
        dimension = {"dimensionsInfos": [{"dimensions": {"region": "us-east4"}, "details": {"value": "5"}}]}
        assert quotas.limit(dimension, "us-east4") == 5


def cases() -> Iterator[Any]:
    denied = {"listPolicy": {"allValues": "DENY"}}
    yield "gcp.resourceLocations", {"listPolicy": {"allowedValues": ["in:eu-locations"]}}, "in us-central1"
    yield "gcp.restrictServiceUsage", {"listPolicy": {"deniedValues": ["is:eventarc.googleapis.com"]}}, "eventarc"
    yield "gcp.restrictNonCmekServices", {"listPolicy": {"deniedValues": ["pubsub.googleapis.com"]}}, "pubsub"
    yield "iam.disableServiceAccountCreation", {"booleanPolicy": {"enforced": True}}, "forbids service accounts"
    yield "run.allowedIngress", {"listPolicy": {"allowedValues": ["internal"]}}, "ingress all"
    yield "run.allowedBinaryAuthorizationPolicies", {"listPolicy": {"allowedValues": ["default"]}}, "Binary"
    yield (
        "cloudfunctions.allowedIngressSettings",
        {"listPolicy": {"allowedValues": ["ALLOW_INTERNAL_ONLY"]}},
        "ALLOW_ALL",
    )
    yield "cloudfunctions.requireVPCConnector", {"booleanPolicy": {"enforced": True}}, "VPC connector"
    yield "cloudfunctions.restrictAllowedGenerations", {"listPolicy": {"allowedValues": ["1stGen"]}}, "2ndGen"
    yield "cloudbuild.allowedWorkerPools", {"listPolicy": {"allowedValues": ["under:organizations/1"]}}, "private pools"
    yield "storage.retentionPolicySeconds", {"listPolicy": {"allowedValues": ["3600"]}}, "retention policies"
    yield "storage.softDeletePolicySeconds", {"listPolicy": {"allowedValues": ["604800"]}}, "of 0"
    yield "gcp.restrictServiceUsage", denied, "allows no use of artifactregistry"


class TestPolicies:
    @pytest.mark.parametrize(("constraint", "policy", "text"), [pytest.param(*case, id=case[0]) for case in cases()])
    def test_one_that_forbids_part_of_the_deployment_blocks(
        self, google: FreshGoogle, examine: Examine, constraint: str, policy: dict[str, Any], text: str
    ):
        google.project.policies[constraint] = policy
        finding = only(examine())
        assert finding.text.startswith(constraint)
        assert text in finding.text
        assert "gcloud resource-manager org-policies" in finding.mend or "/iam-admin/orgpolicies/" in finding.mend

    def test_every_rule_has_a_case(self):
        names = {rule.constraint for rule in policies.rules(inventory.load({"project_id": PROJECT}))}
        assert names - {case[0] for case in cases()} == {"iam.allowedPolicyMemberDomains"}

    def test_domain_restricted_sharing_is_a_note(self, google: FreshGoogle, examine: Examine):
        google.project.policies["iam.allowedPolicyMemberDomains"] = {"listPolicy": {"allowedValues": ["is:C01"]}}
        findings = examine()
        assert not blocked(findings)
        assert any("log sink" in finding.text for finding in findings if finding.level == Level.NOTE)

    def test_what_the_deployment_satisfies_is_said(self, google: FreshGoogle, examine: Examine):
        for constraint in policies.SATISFIED:
            google.project.policies[constraint] = {"booleanPolicy": {"enforced": True}}
        texts = [str(finding) for finding in examine()]
        assert "ok       storage.publicAccessPrevention is enforced, and buckets prevent public access" in texts

    def test_settings_can_satisfy_one(self, google: FreshGoogle, examine: Examine):
        google.project.policies["run.allowedIngress"] = {"listPolicy": {"allowedValues": ["internal"]}}
        google.project.policies["cloudfunctions.requireVPCConnector"] = {"booleanPolicy": {"enforced": True}}
        connector = f"projects/{PROJECT}/locations/us-central1/connectors/c"
        assert not blocked(examine(ingress="internal", vpc_connector=connector))

    def test_a_companys_variables_satisfy_its_policies(self, google: FreshGoogle, examine: Examine):
        company = dict(shape.COMPANY)
        for constraint, policy in (
            ("run.allowedIngress", {"listPolicy": {"allowedValues": ["internal"]}}),
            ("cloudfunctions.requireVPCConnector", {"booleanPolicy": {"enforced": True}}),
            ("gcp.restrictNonCmekServices", {"listPolicy": {"allValues": "DENY"}}),
            ("cloudbuild.allowedWorkerPools", {"listPolicy": {"allowedValues": [company["build_worker_pool"]]}}),
        ):
            google.project.policies[constraint] = policy
        assert not blocked(examine(**company))
        del company["vpc_connector"]
        assert "requireVPCConnector" in only(examine(**company)).text, "functions cannot use the network itself"

    @pytest.mark.parametrize(
        ("entry", "region", "matches"),
        [
            ("us-central1", "us-central1", True),
            ("in:us-central1-locations", "us-central1", True),
            ("in:us-locations", "us-east4", True),
            ("in:europe-locations", "europe-west2", True),
            ("in:eu-locations", "europe-west2", False),
            ("in:eu-locations", "europe-west4", True),
            ("in:asia-locations", "us-central1", False),
            ("is:us-east4", "us-east4", True),
        ],
    )
    def test_groups_of_locations(self, entry: str, region: str, matches: bool):
        assert policies.allowed({"listPolicy": {"allowedValues": [entry]}}, region) == matches
        assert policies.allowed({"listPolicy": {"deniedValues": [entry]}}, region) != matches

    def test_a_policy_that_says_nothing_allows_everything(self):
        assert policies.allowed({}, "us-central1")
        assert policies.allowed({"listPolicy": {"allValues": "ALLOW"}}, "us-central1")


class TestTheCommand:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "deploy/preflight"), *arguments]
        return subprocess.run(command, env={**os.environ, "PROJECT_ID": PROJECT}, capture_output=True, text=True)

    def test_nothing_read_is_not_a_pass(self, tmp_path: Path):
        run = self.run(str(tmp_path), "quotas")
        assert run.returncode == 3
        assert "ok" not in run.stdout.split()
        assert self.run(str(tmp_path), "all").returncode == 1, "the project itself could not be read"

    def test_its_paths_are_rows(self):
        rows = [line.split("\x1f") for line in self.run("paths", "all").stdout.splitlines()]
        assert {len(row) for row in rows} == {4}
        assert {row[1] for row in rows} == {"cloudquotas", "cloudresourcemanager"}
        assert len(self.run("paths", "quotas").stdout.splitlines()) == 4

    def test_wrong_arguments_print_the_usage(self):
        assert self.run().returncode == 2
