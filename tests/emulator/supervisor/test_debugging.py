"""A service in a debugger, and files that are watched, while the rest of the stack goes on."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator import debugging
from emulator.stack.loader import load
from emulator.supervisor import reloads
from tests.emulator.toy_stack import FUNCTION, ROOT, Toy, gone

PAUSING = FUNCTION.replace("    seen = ", "    breakpoint()\n    seen = ")


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.close()


def bucket(addresses: dict) -> storage.Bucket:
    options = {"api_endpoint": f"http://{addresses['http']}"}
    client = storage.Client(project="local-project", credentials=AnonymousCredentials(), client_options=options)
    return client.bucket("toy-input")


def debugger(toy: Toy, service: str = "toy") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emulator", "debug", service, "--data", str(toy.data)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def uploaded(toy: Toy) -> list[str]:
    return [event["data"]["name"] for event in toy.seen]


def until(stream: TextIO, text: str) -> str:
    """What the stream holds up to a text."""
    output = ""
    while text not in output:
        character = stream.read(1)
        assert character, output
        output += character
    return output


@pytest.mark.stack
@pytest.mark.release
def test_a_function_stops_at_a_breakpoint_while_the_rest_goes_on(toy: Toy):
    (toy.folder / "toy" / "main.py").write_text(PAUSING)
    uploads = bucket(toy.up())
    with debugger(toy) as process:
        toy.until(lambda: "ready in the debugger" in toy.said)
        uploads.blob("a.txt").upload_from_string(b"x")
        assert process.stdout
        assert process.stdin
        assert "BdbQuit" not in until(process.stdout, "(Pdb)")
        assert toy.seen == []
        assert uploads.blob("b.txt").exists() is False, "the rest answers"
        process.stdin.write("p event['type']\ncontinue\n")
        process.stdin.flush()
        until(process.stdout, '"POST / HTTP/1.1" 200')
        assert uploaded(toy) == ["a.txt"]
        process.kill()  # perhaps before the answer has arrived, so that the event comes again
    (toy.folder / "toy" / "main.py").write_text(FUNCTION)
    toy.until(lambda: toy.said.count("ready after") == 3)  # the stack has taken it back
    uploads.blob("c.txt").upload_from_string(b"x")
    toy.until(lambda: "c.txt" in uploaded(toy))


@pytest.mark.stack
@pytest.mark.release
def test_a_service_is_lent_once_and_ends_with_its_debugger(toy: Toy):
    toy.up()
    with debugger(toy, "plain") as first:
        toy.until(lambda: "ready in the debugger" in toy.said)
        for name, expected in {"plain": "plain is in a debugger already", "plane": "there is no service plane"}.items():
            with debugger(toy, name) as refused:
                assert refused.stdout
                assert expected in refused.stdout.read()
            assert refused.returncode == 1
        first.kill()
    toy.until(lambda: toy.said.count("ready after") == 3)


def test_without_a_stack_the_command_that_starts_one_is_named(toy: Toy):
    with debugger(toy) as process:
        assert process.stdout
        assert "einf local up" in process.stdout.read()
    assert process.returncode == 1


@pytest.mark.stack
@pytest.mark.release
def test_a_changed_function_is_reloaded_and_the_state_stays(toy: Toy):
    uploads = bucket(toy.up("--watch"))
    uploads.blob("a.txt").upload_from_string(b"x")
    toy.until(lambda: len(toy.seen) == 1)
    plain = toy.service("plain.py")
    (toy.folder / "toy" / "main.py").write_text("import nothing\n")
    toy.until(lambda: "ModuleNotFoundError" in toy.said)
    uploads.blob("b.txt").upload_from_string(b"x")  # waits
    (toy.folder / "toy" / "main.py").write_text(FUNCTION.replace('"data": event.data', '"data": event.data, "new": 1'))
    toy.until(lambda: len(toy.seen) == 2)
    assert toy.seen[1]["new"] == 1
    assert uploads.blob("a.txt").exists()
    assert not gone([plain]), "a service whose files did not change runs on"


def test_the_files_behind_the_local_stack():
    stack = load(ROOT / "deploy" / "local" / "stack.yaml")
    services = {service.name: service for service in stack.services}
    variables = {"PYTHONPATH": "functions"}
    functions = {
        path.relative_to(ROOT).as_posix() for path in reloads.sources(stack, services["on-upload"], [], variables)
    }
    assert functions == {"functions/on_upload", "functions/pipeline"}
    command = [sys.executable, "-m", "gpu_service", "--models=", "--profile=", "--port", "1"]
    assert reloads.sources(stack, services["gpu-service"], command, {}) == {ROOT / "gpu_service"}


def test_models_stand_for_their_folder(tmp_path: Path):
    (tmp_path / "models.json").write_text(json.dumps({}))
    stack = load(ROOT / "deploy" / "local" / "stack.yaml")
    (service,) = (service for service in stack.services if service.name == "gpu-service")
    command = [sys.executable, "-m", "gpu_service", f"--models={tmp_path / 'models.json'}"]
    assert reloads.sources(stack, service, command, {}) == {ROOT / "gpu_service", tmp_path}


def test_only_calls_to_a_debugged_service_have_no_deadline():
    url = "http://127.0.0.1:9021"
    with debugging.debugged(url):
        assert debugging.deadline(f"{url}/path", 10) > 86_400
        assert debugging.deadline(f"{url}?x=1", 10) > 86_400
        assert debugging.deadline(f"{url}0/path", 10) == 10
    assert debugging.deadline(url, 10) == 10
