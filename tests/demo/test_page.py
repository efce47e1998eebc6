"""The page of ``svmixer demo`` in Chromium, with a microphone that plays a file."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from node_side import ROOT
from page_driver import MARKS, WAIT, compare, enrol_both, names, opened, playwright, ready, verdict

from svmixer.runtime import load_onnx

pytestmark = MARKS


def test_other_formats_and_what_cannot_be_used(page, audio):
    model = load_onnx("pocket")
    heard = compare(page, audio / "stereo.flac")
    assert model.embed(audio / "stereo.flac") @ np.float32(heard["embedding"]) >= 0.9999
    assert (verdict(page), page.locator("#figures").inner_text()) == ("Nobody is enrolled yet.", "")
    page.locator("#enrol-files").set_input_files(audio / "brief.wav")
    little = "0.6 s of speech, fewer than 2"
    playwright.expect(page.locator("#enrol-status")).to_have_text(
        f"brief: 0.6 s of speech enrolled. Unsure: {little}.", timeout=WAIT
    )
    page.get_by_role("button", name="Delete brief").click()
    enrol_both(page, audio)
    heard = compare(page, audio / "brief.wav")
    assert heard["doubts"] == [] and heard["quality"]["seconds"] == pytest.approx(0.6, abs=0.03)
    assert verdict(page) == f"Uncertain (test: {little}). Nearest: ann"
    assert page.locator("#notes").inner_text() == "" and page.locator("#ranking .above").count() == 0
    page.locator("#compare-file").set_input_files(audio / "text.wav")
    status = page.locator("#compare-status")
    playwright.expect(status).to_have_text(
        "Not compared: text.wav: not audio that this browser can decode", timeout=WAIT
    )
    assert names(page) == []


def test_a_file_that_is_dropped(page, audio):
    data = base64.b64encode((audio / "ann.wav").read_bytes()).decode()
    page.evaluate(
        """([data, names]) => {
          const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
          for (const [id, name] of names) {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            const options = { dataTransfer, bubbles: true, cancelable: true };
            document.getElementById(id).dispatchEvent(new DragEvent("drop", options));
          }
        }""",
        [data, [["enrol", "Ann B.wav"]]],
    )
    playwright.expect(page.locator("#people .name")).to_have_text(["Ann B"], timeout=WAIT)


def test_enrolling_by_microphone_and_keyboard(page, audio):
    page.locator("#enrol-record").press("Enter")
    assert page.locator("#enrol-status").inner_text() == "Type a name first."
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type("Ann")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "enrol-record"
    page.keyboard.press("Space")
    progress = page.locator("#enrol-progress")
    playwright.expect(progress).to_have_text(re.compile(r"^[4-9]\.\d s heard, "), timeout=WAIT)
    page.locator("#enrol-record").press("Space")
    playwright.expect(page.locator("#people .name")).to_have_text(["Ann"], timeout=WAIT)
    compare(page, audio / "ann.wav")
    assert names(page) == ["Ann"] and verdict(page) == "Ann: one speaker"


def test_a_microphone_that_cannot_be_used(page):
    page.evaluate(
        """() => {
          const refuse = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"));
          navigator.mediaDevices.getUserMedia = refuse;
        }"""
    )
    page.locator("#listen").click()
    words = "Not compared: the microphone cannot be used: Permission denied"
    playwright.expect(page.locator("#compare-status")).to_have_text(words)
    assert page.locator("#announce").inner_text() == words
    for control in ("#listen", "#enrol-record", "#compare-file", "#enrol-files"):
        assert page.locator(control).is_enabled()


def test_nothing_is_heard_in_silence(page):
    page.evaluate(
        """() => {
          // Noise of -80 dB: a microphone that is switched off.
          const context = new AudioContext();
          const buffer = context.createBuffer(1, context.sampleRate, context.sampleRate);
          buffer.getChannelData(0).forEach((_, n, samples) => (samples[n] = 1e-4 * (2 * Math.random() - 1)));
          const source = new AudioBufferSourceNode(context, { buffer, loop: true });
          const target = context.createMediaStreamDestination();
          source.connect(target);
          source.start();
          navigator.mediaDevices.getUserMedia = async () => target.stream;
        }"""
    )
    page.locator("#listen").click()
    playwright.expect(page.locator("#compare-status")).to_have_text(
        re.compile(r"^[1-9]\.\d s heard, 0\.0 s of it speech\."), timeout=WAIT
    )
    page.locator("#listen").click()
    playwright.expect(page.locator("#compare-status")).to_have_text(
        "Not compared: no speech: nothing in it is louder than -60 dB of full scale", timeout=WAIT
    )


def test_a_model_that_is_missing(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.route("**/site.json", lambda route: route.fulfill(status=404))
    page.goto(address)
    loading = page.locator("#loading")
    playwright.expect(loading).to_have_text(re.compile("^The model cannot be loaded: site.json: 404"))
    assert page.locator("#listen").is_disabled()
    context.close()


def test_people_are_forgotten_or_kept(context, page, address, audio):
    enrol_both(page, audio)
    page.reload()
    ready(page)
    assert page.locator("#people li").count() == 0
    enrol_both(page, audio)
    page.locator("#keep").check()
    playwright.expect(page.locator("#enrol-status")).to_have_text("The enrolled are kept in this browser.")
    other = opened(context, address)
    assert (
        other.locator("#people .name").all_inner_texts() == ["ann", "ben"]
        and other.locator("#keep").is_checked()
    )
    other.get_by_role("button", name="Delete ann").click()
    playwright.expect(other.locator("#people .name")).to_have_text(["ben"])
    page.reload()
    ready(page)
    assert page.locator("#people .name").all_inner_texts() == ["ben"]
    page.locator("#delete-all").click()
    playwright.expect(page.locator("#enrol-status")).to_have_text("All are deleted.")
    other.reload()
    ready(other)
    assert other.locator("#people li").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone(browser, address, audio, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = opened(context, address)
    page.locator("#name").fill("Wilhelmina Featherstonehaugh-Cholmondeley the Third of Somewhere")
    page.locator("#enrol-files").set_input_files(audio / "ann.wav")
    playwright.expect(page.locator("#people li")).to_have_count(1, timeout=WAIT)
    compare(page, audio / "test.wav")
    assert len(names(page)) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    brightness = np.mean([int(part) for part in re.findall(r"\d+", ground)])
    assert brightness > 200 if scheme == "light" else brightness < 60
    context.close()


def test_everything_has_a_name(page, audio):
    enrol_both(page, audio)
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select")].filter((control) =>
             !(control.getAttribute("aria-label") || control.labels?.[0]?.textContent.trim()
               || control.textContent.trim())).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    # Every control is reached with the keyboard alone.
    page.locator("#name").focus()
    reached = []
    for _ in range(10):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
        page.keyboard.press("Tab")
    assert reached == [
        "name", "enrol-record", "enrol-files", "Delete ann", "Delete ben", "keep", "delete-all", "listen",
        "compare-file", "operating-point",
    ]  # fmt: skip


def test_static_files_on_any_server(context, audio, tmp_path):
    """In a folder of a plain server, which says less in its answers."""
    command = [
        sys.executable,
        "-m",
        "svmixer",
        "demo",
        "--model",
        "pocket",
        "--build",
        tmp_path / "www/voices",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"{tmp_path}/www/voices: \d+ files, 2\d\.\d MB\n", done.stdout)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = opened(context, f"http://127.0.0.1:{server.server_address[1]}/voices/")
        enrol_both(page, audio)
        compare(page, audio / "test.wav")
        assert names(page) == ["ben", "ann"]
        page.close()
        server.shutdown()
