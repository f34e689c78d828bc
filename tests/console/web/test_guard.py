"""Other web pages reach nothing, and no page of the console may run what it did not serve."""

import pytest

from tests.console.conftest import PORT, Opened

PAGES = ["/", "/problems", "/batches", "/events", "/review", "/models", "/cost", "/nope", "/static/console.js"]


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_has_the_policy(console: Opened, page: str) -> None:
    headers = console.get(page).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in headers["content-security-policy"]
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_rebound_name_is_refused_for_reads_too(console: Opened, host: str) -> None:
    for page in ("/", "/inputs.csv", "/static/console.js"):
        assert console.get(page, host=host).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"},
                                     {"sec-fetch-site": "same-site"}])  # fmt: skip
def test_another_sites_requests_are_refused(console: Opened, headers: dict[str, str]) -> None:
    assert console.get("/", **headers).status_code == 403
    answer = console.pages.post(
        "/problems/sweep", data={"name": ""}, headers={**headers, "x-console-token": console.token}
    )
    assert answer.status_code == 403
    assert console.laptop.orders() == []


@pytest.mark.parametrize("token", [{}, {"x-console-token": ""}, {"x-console-token": "guess"}])
@pytest.mark.parametrize("path", ["/problems/sweep", "/problems/replay/confirmed", "/review/label", "/input/again"])
def test_a_change_needs_the_token(console: Opened, path: str, token: dict[str, str]) -> None:
    assert console.pages.post(path, data={"name": "a"}, headers=token).status_code == 403
    assert console.laptop.orders() == []


def test_an_upload_needs_the_token(console: Opened) -> None:
    assert console.pages.put("/upload?name=a.txt", content=b"x").status_code == 403
    assert list(console.laptop.client.connection.input.list_blobs()) == []
