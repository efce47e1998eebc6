"""Chromium with the page of ``svmixer demo``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from node_side import ROOT
from voices import HIGH, LOW, RATE, voice


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
    command = [sys.executable, "-m", "svmixer", "demo", "--model", "pocket", "--browser", "false"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
        found = re.match(r"(http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends it\)\n", server.stdout.readline())
        yield found[1]
        server.terminate()


@pytest.fixture(scope="module")
def browser(audio):
    from page_driver import CHROMIUM, playwright

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
    from page_driver import opened

    return opened(context, address)
