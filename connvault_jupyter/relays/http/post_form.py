"""A presigned POST: an upload to an object store by a form, whose first fields are signed. Nothing is signed here.

The part before the file is parsed (S3's "POST Object": fields after it are ignored) and rewritten with other fields.
The file itself passes unchanged.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .bodies import BadBody
from .client_auth import HandleToken
from .heads import RequestHead
from .streams import Incoming

# S3 allows 20 KB.
MAX_START_BYTES = 64 * 1024
_MAX_PART_HEAD_BYTES = 1024
_START_S = 20.0

# RFC 2046 5.1.1.
_BOUNDARY = re.compile(
    r"multipart/form-data\s*;.*?boundary=(?:\"([^\"]{1,70})\"|([!-:<-~]{1,70}))", re.IGNORECASE
)
_NAME = re.compile(rb'content-disposition:[ \t]*form-data[^\r\n]*?;[ \t]*name="?([^";\r\n]*)', re.IGNORECASE)
_FILE = re.compile(rb";[ \t]*filename\*?=", re.IGNORECASE)

# Signature Version 4 and 2.
_LOGIN_FIELDS = frozenset(
    {
        "awsaccesskeyid",
        "policy",
        "signature",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-signature",
    }
)


@dataclass(frozen=True)
class PostForm:
    """The fields of a form before its file. `length`: their length in the body, up to the file's part."""

    boundary: bytes = field(repr=False)
    fields: list[tuple[str, bytes]] = field(repr=False)
    length: int

    @property
    def policy(self) -> dict[str, Any]:
        """The policy that the client has signed, without its own signing fields. Raises: BadBody."""
        text = next((value for name, value in self.fields if name.lower() == "policy"), b"")
        try:
            policy = json.loads(base64.b64decode(text, validate=True))
            conditions = list(policy["conditions"])
        except (binascii.Error, ValueError, TypeError, KeyError):
            raise BadBody("the form's policy can't be read") from None
        return {**policy, "conditions": [one for one in conditions if not _is_of_the_login(one)]}

    def gives(self, token: HandleToken) -> bool:
        """Whether it contains the handle's token, as the client's key id."""
        return any(token.stands_in(value.decode("latin-1")) for _, value in self.fields)

    def signed(self, made: Mapping[str, str]) -> bytes:
        """The start of a body with these fields instead of the client's own."""
        kept = [(name, value) for name, value in self.fields if name.lower() not in _LOGIN_FIELDS]
        kept += [(name, value.encode()) for name, value in made.items()]
        return b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (self.boundary, name.encode("latin-1"), value)
            for name, value in kept
        )


def form_at_start(incoming: Incoming, head: RequestHead) -> PostForm | None:
    """The form at the start of a request's body, which stays in the buffer; `None`: this is not a presigned POST.

    Raises: BadBody: the form can't be parsed, or has no file. OSError: it was cut off, or took too long.
    """
    found = _BOUNDARY.match("".join(head.values("content-type")))
    if head.method != "POST" or head.framing != "length" or found is None:
        return None
    if head.awaits_word:
        # Nothing can be said before its first fields.
        incoming.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    boundary = (found[1] or found[2]).encode("latin-1")
    ends_at = time.monotonic() + _START_S
    while (form := post_form(incoming.buffer[: head.length], boundary)) is None:
        if len(incoming.buffer) >= min(head.length, MAX_START_BYTES):
            raise BadBody("the form has no file, or too much data before it")
        incoming.more(ends_at)
    return form if any(name.lower() == "policy" for name, _ in form.fields) else None


def post_form(start: bytes, boundary: bytes) -> PostForm | None:
    """The form, from the start of its body; `None`: the part before its file is not complete yet. Raises: BadBody: it
    is not a form."""
    line, at = b"--" + boundary, 0
    fields: list[tuple[str, bytes]] = []
    while True:
        if not line.startswith(start[at : at + len(line)]):
            raise BadBody("the form is malformed")
        # With its end.
        most = at + _MAX_PART_HEAD_BYTES + 4
        head_end = start.find(b"\r\n\r\n", at, most)
        if head_end == -1:
            if len(start) >= most:
                raise BadBody("a part of the form has too long a head")
            return None
        head = start[at:head_end]
        name = _NAME.search(head)
        if name is None:
            raise BadBody("the form is malformed")
        if name[1].lower() == b"file" or _FILE.search(head):
            break
        end = start.find(b"\r\n" + line, head_end + 4)
        if end == -1:
            return None
        fields.append((name[1].decode("latin-1"), start[head_end + 4 : end]))
        at = end + 2
    return PostForm(boundary, fields, at)


def _is_of_the_login(condition: Any) -> bool:
    """`{"x-amz-date": ...}`, or `["eq", "$x-amz-date", ...]`."""
    if isinstance(condition, dict):
        return any(str(name).lower() in _LOGIN_FIELDS for name in condition)
    named = str(condition[1]) if isinstance(condition, list) and len(condition) > 1 else ""
    return named.lower().removeprefix("$") in _LOGIN_FIELDS
