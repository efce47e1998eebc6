"""Frozen self-supervised teachers (WavLM, HuBERT, wav2vec 2.0) behind one interface; see :mod:`svmixer.teachers.load`."""
