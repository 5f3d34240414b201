"""`%connections`: the panel and its sub-commands in a cell. Rules and questions are up to the broker."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..contracts.secret_words import mentions_secret, secret_values
from ..errors import ConnvaultError, ProviderNotFound, SecretInCode
from ..kernel import api
from ..kernel.display import Table, audit_table, plain, status_words
from ..kernel.handle import Handle
from ..kernel.responses import Provider, how_by
from .command import VERBS, BadCommand, Command, parse
from .scrub import scrub

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NAME = "connections"

HELP = """\
%connections                                   the panel: see, create and edit connections
%connections list                              all connections
%connections new PROVIDER [field=value ...]    the form for a new one; never type a secret here
%connections use NAME [as VAR] [--reason ...]  ask to use it, and assign the handle to a variable
%connections show NAME                         its kind, destination, status and delivery
%connections revoke NAME                       revoke this notebook's permissions for it
%connections audit [NAME]                      this notebook's activity
%connections help                              this text"""


class ConnectionsMagic:
    """Runs the sub-commands in one shell."""

    def __init__(self, *, shell: InteractiveShell) -> None:
        self._shell = shell

    def run(self, line: str) -> None:
        first = line.split(None, 1)[:1]
        # An unknown verb followed by a secret was probably meant to be `new`.
        new = first == ["new"] or (bool(first) and first[0] not in VERBS)
        if new:
            self._refuse_secrets(line)
        try:
            command = parse(line)
        except BadCommand as exc:
            if new:
                # Even something that is not a field could be a secret.
                scrub(self._shell, _words(line)[2:])
            from IPython.core.error import UsageError

            raise UsageError(f"{exc}\n%connections help shows all commands.") from None
        steps: dict[str, Callable[[], None]] = {
            "": self._panel,
            "list": lambda: self._display(api.connections()),
            "new": lambda: self._new(command),
            "use": lambda: self._use(command),
            "show": lambda: self._show(command.name),
            "revoke": lambda: self._revoke(command.name),
            "audit": lambda: self._display(audit_table(api.record(command.name or None))),
            "help": lambda: print(HELP),  # noqa: T201
        }
        steps[command.verb]()

    run.__doc__ = HELP

    def _panel(self) -> None:
        if self._draws_widgets():
            from ..widgets.panel import ConnectionsPanel

            self._display(ConnectionsPanel())
            return
        from ..widgets.fallback import listing_bundle

        self._shell.display_pub.publish(data=listing_bundle(), metadata={})

    def _new(self, command: Command) -> None:
        provider, values = command.provider, dict(command.values)
        if command.name and not api.valid_name(command.name):
            from IPython.core.error import UsageError

            raise UsageError(
                "A name starts with a letter and contains only letters, digits, '_', '-' and '.'."
            )
        if provider:
            self._check_fields(provider, values)
        if self._draws_widgets():
            from ..widgets.form import ConnectionForm

            self._display(ConnectionForm(provider=provider, name=command.name, values=values))
            return
        from ..widgets.fallback import form_bundle

        proposal = (
            api.propose(provider=provider, name=command.name, fields=values) if command.name or values else ""
        )
        self._shell.display_pub.publish(data=form_bundle(provider, proposal), metadata={})

    def _use(self, command: Command) -> None:
        existing = self._shell.user_ns.get(command.variable)
        if command.variable in self._shell.user_ns and not isinstance(existing, Handle):
            from IPython.core.error import UsageError

            raise UsageError(
                f"The variable {command.variable} already exists. Choose another one: %connections use "
                f"{command.name} as VARIABLE"
            )
        handle = api.connection(command.name, reason=command.reason)
        self._shell.user_ns[command.variable] = handle
        self._display(handle)

    def _show(self, name: str) -> None:
        found = api.summary(name)
        vault = api.connections().vault
        rows = [
            ("name", found.name),
            ("kind", found.provider_name),
            ("destination", found.destination),
            ("status", status_words(found.status, found.status_reason, vault=vault)),
            ("delivery", how_by(found.delivery)),
        ]
        if found.display_name:
            rows.insert(1, ("title", found.display_name))
        self._display(Table(("", ""), rows, empty=""))

    def _revoke(self, name: str) -> None:
        name = api.summary(name).name
        count = api.revoke(name)
        if count == 0:
            print(f"This notebook has no permission for {name}.")  # noqa: T201
        else:
            print(  # noqa: T201
                f"Revoked {count} permission{'s' if count > 1 else ''} for {name}. Open brokered clients "
                "were closed; the next use asks again."
            )

    def _refuse_secrets(self, line: str) -> None:
        """Raises: SecretInCode: the line contains a secret. It is removed from the history first."""
        words = _words(line)[1:]
        provider = self._provider(words[0]) if words else None
        given = {
            name: value for name, separator, value in (word.partition("=") for word in words[1:]) if separator
        }
        secret_fields = provider.secret_fields if provider else ()
        plain_fields = set(provider.fields) - set(secret_fields) if provider else set()
        found = secret_values(given, secret_fields=secret_fields, plain_fields=plain_fields)
        # Spaces around the sign, colons, dashes: not the required format, but still a secret.
        loose = " ".join(word for word in words if word.partition("=")[0] not in plain_fields)
        if found or mentions_secret(loose):
            scrub(self._shell, [given[name] for name in found])
            name = given.get("name")
            raise SecretInCode(
                "A secret was typed into the cell. Delete it from the cell, change the password where it "
                "is used, "
                "and enter the new one in the form.",
                **({"provider": provider.id} if provider else {}),
                **({"connection": name} if name and api.valid_name(name) else {}),
            )

    def _check_fields(self, provider: str, values: dict[str, str]) -> None:
        try:
            kinds = api.providers()
        except ConnvaultError:
            # Without the broker no suggestion can be made, and the empty form says what is wrong.
            return
        known = next((kind for kind in kinds if kind.id == provider), None)
        if known is None:
            raise ProviderNotFound(
                f"Unknown kind of connection. Known kinds: {', '.join(kind.id for kind in kinds)}."
            )
        if any(name not in known.fields for name in values):
            # It could be a password whose field name is misspelt.
            scrub(self._shell, list(values.values()))
            from IPython.core.error import UsageError

            plain_fields = [name for name in known.fields if name not in known.secret_fields]
            raise UsageError(f"{plain(known.name)} has these fields: {', '.join(plain_fields)}.")

    def _provider(self, identifier: str) -> Provider | None:
        try:
            return next((kind for kind in api.providers() if kind.id == identifier), None)
        except ConnvaultError:
            return None

    def _draws_widgets(self) -> bool:
        """Whether a page may draw the widget: in a kernel, but not in VS Code (which can't load our views)."""
        if not hasattr(self._shell, "kernel") or "__vsc_ipynb_file__" in self._shell.user_ns:
            return False
        import importlib.util

        return importlib.util.find_spec("ipywidgets") is not None

    def _display(self, value: Any) -> None:
        from IPython.display import display

        display(value)  # type: ignore[no-untyped-call]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        # An open quotation mark must not hide a secret.
        return line.split()
