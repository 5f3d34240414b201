"""Retries of `handle.session()` until a flaky answer is a good one."""

import tenacity

from connvault_jupyter import connection

session = connection("http").session()


@tenacity.retry(
    stop=tenacity.stop_after_attempt(5), retry=tenacity.retry_if_result(lambda r: r.status_code == 503)
)
def flaky():
    return session.get("/flaky")


assert flaky().status_code == 200
