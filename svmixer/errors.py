"""Errors that a person can do something about; a program turns each into one line and an exit status."""

from __future__ import annotations


class SvmixerError(ValueError):
    """Input, options or files that cannot be used; the message says which, and what to do.

    Every other error of the package extends this class.
    """

    # Exit status of a program that ends with it.
    status = 1
    # What it is about, for programs: audio, model, store, list, configuration, usage, or any other input.
    kind = "input"


class UsageError(SvmixerError):
    """A command line that makes no sense."""

    status = 2
    kind = "usage"
