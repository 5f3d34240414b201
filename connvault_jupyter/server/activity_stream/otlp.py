"""OpenTelemetry logs: OTLP/HTTP with JSON (opentelemetry.io/docs/specs/otlp, 1.5), by the standard library.

The SDK's batch processor drops records when its queue is full and tells nobody which ones arrived, so no cursor could
be kept; here, an answer says what was taken. Credentials of the collector come from OTEL_EXPORTER_OTLP_HEADERS, as for
every exporter: a setting would show them on the web.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..._version import __version__
from .destinations import Destination, Sent
from .messages import severity

_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"

# opentelemetry.io/docs/specs/otel/logs/data-model: INFO, INFO2, WARN
_SEVERITIES = {"info": 9, "notice": 10, "warning": 13}

_TIMEOUT_S = 10.0

_MAX_ANSWER_BYTES = 1 << 20

# What the specification says must not be sent again as it is; the rest (no login, too many, unavailable) may pass.
_REFUSED_FOR_GOOD = frozenset({400, 413, 422})

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class OtlpSender:
    def __init__(self, to: Destination, *, hostname: str | None = None) -> None:
        self._url = to.url
        self._resource = [
            _attribute("service.name", "connvault"),
            _attribute("service.version", __version__),
            _attribute("host.name", hostname or socket.gethostname()),
        ]
        # The credentials must not go where an answer redirects.
        self._opener = build_opener(_NoRedirect)

    def send(self, messages: list[dict[str, Any]]) -> Sent:
        """As `Sender.send`. The collector may refuse some of them: it does not say which."""
        request = Request(  # noqa: S310 -- http(s) only: `destinations`
            self._url,
            data=json.dumps(self._body(messages)).encode(),
            headers={"Content-Type": "application/json", **_credentials()},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return Sent(len(messages), _rejected(answer.read(_MAX_ANSWER_BYTES), len(messages)))
        except HTTPError as exc:
            exc.close()
            if exc.code in _REFUSED_FOR_GOOD:
                return Sent(len(messages), len(messages))
            raise OSError(f"HTTP {exc.code}") from None
        except URLError as exc:
            # Its reason is an error of the system, or a text about a certificate.
            raise OSError(getattr(exc.reason, "strerror", None) or type(exc.reason).__name__) from None

    def close(self) -> None:
        """Nothing stays open."""

    def _body(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "resourceLogs": [
                {
                    "resource": {"attributes": self._resource},
                    "scopeLogs": [
                        {
                            "scope": {"name": "connvault_jupyter.activity", "version": __version__},
                            "logRecords": [record(one) for one in messages],
                        }
                    ],
                }
            ]
        }


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_given: Any) -> None:
        return None


def record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A LogRecord in OTLP's JSON: whole numbers of 64 bits are text."""
    at = datetime.fromisoformat(message["at"]) - _EPOCH
    name = severity(message)
    return {
        "timeUnixNano": str(((at.days * 86_400 + at.seconds) * 1_000_000 + at.microseconds) * 1000),
        "severityNumber": _SEVERITIES[name],
        "severityText": name.upper(),
        "eventName": f"connvault.{str(message['type']).replace(':', '.')}",
        "body": {"stringValue": message["type"]},
        "attributes": [_attribute(f"connvault.{key}", value) for key, value in message.items()],
    }


def _attribute(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"stringValue": str(value)}}


def _rejected(answer: bytes, most: int) -> int:
    try:
        rejected = int(json.loads(answer or b"{}")["partialSuccess"]["rejectedLogRecords"])
    except (ValueError, KeyError, TypeError):
        return 0
    return max(0, min(rejected, most))


def _credentials() -> dict[str, str]:
    """`name=value,name=value`, values percent-encoded (opentelemetry.io/docs/specs/otel/protocol/exporter)."""
    found = {}
    for pair in os.environ.get(_HEADERS, "").split(","):
        name, _, value = pair.partition("=")
        if name.strip() and value.strip():
            found[name.strip()] = unquote(value.strip())
    return found
