"""`python -m tests.bench.shell_cell CELL`: a fresh IPython shell runs one cell; prints how long that took in ms."""

from __future__ import annotations

import gc
import sys
import time
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

if __name__ == "__main__":
    shell: Any = InteractiveShell.instance()
    # The first cell of any shell pays for what IPython itself imports late.
    shell.run_cell("1 + 1", silent=True)
    gc.disable()
    before = time.perf_counter_ns()
    done = shell.run_cell(sys.argv[1], silent=True)
    taken = time.perf_counter_ns() - before
    done.raise_error()
    print(taken / 1e6)
