"""An issue; `server=base_url`, `token_auth=token`."""

import jira

from connvault_jupyter import connection

handle = connection("jira")
client = jira.JIRA(server=handle.base_url, token_auth=handle.token, get_server_info=False)
assert client.issue("SHOP-1").fields.summary == "more birds"
