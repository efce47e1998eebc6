"""Another name of ``svmixer complexity``."""

import sys

from svmixer.cli.main import run_program

if __name__ == "__main__":
    run_program("complexity", sys.argv[1:])
