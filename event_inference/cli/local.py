"""`einf local`: runs, watches and debugs the pipeline on this machine, by the emulator of the repository's checkout."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click

from event_inference import checkout
from event_inference.cli import logs as log_files
from event_inference.cli import output
from event_inference.errors import UNREACHABLE, EventInferenceError
from event_inference.targets import local_stack

_HELP = {"help_option_names": ["-h", "--help"]}
_UNUSABLE = "127.0.0.1:1"  # where nothing listens
_DATA = click.option("--data", type=click.Path(path_type=Path), help="Folder of the state.  [default: .local]")


@click.group(context_settings=_HELP)
def local() -> None:
    """Run, watch and debug the pipeline on this machine. Needs a checkout of the repository (EINF_REPOSITORY)."""


@local.command()
@_DATA
@click.option("--models", type=click.Path(exists=True, path_type=Path), help="Your models.json (docs/models.md).")
@click.option("--profile", help="The profile of models.json to serve.")
@click.option("--watch", is_flag=True, help="Reload functions, workflow and models when their files change.")
@click.option("--free-ports", is_flag=True, help="Use any free ports.")
@click.option("--verbose", is_flag=True, help="Show all output of the services.")
def up(
    data: Path | None, models: Path | None, profile: str | None, watch: bool, free_ports: bool, verbose: bool
) -> None:
    """Start the pipeline in this terminal; Ctrl-C stops it, and the state stays."""
    if models:
        os.environ["MODELS"] = str(models.resolve())
    if profile:
        os.environ["PROFILE"] = profile
    flags = {"--watch": watch, "--free-ports": free_ports, "--verbose": verbose}
    _become_emulator("up", data, *(flag for flag, is_set in flags.items() if is_set))


@local.command()
@_DATA
def env(data: Path | None) -> None:
    """Print export lines that point Google's clients and gcloud of a shell at the local stack.

    \b
    eval "$(einf local env)"

    If no stack is running, the lines point at a closed port: the shell's next command fails, and does not reach a
    cloud.
    """
    try:
        root = checkout.find()
        stack = local_stack.nearest(Path.cwd())
        folder = data or (stack.folder if stack else checkout.data(root))
        command = [checkout.python(root), "-m", "emulator", "env", "--data", str(folder.absolute())]
        finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except EventInferenceError as error:
        _print_unusable(str(error))
    if finished.returncode or not finished.stdout:
        _print_unusable(finished.stderr.strip() or "the emulator printed nothing")
    click.echo(finished.stdout, nl=False)


def _print_unusable(reason: str) -> NoReturn:
    apis = ("STORAGE", "PUBSUB", "WORKFLOWS", "WORKFLOWEXECUTIONS", "RUN")
    lines = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": f"http://{_UNUSABLE}/" for api in apis}
    lines |= {"STORAGE_EMULATOR_HOST": f"http://{_UNUSABLE}", "CLOUDSDK_CORE_PROJECT": "local-project"}
    lines |= {"PUBSUB_EMULATOR_HOST": _UNUSABLE, "WORKFLOWS_EMULATOR_HOST": _UNUSABLE}
    for name, value in lines.items():
        click.echo(f"export {name}={value}")
    output.remark(f"einf: {reason}\neinf: this shell's Google clients now lead nowhere, not to a cloud")
    sys.exit(UNREACHABLE)


@local.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the state.  [default: the nearest .local]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(data: Path | None, as_json: bool) -> int:
    """Show the addresses of the running stack; ends with 6 if none is running."""
    stack = local_stack.at(data) if data else local_stack.nearest(Path.cwd())
    if stack is None or stack.addresses is None:
        place = f" in {stack.folder}" if stack else ""
        output.remark(f"No local stack is running{place}. Start one with: einf local up")
        return UNREACHABLE
    running = stack.addresses
    if as_json:
        output.print_json(running)
        return 0
    rows = [("Storage, Pub/Sub, Workflows, Run", f"http://{running['http']}"), ("gRPC", running["grpc"])]
    services = [
        (name, url if local_stack.answers(url.removeprefix("http://")) else f"{url}  does not answer")
        for name, url in running["services"].items()
    ]
    output.table([*rows, *services, ("state and logs", stack.folder)], "what", "where")
    return 0


@local.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]…")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the state.  [default: the nearest .local]")
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True, help="Of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--errors", is_flag=True, help="Only warnings and errors.")
@click.option("--job", help="Only lines with this job.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are.")
def logs(
    services: tuple[str, ...],
    data: Path | None,
    lines: int,
    follow: bool,
    errors: bool,
    job: str | None,
    as_json: bool,
) -> None:
    """Show what the services, by default all of them, and the emulator logged."""
    stack = local_stack.at(data) if data else local_stack.nearest(Path.cwd())
    folder = (stack.folder if stack else Path(".local")) / "logs"
    chosen = log_files.Filter(errors=errors, job=job)
    for line in log_files.read(folder, services, chosen, lines=lines, follow=follow):
        click.echo(line.raw if as_json else output.shown(line.text))


@local.command()
@_DATA
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def clean(data: Path | None, yes: bool) -> None:
    """Remove the state and the logs of a stack that has ended."""
    folder = data or checkout.data(checkout.find())
    if not yes:
        click.confirm(f"Really remove the local stack's state in {folder}?", err=True, abort=True)
    _become_emulator("clean", data)


@local.command()
@click.argument("service")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the state.  [default: the nearest .local]")
def debug(service: str, data: Path | None) -> None:
    """Run one service, such as on-upload, in this terminal instead of in the stack, which goes on.

    breakpoint() stops a function here, and nothing times out meanwhile. Ctrl-C gives the service back to the stack.
    docs/debugging.md shows it in VS Code and PyCharm.
    """
    stack = local_stack.nearest(Path.cwd())
    _become_emulator("debug", data or (stack.folder if stack else None), service)


def _become_emulator(command: str, data: Path | None, *arguments: str) -> NoReturn:
    """Replace this process, so that signals and the terminal are the emulator's."""
    root = checkout.find()
    argv = [checkout.python(root), "-m", "emulator", command, "--data", str((data or checkout.data(root)).absolute())]
    os.chdir(root)
    sys.stdout.flush()
    os.execv(argv[0], [*argv, *arguments])  # noqa: S606 - no shell is wanted
