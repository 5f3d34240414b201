"""A command and a file, as the user that the agent signs for; by `SSH_AUTH_SOCK`."""

import io
import os

from connvault_jupyter import connection

os.environ.update(connection("ssh").env())
import fabric

host, port, user = (os.environ[name] for name in ("SHOP_HOST", "SHOP_PORT", "SHOP_USER"))
with fabric.Connection(host, user=user, port=int(port)) as session:
    assert session.run("echo hello", hide=True).stdout.strip() == "hello"
    session.put(io.BytesIO(b"x"), os.environ["SHOP_FILE"])
