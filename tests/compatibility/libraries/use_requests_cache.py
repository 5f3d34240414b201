"""The second answer comes from the cache; address and header from the handle."""

import requests_cache

from connvault_jupyter import connection

handle = connection("http")
session = requests_cache.CachedSession(backend="memory")
session.headers["Authorization"] = f"Bearer {handle.token}"
assert not session.get(f"{handle.base_url}/things").from_cache
assert session.get(f"{handle.base_url}/things").from_cache
