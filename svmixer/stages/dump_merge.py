"""Join the lists of all jobs that dumped a data directory."""

from __future__ import annotations

from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import parse_args
from svmixer.lists import ListError
from svmixer.log import fail


def main(argv: list[str] | None = None) -> None:
    """Run the script; a user's mistake is one line on standard error and exit status 1."""
    config = parse_args(MergeConfig, argv, __doc__)
    try:
        merge_jobs(config)
    except (ListError, OSError) as error:
        raise fail(str(error)) from None


if __name__ == "__main__":
    main()
