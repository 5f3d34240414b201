"""SSH: an agent's socket for any program, and a paramiko client that logs in with it. This process never has a private
key.

The session goes directly from this process to the host; the broker only signs the login. The host is chosen here; if
the connection has the host's key, the broker signs only after this module has proved that the host signed the session
(OpenSSH PROTOCOL.agent 1). After a revoke, this module closes the clients that `connect()` returned.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from ....errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from ...client_arguments import imported
from ...handle_ref import HandleRef
from ...lost_connections import mark
from ...responses import RelayEndpoint
from .agent import SshAgent

if TYPE_CHECKING:
    import paramiko

_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"

# draft-ietf-sshm-ssh-agent 5.6.1.
_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}

_LOG = "connvault.ssh"

_OTHER_HOST_KEY = (
    "The server's host key is not the one that is known for it. Don't log in until its administrator has "
    "confirmed the new key."
)
_NO_HOST_KEY = (
    "The server's host key is not known. Enter it in the connection, or log in once with ssh, "
    "which adds it to your known_hosts after asking you."
)


class Client:
    """Openers of an SSH handle."""

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref

    @property
    def agent_socket(self) -> str:
        """See `SshHandle.agent_socket`."""
        path = self._handle_ref.open().socket
        self._handle_ref.give_out()
        return path

    @property
    def last_refusal(self) -> str | None:
        """See `SshHandle.last_refusal`."""
        agent = SshAgent(self._handle_ref.open().socket)
        try:
            found = agent.refusal()
        finally:
            agent.close()
        return found.message if found is not None else None

    def connect(self, *, timeout_s: float = 15.0) -> paramiko.SSHClient:
        """See `SshHandle.connect`."""
        paramiko = imported("paramiko", name="paramiko", extra="ssh")
        opened = self._handle_ref.open()
        agent = SshAgent(opened.socket)
        try:
            client = _logged_in(paramiko, opened, agent, self._handle_ref, timeout_s)
        except BaseException as exc:
            agent.close()
            if isinstance(exc, UpstreamError):
                exc.details["connection"] = self._handle_ref.connection
            raise
        self._handle_ref.opens(agent)
        threading.Thread(
            target=_close_at_the_end,
            args=(agent, client.get_transport()),
            name="connvault-ssh",
            daemon=True,
        ).start()
        return client


def _logged_in(
    paramiko: Any, opened: RelayEndpoint, agent: SshAgent, handle_ref: HandleRef, timeout_s: float
) -> paramiko.SSHClient:
    fields = opened.fields
    proof = _HostProof(agent)
    key = _brokered_key(paramiko, agent, proof)
    client = _client(paramiko)
    try:
        _trust(paramiko, client, opened)
        client.connect(
            str(fields["host"]),
            port=int(fields.get("port") or 22),
            username=str(fields["user"]),
            pkey=key,
            # No other keys of this user: neither another agent's nor those in ~/.ssh.
            allow_agent=False,
            look_for_keys=False,
            transport_factory=_ending_with_its_handle(paramiko, agent, proof, handle_ref),
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
        )
    except (paramiko.SSHException, OSError, EOFError) as exc:
        error = key.refused or _typed(paramiko, exc)
    except BaseException:
        client.close()
        raise
    else:
        return client  # type: ignore[no-any-return]
    client.close()
    # Outside the handler: the cause could quote the server.
    raise error


def _client(paramiko: Any) -> Any:
    # paramiko logs errors in its thread with a traceback. Here they are raised as typed errors; without a handler,
    # logging itself would print the traceback.
    log = logging.getLogger(_LOG)
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    client = paramiko.SSHClient()
    client.set_log_channel(_LOG)
    return client


class _HostProof:
    """The host's own signature of the session, from its first key exchange (RFC 4253 8)."""

    def __init__(self, agent: SshAgent) -> None:
        self._agent = agent
        self._found: tuple[bytes, bytes, bytes] | None = None

    def found(self, host_key: bytes, session: bytes, signature: bytes) -> None:
        """In later exchanges of the same session, the host signs other hashes."""
        if self._found is None:
            self._found = host_key, session, signature

    def show(self) -> None:
        """Sends it to the agent, which reports problems when it is asked to sign."""
        if self._found is not None:
            self._agent.bind(*self._found)


def _ending_with_its_handle(paramiko: Any, agent: SshAgent, proof: _HostProof, handle_ref: HandleRef) -> Any:
    class BoundTransport(paramiko.Transport):  # type: ignore[misc]
        """A session that closes its connection to the agent when it ends, for whatever reason. See
        `_close_at_the_end`."""

        # Private to paramiko, and the only method that has the signature. If it disappears, the agent gets no proof,
        # refuses to sign, and reports why.
        def _verify_key(self, host_key: bytes, sig: bytes) -> None:
            super()._verify_key(host_key, sig)
            proof.found(host_key, self.session_id, sig)

        def open_channel(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().open_channel(*args, **kwargs)
            except paramiko.SSHException as exc:
                mark(exc, handle_ref)
                raise

        def run(self) -> None:
            try:
                super().run()
            finally:
                agent.close()

    return BoundTransport


def _brokered_key(paramiko: Any, agent: SshAgent, proof: _HostProof) -> Any:
    blob = agent.public_key()
    inner = paramiko.PKey.from_type_string(_kind(blob), blob)

    class BrokeredKey(paramiko.PKey):  # type: ignore[misc]
        """A key for which the broker signs. `refused`: why it did not."""

        public_blob = None
        refused: ConnvaultError | None = None

        def asbytes(self) -> bytes:
            return blob

        def get_name(self) -> str:
            return str(inner.get_name())

        def get_bits(self) -> int:
            return int(inner.get_bits())

        def can_sign(self) -> bool:
            return True

        def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:
            try:
                # Not earlier: only now has the host's key been verified.
                proof.show()
                return agent.sign(blob, data, _FLAGS.get(algorithm or "", 0))
            except ConnvaultError as exc:
                self.refused = exc
            # Runs in paramiko's own thread, which only handles its own errors.
            raise paramiko.SSHException("the broker did not sign this login")

        @property
        def _fields(self) -> Any:
            return inner._fields

    return BrokeredKey()


def _trust(paramiko: Any, client: Any, opened: RelayEndpoint) -> None:
    class Refusing(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, *_found: Any) -> None:
            raise UpstreamTlsFailed(_NO_HOST_KEY)

    client.set_missing_host_key_policy(Refusing())
    named = str(opened.fields.get("host_key") or "").strip()
    if not named:
        client.load_system_host_keys()
        if os.path.isfile(_SYSTEM_KNOWN_HOSTS):
            client.load_system_host_keys(_SYSTEM_KNOWN_HOSTS)
        return
    host, port = str(opened.fields["host"]), int(opened.fields.get("port") or 22)
    name = host if port == 22 else f"[{host}]:{port}"
    for line in named.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if rest:
            key = paramiko.PKey.from_type_string(kind, base64.b64decode(rest.split()[0]))
            client.get_host_keys().add(name, kind, key)


def _typed(paramiko: Any, error: Exception) -> ConnvaultError:
    """The typed error; the server's own text is dropped."""
    if isinstance(error, paramiko.BadHostKeyException):
        return UpstreamTlsFailed(_OTHER_HOST_KEY)
    if isinstance(error, paramiko.AuthenticationException):
        return UpstreamAuthFailed()
    if isinstance(error, TimeoutError):
        return UpstreamTimeout()
    if isinstance(error, paramiko.SSHException):
        return UpstreamRefused("The server ended the login, or does not speak SSH. Check host and port.")
    return UpstreamUnreachable()


def _close_at_the_end(agent: SshAgent, transport: Any) -> None:
    # Not the client: its channels outlive it.
    agent.wait_for_end()
    transport.close()


def _kind(blob: bytes) -> str:
    return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
