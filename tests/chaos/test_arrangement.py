"""The stack file of the storm is one that the emulator runs."""

import re
from pathlib import Path

from emulator.stack import loader
from tests.chaos import arrangement


def test_the_proxy_stands_before_every_service_that_runs(tmp_path: Path) -> None:
    stack = loader.load(arrangement.write(tmp_path, seed=1, kill_every_s=3, odds={}, executions_per_hour=100), {})
    services = {service.name: service for service in stack.services}
    assert {trigger.service for trigger in stack.triggers} == {"chaos"}
    proxied = set(re.findall(r"\{([a-z-]+)\.url}", " ".join(services["chaos"].command)))
    assert proxied == services.keys() - {"chaos"}
