"""`einf open`: the web console in the browser; of a cloud, it runs in this terminal."""

import os
import sys
import webbrowser
from typing import NoReturn
from urllib.parse import urlencode

import click

from event_inference import checkout
from event_inference.cli.session import Session, command
from event_inference.errors import UnreachableError

_SERVICE = "console"
_EXAMPLES = """
$ einf open --print
http://127.0.0.1:…
"""


@command(json=False, examples=_EXAMPLES)
@click.argument("name", default="")
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.option("--port", type=click.IntRange(1, 65535), default=9031, show_default=True, help="Of a cloud's console.")
def open(session: Session, name: str, only_print: bool, port: int) -> None:
    """Open the web console, and in it what NAME finds.

    The local stack runs its console by itself. That of a cloud runs in this terminal until Ctrl-C, with your own
    credentials; it needs a checkout of the repository (EINF_REPOSITORY).
    """
    target = session.target
    page = f"/?{urlencode({'q': name})}" if name else "/"
    if target.is_cloud:
        _become_console(session, port, page, open_browser=not only_print)
    url = target.services.get(_SERVICE)
    if url is None:
        raise UnreachableError(
            f"The {target.description} does not say where its console is. Name the folder of its state with --local, "
            f"or start it with: einf local up"
        )
    address = url + (page if name else "")
    if only_print or not webbrowser.open(address):
        click.echo(address)


def _become_console(session: Session, port: int, page: str, *, open_browser: bool) -> NoReturn:
    """Replace this process, so that signals and the terminal are the console's."""
    root = checkout.find()
    argv = [checkout.python(root), "-m", "console", "--port", str(port), *session.options]
    argv += ["--open", page] if open_browser else []
    os.chdir(root)
    sys.stdout.flush()
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
