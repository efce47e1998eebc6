"""ESPnet's speaker task with our parts among its choices.

Importing this module adds them to the tables of ``espnet2.tasks.spk``. ESPnet's ``build_model`` looks its
parts up there, and so do the programs in ``espnet2.bin`` that extract embeddings: a table of the subclass
alone would not be read.
"""

from __future__ import annotations

import argparse
import contextlib
import random
from collections.abc import Iterator
from typing import Any

from svmixer import config as configuration
from svmixer.espnet.parts import FrontendConf, IdentityProjector, PoolingConf, SvMixerFrontend, SvMixerPooling
from svmixer.inference.windows import repeat_pad


@contextlib.contextmanager
def no_nltk_downloads() -> Iterator[None]:
    """Inside the block NLTK fetches nothing.

    Some versions of ESPnet import a grapheme-to-phoneme converter with every task, which downloads its
    dictionaries when it is imported; without a network that can take minutes. No speaker task uses it.
    """
    try:
        import nltk
    except ModuleNotFoundError:
        yield
        return
    download = nltk.download
    nltk.download = lambda *arguments, **options: False
    try:
        yield
    finally:
        nltk.download = download


with no_nltk_downloads():
    from espnet2.tasks import spk
    from espnet2.train.preprocessor import SpkPreprocessor


class SvMixerPreprocessor(SpkPreprocessor):
    """ESPnet's preprocessor ``spk``, whose random crop fails in espnet 202511 with NumPy 2.4 or newer."""

    def _speech_process(self, data: dict[str, Any]) -> dict[str, Any]:
        if not self.train:
            return super()._speech_process(data)
        wave = repeat_pad(data["speech"], self.target_duration)
        start = int(random.random() * (len(wave) - self.target_duration))
        data["speech"] = wave[start : start + self.target_duration]
        if self.noise_apply_prob > 0 or self.rir_apply_prob > 0:
            data["speech"] = self._apply_data_augmentation(data["speech"])
        return data


spk.frontend_choices.classes["svmixer"] = SvMixerFrontend
spk.pooling_choices.classes["svmixer"] = SvMixerPooling
spk.projector_choices.classes["identity"] = IdentityProjector
spk.preprocessor_choices.classes["svmixer"] = SvMixerPreprocessor


class SvMixerSpeakerTask(spk.SpeakerTask):
    """ESPnet's speaker task; it differs by the choices alone, and by what the saved configuration says.

    ESPnet saves the configuration after the model is built, and the programs that use the model read it: no
    name of a file may be left in it that could change or go.
    """

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> Any:
        """ESPnet's model as ``args`` describe it; ``args`` then hold student and backend in full.

        Raises:
            ConfigError: unknown key or bad value in our parts of the configuration.
        """
        model = super().build_model(args)
        if args.frontend == "svmixer":
            conf = configuration.from_dict(FrontendConf, args.frontend_conf, "frontend_conf")
            args.frontend_conf = {"student": configuration.to_dict(conf.student)}
        if args.pooling == "svmixer":
            pooling = configuration.from_dict(PoolingConf, args.pooling_conf, "pooling_conf")
            args.pooling_conf = configuration.to_dict(pooling)
        return model
