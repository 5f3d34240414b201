"""Written and read as a file, in parts; with `handle.client()`."""

from smart_open import open as smart

from connvault_jupyter import connection

parameters = {"client": connection("s3").client()}
with smart("s3://tried/by-smart-open/a.txt", "w", transport_params=parameters) as file:
    file.write("hello\n" * 1000)
assert len(list(smart("s3://tried/by-smart-open/a.txt", transport_params=parameters))) == 1000
