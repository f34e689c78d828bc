"""The vendored files are those of their packages, and come with their licences."""

import hashlib
import re
from pathlib import Path

import yaml

STATIC = Path(__file__).parents[2] / "console" / "static"
VENDOR = STATIC / "vendor"
ENTRIES = yaml.safe_load((VENDOR / "vendored.yaml").read_text())


def test_the_files_have_their_checksums_and_licences() -> None:
    for entry in ENTRIES:
        assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
        assert (VENDOR / entry["text"]).stat().st_size > 0
    listed = {entry["file"] for entry in ENTRIES} | {entry["text"] for entry in ENTRIES} | {"vendored.yaml"}
    assert {file.name for file in VENDOR.iterdir()} == listed


def test_nothing_is_loaded_from_elsewhere() -> None:
    own = [*STATIC.glob("*.*"), *(STATIC.parent / "templates").rglob("*.html")]
    for file in own:
        addresses = re.findall(r"(?:src|href|url)[=(]\s*[\"']?(https?:)?//", file.read_text())
        assert addresses == [], file.name
