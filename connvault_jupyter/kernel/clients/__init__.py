"""Handle -> client library. One module for each kind of client, imported when a handle first opens it.

Each has a class `Client(*, handle_ref)`; its public methods are openers. A library that is not installed is an
`ImportError` that names the extra to install.
"""
