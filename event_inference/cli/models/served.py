"""`einf models`: lists the models that are served, pushes others, and checks a models.json."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from event_inference.cli import output
from event_inference.cli.models.explain import explain
from event_inference.cli.session import Session, command
from event_inference.errors import USAGE

_HELP = {"help_option_names": ["-h", "--help"]}
_LIST = """
$ einf models
name       version  task                  default  device  source
sentiment  1        text-classification   yes      cpu     models/sentiment
digits     1        image-classification  yes      cpu     models/digits
"""
_PUSH = """
$ einf models push my-model --name reviews --version 1
gs://local-models/reviews/1 is reviews, version 1, of the profile models
$ einf models push my-model --name reviews --version 1 --vertex --alias candidate
gs://local-models/reviews/1 is reviews, version 1, of the profile models
Vertex AI has it as projects/local-project/locations/us-central1/models/reviews@1 (default, candidate)
"""


class _Models(click.Group):
    """A group that lists the models if no other command is named."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if not arguments or (arguments[0].startswith("-") and arguments[0] not in context.help_option_names):
            arguments = ["list", *arguments]
        return super().parse_args(context, arguments)


@click.group(cls=_Models, context_settings=_HELP)
def models() -> None:
    """List the models that are served, push others, or check a models.json. Without a command, they are listed."""


@command(name="list", examples=_LIST)
@click.option("--vertex", is_flag=True, help="List the versions in Vertex AI's Model Registry with their aliases.")
def listing(session: Session, vertex: bool, as_json: bool) -> None:
    """List the models that are served.

    On the laptop the GPU service says it; of a cloud it is models.json in the models bucket.
    """
    client = session.client()
    served: list[dict[str, Any]] = client.models()
    if vertex:
        _list_registered(client.connection, served, as_json=as_json)
        return
    if as_json:
        for model in served:
            output.print_json(model)
        return
    columns = ("name", "version", "task", "default", "device", "source")
    rows = [[_cell(model, column) for column in columns] for model in served]
    output.table(rows, *columns)


def _cell(model: dict[str, Any], column: str) -> Any:
    value = model.get(column)
    return ("yes" if value else "") if column == "default" else value


def _list_registered(connection: Any, served: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    from dataclasses import asdict

    from event_inference.access.clients import translated
    from event_inference.registry import serving
    from event_inference.registry.models_file import names
    from event_inference.registry.vertex import Registry

    with translated(connection.target):
        bucket = connection.storage.bucket(connection.target.models_bucket)
        known = dict.fromkeys([*(str(model["name"]) for model in served), *names(bucket)])
    registry = Registry(serving.api(connection))
    versions = [version for name in known for version in registry.versions(name)]
    if as_json:
        for version in versions:
            output.print_json(asdict(version))
        return
    rows = [(each.name, each.number, ", ".join(each.aliases), each.artifacts, each.image) for each in versions]
    output.table(rows, "name", "number", "aliases", "artifacts", "image")


@command(changes=True, examples=_PUSH)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Of the model.")
@click.option("--version", required=True, help="Whose content then never changes.")
@click.option("--task", help="By default that of the model's architecture.")
@click.option("--profile", help="Of models.json; by default its only one.")
@click.option("--default", is_flag=True, help="Requests without a version, and inputs without a model, go to it.")
@click.option("--vertex", is_flag=True, help="Register it in Vertex AI's Model Registry.")
@click.option("--alias", "aliases", multiple=True, help="That the registered version gets and others lose.")
@click.option("--image", help="That serves it on Vertex AI; by default that of the deployed GPU service.")
@click.option("--endpoint", metavar="ID", help="Endpoint of Vertex AI on which the pipeline predicts with it.")
@click.option("--deploy", is_flag=True, help="Deploy it there, in place of other versions. Billed by the hour.")
@click.option("--machine-type", default="g2-standard-4", show_default=True, help="That it is deployed on.")
@click.option("--accelerator", default="NVIDIA_L4", show_default=True, help="Of the machine; empty for none.")
@click.option("--max-replicas", type=click.IntRange(1), default=1, show_default=True, help="How many machines at most.")
def push(session: Session, folder: Path, name: str, version: str, as_json: bool, **options: Any) -> None:
    """Copy the model in FOLDER to the models bucket and add it to models.json.

    The files are copied several at a time, MANIFEST.json last, to NAME/VERSION. A version answers only requests that
    name it, unless --default is given. The command may be repeated; it continues a copy that broke off.
    """
    from event_inference.access.clients import translated
    from event_inference.registry.endpoints import Machine
    from event_inference.registry.folder import ModelFolder
    from event_inference.registry.push import Order
    from event_inference.registry.push import push as pushed

    registers, deploys = options.pop("vertex"), options.pop("deploy")
    machine = Machine(options.pop("machine_type"), options.pop("accelerator"), options.pop("max_replicas"))
    order = Order(
        folder=ModelFolder(folder),
        name=name,
        version=version,
        registers=registers,
        machine=machine if deploys else None,
        **options,
    )
    billed = ", deploy it on machines that are billed by the hour," if deploys else ""
    connection = session.client(f"push {name}, version {version},{billed}").connection
    bucket = connection.target.models_bucket
    with translated(connection.target), output.progress() as shown:
        bar = shown.add_task(f"gs://{bucket}", total=len(order.folder.files))
        done = pushed(connection, order, lambda _: shown.advance(bar))
    if as_json:
        from dataclasses import asdict

        output.print_json({"bucket": bucket, "name": name, "version": version, **asdict(done)})
        return
    click.echo(f"gs://{bucket}/{done.source} is {name}, version {version}, of the profile {done.profile}")
    if done.registered:
        aliases = ", ".join(done.registered.aliases) or "no aliases"
        click.echo(f"Vertex AI has it as {done.registered.model}@{done.registered.number} ({aliases})")
    _advise(session)


def _advise(session: Session) -> None:
    target = session.target
    if target.is_cloud:
        advice = "The GPU service reads it within half a minute if MODELS names that file (docs/models.md)."
    else:
        advice = f"Start the stack on it: make local MODELS=gs://{target.models_bucket}/models.json"
    output.remark(advice)


@click.command(context_settings=_HELP)
@click.argument("file")
@click.option("--profile", help="Check only this one.")
def validate(file: str, profile: str | None) -> int:
    """Check FILE, a models.json or its gs:// URI, as the GPU service does. Needs a checkout of the repository."""
    from event_inference import checkout

    root = checkout.find()
    place = file if file.startswith("gs://") else str(Path(file).absolute())
    checker = [checkout.python(root), "-m", "gpu_service.checkpoints.validation", place]
    options = [f"--profile={profile}"] if profile else []
    finished = subprocess.run([*checker, *options], cwd=root, check=False)
    return USAGE if finished.returncode else 0


models.add_command(listing)
models.add_command(explain)
models.add_command(push)
models.add_command(validate)
