"""The page of `docs/reference` about REST: every route, and every contract that goes over it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from connvault_jupyter.contracts.operations import REST_PREFIX
from connvault_jupyter.server import openapi

from .generate_contracts import type_of
from .reference_tables import Schema, fields_table, linked, table, type_text


def rest() -> str:
    """Every route, and every contract that goes over it."""
    document = openapi.document()
    components: dict[str, Schema] = document["components"]["schemas"]
    parts = [
        "# REST",
        (
            f"{document['info']['description']} All paths are below `{REST_PREFIX}` of the server's base URL. "
            "Requests need the server's token (`Authorization: token ...`), or its cookie with the "
            "`X-XSRFToken` header. An error is a [Problem](#problem) (RFC 9457). The document itself is "
            "`labextension/openapi.json`."
        ),
        "## Operations",
        table(
            ("request", "operation", "does"),
            (
                (f"`{verb.upper()} {path}`", f"`{what['operationId']}`", what["summary"])
                for path, verbs in document["paths"].items()
                for verb, what in verbs.items()
            ),
        ),
    ]
    for path, verbs in document["paths"].items():
        for verb, what in verbs.items():
            parts.append(f"### {what['operationId']}\n\n`{verb.upper()} {path}`: {what['summary']}.")
            parts += _request(what)
            parts += _answer(what)
    parts.append("## Contracts")
    for name, schema in components.items():
        parts.append(f"### {name}\n\n{inspect.cleandoc(schema.get('description', ''))}")
        if schema.get("properties"):
            parts.append(fields_table(schema))
    return "\n\n".join(parts)


def _request(what: Schema) -> Iterator[str]:
    if "parameters" in what:
        yield table(
            ("parameter", "in", "type", "required"),
            (
                (
                    f"`{one['name']}`",
                    one["in"],
                    type_text(one["schema"]),
                    "yes" if one["required"] else "",
                )
                for one in what["parameters"]
            ),
        )
    if "requestBody" in what:
        body = what["requestBody"]["content"]["application/json"]["schema"]
        options = body.get("anyOf", [body])
        for option in options:
            if option.get("$ref", "").endswith("/Sealed"):
                yield "Or the body sealed to the broker: [Sealed](#sealed)."
            elif "$ref" in option:
                yield f"Body: {linked(type_of(option, {}))}."
            else:
                yield "Body:"
                yield fields_table(option)


def _answer(what: Schema) -> Iterator[str]:
    for status, answer in what["responses"].items():
        if status != "default":
            schema = answer.get("content", {}).get("application/json", {}).get("schema")
            yield (
                f"Answers {status}: {linked(type_of(schema, {}))}."
                if schema
                else f"Answers {status}, without a body."
            )
