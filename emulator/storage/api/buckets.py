"""Requests of the JSON API for buckets, their policies and their notification configurations."""

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from emulator import access
from emulator.storage.api.requests import base_url, document, preconditions, segment, store_of, whole_number
from emulator.storage.api.responses import answer, empty
from emulator.storage.errors import InvalidError
from emulator.storage.permissions import full_name
from emulator.storage.resources import Fields


async def list_buckets(request: Request) -> Response:
    parameters = request.query_params
    project = _project(request)
    limit = min(whole_number(parameters, "maxResults") or 1000, 1000)
    buckets = await run_in_threadpool(
        store_of(request).buckets.listing,
        *(project, parameters.get("prefix", ""), parameters.get("pageToken", ""), limit + 1),
    )
    listing: Fields = {"kind": "storage#buckets"}
    if buckets:
        listing["items"] = [bucket.resource(base_url(request)) for bucket in buckets[:limit]]
    if len(buckets) > limit:
        listing["nextPageToken"] = buckets[limit - 1].name
    return answer(request, listing)


async def create_bucket(request: Request) -> Response:
    project = _project(request)
    fields = await document(request)
    name = fields.get("name")
    if not isinstance(name, str):
        raise InvalidError("Required parameter: name")
    bucket = await run_in_threadpool(store_of(request).buckets.create, name, fields, project)
    return answer(request, bucket.resource(base_url(request)))


def _project(request: Request) -> str:
    project = request.query_params.get("project")
    if not project:
        raise InvalidError("Required parameter: project")
    return project


async def get_bucket(request: Request) -> Response:
    bucket = await run_in_threadpool(store_of(request).buckets.get, segment(request, "bucket"), preconditions(request))
    return answer(request, bucket.resource(base_url(request)))


async def patch_bucket(request: Request) -> Response:
    changes = await document(request)
    bucket = await run_in_threadpool(
        store_of(request).buckets.patch,
        *(segment(request, "bucket"), changes, preconditions(request)),
        replace=request.method == "PUT",
    )
    return answer(request, bucket.resource(base_url(request)))


async def delete_bucket(request: Request) -> Response:
    await run_in_threadpool(store_of(request).buckets.delete, segment(request, "bucket"), preconditions(request))
    return empty()


async def lock_retention(request: Request) -> Response:
    conditions = preconditions(request)
    if conditions.metageneration is None:
        raise InvalidError("Required parameter: ifMetagenerationMatch")
    bucket = await run_in_threadpool(store_of(request).buckets.lock_retention, segment(request, "bucket"), conditions)
    return answer(request, bucket.resource(base_url(request)))


async def get_layout(request: Request) -> Response:
    bucket = await run_in_threadpool(
        partial(store_of(request).buckets.get, segment(request, "bucket"), permission="storage.objects.list")
    )
    layout = {
        "kind": "storage#storageLayout",
        "bucket": bucket.name,
        "location": bucket.fields["location"],
        "locationType": bucket.fields["locationType"],
        "hierarchicalNamespace": bucket.fields.get("hierarchicalNamespace", {"enabled": False}),
    }
    return answer(request, layout)


async def list_folders(request: Request) -> Response:
    """No managed folders; clients ask for them before they list objects."""
    await run_in_threadpool(
        partial(store_of(request).buckets.get, segment(request, "bucket"), permission="storage.managedFolders.list")
    )
    return answer(request, {"kind": "storage#managedFolders", "items": []})


async def get_policy(request: Request) -> Response:
    return answer(request, await run_in_threadpool(store_of(request).policies.get, *_subject(request)))


async def set_policy(request: Request) -> Response:
    policy = await document(request)
    bucket, name = _subject(request)
    return answer(request, await run_in_threadpool(store_of(request).policies.set, bucket, policy, name))


async def test_permissions(request: Request) -> Response:
    """Those of the permissions that the caller has."""
    bucket, name = _subject(request)
    await run_in_threadpool(store_of(request).policies.check, bucket, name)
    requested = request.query_params.getlist("permissions")
    held = [permission for permission in requested if access.may(permission, full_name(bucket, name))]
    return answer(request, {"kind": "storage#testIamPermissionsResponse", "permissions": held})


def _subject(request: Request) -> tuple[str, str | None]:
    name = segment(request, "object") if "object" in request.path_params else None
    return segment(request, "bucket"), name


async def list_notifications(request: Request) -> Response:
    configs = await run_in_threadpool(store_of(request).notifications.listing, segment(request, "bucket"))
    links = [_linked(request, config) for config in configs]
    return answer(request, {"kind": "storage#notifications", **({"items": links} if links else {})})


async def create_notification(request: Request) -> Response:
    config = await document(request)
    created = await run_in_threadpool(store_of(request).notifications.create, segment(request, "bucket"), config)
    return answer(request, _linked(request, created))


async def get_notification(request: Request) -> Response:
    config = await run_in_threadpool(
        store_of(request).notifications.get, segment(request, "bucket"), segment(request, "id")
    )
    return answer(request, _linked(request, config))


async def delete_notification(request: Request) -> Response:
    await run_in_threadpool(store_of(request).notifications.delete, segment(request, "bucket"), segment(request, "id"))
    return empty()


def _linked(request: Request, config: Fields) -> Fields:
    path = f"/storage/v1/b/{segment(request, 'bucket')}/notificationConfigs/{config['id']}"
    return {**config, "selfLink": base_url(request) + path}


async def get_service_account(request: Request) -> Response:
    access.require("resourcemanager.projects.get", f"projects/{segment(request, 'project')}")
    address = f"service-{segment(request, 'project')}@gs-project-accounts.iam.gserviceaccount.com"
    return answer(request, {"kind": "storage#serviceAccount", "email_address": address})
