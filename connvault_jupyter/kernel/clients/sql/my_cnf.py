"""Variables that lead MariaDB's and MySQL's programs to a handle, despite option files. Nothing is connected here.

Files take precedence over variables, later files over earlier ones: the machine's, then the one in `MARIADB_HOME` or
`MYSQL_HOME`, which the broker writes for each handle (relays.option_files), then `~/.my.cnf`, which nothing overrides
(MariaDB, "Configuring MariaDB with Option Files").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import NotAllowed

# relays.option_files.
_SUFFIX = ".options"
_OVER_TCP = "tcp"

# Where and by which route to connect; and the credentials, where the handle's token is required. Names may be
# abbreviated.
_WHERE = ("host", "socket", "protocol", "pipe")
_WHERE_OVER_TCP = ("host", "port", "protocol", "password", "pipe")
_SHORTEST = 3
# Options common to both routes have no effect.
_HARMLESS = {("host", "localhost"), ("protocol", "socket")}
_HARMLESS_OVER_TCP = {("host", "127.0.0.1"), ("protocol", "tcp")}

_GROUP = re.compile(r"\[([^\]]*)\]")
_OF_CLIENTS = re.compile(
    r"client|client-server|client-mariadb|mariadb-client|mysql|(mysql|mariadb-)(admin|binlog|check|dump|import|pump|show|slap)"
)
_INCLUDE = re.compile(r"!(include|includedir)\s+(.+)")

# Against a file that includes itself.
_DEEPEST = 8


def overridden(directory: str, socket: str, *, tcp: bool) -> dict[str, str]:
    """Variables that make the programs read the handle's option file, after the machine's, and no other one.

    Raises: NotAllowed: the person's own file leads elsewhere.
    """
    _check_own_file(tcp=tcp)
    folder = directory + _SUFFIX
    home = f"{folder}/{_OVER_TCP}" if tcp else folder
    return {
        "MARIADB_HOME": home,
        "MARIADB_UNIX_PORT": socket,
        "MYSQL_HOME": home,
        # They would select groups that are for other servers.
        "MARIADB_GROUP_SUFFIX": "",
        "MYSQL_GROUP_SUFFIX": "",
        # MySQL's programs read that file last; a missing one has no effect.
        "MYSQL_TEST_LOGIN_FILE": f"{home}/login",
    }


def _check_own_file(*, tcp: bool) -> None:
    """Raises: NotAllowed; the message says what to do."""
    path = Path("~/.my.cnf").expanduser()
    names = _WHERE_OVER_TCP if tcp else _WHERE
    harmless = _HARMLESS_OVER_TCP if tcp else _HARMLESS
    for group, name, value in _options(path, 0):
        if not _OF_CLIENTS.fullmatch(group):
            continue
        meant = next((one for one in names if len(name) >= _SHORTEST and one.startswith(name)), None)
        if meant is not None and (meant, value.lower()) not in harmless:
            raise NotAllowed(
                f"~/.my.cnf sets {meant} in [{group}], which takes precedence over every variable for "
                "mysql, mysqldump and similar tools. Move the line into a group of its own, [client_NAME], "
                "and select it with --defaults-group-suffix=_NAME.",
                file="~/.my.cnf",
                option=meant,
            )


def _options(path: Path, depth: int) -> Iterator[tuple[str, str, str]]:
    """(group, option, value) of a file and of the files that it includes."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines() if depth < _DEEPEST else []
    except OSError:
        return
    group = ""
    for line in map(str.strip, lines):
        if line.startswith(("#", ";")) or not line:
            continue
        if begun := _GROUP.match(line):
            group = begun[1].strip()
        elif included := _INCLUDE.match(line):
            for other in _included(Path(included[2].strip()), folder=included[1] == "includedir"):
                yield from _options(other, depth + 1)
        else:
            name, _, value = line.partition("=")
            name = name.strip().replace("_", "-").removeprefix("loose-")
            yield group, name, value.partition("#")[0].strip().strip("'\"")


def _included(path: Path, *, folder: bool) -> list[Path]:
    if not folder:
        return [path]
    try:
        return sorted(path.glob("*.cnf"))
    except OSError:
        return []
