"""Signed URLs: checks their form and expiry, but not their signature."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from emulator.storage.errors import ForbiddenError, InvalidError

_MAX_AGE = timedelta(days=7)
_V4 = {"X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders"}
_V2 = {"GoogleAccessId", "Expires", "Signature"}


def check_signature(parameters: Mapping[str, str], now: datetime) -> None:
    """Accept a request without a signature, or with one that is complete and not expired.

    Raises:
        InvalidError: a parameter is missing or malformed, or the URL has expired (code ExpiredToken).
    """
    if "X-Goog-Algorithm" in parameters or "X-Goog-Signature" in parameters:
        _require(parameters, _V4 | {"X-Goog-Signature"})
        _check_v4(parameters, now)
    elif "Signature" in parameters or "GoogleAccessId" in parameters:
        _require(parameters, _V2)
        expires = _seconds(parameters["Expires"])
        if now.timestamp() > expires:
            raise _expired(datetime.fromtimestamp(expires, UTC))


def _check_v4(parameters: Mapping[str, str], now: datetime) -> None:
    if parameters["X-Goog-Algorithm"] not in {"GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256"}:
        raise InvalidError("Invalid argument: X-Goog-Algorithm.")
    try:
        signed = datetime.strptime(parameters["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidError("Invalid argument: X-Goog-Date.") from error
    age = _seconds(parameters["X-Goog-Expires"])
    if not 0 < age <= _MAX_AGE.total_seconds():
        raise InvalidError("Invalid argument: X-Goog-Expires must be between 1 and 604800 seconds.")
    signature = parameters["X-Goog-Signature"]
    if not signature or set(signature.lower()) - set("0123456789abcdef"):
        raise _MismatchError
    if now > signed + timedelta(seconds=age):
        raise _expired(signed + timedelta(seconds=age))


def _require(parameters: Mapping[str, str], names: set[str]) -> None:
    missing = sorted(names - set(parameters))
    if missing:
        raise InvalidError(f"Missing signature parameter: {missing[0]}.", code="MissingSecurityElement")


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidError(f"Invalid expiry: {text!r}.")
    return int(text)


def _expired(moment: datetime) -> InvalidError:
    return InvalidError(
        f"The provided token has expired. Request signature expired at: {moment.isoformat()}", code="ExpiredToken"
    )


class _MismatchError(ForbiddenError):
    code = "SignatureDoesNotMatch"

    def __init__(self) -> None:
        super().__init__("The request signature we calculated does not match the signature you provided.")
