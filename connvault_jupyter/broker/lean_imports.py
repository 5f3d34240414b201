"""Keeps the libraries out of the broker that jsonschema imports for string formats, which we do not use.

`rfc3987_syntax` alone compiles a grammar when it is imported: 0.5 to 2 s and 16 MB, paid before the first answer.
Nearly every Jupyter environment has them, because Jupyter's event schemas use them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# jsonschema/_format.py, all below `suppress(ImportError)`.
_FORMAT_LIBRARIES = (
    "fqdn",
    "idna",
    "isoduration",
    "jsonpointer",
    "rfc3339_validator",
    "rfc3986_validator",
    "rfc3987",
    "rfc3987_syntax",
    "uri_template",
    "webcolors",
)


@contextmanager
def without_format_libraries() -> Iterator[None]:
    """Inside, importing one of them is an ImportError; afterwards they can be imported as usual."""
    absent = [name for name in _FORMAT_LIBRARIES if name not in sys.modules]
    # `None` makes the import system say "not there" (importlib, "The module cache").
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
