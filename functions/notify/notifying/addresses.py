"""Which network addresses a webhook may be sent to: none that lead into a private network, whatever name hides them."""

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

HTTPS = 443
Resolve = Callable[..., list[tuple[Any, ...]]]
"""socket.getaddrinfo, or what answers as it does."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
SPECIAL = tuple(  # besides those that every version of ipaddress knows
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # of protocols
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # of protocols, among them Teredo's tunnels
            "2002::/16",  # 6to4, which embeds an IPv4 address; so does NAT64, which is outside GLOBAL_UNICAST
            "3fff::/20",  # of documentation
        ),
    )
)


class RefusedError(Exception):
    """The URL may not be called; `message` says why, without the address."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL with the addresses to connect to, resolved once."""

    host: str
    addresses: tuple[str, ...]
    port: int
    path: str
    is_encrypted: bool


def destination(url: str, *, allow_loopback: bool, resolve: Resolve = socket.getaddrinfo) -> Destination:
    """Resolves a URL's host and checks every address that it has.

    Raises:
        RefusedError: one of them is not public, or the URL has another scheme or port than HTTPS.
        OSError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    host, is_encrypted = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (HTTPS if is_encrypted else 80)
    found = tuple(str(entry[4][0]) for entry in resolve(host, port, type=socket.SOCK_STREAM))
    if not found:
        raise OSError("The name has no address.")
    is_local = allow_loopback and all(map(_is_loopback, found))
    if not is_local:
        if not is_encrypted or port != HTTPS:
            raise RefusedError(f"Only HTTPS on port {HTTPS} is called.")
        if not all(map(is_public, found)):
            raise RefusedError("The host has an address that is not public.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(host, found, port, path, is_encrypted)


def is_public(address: str) -> bool:
    """Whether an address is that of one machine in the public internet, and not a tunnel to another."""
    parsed = _parsed(address)
    if parsed is None or not parsed.is_global or parsed.is_multicast:
        return False
    if parsed.version == 6 and parsed not in GLOBAL_UNICAST:
        return False
    return not any(parsed in network for network in SPECIAL if network.version == parsed.version)


def _is_loopback(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; an IPv4 address for one that is mapped into IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
