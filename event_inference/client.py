"""The client: everything that a reader can do, and what changes a pipeline: inputs and orders."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_inference import names, undelivered
from event_inference.access.clients import translated
from event_inference.errors import CloudConfirmationError, InputError
from event_inference.inputs import orders, uploads
from event_inference.inputs.orders import Order, Replay
from event_inference.inputs.parameters import Value
from event_inference.inputs.parameters import metadata as _metadata
from event_inference.inputs.uploads import Upload
from event_inference.outcomes import reading
from event_inference.outcomes.handle import Handle
from event_inference.reader import Reader
from event_inference.targets import Request, Target, resolve
from event_inference.undelivered import Undelivered

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

Source = str | os.PathLike[str]


class Client(Reader):
    """A pipeline on the laptop or in a cloud; a context manager, safe to share between threads.

    Without arguments it finds the pipeline as the command `einf` does: the environment, the nearest running local
    stack, the current context of the configuration, gcloud's project (docs/cli.md). A cloud that it found in a
    configuration is read, but changed only with `yes`.

    Args:
        local: folder of a local stack.
        context: name of a context in the configuration.
        project, region, service_prefix: a deployment in a cloud.
        target: the pipeline itself, in place of all these.
        credentials: for a cloud, in place of Application Default Credentials or gcloud's.
        yes: whether changes of a cloud are confirmed.

    Raises:
        TargetError: no pipeline was found, or the options contradict each other.
        UnreachableError: the local stack that was named is not running.
    """

    def __init__(
        self,
        *,
        local: str | os.PathLike[str] | None = None,
        context: str | None = None,
        project: str | None = None,
        region: str | None = None,
        service_prefix: str | None = None,
        target: Target | None = None,
        credentials: "Credentials | None" = None,
        yes: bool = False,
    ) -> None:
        request = Request(
            local=None if local is None else os.fspath(local),
            context=context,
            project=project,
            region=region,
            service_prefix=service_prefix,
        )
        super().__init__(target or resolve(request), credentials)
        self._may_change = not self.target.is_cloud or self.target.explicit or yes

    def submit(
        self,
        source: Source | bytes,
        *,
        model: str | None = None,
        version: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        metadata: Mapping[str, str] | None = None,
        name: str | None = None,
        content_type: str | None = None,
        again: bool = False,
    ) -> Handle:
        """Send one file, or bytes.

        What the input bucket holds already, with the same content and metadata, is not sent again; the handle is
        then of the earlier upload.

        Args:
            source: a file, or the content itself.
            model, version: the served model; by default that of the input's kind.
            parameters: by name (docs/messages.md).
            metadata: custom metadata of your own.
            name: of the object; by default the file's name, or one derived from the bytes.
            content_type: media type; by default what the name's ending says.
            again: send it in any case.

        Raises:
            InputError: the file cannot be read, or the name or a parameter is not possible.
            CloudConfirmationError: the cloud was not named, nor confirmed.
            UnreachableError: the pipeline does not answer, or refuses.
        """
        about = _metadata(parameters, model=model, version=version, own=metadata)
        if isinstance(source, bytes):
            name, content = uploads.of_bytes(source, name)
            upload = uploads.upload(name, content, about, content_type)
        else:
            uploads.check_is_local(source)
            path = Path(source)
            if not path.is_file():
                raise InputError(f"{path} is not a file. For a folder, use submit_many.")
            upload = uploads.upload(name or path.name, path, about, content_type)
        self.confirm_change()
        return self._send(upload, again=again)

    def submit_many(
        self,
        sources: Iterable[Source],
        *,
        to: str = "",
        model: str | None = None,
        version: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        metadata: Mapping[str, str] | None = None,
        concurrency: int = 16,
        again: bool = False,
        progress: Callable[[Handle], None] = lambda _: None,
    ) -> Generator[Handle, None, None]:
        """Send files and whole folders; yields a handle for each input as it is sent.

        A folder keeps its own name in the bucket; hidden files are left out, and sidecars (`NAME.parameters.json`)
        are sent before their files. Memory does not grow with the number of files. Called again after an
        interruption, it sends only what is missing.

        Args:
            to: folder in the bucket.
            concurrency: uploads at the same time.
            progress: called with each handle, in the caller's thread.

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`; uploads that run are finished first.
        """
        if concurrency < 1:
            raise InputError(f"concurrency must be at least 1, not {concurrency}.")
        about = _metadata(parameters, model=model, version=version, own=metadata)
        self.confirm_change()
        named = (uploads.upload(name, path, about) for name, path in uploads.of_paths(sources, to))

        def sent() -> Generator[Handle, None, None]:
            send = reading.concurrently(
                lambda upload: self._send(upload, again=again), named, concurrency=concurrency, ordered=False
            )
            for handle in send:
                progress(handle)
                if not handle.name.endswith(uploads.SIDECAR):
                    yield handle

        return sent()

    def publish(self, instances: Iterable[Mapping[str, Any]], **fields: Any) -> Handle:
        """Send a few texts or images as one message, without an upload.

        Args:
            instances: `{"text": …, "text_pair"?}` or `{"image": {"b64": …}}`, up to 128, all of one kind.
            fields: `model`, `version`, `parameters` (docs/messages.md).

        Raises:
            InputError: they are longer than a message may be.
            CloudConfirmationError, UnreachableError: as `submit`.
        """
        order = self.order({"instances": [dict(instance) for instance in instances], **fields})
        topic = self.target.topic
        document = f"messages/{topic}/id-{order.message_id}"
        return Handle(self, f"{topic}/{order.message_id}", 0, names.job_of_message(topic, order.message_id), document)

    def replay(self, criteria: Replay | None = None, **fields: Any) -> Order:
        """Run failed documents again, with the same model and parameters; the first 1,000 without criteria.

        Args:
            fields: the fields of `Replay`: `prefix`, `code`, `since`, `until`, `limit`, `partial`.

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`.
        """
        return self.order(orders.replay(criteria or Replay(**fields)))

    def sweep(self, *, prefix: str = "", limit: int | None = None) -> Order:
        """Start inputs that have no document: their event was lost, or their execution ended without one.

        Args:
            prefix: of the object's name.
            limit: jobs to start, all by default.

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`.
        """
        return self.order(orders.sweep(prefix=prefix, limit=limit))

    def collect(self, *, limit: int | None = None) -> Order:
        """Start the inputs that have waited long enough, and take in the uploads whose notifications wait.

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`.
        """
        return self.order(orders.collect(limit=limit))

    def send_again(self, notification: Undelivered) -> Order:
        """Have a notification sent again that an endpoint did not take; it keeps its id.

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`.
        """
        self.confirm_change()
        with translated(self.target):
            return undelivered.send_again(self.connection, notification)

    def order(self, content: Mapping[str, Any]) -> Order:
        """Publish a message to the pipeline (docs/messages.md).

        Raises:
            InputError, CloudConfirmationError, UnreachableError: as `submit`.
        """
        self.confirm_change()
        with translated(self.target):
            return orders.publish(self.connection, content)

    def _send(self, upload: Upload, *, again: bool) -> Handle:
        with translated(self.target):
            return self._handle(uploads.send(self.connection.input, upload, again=again))

    def confirm_change(self) -> None:
        """Called before every change.

        Raises:
            CloudConfirmationError: the cloud was not named, nor confirmed.
        """
        if not self._may_change:
            raise CloudConfirmationError(
                f"This would change the {self.target.description}, which was not named. Name it, as in "
                f"Client(project={self.target.project!r}), or confirm with Client(yes=True)."
            )
