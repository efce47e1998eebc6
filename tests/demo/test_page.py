"""The page of ``svmixer demo`` in Chromium, with a microphone that plays a file."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from node_side import ROOT, needs_runtime
from voices import HIGH, LOW, RATE, voice

from svmixer.demo.onnxruntime_web import runtime_files
from svmixer.demo.server import address as server_address
from svmixer.demo.server import make_server
from svmixer.demo.site import site_files
from svmixer.inference.calibration import probability, read_calibration
from svmixer.inference.embedding_model import ASSETS
from svmixer.runtime import load_onnx

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    needs_runtime,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

WAIT = 60_000  # ms


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    """Two people's recordings in several formats, and what the microphone hears."""
    folder = tmp_path_factory.mktemp("audio")
    soundfile.write(folder / "ann.wav", voice(LOW, 0, 6 * RATE), RATE)
    soundfile.write(folder / "ben.wav", voice(HIGH, 1, 6 * RATE), RATE)
    soundfile.write(folder / "test.wav", voice(HIGH, 2, 77777), RATE)
    left, right = voice(HIGH, 3, 200003, 44100), voice(HIGH, 4, 200003, 44100)
    soundfile.write(folder / "stereo.flac", np.stack([left, right], 1), 44100)
    soundfile.write(folder / "brief.wav", np.pad(voice(LOW, 5, 9600), (0, RATE)), RATE)
    soundfile.write(folder / "microphone.wav", voice(LOW, 6, 20 * 48000, 48000), 48000)
    (folder / "text.wav").write_text("no audio")
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "svmixer", "demo", "--browser", "false"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
        found = re.match(r"(http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends it\)\n", server.stdout.readline())
        yield found[1]
        server.terminate()


@pytest.fixture(scope="module")
def browser(audio):
    flags = [
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={audio / 'microphone.wav'}", "--no-sandbox",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def context(browser, address):
    """A new profile; nothing may be asked of another server, and nothing go wrong unseen."""
    context = browser.new_context(permissions=["microphone"])
    asked: list[str] = []
    faults: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on(
        "console", lambda line: faults.append(line.text) if line.type in ("error", "warning") else None
    )
    context.on("weberror", lambda error: faults.append(str(error.error)))
    yield context
    context.close()
    assert asked
    elsewhere = [
        url for url in asked if not url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:"))
    ]
    assert (elsewhere, faults) == ([], [])


@pytest.fixture
def page(context, address):
    return opened(context, address)


def opened(context, address):
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    ready(page)
    return page


def ready(page) -> None:
    playwright.expect(page.locator("#listen")).to_be_enabled(timeout=WAIT)
    assert page.locator("#loading").inner_text() == ""


def enrol_both(page, audio) -> None:
    page.locator("#enrol-files").set_input_files([audio / "ann.wav", audio / "ben.wav"])
    playwright.expect(page.locator("#people li")).to_have_count(2, timeout=WAIT)


def until(page, condition: Callable[[], bool]) -> None:
    """Wait for something; the page's policy forbids what Playwright would wait with."""
    for _ in range(WAIT // 50):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(page.locator("body").inner_text())


def compare(page, path: Path) -> dict:
    """What the page hears in a file."""
    page.evaluate(
        """() => {
          window.heard = null;
          const take = ({ detail }) => (window.heard = { ...detail, embedding: [...detail.embedding] });
          document.addEventListener("heard", take, { once: true });
        }"""
    )
    page.locator("#compare-file").set_input_files(path)
    until(page, lambda: page.evaluate("window.heard !== null"))
    return page.evaluate("window.heard")


def verdict(page) -> str:
    return page.locator("#verdict").inner_text()


def names(page) -> list[str]:
    return page.locator("#ranking .name").all_inner_texts()


def scores(page) -> list[float]:
    """What people are ranked by: log-likelihood ratios, or cosines."""
    return [float(text.split()[0].rstrip(",")) for text in page.locator("#ranking .score").all_inner_texts()]


def figures(page) -> list[float]:
    """Log-likelihood ratio, threshold, number of the enrolled, probability, cosine."""
    text = page.locator("#figures").inner_text()
    pattern = (
        r"Log-likelihood ratio (-?\d+\.\d\d), threshold (\d+\.\d\d) for (\d) enrolled, "
        r"probability ([01]\.\d{3}), cosine (-?\d\.\d{4})"
    )
    return [float(part) for part in re.fullmatch(pattern, text).groups()]


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
    command = [sys.executable, "-m", "svmixer", "demo", "--build", tmp_path / "www/voices"]
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
