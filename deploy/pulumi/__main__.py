"""The system of ../inventory.yaml, made with Pulumi: `pulumi up` in this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.pulumi import events, foundation, monitoring, permissions, services
from deploy.pulumi.system import System

system = System()
base = foundation.make(system)
permissions.before_services(system, base)
running = services.make(system, base)
delivered = events.make(system, base, running)
permissions.after_services(system, base, running, delivered)
events.notify(system, base, delivered)
monitoring.make(system, base)
