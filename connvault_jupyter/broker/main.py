"""Composes and runs the broker: the composition root. No rules and no wire formats here."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from .._version import __version__
from ..contracts.access import Delivered
from ..contracts.events import Event
from ..contracts.problem import invalid_request
from ..contracts.supervision import BrokerReady, BrokerSettings
from ..contracts.vault import CustodianKind
from ..errors import BrokerUnavailable, ConnvaultError, VersionMismatch
from ..providers.registry import ProviderCatalogue
from ..relays.broker_answers import BrokerAnswers
from ..relays.connection_check import RelayConnectionCheck
from ..relays.supervisor import RelaySupervisor
from ..services.assembly import Assembled, assemble
from ..services.context import Runtime
from ..services.relay_ports import RelayOrder
from ..services.vault_ports import Custodian, VaultPorts
from ..storage.stores import open_stores
from ..storage.workspace.files import ProjectFiles
from ..vault.envelope import check_value, derive_keys
from ..vault.export_file import Argon2ExportFiles
from ..vault.key_file import KeyFileCustodian
from ..vault.os_keyring import OsKeyringCustodian
from ..vault.passphrase import PassphraseCustodian
from ..vault.sealed_requests import SealedRequests
from ..vault.slot_keys import X25519SlotKeys
from .channel import RequesterListener
from .dispatch import Dispatch, Services, table_of
from .hardened_start import Started
from .kernels import Kernels
from .operator_channel import OperatorChannel, refusal
from .os_processes import PeerHidden, here
from .peers import Peers
from .pid_namespaces import PidNamespaces, own_namespace
from .socket_dir import HANDLES, bind
from .spawn import Spawner
from .supervision import Supervision
from .tcp_peers import tcp_peer

# A keyring that needs no person answers within 0.2 s. Requesters of a restarted broker wait that long instead of being
# told that the vault is locked; a keyring that prompts must not hold them up.
_OPENING_S = 2.0

# 64 notebooks with a hundred connections each, and some reserve.
_DESCRIPTORS = 8192

# What a client of a handle is told if its process can't be identified.
_HIDDEN = (
    "The broker can't see which process is connecting: it is in another container (PID namespace), /proc "
    "hides it (hidepid), or it has closed itself to other programs. Connect from an ordinary process next "
    "to the notebook."
)
_ENDED = "The broker can't see which process is connecting: the connection has already ended."

_RELAYS = ("-m", "connvault_jupyter.broker.relay_process")


class Broker:
    """Everything of one broker process. Serves from `start` to `close`.

    Raises:
        StorageError, BrokerUnavailable: (from the constructor) the database or the socket can't be opened.
    """

    def __init__(
        self, *, settings: BrokerSettings, started: Started, channel: OperatorChannel, log: logging.Logger
    ) -> None:
        lock = threading.RLock()
        processes = here()
        kernels = Kernels(processes=processes)
        peers = Peers(
            processes=processes,
            kernels=kernels,
            server_root=settings.server_root,
            owner_pid=started.owner_pid,
            namespace=own_namespace(),
            somebody_at=PidNamespaces(Path(settings.data_dir)).somebody_at,
        )
        self._log = log
        path = Path(settings.socket_path)
        # First, so that a second broker on the path is detected early.
        self._bound = bind(path)
        self._database, stores = open_stores(
            data_dir=Path(settings.data_dir), connection_store=settings.connection_store
        )
        self._processes = processes
        self._publish = channel.publish
        self._relays = RelaySupervisor(
            start_zygote=Spawner(_RELAYS),
            directory=path.parent / HANDLES,
            broker=BrokerAnswers(
                login=self._login,
                sighted=self._sighted,
                has_ended=self._has_ended,
                still_good=self._still_good,
                version=stores.transactions.version,
                alive=peers.instance_alive,
            ),
            clock=_now,
            lock=lock,
            log=log,
        )
        self._services: Assembled = assemble(
            runtime=Runtime(
                name=peers.own_instance(),
                clock=_now,
                randomness=os.urandom,
                publish=self._published,
                lock=lock,
                projects=ProjectFiles(server_root=settings.server_root),
                hardening_detail=_weaker(started),
            ),
            settings=settings,
            stores=stores,
            vault=VaultPorts(
                custodians=_custodians(settings),
                derive_keys=derive_keys,
                check_value=check_value,
                slot_keys=X25519SlotKeys(),
                export_files=Argon2ExportFiles(),
            ),
            registry=ProviderCatalogue(
                directories=settings.provider_dirs, allowed=settings.allowed_providers
            ),
            running=peers,
            relays=self._relays,
            connection_check=RelayConnectionCheck(try_login=self._relays.try_login, clock=_now),
        )
        self._lock = lock
        self._supervision = Supervision(
            consent=self._services.consent,
            kernels=kernels,
            peers=peers,
            lock=lock,
            log=log,
            flush=self._database.flush,
            lock_if_idle=self._services.idle_lock.tick,
        )
        unsealer = SealedRequests(randomness=os.urandom)
        services = Services(
            secrets=self._services.secrets,
            slots=self._services.slots,
            connections=self._services.connections,
            workspaces=self._services.workspaces,
            consent=self._services.consent,
            access=self._services.access,
            proposals=self._services.proposals,
            audit=self._services.audit,
            exports=self._services.exports,
            connection_exports=self._services.connection_exports,
            connection_imports=self._services.connection_imports,
            supervision=self._supervision,
            unsealer=unsealer,
        )
        self.dispatch = Dispatch(table=table_of(services), unsealer=unsealer, lock=lock, log=log)
        self._listener = RequesterListener(
            listener=self._bound.listener,
            processes=processes,
            identify=self._supervision.identify,
            call=self.dispatch.for_requester,
            version=settings.version,
            log=log,
        )
        with lock:
            self._services.consent.close_orphans(peers.instance_alive)

    def start(self) -> None:
        """Unlocks the vault if the OS keyring can, then accepts requesters. Returns at once."""
        self._supervision.start()
        self._relays.start()
        threading.Thread(target=self._let_in, name="broker-opening", daemon=True).start()

    def close(self) -> None:
        """Shuts down properly: open questions are interrupted, the activity log is synced."""
        self._supervision.close()
        self._relays.close()
        with self._lock:
            self._services.consent.interrupt_all()
            self._database.close()
        self._listener.close()
        self._bound.close()

    def _published(self, event: Event) -> None:
        self._publish(event)
        # The activity log grows with each use; that ends nothing.
        if event.event != "audit:changed":
            self._relays.changed()

    def _has_ended(self, order: RelayOrder) -> bool:
        return self._services.access.has_ended(order)

    def _still_good(self, order: RelayOrder) -> bool:
        # A method, because the services are created after the relays that they use.
        return self._services.access.still_good(order)

    def _sighted(self, order: RelayOrder) -> None:
        with self._lock:
            self._services.sightings.note(order)

    def _login(self, client: socket.socket, order: RelayOrder) -> Delivered:
        """The login for the peer of a relay, if it is the handle's own requester."""
        whose = order.requester
        try:
            if client.family == socket.AF_UNIX:
                peer = self._processes.peer(client)
            else:
                peer = tcp_peer(client, likely=(whose.pid,))
        except PeerHidden:
            self._log.warning("a client of a handle was refused: %s", _HIDDEN)
            raise BrokerUnavailable(_HIDDEN) from None
        except OSError:
            self._log.warning("a client of a handle was refused: %s", _ENDED)
            raise BrokerUnavailable(_ENDED) from None
        try:
            requester = self._supervision.identify(peer, likely=whose)
        finally:
            peer.close()
        with self._lock:
            return self._services.access.login(requester, order)

    def _let_in(self) -> None:
        opening = threading.Thread(target=self._open_vault, name="broker-vault", daemon=True)
        opening.start()
        try:
            with self._lock:
                self._services.connections.recheck()
        except ConnvaultError as exc:
            self._log.warning("the state of the connections could not be checked: %s", exc.message)
        opening.join(_OPENING_S)
        self._listener.start()

    def _open_vault(self) -> None:
        try:
            self._services.secrets.open_at_start()
        except ConnvaultError as exc:
            self._log.warning("the vault stays locked: %s", exc.message)
        except Exception as exc:  # noqa: BLE001 -- its text could come from a keyring
            self._log.error("opening the vault failed: %s", type(exc).__name__)


def _allow_many_sockets() -> None:
    """The broker has a copy of each logged-in client's socket, for all notebooks together: the default limit of 1,024
    is too low for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < many:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (many, hard))


def main(started: Started) -> None:
    """Serves the operator channel until its owner is gone."""
    _allow_many_sockets()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _Hangup(started.channel))
    channel = OperatorChannel(started.channel)
    first = channel.first()
    if first is None:
        return
    number, body = first
    try:
        settings = _settings(body)
        logging.basicConfig(
            level=settings.log_level, format="[%(levelname).1s %(asctime)s connvault.broker] %(message)s"
        )
        log = logging.getLogger("connvault_jupyter.broker")
        broker = Broker(settings=settings, started=started, channel=channel, log=log)
    except ConnvaultError as exc:
        channel.answer(number, refusal(exc))
        _end(1)
    ready = BrokerReady(pid=os.getpid(), version=__version__, non_dumpable=started.non_dumpable)
    channel.answer(number, {"ok": True, "body": ready.model_dump(mode="json")})
    broker.start()
    channel.serve(broker.dispatch.for_operator, broker.dispatch.waits)
    try:
        broker.close()
    except ConnvaultError as exc:
        log.error("the broker did not shut down cleanly: %s", exc.message)
    _end(0)


def _weaker(started: Started) -> str:
    """The parts of Linux's hardening that were refused, in sentences for a person; empty if all worked."""
    refused = []
    if not started.non_dumpable:
        refused.append(
            "connvault's own process could not protect its memory from your other programs, so any of them "
            "can read the secrets in it."
        )
    if not started.dies_with_owner:
        refused.append("It may keep running for a moment after the server is killed.")
    if not refused or not sys.platform.startswith("linux"):
        return ""
    return " ".join(
        [*refused, "The system refuses prctl(2), as a container's seccomp profile can. Allow it there."]
    )


class _Hangup:
    """On SIGTERM the broker ends as if its owner had disconnected."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self._stream.shutdown(socket.SHUT_RD)


def _custodians(settings: BrokerSettings) -> dict[CustodianKind, Custodian]:
    found: dict[CustodianKind, Custodian] = {
        "passphrase": PassphraseCustodian(),
        "os_keyring": OsKeyringCustodian(),
    }
    if settings.key_file is not None:
        found["key_file"] = KeyFileCustodian(path=Path(settings.key_file))
    return found


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _settings(body: object) -> BrokerSettings:
    try:
        settings = BrokerSettings.model_validate(body)
    except ValidationError as exc:
        raise invalid_request(exc) from None
    if settings.version != __version__:
        raise VersionMismatch(
            "connvault-jupyter was updated while the server was running. Restart the Jupyter server."
        )
    return settings


def _end(status: int) -> None:
    """Exits without joining threads that wait for a person or another server."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)
