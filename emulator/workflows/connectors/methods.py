"""The connectors that are emulated, as data: REST verb and path after Google's discovery documents."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a Google API.

    `path` has its arguments in braces (`{+name}` keeps slashes); the other arguments become query parameters, except
    `body`, `query`, `connector_params` and those of `not_query`. `operation`: answers with a long-running operation,
    which is polled. `media`: a string body is sent as it is. `regional`: the host begins with the argument `location`
    or `region`.
    """

    name: str
    service: str
    host: str
    version: str
    verb: str
    path: str
    operation: bool = False
    media: bool = False
    regional: bool = False
    not_query: tuple[str, ...] = ()


# Services that have connectors at Google. Their methods that are not emulated deploy, and raise when called.
SERVICES = frozenset(
    """
    aiplatform batch bigquery bigquerydatatransfer cloudbuild cloudfunctions cloudresourcemanager
    cloudscheduler cloudtasks compute container dataflow documentai firestore forms integrations language
    ml notebooks pubsub run secretmanager sheets spanner sqladmin storage storagetransfer texttospeech
    transcoder translate workflowexecutions workflows speech videointelligence vision dataproc redis
    logging monitoring iam serviceusage cloudkms datastore gmail drive calendar dlp
    """.split()  # noqa: SIM905
)


def _service(service: str, version: str, methods: dict[str, str], **options: Any) -> dict[str, Method]:
    """The methods of one service: name to "VERB path", with the flags `!operation` and `!media`."""
    described = {}
    for method, line in methods.items():
        verb, path, *flags = line.split()
        name, host = f"googleapis.{service}.{version}.{method}", f"{service}.googleapis.com"
        marks: dict[str, Any] = {flag.removeprefix("!"): True for flag in flags}
        described[name] = Method(name, service, host, version, verb, path, **marks, **options)
    return described


_SOURCE = "storage/v1/b/{sourceBucket}/o/{sourceObject}"
_DESTINATION = "b/{destinationBucket}/o/{destinationObject}"

METHODS: dict[str, Method] = {
    **_service(
        "storage", "v1",
        {
            "buckets.list": "GET storage/v1/b",
            "buckets.get": "GET storage/v1/b/{bucket}",
            "buckets.insert": "POST storage/v1/b",
            "buckets.patch": "PATCH storage/v1/b/{bucket}",
            "buckets.delete": "DELETE storage/v1/b/{bucket}",
            "objects.list": "GET storage/v1/b/{bucket}/o",
            "objects.get": "GET storage/v1/b/{bucket}/o/{object}",
            "objects.insert": "POST upload/storage/v1/b/{bucket}/o !media",
            "objects.patch": "PATCH storage/v1/b/{bucket}/o/{object}",
            "objects.update": "PUT storage/v1/b/{bucket}/o/{object}",
            "objects.delete": "DELETE storage/v1/b/{bucket}/o/{object}",
            "objects.compose": "POST storage/v1/b/{destinationBucket}/o/{destinationObject}/compose",
            "objects.copy": f"POST {_SOURCE}/copyTo/{_DESTINATION}",
            "objects.rewrite": f"POST {_SOURCE}/rewriteTo/{_DESTINATION}",
        },
    ),
    **_service(
        "pubsub", "v1",
        {
            "projects.topics.publish": "POST v1/{+topic}:publish",
            "projects.topics.create": "PUT v1/{+name}",
            "projects.topics.get": "GET v1/{+topic}",
            "projects.topics.list": "GET v1/{+project}/topics",
            "projects.topics.delete": "DELETE v1/{+topic}",
            "projects.subscriptions.create": "PUT v1/{+name}",
            "projects.subscriptions.get": "GET v1/{+subscription}",
            "projects.subscriptions.list": "GET v1/{+project}/subscriptions",
            "projects.subscriptions.delete": "DELETE v1/{+subscription}",
            "projects.subscriptions.pull": "POST v1/{+subscription}:pull",
            "projects.subscriptions.acknowledge": "POST v1/{+subscription}:acknowledge",
        },
    ),
    **_service(
        "run", "v1",
        {
            "namespaces.jobs.create": "POST apis/run.googleapis.com/v1/{+parent}/jobs",
            "namespaces.jobs.get": "GET apis/run.googleapis.com/v1/{+name}",
            "namespaces.jobs.list": "GET apis/run.googleapis.com/v1/{+parent}/jobs",
            "namespaces.jobs.delete": "DELETE apis/run.googleapis.com/v1/{+name}",
            "namespaces.jobs.run": "POST apis/run.googleapis.com/v1/{+name}:run",
            "namespaces.executions.get": "GET apis/run.googleapis.com/v1/{+name}",
            "namespaces.executions.list": "GET apis/run.googleapis.com/v1/{+parent}/executions",
            "namespaces.executions.delete": "DELETE apis/run.googleapis.com/v1/{+name}",
            "namespaces.services.create": "POST apis/serving.knative.dev/v1/{+parent}/services",
            "namespaces.services.replaceService": "PUT apis/serving.knative.dev/v1/{+name}",
            "namespaces.services.delete": "DELETE apis/serving.knative.dev/v1/{+name}",
            "namespaces.services.get": "GET apis/serving.knative.dev/v1/{+name}",
            "namespaces.services.list": "GET apis/serving.knative.dev/v1/{+parent}/services",
        },
        regional=True, not_query=("location", "region"),
    ),
    **_service(
        "run", "v2",
        {
            "projects.locations.jobs.run": "POST v2/{+name}:run !operation",
            "projects.locations.jobs.create": "POST v2/{+parent}/jobs !operation",
            "projects.locations.jobs.get": "GET v2/{+name}",
            "projects.locations.jobs.list": "GET v2/{+parent}/jobs",
            "projects.locations.jobs.delete": "DELETE v2/{+name} !operation",
            "projects.locations.jobs.executions.get": "GET v2/{+name}",
            "projects.locations.jobs.executions.list": "GET v2/{+parent}/executions",
            "projects.locations.jobs.executions.cancel": "POST v2/{+name}:cancel !operation",
            "projects.locations.services.get": "GET v2/{+name}",
            "projects.locations.services.list": "GET v2/{+parent}/services",
        },
        not_query=("location", "region"),
    ),
    **_service(
        "aiplatform", "v1",
        {
            "projects.locations.endpoints.predict": "POST v1/{+endpoint}:predict",
            "projects.locations.endpoints.rawPredict": "POST v1/{+endpoint}:rawPredict",
            "projects.locations.endpoints.explain": "POST v1/{+endpoint}:explain",
            "projects.locations.endpoints.generateContent": "POST v1/{+model}:generateContent",
            "projects.locations.endpoints.streamGenerateContent": "POST v1/{+model}:streamGenerateContent",
            "projects.locations.publishers.models.predict": "POST v1/{+endpoint}:predict",
            "projects.locations.publishers.models.generateContent": "POST v1/{+model}:generateContent",
            "projects.locations.batchPredictionJobs.create": "POST v1/{+parent}/batchPredictionJobs",
            "projects.locations.batchPredictionJobs.get": "GET v1/{+name}",
            "projects.locations.models.list": "GET v1/{+parent}/models",
        },
        regional=True, not_query=("location", "region"),
    ),
    **_service(
        "workflowexecutions", "v1",
        {
            "projects.locations.workflows.executions.create": "POST v1/{+parent}/executions",
            "projects.locations.workflows.executions.get": "GET v1/{+name}",
            "projects.locations.workflows.executions.list": "GET v1/{+parent}/executions",
            "projects.locations.workflows.executions.cancel": "POST v1/{+name}:cancel",
        },
    ),
    **_service(
        "secretmanager", "v1",
        {
            "projects.secrets.versions.access": "GET v1/{+name}:access",
            "projects.secrets.versions.get": "GET v1/{+name}",
            "projects.secrets.versions.list": "GET v1/{+parent}/versions",
            "projects.secrets.addVersion": "POST v1/{+parent}:addVersion",
            "projects.secrets.create": "POST v1/{+parent}/secrets",
            "projects.secrets.get": "GET v1/{+name}",
            "projects.secrets.list": "GET v1/{+parent}/secrets",
            "projects.secrets.delete": "DELETE v1/{+name}",
        },
    ),
    **_service(
        "bigquery", "v2",
        {
            "jobs.query": "POST bigquery/v2/projects/{projectId}/queries",
            "jobs.insert": "POST bigquery/v2/projects/{projectId}/jobs",
            "jobs.get": "GET bigquery/v2/projects/{projectId}/jobs/{jobId}",
            "jobs.getQueryResults": "GET bigquery/v2/projects/{projectId}/queries/{jobId}",
            "datasets.insert": "POST bigquery/v2/projects/{projectId}/datasets",
            "datasets.get": "GET bigquery/v2/projects/{projectId}/datasets/{datasetId}",
            "datasets.delete": "DELETE bigquery/v2/projects/{projectId}/datasets/{datasetId}",
            "tables.insert": "POST bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables",
            "tables.list": "GET bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables",
            "tables.delete": "DELETE bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables/{tableId}",
            "tabledata.list": "GET bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables/{tableId}/data",
            "tables.get": "GET bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables/{tableId}",
            "tabledata.insertAll":
                "POST bigquery/v2/projects/{projectId}/datasets/{datasetId}/tables/{tableId}/insertAll",
        },
    ),
    **_service(
        "firestore", "v1",
        {
            "projects.databases.documents.get": "GET v1/{+name}",
            "projects.databases.documents.patch": "PATCH v1/{+name}",
            "projects.databases.documents.delete": "DELETE v1/{+name}",
            "projects.databases.documents.createDocument": "POST v1/{+parent}/{collectionId}",
            "projects.databases.documents.runQuery": "POST v1/{+parent}:runQuery",
        },
    ),
    **_service(
        "cloudtasks", "v2",
        {
            "projects.locations.queues.tasks.create": "POST v2/{+parent}/tasks",
            "projects.locations.queues.tasks.get": "GET v2/{+name}",
            "projects.locations.queues.tasks.delete": "DELETE v2/{+name}",
        },
    ),
}  # fmt: skip

# Query parameters by service; `any` holds those of every Google API.
QUERY: dict[str, frozenset[str]] = {
    service: frozenset(words.split())
    for service, words in {
        "any": "alt fields prettyPrint quotaUser userIp key access_token oauth_token callback",
        "storage": """
            delimiter destinationPredefinedAcl destinationKmsKeyName endOffset startOffset generation
            ifGenerationMatch ifGenerationNotMatch ifMetagenerationMatch ifMetagenerationNotMatch
            ifSourceGenerationMatch ifSourceGenerationNotMatch ifSourceMetagenerationMatch
            ifSourceMetagenerationNotMatch includeTrailingDelimiter kmsKeyName contentEncoding maxResults
            matchGlob maxBytesRewrittenPerCall name pageToken predefinedAcl predefinedDefaultObjectAcl
            prefix project projection provisionalUserProject rewriteToken sourceGeneration softDeleted
            uploadType userProject versions includeFoldersAsPrefixes enableObjectRetention
            """,
        "pubsub": "pageSize pageToken",
        "run": """
            continue fieldSelector includeUninitialized labelSelector limit resourceVersion watch
            apiVersion kind propagationPolicy dryRun pageSize pageToken showDeleted jobId serviceId
            validateOnly etag
            """,
        "aiplatform": "filter pageSize pageToken readMask orderBy",
        "workflowexecutions": "filter orderBy pageSize pageToken view",
        "secretmanager": "filter pageSize pageToken secretId etag",
        "bigquery": """
            location maxResults pageToken startIndex timeoutMs selectedFields view deleteContents
            formatOptions.useInt64Timestamp datasetView
            """,
        "firestore": """
            documentId mask mask.fieldPaths updateMask updateMask.fieldPaths currentDocument currentDocument.exists
            currentDocument.updateTime transaction readTime
            """,
        "cloudtasks": "responseView pageSize pageToken",
    }.items()
}
