"""A project and its issues; `url=base_url`, `private_token=token`."""

import gitlab

from connvault_jupyter import connection

handle = connection("gitlab")
client = gitlab.Gitlab(handle.base_url, private_token=handle.token)
project = client.projects.get(7)
assert project.name == "birds"
assert [issue.title for issue in project.issues.list(get_all=False)] == ["wren"]
