"""The scripted broker and a real shell for the tests beside this file."""

from __future__ import annotations

from tests.support.broker.scripted_broker import scripted_broker as scripted_broker
from tests.support.browser.shell import shell as shell
