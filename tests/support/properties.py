"""How long Hypothesis searches: a moment in `make test`, as long as it is told to in `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline an example: two busy cores stall any example now and then, and pytest-timeout ends a real hang.
settings.register_profile("tests", deadline=None, print_blob=True)
settings.register_profile(
    "fuzz",
    deadline=None,
    print_blob=True,
    max_examples=int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "2000")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fuzz" if "CONNVAULT_FUZZ_EXAMPLES" in os.environ else "tests")
