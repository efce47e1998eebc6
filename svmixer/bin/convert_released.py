"""Another name of ``svmixer convert_released``."""

import sys

from svmixer.cli.main import run_program

if __name__ == "__main__":
    run_program("convert_released", sys.argv[1:])
