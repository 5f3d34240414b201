"""`make java`: a Java client (PostgreSQL's JDBC driver) on a handle's loopback port, as a notebook would start it.

Not part of the tests: it needs a JDK and the driver (Debian: openjdk-17-jdk-headless, libpostgresql-jdbc-java). What is
particular about Java, its sockets for both kinds of addresses, is in `tests/broker/test_tcp_peers.py`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

# Instead of this folder, whose files are no top-level modules.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from setup_hooks.postgresql import PostgresServer  # noqa: E402 -- after the path
from tests.support.broker.notebook_processes import Notebooks  # noqa: E402
from tests.support.broker.operator import operated_broker  # noqa: E402

DRIVER = Path("/usr/share/java/postgresql.jar")

# In the kernel; the token goes by the environment, as the docs say.
_ASKS = """
import os, subprocess
h = connection("sales")
done = subprocess.run(
    ["java", "-cp", {driver!r}, {program!r}],
    env={{**os.environ, **h.env(tcp=True)}}, capture_output=True, text=True,
)
"""


def main() -> int:
    if shutil.which("java") is None or not DRIVER.exists():
        print(
            "make java: on Debian, install openjdk-17-jdk-headless and libpostgresql-jdbc-java",
            file=sys.stderr,
        )
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        PostgresServer(log_file=Path(folder, "postgres.log")) as server,
        operated_broker(Path(folder)) as (operator, path),
    ):
        login = server.create_login("reader", database="sales")
        fields = {
            "host": login.host,
            "port": login.port,
            "database": "sales",
            "user": "reader",
            "sslmode": "disable",
        }
        operator.create("sales", "postgresql", fields, {"password": login.password})
        with Notebooks(operator, home=Path(folder), socket_path=path).open("a.ipynb") as kernel:
            program = str(Path(__file__).with_name("Asks.java"))
            kernel.run(_ASKS.format(driver=str(DRIVER), program=program))
            said, failed = kernel.run("[done.stdout.strip(), done.stderr]")
    print(f"Java's answer: {said}" if said == "reader 42" else failed)
    return 0 if said == "reader 42" else 1


if __name__ == "__main__":
    sys.exit(main())
