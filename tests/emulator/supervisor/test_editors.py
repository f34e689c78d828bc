"""A breakpoint that is set in an editor, with the configuration that docs/debugging.md shows."""

import json
import re
import sys
from pathlib import Path

import pytest

from emulator.process import Stack
from event_inference import Client
from tests.emulator.supervisor.adapter import Editor
from tests.emulator.toy_stack import ROOT

TIMEOUT = 120
HANDLER = ROOT / "functions" / "on_upload" / "main.py"

DOCUMENT = (ROOT / "docs" / "debugging.md").read_text()


def documented() -> dict:
    """VS Code's configuration, with its variables replaced."""
    launch = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    (configuration,) = json.loads(launch.replace("${workspaceFolder}", str(ROOT)))["configurations"]
    return dict(configuration)


def line_of(code: str) -> int:
    return 1 + next(number for number, line in enumerate(HANDLER.read_text().splitlines()) if code in line)


def test_pycharm_is_told_to_start_the_same():
    module, parameters = re.findall(r"\*\*(?:module|parameters)\*\* `(.+?)`", DOCUMENT)
    assert {"module": module, "args": parameters.split()}.items() <= documented().items()


@pytest.mark.stack
@pytest.mark.release
@pytest.mark.timeout(300)
def test_an_editors_breakpoint_stops_a_function_and_the_document_lands(tmp_path: Path):
    data = tmp_path / ".local"
    with Stack(data) as stack, Editor(tmp_path) as editor:
        stack.start()
        client = Client(local=data)
        line = line_of("return intake.upload")
        here = {"args": [*documented()["args"], "--data", str(data)], "python": [sys.executable]}
        editor.start(documented() | here, HANDLER, line, TIMEOUT)
        editor.printed("Press CTRL+C to quit", TIMEOUT)
        handle = client.submit(b"A wonderful film.", name="praise.txt")
        stopped = editor.event("stopped", TIMEOUT)
        assert stopped["reason"] == "breakpoint"
        top, *_ = editor.request("stackTrace", {"threadId": stopped["threadId"]}, TIMEOUT)["stackFrames"]
        assert (Path(top["source"]["path"]), top["line"], top["name"]) == (HANDLER, line, "on_upload")
        shown = editor.request("evaluate", {"expression": "event.data['name']", "frameId": top["id"]}, TIMEOUT)
        assert shown["result"] == "'praise.txt'"
        assert handle.status().state == "waiting"
        editor.request("continue", {"threadId": stopped["threadId"]}, TIMEOUT)
        document = handle.wait(TIMEOUT)
        assert (document.status, document.kind) == ("succeeded", "text")
