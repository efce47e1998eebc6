"""Command-line scripts: each is run as ``python -m svmixer.bin.NAME`` or ``svmixer NAME``."""
