"""docs/export.md: the numbers to check other implementations against, from Python and from JavaScript."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np
import pytest
from node_side import ROOT, needs_node, needs_runtime, run_js

from svmixer.inference.embedding_model import ASSETS
from svmixer.inference.windows import utterance_starts

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/export.md").read_text(encoding="utf-8")
EMBEDDING, DECISION = re.findall(
    r"```python\n(.*?)```", PAGE.split("## In another language")[1].split("\n## ")[0], re.DOTALL
)
PRINTED = "".join(re.findall(r"```text\n(    0: mean square.*?|all: speech.*?)```", PAGE, re.DOTALL))
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def run() -> tuple[str, dict[str, Any]]:
    """What the code on the page prints, and its variables."""
    said, names = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        for code in (EMBEDDING, DECISION):
            exec(code, names)
    return said.getvalue(), names


def test_the_page_has_what_its_code_prints(run):
    expected, found = (NUMBER.findall(text) for text in (PRINTED, run[0]))
    assert NUMBER.sub("", PRINTED) == NUMBER.sub("", run[0])
    # Other processors round the 8-bit graph otherwise.
    np.testing.assert_allclose(np.float64(found), np.float64(expected), atol=0.02, rtol=0.005)


def test_the_windows_of_the_page(run):
    wave = run[1]["wave"]
    starts = utterance_starts(len(wave), 48000, "whole").tolist()
    assert [int(start) for start in re.findall(r"^ *(\d+): ", run[0], re.MULTILINE)] == starts


@needs_node
@needs_runtime
def test_javascript_finds_the_same(tmp_path, run):
    names = run[1]
    code = """
    const model = await sv.load(await loadOrt(), data);
    const wave = new Float32Array(100001);
    for (let n = 0, random = 0n; n < wave.length; n++) {
      let sample = 0.02 * (Number(random) / 2 ** 30 - 1);
      const t = n / 16000;
      for (let k = 1; k <= 20; k++) {
        const loud = 0.15 * (1 + Math.sin(2 * Math.PI * 3 * t));
        sample += (loud * Math.sin(2 * Math.PI * 130 * k * t)) / k;
      }
      wave[n] = sample;
      random = (1103515245n * random + 12345n) % 2n ** 31n;
    }
    const parts = [wave, wave.slice(0, 40000), wave.slice(0, 8000)];
    const [all, ...heard] = await Promise.all(parts.map((part) => model.hear(part)));
    const verdicts = heard.map(({ embedding, quality }) =>
      sv.verify(all.embedding, embedding, model, { qualities: [[all.quality], [quality]] }));
    return {
      vectors: [wave, all.embedding, heard[1].embedding],
      qualities: [all, ...heard].map(({ quality }) => quality),
      verdicts,
    };
    """
    found = run_js(tmp_path, code, str(ASSETS / "pocket"))
    wave, whole, half = map(np.float32, found["vectors"])
    np.testing.assert_allclose(wave, names["wave"], atol=1e-6)
    assert whole @ names["model"].embed(names["wave"]) >= 0.9999
    assert half @ names["model"].embed(names["wave"][:8000]) >= 0.9999
    for (_, (expected,)), quality in zip(names["sides"], found["qualities"], strict=True):
        assert quality["seconds"] == pytest.approx(expected.seconds, abs=1e-9)
        assert (quality["rangeDb"], quality["steady"]) == (expected.range_db, expected.steady)
        assert quality["bandDb"] == pytest.approx(expected.band_db, abs=1e-3)
        assert quality["clipped"] == pytest.approx(expected.clipped, abs=1e-9)
    printed = re.findall(r"ratio ([\d.]+), threshold ([\d.]+), (one speaker|uncertain) ?(.*)", PRINTED)
    assert len(printed) == 2
    for (ratio, threshold, decision, doubt), verdict in zip(printed, found["verdicts"], strict=True):
        assert verdict["ratio"] == pytest.approx(float(ratio), abs=0.1)
        assert verdict["threshold"] == pytest.approx(float(threshold), abs=5e-5)
        assert (verdict["decision"], "; ".join(verdict["doubts"])) == (decision, doubt)
