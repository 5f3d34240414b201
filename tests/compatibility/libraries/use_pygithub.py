"""A repository; `base_url`, and the token as `Auth.Token`."""

import github

from connvault_jupyter import connection

handle = connection("github")
client = github.Github(base_url=handle.base_url, auth=github.Auth.Token(handle.token))
assert client.get_repo("shop/birds").full_name == "shop/birds"
