"""A hub on this machine: as much of the Hugging Face hub's protocol as reading data sets takes, and its files."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Value

TEXT = Value("string")
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])


def parquet(columns: dict[str, list[Any]], **features: Any) -> bytes:
    """A parquet file as `datasets` writes it, names of labels in its metadata; columns are text by default."""
    schema = Features({name: features.get(name, TEXT) for name in columns}).arrow_schema
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), buffer)
    return buffer.getvalue()


@dataclass
class FakeHub:
    """Data sets by id; the commit of a content is made from it, so that a changed file is a new commit."""

    endpoint: str = ""
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    """(data set, commit) -> path -> content."""
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    """(data set, branch) -> commit."""
    gated: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def publish(self, dataset: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Put files on a branch; returns the commit."""
        digest = hashlib.sha1(b"".join(path.encode() + content for path, content in sorted(files.items())))
        commit = digest.hexdigest()
        self.files[dataset, commit] = files
        self.branches[dataset, branch] = commit
        return commit


@contextmanager
def serve() -> Iterator[FakeHub]:
    """A running hub, ended with the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.requests.append(self.path)
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[:2] == ["api", "datasets"]:
                self._api("/".join(parts[2:4]), parts[4:])
            elif parts[0] == "datasets" and parts[3] == "resolve":
                self._file("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
            else:
                self._send(404)

        do_HEAD = do_GET

        def _api(self, dataset: str, rest: list[str]) -> None:
            commit = self._commit(dataset, "/".join(rest[1:]) or "main")
            if commit is None:
                return
            paths = hub.files[dataset, commit]
            if rest[:1] == ["tree"]:
                sha1 = {path: hashlib.sha1(content).hexdigest() for path, content in paths.items()}
                listing = [
                    {"type": "file", "path": path, "size": len(paths[path]), "oid": sha1[path]} for path in paths
                ]
                self._send(200, json.dumps(listing).encode())
            else:
                info = {"id": dataset, "sha": commit, "siblings": [{"rfilename": path} for path in paths]}
                self._send(200, json.dumps(info).encode())

        def _file(self, dataset: str, revision: str, path: str) -> None:
            commit = self._commit(dataset, revision)
            if commit is None:
                return
            content = hub.files[dataset, commit].get(path)
            if content is None:
                self._send(404, error="EntryNotFound")
            else:
                etag = f'"{hashlib.sha1(content).hexdigest()}"'
                self._send(200, content, headers={"ETag": etag, "X-Repo-Commit": commit})

        def _commit(self, dataset: str, revision: str) -> str | None:
            """The commit, or None when a refusal was sent."""
            known = {name for name, _ in hub.files}
            if dataset not in known:
                self._send(404, error="RepoNotFound")
            elif dataset in hub.gated:
                self._send(403, error="GatedRepo")
            elif (dataset, revision) in hub.files:
                return revision
            elif (dataset, revision) in hub.branches:
                return hub.branches[dataset, revision]
            else:
                self._send(404, error="RevisionNotFound")
            return None

        def _send(self, status: int, body: bytes = b"", error: str = "", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), **({"X-Error-Code": error} if error else {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
