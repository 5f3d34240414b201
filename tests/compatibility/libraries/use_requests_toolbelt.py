"""A streamed multipart upload, by `handle.session()`."""

from requests_toolbelt import MultipartEncoder

from connvault_jupyter import connection

form = MultipartEncoder({"name": "wren", "file": ("wren.txt", b"x" * 100_000, "text/plain")})
answer = connection("http").session().post("/upload", data=form, headers={"Content-Type": form.content_type})
assert answer.json()["received"] > 100_000
