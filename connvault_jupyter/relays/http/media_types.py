"""What an answer says that it is: a stream of lines, data, or anything else. Where nothing is said, it is anything."""

from __future__ import annotations

from .heads import ResponseHead

# Formats with one value per line, in addition to text.
_LINES = frozenset(
    f"application/{name}" for name in ("jsonl", "json-lines", "ndjson", "x-ndjson", "stream+json")
)

# Files that no server writes a request's headers into: archives, pictures, tables, documents.
_DATA_FAMILIES = ("image/", "audio/", "video/", "font/", "application/vnd.openxmlformats-officedocument.")
_DATA = frozenset(
    {
        "binary/octet-stream",
        *(
            f"application/{name}"
            for name in (
                "octet-stream", "zip", "gzip", "x-gzip", "zstd", "x-bzip2", "x-xz", "x-tar", "x-7z-compressed",
                "vnd.apache.parquet", "x-parquet", "vnd.apache.arrow.file", "vnd.apache.arrow.stream", "avro",
                "x-hdf5", "x-hdf", "x-netcdf", "vnd.sqlite3", "x-sqlite3", "java-archive", "wasm", "pdf",
            )
        ),
    }
)  # fmt: skip


def is_stream_of_lines(head: ResponseHead) -> bool:
    """Whether it consists of lines, each of which should be forwarded at once."""
    kind = _media_type(head)
    return head.framing != "length" and (kind.startswith("text/") or kind in _LINES)


def is_data(head: ResponseHead) -> bool:
    """Whether it calls itself a file for programs rather than for people. SVG is text."""
    kind = _media_type(head)
    return kind in _DATA or (kind.startswith(_DATA_FAMILIES) and not kind.endswith("+xml"))


def _media_type(head: ResponseHead) -> str:
    return ",".join(head.values("content-type")).partition(";")[0].strip().lower()
