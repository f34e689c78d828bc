"""Settings from the command line and the environment, read once at the start."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gpu_service import parameters
from gpu_service.errors import StartError
from gpu_service.parameters import Requested

Load = Literal["start", "lazy"]

MODELS_FILE = Path(__file__).resolve().with_name("models.json")


@dataclass(frozen=True)
class Settings:
    """Without `input_bucket` and `work_bucket`, no object may be accessed; `…_s` are seconds.

    `models` is a file or a gs:// URI; without a `profile`, its only one is served. `load` is when models are loaded
    whose entry does not say so; `model_memory` are the bytes for all of them.
    """

    profile: str | None = "starter"
    models: Path | str = MODELS_FILE
    host: str = "0.0.0.0"  # noqa: S104  a container's port must be reachable from outside
    port: int = 8080
    device: str = "auto"
    dtype: str = "auto"
    gpu_required: bool = False
    compile: bool = False
    max_queue: int = 2048
    max_wait_s: float = 10.0
    max_batch_s: float = 0.5
    deadline_s: float = 120.0
    drain_s: float = 8.5
    max_body: int = 16 << 20
    max_instances: int = 128
    input_bucket: str | None = None
    work_bucket: str | None = None
    predict_route: str | None = None
    health_route: str | None = None
    storage_uri: str | None = None
    project: str | None = None
    revision: str = "local"
    traces: Literal["otlp", "console"] | None = None
    parameters: Requested = field(default_factory=dict)
    load: Load | None = None
    model_memory: int | None = None
    load_wait_s: float = 60.0
    refresh_s: float = 30.0


def read(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """The command line takes precedence over the environment, and the environment over the defaults.

    Raises:
        StartError: a variable has an invalid value.
    """
    options = _parser(environ).parse_args(arguments)
    models = _models(options.models)
    return Settings(
        profile=options.profile or (Settings.profile if models == MODELS_FILE else None),
        models=models,
        host=options.host,
        port=options.port,
        device=options.device,
        dtype=environ.get("DTYPE", Settings.dtype),
        gpu_required=_switched_on(environ, "GPU_REQUIRED"),
        compile=options.compile,
        max_queue=_number(environ, ("MAX_QUEUE",), Settings.max_queue),
        max_wait_s=_seconds(environ, "MAX_WAIT_SECONDS", Settings.max_wait_s),
        max_batch_s=_seconds(environ, "MAX_BATCH_SECONDS", Settings.max_batch_s),
        deadline_s=_seconds(environ, "DEADLINE_SECONDS", Settings.deadline_s),
        drain_s=_seconds(environ, "DRAIN_SECONDS", Settings.drain_s),
        input_bucket=environ.get("INPUT_BUCKET") or None,
        work_bucket=environ.get("WORK_BUCKET") or None,
        predict_route=environ.get("AIP_PREDICT_ROUTE"),
        health_route=environ.get("AIP_HEALTH_ROUTE"),
        storage_uri=environ.get("AIP_STORAGE_URI"),
        project=environ.get("GOOGLE_CLOUD_PROJECT"),
        revision=environ.get("K_REVISION") or Settings.revision,
        traces=_traces(environ),
        parameters=parameters.of_deployment(environ),
        load=options.load,
        model_memory=_number(environ, ("MODEL_MEMORY_BYTES",), 0) or None,
        load_wait_s=_seconds(environ, "LOAD_WAIT_SECONDS", Settings.load_wait_s),
        refresh_s=_seconds(environ, "MODELS_REFRESH_SECONDS", Settings.refresh_s),
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gpu_service", description="Serve classifiers over HTTP.")
    parser.add_argument("--profile", default=environ.get("PROFILE"), help="profile of models.json to serve")
    parser.add_argument("--models", default=environ.get("MODELS"), help="path or gs:// URI of another models.json")
    parser.add_argument("--load", choices=("start", "lazy"), help="when to load models whose entry does not say so")
    parser.add_argument("--host", default=environ.get("HOST", Settings.host))
    parser.add_argument("--port", type=int, default=_number(environ, ("AIP_HTTP_PORT", "PORT"), Settings.port))
    parser.add_argument("--device", default=environ.get("DEVICE", Settings.device), help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--compile",
        action="store_true",
        default=_switched_on(environ, "COMPILE"),
        help="run transformer layers through torch.compile; needs a C++ compiler",
    )
    return parser


def _models(location: str | None) -> Path | str:
    if location and location.startswith("gs://"):
        return location
    return Path(location).expanduser().resolve() if location else MODELS_FILE


def _traces(environ: Mapping[str, str]) -> Literal["otlp", "console"] | None:
    """The exporter that OpenTelemetry's variables choose; None unless they name an exporter or an endpoint."""
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    exporter = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(environ.get, endpoints)) else "none")
    if exporter == "none" or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if exporter == "otlp":
        return "otlp"
    if exporter == "console":
        return "console"
    raise StartError(f"OTEL_TRACES_EXPORTER must be otlp, console or none, not {exporter!r}.")


def _switched_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "") not in ("", "0", "false")


def _number(environ: Mapping[str, str], names: tuple[str, ...], default: int) -> int:
    for name in names:
        if value := environ.get(name):
            if not value.isdecimal():
                raise StartError(f"{name} must be a whole number, not {value!r}.")
            return int(value)
    return default


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(environ.get(name, default))
    except ValueError as error:
        raise StartError(f"{name} must be a number of seconds, not {environ[name]!r}.") from error
    if not 0 < value < float("inf"):
        raise StartError(f"{name} must be greater than 0.")
    return value
