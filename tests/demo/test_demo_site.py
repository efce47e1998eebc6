"""What the page is made of, how it is served and written, and the package that it needs from npm."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from node_side import needs_runtime

from svmixer.cli.main import run_program
from svmixer.demo import onnxruntime_web
from svmixer.demo.onnxruntime_web import Part, RuntimeMissingError, runtime_files, unpack
from svmixer.demo.server import POLICY, address, make_server
from svmixer.demo.site import WEB, SiteError, content, site_files, write_site
from svmixer.errors import SvmixerError
from svmixer.inference.embedding_model import ASSETS, ModelError

CONTENT = {"ort.mjs": b"export default 1;\n", "ort.wasm": b"\0asm"}


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    """A package of npm's of two small files, and an empty place to unpack it."""
    archive = tmp_path / onnxruntime_web.ARCHIVE
    with tarfile.open(archive, "w:gz") as package:
        for name, data in CONTENT.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            package.addfile(entry, io.BytesIO(data))
    parts = tuple(
        Part(name, page, hashlib.sha256(CONTENT[name]).hexdigest())
        for name, page in (("ort.mjs", "ort.js"), ("ort.wasm", "ort-wasm.wasm"))
    )
    monkeypatch.setattr(onnxruntime_web, "PARTS", parts)
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(onnxruntime_web, "ARCHIVE_SHA512", digest)
    return archive


def test_the_archive_is_unpacked_and_checked(tmp_path, runtime):
    vendor = tmp_path / "vendor"
    with pytest.raises(RuntimeMissingError, match=r"is not there .*tools/vendor_web\.sh, .* else: npm pack"):
        runtime_files(vendor)
    unpack(runtime, vendor)
    files = runtime_files(vendor)
    assert {name: path.read_bytes() for name, path in files.items()} == {
        "ort.js": CONTENT["ort.mjs"], "ort-wasm.wasm": CONTENT["ort.wasm"],
    }  # fmt: skip
    (vendor / "ort.wasm").write_bytes(b"\0asM")
    with pytest.raises(RuntimeMissingError, match=r"ort\.wasm: not the file of onnxruntime-web"):
        runtime_files(vendor)


def test_another_archive_is_refused(tmp_path, runtime):
    runtime.write_bytes(runtime.read_bytes()[:-1])
    with pytest.raises(RuntimeMissingError, match="not the archive of onnxruntime-web"):
        unpack(runtime, tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnxruntime_web, "VENDOR", tmp_path / "vendor")
    with pytest.raises(SystemExit) as stop:
        run_program("demo", ["--browser", "false"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: onnxruntime-web ") and "tools/vendor_web.sh" in said


@pytest.fixture
def site(tmp_path) -> dict:
    files = {}
    for name, data in (("ort.js", b"1"), ("ort-wasm.js", b"2"), ("ort-wasm.wasm", b"3")):
        files[name] = tmp_path / name
        files[name].write_bytes(data)
    return site_files("pocket", "auto", files)


def test_the_page_has_everything(site):
    assert {path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.is_file()} <= set(site)
    assert {"onnxruntime/ort.js", "onnxruntime/ort-wasm.wasm", "model/model.int8.onnx"} <= set(site)
    graph = (ASSETS / "pocket/model.int8.onnx").read_bytes()
    assert site["model/model.int8.onnx"] == graph
    about = json.loads(site["site.json"])
    digest = hashlib.sha256(graph).hexdigest()
    assert about == {"name": "pocket", "sha256": digest, "bytes": len(graph), "calibrated": True}
    for name in ("calibration.json", "cohort.npy"):
        assert content(site[f"model/{name}"]) == (ASSETS / "pocket" / name).read_bytes()
    description = json.loads(site["model/export.json"])
    assert description["precisions"] == ["int8"] and description["threshold"]["cosine"] == 0.1280215


def test_nothing_in_the_page_names_another_server():
    """But for a name of XML; and the policy that the browser keeps allows no other source."""
    named = {
        found
        for path in WEB.rglob("*")
        if path.is_file()
        for found in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\"'\s]*", path.read_text(encoding="utf-8"))
    }
    assert named == {"http://www.w3.org/2000/svg"}
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', (WEB / "index.html").read_text())
    assert policy == POLICY
    sources = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert sources["default-src"] == "'none'" and sources["connect-src"] == "'self'"
    assert sources["script-src"] == "'self' 'wasm-unsafe-eval'" and sources["worker-src"] == "'self'"


def test_a_model_without_that_graph(tmp_path):
    with pytest.raises(ModelError, match="there is no float32 model, only int8"):
        site_files("pocket", "float32", {})
    folder = tmp_path / "exp/mine/export"
    folder.mkdir(parents=True)
    (folder / "export.json").write_bytes((ASSETS / "pocket/export.json").read_bytes())
    with pytest.raises(ModelError, match=r"model\.int8\.onnx: missing"):
        site_files(str(folder), "auto", {})
    (folder / "model.int8.onnx").write_bytes(b"graph")
    site = site_files(str(folder), "auto", {})
    about = json.loads(site["site.json"])
    assert (about["name"], about["calibrated"]) == ("mine", False)
    assert not {"model/calibration.json", "model/cohort.npy"} & set(site)
    (folder / "calibration.json").write_text("{}")
    with pytest.raises(ModelError, match=r"calibration\.json: damaged"):
        site_files(str(folder), "auto", {})


def ask(server, path: str, method: str = "GET", host: str = "") -> http.client.HTTPResponse:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


@pytest.fixture
def server(site):
    with make_server(site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_page_is_served_on_this_machine_alone(server, site):
    assert server.server_address[0] == "127.0.0.1"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address(server))
    answer = ask(server, "/")
    assert (answer.status, answer.content) == (200, (WEB / "index.html").read_bytes())
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == f"{POLICY}; frame-ancestors 'none'"
    wasm = ask(server, "/onnxruntime/ort-wasm.wasm?x=1")
    assert (wasm.content, wasm.headers["Content-Type"]) == (b"3", "application/wasm")
    graph = ask(server, "/model/model.int8.onnx", "HEAD")
    assert (graph.status, graph.content) == (200, b"")
    assert int(graph.headers["Content-Length"]) == len(site["model/model.int8.onnx"])


def test_the_usual_port_and_another_when_it_is_taken(site, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr("svmixer.demo.server.USUAL_PORT", port)
    with make_server(site) as first, make_server(site) as second:
        assert first.server_address[1] == port != second.server_address[1]
        with pytest.raises(SvmixerError, match=f"port {port}: Address already in use: name another one"):
            make_server(site, port)


@pytest.mark.parametrize("path", ["/nothing", "/../setup.cfg", "/%2e%2e/site.py", "//etc/passwd", "/model/"])
def test_nothing_else_is_served(server, path):
    assert ask(server, path).status == 404


def test_other_names_of_this_machine_are_refused(server):
    assert ask(server, "/", host="rebound.example:80").status == 421
    assert ask(server, "/", host="localhost").status == 200
    assert ask(server, "/", method="POST").status == 501


def test_the_page_as_static_files(tmp_path, site):
    target = tmp_path / "page"
    size = write_site(site, target)
    written = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    assert set(written) == set(site)
    assert size == sum(path.stat().st_size for path in written.values())
    assert written["index.html"].read_bytes() == (WEB / "index.html").read_bytes()
    # Again, in place of the earlier one.
    (target / "old.txt").touch()
    write_site(site, target)
    assert not (target / "old.txt").exists() and (target / "site.json").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_other_directories_are_left_alone(tmp_path, site):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    for target in (tmp_path / "mine", tmp_path / "mine/thesis.tex"):
        with pytest.raises(SiteError, match="holds something else"):
            write_site(site, target)
    assert (tmp_path / "mine/thesis.tex").is_file()
    (tmp_path / "empty").mkdir()
    write_site(site, tmp_path / "empty")


@needs_runtime
def test_ctrl_c_ends_it_quietly():
    command = [sys.executable, "-m", "svmixer", "demo", "--browser", "false"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout.readline().startswith("http://127.0.0.1:")
        demo.send_signal(signal.SIGINT)
        rest, faults = demo.communicate(timeout=30)
    assert (demo.returncode, rest, faults) == (0, "", "")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_ports_that_are_none(port, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("demo", ["--port", port])
    assert stop.value.code == 2
    assert f"port: must be between 0 and 65535, found {port}" in capsys.readouterr().err
