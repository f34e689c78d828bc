"""The simulated scenarios."""

from dataclasses import replace

from benchmarks.scale.simulation import deployment
from benchmarks.scale.simulation.clock import World
from benchmarks.scale.simulation.deployment import Deployment
from benchmarks.scale.simulation.pipeline import Arrivals, Pipeline
from benchmarks.scale.simulation.tally import Tally
from pipeline.tenants import FOLDER

HOUR = 3600
LONGEST = 48 * HOUR

RAISED = {"on-upload": 28, "on-message": 12, "preprocess": 18, "postprocess": 9}
"""The functions' max_instances with which a deployment keeps up with 1,000 inputs a second."""

COLLECTIONS = 32
SHARE = 0.1  # of the hourly cap, for a tenant


def raised() -> Deployment:
    """A deployment for 1,000 inputs a second."""
    return deployment.of(instances=RAISED, max_collections=COLLECTIONS)


def flood(deployed: Deployment, per_second: int, seconds: int = HOUR) -> Tally:
    """A constant load of small texts for a time, and what follows until all have their documents."""
    return _run(deployed, lambda second: per_second if second < seconds else 0, seconds)


def outage(deployed: Deployment, per_second: int, seconds: int, before: int = 600) -> Tally:
    """The same where the GPU service is out from `before` seconds after the beginning until no more is uploaded."""
    until = before + seconds
    return _run(deployed, lambda second: per_second if second < until else 0, until, range(before, until))


def tenants(per_second: int, beside: int, seconds: int, *, told_apart: bool) -> Tally:
    """One tenant floods a raised deployment with half of the collections, beside many that upload a little."""
    deployed = raised()
    settings = replace(
        deployed.settings, max_collections=COLLECTIONS // 2, tenants=FOLDER if told_apart else "", tenant_share=SHARE
    )
    arrivals: Arrivals = lambda second: per_second if second < seconds else 0  # noqa: E731
    return _run(replace(deployed, settings=settings), arrivals, seconds, beside=beside)


def _run(deployed: Deployment, arrivals: Arrivals, seconds: int, outage: range = range(0), beside: int = 0) -> Tally:
    world = World()
    pipeline = Pipeline(world, deployed, outage, beside)
    pipeline.begin(arrivals, seconds)
    world.run(seconds)
    while not pipeline.tally.is_drained and world.now < LONGEST:
        world.run(world.now + 60)
    return pipeline.tally
