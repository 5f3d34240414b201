"""The cluster and a search; `hosts=base_url`, the token as the user's password."""

from opensearchpy import OpenSearch

from connvault_jupyter import connection

handle = connection("opensearch")
client = OpenSearch(handle.base_url, http_auth=("connvault", handle.token))
assert client.info()["cluster_name"] == "birds"
assert client.search(index="birds", body={"query": {"match_all": {}}})["hits"]["hits"][0]["_id"] == "1"
