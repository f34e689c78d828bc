"""Prints the aliases of a model's versions as Google's Python client reads them: python aliases.py URL MODEL."""

import json
import sys

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform


def main(url: str, model: str) -> None:
    options = {"project": "p", "location": "us-central1", "api_endpoint": url, "api_transport": "rest"}
    aiplatform.init(**options, credentials=AnonymousCredentials())
    versions = aiplatform.models.ModelRegistry(model).list_versions()
    print(json.dumps({each.version_description: sorted(each.version_aliases) for each in versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
