"""What the relays are timed against, in the process that uses them: direct access, and what one would use instead.

Imported by `contenders`, so it is as light until a contender is made.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Call = Callable[[], object]
Options = Mapping[str, Any]

_READ = 1 << 20
_SECONDS = 3.0


# A handle that nobody refers to is released, and what was opened by hand with it.
_kept: list[Any] = []


def _handle(options: Options) -> Any:
    from connvault_jupyter import connection

    _kept.append(connection(options["connection"], reason="bench"))
    return _kept[-1]


def _select_one(connection: Any) -> Call:
    cursor = connection.cursor()
    return lambda: cursor.execute("SELECT 1").fetchone()


def _psycopg(dsn: str) -> Any:
    import psycopg

    return psycopg.connect(dsn, autocommit=True)


def _pg_direct(options: Options) -> Call:
    return _select_one(_psycopg(options["direct"]))


def _pg_handed(options: Options) -> Call:
    connection = _handle(options).connect(autocommit=True)
    family = socket.socket(fileno=os.dup(connection.fileno()))
    # Not a relayed one by mistake: what is timed is the upstream's own socket.
    assert family.family == socket.AF_INET, family
    family.close()
    return _select_one(connection)


def _pg_relayed(options: Options) -> Call:
    return _select_one(_psycopg(_handle(options).dsn))


def _pg_bouncer(options: Options) -> Call:
    return _select_one(_psycopg(options["bouncer"]))


def _connecting(connect: Callable[[], Any]) -> Call:
    def call() -> object:
        connection = connect()
        connection.close()
        return connection

    call()
    return call


def _pg_connect_direct(options: Options) -> Call:
    return _connecting(lambda: _psycopg(options["direct"]))


def _pg_connect_handed(options: Options) -> Call:
    handle = _handle(options)
    return _connecting(lambda: handle.connect(autocommit=True))


def _pg_connect_relayed(options: Options) -> Call:
    dsn = _handle(options).dsn
    return _connecting(lambda: _psycopg(dsn))


def _pg_connect_bouncer(options: Options) -> Call:
    return _connecting(lambda: _psycopg(options["bouncer"]))


def _asking(stream: socket.socket, head: bytes) -> Call:
    """A small request on a connection that stays open. The answer's head and body come in one piece or two."""
    buffer = bytearray(65536)

    def call() -> object:
        stream.sendall(head)
        seen = stream.recv_into(buffer)
        end = buffer.find(b"\r\n\r\n", 0, seen)
        assert buffer.startswith(b"HTTP/1.1 200"), bytes(buffer[:200])
        while seen < end + 4 + 2:
            seen += stream.recv_into(memoryview(buffer)[seen:])
        return seen

    call()
    return call


def _tcp(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _head(path: str, token: str = "") -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{authorization}\r\n".encode()


def _http_direct(options: Options) -> Call:
    return _asking(_tcp(options["upstream"]), _head("/small", "direct"))


def _http_relayed(options: Options) -> Call:
    return _asking(_relay(options), _head("/small"))


def _relay(options: Options) -> socket.socket:
    """By the Unix socket, as `.session()` and `.client()` do."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(_handle(options)._handle_ref.open().socket)
    return stream


def _http_relayed_tcp(options: Options) -> Call:
    """By loopback with the handle's token, as an SDK does."""
    opened = _handle(options)._handle_ref.open(tcp=True)
    return _asking(_tcp(opened.port), _head("/small", str(opened.token)))


def _http_aiohttp(options: Options) -> Call:
    return _asking(_tcp(options["aiohttp"]), _head("/small"))


def _http_mitmproxy(options: Options) -> Call:
    return _asking(_tcp(options["mitmproxy"]), _head("/small"))


CONTENDERS: dict[str, Callable[[Options], Call]] = {
    "pg_direct": _pg_direct,
    "pg_handed": _pg_handed,
    "pg_relayed": _pg_relayed,
    "pg_bouncer": _pg_bouncer,
    "pg_connect_direct": _pg_connect_direct,
    "pg_connect_handed": _pg_connect_handed,
    "pg_connect_relayed": _pg_connect_relayed,
    "pg_connect_bouncer": _pg_connect_bouncer,
    "http_direct": _http_direct,
    "http_relayed": _http_relayed,
    "http_relayed_tcp": _http_relayed_tcp,
    "http_aiohttp": _http_aiohttp,
    "http_mitmproxy": _http_mitmproxy,
}


def _by_turns(names: Sequence[str], rounds: int, measured: Callable[[str], float]) -> dict[str, list[float]]:
    """What is measured of each in each round: a slow minute is everybody's."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(measured(name))
    return found


def download(names: Sequence[str], rounds: int, options: Options) -> dict[str, list[float]]:
    """GB/s: one body with a Content-Length."""
    size = int(options["size"])
    streams = {name: _downloading(name, options) for name in names}

    def gb_s(name: str) -> float:
        stream, head = streams[name]
        begun = time.perf_counter()
        stream.sendall(head)
        _drain(stream, size)
        return size / (time.perf_counter() - begun) / 1e9

    return _by_turns(names, rounds, gb_s)


def _downloading(name: str, options: Options) -> tuple[socket.socket, bytes]:
    path = f"/{'text' if name.endswith('_text') else 'large'}/{options['size']}"
    if name == "http_direct":
        return _tcp(options["upstream"]), _head(path, "direct")
    if name.startswith("http_relayed"):
        return _relay(options), _head(path)
    return _tcp(options[name.removeprefix("http_")]), _head(path)


def _drain(stream: socket.socket, size: int) -> None:
    buffer = bytearray(_READ)
    seen = stream.recv_into(buffer)
    end = buffer.find(b"\r\n\r\n", 0, seen)
    assert buffer.startswith(b"HTTP/1.1 200"), bytes(buffer[:200])
    left = size - (seen - end - 4)
    while left > 0:
        count = stream.recv_into(buffer)
        assert count, "the body ended early"
        left -= count


def throughput(names: Sequence[str], clients: int, options: Options) -> dict[str, list[float]]:
    """Requests a second of `clients` threads, each with a connection of its own."""
    return _by_turns(names, 2, lambda name: _requests_a_second(name, clients, options))


def _requests_a_second(name: str, clients: int, options: Options) -> float:
    calls = [CONTENDERS[name](options) for _ in range(clients)]
    counts = [0] * clients
    until = time.perf_counter() + _SECONDS

    def run(index: int) -> None:
        call = calls[index]
        while time.perf_counter() < until:
            call()
            counts[index] += 1

    threads = [threading.Thread(target=run, args=(index,)) for index in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def pgbench(names: Sequence[str], clients: int, options: Options) -> dict[str, list[float]]:
    """`SELECT 1` a second by pgbench(1), whose clients cost little beside what they measure."""
    return _by_turns(names, 2, lambda name: _selects_a_second(name, clients, options))


def _selects_a_second(name: str, clients: int, options: Options) -> float:
    environment = {**os.environ, **_pgbench_variables(name, options)}
    done = subprocess.run(
        [
            options["pgbench"], "--no-vacuum", "--protocol=simple", f"--client={clients}", "--jobs=2",
            f"--time={_SECONDS:.0f}", f"--file={options['script']}",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith("tps = ") and "including" not in line:
            return float(line.split()[2])
    raise AssertionError(done.stderr)


def _pgbench_variables(name: str, options: Options) -> dict[str, str]:
    if name == "relayed":
        return dict(_handle(options).env())
    parts = dict(part.split("=", 1) for part in options[name].split())
    return {
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGDATABASE": parts["dbname"],
        "PGPASSWORD": parts["password"],
    }


def copy_out(names: Sequence[str], rounds: int, options: Options) -> dict[str, list[float]]:
    """MB/s of a COPY of many rows."""
    connections = {
        name: _psycopg(options["direct"] if name == "pg_direct" else _handle(options).dsn) for name in names
    }

    def mb_s(name: str) -> float:
        begun = time.perf_counter()
        with connections[name].cursor().copy(options["copy"]) as copying:
            size = sum(map(len, copying))
        return size / (time.perf_counter() - begun) / 1e6

    return _by_turns(names, rounds, mb_s)


_HELD: list[Any] = []


def hold(count: int, options: Options) -> int:
    """Opens relayed connections and keeps them; how many are open."""
    dsn = _handle(options).dsn
    _HELD.extend(_psycopg(dsn) for _ in range(count))
    return len(_HELD)


def hold_http(count: int, options: Options) -> int:
    """The same over HTTP; nothing is asked on them."""
    _HELD.extend(_http_relayed(options) for _ in range(count))
    return len(_HELD)
