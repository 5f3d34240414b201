"""Collections; `url=base_url`, `api_key=token`."""

from qdrant_client import QdrantClient

from connvault_jupyter import connection

handle = connection("qdrant")
client = QdrantClient(url=handle.base_url, api_key=handle.token, check_compatibility=False)
assert client.get_collections().collections[0].name == "birds"
