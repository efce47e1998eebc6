"""Verdicts on the page of ``svmixer demo``: log-likelihood ratios, operating points, what is uncertain."""

from __future__ import annotations

import re
import shutil
import threading

import numpy as np
import pytest
from page_driver import (
    MARKS,
    WAIT,
    compare,
    enrol_both,
    figures,
    names,
    opened,
    playwright,
    scores,
    until,
    verdict,
)  # fmt: skip

from svmixer.demo.onnxruntime_web import runtime_files
from svmixer.demo.server import address as server_address
from svmixer.demo.server import make_server
from svmixer.demo.site import site_files
from svmixer.inference.calibration import probability, read_calibration
from svmixer.inference.embedding_model import ASSETS
from svmixer.runtime import load_onnx

pytestmark = MARKS


def test_files_are_enrolled_and_compared(page, audio):
    enrol_both(page, audio)
    assert re.fullmatch(
        r"ann\s+1 recording, [4-6]\.\d s of speech\s+Delete", page.locator("#people li").first.inner_text()
    )
    heard = compare(page, audio / "test.wav")
    model = load_onnx("pocket")
    embedding = model.embed(audio / "test.wav")
    assert embedding @ np.float32(heard["embedding"]) >= 0.9999
    assert names(page) == ["ben", "ann"]
    enrolled = {name: model.embed(audio / f"{name}.wav") for name in ("ben", "ann")}
    ratios = [model.calibration.ratio(vector, embedding) for vector in enrolled.values()]
    assert scores(page) == pytest.approx(ratios, abs=0.1)
    assert verdict(page) == "ben: one speaker"
    ratio, threshold, count, chance, cosine = figures(page)
    # Half of 1 % for each of two.
    assert (threshold, count) == (round(model.calibration.maps[0].at_most(0.005).ratio, 2), 2)
    assert ratio == scores(page)[0] and chance == pytest.approx(probability(ratio), abs=1e-3)
    assert cosine == pytest.approx(float(enrolled["ben"] @ embedding), abs=1e-3)
    said = page.locator("#announce").inner_text()
    assert said == f"{verdict(page)} {page.locator('#figures').inner_text()}"
    beside = page.locator("#ranking .about").all_inner_texts()
    assert re.fullmatch(r"probability [01]\.\d{3}, cosine -?0\.\d{4}", beside[1])


def test_operating_points_and_a_cosine(page, audio):
    enrol_both(page, audio)
    choice = page.locator("#operating-point")
    assert choice.locator("option").all_inner_texts() == [
        "standard: 1 % false accepts", "strict: 0.1 % false accepts", "balanced: 12 % false accepts",
        "a threshold for the cosine",
    ]  # fmt: skip
    compare(page, audio / "test.wav")
    table = read_calibration(ASSETS / "pocket").maps[0]
    choice.press("ArrowDown")
    assert choice.input_value() == "strict"
    assert figures(page)[1] == round(table.at_most(0.0005).ratio, 2)
    choice.press("ArrowDown")
    assert figures(page)[1] == round(table.at_most(0.05).ratio, 2)
    assert page.locator("#threshold").is_hidden() and page.locator("#point-hint").is_visible()
    choice.press("ArrowDown")
    assert page.locator("#threshold").is_visible() and page.locator("#point-hint").is_hidden()
    text = page.locator("#figures").inner_text()
    assert re.fullmatch(rf"Cosine {scores(page)[0]:.4f}, threshold 0\.1280", text)
    assert verdict(page) == "ben: one speaker" and page.locator("#ranking .about").count() == 0
    # With a threshold above it, it is nobody; close to it, that is said.
    page.locator("#threshold").fill(f"{scores(page)[0] + 0.005:.4f}")
    assert verdict(page) == "Nobody of the 2 enrolled. Nearest: ben"
    assert re.fullmatch(r"Unsure: 0\.00\d+ from the threshold", page.locator("#notes").inner_text())
    page.locator("#threshold-reset").click()
    assert page.locator("#figures").inner_text() == text


def test_the_score_moves_while_somebody_speaks(page, audio):
    enrol_both(page, audio)
    page.locator("#listen").click()
    playwright.expect(page.locator("#listen")).to_have_text("Stop", timeout=WAIT)
    assert page.locator("#enrol-record").is_disabled() and page.locator("#compare-file").is_disabled()
    seen, verdicts = [], []
    while len(seen) < 4 or verdicts[-1] != "ann: one speaker":
        before = page.locator("#ranking").inner_text()
        until(page, lambda before=before: page.locator("#ranking").inner_text() != before)
        seen.append(scores(page)[0])
        verdicts.append(verdict(page))
    # Until there are two seconds.
    assert re.fullmatch(r"Uncertain \(test: [01]\.\d s of speech, fewer than 2\). Nearest: ann", verdicts[0])
    until(page, lambda: page.locator("#chart .first").count() == 1)
    until(page, lambda: len(page.locator("#chart .first").get_attribute("points").split()) > 3)
    assert len(set(seen)) > 3 and names(page)[0] == "ann"
    assert page.locator("#announce").inner_text() == "ann leads"
    caption = page.locator("#chart-caption").inner_text()
    assert re.match(r"Last three seconds: ann, log-likelihood ratio \d+\.\d\d\. The line in colour", caption)
    page.locator("#listen").click()
    playwright.expect(page.locator("#listen")).to_have_text("Listen", timeout=WAIT)
    assert verdict(page) == "ann: one speaker"
    assert page.locator("#enrol-record").is_enabled()
    factor = re.match(
        r"(\d\.\d{3}) \(\d+\.\d\d s for \d+\.\d s of audio\)", page.locator("#speed").inner_text()
    )
    print("real-time factor", factor[0])
    assert 0 < float(factor[1]) < 1
    assert int(re.fullmatch(r"(\d+) MB", page.locator("#memory").inner_text())[1]) >= 10


@pytest.mark.parametrize(
    ("answer", "why"), [({"status": 404}, " is missing"), ({"body": "{"}, ": damaged, or written by another")]
)
def test_a_calibration_that_is_missing_or_damaged(browser, address, answer, why):
    """The page does not decide by something else then."""
    context = browser.new_context()
    page = context.new_page()
    page.route("**/calibration.json", lambda route: route.fulfill(**answer))
    page.goto(address)
    words = re.compile(f"^The model cannot be loaded: .*calibration.json{why}")
    playwright.expect(page.locator("#loading")).to_have_text(words, timeout=WAIT)
    assert page.locator("#listen").is_disabled()
    context.close()


def test_a_model_without_a_calibration(context, audio, tmp_path):
    for name in ("export.json", "model.int8.onnx"):
        shutil.copy(ASSETS / "pocket" / name, tmp_path)
    with make_server(site_files(str(tmp_path), "auto", runtime_files())) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = opened(context, server_address(server))
        assert page.locator("#operating-point").is_hidden() and page.locator("#threshold").is_visible()
        enrol_both(page, audio)
        compare(page, audio / "brief.wav")
        assert verdict(page) == "ann: one speaker"
        assert page.locator("#notes").inner_text() == "Unsure: test: 0.6 s of speech"
        assert re.fullmatch(r"Cosine 0\.\d{4}, threshold 0\.1280", page.locator("#figures").inner_text())
        page.close()
        server.shutdown()
