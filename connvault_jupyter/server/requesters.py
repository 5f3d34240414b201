"""Tells the broker which kernels run and which documents they serve. It does not know who may use what.

Pushed on every change in Jupyter, and compared every two seconds for silent changes (a kernel restarted by its
watchdog, a file saved under another name). Only differences are sent.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jupyter_core.utils import ensure_async

from ..broker.broker_process import BrokerProcess

if TYPE_CHECKING:
    from ..contracts.supervision import Document, KernelRow, KernelTable

_POLL_S = 2.0

_Type: TypeAlias = Literal["notebook", "console", "file"]
_TYPES: dict[str, _Type] = {"notebook": "notebook", "console": "console"}

_HOOKS = (
    ("kernels", ("start_kernel", "shutdown_kernel", "restart_kernel")),
    ("sessions", ("save_session", "update_session", "delete_session")),
)


class Requesters:
    """Lives in the server's event loop. `start` once the loop runs, `stop` before it ends."""

    def __init__(
        self, *, broker: BrokerProcess, kernels: Any, sessions: Any, contents: Any, log: logging.Logger
    ) -> None:
        self._broker = broker
        self._kernels = kernels
        self._sessions = sessions
        self._contents = contents
        self._log = log
        self._changed = asyncio.Event()
        self._sent: KernelTable | None = None
        self._gone: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self) -> None:
        """Hooks the methods of these managers, on these objects only."""
        for name, methods in _HOOKS:
            target = getattr(self, f"_{name}")
            for method in methods:
                setattr(target, method, self._noticed(getattr(target, method)))

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def gone(self, paths: list[str]) -> None:
        """Documents were removed or replaced; the broker is told now, or as soon as it runs again."""
        self._gone.update(dict.fromkeys(paths))
        self._tell_gone()

    def changed(self) -> None:
        """Schedules a check soon."""
        self._changed.set()

    async def table(self) -> KernelTable:
        """All kernels with their present documents."""
        from ..contracts.supervision import KernelTable

        documents: dict[str, list[Document]] = {}
        for session in await ensure_async(self._sessions.list_sessions()):
            kernel = session.get("kernel") or {}
            documents.setdefault(str(kernel.get("id")), []).append(await self._document(session))
        return KernelTable(
            kernels=[
                self._row(kernel_id, documents.get(kernel_id, []))
                for kernel_id in list(self._kernels.list_kernel_ids())
            ]
        )

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._push()
            except Exception as exc:  # noqa: BLE001 -- a kernel that ends meanwhile must not end the pushing
                self._log.warning("connvault could not list the kernels: %s", type(exc).__name__)
            try:
                await asyncio.wait_for(self._changed.wait(), _POLL_S)
            except asyncio.TimeoutError:
                continue

    async def _push(self) -> None:
        self._tell_gone()
        table = await self.table()
        if table != self._sent:
            self._sent = table
            self._broker.call("supervision.kernels", table.model_dump(mode="json"))

    def _tell_gone(self) -> None:
        paths = list(self._gone)[:1000]
        loop = self._loop
        if not paths or loop is None:
            return
        told = self._broker.call("supervision.documents_gone", {"paths": paths})
        told.add_done_callback(
            lambda answer: (
                None
                if answer.exception()
                else loop.call_soon_threadsafe(lambda: [self._gone.pop(path, None) for path in paths])
            )
        )

    def _row(self, kernel_id: str, documents: list[Document]) -> KernelRow:
        from ..contracts.supervision import KernelRow

        manager = self._kernels.get_kernel(kernel_id)
        provisioner = getattr(manager, "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        spec = getattr(manager, "kernel_spec", None)
        return KernelRow(
            kernel_id=kernel_id,
            pid=pid if isinstance(pid, int) else None,
            display_name=str(getattr(spec, "display_name", "") or getattr(manager, "kernel_name", "")),
            # A gateway's manager has no provisioner; one that starts kernels elsewhere has no local process.
            local=hasattr(manager, "provisioner")
            and (provisioner is None or hasattr(provisioner, "process")),
            documents=documents,
        )

    async def _document(self, session: dict[str, Any]) -> Document:
        from ..contracts.supervision import Document

        path = str(session.get("path") or "")
        name = os.path.basename(path)
        saved = not name.startswith("Untitled") and bool(await ensure_async(self._contents.file_exists(path)))
        kind = _TYPES.get(str(session.get("type")), "file")
        return Document(path=path, type=kind, saved=saved)

    def _noticed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            try:
                answer = call(*args, **kwargs)
                return await answer if inspect.isawaitable(answer) else answer
            finally:
                self.changed()

        return wrapped
