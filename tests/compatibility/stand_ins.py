"""Stand-ins for services that can't run here: the few requests that each answers, and where its credential must be.

They show how a client library sends its key and what it makes of addresses; they know nothing else of the service.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StandIn:
    """`fields` are the connection's besides its address; `header` and `before` say how the key must arrive.

    `answers` are by method and path; everything else is a 404 in JSON.
    """

    kind: str
    fields: Mapping[str, Any]
    answers: Mapping[str, Any]
    header: str = "Authorization"
    before: str = "Bearer "
    user: str = ""

    def wants(self, secret: str) -> str:
        if self.user:
            return "Basic " + base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        return self.before + secret

    def secrets(self, secret: str) -> dict[str, str]:
        """As a person enters it: what goes into a header is entered with its scheme word."""
        if self.user:
            return {"password": secret}
        return {"token": self.wants(secret) if self.fields["auth"] == "header" else secret}


_BEARER = {"auth": "bearer"}


def _in_header(name: str) -> dict[str, str]:
    return {"auth": "header", "header": name}


STAND_INS: Mapping[str, StandIn] = {
    "http": StandIn("http", _BEARER, {"GET /things": {"path": "things"}}),
    "gitlab": StandIn(
        "http",
        _in_header("PRIVATE-TOKEN"),
        {
            "GET /api/v4/projects/7": {"id": 7, "name": "birds"},
            "GET /api/v4/projects/7/issues": [{"iid": 1, "title": "wren"}],
        },
        header="PRIVATE-TOKEN",
        before="",
    ),
    "github": StandIn(
        "http", _BEARER, {"GET /repos/shop/birds": {"id": 1, "full_name": "shop/birds", "name": "birds"}}
    ),
    "jira": StandIn(
        "http",
        _BEARER,
        {
            "GET /rest/api/2/field": [],
            "GET /rest/api/2/issue/SHOP-1": {"id": "1", "key": "SHOP-1", "fields": {"summary": "more birds"}},
        },
    ),
    "slack": StandIn("http", _BEARER, {"POST /chat.postMessage": {"ok": True, "ts": "1.2"}}),
    "anthropic": StandIn(
        "http",
        _in_header("X-Api-Key"),
        {
            "POST /v1/messages": {
                "id": "m1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": "hello yourself"}],
                "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2},
            },
        },
        header="X-Api-Key",
        before="",
    ),
    "graphql": StandIn("http", _BEARER, {"POST /graphql": {"data": {"bird": "wren"}}}),
    "opensearch": StandIn(
        "http",
        {"auth": "basic", "username": "admin"},
        {
            "GET /": {"cluster_name": "birds", "version": {"number": "2.19.0", "distribution": "opensearch"}},
            "POST /birds/_search": {"hits": {"hits": [{"_id": "1", "_source": {}}]}},
        },
        user="admin",
    ),
    "influxdb": StandIn(
        "http", _in_header("Authorization"), {"POST /api/v2/write": None}, before="Token "
    ),
    "qdrant": StandIn(
        "http",
        _in_header("api-key"),
        {"GET /collections": {"result": {"collections": [{"name": "birds"}]}, "status": "ok", "time": 0.1}},
        header="api-key",
        before="",
    ),
    "vault": StandIn(
        "http",
        _in_header("X-Vault-Token"),
        {"GET /v1/secret/data/birds": {"data": {"data": {"n": 1}, "metadata": {}}}},
        header="X-Vault-Token",
        before="",
    ),
}  # fmt: skip
