"""Registers, deploys and predicts with Google's Python client, and prints what it saw as JSON.

python python_client.py URL IMAGE FOLDER
"""

import json
import sys
from typing import Any

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform


def main(url: str, image: str, folder: str) -> dict[str, Any]:
    aiplatform.init(
        project="local-project",
        location="us-central1",
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    container = {
        "display_name": "sentiment",
        "artifact_uri": folder,
        "serving_container_image_uri": image,
        "serving_container_predict_route": "/predict",
        "serving_container_health_route": "/ready",
        "serving_container_ports": [8080],
    }
    first = aiplatform.Model.upload(model_id="sentiment", version_aliases=["stable"], **container)
    second = aiplatform.Model.upload(
        parent_model="sentiment", version_aliases=["candidate"], is_default_version=False, **container
    )
    registry = aiplatform.models.ModelRegistry(first)
    registry.add_version_aliases(["golden"], version="2")
    registry.remove_version_aliases(["golden"], version="2")
    seen: dict[str, Any] = {
        "versions": {each.version_id: list(each.version_aliases) for each in registry.list_versions()},
        "listed": [model.display_name for model in aiplatform.Model.list(filter='display_name="sentiment"')],
    }
    endpoint = aiplatform.Endpoint.create(display_name="endpoint")
    machine = {"machine_type": "g2-standard-4", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
    endpoint.deploy(first, deployed_model_display_name="one", traffic_percentage=100, **machine)
    endpoint.deploy(second, deployed_model_display_name="two", traffic_percentage=0, **machine)
    ids = {deployed.display_name: deployed.id for deployed in endpoint.list_models()}
    predicted = endpoint.predict([{"text": "A wonderful film."}, {"text": "A dull film."}], parameters={"top_k": 1})
    seen["predictions"] = [prediction["label"] for prediction in predicted.predictions]
    seen["version"] = predicted.model_version_id
    endpoint.update(traffic_split={ids["two"]: 100})
    seen["moved"] = endpoint.predict([{"text": "A wonderful film."}]).model_version_id
    refused = endpoint.predict([{"text": "a"}], parameters={"top_k": "many"})
    seen["bad parameter"] = refused.predictions[0]["error"]["code"]
    for name, call in {
        "missing model": lambda: aiplatform.Model("missing"),
        "deployed": second.delete,
    }.items():
        try:
            call()
        except (exceptions.GoogleAPICallError, ValueError) as error:
            seen[name] = type(error).__name__
    endpoint.undeploy_all()
    endpoint.delete()
    first.delete()
    seen["left"] = [len(aiplatform.Model.list()), len(aiplatform.Endpoint.list())]
    return seen


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
