"""Which requests a port of the emulator answers, by their headers."""

import pytest

from emulator.loopback import refusal

PORT = 9010


@pytest.mark.parametrize(
    "host", ["localhost:9010", "127.0.0.1:9010", "[::1]:9010", "LOCALHOST:9010", "us-central1-127.0.0.1:9010"]
)
def test_programs_of_this_machine_are_answered(host: str) -> None:
    assert refusal([(b"host", host.encode())], PORT) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:9010",
        "evil.localhost:9010",
        "us-central1-localhost:9010",
        "evil-127.0.0.1:9010",
        "us-central1-127.0.0.1.evil.example:9010",
        "localhost.evil.example:9010",
        "127.0.0.1.evil.example:9010",
        "127.0.0.1:9011",
        "127.0.0.1",
        "127.0.0.2:9010",
        "0.0.0.0:9010",
        "user@127.0.0.1:9010",
        "127.0.0.1:9010:80",
        "127.0.0.1:",
        "",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    assert refusal([(b"host", host.encode())], PORT)


def test_a_request_needs_exactly_one_host() -> None:
    host = (b"host", b"localhost:9010")
    assert refusal([], PORT)
    assert refusal([host, host], PORT)


def test_the_default_port_may_be_left_out() -> None:
    assert refusal([(b"host", b"localhost")], 80) is None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9011", "https://127.0.0.1:9010", "http://localhost:9010"],
)
def test_another_origin_is_refused(origin: str) -> None:
    assert refusal([(b"host", b"127.0.0.1:9010"), (b"origin", origin.encode())], PORT)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "anything"])
def test_another_site_is_refused(site: str) -> None:
    assert refusal([(b"host", b"127.0.0.1:9010"), (b"sec-fetch-site", site.encode())], PORT)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_pages_of_the_emulator_and_typed_addresses_are_answered(site: str) -> None:
    headers = [(b"host", b"127.0.0.1:9010"), (b"origin", b"http://127.0.0.1:9010"), (b"sec-fetch-site", site.encode())]
    assert refusal(headers, PORT) is None
