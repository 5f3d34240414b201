"""The kinds that the HTTP relay serves: the shipped suite for each way to log in, and what it is bound to."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from connvault_jupyter.providers.registry import ProviderCatalogue
from connvault_jupyter.relays.http.authorization import authorization_of

CATALOGUE = ProviderCatalogue(packages=False)
BASE = {"base_url": "https://api.example.com/v1"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
WAYS: dict[str, dict[str, Any]] = {
    "bearer": {},
    "basic": {"username": "app"},
    "header": {"header": "X-API-Key"},
    "query": {"query": "api_key"},
    "oauth2": {"token_url": "https://login.example.com/token", "client_id": "app"},
    "none": {},
}


def of_file(name: str) -> Any:
    return json.loads(files("connvault_jupyter.providers").joinpath("catalogue", name).read_text("utf-8"))


class TestHttpHeader(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "header", **WAYS["header"], "ca_certificate": PEM}

    def definition(self) -> Any:
        return of_file("http.json")


class TestHttpQuery(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "query", **WAYS["query"]}

    def definition(self) -> Any:
        return of_file("http.json")


class TestHttpOauth2(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "oauth2", **WAYS["oauth2"]}

    def definition(self) -> Any:
        return of_file("http.json")


class TestHttpOpen(ProviderConformance):
    example: ClassVar = {**BASE, "auth": "none"}

    def definition(self) -> Any:
        return of_file("http.json")


class TestOpenai(ProviderConformance):
    example: ClassVar = {"base_url": "https://models.example.com/v1"}

    def definition(self) -> Any:
        return of_file("openai.json")


class TestElasticsearchKey(ProviderConformance):
    example: ClassVar = {"base_url": "https://search.example.com:9200", "auth": "header"}

    def definition(self) -> Any:
        return of_file("elasticsearch.json")


class TestElasticsearchPassword(ProviderConformance):
    example: ClassVar = {
        "base_url": "http://127.0.0.1:9200",
        "allow_http": True,
        "auth": "basic",
        "username": "elastic",
    }

    def definition(self) -> Any:
        return of_file("elasticsearch.json")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_the_form_is_one_of_the_relay(way: str) -> None:
    """What can be chosen can be done: the relay knows the word, and the form has what it needs."""
    provider = CATALOGUE.get("http")
    assert provider is not None
    fields = {**BASE, "auth": way, **WAYS[way]}
    assert CATALOGUE.check(provider, fields) == []
    assert authorization_of(CATALOGUE.complete(provider, fields)) is not None
    offered = [choice["const"] for choice in provider.fields["properties"]["auth"]["oneOf"]]
    assert offered == list(WAYS)


@pytest.mark.parametrize("name", ["http", "openai", "elasticsearch"])
def test_it_is_brokered_and_bound_to_its_place(name: str) -> None:
    """No login in the clear; where a secret goes, and in which part of a request, is the destination."""
    provider = CATALOGUE.get(name)
    assert provider is not None
    (delivery,) = provider.deliveries
    assert (delivery.kind, delivery.mode, delivery.protocol) == ("relay", "brokered", "http")
    placed = {"base_url", "ca_certificate", "auth", "header", "query", "token_url"}
    assert provider.destination_fields == placed & provider.field_schemas.keys()
    assert provider.testable


def test_a_token_endpoint_is_encrypted_unless_that_was_allowed() -> None:
    """The client secret goes there."""
    provider = CATALOGUE.get("http")
    assert provider is not None
    fields = {**BASE, "auth": "oauth2", "client_id": "app", "token_url": "http://login.example.com/token"}
    assert [error.path for error in CATALOGUE.check(provider, fields)] == ["fields.token_url"]
    assert CATALOGUE.check(provider, {**fields, "allow_http": True}) == []
