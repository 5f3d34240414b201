"""The file of connections that a project commits. No rules, no secrets, nothing of the vault.

`format` is the text, `files` how it is found, read and replaced.
"""
