"""`python -m connvault_jupyter.broker.relay_process FD`: the process that the relays' workers are forked from."""

from __future__ import annotations

import signal
import socket
import sys

from .hardening import become_non_dumpable, end_with_parent

if __name__ == "__main__":
    become_non_dumpable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from ..relays import zygote

    zygote.run(socket.socket(fileno=int(sys.argv[1])), end_with_parent)
