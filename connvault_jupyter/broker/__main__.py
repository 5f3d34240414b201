"""`python -m connvault_jupyter.broker FD`: the process hardens itself before importing anything else."""

from __future__ import annotations

import sys

from .hardened_start import start
from .lean_imports import without_format_libraries

if __name__ == "__main__":
    started = start(int(sys.argv[1]), ends_with_owner=True)

    with without_format_libraries():
        from .main import main

    main(started)
