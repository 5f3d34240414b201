"""Connections and sealed secrets in one JSON file beside the database. No rules, no keys, no open secrets.

`format` is the text, `contents` what is in it, `private_file` how it is read and replaced, `connections_file` how it
changes together with the database.
"""
