"""Headers that give a request a second target at the same service: checked and rewritten like the first. No other
headers.

The target of a copy or move (`Destination`, RFC 4918 10.3), the source of a copy (`x-amz-copy-source` and similar
ones), parts to combine (`Upload-Concat` of tus), the resource of a condition (`If`, RFC 4918 10.4). A server treats
these like the request's own target, with the same login.

Not included: addresses that a server stores, or calls later (`Link`, `Referer`, webhooks). They are content, as in a
body. Nor a service's own parameters (`X-Vault-Namespace`, `X-Amz-Target`, a bucket).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote, unquote_plus

from ...errors import NotAllowed
from .origin import Origin
from .paths import has_control, has_separator

# In lower case, with hyphens. Names for users' own data don't count (`x-amz-meta-copy-source`).
_NAMES = re.compile(
    r"(?!.*-meta-)(?:"
    r"(?P<target>(?:x-)?(?:http-)?destination)"
    r"|(?P<condition>if)"
    # S3, GCS, OSS, COS, OBS, Azure; Azure's and S3's renaming; Swift's copies, links and objects in parts.
    r"|(?P<source>(?:.*-)?(?:copy|move|rename|link|symlink)-(?:source|from|target)|(?:x-)?object-manifest)"
    r"|(?P<parts>upload-concat)"
    # Swift: the same path below another account's.
    r"|(?P<account>(?:.*-)?(?:destination|copy-from|symlink-target)-account)"
    r")"
)

# In a query; a form's own `destination=` does not count.
_PARAMETERS = re.compile(r"(?:^|[&;])((?:x|%[57]8)(?:[-_]|%2d|%5f)[^=&;]*)=([^&;]*)", re.IGNORECASE)
_MARK = re.compile(r"[^a-z0-9]")

# RFC 4918 9.8, 9.9: for these methods it is defined to what a destination is relative.
_COPYING = frozenset({"COPY", "MOVE"})

# RFC 3986 4.2: one segment that is not a scheme, and a query.
_NAME = re.compile(r"[^/\\:<>\"?#\s]+(?:\?[^\\<>\"#\s]*)?")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# RFC 3986 4.2, without a scheme or another authority, also as only some servers read them.
_RELATIVE = re.compile(r"[^/\\:<>\"\s][^:<>\"\\\s]*|[^/\\:<>\"\s][^:<>\"\\\s]*/[^<>\"\\\s]*")

# RFC 4918 10.4.2: lists of conditions, preceded by the resource they are about. A list's own `<...>` is a token.
_LIST = r"\((?:[^()\"<>]|\"[^\"]*\"|<[^<>]*>)*\)"
_CONDITIONS = re.compile(rf"(?:\s*(?:{_LIST}|<[^<>]*>))+\s*")
_CONDITION = re.compile(rf"({_LIST})|<([^<>]*)>")


def has_second_address(name: str) -> bool:
    """Whether a header of this name (in lower case, with hyphens) is one of those."""
    return _NAMES.fullmatch(name) is not None


def check_query(target: str, origin: Origin) -> None:
    """Some services accept these headers as parameters too, as in S3's presigned addresses.

    Raises: NotAllowed.
    """
    if not origin.path:
        return
    for name, value in _PARAMETERS.findall(target.partition("?")[2]):
        second_address(_MARK.sub("-", unquote(name).lower()), unquote_plus(value), origin=origin, asked_at="")


def second_address(
    name: str, value: str, *, origin: Origin, asked_at: str, method: str = "", target: str = ""
) -> str:
    """The value to send upstream. `asked_at` is the request's `Host`; see `Origin.own`. `method` and `target` are the
    request's, if the value is one of its headers.

    Raises: NotAllowed: an address elsewhere, or in a form that can't be checked.
    """
    found = _NAMES.fullmatch(name)
    kind = found.lastgroup if found else None
    if kind is None:
        return value
    value = value.strip()
    if kind == "target" and origin.path and method in _COPYING and _is_name(value):
        # RFC 3986 5.2.3. It stays a name: services that accept one (CouchDB) accept no path.
        origin.check(target.partition("?")[0].rpartition("/")[0] + "/" + value)
        return value
    return _JUDGES[kind](value, origin, asked_at)


def _target(value: str, origin: Origin, asked_at: str) -> str:
    if _SCHEME.match(value) and "\\" not in value:
        return origin.own(value, asked_at=asked_at)
    if value.startswith("/"):
        return _path(value, origin)
    # Servers differ in the base (Swift: the account). If the connection covers the whole origin, all of these are
    # inside.
    if origin.path or not _RELATIVE.fullmatch(value) or has_control(value):
        raise _outside()
    return value


def _is_name(value: str) -> bool:
    """With more than one segment, servers differ in the base (Swift: the account), so those are not names here."""
    return _NAME.fullmatch(value) is not None and not has_separator(value.partition("?")[0])


def _source(value: str, origin: Origin, asked_at: str) -> str:
    if "://" in value and _SCHEME.match(value):
        return origin.own(value, asked_at=asked_at)
    if origin.path:
        # Services treat it the same with and without a leading slash: a bucket, and a key in it.
        _path(value if value.startswith("/") else f"/{value}", origin)
    elif value.startswith(("//", "\\")) or has_control(value):
        raise _outside()
    return value


def _parts(value: str, origin: Origin, asked_at: str) -> str:
    kind, mark, parts = value.partition(";")
    return kind + mark + " ".join(_target(part, origin, asked_at) for part in parts.split())


def _condition(value: str, origin: Origin, asked_at: str) -> str:
    if not _CONDITIONS.fullmatch(value):
        raise _outside()
    return _CONDITION.sub(lambda one: one[1] or f"<{_target(one[2], origin, asked_at)}>", value)


def _account(value: str, origin: Origin, _asked_at: str) -> str:
    if origin.path:
        raise _outside()
    return value


def _path(value: str, origin: Origin) -> str:
    # RFC 3986 4.2: another host; for some servers with backslashes too.
    if value.startswith("//") or "\\" in value:
        raise _outside()
    origin.check(value)
    return value


def _outside() -> NotAllowed:
    return NotAllowed(
        "This connection is only for its base URL and paths below it, but a header of the request names "
        "something else, or in a form that can't be checked.",
        reason="outside_base_url",
    )


_JUDGES: dict[str, Callable[[str, Origin, str], str]] = {
    "target": _target,
    "source": _source,
    "parts": _parts,
    "condition": _condition,
    "account": _account,
}
