"""The project and region that gcloud is set to, from its variables and files; gcloud itself need not be installed."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Gcloud:
    """gcloud's project with the variable or configuration that sets it, and the region of workflows or Cloud Run."""

    project: str | None
    source: str
    region: str | None


def read(environ: Mapping[str, str], home: Path) -> Gcloud:
    folder = Path(environ.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
    name = environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or _active(folder)
    properties = _properties(folder / "configurations" / f"config_{name}")
    region = (
        environ.get("CLOUDSDK_WORKFLOWS_LOCATION")
        or environ.get("CLOUDSDK_RUN_REGION")
        or properties.get("workflows", "location", fallback=None)
        or properties.get("run", "region", fallback=None)
    )
    for variable in ("CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        if project := environ.get(variable):
            return Gcloud(project, variable, region)
    return Gcloud(properties.get("core", "project", fallback=None), f"gcloud's configuration {name}", region)


def _active(folder: Path) -> str:
    try:
        return (folder / "active_config").read_text(encoding="utf-8").strip() or "default"
    except (OSError, UnicodeDecodeError):  # gcloud writes it with the first `configurations activate`
        return "default"


def _properties(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):  # gcloud itself reports a broken file
        return configparser.ConfigParser(interpolation=None)
    return parser
