"""What a definition must not do, rule by rule: each is one change to a good definition, and one reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.providers.definition_rules import definition_from
from connvault_jupyter.providers.icon_rules import icon_problem
from connvault_jupyter.providers.schema_rules import Unusable
from tests.support.services.definition_changes import Change, put, text_of

GOOD: dict[str, Any] = {
    "id": "metrics",
    "name": "Metrics",
    "fields": {
        "type": "object",
        "properties": {
            "host": {"type": "string", "title": "Host", "x-destination": True},
            "kind": {"type": "string", "enum": ["token", "none"], "default": "token"},
            "size": {"$ref": "#/$defs/small"},
        },
        "required": ["host"],
        "$defs": {"small": {"type": "integer", "minimum": 0}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": "token"}}, "required": ["kind"]},
                "then": {
                    "properties": {"token": {"type": "string", "writeOnly": True}},
                    "required": ["token"],
                },
            }
        ],
    },
    "destination": "{host}",
    "deliveries": [{"kind": "login", "mode": "in_clear", "client": "http", "openers": ["session"]}],
}


F = "fields"
P = ("fields", "properties")
TOKEN = ("fields", "allOf", 0, "then", "properties", "token")

BAD: dict[str, tuple[Change, str]] = {
    "no id": (lambda d: d.pop("id"), "id is missing"),
    "id with a path": (put("id", value="../x"), "id has characters"),
    "unknown name": (put("colour", value="red"), "colour is unknown"),
    "long name": (put("name", value="x" * 61), "name is too long"),
    "no deliveries": (put("deliveries", value=[]), "deliveries"),
    "unknown delivery": (put("deliveries", 0, "kind", value="shell"), "deliveries.0.kind is not one of"),
    "client with a path": (
        put("deliveries", 0, "client", value="os.path"),
        "deliveries.0.client has characters",
    ),
    "fields is a list": (put(F, value=[]), "fields must be an object"),
    "not an object": (put(F, "type", value="array"), '"type": "object"'),
    "another dialect": (put(F, "$schema", value="http://json-schema.org/draft-07/schema#"), "2020-12"),
    "broken schema": (put(*P, "host", "type", value="text"), "not a valid JSON Schema"),
    "remote $ref": (put(*P, "host", value={"$ref": "https://example.com/x"}), "$ref may only"),
    "file $ref": (put(*P, "host", value={"$ref": "file:///etc/passwd"}), "$ref may only"),
    "$ref to a property": (put(*P, "host", value={"$ref": "#/properties/kind"}), "$ref may only"),
    "$ref to nothing": (put(*P, "host", value={"$ref": "#/$defs/nothing"}), "$ref may only"),
    "$ref deeper": (put(*P, "host", value={"type": "string", "not": {"$ref": "#"}}), "$ref may only"),
    "$ref in a circle": (put(F, "$defs", "small", value={"$ref": "#/$defs/small"}), "$defs must not contain"),
    "secret in $defs": (put(F, "$defs", "small", "writeOnly", value=True), "$defs must not contain"),
    "$id": (put(F, "$id", value="https://example.com/x"), "not have $id"),
    "$dynamicRef": (put(*P, "host", "$dynamicRef", value="#x"), "not have $dynamicRef"),
    "anyOf": (
        put(F, "anyOf", value=[{"properties": {"x": {"writeOnly": True}}}]),
        "fields must not have anyOf",
    ),
    "patternProperties": (put(F, "patternProperties", value={}), "not have patternProperties"),
    "additionalProperties": (put(F, "additionalProperties", value=False), "not have additionalProperties"),
    "allOf in then": (put(F, "allOf", 0, "then", "allOf", value=[{}]), "not have allOf"),
    "properties in allOf": (put(F, "allOf", 0, "properties", value={}), "allOf must not have properties"),
    "then is false": (put(F, "allOf", 0, "then", value=False), "must be an object"),
    "if is true": (put(F, "allOf", 0, "if", value=True), "if must be an object"),
    "bad pattern": (
        put(*P, "host", "pattern", value="("),
        "not a valid JSON Schema, at properties.host.pattern",
    ),
    "capital field": (put(*P, "Host", value={"type": "string"}), "field's name"),
    "field with a dot": (put(*P, "a.b", value={"type": "string"}), "field's name"),
    "field is true": (put(*P, "host", value=True), "host must be an object"),
    "object field": (put(*P, "host", value={"type": "object"}), "type of host"),
    "untyped field": (put(*P, "host", value={"title": "Host"}), "type of host"),
    "two types": (put(*P, "host", "type", value=["string", "null"]), "type of host"),
    "default on a secret": (put(*TOKEN, "default", value="x"), "token is a secret"),
    "enum on a secret": (put(*TOKEN, "enum", value=["x"]), "token is a secret"),
    "const on a secret": (put(*TOKEN, "const", value="x"), "token is a secret"),
    "oneOf on a secret": (put(*TOKEN, "oneOf", value=[{"const": "x"}]), "token is a secret"),
    "examples on a secret": (put(*TOKEN, "examples", value=["x"]), "token is a secret"),
    "secret number": (put(*TOKEN, "type", value="integer"), "token is a secret, so"),
    "secret destination": (put(*TOKEN, "x-destination", value=True), "token is a secret"),
    "wrong default": (put(*P, "host", "default", value=1), "default of host"),
    "required unknown": (put(F, "required", value=["nothing"]), "required names"),
    "secret inside if": (
        put(F, "allOf", 0, "if", value={"not": {"required": ["token"]}}),
        "if must not test a secret",
    ),
    "secret compared in if": (
        put(F, "allOf", 0, "if", value={"properties": {"token": {"const": "x"}}}),
        "if must not test a secret",
    ),
    "hidden secret": (put(*P, "host", "not", value={"writeOnly": True}), "writeOnly may only"),
    "two meanings": (put(*P, "token", value={"type": "string"}), "two places"),
    "second mention marks": (
        put(F, "allOf", 0, "then", "properties", "host", value={"writeOnly": True}),
        "marked where it is mentioned again",
    ),
    "messages": (put(*P, "host", "x-messages", value={"required": 1}), "x-messages"),
    "no destination": (lambda d: d["fields"]["properties"]["host"].pop("x-destination"), "x-destination"),
    "line names a secret": (put("destination", value="{token}"), "must not name a secret"),
    "line names nothing": (put("destination", value="{nothing}"), "does not exist"),
    "line with attributes": (put("destination", value="{host.__class__}"), "braces"),
    "line with a conversion": (put("destination", value="{host!r}"), "braces"),
    "icon with a script": (
        put("icon", value="<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"),
        "icon",
    ),
    "link to a script": (put("documentation_url", value="javascript:alert(1)"), "https://"),
    "plain link": (put("documentation_url", value="http://example.com"), "https://"),
}


def test_the_good_one_is_good() -> None:
    """Otherwise nothing below would mean anything."""
    found = definition_from(json.dumps(GOOD))
    assert found.secret_fields == {"token"}
    assert found.destination_fields == {"host"}


@pytest.mark.parametrize(
    "change",
    [
        put(F, "allOf", 0, "if", "properties", "kind", value={"enum": ["token"]}),
        put(F, value={"type": "object", "properties": {"host": GOOD[F]["properties"]["host"]}}),
        put(F, "x-note", value="for readers"),
    ],
    ids=["a value compared that is called like a secret", "every field in the destination", "an extension"],
)
def test_what_only_looks_like_a_broken_rule_is_good(change: Change) -> None:
    """Neither tests a secret or names one."""
    definition_from(text_of(GOOD, change))


@pytest.mark.parametrize(("change", "reason"), BAD.values(), ids=BAD)
def test_when_a_rule_is_broken_the_reason_says_which(change: Change, reason: str) -> None:
    """One change, one reason, in words."""
    with pytest.raises(Unusable) as caught:
        definition_from(text_of(GOOD, change))
    assert reason in str(caught.value)


def test_when_a_name_is_there_twice_the_definition_is_refused() -> None:
    """A reader would take the first one for what counts, a parser the last."""
    text = json.dumps(GOOD).replace('"destination":', '"destination": "elsewhere", "destination":')
    with pytest.raises(Unusable, match="twice"):
        definition_from(text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", '"x"', '{"id": NaN}', "[" * 100_000, '{"a":' * 50_000, "\x00"]
)
def test_what_is_no_definition_at_all_is_refused(text: str) -> None:
    """Whatever a file may hold."""
    with pytest.raises(Unusable):
        definition_from(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "properties", "required", "if", "then", "else", "allOf", "$ref", "$defs", "enum", "x-destination",
             "writeOnly", "default", "pattern", "host", "token", "x-messages", "not"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300)
@given(
    where=st.sampled_from([(F,), P, (*P, "host"), (F, "allOf"), (F, "allOf", 0), TOKEN]), value=json_values
)
def test_a_definition_with_anything_anywhere_is_used_or_refused(
    where: tuple[str | int, ...], value: Any
) -> None:
    """No other exception, and what is used keeps its secrets out of the destination."""
    try:
        found = definition_from(text_of(GOOD, put(*where, value=value)))
    except Unusable:
        return
    assert not found.secret_fields & found.destination_fields


SVG = "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>{}</svg>"


@pytest.mark.parametrize(
    "icon",
    [
        "<svg/>",
        "<html/>",
        "text",
        "<svg xmlns='http://www.w3.org/2000/svg'>",
        "<?xml version='1.0'?>" + SVG.format(""),
        "<!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG.format("&a;"),
        SVG.format("") + SVG.format(""),
        *(
            SVG.format(inside)
            for inside in (
                "<script>1</script>",
                "<foreignObject/>",
                "<style>path{}</style>",
                "<image href='#a'/>",
                "<a href='#a'/>",
                "<animate/>",
                "<set/>",
                "<use href='https://example.com/x#a'/>",
                "<use xlink:href='data:image/svg+xml,x'/>",
                "<path onload='x()'/>",
                "<path fill='url(https://example.com/#a)'/>",
                "<path style='background:url( \"//example.com\")'/>",
                "<path xmlns='http://www.w3.org/1999/xhtml'/>",
            )
        ),
    ],
)
def test_an_icon_that_is_more_than_a_drawing_is_refused(icon: str) -> None:
    """Nothing that runs, loads or links."""
    assert icon_problem(icon)


@pytest.mark.parametrize(
    "icon",
    [
        "",
        SVG.format(""),
        SVG.format("<defs><path id='a' d='M0 0'/></defs><use href='#a'/><use xlink:href='#a'/>"),
        SVG.format("<linearGradient id='g'><stop/></linearGradient><rect fill='url(#g)'/><title>x</title>"),
    ],
)
def test_an_icon_that_is_a_drawing_is_taken(icon: str) -> None:
    """Shapes, gradients, and links inside."""
    assert icon_problem(icon) is None
