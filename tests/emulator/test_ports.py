import asyncio
import socket
import subprocess
import sys

import pytest

from emulator import ports


def test_taken_port_is_refused_with_its_user_and_the_option_to_change_it() -> None:
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ports.PortTakenError, match=rf"port {port} \(web\) is taken.*--web-port"):
            ports.listen(port, "web", "--web-port")
        with pytest.raises(ports.PortTakenError):
            ports.check(port, "web", "--web-port")


def test_chosen_ports_are_free_and_differ() -> None:
    chosen = ports.choose({}, [str(number) for number in range(30)])
    assert len(set(chosen.values())) == 30
    for port in chosen.values():
        ports.listen(port, "x", "y").close()


def test_previous_port_is_used_again_unless_it_is_taken() -> None:
    previous = ports.choose({}, ["a", "b"])
    with socket.create_server((ports.HOST, previous["b"])):
        again = ports.choose(previous, ["a", "b"])
    assert again["a"] == previous["a"]
    assert again["b"] != previous["b"]


CHOOSER = """
import sys
from emulator import ports
print(ports.choose({"a": int(sys.argv[1])}, ["a"])["a"], flush=True)
sys.stdin.read()
"""


def test_processes_that_choose_at_the_same_time_get_different_ports() -> None:
    (mine,) = ports.choose({}, ["a"]).values()  # not bound yet
    with subprocess.Popen(
        [sys.executable, "-c", CHOOSER, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        theirs = int(other.stdout.readline())
        assert theirs != mine
        assert ports.choose({"a": theirs}, ["a"])["a"] != theirs
        other.kill()
        other.wait()
        assert ports.choose({"a": theirs}, ["a"])["a"] == theirs, "a reservation ends with its process"


def test_a_port_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FREE", range(20000, 20200))
    chosen = [ports.choose({}, ["a"])["a"] for _ in range(40)]
    assert len(set(chosen)) == len(chosen)


def test_small_writes_are_not_delayed() -> None:
    async def accepted_without_delay() -> int:
        options = asyncio.get_running_loop().create_future()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            options.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = ports.listen(0, "x", "y")
        async with await asyncio.start_server(accept, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            no_delay: int = await options
            writer.close()
        return no_delay

    assert asyncio.run(accepted_without_delay())
