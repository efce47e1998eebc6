"""Further names of two programs, ``python -m svmixer.bin.complexity`` and ``convert_released``."""
