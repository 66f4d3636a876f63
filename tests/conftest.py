"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell starts what it runs in the background with SIGINT ignored, nohup with SIGHUP; and so would be all
# that tests start in order to interrupt it.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)  # Windows has no SIGHUP.
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
