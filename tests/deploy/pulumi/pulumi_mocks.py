"""Runs the Pulumi program under mocks and prints every resource: python pulumi_mocks.py VARIABLES."""

import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import pulumi

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.deploy.shape import NUMBER, PROJECT, url  # noqa: E402

LOGGING = f"serviceAccount:service-{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"


class Google(pulumi.runtime.Mocks):
    """Gives each resource the outputs that others read."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = dict(args.inputs)
        if args.typ.startswith("time:"):
            time.sleep(1)  # what does not depend on the wait is made meanwhile
        if args.typ.startswith(("gcp:", "time:")):
            self.made.append({"type": args.typ, "name": args.name, "values": inputs})
        name = inputs.get("name") or args.name
        match args.typ.split("/")[0]:
            case "gcp:serviceaccount" if "accountId" in inputs:
                email = f"{inputs['accountId']}@{PROJECT}.iam.gserviceaccount.com"
                full = f"projects/{PROJECT}/serviceAccounts/{email}"
                return full, {**inputs, "email": email, "name": full}
            case "gcp:cloudfunctionsv2":
                config = {**inputs["serviceConfig"], "uri": url(name, inputs["location"])}
                return name, {**inputs, "serviceConfig": config}
            case "gcp:cloudrunv2" if "template" in inputs:
                return name, {**inputs, "uri": url(name, inputs["location"])}
            case "gcp:pubsub" if "topic" not in inputs:
                return f"projects/{PROJECT}/topics/{name}", inputs
            case "gcp:eventarc":
                subscription = f"projects/{PROJECT}/subscriptions/eventarc-us-central1-{name}-sub-001"
                return name, {**inputs, "transport": {"pubsub": {"subscription": subscription}}}
            case "gcp:bigquery" if "location" in inputs:
                return f"projects/{PROJECT}/datasets/{inputs['datasetId']}", inputs
            case "gcp:logging" if "destination" in inputs:
                return name, {**inputs, "writerIdentity": LOGGING}
            case "gcp:storage" if "location" in inputs:
                return name, {**inputs, "location": inputs["location"].upper()}
        return name, inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        if args.token.endswith("getService"):
            return {**args.args, "templates": [{"containers": [{"image": f"{args.args['name']}:build-1"}]}]}
        return {"number": NUMBER} if args.token.endswith("getProject") else {"emailAddress": "storage@google"}


def main(variables: dict[str, str]) -> None:
    google = Google()
    pulumi.runtime.set_mocks(google, project="event-inference", stack="test", preview=False)
    for name, value in variables.items():
        pulumi.runtime.set_config(f"event-inference:{name}", value)

    async def program() -> None:
        runpy.run_path(str(ROOT / "deploy/pulumi/__main__.py"), run_name="__main__")

    pulumi.runtime.sync_await._sync_await(pulumi.runtime.stack.run_pulumi_func(program))
    print(json.dumps(google.made, default=str))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
