"""The Jupyter Server extension: its traits, and the wiring of the server side.

It holds no key and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jupyter_core.paths import jupyter_data_dir, jupyter_path, jupyter_runtime_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Bool, CaselessStrEnum, Float, Int, List, TraitError, Unicode, default, validate
from traitlets.config import Config

from .._version import __version__
from ..broker.broker_process import BrokerProcess
from ..broker.socket_dir import SocketDir, choose
from ..contracts.frames import SOCKET_VARIABLE
from ..errors import BrokerUnavailable, ConnvaultError
from . import documents, events, exposure, operations, refused_settings
from .activity_stream.destinations import destination
from .events import Tabs
from .requesters import Requesters

if TYPE_CHECKING:
    from ..contracts.events import Event
    from ..contracts.supervision import BrokerReady, BrokerSettings
    from .activity_stream.stream import ActivityStream

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
_LEVELS: tuple[Level, ...] = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class ConnvaultExtension(ExtensionApp):
    """Configured as `c.ConnvaultExtension.*`. No trait may hold a secret: Jupyter copies them into the web settings."""

    name = "connvault_jupyter"
    app_name = "connvault"
    description = "Connections for notebooks without passwords in them."
    load_other_extensions = True

    data_dir = Unicode(
        help="Directory of the sealed secrets, the permissions and the activity log; its mode is 0700. "
        "Default: `connvault` in Jupyter's data directory. Several servers may share one."
    ).tag(config=True)

    custodian = CaselessStrEnum(
        ["auto", "passphrase", "os_keyring", "key_file"],
        default_value="auto",
        help="What protects the master key of a new vault. `auto`: the operating system's keyring if a real "
        "one answers, else a passphrase; a key file only if it is named here. An existing vault keeps its own; "
        "if the one named here is missing, that is an error, and no other takes its place.",
    ).tag(config=True)

    key_file = Unicode(
        help="File with the secrets of key slots, for servers that start without a person and without a keyring. "
        "`~` and variables are replaced: `$CREDENTIALS_DIRECTORY/connvault` is what systemd's `LoadCredential` "
        "gives. It is refused if others could read or exchange it. Default: none.",
    ).tag(config=True)

    lock_after_idle_s = Float(
        0.0,
        min=0,
        max=2_592_000,
        help="Seconds after which the vault is locked if no connection was used and nobody decided or changed "
        "anything. An open client counts as a use. 0: never. Default 0.",
    ).tag(config=True)

    connection_store = CaselessStrEnum(
        ["sqlite", "json"],
        default_value="sqlite",
        help="Where connections and their sealed secrets are stored. `sqlite`: in the database, with everything else. "
        "`json`: in `connections.json` beside it, a text file whose changes are small diffs. A vault that has "
        "connections keeps to the store that they are in; the other one is refused. Default `sqlite`.",
    ).tag(config=True)

    consent_timeout_s = Float(
        60.0,
        min=1,
        max=3600,
        help="Seconds that a request waits for an answer; after that it counts as denied. Default 60.",
    ).tag(config=True)

    once_limit_s = Int(
        3600,
        min=1,
        max=86_400,
        help=(
            "Longest life, in seconds, of a handle that is allowed 'this time'. Default 3600, at most a day."
        ),
    ).tag(config=True)

    for_s = Int(
        28_800,
        min=1,
        max=2_592_000,
        help=(
            "Length, in seconds, of the choice between 'this time' and 'always'. Default 28800 (8 hours), "
            "at most 30 days."
        ),
    ).tag(config=True)

    cooldown_s = Float(
        30.0,
        min=0,
        max=3600,
        help="Seconds that a notebook must wait after a refused or unanswered request before it may ask for the "
        "same connection again. Default 30; 0: no pause.",
    ).tag(config=True)

    max_open_questions = Int(
        5,
        min=1,
        max=100,
        help="Requests that one notebook may have open at the same time; any more are refused. All programs outside "
        "kernels count as one. Default 5.",
    ).tag(config=True)

    approver_grace_s = Float(
        3.0,
        min=0,
        max=60,
        help="Seconds that a request waits while no page is open that could show it; then it fails with "
        "`no_approver`. Default 3, enough for reloading a page; 0: at once.",
    ).tag(config=True)

    always_unused_days = Int(
        30,
        min=1,
        max=3650,
        help="Days after which an unused lasting permission ends. Default 30, at most ten years.",
    ).tag(config=True)

    audit_max_bytes = Int(
        64 * 1024 * 1024,
        min=65_536,
        help="Largest size of the activity log in bytes; beyond it, the oldest events are removed and a "
        "checkpoint remains. Default 64 MiB, at least 64 KiB.",
    ).tag(config=True)

    activity_stream = Unicode(
        "",
        help="Where each event of the activity log is sent, so that nobody here can take it back: "
        "`unix:/dev/log`, `udp://HOST:514` or `tcp://HOST:601` (syslog), or an address of OpenTelemetry logs "
        "(`https://HOST:4318/v1/logs`, JSON; credentials in OTEL_EXPORTER_OTLP_HEADERS). What code says of itself "
        "is not sent. Default: nowhere.",
    ).tag(config=True)

    allowed_providers = List(
        Unicode(),
        default_value=None,
        allow_none=True,
        help="Ids of the kinds of connection that may be used. `None` (default): all that are installed; an "
        "empty list: none.",
    ).tag(config=True)

    panel_enabled = Bool(
        True,
        help=(
            "Whether JupyterLab shows the Connections panel. If off, everything else still works. Default on."
        ),
    ).tag(config=True)

    reveal_allowed = Bool(
        True,
        help="Whether a notebook may ask for a secret as plain text. If off, it is refused without asking "
        "anyone. Default on.",
    ).tag(config=True)

    allow_unauthenticated = Bool(
        False,
        help="Whether secrets may be stored and used on a server that runs without a token or password. "
        "Anyone who can reach such a server can use them all. Default off.",
    ).tag(config=True)

    non_dumpable_server = Bool(
        True,
        help="Whether the server's memory is closed to other processes of the same user (Linux). If off, a "
        "debugger or py-spy can attach and read what is typed into the page. The broker's memory is always "
        "closed. Default on.",
    ).tag(config=True)

    _stream: ActivityStream | None = None
    _opening: asyncio.Future[None] | None = None
    _refusal: ConnvaultError | None = None

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir(), "connvault"))

    @validate("consent_timeout_s", "cooldown_s", "approver_grace_s")
    def _is_a_number(self, proposal: Any) -> float:
        # NaN is neither below a minimum nor above a maximum.
        if math.isnan(proposal.value):
            raise TraitError
        return float(proposal.value)

    @validate("activity_stream")
    def _is_a_destination(self, proposal: Any) -> str:
        text = str(proposal.value)
        if text:
            try:
                destination(text)
            except ValueError as exc:
                raise TraitError(str(exc)) from None
        return text

    def update_config(self, config: Config) -> None:
        """Applies the valid values. With an invalid one, connvault does not start: Jupyter would log it, continue with
        the defaults of all settings, and so permit what another setting forbids."""
        try:
            super().update_config(config)
        except TraitError:
            wrong = refused_settings.take_the_others(super().update_config, config, type(self).__name__)
            if not wrong:
                raise
            self._refusal = refused_settings.refusal(self, wrong)

    def initialize_settings(self) -> None:
        """Wires everything. The broker is started once the server listens, as starting it earlier would delay that."""
        self._exposure = exposure.looked_at(allow_debuggers=not self.non_dumpable_server)
        self._socket_dir: SocketDir | None = None
        try:
            self._socket_dir = choose(Path(jupyter_runtime_dir()))
        except ConnvaultError as exc:
            self._refusal = self._refusal or exc
        else:
            # Kernels and terminals inherit it. It is not secret: the broker identifies its peers.
            os.environ[SOCKET_VARIABLE] = str(self._socket_dir.path)
        log = logging.getLogger(f"{self.log.name}.broker")
        self._tabs = Tabs(broker=lambda: self._broker, log=log)
        self._broker = BrokerProcess(on_event=self._heard, on_restart=self._restarted, log=log)
        self._broker.ready.add_done_callback(self._started)
        server = self.serverapp
        assert server is not None  # noqa: S101 -- Jupyter links it before it calls this
        self._requesters = Requesters(
            broker=self._broker,
            kernels=server.kernel_manager,
            sessions=server.session_manager,
            contents=server.contents_manager,
            log=log,
        )
        self._requesters.watch()
        documents.watch(server.contents_manager, self._requesters.gone)
        page = server.web_app.settings.setdefault("page_config_data", {})
        page["connvault"] = {"enabled": self.panel_enabled, "exposure": self._exposure.detail}
        if self._exposure.detail:
            self.log.info("connvault: %s", self._exposure.detail)

    def initialize_handlers(self) -> None:
        self.handlers.extend(operations.routes(self._broker))
        self.handlers.append(events.route(self._tabs))
        self.handlers.append(operations.unknown_route())

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        self._tabs.run_in(asyncio.get_running_loop())
        self._opening = asyncio.ensure_future(self._open(serverapp))

    async def stop_extension(self) -> None:
        if self._opening is not None:
            await self._opening
        await self._requesters.stop()
        if self._stream is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._stream.stop)
        await asyncio.get_running_loop().run_in_executor(None, self._broker.stop)
        if self._socket_dir is not None:
            self._socket_dir.remove()

    async def _open(self, server: ServerApp) -> None:
        # In a thread, so that the loop can answer while pydantic and the contracts are imported for the settings.
        await asyncio.get_running_loop().run_in_executor(None, self._start_broker, server)
        self._requesters.start()

    def _start_broker(self, server: ServerApp) -> None:
        """The server is useful without connections too; if this fails, every request here reports what is wrong."""
        socket_path = self._socket_dir.path if self._socket_dir else None
        try:
            refusal = self._exposure.refusal or self._refusal
            if refusal is not None or socket_path is None:
                raise refusal or BrokerUnavailable
            settings = self._settings(server, socket_path)
        except ConnvaultError as exc:
            self._refuse(exc, socket_path)
        except Exception as exc:  # noqa: BLE001 -- as above
            self._refuse(
                BrokerUnavailable(
                    f"connvault's settings are not valid ({type(exc).__name__}). Correct those of "
                    "ConnvaultExtension in the server's configuration, then restart it."
                ),
                socket_path,
            )
        else:
            # The log and every request report why it does not start.
            with contextlib.suppress(ConnvaultError):
                self._broker.start(settings)
                self._start_stream(settings)

    def _start_stream(self, settings: BrokerSettings) -> None:
        if not self.activity_stream:
            return
        # Not while the server starts: it needs the contracts.
        from .activity_stream.start import stream_to

        self._stream = stream_to(
            destination(self.activity_stream),
            folder=Path(settings.data_dir),
            broker=self._broker,
            log=logging.getLogger(f"{self.log.name}.activity_stream"),
        )
        self._stream.start()

    def _heard(self, event: Event) -> None:
        self._tabs.publish(event)
        if self._stream is not None and event.event == "audit:changed":
            self._stream.poke()

    def _refuse(self, reason: ConnvaultError, socket_path: Path | None) -> None:
        self.log.error("connvault: %s", reason.message)
        self._broker.refuse(reason, socket_path)

    def _settings(self, server: ServerApp, socket_path: Path) -> BrokerSettings:
        from ..contracts.supervision import BrokerSettings, ConsentSettings

        return BrokerSettings(
            data_dir=_with_home(self.data_dir),
            socket_path=str(socket_path),
            server_root=os.path.realpath(server.root_dir),
            provider_dirs=jupyter_path("connvault", "providers"),
            allowed_providers=self.allowed_providers,
            custodian=self.custodian,
            connection_store=self.connection_store,
            key_file=os.path.expandvars(os.path.expanduser(self.key_file)) or None,
            lock_after_idle_s=self.lock_after_idle_s,
            consent=ConsentSettings(
                timeout_s=self.consent_timeout_s,
                once_limit_s=self.once_limit_s,
                for_s=self.for_s,
                cooldown_s=self.cooldown_s,
                max_open_questions=self.max_open_questions,
                approver_grace_s=self.approver_grace_s,
                always_unused_days=self.always_unused_days,
            ),
            audit_max_bytes=self.audit_max_bytes,
            reveal_allowed=self.reveal_allowed,
            authenticated=server.identity_provider.auth_enabled or self.allow_unauthenticated,
            log_level=_level(server.log_level),
            version=__version__,
        )

    def _started(self, answer: Any) -> None:
        if answer.exception() is None:
            self._restarted(answer.result())

    def _restarted(self, ready: BrokerReady) -> None:
        self.log.info("connvault's broker runs as pid %d, non-dumpable: %s", ready.pid, ready.non_dumpable)


def _with_home(data_dir: str) -> str:
    """Raises: BrokerUnavailable: it is below a home folder that this user does not have."""
    found = os.path.expanduser(data_dir)
    # If Python can't expand it, Jupyter takes it for a folder's name.
    if found.startswith("~") or "~" in Path(found).parts:
        raise BrokerUnavailable(
            "This user has no home folder, so there is no place for connvault's data. Set HOME, "
            "JUPYTER_DATA_DIR or ConnvaultExtension.data_dir to a writable folder, then restart the server."
        )
    return os.path.abspath(found)


def _level(trait: object) -> Level:
    """From the trait `log_level`, not from a logger: Jupyter's logger lets everything pass, and its handlers
    filter."""
    name = logging.getLevelName(trait) if isinstance(trait, int) else trait
    return next((level for level in _LEVELS if level == name), "WARNING")
