"""For all tests."""

import signal

# Under nohup or in the background of a script the tests would start with these ignored, and so would every
# process they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
