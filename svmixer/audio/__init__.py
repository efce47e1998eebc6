"""Audio: reading every format, one channel at 16 kHz, the dump that training and scoring read."""

from svmixer.audio.dumpset import DumpSet
from svmixer.audio.errors import AudioError
from svmixer.audio.long_wave import LongWave, is_encoded, open_wave
from svmixer.audio.read import Recording, open_recording, read_audio
from svmixer.audio.resample import from_pcm16, to_mono_16k, to_pcm16
from svmixer.audio.speech import trim_silence

__all__ = [
    "AudioError",
    "DumpSet",
    "LongWave",
    "Recording",
    "from_pcm16",
    "is_encoded",
    "open_recording",
    "open_wave",
    "read_audio",
    "to_mono_16k",
    "to_pcm16",
    "trim_silence",
]
