"""A traceback as `%xmode Verbose` prints it: with every variable of every frame."""

from __future__ import annotations

import io
import re
from typing import Any, cast

from IPython.core.ultratb import VerboseTB


def verbose_traceback(error: BaseException) -> str:
    """Without colours: their codes could hide what is searched for."""
    out = io.StringIO()
    printer = cast("Any", VerboseTB)(ostream=out, include_vars=True)
    printer(type(error), error, error.__traceback__)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
