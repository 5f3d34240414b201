"""Tables of fields and their types, in Markdown, for the pages of `docs/reference`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .generate_contracts import FIELD_VALUE, type_of

Schema = dict[str, Any]
_MODEL = re.compile(r"\b[A-Z][A-Za-z]+\b")
_BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "matches `{}`",
    "format": "format `{}`",
}


def fields_table(schema: Schema) -> str:
    required = schema.get("required", [])
    return table(
        ("field", "type", "limits", "default"),
        (
            (
                f"`{name}`",
                type_text(inner),
                cell(", ".join(_limits(inner))),
                "required"
                if name in required
                else code(json.dumps(inner["default"]))
                if "default" in inner
                else "",
            )
            for name, inner in schema["properties"].items()
        ),
    )


def type_text(schema: Schema) -> str:
    return linked(type_of(schema, {}).replace("FieldValue", f"({FIELD_VALUE})"))


def linked(text: str) -> str:
    """A type, with a link where it names a contract, which has a heading on the same page."""
    if not _MODEL.search(text):
        return code(text)
    escaped = cell(text.replace("[", "\\["))
    return _MODEL.sub(lambda found: f"[{found[0]}](#{found[0].lower()})", escaped)


def _limits(schema: Schema) -> Iterator[str]:
    for part in [schema, *schema.get("anyOf", [])]:
        for keyword, words in _BOUNDS.items():
            if keyword in part:
                yield _counted(words.format(part[keyword]))


def _counted(text: str) -> str:
    return text.replace(" 1 characters", " 1 character").replace(" 1 entries", " 1 entry")


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    return f"`{cell(text)}`" if text else ""
