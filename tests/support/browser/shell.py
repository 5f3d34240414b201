"""A real IPython shell with its own folders and history database, its display messages caught."""

from __future__ import annotations

import atexit
import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Shell:
    """`ip` is the shell; `run` runs a cell as a notebook does, stored in the history."""

    def __init__(self, folder: Path) -> None:
        config = Config()
        config.HistoryManager.hist_file = str(folder / "history.sqlite")
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.xmode = "Context"
        self.history_file = folder / "history.sqlite"
        self.ip: Any = cast("Any", InteractiveShell)(config=config, ipython_dir=str(folder / "ipython"))
        self.published: Any = cast("Any", CapturingDisplayPublisher)()
        self.ip.display_pub = self.published

    def run(self, cell: str) -> Any:
        return self.ip.run_cell(cell, store_history=True)

    def bundles(self, mime: str) -> list[Any]:
        """What was displayed with this MIME type, in order."""
        return [output["data"][mime] for output in self.published.outputs if mime in output["data"]]

    def complete(self, text: str) -> list[str]:
        """What Tab offers at the end of `text`."""
        with provisionalcompleter():
            return [found.text for found in self.ip.Completer.completions(text, len(text))]

    def close(self) -> None:
        atexit.unregister(self.ip.atexit_operations)
        self.ip.atexit_operations()
        if self.ip.history_manager is not None:
            self.ip.history_manager.close()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """With the extension loaded."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setattr(builtins, "get_ipython", None, raising=False)
    made = Shell(tmp_path)
    # `display()` asks for the one shell of the process.
    monkeypatch.setattr(InteractiveShell, "_instance", made.ip)
    made.ip.run_line_magic("load_ext", "connvault_jupyter")
    yield made
    made.ip.run_line_magic("unload_ext", "connvault_jupyter")
    made.close()
