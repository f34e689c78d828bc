"""Google's official clients, connected to a pipeline and to nothing else.

Their endpoints are always given, so that an emulator variable of the shell redirects none of them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from event_inference.errors import UnreachableError
from event_inference.targets.local_stack import answers
from event_inference.targets.target import Target

if TYPE_CHECKING:
    import grpc
    from google.auth.credentials import Credentials
    from google.cloud.storage import Bucket, Client
    from google.cloud.workflows.executions_v1 import ExecutionsClient
    from google.cloud.workflows_v1 import WorkflowsClient
    from google.pubsub_v1 import PublisherClient, SubscriberClient

C = TypeVar("C")

POOL = 64  # connections to Cloud Storage that are kept, at least as many as concurrent requests
MAX_MESSAGE = 8 << 20  # bytes of a message to the pipeline
_REQUEST = re.compile(r"[A-Z]+ https?://\S+: ")


class Connection:
    """The clients of a target, each made when it is first used; safe to share between threads."""

    def __init__(self, target: Target, credentials: "Credentials | None" = None) -> None:
        self.target, self._credentials = target, credentials

    @cached_property
    def credentials(self) -> "Credentials":
        """The caller's, or else the user's; anonymous for a local stack."""
        if not self.target.is_cloud:
            from google.auth.credentials import AnonymousCredentials

            return AnonymousCredentials()
        if self._credentials is not None:
            return self._credentials
        from event_inference.access import credentials

        return credentials.find()

    @cached_property
    def storage(self) -> "Client":
        self._check_laptop(self.target.storage)
        from google.cloud import storage
        from requests.adapters import HTTPAdapter

        options = {"api_endpoint": self.target.storage}
        client = storage.Client(project=self.target.project, credentials=self.credentials, client_options=options)
        for scheme in ("https://", "http://"):
            client._http.mount(scheme, HTTPAdapter(pool_maxsize=POOL))  # no public way to size it
        return client

    @property
    def input(self) -> "Bucket":
        return self._bucket(self.target.input_bucket)

    @property
    def work(self) -> "Bucket":
        return self._bucket(self.target.work_bucket)

    @property
    def output(self) -> "Bucket":
        return self._bucket(self.target.output_bucket)

    @cached_property
    def publisher(self) -> "PublisherClient":
        # Not google.cloud.pubsub's: that one obeys PUBSUB_EMULATOR_HOST, whatever endpoint it is given.
        from google.pubsub_v1 import PublisherClient

        return self._client(PublisherClient, self.target.pubsub)

    @cached_property
    def subscriber(self) -> "SubscriberClient":
        from google.pubsub_v1 import SubscriberClient

        return self._client(SubscriberClient, self.target.pubsub)

    @cached_property
    def executions(self) -> "ExecutionsClient":
        from google.cloud.workflows.executions_v1 import ExecutionsClient

        return self._client(ExecutionsClient, self.target.executions)

    @cached_property
    def workflows(self) -> "WorkflowsClient":
        from google.cloud.workflows_v1 import WorkflowsClient

        return self._client(WorkflowsClient, self.target.workflows)

    def close(self) -> None:
        """Close the connections of the clients that were used."""
        if "storage" in self.__dict__:
            self.storage.close()
        for name in ("publisher", "subscriber", "executions", "workflows"):
            if name in self.__dict__:
                getattr(self, name).transport.close()

    def _bucket(self, name: str) -> "Bucket":
        bucket: Bucket = self.storage.bucket(name)
        return bucket

    def _client(self, kind: type[C], endpoint: str) -> C:
        self._check_laptop(endpoint)
        make: Any = kind
        if not endpoint.startswith("http://"):
            options = {"api_endpoint": endpoint.removeprefix("https://")}
            return cast(C, make(credentials=self.credentials, client_options=options))
        transport = make.get_transport_class("grpc")
        return cast(C, make(transport=transport(channel=self._plaintext(endpoint.removeprefix("http://")))))

    def _check_laptop(self, url: str) -> None:
        """Google's clients would try to connect for two minutes; a local stack answers soon, or is not there."""
        if not self.target.is_cloud and not answers(url.removeprefix("http://")):
            raise UnreachableError(f"The {self.target.description} does not answer. {_advice(self.target)}")

    def _plaintext(self, address: str) -> "grpc.Channel":
        """A channel on this machine; the credentials of a cloud go with every call."""
        import grpc

        if not self.target.is_cloud:
            return cast("grpc.Channel", grpc.insecure_channel(address))
        from google.auth.transport.grpc import AuthMetadataPlugin
        from google.auth.transport.requests import Request

        token = grpc.metadata_call_credentials(AuthMetadataPlugin(self.credentials, Request()))
        credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), token)
        return cast("grpc.Channel", grpc.secure_channel(address, credentials))


@contextmanager
def translated(target: Target) -> Iterator[None]:
    """Raises errors of Google's clients that the user can mend as UnreachableError."""
    from google.api_core.exceptions import (
        DeadlineExceeded,
        Forbidden,
        GoogleAPICallError,
        NotFound,
        RetryError,
        ServiceUnavailable,
        Unauthorized,
    )
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    try:
        yield
    except (NoConnection, Timeout, ServiceUnavailable, DeadlineExceeded, RetryError) as error:
        raise UnreachableError(f"The {target.description} does not answer. {_advice(target)}") from error
    except GoogleAuthError as error:
        raise UnreachableError(
            f"Google Cloud does not accept your credentials: {error}. Run: gcloud auth application-default login"
        ) from error
    except (Unauthorized, Forbidden) as error:
        raise UnreachableError(
            f"The {target.description} refuses you: {reason(error)}. einf doctor says which role is missing."
        ) from error
    except NotFound as error:
        raise UnreachableError(
            f"The {target.description} lacks something: {reason(error)}. einf doctor says what to do."
        ) from error
    except GoogleAPICallError as error:
        raise UnreachableError(f"The {target.description} answered with an error: {reason(error)}") from error


def _advice(target: Target) -> str:
    if target.is_cloud:
        return "Check the network, and run: einf doctor"
    return "Start it with: einf local up"


def reason(error: BaseException) -> str:
    """The first line of what a Google API says, without the request that it repeats."""
    lines = str(getattr(error, "message", "") or error).splitlines() or [type(error).__name__]
    return _REQUEST.sub("", lines[0]).rstrip(".")
