"""Uploads, overwrites, deletes, forges and orders, while the proxy injects faults and the emulator is killed."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from google.cloud.storage.retry import DEFAULT_RETRY

from emulator.process import Stack
from tests.chaos import evidence
from tests.chaos.inputs import Life, Sent
from tests.chaos.ledger import Audit, Ledger

INPUT = "local-input"
UPLOADERS = 6
ON_UPLOAD = "eventarc-us-central1-on-upload"  # the topic of its trigger
PATIENT = DEFAULT_RETRY.with_timeout(300)  # while the emulator restarts
CRASH_EVERY_S = (8, 25)
QUIET_S = 22  # longer than a trigger puts an event off (10 s), and a killed collection holds its lanes (20 s)
UNCHANGED_S = 90  # while the storm rages, after which its end may change more
COLLECT: dict[str, Any] = {"collect": {}}
ORDERS: tuple[dict[str, Any], ...] = (COLLECT, {"sweep": {}}, {"replay": {}}, {"replay": {"partial": True}})
COLLECTIONS = 3  # per sweep and replay


@dataclass
class Storm:
    """A stack under chaos; `deeds` counts what was done to it, besides the faults of the proxy."""

    stack: Stack
    dice: random.Random
    pulse_every_s: float
    kills: int
    crashes: int
    deeds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        self.ledger = Ledger(self.client)
        self.publisher = pubsub_v1.PublisherClient()
        self.faults: Counter[str] = Counter()  # of proxies that died with the emulator
        self.next_pulse, self.pulses = 0.0, 0
        self.announced: dict[str, list[str]] = {}  # `<topic> <message id>` by document

    @property
    def chaos(self) -> str:
        address: str = self.stack.addresses["services"]["chaos"]
        return address

    def counts(self) -> Counter[str]:
        """The faults that the proxy has injected."""
        return self.faults + Counter(httpx.get(self.chaos + "/counts", timeout=30).json())

    def kills_left(self) -> int:
        return max(0, self.kills - sum(count for fault, count in self.counts().items() if "random point" in fault))

    def rage(self, lives: Iterable[Life], timeout_s: float) -> None:
        """Lets the faults rage until all is done and every generation has a document, or until the timeout.

        Ends too when all is done and nothing has changed for a while: a document is missing that comes, if ever, only
        in the calm.
        """
        bucket = self.client.bucket(INPUT)
        bucket.notification("uploads", "local-project", blob_name_prefix="collected/").create()
        self._begin()
        self.unchanged_until, self.last_missing = float("inf"), [""]
        give_up, crash_at = time.monotonic() + timeout_s, time.monotonic() + self.dice.uniform(*CRASH_EVERY_S)
        with ThreadPoolExecutor(UPLOADERS) as pool:
            living = [pool.submit(self._live, life) for life in lives]
            while not self._is_done(living) and time.monotonic() < min(give_up, self.unchanged_until):
                self.pulse()
                if self.crashes and time.monotonic() > crash_at:
                    self._crash()
                    crash_at = time.monotonic() + self.dice.uniform(*CRASH_EVERY_S)
                time.sleep(0.5)
            for life in living:
                life.result()

    def calm(self) -> None:
        """Ends the faults, then announces a part of the generations once more."""
        httpx.post(self.chaos + "/calm", timeout=30)
        self._announce_again(len(self.ledger.sent) // 10)
        self._order(*ORDERS)

    def wait(self, done: Callable[[Audit], bool], timeout_s: float) -> Audit:
        """The documents once they are as they should be, or nothing can change them any more, or after the timeout.

        Nothing can when a round of all orders has been carried out and the problems are still the same.
        """
        give_up, before = time.monotonic() + timeout_s, None
        while True:
            self._wait_until_still(done, give_up)
            audit = self.ledger.audit()
            now = audit.problems, evidence.uncollected(self.stack.data)
            if done(audit) or now == before or time.monotonic() > give_up:
                return audit
            before = now
            self._order(*ORDERS)

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Waits until nothing happens for longer than any event is put off or lane is held, or until the timeout."""
        self._wait_until_still(lambda _: False, time.monotonic() + timeout_s)

    def evidence(self, audit: Audit) -> dict[str, Any]:
        """What is known of each missing document."""
        data = self.stack.data
        return {
            document: evidence.of_document(data, self.client, INPUT, document, self.announced.get(document, []))
            for document in audit.missing
        }

    def _wait_until_still(self, done: Callable[[Audit], bool], give_up: float) -> None:
        """Waits until no message, execution or call is under way, or all is done."""
        while time.monotonic() < give_up:
            self.stack.check()
            quiet_s = httpx.get(self.chaos + "/quiet", timeout=30).json()
            is_still = quiet_s > QUIET_S and not evidence.at_work(self.stack.data)
            if is_still or done(self.ledger.audit()):
                return
            time.sleep(0.5 + len(self.ledger.sent) / 1000)  # polling loads the store

    def pulse(self) -> None:
        """From time to time: overlapping orders, as of two schedulers, and events out of order."""
        self.stack.check()
        if time.monotonic() < self.next_pulse:
            return
        self.next_pulse = time.monotonic() + self.pulse_every_s / COLLECTIONS
        self.pulses += 1
        self._order(*((COLLECT,) if self.pulses % COLLECTIONS else ORDERS))

    def _order(self, *orders: dict[str, Any]) -> None:
        for order in orders:
            for _ in range(2):
                self._publish("messages", json.dumps(order).encode())
                self.deeds[f"ordered: {next(iter(order))}"] += 1

    def _begin(self) -> None:
        httpx.post(self.chaos + "/storm", params={"kills": self.kills_left()}, timeout=30).raise_for_status()

    def _is_done(self, living: list["Future[None]"]) -> bool:
        for life in living:
            if life.done():
                life.result()  # raises its error
        if self.crashes or not all(life.done() for life in living) or self.kills_left():
            return False
        missing = self.ledger.audit().missing
        if missing != self.last_missing:
            self.last_missing, self.unchanged_until = missing, time.monotonic() + UNCHANGED_S
        return not missing

    def _crash(self) -> None:
        """Kills the emulator with its process group, and starts it again on the same data."""
        self.faults = self.counts()
        assert self.stack.refusals() == []  # the next start begins the log anew
        env, services = self.stack.addresses["env"], psutil.Process(self.stack.pid).children(recursive=True)
        os.killpg(self.stack.pid, signal.SIGKILL)
        self.stack.kill()
        psutil.wait_procs(services, timeout=30)  # they hold ports that the next run wants again
        self.stack.start(timeout_s=180)
        assert self.stack.addresses["env"] == env, "the clients' addresses have changed"
        self.crashes -= 1
        self.deeds["emulator killed and restarted"] += 1
        self._begin()

    def _live(self, life: Life) -> None:
        """Uploads the generations of one object, forges some that never exist, and may delete it."""
        generation = 0
        for number, (sent, pause_s) in enumerate(zip(life.generations, life.pauses_s, strict=True)):
            generation = self._upload(sent, generation)
            self.ledger.uploaded(sent, generation)
            self.deeds["overwritten" if number else "uploaded"] += 1
            if self.dice.random() < 0.1:
                self._forge(sent.name, generation)
            if number + 1 < len(life.generations) or life.is_deleted:
                time.sleep(pause_s)
        if life.is_deleted:
            self._delete(sent.name, generation)
            self.ledger.deleted(sent.name)
            self.deeds["deleted"] += 1
        if self.dice.random() < 0.1:
            self._announce_again(1)

    def _upload(self, sent: Sent, previous: int) -> int:
        """Uploads the object once, even if a response is lost, and returns its generation."""
        blob = self.client.bucket(INPUT).blob(sent.name)
        try:
            blob.upload_from_string(
                sent.content, "application/octet-stream", if_generation_match=previous, retry=PATIENT, timeout=30
            )
        except PreconditionFailed:
            blob.reload(retry=PATIENT)
        assert blob.generation not in (None, previous)
        return int(blob.generation)

    def _delete(self, name: str, generation: int) -> None:
        try:
            self.client.bucket(INPUT).blob(name).delete(if_generation_match=generation, retry=PATIENT)
        except (NotFound, PreconditionFailed):  # the first response was lost
            return

    def _forge(self, name: str, generation: int) -> None:
        """Announces a generation that never existed, newer or older than the given one."""
        forged = self.dice.choice((generation + self.dice.randint(1, 10**9), self.dice.randint(1, 10**9)))
        self.ledger.forged(name, forged)
        topics = ["messages", "uploads"]
        if name.startswith(("fleeting/", "waiting/")):  # events of other folders may be lost
            topics.append(ON_UPLOAD)
        self._announce(self.dice.choice(topics), name, forged)
        self.deeds["forged generation announced"] += 1

    def _announce_again(self, count: int) -> None:
        """Announces generations that exist, or existed, in any order."""
        documents = list(self.ledger.sent)
        for document in self.dice.sample(documents, min(count, len(documents))):
            name, _, generation = document.rpartition("/")
            self._announce(self.dice.choice(("messages", "uploads", ON_UPLOAD)), name, int(generation))
            self.deeds["generation announced again"] += 1

    def _announce(self, topic: str, name: str, generation: int) -> None:
        resource = {"bucket": INPUT, "name": name, "generation": str(generation), "size": "100"}
        attributes = {
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "JSON_API_V1",
            "bucketId": INPUT,
            "objectId": name,
            "objectGeneration": str(generation),
        }
        message = self._publish(topic, json.dumps(resource).encode(), **attributes)
        self.announced.setdefault(f"{name}/{generation}", []).append(f"{topic} {message}")

    def _publish(self, topic: str, data: bytes, **attributes: Any) -> str:
        """Returns the message's id."""
        path = self.publisher.topic_path("local-project", topic)
        message: str = self.publisher.publish(path, data, **attributes).result(timeout=300)
        return message
