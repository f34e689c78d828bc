"""The simulated scenarios."""

from benchmarks.scale.simulation import deployment
from benchmarks.scale.simulation.clock import World
from benchmarks.scale.simulation.deployment import Deployment
from benchmarks.scale.simulation.pipeline import Arrivals, Pipeline
from benchmarks.scale.simulation.tally import Tally

HOUR = 3600
LONGEST = 48 * HOUR

RAISED = {"on-upload": 28, "on-message": 12, "preprocess": 18, "postprocess": 9}
"""The functions' max_instances with which a deployment keeps up with 1,000 inputs a second."""

COLLECTIONS = 32


def raised() -> Deployment:
    """A deployment for 1,000 inputs a second."""
    return deployment.of(instances=RAISED, max_collections=COLLECTIONS)


def flood(deployed: Deployment, per_second: int, seconds: int = HOUR) -> Tally:
    """A constant load of small texts for a time, and what follows until all have their documents."""
    return _run(deployed, lambda second: per_second if second < seconds else 0, seconds)


def _run(deployed: Deployment, arrivals: Arrivals, seconds: int) -> Tally:
    world = World()
    pipeline = Pipeline(world, deployed)
    pipeline.begin(arrivals)
    world.run(seconds)
    while not pipeline.tally.is_drained and world.now < LONGEST:
        world.run(world.now + 60)
    return pipeline.tally
