"""Connects to a connection's server: resolved once, checked, with or without TLS. It does not log in.

Addresses of the machine's metadata service are refused under any name: it gives credentials to anyone who asks.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..errors import (
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from .limits import left_s
from .local_sockets import is_kept

# Metadata services that are not link-local: AWS on IPv6, Alibaba, Oracle, Azure's wire server.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

# Where distributions store the system's CAs; Python may have been built with other paths.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)

_KEEPALIVE_S = 60


def connect(host: str, port: int, *, timeout_s: float) -> socket.socket:
    """A blocking TCP connection, without delay for small writes (TCP_NODELAY).

    All addresses of the name are checked before the first is tried, and exactly these are tried.

    Raises:
        UpstreamUnreachable: no such name, nobody listens, or no route.
        UpstreamRefused: a forbidden address (link-local, metadata, multicast, unspecified).
        UpstreamTimeout: no connection within `timeout_s`, including the resolution.
    """
    deadline = time.monotonic() + timeout_s
    addresses = _resolved(host, port, timeout_s)
    for _, address in addresses:
        _check(str(address[0]))
    outcome: Exception = UpstreamUnreachable()
    for family, address in addresses:
        stream = socket.socket(family, socket.SOCK_STREAM)
        try:
            stream.settimeout(left_s(deadline))
            stream.connect(address)
            stream.settimeout(None)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        except TimeoutError:
            stream.close()
            outcome = UpstreamTimeout()
        except OSError:
            stream.close()
            outcome = UpstreamUnreachable()
        else:
            return stream
    raise outcome


def encrypt(stream: socket.socket, fields: Mapping[str, Any], *, timeout_s: float) -> ssl.SSLSocket:
    """TLS on a connected socket, by the fields `host`, `sslmode` (libpq's terms) and `ca_certificate` (PEM).

    `require` and `prefer` verify nothing, as in libpq; `verify-ca` verifies the chain, `verify-full` also the name.

    Raises:
        UpstreamTlsFailed: the server does not offer TLS, or is not the expected one.
        UpstreamTimeout: no handshake within `timeout_s`.
    """
    host = str(fields["host"])
    try:
        context = tls_context(
            str(fields.get("sslmode") or "verify-full"), str(fields.get("ca_certificate") or "")
        )
        stream.settimeout(timeout_s)
        found = context.wrap_socket(stream, server_hostname=host)
        found.settimeout(None)
    except TimeoutError:
        raise UpstreamTimeout from None
    except (OSError, ValueError):
        raise UpstreamTlsFailed from None
    return found


@functools.lru_cache(maxsize=8)
def tls_context(mode: str, authorities: str) -> ssl.SSLContext:
    """For one of libpq's modes and CAs in PEM format (empty: the system's).

    Raises: ssl.SSLError: the text has no usable certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if mode in ("verify-full", "verify-ca"):
        context.check_hostname = mode == "verify-full"
        if authorities:
            context.load_verify_locations(cadata=authorities)
        else:
            context.load_default_certs()
            for bundle in _BUNDLES:
                if not context.get_ca_certs() and os.path.isfile(bundle):
                    context.load_verify_locations(bundle)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_the_server(stream: socket.socket, fields: Mapping[str, Any]) -> bool:
    """Whether the other end is certainly the connection's server: by its certificate, or because it is on this
    machine. Only then may the password itself be sent, encrypted or not."""
    if by_path(fields):
        host = str(fields["host"])
        return is_kept(f"{host}/.s.PGSQL.{fields['port']}" if os.path.isdir(host) else host)
    verified = isinstance(stream, ssl.SSLSocket) and fields.get("sslmode") in ("verify-ca", "verify-full")
    return verified or ipaddress.ip_address(stream.getpeername()[0].partition("%")[0]).is_loopback


def by_path(fields: Mapping[str, Any]) -> bool:
    """Whether these fields lead to a Unix socket, which is not encrypted and can't be intercepted."""
    return str(fields.get("host") or "").startswith("/")


def shut(stream: socket.socket | None) -> None:
    """Ends a connection and closes it, whatever state it is in."""
    if stream is not None:
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it drops the TLS state while another thread may be reading.
            socket.socket.shutdown(stream, socket.SHUT_RDWR)
        stream.close()


def _resolved(host: str, port: int, timeout_s: float) -> list[tuple[int, Any]]:
    """(family, address) of each. getaddrinfo(3) has no time-out, so it runs in a thread that may be abandoned."""
    answer: queue.SimpleQueue[list[tuple[int, Any]] | None] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            answer.put(None)
        else:
            answer.put([(family, address) for family, _, _, _, address in found])

    try:
        # A literal address needs no thread.
        ipaddress.ip_address(host)
    except ValueError:
        threading.Thread(target=resolve, name="resolver", daemon=True).start()
    else:
        resolve()
    try:
        addresses = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise UpstreamTimeout from None
    if not addresses:
        raise UpstreamUnreachable
    return addresses


def _check(text: str) -> None:
    """Raises: UpstreamRefused."""
    address = ipaddress.ip_address(text.partition("%")[0])
    for form in _forms(address):
        if form in _METADATA or form.is_link_local or form.is_multicast or form.is_unspecified:
            raise UpstreamRefused(
                "connvault never connects to link-local, metadata, multicast or unspecified addresses."
            )


def _forms(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and the IPv4 address that it may contain (RFC 4291 2.5.5, RFC 3056, RFC 4380, RFC 6052)."""
    forms = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64 or int(address) >> 32 == 0:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        # ::1 contains no IPv4 address.
        forms += [form for form in inner if form is not None and not address.is_loopback]
    return forms
