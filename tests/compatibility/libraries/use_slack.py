"""A message; `base_url` and the token of a `WebClient`."""

from slack_sdk import WebClient

from connvault_jupyter import connection

handle = connection("slack")
client = WebClient(base_url=f"{handle.base_url}/", token=handle.token)
assert client.chat_postMessage(channel="C1", text="hello")["ok"]
