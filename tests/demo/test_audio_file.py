"""The sampling rate that the page reads in audio files before the browser decodes them."""

from __future__ import annotations

import soundfile
from node_side import ROOT, needs_node, run_js
from voices import LOW, voice

pytestmark = needs_node

# Ending, sub-type, rates. Opus is decoded at 48 kHz, whatever went in.
KINDS = [
    ("wav", "PCM_16", (8000, 16000, 44100)),
    ("wav", "FLOAT", (22050,)),
    ("flac", None, (8000, 44100, 96000)),
    ("ogg", "VORBIS", (16000, 44100)),
    ("ogg", "OPUS", (16000, 48000)),
    ("mp3", None, (8000, 16000, 22050, 44100, 48000)),
]


def test_rates_of_files(tmp_path):
    expected, files = {}, {}
    for ending, kind, rates in KINDS:
        for rate in rates:
            name = f"{kind}_{rate}.{ending}"
            soundfile.write(tmp_path / name, voice(LOW, 0, rate, rate), rate, subtype=kind)
            files[name] = (tmp_path / name).read_bytes()
            expected[name] = 48000 if kind == "OPUS" else rate
    # Tags before the sound, an odd chunk before the format, and what is cut short or something else.
    tag = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)
    files["tagged.mp3"], expected["tagged.mp3"] = tag + files["None_22050.mp3"], 22050
    wav = files["PCM_16_8000.wav"]
    files["chunk.wav"], expected["chunk.wav"] = wav[:12] + b"junk\x03\0\0\0abc\0" + wav[12:], 8000
    for name, data in (
        ("cut.wav", wav[:14]),
        ("cut.flac", b"fLaC\0"),
        ("none.webm", b"\x1a\x45\xdf\xa3"),
        ("empty", b""),
    ):
        files[name], expected[name] = data, None
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code = """
    const { rateOf } = await import(data.module);
    return Object.fromEntries(data.names.map((name) => [name, rateOf(array(name, Uint8Array))]));
    """
    module = (ROOT / "svmixer/demo/web/audio_file.js").as_uri()
    assert run_js(tmp_path, code, {"module": module, "names": list(files)}) == expected
