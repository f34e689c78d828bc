"""Prepares instances for a model: reads objects, decodes images, tokenises texts, in threads where that takes long."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from gpu_service.errors import InstanceError, ServiceError
from gpu_service.inputs import compression, instances
from gpu_service.inputs.images import decoding
from gpu_service.inputs.instances import Address, Inline, Pair
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.texts import encoding
from gpu_service.inputs.texts.tokens import FEW_CHARACTERS, TextInputs
from gpu_service.parameters import Parameters, Requested, check_tasks
from gpu_service.serving.catalog import Choice
from gpu_service.serving.model import Model
from gpu_service.storage import MAX_OBJECT_BYTES, Storage

IMAGES_PER_THREAD = 4
FETCHERS = 16  # threads that read objects

Prepared = tuple[Model, Payload, Parameters] | ServiceError


class Preparation:
    """Turns instances into payloads of the models of a choice."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._pool = ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2)), "inputs")
        self._fetchers = ThreadPoolExecutor(FETCHERS, "fetch")

    async def in_threads(self, values: Sequence[Any], choice: Choice, requested: Requested) -> list[Prepared]:
        """Each instance's payload or error, in order.

        All texts share a thread: tokenising holds the interpreter's lock, and more threads that compete for it only
        keep it from the device's thread.
        """
        loop = asyncio.get_running_loop()
        groups = _groups(values)
        parts = await asyncio.gather(
            *(
                loop.run_in_executor(
                    self._fetchers if group.fetched else self._pool,
                    self.here,
                    [values[index] for index in group.indices],
                    choice,
                    requested,
                )
                for group in groups
            )
        )
        prepared: list[Any] = [None] * len(values)
        for group, part in zip(groups, parts, strict=True):
            for index, item in zip(group.indices, part, strict=True):
                prepared[index] = item
        return prepared

    def here(self, values: Sequence[Any], choice: Choice, requested: Requested) -> list[Prepared]:
        """The same in this thread; a model's instances are prepared together."""
        prepared: list[Any] = [self._content(value, choice, requested) for value in values]
        indices: dict[str, list[int]] = {}
        for index, item in enumerate(prepared):
            if isinstance(item, tuple):
                indices.setdefault(item[0].key, []).append(index)
        for of_model in indices.values():
            chosen = prepared[of_model[0]][0]
            contents, chosen_parameters = zip(*(prepared[index][1:] for index in of_model), strict=True)
            payloads = chosen.task.payloads(contents, chosen_parameters)
            for index, payload in zip(of_model, payloads, strict=True):
                parameters = prepared[index][2]
                if isinstance(payload, Payload) and isinstance(chosen.inputs, TextInputs):
                    payload = chosen.inputs.shortened(payload, parameters.max_length)
                prepared[index] = (chosen, payload, parameters) if isinstance(payload, Payload) else payload
        return prepared

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)

    def _content(
        self, value: object, choice: Choice, requested: Requested
    ) -> tuple[Model, Any, Parameters] | ServiceError:
        """The model for an instance, what that model's inputs read, and the parameters: its own precede `requested`."""
        try:
            instance = instances.parse(value)
            if isinstance(instance, Address):
                instance = self._fetch(instance, choice.named)
            chosen = choice.of(instance.kind)
            if chosen.task.kind != instance.kind:
                raise InstanceError(
                    f"The model {chosen.entry.name} does not accept instances of the kind {instance.kind}.",
                    "wrong_kind",
                )
            if isinstance(instance.content, Pair) and not chosen.task.reads_pairs:
                raise InstanceError(f"The model {chosen.entry.name} reads one text, without text_pair.", "wrong_kind")
            if own := instances.parameters(value):
                check_tasks(own, [chosen.entry.task])
        except ServiceError as error:
            return error
        return chosen, instance.content, chosen.effective({**requested, **own} if own else requested)

    def _fetch(self, address: Address, model: Model | None) -> Inline:
        """An object as an instance, by its content.

        Raises:
            ServiceError: as `Storage.instance` and `compression.unpacked` do, or InstanceError: `undecodable`.
        """
        stored, content_type = self.storage.instance(address.uri, address.generation)
        if self.storage.is_staged_text(address.uri):
            return Inline("text", stored.decode())
        if self.storage.is_staged_pair(address.uri):
            return Inline("text", msgspec.json.decode(stored, type=Pair))
        data = compression.unpacked(stored, MAX_OBJECT_BYTES)
        if decoding.has_signature(data):
            return Inline("image", data)
        text = encoding.decode(data, content_type)
        if text is not None:
            return Inline("text", text)
        if model is not None and model.inputs.kind == "text":
            raise InstanceError("The object is not text, or its encoding cannot be recognised.", "undecodable")
        return Inline("image", data)


@dataclass(frozen=True, slots=True)
class Group:
    """Instances that one thread prepares."""

    indices: Sequence[int]
    fetched: bool = False


def _groups(values: Sequence[Any]) -> list[Group]:
    """All texts together, images a few at a time, objects one by one."""
    by_kind: dict[str, list[int]] = {"text": [], "image": [], "uri": []}
    for index, value in enumerate(values):
        by_kind[instances.kind(value)].append(index)
    images = by_kind["image"]
    groups = [Group(by_kind["text"])] if by_kind["text"] else []
    groups += [Group(images[start : start + IMAGES_PER_THREAD]) for start in range(0, len(images), IMAGES_PER_THREAD)]
    return groups + [Group([index], fetched=True) for index in by_kind["uri"]]


def is_quick(values: Sequence[Any]) -> bool:
    """Whether preparing them takes less time than handing them to a thread: few and short texts."""
    total = 0
    for value in values:
        text = value.get("text") if isinstance(value, dict) else value
        if isinstance(value, dict) and text is None and ("image" in value or "uri" in value):
            return False
        total += len(text) if isinstance(text, str) else 0
        pair = value.get("text_pair") if isinstance(value, dict) else None
        total += len(pair) if isinstance(pair, str) else 0
    return total <= FEW_CHARACTERS
