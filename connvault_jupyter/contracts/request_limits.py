"""What code may say when it asks for a connection: names, lengths, the longest wait. For both ends, so standard library
only. The kernel checks it for a clear error, the contracts check it again.
"""

from __future__ import annotations

# A name is typed into code and shown in questions: letters of any script would allow look-alikes.
CONNECTION_NAME = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"

# Of a reason and other claims: long enough for a sentence, short enough for a dialog and an audit event.
MAX_CLAIM_CHARS = 200

# The name of an agent.
MAX_AGENT_CHARS = 60

# The longest wait for a person's answer.
MAX_WAIT_S = 3600
