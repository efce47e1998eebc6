"""``espnet2.bin.spk_train`` with SV-Mixer among its choices; the same options."""

from __future__ import annotations

from svmixer.espnet.task import SvMixerSpeakerTask


def main(cmd: list[str] | None = None) -> None:
    """Train as the command line says."""
    SvMixerSpeakerTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
