"""Who a caller is: by port, by access token, and what a service can learn about others."""

import asyncio
import time

import httpx
import pytest

from emulator.iam.authority import Authority
from emulator.iam.policies import Policies
from emulator.identity.callers import Callers
from emulator.identity.token_sources import TokenRequest
from emulator.identity.tokens import TokenIssuer
from emulator.server import Emulator
from tests.emulator.iam.stack import email


def metadata(running: Emulator, account: str, port: str, kind: str = "token", **query: str) -> httpx.Response:
    url = f"http://{port}/computeMetadata/v1/instance/service-accounts/{account}/{kind}"
    return httpx.get(url, params=query, headers={"Metadata-Flavor": "Google"})


def read(port: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"http://{port}/storage/v1/b/files/o/kept", headers=headers).status_code


def test_an_access_token_decides_at_the_developers_port(running: Emulator) -> None:
    tokens = {
        account: metadata(running, account, running.http).json()["access_token"]
        for account in ("viewer", "nobody", "default")
    }
    statuses = {account: read(running.http, token) for account, token in tokens.items()}
    assert statuses == {"viewer": 200, "nobody": 403, "default": 200}
    assert read(running.http, "local") == 200, "gcloud's token, which is none of the emulator's"


def test_no_token_makes_a_service_someone_else(running: Emulator) -> None:
    token = metadata(running, "viewer", running.http).json()["access_token"]
    assert read(running.accounts["nobody"].http, token) == 403


def test_an_expired_access_token_makes_nobody_the_developer(running: Emulator) -> None:
    now = [time.time()]
    issuer = running.workflows.tokens
    authority = Authority(Policies("p"))
    callers = Callers(authority, issuer, email("developer"), {1: ""}, now=lambda: now[0])
    request = TokenRequest("OAuth2", None, ("scope",), email("viewer"))
    headers = [(b"authorization", b"Bearer " + asyncio.run(issuer.mint(request)).encode())]
    assert callers.at(2, headers) is authority.account(email("viewer"))
    now[0] += 7200
    assert callers.at(2, headers) is authority.account("")
    expired = TokenIssuer(now=lambda: time.time() - 7200)
    old = Callers(authority, expired, email("developer"), {1: ""})
    headers = [(b"authorization", b"Bearer " + asyncio.run(expired.mint(request)).encode())]
    assert old.at(2, headers) is authority.account("")
    assert Callers(authority, issuer, "", {}).at(2, headers) is None, "a token of someone else's"


def test_an_identity_token_is_no_access_metadata(running: Emulator) -> None:
    token = metadata(running, "nobody", running.http, "identity", audience="x").text
    assert read(running.http, token) == 200, "so the caller is the developer"


def test_a_service_gets_tokens_of_its_own_account_alone(running: Emulator) -> None:
    port = running.accounts["viewer"].http
    assert metadata(running, "default", port, "email").text == email("viewer")
    assert metadata(running, "viewer", port, "email").status_code == 200
    assert metadata(running, "user", port).status_code == 404
    assert metadata(running, "developer", port).status_code == 404


def test_ports_of_accounts_answer_only_programs_of_this_machine(running: Emulator) -> None:
    url, port = f"http://{running.accounts['user'].http}/storage/v1/b/files/o/kept", running.http.split(":")[1]
    assert httpx.get(url).status_code == 200
    for headers in ({"Host": "example.com"}, {"Host": f"127.0.0.1:{port}"}, {"Origin": f"http://{running.http}"}):
        assert httpx.get(url, headers=headers).status_code == 403


def test_links_in_events_do_not_lead_to_the_developers_port(running: Emulator) -> None:
    base = running.storage.base_url
    assert running.http not in base
    assert httpx.get(f"{base}/storage/v1/b/files/o/kept").status_code == 401


@pytest.mark.parametrize(
    ("service", "caller", "admitted"),
    [("viewer", "runner", True), ("viewer", "user", False), ("viewer", "developer", True), ("open", "user", True)],
)
def test_services_admit_whom_their_policy_admits(running: Emulator, service: str, caller: str, admitted: bool) -> None:
    (described,) = (each for each in running.stack.services if each.name == service)
    gate = running.gate(described, "http://service")
    token = metadata(running, caller, running.http, "identity", audience="http://service").text
    refused = gate.refusal([f"Bearer {token}".encode()])
    assert (refused is None) == admitted
    assert (gate.refusal([]) is None) == (service == "open")
    if refused:
        assert refused.reason == f"{email(caller)} may not invoke this service: it lacks run.routes.invoke"


def test_processes_get_their_own_addresses_and_none_of_the_developers(running: Emulator) -> None:
    values = running.placeholders("viewer")
    assert (values["http"], values["grpc"]) == (running.accounts["viewer"].http, running.accounts["viewer"].grpc)
    assert values["user.http"] == running.accounts["user"].http
    addresses = [address for account in running.accounts.values() for address in (account.http, account.grpc)]
    assert len(set(addresses)) == len(addresses)
    assert not {running.http, running.grpc} & set(addresses)
