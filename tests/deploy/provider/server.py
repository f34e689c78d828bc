"""A stand-in for Terraform's Google providers, with the real schema and resources that equal their plan.

It implements Terraform's plugin protocol 5 over gRPC, so that the real terraform can validate, plan and apply.
Message and field numbers are those of tfplugin5.proto.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec

from tests.deploy.provider import values
from tests.deploy.provider.rules import Rules
from tests.deploy.provider.wire import decode, encode, one
from tests.deploy.shape import PROJECT
from tests.deploy.stand_in.refusals import Refusal

SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text())
UNKNOWN = msgspec.msgpack.Ext(0, b"\0")
LIST = 2  # NestedBlock.NestingMode
# Blocks that the provider fills in when they are missing, which makes them attributes for Terraform.
FILLED = {
    "transport": ["list", ["object", {"pubsub": ["list", ["object", {"subscription": "string", "topic": "string"}]]}]]
}

Block = dict[str, Any]
Value = dict[str, Any]


def block_message(block: Block) -> bytes:
    fields: list[tuple[int, Any]] = []
    filled = {name: [FILLED[name], "computed"] for name in block["blocks"] if name in FILLED}
    for name, (kind, how) in sorted({**block["attributes"], **filled}.items()):
        optional = how == "optional"
        attribute = [(1, name), (2, json.dumps(kind)), (4, how == "required"), (5, optional), (6, how == "computed")]
        fields.append((2, encode((number, value) for number, value in attribute if value)))
    for name, (most, inner) in sorted(block["blocks"].items()):
        if name not in FILLED:
            nested = [(1, name), (2, block_message(inner)), (3, LIST), (5, most)]
            fields.append((3, encode(nested)))
    return encode(fields)


def schema_message(block: Block) -> bytes:
    return encode([(2, block_message(block))])


def filled_in(block: Block, value: Value, fill: Callable[[str, Any], Any]) -> Value:
    """A value with its null computed attributes filled in."""
    done = dict(value)
    for name, (kind, how) in block["attributes"].items():
        if how == "computed" and done.get(name) is None:
            done[name] = fill(name, kind)
    for name, (_, inner) in block["blocks"].items():
        if name in FILLED:
            done[name] = fill(name, FILLED[name]) if done.get(name) is None else done[name]
        elif isinstance(done.get(name), list):
            done[name] = [filled_in(inner, entry, fill) for entry in done[name]]
    return done


def known(value: Any) -> Any:
    """A planned value with null in place of unknown values."""
    if isinstance(value, msgspec.msgpack.Ext):
        return None
    if isinstance(value, dict):
        return {key: known(entry) for key, entry in value.items()}
    return [known(entry) for entry in value] if isinstance(value, list) else value


class Provider:
    """The RPC methods of a provider, from request bytes to response bytes."""

    def __init__(self, name: str, rules: Rules | None = None) -> None:
        self.rules = rules
        self.schema = SCHEMA[name]
        config = {
            "attributes": {key: ["string", "optional"] for key in ("project", "region", "zone", "billing_project")}
        }
        config["attributes"]["user_project_override"] = ["bool", "optional"]
        self.config: Block = {**config, "blocks": {}}

    def GetSchema(self, _: bytes) -> bytes:
        resources = [(2, encode([(1, k), (2, schema_message(b))])) for k, b in self.schema["resources"].items()]
        data = [(3, encode([(1, k), (2, schema_message(b))])) for k, b in self.schema["data"].items()]
        return encode([(1, schema_message(self.config)), *resources, *data])

    def PrepareProviderConfig(self, request: bytes) -> bytes:
        return encode([(1, one(decode(request), 1))])

    def nothing(self, _: bytes) -> bytes:
        return b""

    ValidateResourceTypeConfig = ValidateDataSourceConfig = Configure = Stop = nothing

    def UpgradeResourceState(self, request: bytes) -> bytes:
        state = json.loads(one(decode(one(decode(request), 3)), 1))
        return encode([(1, dynamic(state))])

    def ReadResource(self, request: bytes) -> bytes:
        return encode([(1, one(decode(request), 2))])

    def PlanResourceChange(self, request: bytes) -> bytes:
        fields = decode(request)
        proposed = read(one(fields, 3))
        if proposed is None:
            return encode([(1, dynamic(None)), (5, True)])
        if read(one(fields, 2)) is None:  # a new resource, whose computed values are unknown until applied
            block = self.schema["resources"][one(fields, 1).decode()]
            proposed = filled_in(block, proposed, lambda *_: UNKNOWN)
        return encode([(1, dynamic(proposed)), (5, True)])

    def ApplyResourceChange(self, request: bytes) -> bytes:
        fields = decode(request)
        kind, planned = one(fields, 1).decode(), known(read(one(fields, 3)))
        prior = read(one(fields, 2))
        try:
            if self.rules and planned is not None:
                self.rules.make(kind, planned)
            elif planned is None:
                delete(kind, prior)
                if self.rules:
                    self.rules.remove(kind, prior)
        except Refusal as refusal:
            return encode([(1, dynamic(prior)), (3, diagnostic(refusal)), (4, True)])
        if planned is None:
            return encode([(1, dynamic(None)), (4, True)])
        block = self.schema["resources"][kind]
        return encode([(1, dynamic(filled_in(block, planned, values.of(kind, planned)))), (4, True)])

    def ReadDataSource(self, request: bytes) -> bytes:
        fields = decode(request)
        kind, config = one(fields, 1).decode(), known(read(one(fields, 2)))
        try:
            if self.rules:
                self.rules.read(kind)
        except Refusal as refusal:
            return encode([(1, dynamic(None)), (2, diagnostic(refusal))])
        return encode([(1, dynamic(filled_in(self.schema["data"][kind], config, values.of(kind, config))))])


def delete(kind: str, values: Value) -> None:
    """Refuses to delete what holds data, as every dataset and bucket does here, unless the resource allows it."""
    if kind == "google_bigquery_dataset" and not values["delete_contents_on_destroy"]:
        raise Refusal(400, f"Dataset {PROJECT}:{values['dataset_id']} is still in use", "resourceInUse")
    if kind == "google_storage_bucket" and not values["force_destroy"]:
        text = "Error trying to delete bucket {} containing objects without `force_destroy` set to true"
        raise Refusal(400, text.format(values["name"]))


def diagnostic(refusal: Refusal) -> bytes:
    summary = f"googleapi: Error {refusal.http}: {refusal.message}, {refusal.reason or refusal.status}"
    return encode([(1, 1), (2, summary)])


def dynamic(value: Any) -> bytes:
    return encode([(1, msgspec.msgpack.encode(value))])


def read(message: bytes) -> Any:
    return msgspec.msgpack.decode(one(decode(message), 1))


class Handler(grpc.GenericRpcHandler):
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = details.method.rpartition("/")[2]
        if details.method.startswith("/grpc.health"):
            return grpc.unary_unary_rpc_method_handler(lambda *_: encode([(1, 1)]))
        answer = getattr(self.provider, method, None)
        return answer and grpc.unary_unary_rpc_method_handler(lambda request, _: answer(request))


@contextmanager
def serving(rules: Rules | None = None) -> Iterator[dict[str, str]]:
    """Serves every provider on loopback and yields the variable that tells terraform where.

    With rules, creating and reading meets them first.
    """
    reattach, servers = {}, []
    for name in SCHEMA:
        server = grpc.server(futures.ThreadPoolExecutor(12), handlers=[Handler(Provider(name, rules))])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        reattach[f"registry.terraform.io/hashicorp/{name}"] = {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
        }
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps(reattach)}
    finally:
        for server in servers:
            server.stop(None).wait()
