"""`python -m connvault_jupyter.broker FD`: hardens itself before anything else is even imported."""

from __future__ import annotations

from .hardening import become_non_dumpable, end_with_parent

if __name__ == "__main__":
    end_with_parent()
    hardened = become_non_dumpable()

    from .main import main

    main(non_dumpable=hardened)
