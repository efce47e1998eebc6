"""A small hub on this machine: enough of the Hugging Face hub's interface for one client to push and pull."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_the_test"


class Hub:
    """Models by their names, each a mapping from file names to bytes; private ones need :data:`TOKEN`."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.branches: list[str] = []
        self.asked: list[str] = []
        hub = self

        class Handler(_Handler):
            store = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def commit_of(files: dict[str, bytes]) -> str:
    """What stands for the version."""
    return hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    store: Hub

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, value: object, status: int = 200, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what: str = "RepoNotFound") -> None:
        self.answer({"error": what}, 404, X_Error_Code=what)

    def allowed(self, repo: str) -> bool:
        token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        return repo in self.store.models and (token or repo not in self.store.private)

    def do_GET(self) -> None:
        self.store.asked.append(self.path)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+?))?(?:\?.*)?", self.path)
        if found and self.allowed(found[1]):
            files = self.store.models[found[1]]
            if found[2] not in (None, "main", commit_of(files)):
                self.missing("RevisionNotFound")
                return
            names = [{"rfilename": name} for name in files]
            self.answer({"id": found[1], "sha": commit_of(files), "siblings": names, "private": False})
            return
        tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^?]+?)(?:\?.*)?", self.path)
        if tree and self.allowed(tree[1]):
            files = self.store.models[tree[1]]
            self.answer([
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ])  # fmt: skip
            return
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)(?:\?.*)?", self.path)
        if found and self.allowed(found[1]):
            files = self.store.models[found[1]]
            if found[3] in files:
                data = files[found[3]]
                tag = f'"{hashlib.sha1(data).hexdigest()}"'
                self.answer(data, ETag=tag, X_Repo_Commit=commit_of(files))
            else:
                self.missing("EntryNotFound")
            return
        self.missing()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.store.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted.get('organization') or 'user'}/{wanted['name']}"
            self.store.models.setdefault(repo, {})
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.store.private.add(repo)
            self.answer({"url": f"{self.store.address}/{repo}", "name": repo})
        elif self.path == "/api/validate-yaml":
            self.answer({"warnings": [], "errors": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            # None goes by way of a store of large files.
            self.answer({"files": [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files
            ]})  # fmt: skip
        elif "/branch/" in self.path:
            self.store.branches.append(self.path.rpartition("/")[2])
            self.answer({})
        elif "/commit/" in self.path:
            repo = re.match(r"/api/models/([^/]+/[^/]+)/commit/", self.path)[1]
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    content = base64.b64decode(item["value"]["content"])
                    self.store.models[repo][item["value"]["path"]] = content
            commit = commit_of(self.store.models[repo])
            url = f"{self.store.address}/{repo}/commit/{commit}"
            self.answer({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})
        else:
            self.missing()
