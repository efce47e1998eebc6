"""The speaker model: configuration, student encoder, backends, embedding of utterances, reading and writing.

The modules are imported by name (``from svmixer.models.io import load_model``). The package itself imports
none of them, so that a configuration can be read without loading torch.
"""
