"""The simulated pipeline: what takes time is modelled, what decides is the pipeline's own code.

Its own: the hourly cap, what overflows into a collection, the steps of a collection, its lanes and the runs that it
plans. Modelled: how long a call takes, how many at a time, and Google's quotas (limits.yaml).
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from google.api_core.exceptions import TooManyRequests

from benchmarks.scale.capacity import READERS, THREADS
from benchmarks.scale.simulation.clock import Pool, Process, World
from benchmarks.scale.simulation.deployment import Deployment
from benchmarks.scale.simulation.google import Bucket, Workflows
from benchmarks.scale.simulation.notes import Notes
from benchmarks.scale.simulation.tally import Tally
from messaging import collect, orders, runs
from messaging.lanes import Lanes
from pipeline import waiting
from pipeline.errors import ThrottledError
from pipeline.jobs import executions, quotas
from pipeline.jobs.job import Input, Job
from pipeline.waiting import Note

COLLECTED_EVERY = 60.0  # seconds, by the schedule
TICK = 1.0  # seconds

Arrivals = Callable[[int], int]
"""How many inputs are uploaded in a second."""


class Pipeline:
    """A deployment under load: texts of the same model and parameters, uploaded one by one."""

    def __init__(self, world: World, deployment: Deployment) -> None:
        self.world, self.deployment, self.tally = world, deployment, Tally()
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

    def begin(self, arrivals: Arrivals) -> None:
        self.world.start(self._take_in(arrivals))
        self.world.start(self._schedule(), COLLECTED_EVERY)

    def _quota(self, *, is_shareable: bool) -> quotas.Quota:
        cap = self.deployment.settings.max_executions_per_hour
        return quotas.Quota(self._work, quotas.part(cap, is_shareable=is_shareable), self.world.utc)

    # --- intake --------------------------------------------------------------------------------------

    def _take_in(self, arrivals: Arrivals) -> Process:
        """Uploads inputs and takes in, each second, as many as on-upload's instances can."""
        rate = self.deployment.functions["on-upload"].places / self.deployment.times["on_upload"]
        while True:
            second = int(self.world.now)
            if uploaded := arrivals(second):
                self._events.append([second, uploaded])
                self.tally.uploaded += uploaded
            left = int(rate * TICK)
            while left and self._events:
                begun, count = self._events[0]
                taken = min(left, count)
                left -= taken
                self._events[0][1] -= taken
                if taken == count:
                    self._events.popleft()
                if self.world.now - begun > self.deployment.event_patience:
                    self.tally.dead_letters += taken
                else:
                    self._accept(begun, taken)
            self.tally.most_waiting = max(self.tally.most_waiting, self._waiting())
            yield TICK

    def _waiting(self) -> int:
        return self.notes.count + sum(count for _, count in self._events)

    def _accept(self, uploaded: int, count: int) -> None:
        """Starts executions of their own while the instances' quotas let them; the rest waits for a collection."""
        quotas_ = [quota for quota in self._own if not quota.is_spent()]
        while count and quotas_:
            quota = quotas_.pop()
            try:
                self._start(quota, 1)
            except (ThrottledError, TooManyRequests):
                continue
            self.world.start(self._single(uploaded))
            quotas_.insert(0, quota)
            count -= 1
        if not self._is_collected:
            raise AssertionError("A text for which no execution is left must wait for a collection.")
        now = self.world.utc()
        for _ in range(count):
            self.notes.add(Note(f"{self._random.getrandbits(96):024x}{uploaded:08x}", now, self._group))

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
        held = Lanes(self._work, settings.max_collections, self.world.utc, order.owner)
        if order.owner:
            held.take()
        deadline = self.world.now + collect.MAX_SECONDS
        steps = orders.steps(order, 0, self.world.utc, lambda: not quota.is_spent(), lambda: self.world.now >= deadline)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                following: orders.Collection | None = end.value
                break
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
        self.world.start(self._together([int(note.job[24:], 16) for note in run]))
        return len(run)

    # --- executions ----------------------------------------------------------------------------------

    def _single(self, uploaded: float) -> Process:
        times = self.deployment.times
        yield times["gpu_call"]
        yield self.postprocess.book(times["postprocess"])
        self._conclude([uploaded])

    def _together(self, uploaded: Sequence[float]) -> Process:
        """The execution of a micro-batch; its calls are repeated while all instances are occupied."""
        times, count = self.deployment.times, len(uploaded)
        for pool, seconds in (
            (self.preprocess, count * times["preprocess"] / READERS),
            (self.gpu, count * times["gpu_input"]),
            (self.postprocess, count * times["postprocess"] / THREADS),
        ):
            if pool.waits() > self.deployment.call_patience:
                self.tally.failed += count
                self.workflows.running -= 1
                return
            yield pool.book(seconds)
        self._conclude(uploaded)

    def _conclude(self, uploaded: Sequence[float]) -> None:
        self.workflows.running -= 1
        for second in uploaded:
            self.tally.document(self.world.now, second)
