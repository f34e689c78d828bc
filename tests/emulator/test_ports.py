import asyncio
import socket

import pytest

from emulator import ports


def test_taken_port_is_refused_with_who_wants_it_and_the_way_out() -> None:
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


def test_port_of_the_last_time_is_taken_again_unless_somebody_has_it() -> None:
    before = ports.choose({}, ["a", "b"])
    with socket.create_server((ports.HOST, before["b"])):
        again = ports.choose(before, ["a", "b"])
    assert again["a"] == before["a"]
    assert again["b"] != before["b"]


def test_small_writes_to_a_caller_are_not_held_back() -> None:
    async def answers_at_once() -> int:
        delays = asyncio.get_running_loop().create_future()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            delays.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = ports.listen(0, "x", "y")
        async with await asyncio.start_server(accept, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            found: int = await delays
            writer.close()
        return found

    assert asyncio.run(answers_at_once())
