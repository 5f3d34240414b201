"""The kinds that the HTTP relay serves: the shipped suite for each way to log in, and what it is bound to."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from connvault_jupyter.relays.http.authorization import authorization_of
from tests.support.services.catalogue import CATALOGUE, PEM, definition, provider, said

BASE = {"base_url": "https://api.example.com/v1"}
WAYS: dict[str, dict[str, Any]] = {
    "bearer": {},
    "basic": {"username": "app"},
    "header": {"header": "X-API-Key"},
    "query": {"query": "api_key"},
    "oauth2": {"token_url": "https://login.example.com/token", "client_id": "app"},
    "none": {},
}


class TestHttpHeader(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "header", **WAYS["header"], "ca_certificate": PEM}

    def definition(self) -> Any:
        return definition("http")


class TestHttpQuery(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "query", **WAYS["query"]}

    def definition(self) -> Any:
        return definition("http")


class TestHttpOauth2(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "oauth2", **WAYS["oauth2"]}

    def definition(self) -> Any:
        return definition("http")


class TestHttpOpen(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "none"}

    def definition(self) -> Any:
        return definition("http")


class TestOpenai(ProviderConformance):
    example: ClassVar = {"base_url": "https://models.example.com/v1"}

    def definition(self) -> Any:
        return definition("openai")


class TestElasticsearchKey(ProviderConformance):
    example: ClassVar = {"base_url": "https://search.example.com:9200", "auth": "header"}

    def definition(self) -> Any:
        return definition("elasticsearch")


class TestElasticsearchPassword(ProviderConformance):
    example: ClassVar = {
        "base_url": "http://127.0.0.1:9200",
        "allow_http": True,
        "auth": "basic",
        "username": "elastic",
    }

    def definition(self) -> Any:
        return definition("elasticsearch")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_the_form_is_one_of_the_relay(way: str) -> None:
    """What can be chosen can be done: the relay knows the word, and the form has what it needs."""
    http, fields = provider("http"), {**BASE, "auth": way, **WAYS[way]}
    assert said("http", fields) == {}
    assert authorization_of(CATALOGUE.complete(http, fields)) is not None
    offered = [choice["const"] for choice in http.fields["properties"]["auth"]["oneOf"]]
    assert offered == list(WAYS)


@pytest.mark.parametrize("name", ["http", "openai", "elasticsearch"])
def test_http_is_brokered_and_bound_to_its_place(name: str) -> None:
    """No login in the clear; where a secret goes, and in which part of a request, is the destination."""
    found = provider(name)
    (delivery,) = found.deliveries
    assert (delivery.kind, delivery.mode, delivery.protocol) == ("relay", "brokered", "http")
    placed = {"base_url", "ca_certificate", "auth", "header", "query", "token_url"}
    assert found.destination_fields == placed & found.field_schemas.keys()
    assert found.testable


def test_a_token_endpoint_is_encrypted_unless_that_was_allowed() -> None:
    """The client secret goes there."""
    fields = {**BASE, "auth": "oauth2", "client_id": "app", "token_url": "http://login.example.com/token"}
    assert list(said("http", fields)) == ["fields.token_url"]
    assert said("http", {**fields, "allow_http": True}) == {}
