"""`einf contexts`: the pipelines of the user's configuration."""

import os
from pathlib import Path

import click

from event_inference.cli import output
from event_inference.targets import contexts as configuration


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def contexts(as_json: bool) -> None:
    """List the contexts of your configuration; the current one has a star. docs/cli.md describes the file."""
    configured = configuration.read(configuration.configuration_file(os.environ, Path.home()))
    if as_json:
        output.print_json({"file": str(configured.file), "current": configured.current, "contexts": configured.by_name})
        return
    if not configured.by_name:
        output.remark(f"{configured.file} has no contexts.")
    rows = [
        ("*" if name == configured.current else "", name, keys.get("project") or keys.get("local"), keys.get("region"))
        for name, keys in configured.by_name.items()
    ]
    output.table(rows, "", "name", "project or folder", "region")
