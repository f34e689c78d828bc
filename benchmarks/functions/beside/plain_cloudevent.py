"""Uses the clients as published examples do: three requests to Cloud Storage and one to Workflows, like on_upload."""

import os
import uuid

import functions_framework
import grpc
from cloudevents.http import CloudEvent
from google.cloud import storage
from google.cloud.workflows import executions_v1
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport

WORK = storage.Client().bucket(os.environ["WORK_BUCKET"])
CHANNEL = grpc.insecure_channel(os.environ["WORKFLOWS_EMULATOR_HOST"])
EXECUTIONS = executions_v1.ExecutionsClient(transport=ExecutionsGrpcTransport(channel=CHANNEL))


@functions_framework.cloud_event
def beside(_: CloudEvent) -> None:
    claim = WORK.blob(uuid.uuid4().hex)
    claim.upload_from_string("{}", if_generation_match=0)
    claim.download_as_bytes()
    EXECUTIONS.create_execution(parent=os.environ["WORKFLOW"], execution=executions_v1.Execution(argument="{}"))
    claim.upload_from_string("{}", if_generation_match=claim.generation)
