"""A declared API; `base_url`, with `handle.session()` as its client."""

import uplink

from connvault_jupyter import connection


class Birds(uplink.Consumer):
    @uplink.returns.json
    @uplink.get("things")
    def things(self): ...


handle = connection("http")
assert Birds(base_url=f"{handle.base_url}/", client=handle.session()).things() == {"path": "things"}
