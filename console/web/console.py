"""What every page has: the pipeline, the index, and the templates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from console.index.refresh import Refresher
from console.index.store import Index
from console.pipeline.emulator import Emulator
from console.web import wording
from event_inference import Client

_TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True, slots=True)
class Console:
    """The running console.

    Attributes:
        emulator: its debug API; None in a cloud.
    """

    client: Client
    index: Index
    refresher: Refresher
    templates: Environment
    emulator: Emulator | None

    @property
    def place(self) -> str:
        """The pipeline in a few words, for the page's head."""
        target = self.client.target
        return f"cloud project {target.project}" if target.is_cloud else "this laptop"


def environment() -> Environment:
    """Jinja2 with everything escaped, unknown names an error, and the console's filters."""
    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.filters |= wording.FILTERS
    templates.globals |= {"states": wording.STATES, "kinds": wording.KINDS}
    return templates


def of(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or the part of one that a template holds."""
    console = of(request)
    console.refresher.touch()
    return HTMLResponse(render(console, request.state.token, template, path=request.url.path, **values), status)


def render(console: Console, token: str, template: str, **values: Any) -> str:
    shared: dict[str, Any] = {
        "target": console.client.target,
        "place": console.place,
        "token": token,
        "refresher": console.refresher,
        "on_laptop": console.emulator is not None,
    }
    return console.templates.get_template(template).render(shared | values)
