"""A GraphQL query; address and header from the handle, over requests."""

from gql import Client, gql
from gql.transport.requests import RequestsHTTPTransport

from connvault_jupyter import connection

handle = connection("graphql")
headers = {"Authorization": f"Bearer {handle.token}"}
client = Client(transport=RequestsHTTPTransport(url=f"{handle.base_url}/graphql", headers=headers))
assert client.execute(gql("{ bird }")) == {"bird": "wren"}
