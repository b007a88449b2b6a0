"""Finding, opening and decoding files: the refusals that every layout shares."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from functools import cache
from pathlib import Path

from xstilts.errors import UserError


def find(path: Path) -> Path | None:
    """The file or folder at `path`, or the same with `.gz` added or taken away; None when neither exists."""
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return next((candidate for candidate in (path, other) if candidate.exists()), None)


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if its name ends in `.gz`.

    Raises `UserError` when it cannot be read or is not a whole gzip file.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"not a whole gzip file ({error})", file=path, remedy="copy it again") from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", file=path) from error


def read_text(path: Path) -> str:
    """The content as UTF-8 text, without the byte order mark some files begin with.

    Raises `UserError` with the line that is not UTF-8.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8 (byte 0x{content[error.start]:02x})"
        raise UserError(what, file=path, line=line, remedy="convert the file to UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends (LF or CR LF).

    Other characters that Unicode calls line ends (U+0085, U+2028) occur inside sentences and are kept there.
    """
    lines = read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def content_hash(path: Path) -> str:
    """sha256 of the unpacked content, so that a file and its gzipped copy have the same hash."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", file=path) from error
    return _hash(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()
