"""What Google answers when it refuses a request, in the words of public reports and documentation."""

from typing import Any

NO_BILLING = (
    "Billing account for project '{}' is not found. Billing must be enabled for activation of service(s) "
    "'{}' to proceed."
)
BILLING_DISABLED = "The billing account for the owning project is disabled in state absent"
NO_TOKEN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
API_OFF = (
    "{} API has not been used in project {} before or it is disabled. Enable it by visiting {} then retry. If you "
    "enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
)
UNKNOWN_ACCOUNT = "Service account {} does not exist."
BUILDS_RESTRICTED = (
    "due to quota restrictions, cannot run builds in this region, see "
    "https://cloud.google.com/build/docs/locations#restricted_regions_for_some_projects"
)
BUILDER_LACKS = (
    "Build failed with status: FAILURE. Could not build the function due to a missing permission on the build service "
    "account ({}, {}). See https://cloud.google.com/functions/docs/troubleshooting#build-service-account"
)
OVER_QUOTA = (
    "spec.template.metadata.annotations[autoscaling.knative.dev/maxScale]: Max instances must be set to {} or fewer in "
    "order to set the requested {}.\nQuota violated:\n{} requested: {} allowed: {}"
)
EVENTARC_LACKS = (
    "Permission denied while using the Eventarc Service Agent. If you recently started to use Eventarc, it may take "
    "a few minutes before all necessary permissions are propagated to the Service Agent."
)
STORAGE_LACKS = (
    "The Cloud Storage service account for your bucket is unable to publish to Cloud Pub/Sub topics in the specified "
    "project.\nTo use GCS CloudEvent triggers, the GCS service account requires the Pub/Sub Publisher "
    "(roles/pubsub.publisher) IAM role in the specified project."
)
RECEIVER_LACKS = 'Permission "eventarc.events.receiveEvent" denied on "{}"'
TOPIC_LACKS = (
    "The service account '{}' does not have permission to publish messages to the Cloud Pub/Sub topic '{}', or that "
    "topic does not exist."
)
NO_METRIC = (
    'Cannot find metric(s) that match type = "{}". If a metric was created recently, it could take up to 10 minutes to '
    "become available. Please try again soon."
)
NO_PROMQL_METRIC = "The PromQL query names a metric that does not exist in the project."

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    412: "FAILED_PRECONDITION",  # sent as 400
}


class Refusal(Exception):
    """An error of one of Google's APIs, with the reason of its details."""

    def __init__(self, code: int, message: str, reason: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.message, self.reason, self.metadata = message, reason, metadata
        self.status = STATUS[code]
        self.http = 400 if self.status == "FAILED_PRECONDITION" else code

    @property
    def body(self) -> dict[str, Any]:
        details = {"reason": self.reason, "domain": "googleapis.com", "metadata": self.metadata}
        return {
            "error": {
                "code": self.http,
                "message": self.message,
                "status": self.status,
                "errors": [{"message": self.message, "reason": self.reason or self.status, "domain": "global"}],
                "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **details}] if self.reason else [],
            }
        }
