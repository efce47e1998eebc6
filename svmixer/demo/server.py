"""A server for the page that this machine alone can reach."""

from __future__ import annotations

import contextlib
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from svmixer.demo.site import Site, content
from svmixer.errors import SvmixerError

LOOPBACK = "127.0.0.1"
# Tried first: what a browser keeps for a page, it keeps for its port.
USUAL_PORT = 8417
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".wasm": "application/wasm",
}
# For the page, which says it itself too, and for its worker.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
    "worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def make_server(site: Site, port: int = 0) -> ThreadingHTTPServer:
    """A server of the files of ``site`` and nothing else; for port 0 the usual one, or any that is free.

    Raises:
        SvmixerError: the port is in use, or needs more rights.
    """
    handler = partial(_Handler, site)
    if port == 0:
        with contextlib.suppress(OSError):
            return ThreadingHTTPServer((LOOPBACK, USUAL_PORT), handler)
    try:
        return ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as error:
        raise SvmixerError(f"port {port}: {error.strerror}: name another one with --port") from None


def address(server: ThreadingHTTPServer) -> str:
    """Of the page."""
    return f"http://{LOOPBACK}:{server.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *rest: Any) -> None:
        self._site = site
        super().__init__(*rest)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        # Another name for this machine may be that of a foreign page, which would then be of this origin.
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in (LOOPBACK, "localhost"):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        if name not in self._site:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = content(self._site[name])
        self.send_response(HTTPStatus.OK)
        for key, value in HEADERS.items():
            self.send_header(key, value)
        self.send_header("Content-Type", TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""
