"""The unmodified gcloud CLI grants roles and takes them away."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from emulator.cli.guide import addresses, environment
from emulator.server import Emulator
from emulator.stack.model import Address
from tests.emulator.iam.stack import SUBSCRIPTION, TOPIC, email

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(not shutil.which("gcloud"), reason="the gcloud CLI is not installed"),
]
MEMBER = f"--member=serviceAccount:{email('nobody')}"
APIS = ("CLOUDRESOURCEMANAGER", "IAM")
OPENID = "iam.serviceAccounts.getOpenIdToken"


@pytest.mark.parametrize(
    ("resource", "role", "permission", "tried"),
    [
        ("storage buckets gs://other", "roles/storage.objectViewer", "storage.objects.list", "storage/v1/b/other/iam"),
        (f"pubsub topics {TOPIC}", "roles/pubsub.publisher", "pubsub.topics.publish", f"v1/{TOPIC}"),
        (
            f"pubsub subscriptions {SUBSCRIPTION}",
            "roles/pubsub.subscriber",
            "pubsub.subscriptions.consume",
            f"v1/{SUBSCRIPTION}",
        ),
        ("projects p", "roles/workflows.invoker", "workflows.executions.create", "v1/projects/p"),
        (
            f"iam service-accounts {email('runner')}",
            "roles/iam.serviceAccountOpenIdTokenCreator",
            OPENID,
            f"v1/projects/p/serviceAccounts/{email('runner')}",
        ),
    ],
)
def test_a_role_is_granted_and_taken_away(
    running: Emulator, tmp_path: Path, resource: str, role: str, permission: str, tried: str
) -> None:
    here = addresses(running.stack, tmp_path, Address(running.http, running.grpc), {}, running.accounts)
    overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"http://{running.http}/" for api in APIS}
    env = {**os.environ, **environment(here), **overrides}
    *group, name = resource.split()
    for verb, held in (("add", [permission]), ("remove", [])):
        command = ["gcloud", *group, f"{verb}-iam-policy-binding", name, MEMBER, f"--role={role}"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert permissions(f"http://{running.accounts['nobody'].http}/{tried}", permission) == held


def permissions(resource: str, permission: str) -> list[str]:
    """Those of the permissions that the caller at a resource's URL has, by testIamPermissions."""
    if "/storage/" in resource:
        answer = httpx.get(f"{resource}/testPermissions", params={"permissions": permission})
    else:
        answer = httpx.post(f"{resource}:testIamPermissions", json={"permissions": [permission]})
    held: list[str] = answer.raise_for_status().json().get("permissions", [])
    return held
