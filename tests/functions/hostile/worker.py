"""Serves one function to requests from stdin with little memory: `worker.py NAME MIB [CONCURRENCY]`.

The limit is on what the process takes beside its libraries' address space, as a container's limit is. Answers each JSON
line `{"headers", "json"}`, or `{"headers", "file"}` with the body's path, with `[status, body, seconds]`. Ends with its
peak memory in MiB, that of a child included.
"""

import json
import re
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import functions_framework

STACKS_MIB = 256  # of address space for threads, of which they use little


def status(field: str) -> int:
    (kib,) = re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) // 1024


def main() -> None:
    name, memory, *concurrency = sys.argv[1:]
    app = functions_framework.create_app(name, f"functions/{name}/main.py")
    limit = (int(memory) + status("VmSize") - status("VmRSS") + STACKS_MIB) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def answer(line: str) -> str:
        began = time.monotonic()
        request: dict[str, Any] = json.loads(line)
        if file := request.pop("file", None):
            request["data"] = Path(file).read_bytes()
        response = app.test_client().post("/", **request)
        took = time.monotonic() - began
        body: Any = response.get_json(silent=True)
        return json.dumps([response.status_code, body, took])

    with ThreadPoolExecutor(int(concurrency[0]) if concurrency else 1) as pool:
        for text in pool.map(answer, sys.stdin):
            sys.stdout.write(f"ANSWER {text}\n")  # at once, since other threads log to the same stream
            sys.stdout.flush()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print("PEAK", status("VmHWM") + children)  # ru_maxrss of the process itself counts its parent's


if __name__ == "__main__":
    main()
