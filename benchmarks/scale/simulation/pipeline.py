"""The simulated pipeline: what takes time is modelled, what decides is the pipeline's own code.

Its own: the hourly cap, what overflows into a collection, the steps of a collection, its lanes and the runs that it
plans, and the circuit of the GPU service. Modelled: how long a call takes, how many at a time, and Google's quotas
(limits.yaml).
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

from google.api_core.exceptions import TooManyRequests

from benchmarks.scale.capacity import READERS, THREADS
from benchmarks.scale.simulation.clock import Pool, Process, World
from benchmarks.scale.simulation.deployment import Deployment
from benchmarks.scale.simulation.google import Bucket, Workflows
from benchmarks.scale.simulation.notes import Notes
from benchmarks.scale.simulation.tally import Tally
from messaging import collect, lanes, orders, runs
from messaging.lanes import Lanes
from pipeline import tenants, waiting
from pipeline.errors import ThrottledError
from pipeline.jobs import executions, quotas
from pipeline.jobs.job import Input, Job
from pipeline.routing.regions import Circuit
from pipeline.waiting import Note

COLLECTED_EVERY = 60.0  # seconds, by the schedule
TICK = 1.0  # seconds
BESIDE = 1 << 31  # marks the second of an upload that is not part of the flood

TENANTS = 10_000  # that upload beside the one that floods

Arrivals = Callable[[int], int]
"""How many inputs are uploaded in a second."""


class Pipeline:
    """A deployment under load: texts of the same model and parameters, uploaded one by one.

    Args:
        outage: the seconds in which the GPU service answers nothing but 503.
        beside: the inputs per second of many tenants, beside the one that floods.
    """

    def __init__(self, world: World, deployment: Deployment, outage: range = range(0), beside: int = 0) -> None:
        self.world, self.deployment, self.tally, self._outage = world, deployment, Tally(), outage
        self._beside, self._shares = beside, dict[int, quotas.Quota]()
        self._circuit = Circuit()
        self._put_back: Counter[str] = Counter()
        self.notes = Notes()
        settings, functions = deployment.settings, deployment.functions
        self.workflows = Workflows(
            world,
            deployment.quotas["workflow_writes"],
            int(deployment.quotas["workflow_executions"] + deployment.quotas["workflow_backlog"]),
        )
        self.preprocess, self.postprocess = (
            Pool(world, functions[name].places) for name in ("preprocess", "postprocess")
        )
        self.gpu = Pool(world, deployment.gpus)
        self._work = cast(Any, Bucket(settings.work_bucket))
        self._own = [self._quota(is_shareable=True) for _ in range(functions["on-upload"].instances)]
        self._collectors = [self._quota(is_shareable=False) for _ in range(functions["on-message"].instances)]
        self._places = functions["on-message"].places
        self._orders: deque[orders.Collection] = deque()
        self._events: deque[list[int]] = deque()  # the second of their upload, and how many of its inputs are left
        self._random = random.Random(1)
        text = Job("0" * 32, "a.txt/1", "0", "", Input(settings.input_bucket, "a.txt", 1, 1000), kind="text")
        self._is_collected = waiting.is_possible(settings, text)
        self._group = waiting.group(text)

    def begin(self, arrivals: Arrivals, until: int) -> None:
        """Begins to upload what floods, and beside it, until that second, what many tenants upload."""
        self.world.start(self._take_in(arrivals, until))
        self.world.start(self._schedule(), COLLECTED_EVERY)

    def _quota(self, *, is_shareable: bool) -> quotas.Quota:
        cap = self.deployment.settings.max_executions_per_hour
        return quotas.Quota(self._work, quotas.part(cap, is_shareable=is_shareable), self.world.utc)

    # --- intake --------------------------------------------------------------------------------------

    def _take_in(self, arrivals: Arrivals, until: int) -> Process:
        """Uploads inputs and takes in, each second, as many as on-upload's instances can."""
        rate = self.deployment.functions["on-upload"].places / self.deployment.times["on_upload"]
        while True:
            second = int(self.world.now)
            uploads = {second: arrivals(second), second | BESIDE: self._beside if second < until else 0}
            for uploaded, count in uploads.items():
                self._events.append([uploaded, count])
                self.tally.uploaded += count
            left = int(rate * TICK)
            while left and self._events:
                uploaded, count = self._events[0]
                taken = min(left, count)
                left -= taken
                self._events[0][1] -= taken
                if taken == count:
                    self._events.popleft()
                if self.world.now - (uploaded & ~BESIDE) > self.deployment.event_patience:
                    self.tally.dead_letters += taken
                else:
                    self._accept(uploaded, taken)
            self.tally.most_waiting = max(self.tally.most_waiting, self._waiting())
            yield TICK

    def _waiting(self) -> int:
        return self.notes.count + sum(count for _, count in self._events)

    def _accept(self, uploaded: int, count: int) -> None:
        """Starts executions of their own while the instances' quotas let them; the rest waits for a collection.

        So does everything while no region of the GPU service answers.
        """
        tenants_ = [self._tenant(uploaded) for _ in range(count)]
        beyond = [tenant for tenant in tenants_ if not self._is_within_share(tenant)]
        count -= len(beyond)
        is_answered = self._most() == runs.MAX_MEMBERS
        quotas_ = [quota for quota in self._own if is_answered and not quota.is_spent()]
        while count and quotas_:
            quota = quotas_.pop()
            try:
                self._start(quota, 1)
            except (ThrottledError, TooManyRequests):
                continue
            self.world.start(self._single(self._job(uploaded)))
            quotas_.insert(0, quota)
            count -= 1
        if not self._is_collected:
            raise AssertionError("A text for which no execution is left must wait for a collection.")
        now = self.world.utc()
        for _ in range(count):
            self.notes.add(Note(self._job(uploaded), now, self._group))
        for tenant in beyond:
            self.notes.add(Note(self._job(uploaded), now, self._group, str(tenant), is_beyond_share=True))

    def _tenant(self, uploaded: int) -> int:
        """The tenant of an input: one that floods, or any of many."""
        return 1 + self._random.randrange(TENANTS) if uploaded & BESIDE else 0

    def _is_within_share(self, tenant: int) -> bool:
        settings = self.deployment.settings
        if not settings.tenants:
            return True
        if tenant not in self._shares:
            self._shares[tenant] = quotas.Quota(self._work, tenants.share(settings), self.world.utc, str(tenant))
        return self._shares[tenant].takes()

    def _job(self, uploaded: int) -> str:
        """The id of a job, whose last digits are the second of its upload, marked if it is not of the flood."""
        return f"{self._random.getrandbits(96):024x}{uploaded:08x}"

    def _start(self, quota: quotas.Quota, inputs: int) -> None:
        """Starts an execution. Raises ThrottledError or TooManyRequests."""
        with quota.counted(executions.REFUSALS):
            self.workflows.create()
        self.tally.start(self.world.now, inputs)

    # --- collections ---------------------------------------------------------------------------------

    def _schedule(self) -> Process:
        while True:
            self._order(orders.Collection())
            yield COLLECTED_EVERY

    def _order(self, order: orders.Collection) -> None:
        """Delivers an order to a free place of on-message; otherwise Pub/Sub keeps it."""
        self._orders.append(order)
        self._deliver()

    def _deliver(self) -> None:
        if self._places and self._orders:
            self._places -= 1
            self.world.start(self._collection(self._orders.popleft()))

    def _collection(self, order: orders.Collection) -> Process:
        """Carries out a collection's steps as messaging.collect does, in virtual time."""
        times, settings = self.deployment.times, self.deployment.settings
        quota = self._collectors[self._places % len(self._collectors)]
        held = Lanes(self._work, settings.max_collections, lanes.lease(settings), self.world.utc, order.owner)
        if order.owner:
            held.take()
        deadline = self.world.now + collect.MAX_SECONDS
        most = lambda: 0 if quota.is_spent() else self._most()  # noqa: E731
        steps = orders.steps(order, 0, self.world.utc, most, lambda: self.world.now >= deadline)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                following: orders.Collection | None = end.value
                break
            held.renew()
            match step:
                case orders.Look():
                    answer = self._look(held)
                    yield times["listing"] * (runs.listed(len(held.held)) / 1000 if answer else 1)
                case orders.Start(run):
                    yield len(run) * times["collected"] / THREADS
                    answer = self._launch(quota, run)
                case orders.Share():
                    if owner := held.share():
                        self._order(orders.Collection(owner=owner))
                    answer = bool(held.held)
        self._places += 1
        if following:
            self._orders.append(orders.Collection(owner=held.owner))
        else:
            held.release()
        self._deliver()

    def _most(self) -> int:
        return orders.most([self._circuit], self.world.utc())

    def _look(self, held: Lanes) -> list[Note]:
        first = self.notes.first()
        if first is None or first.due > self.world.utc() + runs.INTERVAL:
            return []
        held.take()
        return self.notes.listed(held.held, runs.listed(len(held.held))) if held.held else []

    def _launch(self, quota: quotas.Quota, run: Sequence[Note]) -> int:
        """Starts the execution of a run; how many inputs no longer wait."""
        try:
            self._start(quota, len(run))
        except (ThrottledError, TooManyRequests):
            return 0
        self.notes.remove(run)
        if self._circuit.is_due(self.world.utc()):
            self.tally.trials += 1
            self._circuit = self._circuit.tried(run[0].job, self.world.utc())
            self.world.start(self._single(run[0].job, is_trial=True))
        else:
            self.world.start(self._together([note.job for note in run]))
        return len(run)

    # --- executions ----------------------------------------------------------------------------------

    def _single(self, job: str, *, is_trial: bool = False) -> Process:
        times = self.deployment.times
        is_predicted = yield from self._predict(times["gpu_call"])
        yield self.postprocess.book(times["postprocess"])
        if not is_predicted:
            self._meet_outage([job])
            return
        self._conclude([job])
        if is_trial:
            self._circuit = Circuit()

    def _together(self, jobs: Sequence[str]) -> Process:
        """The execution of a micro-batch; its calls are repeated while all instances are occupied."""
        times, count = self.deployment.times, len(jobs)
        if self.preprocess.waits() > self.deployment.call_patience:
            self._fail(jobs)
            return
        yield self.preprocess.book(count * times["preprocess"] / READERS)
        is_predicted = yield from self._predict(count * times["gpu_input"])
        if self.postprocess.waits() > self.deployment.call_patience:
            self._fail(jobs)
            return
        yield self.postprocess.book(count * times["postprocess"] / THREADS)
        if is_predicted:
            self._conclude(jobs)
        else:
            self._meet_outage(jobs)

    def _predict(self, seconds: float) -> Generator[float, None, bool]:
        """A call of the GPU service, repeated as the workflow does; whether it was answered."""
        for pause in (*self.deployment.repeats(), None):
            if int(self.world.now) not in self._outage:
                yield self.gpu.book(seconds)
                return True
            if pause is not None:
                yield pause
        return False

    def _meet_outage(self, jobs: Sequence[str]) -> None:
        """Opens the circuit, and leaves the inputs to a collection unless that has been done too often."""
        self.workflows.running -= 1
        self._circuit = self._circuit.opened(jobs[0], self.world.utc()) or self._circuit
        for job in jobs:
            if self._put_back[job] >= waiting.MAX_PUT_BACK:
                self.tally.failed += 1
                continue
            self._put_back[job] += 1
            self.tally.put_back += 1
            self.notes.add(Note(job, self.world.utc(), self._group))

    def _fail(self, jobs: Sequence[str]) -> None:
        self.workflows.running -= 1
        self.tally.failed += len(jobs)

    def _conclude(self, jobs: Sequence[str]) -> None:
        self.workflows.running -= 1
        for job in jobs:
            uploaded = int(job[24:], 16)
            self.tally.document(self.world.now, uploaded & ~BESIDE, is_beside=bool(uploaded & BESIDE))
