"""Another name of :mod:`svmixer.cli.convert_released`."""

from svmixer.cli.convert_released import main

if __name__ == "__main__":
    main()
