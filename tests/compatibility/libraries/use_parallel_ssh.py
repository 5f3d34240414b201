"""A command (libssh2); by `SSH_AUTH_SOCK`."""

import os

from connvault_jupyter import connection

os.environ.update(connection("ssh").env())
from pssh.clients import ParallelSSHClient

client = ParallelSSHClient(["127.0.0.1"], user=os.environ["SHOP_USER"], port=int(os.environ["SHOP_PORT"]))
(output,) = client.run_command("echo hello")
assert list(output.stdout) == ["hello"]
