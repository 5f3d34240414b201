"""Logs in to an SSH server once and disconnects: the connection test. It runs no command and opens no channel."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from typing import Any

import asyncssh

from ...errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from ..downstream import Login
from ..limits import Limits
from ..upstream import connect, shut
from .key import private_key, public_key
from .rules import host_keys

_OTHER_HOST = (
    "The server's host key is not the one in the connection. Check host and port, and ask the server's "
    "administrator for its key."
)
_NO_COMMON_WAY = "The server and connvault have no encryption algorithm in common, or it does not speak SSH."
_REFUSED = "The server ended the login. Check whether it accepts this user from here."

# RFC 4253 4.2. Our own names, so that a server can't put text into the panel.
_VERSION = re.compile(r"SSH-2\.0-(OpenSSH|dropbear)_(\d+(?:\.\d+)*)")
_NAMES = {"OpenSSH": "OpenSSH", "dropbear": "Dropbear"}


def log_in(login: Login, *, limits: Limits) -> str:
    """`OpenSSH 9.2`, or `SSH` for an unknown server.

    Without a host key in the connection, any host is accepted. That reveals nothing: the signature is for this one
    session, and useless at another host.

    Raises: SecretMissing, SecretInvalid, UpstreamError and its kinds.
    """
    key = private_key(login.secrets)
    fields = login.fields
    stream = connect(str(fields["host"]), int(fields.get("port") or 22), timeout_s=limits.connect_s)
    try:
        outcome = asyncio.run(_attempt(stream, fields, key, limits.login_s))
    finally:
        shut(stream)
    if isinstance(outcome, ConnvaultError):
        raise outcome
    return outcome


async def _attempt(
    stream: socket.socket, fields: Mapping[str, Any], key: asyncssh.SSHKey, timeout_s: float
) -> str | ConnvaultError:
    """Never raises, because the library's frames have the key in their variables."""
    try:
        return await asyncio.wait_for(_log_in(stream, fields, key), timeout_s)
    except asyncssh.HostKeyNotVerifiable:
        return UpstreamTlsFailed(_OTHER_HOST)
    except asyncssh.PermissionDenied:
        return UpstreamAuthFailed()
    except (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported, asyncssh.ProtocolError, ValueError):
        # ValueError: asyncssh lets one through if the server's data is not even text.
        return UpstreamTlsFailed(_NO_COMMON_WAY)
    except (asyncio.TimeoutError, TimeoutError):
        return UpstreamTimeout()
    except asyncssh.ConnectionLost:
        return UpstreamUnreachable()
    except asyncssh.Error:
        return UpstreamRefused(_REFUSED)
    except OSError:
        return UpstreamUnreachable()


async def _log_in(stream: socket.socket, fields: Mapping[str, Any], key: asyncssh.SSHKey) -> str:
    named = str(fields.get("host_key") or "").strip()
    known = [found for found in map(public_key, host_keys(named)) if found is not None]
    connection = await asyncssh.connect(
        str(fields["host"]),
        sock=stream,
        username=str(fields["user"]),
        client_keys=[key],
        known_hosts=(known, [], []) if named else None,
        # Only the connection's key: neither this machine's settings nor its agent and keys.
        config=None,
        agent_path=None,
        preferred_auth="publickey",
        # A server that accepts anybody proves nothing about the key.
        disable_trivial_auth=True,
    )
    try:
        found = _VERSION.match(str(connection.get_extra_info("server_version")))
    finally:
        connection.abort()
    return f"{_NAMES[found[1]]} {found[2]}" if found else "SSH"
