"""python-jenkins: who am I, a crumb, a job is started; user and token (Basic)."""

import jenkins

from connvault_jupyter import connection

handle = connection("jenkins")
server = jenkins.Jenkins(handle.base_url, username="anna", password=str.__str__(handle.token))
assert server.get_whoami()["fullName"] == "Anna"
server.build_job("birds")
