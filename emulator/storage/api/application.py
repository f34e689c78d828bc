"""The Starlette application that serves one store."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.access import DeniedError
from emulator.disk import DiskError
from emulator.storage.api import buckets, objects
from emulator.storage.api.batch import batch
from emulator.storage.api.downloads import download
from emulator.storage.api.fallbacks import not_emulated, not_found
from emulator.storage.api.responses import on_crash, on_disconnect, on_disk_error, on_http_error, on_storage_error
from emulator.storage.api.uploads import cancel_session, continue_session, upload_object
from emulator.storage.api.xml.listing import bucket_request
from emulator.storage.api.xml.objects import object_request
from emulator.storage.errors import StorageError, UnsupportedError
from emulator.storage.store import Store

_KEY_HEADERS = (b"x-goog-encryption-", b"x-goog-copy-source-encryption-")
_NO_KEYS = "Customer-supplied encryption keys are not emulated; send the request without them."
_JSON_PATHS = ("/storage/", "/upload/", "/resumable/", "/download/", "/batch", "/b/")


def app(store: Store) -> Starlette:
    """An application that serves `store` under /storage/v1, /upload, /resumable, /download, /batch, /b and
    /{bucket}/{object}.

    The last form matches any path, so a server with other APIs mounts this application after them, at "".
    """
    application = Starlette(
        routes=[*_media(), *_json("/storage/v1"), *_json(""), *_rest()],
        middleware=[Middleware(EncodedPath), Middleware(NoSuppliedKeys)],
        exception_handlers={
            StorageError: on_storage_error,
            DeniedError: on_storage_error,
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            DiskError: on_disk_error,
            Exception: on_crash,
        },
    )
    application.router.redirect_slashes = False
    application.state.store = store
    return application


class EncodedPath:
    """Routes by the encoded path, in which %2F does not separate segments, and by X-HTTP-Method-Override."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope.get("raw_path") or scope["path"].encode()
            override = dict(scope["headers"]).get(b"x-http-method-override")
            method = override.decode("latin-1").upper() if override and scope["method"] == "POST" else scope["method"]
            scope = {**scope, "path": path.decode("latin-1"), "method": method}
        await self._app(scope, receive, send)


class NoSuppliedKeys:
    """Refuses customer-supplied encryption keys: an object stored without them could be read without them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(name.startswith(_KEY_HEADERS) for name, _ in scope["headers"]):
            request = Request({**scope, "storage.xml": not scope["path"].startswith(_JSON_PATHS)})
            response = await on_storage_error(request, UnsupportedError(_NO_KEYS))
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _json(prefix: str) -> Sequence[BaseRoute]:
    """The JSON API; clients omit its prefix if their endpoint has none."""
    bucket, item = f"{prefix}/b/{{bucket}}", f"{prefix}/b/{{bucket}}/o/{{object}}"
    return [
        Route(f"{prefix}/b", buckets.list_buckets, methods=["GET"]),
        Route(f"{prefix}/b", buckets.create_bucket, methods=["POST"]),
        Route(bucket, buckets.get_bucket, methods=["GET"]),
        Route(bucket, buckets.patch_bucket, methods=["PATCH", "PUT"]),
        Route(bucket, buckets.delete_bucket, methods=["DELETE"]),
        Route(f"{bucket}/lockRetentionPolicy", buckets.lock_retention, methods=["POST"]),
        Route(f"{bucket}/storageLayout", buckets.get_layout, methods=["GET"]),
        Route(f"{bucket}/managedFolders", buckets.list_folders, methods=["GET"]),
        Route(f"{bucket}/notificationConfigs", buckets.list_notifications, methods=["GET"]),
        Route(f"{bucket}/notificationConfigs", buckets.create_notification, methods=["POST"]),
        Route(f"{bucket}/notificationConfigs/{{id}}", buckets.get_notification, methods=["GET"]),
        Route(f"{bucket}/notificationConfigs/{{id}}", buckets.delete_notification, methods=["DELETE"]),
        *_policies(bucket),
        Route(f"{bucket}/o", objects.list_objects, methods=["GET"]),
        Route(item, objects.get_object, methods=["GET"]),
        Route(item, objects.patch_object, methods=["PATCH", "PUT"]),
        Route(item, objects.delete_object, methods=["DELETE"]),
        *_policies(item),
        Route(f"{item}/compose", objects.compose_objects, methods=["POST"]),
        Route(f"{item}/copyTo/b/{{to_bucket}}/o/{{to_object}}", objects.copy_object, methods=["POST"]),
        Route(f"{item}/rewriteTo/b/{{to_bucket}}/o/{{to_object}}", objects.rewrite_object, methods=["POST"]),
        Route(f"{item}/moveTo/o/{{to_object}}", objects.move_object, methods=["POST"]),
        Route(f"{prefix}/projects/{{project}}/serviceAccount", buckets.get_service_account, methods=["GET"]),
        Route(f"{bucket}/{{rest:path}}", not_emulated),
    ]


def _policies(path: str) -> Sequence[BaseRoute]:
    return [
        Route(f"{path}/iam", buckets.get_policy, methods=["GET"]),
        Route(f"{path}/iam", buckets.set_policy, methods=["PUT"]),
        Route(f"{path}/iam/testPermissions", buckets.test_permissions, methods=["GET"]),
    ]


def _media() -> Sequence[BaseRoute]:
    routes: list[BaseRoute] = [Route("/download/storage/v1/b/{bucket}/o/{object}", download, methods=["GET"])]
    for prefix in ("/upload/storage/v1", "/resumable/upload/storage/v1", "/upload"):
        path = f"{prefix}/b/{{bucket}}/o"
        routes.append(Route(path, upload_object, methods=["POST"]))
        routes.append(Route(path, continue_session, methods=["PUT"]))
        routes.append(Route(path, cancel_session, methods=["DELETE"]))
    return routes


def _rest() -> Sequence[BaseRoute]:
    """Batches, paths without a handler, and the XML API, which takes any other path."""
    reserved = ("storage", "upload", "resumable", "download", "batch")
    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    return [
        Route("/batch/storage/v1", batch, methods=["POST"]),
        Route("/batch", batch, methods=["POST"]),
        *(Route(f"/{name}/{{rest:path}}", not_found) for name in reserved),
        Route("/{bucket}", bucket_request, methods=methods),
        Route("/{bucket}/", bucket_request, methods=methods),
        Route("/{bucket}/{object:path}", object_request, methods=methods),
    ]
