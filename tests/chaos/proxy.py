"""A proxy between the parts of a stack that injects faults by a seed: `python -m tests.chaos.proxy --help`.

    /events/<service>          an event's delivery: dropped, delayed, duplicated, or without its acknowledgement
    /from/<service>/<path>     a service's call to Cloud Storage
    /to/<service>/<path>       the workflow's call to a service

Both kinds of call are refused, left hanging, or lose their response. Services are killed, or frozen for longer than a
claim's lease, at random times and at the worst moments: between claim and start, and between writing the result and
its acknowledgement.
"""

import argparse
import asyncio
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from aiohttp.typedefs import Handler
from yarl import URL

from tests.chaos import inputs, processes

KEPT_BACK = ("host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding")
REFUSALS = (429, 500, 503)
CLAIMERS = ("on-upload", "on-message")


@dataclass
class Odds:
    """The probability of each fault per event or call; names with `_s` are seconds."""

    drop: float = 0.02
    duplicate: float = 0.2
    copies: int = 4  # besides the event itself
    delay_s: float = 1.0
    lose_acknowledgement: float = 0.03
    refuse: float = 0.02
    hang: float = 0.005
    hang_s: float = 4.0
    lose_answer: float = 0.01
    kill_after_claim: float = 0.02
    kill_after_result: float = 0.02
    lose_event: float = 0.8  # once its handler was killed
    freeze: float = 0.3  # in place of a kill
    freeze_s: float = 13.0


@dataclass
class Chaos:
    """Injects and counts faults, except while `calm`, as at the start."""

    seed: int
    targets: dict[str, str]
    kill_every_s: float
    apis: dict[str, str]  # where each account finds the emulator's APIs
    odds: Odds = field(default_factory=Odds)
    counts: Counter[str] = field(default_factory=Counter)
    calm: bool = True

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.names = sorted(self.targets)
        self.background: set[asyncio.Task[None]] = set()
        self.tokens: dict[str, tuple[float, str]] = {}
        self.in_flight, self.last_request = 0, time.monotonic()
        self.orphaned: set[str] = set()  # generations whose claim outlives its handler

    def happens(self, name: str) -> bool:
        return not self.calm and self.dice.random() < getattr(self.odds, name)

    def spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def events(self, request: web.Request) -> web.Response:
        service, body = request.match_info["service"], await request.read()
        headers = kept(request) | await self.bearer(service, "events")
        upload = json.loads(body) if service == "on-upload" else {}
        if inputs.is_collected(upload.get("name", "")):
            return web.Response()
        if inputs.is_lasting(upload.get("name", "")) and self.happens("drop"):
            self.counts["event dropped"] += 1
            return web.Response()
        if self.happens("duplicate"):
            for _ in range(self.dice.randint(1, self.odds.copies)):
                again = dict(headers)
                if self.dice.random() < 0.5:
                    again["ce-id"] = str(uuid.UUID(int=self.dice.getrandbits(128)))
                self.counts["event duplicated"] += 1
                self.spawn(self.copy(service, again, body))
        if not self.calm:
            self.counts["event delayed"] += 1
            await asyncio.sleep(self.dice.uniform(0, self.odds.delay_s))
        answer = await self.forward(request, self.targets[service], body, headers)
        if answer.status == 200 and self.happens("lose_acknowledgement"):
            self.counts["acknowledgement lost"] += 1
            return web.Response(status=500)
        if answer.status != 200 and upload.get("generation") in self.orphaned and self.happens("lose_event"):
            self.counts["event dropped after its claim"] += 1
            return web.Response()
        return answer

    async def copy(self, service: str, headers: dict[str, str], body: bytes) -> None:
        await asyncio.sleep(self.dice.uniform(0, 3 * self.odds.delay_s))
        try:
            async with self.session.post(self.targets[service], data=body, headers=headers) as answer:
                await answer.read()
        except (ClientError, TimeoutError):
            self.counts["duplicate met a dead service"] += 1

    async def storage(self, request: web.Request) -> web.Response:
        return await self.call(request, self.apis[request.match_info["service"]], "storage", {})

    async def service(self, request: web.Request) -> web.Response:
        name = request.match_info["service"]
        return await self.call(request, self.targets[name], name, await self.bearer(name, "workflow"))

    async def bearer(self, service: str, account: str) -> dict[str, str]:
        """A header with the account's token for the service, which rejects tokens issued for this proxy."""
        until, token = self.tokens.get(service, (0.0, ""))
        if until < time.monotonic():
            path = "/computeMetadata/v1/instance/service-accounts/default/identity"
            query, flavor = {"audience": self.targets[service]}, {"Metadata-Flavor": "Google"}
            async with self.session.get(self.apis[account] + path, params=query, headers=flavor) as answer:
                token = await answer.text()
            self.tokens[service] = (time.monotonic() + 300, token)
        return {"Authorization": f"Bearer {token}"}

    async def call(self, request: web.Request, target: str, name: str, token: dict[str, str]) -> web.Response:
        body, headers = await request.read(), kept(request) | token
        if self.happens("refuse"):
            status = self.dice.choice(REFUSALS)
            self.counts[f"{name} answers {status}"] += 1
            return web.Response(status=status, headers={"Retry-After": "1"} if status == 429 else {})
        if self.happens("hang"):
            self.counts[f"{name} hangs"] += 1
            await asyncio.sleep(self.odds.hang_s)
        answer = await self.forward(request, target + "/" + behind(request), body, headers)
        if name == "storage" and answer.status == 200:
            self.strike(request.match_info["service"], body)
        if request.method != "GET" and self.happens("lose_answer"):
            self.counts[f"{name}: answer lost"] += 1
            return web.Response(status=503)
        return answer

    def strike(self, service: str, body: bytes) -> None:
        """Kills or freezes a service that has just written a claim or a result and waits for the response."""
        start = body[:2048]
        if service in CLAIMERS and b'"name": "claims/' in start and b'"state": "claimed"' in body:
            if self.happens("kill_after_claim") and self.harm(service, "between claim and start") == "killed":
                self.orphaned |= {match.decode() for match in re.findall(rb'"generation": "(\d+)"', body)}
        elif service == "postprocess" and b'"name": "results/' in start and self.happens("kill_after_result"):
            self.harm(service, "between result and acknowledgement")

    async def forward(self, request: web.Request, url: str, body: bytes, headers: dict[str, str]) -> web.Response:
        query = f"?{request.rel_url.raw_query_string}" if request.query_string else ""
        try:
            async with self.session.request(
                request.method, URL(url + query, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                passed = {k: v for k, v in answer.headers.items() if k.lower() not in KEPT_BACK}
                return web.Response(status=answer.status, body=content, headers=passed)
        except (ClientError, TimeoutError):
            self.counts["call met a dead service"] += 1
            return web.Response(status=503)

    async def harm_at_random(self, times: int) -> None:
        """Kills or freezes services at random times."""
        while times:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * self.kill_every_s)
            if not self.calm and self.harm(self.dice.choice(self.names), "at a random point"):
                times -= 1

    def harm(self, service: str, where: str) -> str | None:
        """Kills or freezes a service; returns what it did, None if the service was not running."""
        process = processes.running(service)
        if process is None:
            return None
        if self.happens("freeze"):
            harm = "frozen"
            self.spawn(processes.freeze(process, self.odds.freeze_s))
        else:
            harm = "killed"
            processes.kill(process)
        self.counts[f"{service} {harm} {where}"] += 1
        return harm

    async def weather(self, request: web.Request) -> web.Response:
        self.calm = request.path == "/calm"
        if not self.calm:
            if unknown := [name for name in self.names if processes.running(name) is None]:
                return web.Response(status=500, text=f"no process of {', '.join(unknown)} is running")
            self.spawn(self.harm_at_random(int(request.query["kills"])))
        return web.Response()

    async def report(self, request: web.Request) -> web.Response:
        return web.json_response(self.counts)

    async def quiet(self, request: web.Request) -> web.Response:
        """For how many seconds nothing has passed."""
        return web.json_response(0 if self.in_flight else time.monotonic() - self.last_request)

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.count("/") == 1:  # not for another service
            return await handler(request)
        self.in_flight += 1
        try:
            return await handler(request)
        finally:
            self.in_flight -= 1
            self.last_request = time.monotonic()

    async def lifetime(self, app: web.Application) -> AsyncIterator[None]:
        self.session = ClientSession(timeout=ClientTimeout(total=120), auto_decompress=False)
        yield
        for task in self.background:
            task.cancel()
        await self.session.close()


def kept(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in KEPT_BACK}


def behind(request: web.Request) -> str:
    """The path after /from/<service>/ or /to/<service>/, with a slash in a name still encoded."""
    return request.rel_url.raw_path.split("/", 3)[3]


def application(chaos: Chaos) -> web.Application:
    app = web.Application(client_max_size=64 << 20, middlewares=[chaos.watch])
    app.router.add_post("/events/{service}", chaos.events)
    app.router.add_route("*", "/from/{service}/{path:.*}", chaos.storage)
    app.router.add_route("*", "/to/{service}/{path:.*}", chaos.service)
    app.router.add_post("/calm", chaos.weather)
    app.router.add_post("/storm", chaos.weather)
    app.router.add_get("/counts", chaos.report)
    app.router.add_get("/quiet", chaos.quiet)
    app.cleanup_ctx.append(chaos.lifetime)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-every", type=float, default=6, metavar="SECONDS")
    parser.add_argument("--apis", action="append", required=True, metavar="ACCOUNT=URL", help="of the emulator")
    parser.add_argument("--odds", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("targets", nargs="+", metavar="NAME=URL")
    options = parser.parse_args()
    targets, apis = (dict(each.split("=", 1) for each in pairs) for pairs in (options.targets, options.apis))
    odds = Odds(**options.odds)
    chaos = Chaos(options.seed, targets, options.kill_every, apis, odds)
    web.run_app(application(chaos), host="127.0.0.1", port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
