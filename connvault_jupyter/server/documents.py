"""Detects documents that are deleted or replaced through Jupyter: grants for the old content must not apply to the new
one.

An ordinary save of an open notebook is not a replacement. Files changed outside Jupyter are not detected.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jupyter_core.utils import ensure_async

Gone = Callable[[list[str]], None]


def watch(contents: Any, gone: Gone) -> None:
    """Wraps `delete`, `rename` and `save` of a contents manager, sync or async. `gone` receives paths below the root.

    Not through Jupyter's event bus, as notebook code can emit these events itself.
    """
    contents.delete = _after(contents.delete, lambda path, *_, **__: [path], gone)
    contents.rename = _after(contents.rename, lambda old, new, *_, **__: [old, new], gone)
    _watch_save(contents, gone)


def _after(call: Callable[..., Any], paths: Callable[..., list[str]], gone: Gone) -> Callable[..., Any]:
    if _is_async(call):

        @functools.wraps(call)
        async def wrapped_async(*args: Any, **kwargs: Any) -> Any:
            answer = await call(*args, **kwargs)
            gone([_clean(path) for path in paths(*args, **kwargs)])
            return answer

        return wrapped_async

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        answer = call(*args, **kwargs)
        gone([_clean(path) for path in paths(*args, **kwargs)])
        return answer

    return wrapped


def _watch_save(contents: Any, gone: Gone) -> None:
    save = contents.save
    if _is_async(save):

        @functools.wraps(save)
        async def save_async(model: dict[str, Any], path: str, *args: Any, **kwargs: Any) -> Any:
            if _is_upload(model, path) or not await ensure_async(contents.file_exists(path)):
                gone([_clean(path)])
            return await save(model, path, *args, **kwargs)

        contents.save = save_async
        return

    @functools.wraps(save)
    def save_sync(model: dict[str, Any], path: str, *args: Any, **kwargs: Any) -> Any:
        if _is_upload(model, path) or not contents.file_exists(path):
            gone([_clean(path)])
        return save(model, path, *args, **kwargs)

    contents.save = save_sync


def _is_upload(model: dict[str, Any], path: str) -> bool:
    """A notebook's own editor saves it as a notebook; an upload in the file browser sends the bytes of a file."""
    return "chunk" in model or (path.endswith(".ipynb") and model.get("type") != "notebook")


def _is_async(call: Callable[..., Any]) -> bool:
    import inspect

    return inspect.iscoroutinefunction(call)


def _clean(path: str) -> str:
    return str(path).strip("/")
