"""What holds while a process is being begun."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from specdsl.interrupts import interrupts_held


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held here")
def test_ctrl_c_waits_until_a_process_is_begun() -> None:
    """Also where another thread takes the signal, which has not masked it."""
    before, begun = signal.getsignal(signal.SIGINT), False

    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), interrupts_held():  # noqa: PT012 - what stands in it must be carried out
        presses = threading.Thread(target=press)
        presses.start()
        presses.join()
        time.sleep(0.01)
        begun = True
    assert begun
    assert signal.getsignal(signal.SIGINT) is before
