"""A requester that can't be seen where /proc hides it: told so, and not that it has ended."""

from __future__ import annotations

from pathlib import Path

from tests.support.broker.namespaces import contained
from tests.support.broker.unprivileged import run_unprivileged

ASKING = """
import sys
from pathlib import Path
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.requester import Refused
home = Path(sys.argv[1])
with operated_broker(home) as (operator, path):
    notebooks = Notebooks(operator, home=home, socket_path=path)
    with notebooks.outside() as process:
        print("ordinary:", process.run("len(connections())"))
    with notebooks.outside() as process:
        process.run("import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")
        try:
            print("closed:", process.run("len(connections())"))
        except Refused as refused:
            print("closed:", refused)
"""


def test_a_process_that_proc_hides_is_refused_with_the_reason(short_tmp_path: Path) -> None:
    """`hidepid` hides what has closed itself even from its own user; an ordinary process is seen there."""
    said = run_unprivileged(
        ASKING,
        str(short_tmp_path),
        home=short_tmp_path,
        inside=contained(proc_options="hidepid=ptraceable"),
    )
    ordinary, closed = said.splitlines()
    assert ordinary == "ordinary: 0"
    assert closed.startswith(
        "closed: BrokerUnavailable: The broker can't see the process that asked: /proc hides it"
    )
