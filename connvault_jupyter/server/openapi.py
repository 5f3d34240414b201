"""The OpenAPI 3.1 document, computed from the table of operations. No routing and no validation belongs here.

Requests are described as validated, responses as serialised: a field with a default may be left out of a request, but
is always in a response.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from ..contracts.contract import API_VERSION, Contract, Empty
from ..contracts.events import Event
from ..contracts.operation import Http, Operation
from ..contracts.operations import REST_PREFIX, routed
from ..contracts.problem import Problem
from ..contracts.sealed import Sealed

_REFERENCES = "#/components/schemas/{model}"
_PLACE = re.compile(r"\{(\w+)\}")

Schema = dict[str, Any]


class _Schemas(GenerateJsonSchema):
    """A response is serialised completely, so none of its fields is optional for the reader."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def path_fields(path: str) -> list[str]:
    """The request's fields in the path: `/connections/{id}` -> `["id"]`."""
    return _PLACE.findall(path)


def schemas(references: str = _REFERENCES) -> dict[str, Schema]:
    """JSON Schemas, by name, of all contracts in HTTP and on the events socket."""
    wanted: dict[tuple[type[Contract], JsonSchemaMode], None] = {}
    for operation, _ in routed():
        wanted[operation.request, "validation"] = None
        wanted[operation.response, "serialization"] = None
    wanted[Sealed, "validation"] = None
    wanted[Problem, "serialization"] = None
    wanted[Event, "serialization"] = None
    wanted.pop((Empty, "validation"))
    wanted.pop((Empty, "serialization"))
    _, definitions = models_json_schema(list(wanted), ref_template=references, schema_generator=_Schemas)
    return dict(sorted(definitions["$defs"].items()))


def document() -> dict[str, Any]:
    """The document returned by `openapi.json`. It depends only on the table, so it can be compared."""
    components = schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation, http in routed():
        paths.setdefault(http.path, {})[http.method.lower()] = _describe(operation, http, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "connvault",
            "version": str(API_VERSION),
            "description": (
                "Connections, access requests, grants and audit events. No response contains a stored secret."
            ),
        },
        "servers": [{"url": REST_PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        },
    }


def _describe(operation: Operation, http: Http, components: dict[str, Schema]) -> dict[str, Any]:
    in_path = path_fields(http.path)
    properties: Schema = {}
    if operation.request is not Empty:
        properties = components[operation.request.__name__]["properties"]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": properties[name]} for name in in_path
    ]
    elsewhere = {*in_path, "revision"} if http.if_match else {*in_path}
    if http.if_match:
        parameters.append(
            {"name": "If-Match", "in": "header", "required": True, "schema": properties["revision"]}
        )
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    rest = [name for name in properties if name not in elsewhere]
    if http.method == "GET":
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": properties[name]} for name in rest
        ]
    elif rest:
        body = _body(operation.request.__name__, elsewhere, components)
        if operation.sealable:
            body = {"anyOf": [body, _reference(Sealed.__name__)]}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if parameters:
        described["parameters"] = parameters
    described["responses"] = {
        str(http.success): _success(operation),
        "default": {
            "description": "A Problem (RFC 9457)",
            "content": {"application/problem+json": {"schema": _reference("Problem")}},
        },
    }
    return described


def _success(operation: Operation) -> dict[str, Any]:
    if operation.response is Empty:
        return {"description": "Done"}
    schema = _reference(operation.response.__name__)
    return {"description": operation.summary, "content": {"application/json": {"schema": schema}}}


def _body(name: str, elsewhere: set[str], components: dict[str, Schema]) -> Schema:
    """The contract, without the fields that path and headers carry."""
    if not elsewhere:
        return _reference(name)
    whole = components[name]
    body = {key: value for key, value in whole.items() if key not in ("properties", "required", "title")}
    body["properties"] = {key: value for key, value in whole["properties"].items() if key not in elsewhere}
    required = [key for key in whole.get("required", []) if key not in elsewhere]
    return {**body, "required": required} if required else body


def _reference(name: str) -> Schema:
    return {"$ref": _REFERENCES.format(model=name)}
