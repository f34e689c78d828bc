"""Forks gcloud from an interpreter that has imported it already: importing is most of a command's time.

gcloud's launcher runs `$CLOUDSDK_PYTHON lib/gcloud.py …`. `interpreter` writes a program to name there. It hands its
arguments, environment, folder and streams to the server below, which gcloud's own Python runs, and exits as the
command does. Anything but lib/gcloud.py it runs with gcloud's own Python.
"""

import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """\
#!{python} -IS
import json, os, socket, sys
arguments = sys.argv[1:]
while arguments and arguments[0] == "-S":
    del arguments[0]
if not arguments[0].endswith("/lib/gcloud.py"):
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([arguments, dict(os.environ), os.getcwd()]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16) or 1))
"""


@contextmanager
def interpreter() -> Iterator[Path]:
    """The program to name in CLOUDSDK_PYTHON, while its server runs."""
    values = "value(basic.python_location, installation.sdk_root)"
    real, root = subprocess.check_output(["gcloud", "info", f"--format={values}"], text=True).split()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")  # the path of a socket has at most 104 characters
        listener.listen(64)
        program = Path(folder) / "python"
        program.write_text(CLIENT.format(python=sys.executable, real=real, address=f"{folder}/socket"))
        program.chmod(0o755)
        command = [real, "-S", __file__, f"{root}/lib", str(listener.fileno())]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as server:
            try:
                yield program
            finally:
                server.terminate()


def serve(library: str, listener: socket.socket) -> None:
    """Forks for each command."""
    sys.path[:0] = [f"{library}/third_party", library]
    __import__("googlecloudsdk.gcloud_main")
    gc.freeze()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            run(connection)
        connection.close()
        reap()


def run(connection: socket.socket) -> None:
    """Runs one command in a process of its own, so that it ends as an interpreter does, and reports its exit status."""
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as request:
        arguments, environment, folder = json.load(request)
    if (command := os.fork()) == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv[:] = arguments
        runpy.run_path(arguments[0], run_name="__main__")
        sys.exit()
    _, status = os.waitpid(command, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status) & 255).encode())
    os._exit(0)


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
