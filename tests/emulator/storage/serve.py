"""Serves the store of a folder on a free port, which it prints first; a test kills this process."""

import socket
import sys
from pathlib import Path

import uvicorn

from emulator.storage import Store, app

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
store = Store(Path(sys.argv[1]))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app(store), log_level="critical")).run(sockets=[listener])
