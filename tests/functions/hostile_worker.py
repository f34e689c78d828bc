"""Serves one function to requests from stdin, in a process whose memory is limited: `hostile_worker.py NAME MIB`.

Answers each JSON line `{"headers", "json"}` with `[status, body, seconds]`, and ends with its peak memory in MiB.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path

import functions_framework


def main() -> None:
    name, limit = sys.argv[1], int(sys.argv[2]) << 20
    client = functions_framework.create_app(name, f"functions/{name}/main.py").test_client()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        began = time.monotonic()
        answer = client.post("/", **json.loads(line))
        took = time.monotonic() - began
        print("ANSWER", json.dumps([answer.status_code, answer.get_json(silent=True), took]), flush=True)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # ru_maxrss counts the parent's
    print("PEAK", int(peak) // 1024)


if __name__ == "__main__":
    main()
