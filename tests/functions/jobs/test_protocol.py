"""The claim and outcome protocol, checked in every interleaving with crashes, lost responses and expiring leases.

The handlers and executions are the pipeline's own code; only the object store under them is a model.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from messaging import restart, runs, together
from messaging import sweep as sweeps
from pipeline import intake, logs, storage, waiting
from pipeline.deployment import Deployment
from pipeline.errors import ThrottledError
from pipeline.inputs import objects
from pipeline.inputs.events import Receipt
from pipeline.jobs import claims, documents, executions, outcomes
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Engine, Input, Job
from pipeline.settings import Settings
from pipeline.verdicts import Verdict
from tests.functions.interleavings import ALIVE, Actor, Explorer, Request, World

SETTINGS = Settings("in", "work", "out", workflow="workflow", claim_lease=60)
DEPLOYMENT = Deployment(SETTINGS)
SOURCE = Input("in", "a.txt", 7, 5, "text/plain")
RECEIVED_AT = "2026-01-01T12:00:00Z"
JOB = Job("0" * 32, "a.txt/7", "1", RECEIVED_AT, SOURCE, "text", created_at=RECEIVED_AT)
FREE: documents.Cost = {"device": {"seconds": 0, "usd": 0}, "total": {"usd": 0, "parts": {}}}
TERMINAL = ("results/", "rejected/", "failed/")
MAY_WAIT = replace(JOB, due="2026-01-01T12:00:30Z")
UPLOADED = frozenset({(("in", "a.txt"), (7, b"hello", (), 0))})


def modelled(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """Lets the model control the Workflows API and everything that is not deterministic."""

    class Owners:
        """The uuid module as far as claims use it."""

        class uuid4:
            def __init__(self) -> None:
                self.hex = explorer.oracle.owner()

    explorer.patch(monkeypatch)
    monkeypatch.setattr(logs.logger, "disabled", True)
    monkeypatch.setattr(claims, "uuid", Owners)
    timed = functools.partial(claims.Claims, clock=lambda: explorer.oracle.now())
    monkeypatch.setattr(intake, "Claims", timed)
    monkeypatch.setattr(restart, "Claims", timed)
    monkeypatch.setattr(sweeps, "Claims", timed)
    monkeypatch.setattr(runs, "Claims", timed)
    monkeypatch.setattr(together, "Claims", timed)
    monkeypatch.setattr(waiting, "Claims", timed)
    monkeypatch.setattr(waiting.times, "utc_now", lambda: explorer.oracle.now())
    ended = lambda name, _: explorer.oracle.answer(Request("has_ended", ("executions", name)))  # noqa: E731
    monkeypatch.setattr(executions, "has_ended", ended)

    def start(_: Settings, placed: AbstractContextManager[Job], **__: Any) -> Any:
        with placed as job:
            return explorer.oracle.answer(Request("start", ("executions", job.id)))

    monkeypatch.setattr(executions, "start", start)
    monkeypatch.setattr(outcomes, "utc_now", lambda: explorer.oracle.now())
    monkeypatch.setattr(documents, "timestamp", lambda: "2026-01-01T12:00:00Z")
    return explorer


def handle() -> str:
    """One delivery of the input's event, which only a returned verdict acknowledges."""
    return intake.take_in(DEPLOYMENT, JOB, lambda job: job).word


def settle(status: str, execution: str) -> str:
    """The last step of an execution."""
    lineage = Lineage(execution=execution)
    if status == "failed":
        error = {"code": "broken", "message": "It broke.", "step": "predict"}
        document = documents.failed(JOB, error, lineage, replay="")
    else:
        usage = documents.Usage()
        document = documents.result(
            JOB,
            lineage,
            usage,
            {"predictions": []},
            status=status,
            model=None,
            confidence=None,
            parameters={},
            cost=FREE,
        )
    return outcomes.settle(DEPLOYMENT, JOB, document).status


def redelivered(explorer: Explorer, world: World, program: str, acknowledged: str = "returned") -> World:
    """The world after redeliveries without further faults, until one is acknowledged."""
    for attempt in range(4):
        if any(actor.program == program and actor.state == acknowledged for actor in world.actors):
            return world
        name = f"{program} again {attempt}"
        world = replace(world, actors=(*world.actors, Actor(name, program)), now=world.now + 61)
        world = explorer.finish(world, name)
    raise AssertionError(f"{program} is never acknowledged")


def content(world: World, name: str) -> dict[str, Any]:
    stored = world.stored(("out", name))
    assert stored is not None
    document: dict[str, Any] = json.loads(stored[1])
    return document


@pytest.mark.release
def test_two_handlers_start_at_least_one_execution_under_any_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = modelled(Explorer({"first": handle, "second": handle}), monkeypatch)
    left = (("crash", 2), ("fault", 1), ("lease ends", 2))
    first = World((Actor("first", "first"), Actor("second", "second")), left=left)
    counts: Counter[int] = Counter()
    for world in explorer.explore(first):
        for program in ("first", "second"):
            world = redelivered(explorer, world, program)
        counts[len(world.executions)] += 1
        assert world.executions
        if not world.happened:
            assert len(world.executions) == 1
    assert explorer.visited > 10_000
    assert counts[1] > 0
    assert counts[2] > 0, "a crash between start and confirmation starts twice; a model without it misses something"


def test_without_trouble_one_of_two_handlers_starts_one_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = modelled(Explorer({"first": handle, "second": handle}), monkeypatch)
    ends = list(explorer.explore(World((Actor("first", "first"), Actor("second", "second")))))
    assert {len(world.executions) for world in ends} == {1}
    assert {actor.state for world in ends for actor in world.actors} == {"returned", "raised"}


def test_the_model_finds_a_protocol_that_confirms_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty() -> str:
        held = intake.Claims(DEPLOYMENT.work, 60)
        if claim := held.acquire(JOB):
            held.confirm(claim, JOB, None)
            executions.start(SETTINGS, nullcontext(JOB))
        return "accepted"

    explorer = modelled(Explorer({"first": hasty, "second": hasty}), monkeypatch)
    first = World((Actor("first", "first"), Actor("second", "second")), left=(("crash", 1),))
    ends = (redelivered(explorer, world, "first") for world in explorer.explore(first))
    assert any(not redelivered(explorer, world, "second").executions for world in ends)


def test_the_model_finds_a_protocol_without_an_arbiter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_decide", lambda work, job, proposed: proposed)
    programs = {"a": functools.partial(settle, "succeeded", "a"), "b": functools.partial(settle, "failed", "b")}
    explorer = modelled(Explorer(programs), monkeypatch)
    ends = explorer.explore(World((Actor("a", "a"), Actor("b", "b"))))
    assert any(len(world.names("out", *TERMINAL)) == 2 for world in ends)


@pytest.mark.parametrize("statuses", [("succeeded", "failed"), ("succeeded", "succeeded")], ids=str)
def test_two_executions_that_settle_write_one_document(
    monkeypatch: pytest.MonkeyPatch, statuses: tuple[str, str]
) -> None:
    programs = {name: functools.partial(settle, status, name) for name, status in zip("ab", statuses, strict=True)}
    explorer = modelled(Explorer(programs), monkeypatch)
    left = (("crash", 2), ("fault", 2))
    winners: set[str] = set()
    for world in explorer.explore(World(tuple(Actor(name, name) for name in programs), left=left)):
        assert len(world.names("out", *TERMINAL)) <= 1
        for program in programs:  # the workflow repeats its call, or the sweep resumes
            world = redelivered(explorer, world, program)
        (name,) = world.names("out", *TERMINAL)
        assert world.names("out", "latest/") == ["latest/a.txt.json"]
        document = content(world, name)
        assert content(world, "latest/a.txt.json") == document
        assert name.startswith(outcomes.FOLDERS[document["status"]])
        answers = {actor.value for actor in world.actors if actor.state == "returned"}
        assert answers == {document["status"]}, "both executions are told the same outcome"
        winners.add(document["lineage"]["execution"])
    assert explorer.visited > 1_000
    assert winners == {"a", "b"}


# --- replays ---------------------------------------------------------------------------------------


def replay() -> str:
    """A replay of one failed document."""
    if outcomes.reopen(DEPLOYMENT.work, JOB.id, "failed/a.txt/7.json", {"status": "failed"}) is None:
        outcomes.resume(DEPLOYMENT, JOB)
        return "completed"
    return restart.revive(DEPLOYMENT, restart.of_routed(DEPLOYMENT, JOB))


def sweep() -> str:
    """A sweep over one input."""
    lost = restart.of_routed(DEPLOYMENT, JOB)
    return restart.revive(DEPLOYMENT, lost) if sweeps.is_unfinished(DEPLOYMENT, lost) else "finished"


def sweep_claims() -> str:
    """What a sweep does with the claim."""
    listed = storage.bucket("work").get_blob(f"claims/{JOB.id}.json")
    lost = sweeps.of_claim(DEPLOYMENT, listed, Receipt("1", RECEIVED_AT)) if listed else None
    return restart.revive(DEPLOYMENT, lost) if lost else "nothing"


PROGRAMS = {"handle": handle, "sweep": sweep, "claims": sweep_claims, "one": replay, "other": replay} | {
    f"execution {number}": functools.partial(settle, "succeeded" if number else "failed", str(number))
    for number in range(9)
}


def failed_once(explorer: Explorer) -> World:
    """An input whose first execution has written a failed document."""
    world = explorer.finish(World((Actor("handle", "handle"),), UPLOADED), "handle")
    world = explorer.finish(world, "execution 0")
    assert world.names("out", *TERMINAL) == ["failed/a.txt/7.json"]
    return replace(world, actors=())


def swept(explorer: Explorer, world: World) -> World:
    """The world after sweeps without further faults."""
    for round_ in range(6):
        world = replace(world, actors=(*world.actors, Actor(f"sweep {round_}", "sweep")), now=world.now + 61)
        world = explorer.finish(world, f"sweep {round_}")
        if world.actors[-1].value == "finished":
            return world
        for actor in world.actors:
            if actor.state in ALIVE:
                world = explorer.finish(world, actor.name)
    raise AssertionError("The sweeps find no end.")


LATE = "execution 0"  # the call of the attempt that failed, repeated or merely slow


@pytest.mark.release
@pytest.mark.parametrize(
    ("actors", "executions", "left"),
    [
        (("one", "other"), "waiting", (("crash", 1), ("lease ends", 1))),
        (("one", "other"), "waiting", (("fault", 1),)),
        (("one", LATE), "running", (("crash", 1),)),
        (("one", LATE), "waiting", (("crash", 1), ("fault", 1))),
    ],
    ids=[
        "two replays that crash",
        "two replays that get no answer",
        "a replay and a late writer that crash",
        "a replay and a late writer that get no answer",
    ],
)
def test_replays_end_in_one_document_that_remembers_the_failure(
    monkeypatch: pytest.MonkeyPatch, actors: tuple[str, ...], executions: str, left: tuple[tuple[str, int], ...]
) -> None:
    explorer = modelled(Explorer(PROGRAMS, lambda number: f"execution {number}", executions), monkeypatch)
    first = replace(failed_once(explorer), actors=tuple(Actor(name, name) for name in actors), left=left)
    started: Counter[int] = Counter()
    for world in explorer.explore(first):
        if not world.happened:
            started[len(world.executions)] += 1
        for program in {"one", "other"} & set(actors):
            world = redelivered(explorer, world, program)
        world = swept(explorer, world)
        assert world.names("out", *TERMINAL) == ["results/a.txt/7.json"]
        document = content(world, "results/a.txt/7.json")
        assert [attempt["execution"] for attempt in document["attempts"]] == ["0"]
        assert content(world, "latest/a.txt.json") == document
    assert set(started) == {2}, "without trouble, replays start one execution between them"
    assert explorer.visited > 1000


@pytest.mark.parametrize("actors", [("one", LATE), ("one", "other")], ids=str)
def test_without_trouble_a_replay_needs_no_sweep_whatever_else_writes(
    monkeypatch: pytest.MonkeyPatch, actors: tuple[str, ...]
) -> None:
    explorer = modelled(Explorer(PROGRAMS, lambda number: f"execution {number}"), monkeypatch)
    first = replace(failed_once(explorer), actors=tuple(Actor(name, name) for name in actors))
    for world in explorer.explore(first):
        assert len(world.executions) == 2
        assert world.names("out", *TERMINAL) == ["results/a.txt/7.json"]
        document = content(world, "results/a.txt/7.json")
        assert content(world, "latest/a.txt.json") == document
        outcome = world.stored(("work", f"outcomes/{JOB.id}.json"))
        assert outcome is not None
        assert json.loads(outcome[1])["content"] == document


def test_a_replay_is_not_lost_to_a_sweep_that_concludes_the_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = modelled(Explorer(PROGRAMS, lambda number: f"execution {number}", "waiting"), monkeypatch)
    first = replace(failed_once(explorer), actors=(Actor("one", "one"), Actor("claims", "claims")))
    for world in explorer.explore(first):
        assert len(world.executions) == 2
        world = swept(explorer, world)
        assert world.names("out", *TERMINAL) == ["results/a.txt/7.json"]


# --- inputs that are overwritten -------------------------------------------------------------------


def deliver() -> str:
    """One delivery of the input's event, which finds the input or does not."""

    def work(job: Job) -> Job:
        if not objects.exists(SOURCE):
            raise objects.gone(SOURCE)
        return job

    return intake.take_in(DEPLOYMENT, JOB, work).word


def overwrite() -> None:
    storage.bucket("in").blob("a.txt").upload_from_string("new", "text/plain", None)


def throttle() -> str:
    """A delivery in an hour that has no execution left, of an input that cannot share one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "is_possible", lambda settings, job: False)
        patch.setattr(intake, "_start", throttled)
        return deliver()


def throttled(deployment: Deployment, job: Job) -> Verdict:
    raise ThrottledError("MAX_EXECUTIONS_PER_HOUR")


OVERWRITTEN = {"deliver": deliver, "throttle": throttle, "overwrite": overwrite, "claims": sweep_claims} | {
    f"execution {number}": functools.partial(settle, "succeeded", str(number)) for number in range(9)
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("delivery", ["deliver", "throttle"])
@pytest.mark.parametrize(
    ("executions", "left"),
    [
        pytest.param("dead", (("crash", 1), ("lease ends", 1)), marks=pytest.mark.release),
        ("dead", (("fault", 1),)),
        pytest.param("running", (("crash", 2),), marks=pytest.mark.release),
        pytest.param("running", (("fault", 1),), marks=pytest.mark.release),
    ],
    ids=["dead, crashes", "dead, no answers", "running, crashes", "running, no answers"],
)
def test_an_overwritten_generation_ends_in_one_document(
    monkeypatch: pytest.MonkeyPatch, delivery: str, executions: str, left: tuple[tuple[str, int], ...]
) -> None:
    spawn = lambda number: f"execution {number}" if executions == "running" else None  # noqa: E731
    explorer = modelled(Explorer(OVERWRITTEN, spawn), monkeypatch)
    actors = tuple(Actor(name, name) for name in (delivery, "overwrite", "claims"))
    ends: set[str] = set()
    for world in explorer.explore(World(actors, UPLOADED, left=left)):
        for program in (delivery, "overwrite"):
            world = redelivered(explorer, world, program)
        for round_ in range(3):
            world = replace(world, actors=(*world.actors, Actor(f"again {round_}", "claims")), now=world.now + 61)
            world = explorer.finish(world, f"again {round_}")
            for actor in world.actors:
                if actor.state in ALIVE:
                    world = explorer.finish(world, actor.name)
        (name,) = world.names("out", *TERMINAL)
        ends.add(name)
    assert "rejected/a.txt/7.json" in ends
    assert ("results/a.txt/7.json" in ends) == (executions == "running" and delivery == "deliver")


LOST = {"data": {"lost": [{"first": 0, "last": 9, "code": "broken", "message": "It broke."}]}}


def settle_in_part(execution: str) -> str:
    """The last step of an execution whose batch lost a shard."""
    document = documents.result(
        JOB,
        Lineage(execution=execution),
        documents.Usage(),
        LOST,
        status="partial",
        model=None,
        confidence=None,
        parameters={},
        cost=FREE,
    )
    return outcomes.settle(DEPLOYMENT, JOB, document).status


def replay_lost() -> str:
    """What a replay does with a result that lacks some shards."""
    content = {"status": "partial", **LOST}
    if outcomes.reopen(DEPLOYMENT.work, JOB.id, "results/a.txt/7.json", content) is None:
        return "completed"
    return restart.revive(DEPLOYMENT, restart.of_routed(DEPLOYMENT, JOB))


def test_a_late_writer_never_puts_a_partial_result_over_the_replayed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = PROGRAMS | {LATE: functools.partial(settle_in_part, "0"), "one": replay_lost}
    explorer = modelled(Explorer(programs, lambda number: f"execution {number}"), monkeypatch)
    world = explorer.finish(World((Actor("handle", "handle"),), UPLOADED), "handle")
    world = explorer.finish(world, LATE)
    assert content(world, "results/a.txt/7.json")["status"] == "partial"
    first = replace(world, actors=(Actor("one", "one"), Actor(LATE, LATE)))
    for world in explorer.explore(first):
        assert world.names("out", *TERMINAL) == ["results/a.txt/7.json"]
        document = content(world, "results/a.txt/7.json")
        assert (document["status"], document["lineage"]["execution"]) == ("succeeded", "1")
        assert content(world, "latest/a.txt.json") == document


# --- inputs that may wait --------------------------------------------------------------------------


def arrive() -> str:
    """One delivery of the event of an input that may wait."""
    reserved = intake.reserve_job(DEPLOYMENT, MAY_WAIT, lambda job: job)
    return reserved.word if isinstance(reserved, Verdict) else intake.wait(DEPLOYMENT, reserved).word


def collect(run_by: Engine = "service") -> str:
    """What a collection does with the note, once it is due; the job runs the input as a micro-batch."""
    note, run = waiting.note(MAY_WAIT), claims.uuid.uuid4().hex
    member = runs._take_up(DEPLOYMENT, note, run) if DEPLOYMENT.work.get_blob(note.name) else None
    if not isinstance(member, runs.Member):
        return "nothing"
    group, pool = [member.reserved], ThreadPoolExecutor(1)
    (result,) = together.launch(DEPLOYMENT, group, Receipt("2", RECEIVED_AT), pool, run_by, run)
    if isinstance(result, Exception):
        raise result
    waiting.forget(DEPLOYMENT.work, note)
    return result.word


def collect_together() -> str:
    """The same of a run whose execution is named once, and not in each claim."""
    return collect("job")


def meet_outage() -> str:
    """The last step of the first execution, which met an outage of the GPU service."""
    if waiting.put_back(DEPLOYMENT, MAY_WAIT, "1"):
        return "waiting"
    return settle("failed", "1")


def later(world: World, program: str) -> World:
    """The world in a few minutes, in which the program runs again."""
    actor = Actor(f"{program} again", program)
    return replace(world, actors=(*world.actors, actor), now=world.now + 200)


CALM = (("crash", 1), ("lease ends", 1))


@pytest.mark.parametrize("collect", [collect, collect_together])
@pytest.mark.parametrize(
    ("besides", "left"),
    [
        ((), (*CALM, ("fault", 1))),
        *(pytest.param((program,), CALM, marks=pytest.mark.release) for program in ("arrive", "collect", "sweep")),
    ],
    ids=str,
)
def test_an_input_that_waits_is_started_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
    besides: tuple[str, ...],
    left: tuple[tuple[str, int], ...],
    collect: Callable[[], str],
) -> None:
    explorer = modelled(Explorer({"arrive": arrive, "collect": collect, "sweep": sweep}), monkeypatch)
    actors = (*(Actor(name, name) for name in ("arrive", "collect")), *(Actor("beside", name) for name in besides))
    for world in explorer.explore(World(actors, objects=UPLOADED, left=left)):
        world = redelivered(explorer, world, "arrive")
        world = explorer.finish(later(world, "collect"), "collect again")
        if not world.happened and "sweep" not in besides:  # to which every execution here has ended without an outcome
            assert len(world.executions) == 1
        if not world.executions:
            world = explorer.finish(later(world, "sweep"), "sweep again")
        assert world.executions
    assert explorer.visited > 300


@pytest.mark.parametrize("collect", [collect, collect_together])
@pytest.mark.parametrize(
    ("besides", "left"),
    [
        ((), (("crash", 1),)),
        pytest.param((), (*CALM, ("fault", 1)), marks=[pytest.mark.release, pytest.mark.timeout(600)]),
        pytest.param(("sweep",), (("crash", 1),), marks=[pytest.mark.release, pytest.mark.timeout(600)]),
    ],
    ids=str,
)
def test_an_input_that_met_an_outage_is_started_again_or_fails_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
    besides: tuple[str, ...],
    left: tuple[tuple[str, int], ...],
    collect: Callable[[], str],
) -> None:
    programs = {"arrive": arrive, "collect": collect, "sweep": sweep, "meet outage": meet_outage}
    explorer = modelled(Explorer(programs), monkeypatch)
    begun = World((Actor("arrive", "arrive"),), objects=UPLOADED)
    begun = explorer.finish(later(explorer.finish(begun, "arrive"), "collect"), "collect again")
    assert len(begun.executions) == 1
    actors = (Actor("first", "meet outage"), Actor("second", "meet outage"), Actor("beside", "collect"))
    actors += tuple(Actor(name, name) for name in besides)
    ends: Counter[str] = Counter()
    for world in explorer.explore(replace(begun, actors=actors, left=left)):
        world = redelivered(explorer, world, "meet outage")
        world = explorer.finish(later(world, "collect"), "collect again")
        is_failed = world.stored(("out", "failed/a.txt/7.json")) is not None
        if len(world.executions) == 1 and not is_failed:
            world = explorer.finish(later(world, "sweep"), "sweep again")
        assert is_failed or len(world.executions) > 1
        if not world.happened and not besides:
            assert (is_failed, len(world.executions)) == (False, 2)
        ends["failed" if is_failed else "started again"] += 1
    assert ends["started again"] > ends["failed"]
