"""The JavaScript module as seen from Python: programs for Node, with arrays in and values out."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svmixer.demo.onnxruntime_web import VENDOR, RuntimeMissingError, runtime_files

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "svmixer/demo/web/svmixer/svmixer.js"
NODE = shutil.which("node")


def _has_runtime() -> bool:
    try:
        return bool(runtime_files())
    except RuntimeMissingError:
        return False


needs_node = pytest.mark.skipif(NODE is None, reason="node is not on PATH (Debian: apt-get install nodejs)")
needs_runtime = pytest.mark.skipif(
    not _has_runtime(), reason="onnxruntime-web is not there: tools/vendor_web.sh"
)

PROGRAM = """
import { readFileSync } from "node:fs";
import * as sv from %(module)s;

const data = JSON.parse(readFileSync(%(data)s, "utf8"));
/** The array of that name. */
const array = (name, Kind = Float32Array) => {
  const bytes = readFileSync(%(folder)s + "/" + name);
  return new Kind(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};
const loadOrt = async () => {
  const ort = await import(%(ort)s + "/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = %(ort)s + "/";
  return ort;
};
/** What an action throws, as text. */
const refusal = async (action) => {
  try {
    await action();
    return null;
  } catch (error) {
    return error.message;
  }
};
async function main() {
%(body)s
}
const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
console.log(JSON.stringify({ result: await main() }, plain));
"""


def run_js(folder: Path, body: str, data: Any = None, **arrays: np.ndarray) -> Any:
    """What the body of a JavaScript function returns.

    Args:
        folder: for its files.
        body: has `sv` (the module), `data`, `array(name)`, `loadOrt()` and `refusal(action)`.
        data: any JSON value.
        arrays: of numpy's, read by `array`.
    """
    for name, values in arrays.items():
        (folder / name).write_bytes(values.tobytes())
    (folder / "data.json").write_text(json.dumps(data))
    names = {
        "module": MODULE.as_uri(), "ort": VENDOR.as_uri(), "data": str(folder / "data.json"),
        "folder": str(folder),
    }  # fmt: skip
    program = folder / "program.mjs"
    quoted = {key: json.dumps(value) for key, value in names.items()}
    program.write_text(PROGRAM % {**quoted, "body": body})
    done = subprocess.run([NODE, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["result"]
