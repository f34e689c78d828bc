"""`python -m console`: the console of the running local stack, or with `--context` or `--project` of a cloud."""

import argparse
import dataclasses
import hashlib
import logging
import os
import threading
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from console.app import application
from console.index.store import Index
from console.pipeline.emulator import Emulator
from event_inference import Client, EventInferenceError, Target
from event_inference.targets import Request, resolve

_OPEN_S = 1.0  # until the console listens
_PORT = 9031  # beside the local stack's own console at 9030


def main() -> int:
    options = _parse()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        request = Request(
            local=options.local,
            context=options.context,
            project=options.project,
            region=options.region,
            service_prefix=options.service_prefix,
        )
        target = _with_services(resolve(request))
    except EventInferenceError as error:
        print(f"console: {error}")
        return error.exit_code
    url = os.environ.get("CONSOLE_URL") or f"http://127.0.0.1:{options.port}"
    app = application(Client(target=target, yes=options.yes), Index(options.index or _file(target)), _port(url))
    if "CONSOLE_URL" not in os.environ:
        print(f"Console of the {target.description}: {url}", flush=True)
    if options.open:
        threading.Timer(_OPEN_S, webbrowser.open, [url + options.open]).start()
    uvicorn.run(
        app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=1,
        server_header=False,
    )  # fmt: skip
    return 0


def _with_services(target: Target) -> Target:
    """The pipeline with the addresses of its services, which only the emulator knows while the stack starts."""
    if target.is_cloud or target.services:
        return target
    return dataclasses.replace(target, services=Emulator(target).stack()["services"])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m console", description=__doc__)
    parser.add_argument("--local", metavar="FOLDER", help="the local stack whose state is in this folder")
    parser.add_argument("--context", metavar="NAME", help="a context of your configuration (docs/cli.md)")
    parser.add_argument("--project", metavar="ID", help="the deployment in this project of Google Cloud")
    parser.add_argument("--region", metavar="NAME", help="the deployment's region")
    parser.add_argument("--service-prefix", metavar="NAME", help="the deployment's prefix")
    parser.add_argument("--open", metavar="PAGE", help="open this page, such as /, in the browser")
    parser.add_argument("--port", type=int, default=_PORT, help=f"of the console on 127.0.0.1 (default: {_PORT})")
    parser.add_argument("--index", type=Path, metavar="FILE", help="where the index of inputs is kept")
    parser.add_argument("--yes", action="store_true", help="allow changes of a cloud that was not named")
    return parser.parse_args()


def _port(url: str) -> int:
    """The port at which browsers find the console: that of the emulator's front, if there is one before it."""
    return urlsplit(url).port or 80


def _file(target: Target) -> Path | None:
    """The index of a cloud is kept, since reading it anew costs requests; that of a laptop is temporary."""
    if not target.is_cloud:
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(f"{target.project}/{target.input_bucket}/{target.output_bucket}".encode()).hexdigest()[:12]
    return cache / "event-inference" / f"console-{key}.sqlite"


if __name__ == "__main__":
    raise SystemExit(main())
