"""Kinds of connections: a provider is data. Definitions are loaded by the registry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from .contract import Contract, FieldName, ProviderId

Mode = Literal["brokered", "in_clear", "reveal"]


RelayProtocol = Literal["postgresql", "mysql", "redis", "http", "ssh"]

# How a handle becomes a client, as shown to people: the broker logs in and copies bytes; or hands over the socket once
# logged in; a library logs in inside the requester's process; plain text only.
DeliveryForm = Literal["relay", "hand_over", "login", "reveal"]

# POSIX.1-2017 8.1, without variables that shells and loaders use: a definition must not set PATH or LD_PRELOAD.
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]

Variables = Annotated[
    dict[VariableName, Annotated[str, StringConstraints(max_length=300)]], Field(max_length=16)
]


class Delivery(Contract):
    """One way in which a handle becomes a client.

    `kind`: `relay` (the broker logs in; mode `brokered`), `login` (a client library logs in inside the requester's
    process; mode `in_clear`) or `reveal` (plain text only). `client` names the kernel-side opener module; `openers` are
    the methods that the handle gets.

    For a relay: `protocol` is the protocol; `recipe` has constants that are added to the fields (how to log in, never
    where); `variables` are environment variables for other programs, with the placeholders `{base_url}`, `{token}`,
    `{directory}`, `{socket}`, `{port}` and `{field}` for each plain field. `tcp_variables` are added and take
    precedence, for programs that can't use a Unix socket. A variable whose field has no value is not set. Names must
    say where or as whom to log in (`..._URL`, `..._HOST`, `..._TOKEN`); others are refused
    (`providers.delivery_rules`).
    """

    kind: Literal["relay", "login", "reveal"]
    mode: Mode
    client: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    openers: list[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]] = []
    protocol: RelayProtocol | None = None
    recipe: Annotated[dict[FieldName, str | int | bool], Field(max_length=16)] = {}
    variables: Variables = {}
    tcp_variables: Variables = {}


class ProviderDefinition(Contract):
    """One kind of connection.

    `fields` is a JSON Schema (2020-12) object: `writeOnly` marks a secret, `x-destination: true` the fields that say
    where a secret may be sent, and `x-order`, `x-group`, `x-placeholder` control the form. `destination` is the
    pattern of the line shown to people, with `{field}` placeholders, e.g. `{user}@{host}:{port}/{database}`. `icon` is
    an SVG, only shown as an image. `snippet` has the placeholder `{name}`.
    """

    id: ProviderId
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    description: Annotated[str, StringConstraints(max_length=300)] = ""
    category: Literal["database", "api", "storage", "other"] = "other"
    icon: Annotated[str, StringConstraints(max_length=16_384)] = ""
    documentation_url: Annotated[str, StringConstraints(max_length=300)] = ""
    fields: dict[str, Any]
    destination: Annotated[str, StringConstraints(max_length=300)] = ""
    deliveries: Annotated[list[Delivery], Field(min_length=1, max_length=8)]
    snippet: Annotated[str, StringConstraints(max_length=1000)] = ""
    testable: bool = False

    @property
    def secret_fields(self) -> frozenset[str]:
        """Names of the `writeOnly` fields."""
        return self._marked("writeOnly")

    @property
    def destination_fields(self) -> frozenset[str]:
        """Names of the fields that say where a secret may be sent."""
        return self._marked("x-destination")

    @property
    def reveal_only(self) -> bool:
        """Such a connection only gives plain text."""
        return all(delivery.mode == "reveal" for delivery in self.deliveries)

    @property
    def field_schemas(self) -> dict[str, dict[str, Any]]:
        """Every field's schema by name: first unconditional fields, then conditional ones (`then` and `else`, at the
        top or in `allOf`). If a name occurs again, its first schema counts."""
        found: dict[str, dict[str, Any]] = {}
        for part in (self.fields, *self.fields.get("allOf", [])):
            for place in (part, part.get("then", {}), part.get("else", {})):
                for name, schema in place.get("properties", {}).items():
                    found.setdefault(name, schema)
        return found

    def _marked(self, keyword: str) -> frozenset[str]:
        return frozenset(name for name, schema in self.field_schemas.items() if schema.get(keyword) is True)


class SkippedProvider(Contract):
    """A definition that could not be used: its source and the reason, for people."""

    source: str
    reason: str


class ProviderList(Contract):
    """`reveal_allowed`: whether the server lets code ask for plain text at all, except for kinds that offer nothing
    else."""

    providers: list[ProviderDefinition]
    skipped: list[SkippedProvider] = []
    reveal_allowed: bool = True


class ProviderSummary(Contract):
    """What a requester sees of a provider."""

    id: ProviderId
    name: str
    description: str
    fields: list[FieldName]
    secret_fields: list[FieldName]


class ProviderSummaryList(Contract):
    providers: list[ProviderSummary]
