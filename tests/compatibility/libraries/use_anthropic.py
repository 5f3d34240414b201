"""A message; `base_url` and `api_key`."""

import anthropic

from connvault_jupyter import connection

handle = connection("anthropic")
client = anthropic.Anthropic(base_url=handle.base_url, api_key=handle.token)
asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
assert client.messages.create(**asked).content[0].text == "hello yourself"
