"""``python -m svmixer VERB …`` is ``svmixer VERB …``."""

from svmixer.cli.main import main

main()
