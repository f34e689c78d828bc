"""The official executions client over gRPC, blocking and asyncio."""

import asyncio
from datetime import timedelta

import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud.workflows.executions_v1 import (
    Execution,
    ExecutionsAsyncClient,
    ExecutionView,
    ListExecutionsRequest,
)
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcAsyncIOTransport

from tests.emulator.workflows_api.serve import LOCATION

SLEEPS = "main: {steps: [{nap: {call: sys.sleep, args: {seconds: 900}}}]}"


def test_the_life_of_an_execution(executions, deploy, finish):
    workflow = f"{LOCATION}/workflows/" + deploy("main: {params: [n], steps: [{done: {return: '${n + 1}'}}]}")
    execution = Execution(argument="41", labels={"job": "abc"}, call_log_level=Execution.CallLogLevel.LOG_ALL_CALLS)
    created = executions.create_execution(parent=workflow, execution=execution, timeout=10)
    assert created.state is Execution.State.ACTIVE
    finish(created.name)
    done = executions.get_execution(name=created.name)
    assert done.state is Execution.State.SUCCEEDED
    assert (done.result, done.argument, dict(done.labels)) == ("42", "41", {"job": "abc"})
    assert done.call_log_level is Execution.CallLogLevel.LOG_ALL_CALLS
    assert abs(done.end_time - done.start_time - done.duration) <= timedelta(microseconds=1)
    assert [(step.routine, step.step) for step in done.status.current_steps] == [("main", "done")]
    basic = executions.get_execution(request={"name": created.name, "view": ExecutionView.BASIC})
    assert (basic.state, basic.result) == (Execution.State.SUCCEEDED, "")


def test_failures_have_a_stack_trace(executions, deploy, finish):
    workflow = f"{LOCATION}/workflows/" + deploy("main:\n  steps:\n    - a:\n        raise: no\n")
    name = executions.create_execution(parent=workflow).name
    finish(name)
    error = executions.get_execution(name=name).error
    assert error.payload == '"no"'
    assert error.stack_trace.elements[0].position.line == 4


def test_client_reads_every_page(executions, deploy, finish):
    workflow = f"{LOCATION}/workflows/" + deploy("main: {params: [n], steps: [{done: {return: '${n}'}}]}")
    names = [executions.create_execution(parent=workflow, execution=Execution(argument=str(n))).name for n in range(5)]
    for name in names:
        finish(name)
    request = ListExecutionsRequest(
        parent=workflow, page_size=2, view=ExecutionView.FULL, filter='state="SUCCEEDED"', order_by="startTime"
    )
    listed = list(executions.list_executions(request))
    assert [execution.name for execution in listed] == names
    assert [execution.result for execution in listed] == ["0", "1", "2", "3", "4"]


def test_cancelling(executions, deploy):
    workflow = f"{LOCATION}/workflows/" + deploy(SLEEPS)
    name = executions.create_execution(parent=workflow).name
    assert executions.cancel_execution(name=name).state is Execution.State.CANCELLED
    assert executions.get_execution(name=name).state is Execution.State.CANCELLED
    with pytest.raises(exceptions.FailedPrecondition):
        executions.cancel_execution(name=name)


def test_errors_become_the_clients_exceptions(executions, deploy):
    workflow = f"{LOCATION}/workflows/" + deploy(SLEEPS)
    with pytest.raises(exceptions.NotFound):
        executions.create_execution(parent=f"{LOCATION}/workflows/nowhere")
    with pytest.raises(exceptions.NotFound):
        executions.get_execution(name=f"{workflow}/executions/nowhere")
    with pytest.raises(exceptions.InvalidArgument) as refusal:
        executions.create_execution(parent=workflow, execution=Execution(argument="{"))
    assert refusal.value.details[0].field_violations[0].field == "execution.argument"
    with pytest.raises(exceptions.InvalidArgument):
        executions.create_execution(parent=workflow, execution=Execution(labels={"A": "b"}))
    with pytest.raises(exceptions.InvalidArgument):
        executions.list_executions(request={"parent": workflow, "page_token": "x"})
    with pytest.raises(exceptions.InvalidArgument):
        executions.get_execution(name="nonsense")


def test_the_asyncio_client(cloud, deploy):
    workflow = f"{LOCATION}/workflows/" + deploy("main: {steps: [{done: {return: 1}}]}")

    async def use():
        async with grpc.aio.insecure_channel(cloud.grpc) as channel:
            client = ExecutionsAsyncClient(transport=ExecutionsGrpcAsyncIOTransport(channel=channel))
            created = await client.create_execution(parent=workflow)
            return created.name, [execution.name async for execution in await client.list_executions(parent=workflow)]

    name, listed = asyncio.run(use())
    assert listed == [name]
