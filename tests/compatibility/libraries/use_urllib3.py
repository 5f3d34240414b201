"""A pool with retries; address and header from the handle."""

import urllib3

from connvault_jupyter import connection

handle = connection("http")
pool = urllib3.PoolManager(headers={"Authorization": f"Bearer {handle.token}"}, retries=3)
assert pool.request("GET", f"{handle.base_url}/things").json() == {"path": "things"}
