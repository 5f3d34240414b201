"""Where a relay connects: exactly there, in time, and never to a metadata service."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from connvault_jupyter.errors import (
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.upstream import connect, encrypt, is_the_server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.settimeout(10)
        yield found


def _resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def resolve(_host: str, port: int, **_options: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_an_upstream_that_listens_is_connected_to(listener: socket.socket) -> None:
    """Small messages leave at once."""
    with connect("127.0.0.1", listener.getsockname()[1], timeout_s=5) as stream:
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.gettimeout() is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104 -- refused, not bound
        "::",
        "224.0.0.1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_the_address_of_a_metadata_service_is_refused(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, address: str
) -> None:
    """In each of its disguises, and also behind a name that has a harmless address first."""
    _resolving_to(monkeypatch, "127.0.0.1", address)
    with pytest.raises(UpstreamRefused):
        connect("innocent.example", listener.getsockname()[1], timeout_s=5)
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_the_second_address_of_a_name_is_tried(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    """Hosts with an IPv6 address that is not reachable are common."""
    _resolving_to(monkeypatch, "::1", "127.0.0.1")
    connect("two.example", listener.getsockname()[1], timeout_s=5).close()


def test_an_upstream_where_nobody_listens_is_unreachable() -> None:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UpstreamUnreachable):
        connect("127.0.0.1", port, timeout_s=5)


def test_an_upstream_whose_name_does_not_exist_is_unreachable() -> None:
    """`.invalid` never resolves (RFC 2606)."""
    with pytest.raises(UpstreamUnreachable):
        connect("nowhere.invalid", 1, timeout_s=10)


def test_a_resolver_that_hangs_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """getaddrinfo has no limit of its own."""
    hang = socket.socketpair()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        hang[0].recv(1)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        with pytest.raises(UpstreamTimeout):
            connect("slow.example", 1, timeout_s=0.1)
    finally:
        for end in hang:
            end.close()


def test_a_server_without_tls_is_a_typed_error(listener: socket.socket) -> None:
    """And the error has no word of what was read."""
    stream = connect("127.0.0.1", listener.getsockname()[1], timeout_s=5)
    with stream, listener.accept()[0] as server:
        server.sendall(b"220 canary-7f3a91 welcome\r\n" * 3)
        with pytest.raises(UpstreamTlsFailed) as caught:
            encrypt(stream, {"host": "127.0.0.1", "sslmode": "require"}, timeout_s=5)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "authority", ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_an_authority_that_is_no_certificate_is_a_typed_error(
    listener: socket.socket, authority: str
) -> None:
    """A form can be filled with anything."""
    with (
        connect("127.0.0.1", listener.getsockname()[1], timeout_s=5) as stream,
        pytest.raises(UpstreamError),
    ):
        encrypt(
            stream,
            {"host": "127.0.0.1", "sslmode": "verify-full", "ca_certificate": authority},
            timeout_s=5,
        )


class _Far(socket.socket):
    """An end that is not on this machine, as far as it says."""

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.7", 5432


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-full"])
def test_a_far_server_that_nobody_verified_gets_no_plain_password(mode: str) -> None:
    """Encryption alone does not say with whom; and without encryption no mode says anything."""
    with _Far() as far:
        assert not is_the_server(far, {"sslmode": mode})


def test_an_upstream_on_this_machine_may_get_a_plain_password(listener: socket.socket) -> None:
    """Loopback needs no certificate."""
    with connect("127.0.0.1", listener.getsockname()[1], timeout_s=5) as stream:
        assert is_the_server(stream, {"sslmode": "require"})
