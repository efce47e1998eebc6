"""``espnet2.bin.spk_embed_extract`` for models with SV-Mixer in them; the same options."""

from __future__ import annotations

# Before ESPnet's program: its processes for several GPUs import this module again and find the choices too.
from svmixer.espnet.task import SvMixerSpeakerTask  # noqa: F401  isort: skip
from espnet2.bin.spk_embed_extract import main

if __name__ == "__main__":
    main()
