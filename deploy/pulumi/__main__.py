"""Deploys the system of ../inventory.yaml with Pulumi: run `pulumi up` in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.pulumi import events, foundation, monitoring, permissions, services
from deploy.pulumi.system import System

system = System()
base = foundation.create(system)
permissions.before_services(system, base)
running = services.create(system, base)
delivery = events.create(system, base, running)
permissions.after_services(system, base, running, delivery)
events.notify(system, base, delivery)
monitoring.create(system, base)
