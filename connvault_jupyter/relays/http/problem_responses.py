"""The relay's own error responses, in the format that its client expects, with our own text only.

A client library shows an error's text only where its service would put it, and retries after some statuses. So the
kind's definition says where to put it (constants of its recipe), the client says which media type (`Accept`), and the
status says whether retrying helps. Each JSON response contains the whole Problem (RFC 9457); otherwise it is in a
header.

    refusal_type      the media type if the client accepts any; default `application/problem+json`
    refusal_message   JSON pointers (RFC 6901), separated by spaces, to where the text goes
    refusal_code      the same for our code
    refusal_header    a header by which the client recognises its service: `Name: value`
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ...contracts.relay_wire import ERROR_HEADER, PROBLEM_HEADER, problem_of, refusal_text
from ...errors import ConnvaultError, InvalidRequest

# Errors that pass quickly on their own.
_PASSES = frozenset(
    {"upstream_error", "upstream_unreachable", "upstream_timeout", "storage_busy", "broker_unavailable"}
)
_RETRY_AFTER_S = 1

# Client libraries retry these statuses, whatever the content, and all from 500 on.
_TRIED_AGAIN = frozenset({408, 409, 413, 425, 429})

# RFC 9110 8.3.1 with simple parameters: text from the client goes into our head.
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+*-]{1,80}(?:\s*;\s*[\w-]{1,30}=[\w.-]{1,30})*", re.ASCII)
_PROBLEM_TYPE = "application/problem+json"

# So does text from a definition.
_POINTER = re.compile(r"(?:/[A-Za-z_][\w-]*(?:/0)?)*/[A-Za-z_][\w-]*", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}: [!-~ ]{1,120}")


@dataclass(frozen=True)
class Form:
    """How the client libraries of a kind of connection parse an error."""

    type: str = _PROBLEM_TYPE
    message_at: tuple[str, ...] = ()
    code_at: tuple[str, ...] = ()
    header: str = ""


def form_of(fields: Mapping[str, Any]) -> Form:
    """From the constants of the definition's recipe. Invalid ones are ignored."""
    kind, header = str(fields.get("refusal_type") or ""), str(fields.get("refusal_header") or "")
    return Form(
        type=kind if _MEDIA_TYPE.fullmatch(kind) else _PROBLEM_TYPE,
        message_at=_pointers(fields.get("refusal_message")),
        code_at=_pointers(fields.get("refusal_code")),
        header=header if _HEADER.fullmatch(header) else "",
    )


def _pointers(said: object) -> tuple[str, ...]:
    return tuple(pointer for pointer in str(said or "").split() if _POINTER.fullmatch(pointer))


def malformed(what: str) -> InvalidRequest:
    """A request that is refused before any of it is forwarded. `what` is our own text."""
    return InvalidRequest(f"This request was not forwarded: {what}.")


def problem_answer(
    error: ConnvaultError,
    *,
    form: Form,
    accepts: Iterable[str] = (),
    status: int | None = None,
    body: bool,
    close: bool,
) -> bytes:
    """A whole response. `accepts`: the client's `Accept`; `status`: if not the error's own; `body`: whether to include
    it (for HEAD only its length)."""
    passes = error.code in _PASSES
    code = status or _status_of(error, passes=passes)
    phrase = HTTPStatus(code).phrase
    problem = problem_of(error)
    shown = {"type": "about:blank", "title": phrase, "status": code, **problem, "message": error.message}
    kind = _media_type(accepts, form.type)
    content = _content(kind, shown, form)
    lines = [
        f"HTTP/1.1 {code} {phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        f"{ERROR_HEADER}: {error.code}",
        # OpenAI's, Anthropic's and other libraries from the same generator check this before the status.
        f"X-Should-Retry: {'true' if passes else 'false'}",
    ]
    if passes:
        lines.append(f"Retry-After: {_RETRY_AFTER_S}")
    if not body or "json" not in kind:
        lines.append(f"{PROBLEM_HEADER}: {json.dumps(problem)}")
    if form.header:
        lines.append(form.header)
    if code == HTTPStatus.UNAUTHORIZED:
        lines.append('WWW-Authenticate: Bearer realm="connvault"')
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head + content if body else head


def _status_of(error: ConnvaultError, *, passes: bool) -> int:
    """The error's own, unless clients would retry in vain. Internal errors of connvault keep theirs."""
    status = error.status_hint
    in_vain = status in _TRIED_AGAIN or status > HTTPStatus.INTERNAL_SERVER_ERROR
    return int(HTTPStatus.FAILED_DEPENDENCY) if in_vain and not passes else status


def _media_type(accepts: Iterable[str], default: str) -> str:
    """The first media type that the client accepts and that can be produced here."""
    wanted = []
    for one in ",".join(accepts).split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        weight = next((part[2:] for part in parameters if part.lower().startswith("q=")), "1")
        said = ";".join([kind, *(part for part in parameters if not part.lower().startswith("q="))])
        if _MEDIA_TYPE.fullmatch(said) and weight.replace(".", "", 1).isdecimal() and float(weight) > 0:
            wanted.append((-float(weight), said))
    for _, said in sorted(wanted, key=lambda one: one[0]):
        kind = said.partition(";")[0].lower()
        if kind in ("*/*", "application/*"):
            return default
        if kind == "application/json" or kind.endswith("+json"):
            return said
        if kind in ("application/xml", "text/xml"):
            return kind
        if kind.startswith("text/") and kind != "text/event-stream":
            return "text/plain;charset=utf-8"
    return default


def _content(kind: str, shown: dict[str, Any], form: Form) -> bytes:
    if "json" in kind:
        tree: dict[str, Any] = dict(shown)
        for pointers, value in ((form.message_at, shown["message"]), (form.code_at, shown["code"])):
            for pointer in pointers:
                _put(tree, pointer.split("/")[1:], value)
        return json.dumps(tree).encode()
    if kind.endswith("/xml"):
        code, message = html.escape(shown["code"]), html.escape(shown["message"])
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        ).encode()
    return f"{refusal_text(shown['code'], shown['message'])}\n".encode()


def _put(tree: Any, path: list[str], value: str) -> None:
    """Sets a value at a JSON pointer, creating missing parents. A list gets one member."""
    *way, last = path
    for here, further in zip(way, path[1:], strict=True):
        below: Any = [{}] if further == "0" else {}
        if here == "0":
            tree = tree[0]
        elif isinstance(tree.get(here), type(below)):
            tree = tree[here]
        else:
            tree[here] = tree = below
    tree[last] = value
