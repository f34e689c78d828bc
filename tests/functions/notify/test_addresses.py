"""Addresses that webhooks are never sent to, whatever name or notation hides them."""

import socket
from typing import Any

import pytest

from notifying.addresses import RefusedError, destination, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # carriers' NAT
    "169.254.169.254",  # the metadata server
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # compatible with IPv4, deprecated
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",  # translated
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b:1::a9fe:a9fe",
    "100::1",
    "2001:0:7f00:1::",  # Teredo
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "2002:7f00:1::",  # 6to4
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd20:ce::254",  # the metadata server
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
]
NOTATIONS = [  # of loopback and of the metadata server, as the C library reads them
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "2852039166",
    "0xa9fea9fe",
    "[::1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "localhost",
]


def resolving(*addresses: str) -> Any:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(RefusedError):
        destination("https://hooks.example.com/", allow_loopback=False, resolve=resolving(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_is_allowed(address: str) -> None:
    target = destination("https://hooks.example.com/a?b=c", allow_loopback=False, resolve=resolving(address))
    assert (target.addresses, target.port, target.path) == ((address,), 443, "/a?b=c")


@pytest.mark.parametrize("host", NOTATIONS)
def test_every_notation_of_an_address_is_resolved_before_it_is_checked(host: str) -> None:
    with pytest.raises(RefusedError):
        destination(f"https://{host}/", allow_loopback=False)


def test_one_private_address_among_public_ones_is_enough() -> None:
    resolve = resolving("8.8.8.8", "10.0.0.1")
    with pytest.raises(RefusedError):
        destination("https://hooks.example.com/", allow_loopback=False, resolve=resolve)


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://hooks.example.com:8443/"])
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_a_public_host_is_called_by_https_on_its_port_alone(url: str, allow_loopback: bool) -> None:
    with pytest.raises(RefusedError):
        destination(url, allow_loopback=allow_loopback, resolve=resolving("8.8.8.8"))


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "fd20:ce::254"])
def test_the_permission_for_loopback_opens_no_other_network(address: str) -> None:
    for addresses in ((address,), ("127.0.0.1", address)):
        with pytest.raises(RefusedError):
            destination("https://hooks.example.com/", allow_loopback=True, resolve=resolving(*addresses))


def test_loopback_is_called_on_any_port_where_it_is_allowed() -> None:
    target = destination("http://localhost:9100/hook", allow_loopback=True, resolve=resolving("127.0.0.1"))
    assert (target.port, target.is_encrypted) == (9100, False)


def test_a_name_without_an_address_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no address"):
        destination("https://hooks.example.com/", allow_loopback=False, resolve=resolving())
