"""Validates a definition's deliveries, whoever wrote them. Deliveries are implemented by the relays and the kernel
side.

A relay logs in at the address that a person has entered: that address consists of fields with fixed names, all of them
bound (`x-destination`), and nothing else in a definition can name another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..contracts.providers import Delivery, Mode, ProviderDefinition, RelayProtocol
from .field_pattern import FieldPattern, PatternError
from .schema_rules import Unusable

_MODES: Mapping[str, Mode] = {"relay": "brokered", "login": "in_clear", "reveal": "reveal"}

_TLS = {"sslmode": "string", "ca_certificate": "string"}


@dataclass(frozen=True)
class _Place:
    """The fields, by name and type, that say where a relay connects: required and optional ones."""

    needed: Mapping[str, str]
    possible: Mapping[str, str]


_HOST_AND_PORT = {"host": "string", "port": "integer"}
_PLACES: Mapping[RelayProtocol, _Place] = {
    "postgresql": _Place(_HOST_AND_PORT, _TLS),
    "mysql": _Place(_HOST_AND_PORT, _TLS),
    "redis": _Place(_HOST_AND_PORT, _TLS),
    # It signs logins made by others. They prove the host by its key, and only if they must.
    "ssh": _Place(_HOST_AND_PORT, {"host_key": "string", "bound_only": "boolean"}),
    "http": _Place({"base_url": "string"}, {"token_url": "string", "ca_certificate": "string"}),
}
# Not where a secret is sent, but what it opens there; the destination line shows it (`field_pattern`).
_SCOPES = frozenset({"any_database"})
_PLACE_FIELDS = _SCOPES.union(*((*place.needed, *place.possible) for place in _PLACES.values()))

# The placeholders of a listener (contracts.providers.Delivery), by protocol. They hide fields of the same name.
_ON_A_SOCKET = frozenset({"directory", "socket"})
_ON_LOOPBACK_TOO = _ON_A_SOCKET | {"port", "token"}
LISTENER_PLACES: Mapping[RelayProtocol, frozenset[str]] = {
    "postgresql": _ON_LOOPBACK_TOO,
    "mysql": _ON_LOOPBACK_TOO,
    "redis": _ON_LOOPBACK_TOO,
    "ssh": _ON_A_SOCKET,
    "http": _ON_LOOPBACK_TOO | {"base_url"},
}

# Variables that programs use to find or load code, libraries, helpers, configuration, certificates and proxies. With
# them, a definition could make any program that is started with its variables run something else.
_LOADERS = frozenset(
    {
        "BROWSER", "CDPATH", "CLASSPATH", "EDITOR", "ENV", "GCONV_PATH", "GLIBC_TUNABLES", "HOME", "HOSTALIASES",
        "IFS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "KUBECONFIG", "LANG", "LESSOPEN", "LOCALDOMAIN", "LOCPATH",
        "LOGNAME", "MYSQL_HOME", "NLSPATH", "OLDPWD", "PAGER", "PATH", "PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR",
        "PROMPT_COMMAND", "PS4", "PWD", "RES_OPTIONS", "SHELL", "SHELLOPTS", "TEMP", "TERM", "TERMINFO", "TMP",
        "TMPDIR", "USER", "VIRTUAL_ENV", "VISUAL", "WGETRC",
    }
)  # fmt: skip
_LOADER_NAMES = re.compile(
    r"(BASH|LD_|DYLD_|LC_|XDG_|DBUS_|MALLOC_|PYTHON|PIP_|UV_|CONDA|IPYTHON|JUPYTER|CONNVAULT|PERL|RUBY|GEM_|BUNDLE_|"
    r"NODE|NPM_|LUA|PHP|R_|JULIA|GO[A-Z]*\Z|CARGO|RUST|DOTNET|GIT_|SSH_ASKPASS|OPENSSL|SSL_CERT|CURL_|REQUESTS_CA)"
    r"|.*_PROXY\Z|.*_CONFIG_FILE\Z|.*_CREDENTIALS_FILE\Z|.*_CA_BUNDLE\Z"
)

# Other variables may be set only if their name says where or as whom to log in: no list of variables that run code is
# ever complete (PSQLRC, PSQL_PAGER, LIBMYSQL_PLUGINS, ODBCINI, TAR_OPTIONS, ...).
_SAYS_WHERE = re.compile(
    r"PG(HOST|PORT|USER|DATABASE|PASSWORD|SSLMODE)"
    r"|AWS_(ALLOW_HTTP|VIRTUAL_HOSTED_STYLE_REQUEST|EC2_METADATA_DISABLED)"
    r"|([A-Z0-9_]*_)?(URL|URI|DSN|API_BASE|ENDPOINT|HOST|PORT|SOCKET|SOCK|SERVER|ADDRESS|USER|USERNAME|PASSWORD|PWD|AUTH|TOKEN"
    r"|KEY|KEY_ID|SECRET|DATABASE|DB|SCHEMA|CATALOG|ACCOUNT|PROJECT|TENANT|REGION|BUCKET|INDEX)(_[A-Z][0-9])?"
)
# Variables by which other programs of the machine work, or get their own logins.
_ELSEWHERE = re.compile(
    r"DOCKER_|KUBERNETES_|AWS_CONTAINER_|AWS_EC2_METADATA_SERVICE|KRB5|VAULT_|TF_|ANSIBLE_"
)


def check_deliveries(definition: ProviderDefinition) -> None:
    """Raises: Unusable: the first rule that is broken."""
    relays = [one for one in definition.deliveries if one.kind == "relay"]
    for delivery in definition.deliveries:
        if delivery.mode != _MODES[delivery.kind]:
            raise Unusable(f"A {delivery.kind} delivery must have the mode {_MODES[delivery.kind]}.")
        if delivery.kind != "relay" and (
            delivery.protocol is not None or delivery.recipe or delivery.variables or delivery.tcp_variables
        ):
            raise Unusable("Only a relay has a protocol, a recipe and variables.")
    if len(relays) > 1:
        raise Unusable("Only one relay is allowed.")
    if relays and any(one.kind == "login" for one in definition.deliveries):
        # Otherwise code could choose the weaker way.
        raise Unusable("A kind with a relay must not also have a login in the clear.")
    for relay in relays:
        if relay.protocol is None:
            raise Unusable("A relay must have a protocol.")
        _check_place(definition, relay.protocol)
        _check_recipe(definition, relay)
        _check_variables(definition, relay, relay.protocol)
    if definition.secret_fields and not definition.destination_fields and not definition.reveal_only:
        raise Unusable("It logs in with a secret, so x-destination must say where the secret may be sent.")


def refused_variable(name: str) -> bool:
    """Whether a definition may not set this variable."""
    if name in _LOADERS or _LOADER_NAMES.match(name) or _ELSEWHERE.match(name):
        return True
    return _SAYS_WHERE.fullmatch(name) is None


def _check_place(definition: ProviderDefinition, protocol: RelayProtocol) -> None:
    place, declared = _PLACES[protocol], definition.field_schemas
    always = definition.fields.get("properties", {}).keys() & set(definition.fields.get("required", []))
    for name in place.needed:
        if name not in always:
            raise Unusable(f"A relay for {protocol} needs a required field {name}.")
    for name, kind in {**place.needed, **place.possible}.items():
        if name not in declared:
            continue
        if declared[name].get("x-destination") is not True:
            raise Unusable(f"{name} says where a relay for {protocol} connects, so it must be x-destination.")
        if declared[name].get("type") != kind:
            raise Unusable(f"The type of {name} must be {kind} for a relay for {protocol}.")


def _check_recipe(definition: ProviderDefinition, relay: Delivery) -> None:
    for name in relay.recipe:
        if name in definition.field_schemas:
            raise Unusable(f"recipe must not name the field {name}.")
        if name in _PLACE_FIELDS:
            raise Unusable(f"recipe says how to log in, never where, so it must not name {name}.")


def _check_variables(definition: ProviderDefinition, relay: Delivery, protocol: RelayProtocol) -> None:
    # A secret may have the name of a listener's placeholder; the placeholder takes precedence.
    known = LISTENER_PLACES[protocol] | (definition.field_schemas.keys() - definition.secret_fields)
    for name, text in (*relay.variables.items(), *relay.tcp_variables.items()):
        if not text.isprintable():
            raise Unusable(f"{name} must be one line of text.")
        try:
            named = FieldPattern(text).names
        except PatternError:
            raise Unusable(f"{name} must be text with {{place}} placeholders and no other braces.") from None
        if not named <= known:
            raise Unusable(
                f"{name} may only use the relay's own placeholders and fields that are not secret."
            )
        if refused_variable(name):
            raise Unusable(
                f"variables must not set {name}: it may change how programs find or load code and settings. "
                "Use a name that says where or as whom to log in, such as one that ends with _URL, _HOST, "
                "_PORT, _USER or _TOKEN."
            )
