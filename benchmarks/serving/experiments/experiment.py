"""What the three smaller measurements share: options, a row per server, and the published table."""

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.serving import models, peers, process, report
from benchmarks.serving.peers import Peer

Rows = list[list[str]]


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    parser.add_argument("--model", choices=models.SHAPES, default="large")
    parser.add_argument("--servers", default="all", help="comma-separated parts of server names")
    parser.add_argument(
        "--threads", type=int, default=process.default_threads(), help="torch threads; all cores by default"
    )
    parser.add_argument("--save", action="store_true", help="write JSON and Markdown to benchmarks/results/")
    options = parser.parse_args()
    options.machine = report.machine()  # before this benchmark causes load
    return options


async def each_server(
    measure: Callable[[Peer, argparse.Namespace], Awaitable[list[str]]], options: argparse.Namespace
) -> Rows:
    """A row per selected server; the row of a server that is not installed or does not start gives the reason."""
    rows = []
    for peer in peers.find(options.servers):
        if not peer.installed:
            rows.append([peer.name, "not installed"])
            continue
        try:
            rows.append(await measure(peer, options))
        except process.StartError as error:
            rows.append([peer.name, str(error)])
    return rows


def publish(options: argparse.Namespace, name: str, title: str, header: Sequence[str], rows: Rows) -> None:
    machine = options.machine
    filled = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    text = f"# {title}\n\n{report.facts(machine)}.\n\n{report.table(header, filled)}\n"
    print(text)
    if options.save:
        result = {"machine": machine, "title": title, "header": header, "rows": rows}
        for path in report.write(name, machine, json.dumps(result, indent=1), text):
            print(f"written: {path}")
