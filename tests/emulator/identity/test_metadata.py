"""The metadata server as google-auth uses it, with tokens verified by the published keys."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from emulator.identity.token_sources import TokenRequest, from_metadata_server
from emulator.server import Emulator
from emulator.stack.loader import load
from tests.emulator.conftest import Background

STACK = "project: p\nservices: {hook: {command: [none]}}\n"
URL = "http://127.0.0.1:9020"
FETCH = """
import sys
from google.auth.transport.requests import Request
from google.oauth2 import id_token
print(id_token.fetch_id_token(Request(), sys.argv[1]))
"""


@pytest.fixture
def http(background: Background, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "stack.yaml").write_text(STACK)
    emulator = Emulator(load(tmp_path / "stack.yaml"), services={"hook": URL})
    background.run(emulator.open())
    background.run(emulator.resume())
    yield emulator.http
    background.run(emulator.close())


def get(http: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"http://{http}{path}", headers=headers or {"Metadata-Flavor": "Google"})


def claims(http: str, token: str) -> dict[str, object]:
    certificates = f"http://{http}/oauth2/v1/certs"
    verified: dict[str, object] = id_token.verify_token(token, Request(), audience=URL, certs_url=certificates)
    return verified


def test_google_auth_fetches_a_token_of_the_developer(http: str) -> None:
    environment = {"GCE_METADATA_HOST": http, "GCE_METADATA_IP": http}
    left = {name: value for name, value in os.environ.items() if name != "GOOGLE_APPLICATION_CREDENTIALS"}
    command = [sys.executable, "-c", FETCH, URL]
    fetched = subprocess.run(command, env=left | environment, capture_output=True, text=True, check=True)
    identity = claims(http, fetched.stdout.strip())
    assert (identity["email"], identity["aud"]) == ("developer@p.iam.gserviceaccount.com", URL)


def test_google_auth_gets_access_tokens_as_on_a_machine_of_google_cloud(http: str) -> None:
    program = (
        "import google.auth, google.auth.transport.requests as requests\n"
        "credentials, project = google.auth.default()\n"
        "credentials.refresh(requests.Request())\n"
        "print(project, credentials.service_account_email, credentials.token.count('.'), credentials.valid)"
    )
    left = {name: value for name, value in os.environ.items() if name != "GOOGLE_APPLICATION_CREDENTIALS"}
    environment = left | {"GCE_METADATA_HOST": http, "GCE_METADATA_IP": http, "CLOUDSDK_CONFIG": "/nonexistent"}
    fetched = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert fetched.stdout.split() == ["p", "developer@p.iam.gserviceaccount.com", "2", "True"]


def test_tokens_are_issued_for_every_account_of_the_stack(http: str) -> None:
    path = "/computeMetadata/v1/instance/service-accounts/hook/identity"
    assert claims(http, get(http, f"{path}?audience={URL}").text)["email"] == "hook@p.iam.gserviceaccount.com"


def test_workflows_run_from_the_command_line_get_their_tokens_there(http: str) -> None:
    wanted = TokenRequest("OIDC", URL, (), "workflow@p.iam.gserviceaccount.com")
    mint = from_metadata_server(http)
    with pytest.raises(RuntimeError, match="no service account workflow@"):
        asyncio.run(mint(wanted))
    token = asyncio.run(mint(replace(wanted, service_account="hook@p.iam.gserviceaccount.com")))
    assert claims(http, token)["email"] == "hook@p.iam.gserviceaccount.com"


def test_values_of_the_machine_and_the_project(http: str) -> None:
    def value(path: str) -> str:
        answer = get(http, f"/computeMetadata/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.text

    assert value("project/numeric-project-id") == "0"
    assert value("instance/region") == "projects/0/regions/us-central1"
    assert value("instance/zone") == "projects/0/zones/us-central1-a"
    assert value("instance/service-accounts/default/scopes") == "https://www.googleapis.com/auth/cloud-platform\n"
    assert value("instance/service-accounts/hook/email") == "hook@p.iam.gserviceaccount.com"
    assert value("instance/service-accounts/").splitlines() == ["default/", "developer@p.iam.gserviceaccount.com/"]
    assert value("").splitlines() == ["instance/", "project/", "universe/"]
    machine = httpx.get(
        f"http://{http}/computeMetadata/v1/?recursive=true", headers={"Metadata-Flavor": "Google"}
    ).json()
    assert machine["project"] == {"attributes": {}, "numericProjectId": "0", "projectId": "p"}
    assert machine["instance"]["serviceAccounts"]["default"]["email"] == "developer@p.iam.gserviceaccount.com"
    token = get(http, "/computeMetadata/v1/instance/service-accounts/hook/token?scopes=a,b").json()
    assert (token["token_type"], 0 < token["expires_in"] <= 600) == ("Bearer", True)


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("instance/service-accounts/default/identity", {}, 400),
        ("instance/service-accounts/default/identity?audience=", {}, 400),
        ("instance/service-accounts/nobody/identity?audience=a", {}, 404),
        ("instance/service-accounts/default/identity?audience=a", {"Metadata-Flavor": "other"}, 403),
        ("project/project-id", {"Accept": "*/*"}, 403),
        ("project/project-id", {}, 200),
        ("project", {}, 301),
        ("project/", {}, 200),
        ("project/none", {}, 404),
        ("instance/service-accounts/nobody/token", {}, 404),
        ("instance/service-accounts/default/token", {"Accept": "*/*"}, 403),
        ("instance/service-accounts/default/email", {}, 200),
    ],
)
def test_responses_are_those_of_google_cloud(http: str, path: str, headers: dict[str, str], expected: int) -> None:
    answer = get(http, f"/computeMetadata/v1/{path}", **headers)
    assert (answer.status_code, answer.headers["Metadata-Flavor"]) == (expected, "Google")
