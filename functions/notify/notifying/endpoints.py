"""The endpoints of a deployment, from its file: who is told, of which documents, and by which secrets."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline import kinds, logs
from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from notifying.notification import Notification

KINDS = (*kinds.KINDS, "labels")
STATUSES = ("succeeded", "partial", "unsuccessful", "rejected", "failed")
FIELDS = {"name", "url", "topic", "secrets", "status", "kind", "prefix"}
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
TOPIC = re.compile(r"projects/[a-z][a-z0-9.:-]+/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
MAX_ENDPOINTS = 20
MAX_SECRETS = 4
SECRET_BYTES = range(24, 65)  # of the key, as Standard Webhooks says
REFRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A receiver: a URL with the secrets that sign for it, or a Pub/Sub topic; empty filters let everything through."""

    name: str
    url: str = ""
    topic: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    statuses: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    prefix: str = ""

    def wants(self, notification: "Notification") -> bool:
        return (
            (not self.statuses or notification.status in self.statuses)
            and (not self.kinds or notification.kind in self.kinds)
            and notification.name.startswith(self.prefix)
        )


class Endpoints:
    """The endpoints by name, read again when the file is older than REFRESH_SECONDS here.

    If a newer version cannot be read, the last good one stays in force.
    """

    def __init__(self, file: Path, *, allow_http: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._allow_http, self._clock = file, allow_http, clock
        self._lock = threading.Lock()
        self._current: dict[str, Endpoint] | None = None
        self._text = b""
        self._read_at = 0.0

    def current(self) -> Mapping[str, Endpoint]:
        """Raises ConfigurationError if no version of the file could be read."""
        with self._lock:
            now = self._clock()
            if self._current is None or now - self._read_at >= REFRESH_SECONDS:
                self._current = self._refreshed(self._current)
                self._read_at = now
            return self._current

    def _refreshed(self, earlier: dict[str, Endpoint] | None) -> dict[str, Endpoint]:
        try:
            text = self._file.read_bytes()
            if earlier is not None and text == self._text:
                return earlier
            endpoints = parse(text, allow_http=self._allow_http)
        except (OSError, ConfigurationError) as error:
            reason = error.message if isinstance(error, ConfigurationError) else error.strerror
            if earlier is None:
                raise ConfigurationError(f"The endpoints in {self._file} cannot be read: {reason}") from error
            logs.exception("endpoints unreadable", error, reason="the last good version stays in force")
            return earlier
        self._text = text
        return endpoints


def parse(text: bytes, *, allow_http: bool = False) -> dict[str, Endpoint]:
    """Reads `{endpoints: [{name, url, secrets, status?, kind?, prefix?} | {name, topic, …}]}` in YAML or JSON.

    Raises:
        ConfigurationError: it says which endpoint is wrong and why, and never quotes a secret or a URL.
    """
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of a date such as 2026-02-31, too
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"The file is not YAML{where}.") from None  # the error would quote the line
    entries = content.get("endpoints") if isinstance(content, dict) and content.keys() == {"endpoints"} else None
    if not isinstance(entries, list) or len(entries) > MAX_ENDPOINTS:
        raise ConfigurationError(f"The file must hold endpoints alone, a list of at most {MAX_ENDPOINTS}.")
    endpoints: dict[str, Endpoint] = {}
    for number, entry in enumerate(entries, 1):
        endpoint = _endpoint(number, entry, allow_http)
        if endpoint.name in endpoints:
            raise ConfigurationError(f"Two endpoints have the name {endpoint.name}.")
        endpoints[endpoint.name] = endpoint
    return endpoints


def _endpoint(number: int, entry: Any, allow_http: bool) -> Endpoint:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigurationError(f"Endpoint {number} needs a name of lower-case letters, digits and hyphens.")
    if unknown := sorted(map(str, entry.keys() - FIELDS)):
        raise ConfigurationError(f"The endpoint {name} has unknown fields: {', '.join(unknown)}.")
    url, topic, prefix = (_text(name, entry, key) for key in ("url", "topic", "prefix"))
    if bool(url) == bool(topic):
        raise ConfigurationError(f"The endpoint {name} needs either a url or a topic.")
    if topic and not TOPIC.fullmatch(topic):
        raise ConfigurationError(f"The topic of {name} must be a resource name, projects/P/topics/T.")
    return Endpoint(
        name=name,
        url=_checked_url(name, url, allow_http) if url else "",
        topic=topic,
        secrets=_secrets(name, entry.get("secrets"), is_webhook=bool(url)),
        statuses=_choices(name, entry, "status", STATUSES),
        kinds=_choices(name, entry, "kind", KINDS),
        prefix=prefix,
    )


def _text(name: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key) or ""
    if not isinstance(value, str):
        raise ConfigurationError(f"The {key} of {name} must be a text.")
    return value


def _choices(name: str, entry: Mapping[str, Any], key: str, known: tuple[str, ...]) -> frozenset[str]:
    """One text or a list of them, all known."""
    value = entry.get(key) or []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise ConfigurationError(f"The {key} of {name} must be a text, or a list of texts.")
    if wrong := sorted({*values} - {*known}):
        raise ConfigurationError(f"The {key} of {name} cannot be {', '.join(wrong)}; there are {', '.join(known)}.")
    return frozenset(values)


def _checked_url(name: str, url: str, allow_http: bool) -> str:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ConfigurationError(f"The url of {name} must be ASCII without spaces; encode other characters.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"The url of {name} cannot be read.") from None
    if parts.scheme not in (("https", "http") if allow_http else ("https",)) or not host:
        raise ConfigurationError(f"The url of {name} must begin with https:// and a host.")
    if "@" in parts.netloc or parts.fragment:
        raise ConfigurationError(f"The url of {name} may have neither credentials nor a fragment.")
    return url


def _secrets(name: str, value: Any, *, is_webhook: bool) -> tuple[str, ...]:
    secrets = value if isinstance(value, list) else [] if value is None else [value]
    if not is_webhook:
        if secrets:
            raise ConfigurationError(f"The endpoint {name} is a topic, which needs no secrets.")
        return ()
    if not 1 <= len(secrets) <= MAX_SECRETS or not all(map(_is_secret, secrets)):
        raise ConfigurationError(
            f"{name} needs 1 to {MAX_SECRETS} secrets, each whsec_ and the base64 of {SECRET_BYTES[0]} to "
            f"{SECRET_BYTES[-1]} random bytes."
        )
    return tuple(secrets)


def _is_secret(value: Any) -> bool:
    import base64

    if not isinstance(value, str) or not value.startswith("whsec_"):
        return False
    text = value.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return len(key) in SECRET_BYTES
