"""Commands: `check` workflow files, `run` one without a server."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from emulator.identity.token_sources import from_metadata_server, local_token
from emulator.terminal import escaped
from emulator.workflows import limits
from emulator.workflows.callback_server import CallbackServer
from emulator.workflows.errors import WorkflowSyntaxError
from emulator.workflows.linter import WARNING, check
from emulator.workflows.runtime.environment import BUILT_IN, Environment
from emulator.workflows.runtime.outcome import Outcome
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.trace import Tracer
from emulator.workflows.values import decode_json
from emulator.workflows.workflow import Workflow, load

OVERRIDE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
EMULATOR_HOST = "_EMULATOR_HOST"
ATTEMPT = "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or 1 when the workflow has errors or fails (argparse exits with 2)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    status: int = options.command(options, parser)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator.workflows", description="Check and run Google Cloud Workflows sources."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    checker = commands.add_parser(
        "check",
        help="print problems as file:line:column: message",
        description="Print what a deployment would refuse, and warnings of what fails later in production. "
        "The exit status is 1 when there is an error; 0 for warnings alone, or 1 with --strict.",
    )
    checker.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON source")
    checker.add_argument("--strict", action="store_true", help="warnings count as errors")
    checker.set_defaults(command=_check)
    _add_run(commands)
    return parser


def _add_run(commands: Any) -> None:
    runner = commands.add_parser(
        "run",
        help="execute one workflow against real HTTP",
        description="Execute one workflow. The last line is one JSON object: "
        '{"state": "SUCCEEDED", "result": …} or {"state": "FAILED", "error": {"payload": …, "context": …}}. '
        "The exit status is 0 when it succeeded, else 1.",
    )
    add = runner.add_argument
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    add("file", metavar="FILE", help="YAML or JSON source; - reads standard input")
    add("--data", metavar="JSON", help="the argument; @FILE reads it from a file, - from standard input")
    add("--env", **repeatable, metavar="NAME=VALUE", help="a variable for sys.get_env (repeatable)")
    add("--trace", action="store_true", help="show each step with its duration")
    base_url = (
        "the base URL of a connector's service (repeatable; default: "
        f"{OVERRIDE}<SERVICE>, then <SERVICE>{EMULATOR_HOST}, then Google's)"
    )
    add("--endpoint", **repeatable, metavar="SERVICE=URL", help=base_url)
    runner.set_defaults(command=_run)


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    failed = False
    for file in options.files:
        for problem in check(_read(file, parser), file):
            print(escaped(str(problem)))
            failed = failed or options.strict or problem.severity != WARNING
    return 1 if failed else 0


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    environment = _environment(_pairs("--env", options.env, parser), options.file, parser)
    endpoints = {**overrides(os.environ), **_pairs("--endpoint", options.endpoint, parser)}
    argument = _argument(options.data, parser)
    try:
        workflow = load(_read(options.file, parser), options.file)
    except WorkflowSyntaxError as error:
        print(escaped(str(error)), file=sys.stderr)
        _print({"state": "FAILED", "error": {"payload": {"message": error.message}, "context": str(error)}})
        return 1
    try:
        outcome = asyncio.run(_execute(workflow, argument, environment, endpoints, options.trace))
    except KeyboardInterrupt:
        outcome = Outcome("CANCELLED")
    _print(_report(outcome))
    return 0 if outcome.state == "SUCCEEDED" else 1


async def _execute(
    workflow: Workflow, argument: Any, environment: Environment, endpoints: dict[str, str], trace: bool
) -> Outcome:
    async with AsyncExitStack() as stack:
        host = os.environ.get("GCE_METADATA_HOST")  # set for a running stack, whose services check tokens
        tokens = from_metadata_server(host) if host else local_token
        runtime = await stack.enter_async_context(Runtime(endpoints=endpoints, log_sink=_log, token_source=tokens))
        if "events.create_callback_endpoint" in workflow.source:
            await stack.enter_async_context(CallbackServer(runtime.callbacks))
        observer = Tracer(sys.stdout) if trace else None
        return await workflow.execute(argument, environment=environment, runtime=runtime, observer=observer)


def overrides(variables: Mapping[str, str]) -> dict[str, str]:
    """Connector endpoints from variables such as STORAGE_EMULATOR_HOST and CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE.

    gcloud's take precedence: emulators such as Pub/Sub's may give a gRPC address in their own.
    """
    hosts = {
        name.removesuffix(EMULATOR_HOST).lower(): _base(value)
        for name, value in variables.items()
        if name.endswith(EMULATOR_HOST) and value
    }
    if "workflows" in hosts:
        hosts["workflowexecutions"] = hosts["workflows"]
    return hosts | {
        name.removeprefix(OVERRIDE).lower(): _base(value)
        for name, value in variables.items()
        if name.startswith(OVERRIDE) and value
    }


def _base(address: str) -> str:
    """The URL of an address, without the path of the Storage API, with which gcloud's override ends."""
    url = address if "://" in address else f"http://{address}"
    return url.rstrip("/").removesuffix("/storage/v1")


def _report(outcome: Outcome) -> dict[str, Any]:
    if outcome.error is not None:
        error = {"payload": outcome.error.value, "context": outcome.error.context}
        return {"state": outcome.state, "error": error}
    if outcome.state != "SUCCEEDED":
        return {"state": outcome.state}
    return {"state": outcome.state, "result": outcome.result}


def _print(report: dict[str, Any]) -> None:
    print(_line(report, sys.stdout), flush=True)


def _log(entry: dict[str, Any]) -> None:
    """Write an entry of `sys.log` to standard error, as one JSON line."""
    line = {"severity": entry["severity"], "step": entry["step"], "message": entry["content"]}
    print(_line(line, sys.stderr), file=sys.stderr)


def _line(value: dict[str, Any], stream: TextIO) -> str:
    """JSON on one line; control characters and those that the stream cannot encode are escaped."""
    text = escaped(json.dumps(value, ensure_ascii=False, default=str))
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    return text


def _read(file: str, parser: argparse.ArgumentParser) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"cannot read {file}: {error}")


def _argument(data: str | None, parser: argparse.ArgumentParser) -> Any:
    if data is None:
        return None
    if data == "-" or data.startswith("@"):
        data = _read(data.removeprefix("@"), parser)
    try:
        return decode_json(data)
    except (ValueError, RecursionError) as error:
        parser.error(f"--data is not JSON: {error}")


def _pairs(option: str, pairs: list[str], parser: argparse.ArgumentParser) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            parser.error(f"{option} takes NAME=VALUE, got '{pair}'")
        values[name] = value
    return values


def _environment(values: dict[str, str], file: str, parser: argparse.ArgumentParser) -> Environment:
    environment = Environment(workflow_id="workflow" if file == "-" else Path(file).stem)
    for name, value in values.items():
        if name == ATTEMPT and not value.isdecimal():
            parser.error(f"{ATTEMPT} must be a number")
        if name in BUILT_IN:
            setattr(environment, BUILT_IN[name], int(value) if name == ATTEMPT else value)
        elif name.startswith(("GOOGLE", "WORKFLOWS")):
            parser.error(f"'{name}': names that begin with GOOGLE or WORKFLOWS are reserved")
        elif len(value.encode()) > limits.USER_VARIABLE_BYTES:
            parser.error(f"'{name}' is longer than {limits.USER_VARIABLE_BYTES} bytes")
        else:
            environment.variables[name] = value
    if len(environment.variables) > limits.USER_VARIABLES:
        parser.error(f"a workflow has at most {limits.USER_VARIABLES} user-defined variables")
    return environment


if __name__ == "__main__":
    sys.exit(main())
