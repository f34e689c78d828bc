"""The user's credentials for a cloud: Application Default Credentials, or else those of gcloud."""

import shutil
import subprocess
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from google.auth import default
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

from event_inference.errors import UnreachableError

if TYPE_CHECKING:
    from google.auth.transport import Request

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_LIFETIME = timedelta(minutes=5)  # of a token that gcloud may have kept for most of its hour
_GCLOUD_S = 60


def find() -> Credentials:
    """The credentials for Google's APIs.

    Raises:
        UnreachableError: there are none.
    """
    try:
        credentials, _ = default(scopes=_SCOPES)
    except DefaultCredentialsError as error:
        if shutil.which("gcloud") is None:
            raise UnreachableError(
                "There are no credentials for Google Cloud. Run gcloud auth application-default login, or set "
                "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account's key."
            ) from error
        return GcloudCredentials()  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise UnreachableError(f"The credentials for Google Cloud cannot be used: {error}") from error
    return credentials


class GcloudCredentials(Credentials):
    """The access token of `gcloud auth print-access-token`, fetched again before it expires."""

    def refresh(self, request: "Request") -> None:  # noqa: ARG002 - gcloud makes the request
        command = ["gcloud", "auth", "print-access-token", "--quiet"]
        try:
            finished = subprocess.run(command, capture_output=True, text=True, timeout=_GCLOUD_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefreshError(f"gcloud did not print an access token: {error}") from error
        if finished.returncode or not finished.stdout.strip():
            reason = (finished.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            raise RefreshError(f"gcloud has no access token ({reason}). Run: gcloud auth login")
        self.token = finished.stdout.strip()
        self.expiry = datetime.utcnow() + _LIFETIME
