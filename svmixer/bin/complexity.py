"""Another name of :mod:`svmixer.cli.complexity`."""

from svmixer.cli.complexity import main

if __name__ == "__main__":
    main()
