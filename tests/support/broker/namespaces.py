"""Processes as a container has them: a PID namespace of their own, whose first process is the one that is started.

By unshare(1), of util-linux; as an ordinary user in a user namespace too. Where that is forbidden the tests fail: what
was not tried has not been shown.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_OWN = () if os.geteuid() == 0 else ("--user", "--map-root-user")


def contained(argv: Sequence[str] = (), *, own_proc: bool = True, proc_options: str = "") -> list[str]:
    """The command that runs `argv` as pid 1 with a /proc of its own, mounted with these options (proc(5)).

    `own_proc=False`: with the /proc from outside, where processes have other pids. All that runs inside ends with the
    command.
    """
    if not own_proc:
        return ["unshare", *_OWN, "--pid", "--fork", "--kill-child", *argv]
    mounted = f"mount -t proc{' -o ' + proc_options if proc_options else ''} proc /proc"
    shell = ["sh", "-c", f'{mounted} && exec "$@"', "sh"]
    return ["unshare", *_OWN, "--pid", "--fork", "--kill-child", "--mount", *shell, *argv]
