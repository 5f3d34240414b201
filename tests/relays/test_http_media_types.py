"""What an answer says that it is: which are streams of lines, which are files for programs."""

from __future__ import annotations

import pytest

from connvault_jupyter.relays.http.heads import ResponseHead, response_head
from connvault_jupyter.relays.http.media_types import is_data, is_stream_of_lines

LINES = [
    "text/event-stream", "text/plain", "text/csv; charset=utf-8", "TEXT/HTML", " application/x-ndjson ;a=b",
    *(f"application/{name}" for name in ("jsonl", "json-lines", "ndjson", "x-ndjson", "stream+json")),
]  # fmt: skip

DATA = [
    "image/png", "audio/ogg", "video/mp4", "font/woff2", "IMAGE/PNG", "binary/octet-stream",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/zip; name=a",
    *(
        f"application/{name}"
        for name in (
            "octet-stream", "zip", "gzip", "x-gzip", "zstd", "x-bzip2", "x-xz", "x-tar", "x-7z-compressed",
            "vnd.apache.parquet", "x-parquet", "vnd.apache.arrow.file", "vnd.apache.arrow.stream", "avro", "x-hdf5",
            "x-hdf", "x-netcdf", "vnd.sqlite3", "x-sqlite3", "java-archive", "wasm", "pdf",
        )
    ),
]  # fmt: skip

NEITHER = [
    "application/json", "application/xml", "image/svg+xml", "", "application/x-www-form-urlencoded", "multipart/mixed",
    "application/context/", "x-text/plain", "x-image/png", "application/vnd.api+json", "application/zip, text/plain",
]  # fmt: skip


def answered(kind: str, *framing: str) -> ResponseHead:
    return response_head("\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {kind}", *framing, "", ""]).encode())


@pytest.mark.parametrize("kind", LINES)
def test_a_text_without_a_length_is_a_stream_of_lines(kind: str) -> None:
    """Each is told when it comes; with a length it comes as a whole."""
    assert is_stream_of_lines(answered(kind))
    assert is_stream_of_lines(answered(kind, "Transfer-Encoding: chunked"))
    assert not is_stream_of_lines(answered(kind, "Content-Length: 3"))
    assert not is_data(answered(kind))


@pytest.mark.parametrize("kind", DATA)
def test_a_file_for_programs_is_data(kind: str) -> None:
    """Whatever its length; it has no lines."""
    assert is_data(answered(kind))
    assert is_data(answered(kind, "Content-Length: 3"))
    assert not is_stream_of_lines(answered(kind))


@pytest.mark.parametrize("kind", NEITHER)
def test_anything_else_is_neither_data_nor_a_stream_of_lines(kind: str) -> None:
    """Nor is what says nothing, or says two things."""
    assert not is_data(answered(kind))
    assert not is_stream_of_lines(answered(kind))


def test_an_answer_without_a_type_is_neither_data_nor_a_stream_of_lines() -> None:
    """It is anything."""
    head = response_head(b"HTTP/1.1 200 OK\r\n\r\n")
    assert not is_data(head)
    assert not is_stream_of_lines(head)
