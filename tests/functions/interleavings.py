"""Explores every interleaving of a few actors that run the pipeline's own code over one object store.

An actor is deterministic, so that what it asks for next follows from the answers it has had. Running it again with
those answers, up to its next request, stands for suspending it; states that agree in the store, the clock and every
actor's answers are one state. The explorer performs each possible next request, with each fault that may befall it.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed, ServiceUnavailable

from pipeline import storage
from pipeline.errors import InProgressError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALIVE = ("running", "waiting")
FAULTS = ("refused", "lost", "repeated")
ERRORS = {error.__name__: error for error in (NotFound, PreconditionFailed, ServiceUnavailable)}

Key = tuple[str, str]  # bucket, name
Stored = tuple[int, bytes, tuple[tuple[str, str], ...], int]  # generation, content, metadata, seconds since noon
Answer = tuple[str, Any]  # "is" a value, or "raises" the name of an error


@dataclass(frozen=True)
class Request:
    """An actor's request to the world: `put`, `get`, `delete`, `describe`, `start` or `has_ended`."""

    verb: str
    key: Key
    content: bytes = b""
    metadata: tuple[tuple[str, str], ...] = ()
    generation: int | None = None

    @property
    def writes(self) -> bool:
        return self.verb in ("put", "delete", "start")


@dataclass(frozen=True, eq=False)
class History:
    """The answers that an actor has had, each with the time it came; the explorer makes one of each, so that comparing
    two is comparing references."""

    answers: tuple[tuple[Answer, int], ...] = ()


NONE = History()


@dataclass(frozen=True)
class Actor:
    """Runs `program`; `state` is running, waiting, crashed, raised or returned, `value` what it returned."""

    name: str
    program: str
    history: History = NONE
    state: str = "running"
    value: Any = None


@dataclass(frozen=True)
class World:
    """One state. `now` is in seconds since noon, `left` what may still happen: crashes, faults, leases that end."""

    actors: tuple[Actor, ...]
    objects: frozenset[tuple[Key, Stored]] = frozenset()
    clock: int = 0  # of generations
    now: int = 0
    executions: tuple[str, ...] = ()
    left: tuple[tuple[str, int], ...] = ()
    happened: frozenset[str] = frozenset()

    def stored(self, key: Key) -> Stored | None:
        return dict(self.objects).get(key)

    def names(self, bucket: str, *folders: str) -> list[str]:
        return sorted(name for (owner, name), _ in self.objects if owner == bucket and name.startswith(folders))

    def may(self, what: str) -> bool:
        return dict(self.left).get(what, 0) > 0

    def spend(self, what: str) -> "World":
        left = tuple((name, count - (name == what)) for name, count in self.left)
        return replace(self, left=left, happened=self.happened | {what})

    def with_actor(self, actor: Actor) -> "World":
        return replace(self, actors=tuple(actor if old.name == actor.name else old for old in self.actors))


class PausedError(BaseException):
    """The actor has made a request that is not answered yet."""


@dataclass
class Oracle:
    """Answers a running actor from its history, and stops it at its first new request."""

    history: tuple[tuple[Answer, int], ...] = ()
    asked: Request | None = None
    step: int = 0
    owners: Iterator[int] = field(default_factory=lambda: iter(range(1000)))
    name: str = ""

    def answer(self, request: Request) -> Any:
        if self.step >= len(self.history):
            self.asked = self.asked or request  # what follows is the code's own cleaning up
            raise PausedError
        (kind, value), _ = self.history[self.step]
        self.step += 1
        if kind == "raises":
            raise ERRORS[value]("by the model")
        return value

    def now(self) -> datetime:
        seconds = self.history[self.step - 1][1] if self.step else 0
        return NOON + timedelta(seconds=seconds)

    def owner(self) -> str:
        return f"{self.name}/{next(self.owners)}"


class Blob:
    """google.cloud.storage.Blob as far as the protocol uses it."""

    def __init__(self, explorer: "Explorer", key: Key) -> None:
        self._explorer, self._key = explorer, key
        self.bucket = Bucket(explorer, key[0])
        self.name = key[1]
        self.metadata: dict[str, str] | None = None
        self.generation: int | None = None
        self.size: int | None = None
        self.updated: datetime | None = None

    def upload_from_string(self, data: str | bytes, content_type: str, if_generation_match: int | None) -> None:
        content = data.encode() if isinstance(data, str) else data
        metadata = tuple(sorted((self.metadata or {}).items()))
        self.generation = self._ask(Request("put", self._key, content, metadata, if_generation_match))
        self.size = len(content)

    def download_as_bytes(self) -> bytes:
        content: bytes
        self.generation, content = self._ask(Request("get", self._key))
        return content

    def reload(self) -> None:
        self.generation, content = self._ask(Request("get", self._key))
        self.size = len(content)

    def delete(self, if_generation_match: int | None = None) -> None:
        self._ask(Request("delete", self._key, generation=if_generation_match))

    def exists(self) -> bool:
        return self._ask(Request("describe", self._key)) is not None

    def _ask(self, request: Request) -> Any:
        return self._explorer.oracle.answer(request)


class Bucket:
    """google.cloud.storage.Bucket, likewise."""

    def __init__(self, explorer: "Explorer", name: str) -> None:
        self._explorer, self.name = explorer, name

    def blob(self, name: str) -> Blob:
        return Blob(self._explorer, (self.name, name))

    def get_blob(self, name: str, generation: int | None = None) -> Blob | None:
        found = self._explorer.oracle.answer(Request("describe", (self.name, name), generation=generation))
        if found is None:
            return None
        blob = self.blob(name)
        blob.generation, blob.metadata = found[0], dict(found[1])
        blob.updated = NOON + timedelta(seconds=found[2])
        return blob


class Explorer:
    """Runs programs against worlds.

    Args:
        programs: the code of each actor, by name.
        spawn: the program that an execution runs, given how many there are already; None for one that does nothing.
        spawned: the state in which executions begin; those that are waiting are left alone while exploring.
    """

    def __init__(
        self,
        programs: dict[str, Callable[[], Any]],
        spawn: Callable[[int], str | None] = lambda _: None,
        spawned: str = "running",
    ) -> None:
        self._programs, self._spawn, self._spawned = programs, spawn, spawned
        self.oracle = Oracle()
        self._next = functools.cache(self._run)
        self._after = functools.cache(lambda history, answer, now: History((*history.answers, (answer, now))))
        self.visited = 0

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replaces the storage client by the model."""
        monkeypatch.setattr(storage, "bucket", lambda name: Bucket(self, name))

    def explore(self, first: World) -> Iterator[World]:
        """Every world that only an outside event, such as a redelivery, can change."""
        seen, frontier = {first}, [first]
        while frontier:
            world = frontier.pop()
            self.visited += 1
            if not any(actor.state == "running" for actor in world.actors):
                yield world
                continue
            for following in self._steps(world):
                if following not in seen:
                    seen.add(following)
                    frontier.append(following)

    def finish(self, world: World, name: str) -> World:
        """Lets one actor run alone to its end."""
        while (actor := next(actor for actor in world.actors if actor.name == name)).state in ALIVE:
            world = self._perform(world, actor, "normal")
        return world

    def _steps(self, world: World) -> Iterator[World]:
        if world.may("lease ends"):
            yield replace(world.spend("lease ends"), now=world.now + 61)
        for actor in world.actors:
            if actor.state != "running":
                continue
            yield self._perform(world, actor, "normal")
            if world.may("crash"):
                yield world.spend("crash").with_actor(replace(actor, state="crashed"))
            request = self._next(actor.program, actor.name, actor.history)
            if world.may("fault") and isinstance(request, Request):
                for fault in FAULTS if request.writes else FAULTS[:1]:
                    yield self._perform(world.spend("fault"), actor, fault)

    def _perform(self, world: World, actor: Actor, fault: str) -> World:
        wanted = self._next(actor.program, actor.name, actor.history)
        if not isinstance(wanted, Request):
            state, value = wanted
            return world.with_actor(replace(actor, state=state, value=value))
        answer: Answer = ("raises", "ServiceUnavailable")
        if fault != "refused":
            world, answer = self._answer(world, wanted)
        if fault == "lost":
            answer = ("raises", "ServiceUnavailable")
        if fault == "repeated":  # by the client, which got no answer
            world, answer = self._answer(world, wanted)
        return world.with_actor(replace(actor, history=self._after(actor.history, answer, world.now)))

    def _answer(self, world: World, request: Request) -> tuple[World, Answer]:
        found = world.stored(request.key)
        match request.verb:
            case "put":
                return _put(world, request, found)
            case "delete":
                return _delete(world, request, found)
            case "get":
                return world, ("raises", "NotFound") if found is None else ("is", found[:2])
            case "describe":
                matches = found is not None and request.generation in (None, found[0])
                return world, ("is", (found[0], *found[2:]) if found and matches else None)
            case "start":
                return self._start(world, request)
            case "has_ended":
                return world, ("is", not _runs(world, request.key[1]))
        raise AssertionError(request.verb)

    def _start(self, world: World, request: Request) -> tuple[World, Answer]:
        name = f"{request.key[1]}/{len(world.executions)}"
        program = self._spawn(len(world.executions))
        spawned = (
            () if program is None else (Actor(f"execution {len(world.executions)}", program, state=self._spawned),)
        )
        world = replace(world, executions=(*world.executions, name), actors=(*world.actors, *spawned))
        return world, ("is", name)

    def _run(self, program: str, name: str, history: History) -> Request | tuple[str, Any]:
        """The actor's next request, or how it ended."""
        self.oracle = Oracle(history.answers, name=name)
        try:
            value = self._programs[program]()
        except PausedError:
            assert self.oracle.asked
            return self.oracle.asked
        except (ServiceUnavailable, PreconditionFailed, NotFound, InProgressError) as error:
            return self.oracle.asked or ("raised", type(error).__name__)
        return self.oracle.asked or ("returned", value)


def _runs(world: World, execution: str) -> bool:
    number = execution.rpartition("/")[2]
    return any(actor.name == f"execution {number}" and actor.state in ALIVE for actor in world.actors)


def _put(world: World, request: Request, found: Stored | None) -> tuple[World, Answer]:
    if request.generation is not None and request.generation != (found[0] if found else 0):
        return world, ("raises", "PreconditionFailed")
    stored = (world.clock + 1, request.content, request.metadata, world.now)
    others = frozenset(item for item in world.objects if item[0] != request.key)
    return replace(world, objects=others | {(request.key, stored)}, clock=world.clock + 1), ("is", world.clock + 1)


def _delete(world: World, request: Request, found: Stored | None) -> tuple[World, Answer]:
    if found is None:
        return world, ("raises", "NotFound")
    if request.generation not in (None, found[0]):
        return world, ("raises", "PreconditionFailed")
    return replace(world, objects=frozenset(item for item in world.objects if item[0] != request.key)), ("is", None)
