"""The messages for invalid fields. They name the field by its title and never quote what was typed.

A definition may have better ones: `x-messages` of a field, by keyword (`required`, `pattern`, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = {
    "string": "must be text.",
    "integer": "must be a whole number.",
    "number": "must be a number.",
    "boolean": "must be yes or no.",
}

UNKNOWN = "This field is unknown."
SECRET_HERE = "A secret doesn't belong here. Enter it in its own field."  # noqa: S105 - a message
USERINFO = "An address must not contain a user or password. Enter them in their own fields."
CONTROL = "{title} has characters that can't be used here, such as a line break."


def message_for(keyword: str, schema: Mapping[str, Any], narrowing: Mapping[str, Any], name: str) -> str:
    """What to say when `keyword` fails.

    Args:
        schema: the field's own, for its title and limits.
        narrowing: the part that failed; its `x-messages` take precedence.
    """
    # For a person, an empty text is a missing one.
    asked = "required" if keyword == "minLength" and narrowing.get("minLength") == 1 else keyword
    for said in (narrowing.get("x-messages"), schema.get("x-messages")):
        if isinstance(said, Mapping) and isinstance(said.get(asked), str):
            return str(said[asked])
    title = title_of(schema, name)
    if asked == "required":
        verb = "Choose" if {"enum", "oneOf"} & set(schema) else "Enter"
        return f"{verb} the {_inside(title)}."
    if asked == "type":
        return f"{title} {_TYPES.get(str(schema.get('type')), 'has the wrong type.')}"
    if asked in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        return f"{title} must be {_range(schema)}."
    if asked in ("minLength", "maxLength"):
        bound, limit = ("at least", "minLength") if asked == "minLength" else ("at most", "maxLength")
        return f"{title} must have {bound} {narrowing.get(limit, schema.get(limit))} characters."
    if asked in ("enum", "const", "oneOf", "anyOf"):
        return f"Choose one of the listed values for the {_inside(title)}."
    return f"{title} does not have the expected format."


def title_of(schema: Mapping[str, Any], name: str) -> str:
    """The field's title, or its name made readable."""
    title = schema.get("title")
    return title if isinstance(title, str) and title else name.replace("_", " ").capitalize()


def _inside(title: str) -> str:
    """A title in the middle of a sentence: "Base URL" becomes "base URL", "CA certificate" stays."""
    first, _, rest = title.partition(" ")
    lowered = first if first.isupper() and len(first) > 1 else first[:1].lower() + first[1:]
    return f"{lowered} {rest}".strip()


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"between {low} and {high}"
    for words, bound in (("at least", low), ("more than", above), ("at most", high), ("less than", below)):
        if bound is not None:
            return f"{words} {bound}"
    return "in the allowed range"
