"""Measures the Workflows emulator: overhead per step (compared with a peer), concurrent executions, memory.

    make benchmark-workflows

Part 1 runs loop.yaml in this interpreter and in PyPI's workflows-emulator, each in its own process. Part 2 starts
the emulator and a small HTTP service as processes, and creates executions of three_calls.yaml through the official
client: 200 in sequence (overhead per step), then 1,000 concurrently.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import psutil
import yaml
from google.cloud.workflows import executions_v1
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcAsyncIOTransport

from emulator.process import Stack
from emulator.workflows import load

HERE = Path(__file__).parent
PARENT = "projects/bench/locations/local/workflows/three-calls"
LOOP_STEPS = 2 + 400 * 4.5  # half of the rounds pass through `odd`, half through `even`
CALL_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter of an environment with workflows-emulator==1.10.0")
    parser.add_argument("--executions", type=int, default=1000)
    options = parser.parse_args()
    compare_steps(options.peer)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_executions(Path(folder), options.executions))


def compare_steps(peer: str | None, runs: int = 5) -> None:
    workflow = load((HERE / "loop.yaml").read_text())
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        outcome = asyncio.run(workflow.execute({}))
        seconds.append(time.perf_counter() - began)
    best = min(seconds)
    print(f"loop.yaml, {LOOP_STEPS:.0f} steps, best of {runs}")
    print(f"  this emulator       {best / LOOP_STEPS * 1e6:8.1f} µs a step")
    if peer:
        command: list[str | Path] = [peer, HERE / "peer.py", HERE / "loop.yaml", str(runs)]
        result, peer_seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
        assert int(result) == outcome.result, "the two interpreters disagree"
        print(f"  workflows-emulator  {float(peer_seconds) / LOOP_STEPS * 1e6:8.1f} µs a step")
        print(f"  ratio               {float(peer_seconds) / best:8.1f}")


async def measure_executions(folder: Path, count: int) -> None:
    port = free_port()
    target = subprocess.Popen([sys.executable, HERE / "target.py", str(port)])
    try:
        with Stack(folder / "data", stack=stack_file(folder, port)) as stack:
            stack.start()
            await drive(stack, count)
    finally:
        target.terminate()
        target.wait()


def stack_file(folder: Path, port: int) -> Path:
    env = {"TARGET_URL": f"http://127.0.0.1:{port}"}
    workflows = {"three-calls": {"source": str(HERE / "three_calls.yaml"), "env": env}}
    path = folder / "stack.yaml"
    path.write_text(yaml.safe_dump({"project": "bench", "location": "local", "workflows": workflows}))
    return path


async def drive(stack: Stack, count: int) -> None:
    channel = grpc.aio.insecure_channel(stack.grpc)
    client = executions_v1.ExecutionsAsyncClient(transport=ExecutionsGrpcAsyncIOTransport(channel=channel))
    await execute(client, 0)
    durations = [await execute(client, number) for number in range(200)]
    steps = sorted(1000 * seconds / CALL_STEPS for seconds in durations)
    print("three_calls.yaml, 200 executions in sequence, HTTP included")
    print(f"  per step  p50 {statistics.median(steps):.2f} ms  p99 {steps[int(len(steps) * 0.99)]:.2f} ms")

    began = time.perf_counter()
    await asyncio.gather(*(execute(client, number) for number in range(count)))
    seconds = time.perf_counter() - began
    emulator = max(
        (process for process in psutil.process_iter(["cmdline"]) if str(stack.data) in process.info["cmdline"]),
        key=lambda process: process.memory_info().rss,
    )
    print(f"three_calls.yaml, {count:,} concurrent executions: all succeeded")
    print(f"  {count / seconds:.0f} executions/s, {3 * count / seconds:.0f} HTTP calls/s")
    print(f"  memory of the emulator afterwards {emulator.memory_info().rss / 2**20:.0f} MiB")
    await channel.close()


async def execute(client: executions_v1.ExecutionsAsyncClient, number: int) -> float:
    """The execution's duration in seconds; its result must be the number."""
    argument = executions_v1.Execution(argument=json.dumps({"number": number}))
    created = await client.create_execution(parent=PARENT, execution=argument, timeout=60)
    while True:
        execution = await client.get_execution(name=created.name, timeout=60)
        if execution.state not in (executions_v1.Execution.State.ACTIVE, executions_v1.Execution.State.QUEUED):
            break
        await asyncio.sleep(0.02 if number < 200 else 0.5)
    assert json.loads(execution.result) == number, execution
    return float((execution.end_time - execution.start_time).total_seconds())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
