"""A small server on 127.0.0.1 that speaks the Hub's protocol over folders, with faults on order.

Repositories are folders; a branch is a name for a commit, a commit a mapping from paths to bytes.
Faults are queued per path and used up one a request.
"""

import functools
import hashlib
import json
import random
import threading
import urllib.parse
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = 1 << 12  # files from this size on are published with a SHA-256, as if stored in LFS
CHUNK = 4096


def noise(chunks: int, seed: int = 0) -> bytes:
    """Bytes that look like weights."""
    return random.Random(seed).randbytes(chunks * CHUNK)


@dataclass
class Repository:
    """branch -> path -> content."""

    branches: dict[str, dict[str, bytes]]
    gated: bool = False
    parameters: int | None = None
    history: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str) -> str:
        """A commit id that changes with the content."""
        digest = hashlib.sha1(branch.encode())
        for path, content in sorted(self.branches[branch].items()):
            digest.update(path.encode() + hashlib.sha1(content).digest())
        return digest.hexdigest()

    def move(self, branch: str, files: dict[str, bytes]) -> None:
        """Let a branch have other files from now on; its old commit stays reachable."""
        self.history[self.commit(branch)] = self.branches[branch]
        self.branches[branch] = files

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """(commit, files) of a branch's name or a commit id."""
        if revision in self.history:
            return revision, self.history[revision]
        for branch, files in self.branches.items():
            if revision in (branch, self.commit(branch)):
                return self.commit(branch), files
        return None


@dataclass
class Fault:
    """A fault of one request for a path.

    Attributes:
        kind: ``status`` (an error), ``cut`` (the connection ends after some bytes), ``stall``
            (nothing comes any more), ``truncated`` (a shorter body, declared as whole),
            ``corrupt`` (wrong bytes of the right length), ``no_range`` (ranges are ignored),
            ``silent`` (no answer at all), ``html`` (a login page), ``endless`` (more bytes than
            were announced).
    """

    kind: str
    status: int = 503
    after: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    """Threads end with the test; a client that hangs up is no error."""

    daemon_threads = True

    def handle_error(self, *_args) -> None:
        """Nothing on the test's screen."""


class HubServer:
    """Serves repositories; ``models``, ``datasets``, ``spaces`` may be changed while it runs."""

    def __init__(self) -> None:
        self.models: dict[str, Repository] = {}
        self.datasets: dict[str, Repository] = {}
        self.spaces: dict[str, Repository] = {}
        self.token: str | None = None
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.seen_tokens: set[str] = set()
        self.released = threading.Event()
        """set when the server ends, for those who would not answer"""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubServer":
        serve = functools.partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next requests for a path go wrong."""
        self.faults[path].extend(faults)

    def serve_folder(self, folder: Path) -> None:
        """Serve a folder with ``datasets/OWNER/NAME/…`` and ``models/OWNER/NAME/…``."""
        for kind in ("datasets", "models"):
            for repository in sorted((folder / kind).glob("*/*")):
                files = {
                    str(path.relative_to(repository)): path.read_bytes()
                    for path in repository.rglob("*")
                    if path.is_file()
                }
                name = str(repository.relative_to(folder / kind))
                getattr(self, kind)[name] = Repository({"main": files})


class _Handler(BaseHTTPRequestHandler):
    """One request; ``server_hub`` is the server it belongs to."""

    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def log_message(self, *_args) -> None:
        """Nothing on the test's screen."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server_hub, urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        hub.requests[path] += 1
        if authorization := self.headers.get("Authorization"):
            hub.seen_tokens.add(authorization.removeprefix("Bearer "))
        fault = hub.faults[path].popleft() if hub.faults[path] else None
        if fault and fault.kind == "status":
            self._json(fault.status, {"error": "fault on order"}, **fault.headers)
        elif fault and fault.kind == "silent":
            hub.released.wait()
            self.close_connection = True
        elif fault and fault.kind == "html":
            self._send(200, "text/html", b"<html>Please log in</html>")
        elif path.startswith("/api/"):
            self._api(path.removeprefix("/api/"))
        else:
            self._resolve(path, fault)

    def _api(self, path: str) -> None:
        kind, owner, name, *rest = path.split("/")
        found = self._repository(kind, f"{owner}/{name}")
        if found is None:
            return
        if rest == ["refs"]:
            branches = [
                {
                    "name": branch,
                    "ref": f"refs/heads/{branch}",
                    "targetCommit": found.commit(branch),
                }
                for branch in found.branches
            ]
            self._json(200, {"branches": branches, "tags": [], "converts": []})
        elif not rest:
            total = found.parameters
            counted = {"parameters": {"F32": total}, "total": total} if total else None
            self._json(200, {"id": f"{owner}/{name}", "safetensors": counted})
        elif rest[0] == "revision":
            if commit := self._files(found, "/".join(rest[1:])):
                self._json(200, {"id": f"{owner}/{name}", "sha": commit[0], "siblings": []})
        elif rest[0] == "tree":
            if commit := self._files(found, "/".join(rest[1:])):
                entries = [_entry(path, content) for path, content in commit[1].items()]
                self._json(200, entries)
        else:
            self._json(404, {"error": f"unknown endpoint {path}"})

    def _resolve(self, path: str, fault: Fault | None) -> None:
        first = path.split("/")[1]
        kind = first if first in ("datasets", "spaces") else "models"
        where, _, rest = path.removeprefix(f"/{kind}").partition("/resolve/")
        found = self._repository(kind, where.strip("/"))
        if found is None:
            return
        revision, _, file = rest.partition("/")
        commit = self._files(found, revision)
        if commit is None:
            return
        if file not in commit[1]:
            self._json(404, {"error": "no such file"}, **{"X-Error-Code": "EntryNotFound"})
            return
        self._body(path, commit[1][file], fault)

    def _repository(self, kind: str, name: str) -> Repository | None:
        hub = self.server_hub
        found = getattr(hub, kind).get(name)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if found is None:
            self._json(404, {"error": "none"}, **{"X-Error-Code": "RepoNotFound"})
        elif found.gated and "/resolve/" in self.path and token != hub.token:
            status = 403 if token else 401
            self._json(status, {"error": "gated"}, **{"X-Error-Code": "GatedRepo"})
        else:
            return found
        return None

    def _files(self, found: Repository, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = found.files(revision)
        if commit is None:
            self._json(404, {"error": "none"}, **{"X-Error-Code": "RevisionNotFound"})
        return commit

    def _body(self, path: str, content: bytes, fault: Fault | None) -> None:
        hub, kind = self.server_hub, fault.kind if fault else None
        start, wanted = 0, self.headers.get("Range")
        if wanted and kind != "no_range":
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        if kind == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        body = content[start:]
        if kind == "truncated":
            body = body[: fault.after]
        self.send_response(206 if start else 200)
        if kind == "endless":
            self.close_connection = True  # its body ends with the connection
        else:
            self.send_header("Content-Length", str(len(body)))
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "endless":
            body += bytes(LARGE)
        if kind in ("cut", "stall"):
            body = body[: fault.after]
        hub.sent[path] += len(body)
        self.wfile.write(body)
        self.wfile.flush()
        if kind == "stall":
            hub.released.wait()
        if kind in ("cut", "stall"):
            self.close_connection = True
            self.connection.close()

    def _json(self, status: int, content: object, **headers: str) -> None:
        self._send(status, "application/json", json.dumps(content).encode(), **headers)

    def _send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict:
    """A file as the Hub's tree lists it."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if len(content) >= LARGE:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 135}
    return entry
