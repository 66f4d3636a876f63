"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell starts what it runs in the background with SIGINT ignored, and so would be all that tests start
# in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
