"""A client's request as the relay would pass it on, for tests that need no relay."""

from __future__ import annotations

from connvault_jupyter.relays.http.authorization import AUTHORIZATION, Places
from connvault_jupyter.relays.http.client_auth import HandleToken
from connvault_jupyter.relays.http.cookie_names import CookieNames
from connvault_jupyter.relays.http.heads import RequestHead
from connvault_jupyter.relays.http.origin import Origin
from connvault_jupyter.relays.http.passing import upstream_request
from connvault_jupyter.relays.http.request import Request


def as_passed(
    head: RequestHead, origin: Origin, *, places: Places = AUTHORIZATION, upgrade: str = ""
) -> Request:
    """Without its credential; the handle's token is none of its words."""
    return upstream_request(
        head,
        origin,
        logs_in=True,
        places=places,
        cookies=CookieNames(""),
        token=HandleToken(lambda _word: False, 43),
        upgrade=upgrade,
    ).request
