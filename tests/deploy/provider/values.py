"""Computed values of new resources that other resources refer to."""

from collections.abc import Callable
from typing import Any

from tests.deploy.shape import NUMBER, PROJECT, url

LOGGING = f"serviceAccount:service-{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
COLLECTIONS = {
    "google_pubsub_topic": "topics",
    "google_pubsub_subscription": "subscriptions",
    "google_workflows_workflow": "locations/us-central1/workflows",
    "google_bigquery_dataset": "datasets",
}


def of(kind: str, resource: dict[str, Any]) -> Callable[[str, Any], Any]:
    """A function from a computed attribute's name and type to its value; None where nothing refers to it."""
    name = next(
        (resource[key] for key in ("name", "account_id", "dataset_id", "service_id") if resource.get(key)), kind
    )
    email = f"{name}@{PROJECT}.iam.gserviceaccount.com"
    known: dict[str, Any] = {"number": NUMBER, "project_id": PROJECT, "writer_identity": LOGGING}
    known["uri"] = url(name, resource.get("location") or "")
    known["output_md5"] = "0" * 32
    known["service_id"] = name
    if kind == "google_service_account":
        full = f"projects/{PROJECT}/serviceAccounts/{email}"
        known |= {"email": email, "id": full, "name": full, "member": f"serviceAccount:{email}"}
    if kind in COLLECTIONS:
        known["id"] = f"projects/{PROJECT}/{COLLECTIONS[kind]}/{name}"
    if kind == "google_eventarc_trigger":
        subscription = f"projects/{PROJECT}/subscriptions/eventarc-us-central1-{name}-sub-001"
        known["transport"] = [{"pubsub": [{"subscription": subscription, "topic": f"{name}-topic"}]}]

    def fill(attribute: str, kind_of: Any) -> Any:
        if kind == "google_cloud_run_v2_service" and attribute == "template":  # as the data source reads it
            container = _object(kind_of[1][1]["containers"], image=f"{name}:build-1")
            return [_object(kind_of, containers=[container])]
        return known.get(attribute, f"{kind}-{attribute}" if kind_of == "string" else None)

    return fill


def _object(list_of: Any, **values: Any) -> dict[str, Any]:
    """An object of the type that the list has, without other values."""
    return dict.fromkeys(list_of[1][1]) | values
