"""The measuring process of `kernel_process`: a line of JSON in, a line of JSON out, until the end of its input."""

from __future__ import annotations

import json
import sys

from . import contenders, relay_contenders, request_contenders

_MODULES = {"compare": contenders, "requests": request_contenders}

if __name__ == "__main__":
    for line in sys.stdin:
        orders = json.loads(line)
        what = orders.pop("what")
        module = _MODULES.get(what, relay_contenders)
        print(json.dumps(getattr(module, what)(**orders)), flush=True)
