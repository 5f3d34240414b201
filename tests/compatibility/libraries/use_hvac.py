"""A secret of Vault's; `url=base_url`, the token in `X-Vault-Token`."""

import hvac

from connvault_jupyter import connection

handle = connection("vault")
client = hvac.Client(url=handle.base_url, token=handle.token)
assert client.secrets.kv.v2.read_secret_version("birds", raise_on_deleted_version=True)["data"]["data"] == {
    "n": 1
}
