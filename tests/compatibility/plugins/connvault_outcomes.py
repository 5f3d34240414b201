"""A pytest plugin: a line for each test that has ended, so that a run that is cut off has told what it knows.

In environments that know nothing of this project, so nothing of it is imported.
"""

import json
import os

_WORSE = {"passed": 0, "skipped": 1, "failed": 2}


class _Outcomes:
    def __init__(self, path):
        self._path = path
        self._current = {}

    def pytest_runtest_logreport(self, report):
        outcome, text = self._current.get(report.nodeid, ("passed", ""))
        if _WORSE[report.outcome] > _WORSE[outcome]:
            outcome, text = report.outcome, _last_line(report)
        self._current[report.nodeid] = (outcome, text)
        if report.when == "teardown":
            outcome, text = self._current.pop(report.nodeid)
            with open(self._path, "a") as file:
                file.write(json.dumps([report.nodeid, outcome, text]) + "\n")


def _last_line(report):
    if report.skipped:
        return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "")[:300]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr or "")[:600]


def pytest_configure(config):
    config.pluginmanager.register(_Outcomes(os.environ["CONNVAULT_OUTCOMES"]), "connvault-outcomes")
