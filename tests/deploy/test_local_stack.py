"""The laptop's stack file has what the inventory deploys, as far as the emulator has it."""

from pathlib import Path

from deploy import inventory
from emulator.stack.loader import load

ROOT = Path(__file__).parents[2]
VALUES = {"project_id": "my-project", "gpu_image": "registry.example/image"}


def test_schedules_are_those_of_the_inventory() -> None:
    everything = inventory.load(VALUES)["schedules"]
    local = {schedule.name: schedule for schedule in load(ROOT / "deploy/local/stack.yaml").schedules}
    assert local.keys() == everything.keys()
    for name, deployed in everything.items():
        keys = ("schedule", "topic", "message")
        assert {key: getattr(local[name], key) for key in keys} == {key: deployed[key] for key in keys}
        assert local[name].time_zone == "Etc/UTC"
    running = {name for name, schedule in local.items() if not schedule.paused}
    assert running == everything.keys()
