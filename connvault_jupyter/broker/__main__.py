"""`python -m connvault_jupyter.broker FD`: hardens itself before anything else is even imported."""

from __future__ import annotations

from .hardening import become_non_dumpable, end_with_parent
from .lean_imports import without_format_libraries

if __name__ == "__main__":
    end_with_parent()
    hardened = become_non_dumpable()

    with without_format_libraries():
        from .main import main

    main(non_dumpable=hardened)
