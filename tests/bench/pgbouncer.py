"""A pgbouncer with a warm pool before a PostgreSQL: what one would use to make connecting cheap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup_hooks.postgresql import Login, free_port

from .listening import listening


@contextmanager
def pgbouncer(home: Path, login: Login) -> Iterator[tuple[int, int]]:
    """Its process, and its port on loopback. The user is asked for no password there, which is the best case for it."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not os.path.exists(program):
        raise AssertionError("pgbouncer is not installed; `make bench` installs it where it may")
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    users = home / "users.txt"
    users.write_text(f'"{login.user}" "{login.password}"\n')
    settings = home / "pgbouncer.ini"
    settings.write_text(
        "[databases]\n"
        f"{login.database} = host={login.host} port={login.port} user={login.user} password={login.password}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\n"
    )
    for path in (users, settings):
        path.chmod(0o644)
    # It refuses to run as root.
    as_user = ["-u", "postgres"] if os.geteuid() == 0 else []
    with listening([program, "-q", *as_user, str(settings)], port, home=home) as pid:
        yield pid, port
