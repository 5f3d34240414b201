"""The D-Bus session bus of this user, for programs that were started outside the session (cron, a service, ssh).

Their environment does not name it, and without it a Secret Service or KWallet that runs looks as if there were none.
systemd has it at one place for each user. Linux only; elsewhere keyrings need no bus.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import MutableMapping
from pathlib import Path

ADDRESS = "DBUS_SESSION_BUS_ADDRESS"

# systemd-logind(8): a folder for each user who is logged in, or lingers.
_FOLDERS = Path("/run/user")


def join(
    environment: MutableMapping[str, str],
    *,
    folders: Path = _FOLDERS,
    uid: int | None = None,
    platform: str = sys.platform,
) -> str:
    """Names the bus in `environment` if nothing else is named there. Returns why there is none, in a sentence for a
    person; empty if there is one, or none is needed."""
    if not platform.startswith("linux") or environment.get(ADDRESS):
        return ""
    uid = os.geteuid() if uid is None else uid
    bus = folders / str(uid) / "bus"
    try:
        folder, found = bus.parent.lstat(), bus.lstat()
    except OSError:
        return (
            f"{ADDRESS} is not set, and there is no session bus at {bus}: nobody is logged in as this user. "
            "Log in, or have the session stay (loginctl enable-linger)."
        )
    # Whoever answers there is given the key of a new vault.
    ours = stat.S_ISSOCK(found.st_mode) and found.st_uid == folder.st_uid == uid
    if not ours or not stat.S_ISDIR(folder.st_mode) or folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{ADDRESS} is not set, and {bus} is not this user's own session bus, so it is not used."
    environment[ADDRESS] = f"unix:path={bus}"
    return ""
