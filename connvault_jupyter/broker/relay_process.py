"""`python -m connvault_jupyter.broker.relay_process FD`: the process from which the relays' workers are forked."""

from __future__ import annotations

import signal
import sys

from .hardened_start import start
from .hardening import end_with_parent

if __name__ == "__main__":
    # It is started by whichever thread of the broker needs it first, so it ends with the pipe, not with that thread.
    started = start(int(sys.argv[1]), ends_with_owner=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from ..relays import zygote

    zygote.run(started.channel, end_with_parent)
