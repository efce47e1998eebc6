"""Programs that the shell stages call, each as ``python -m svmixer NAME``."""
