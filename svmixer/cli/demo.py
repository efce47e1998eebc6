"""Try a model in the browser: svmixer demo [--model NAME]

Opens a page of this machine on which people are enrolled and voices compared, by microphone or from files.
The model runs in the page; no audio leaves it. With --build the page is written as static files instead.

    svmixer demo --model pocket2
"""

from __future__ import annotations

import contextlib
import webbrowser
from dataclasses import dataclass
from typing import Literal

from svmixer.config import parse_args
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.limits import between


@dataclass(frozen=True)
class DemoConfig:
    """Options of ``svmixer demo``."""

    # Export directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Port of this machine; 0: 8417, or any free one. What the browser keeps, it keeps for that port.
    port: int = 0
    # true: open the page in the browser; false: only print its address.
    browser: bool = True
    # Directory to write the page into, model included, for any web server; nothing is served then.
    build: str = ""
    # Archive of the npm package onnxruntime-web, which is unpacked into the package first; needed once.
    onnxruntime_web: str = ""

    def __post_init__(self) -> None:
        between(self, 0, 65535, "port")


def main(argv: list[str] | None = None) -> None:
    """Serve the page until it is interrupted, or write it."""
    config = parse_args(DemoConfig, argv, __doc__)
    from svmixer.demo.onnxruntime_web import runtime_files, unpack
    from svmixer.demo.server import address, make_server
    from svmixer.demo.site import site_files, write_site

    if config.onnxruntime_web:
        unpack(config.onnxruntime_web)
    site = site_files(config.model, config.precision, runtime_files())
    if config.build:
        size = write_site(site, config.build)
        print(f"{config.build}: {len(site)} files, {size / 1e6:.1f} MB")
        return
    with make_server(site, config.port) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"{address(server)}  (Ctrl-C ends it)", flush=True)
        if config.browser:
            webbrowser.open(address(server))
        server.serve_forever()
