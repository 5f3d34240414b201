"""A declared API; `base_url`, and the token as `BearerToken`."""

import uplink

from connvault_jupyter import connection


class Birds(uplink.Consumer):
    @uplink.returns.json
    @uplink.get("things")
    def things(self): ...


handle = connection("http")
login = uplink.auth.BearerToken(handle.token)
assert Birds(base_url=f"{handle.base_url}/", auth=login).things() == {"path": "things"}
