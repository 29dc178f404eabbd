"""Read single keys from a terminal, without Enter: on POSIX systems and on Windows."""

import contextlib
import sys
import time

try:
    import msvcrt
except ImportError:
    msvcrt = None
    import select
    import termios
    import tty


class Keys:
    """`with Keys() as keys`: keys.read(0.1) waits up to 0.1 seconds and returns a key or "".

    Without a terminal there are no keys, and read() only waits.
    """

    def __init__(self):
        self.terminal = sys.stdin is not None and sys.stdin.isatty()

    def __enter__(self):
        if self.terminal and msvcrt is None:
            self.before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)  # keys come at once and are not shown; Ctrl-C still works
        return self

    def __exit__(self, *error):
        if self.terminal and msvcrt is None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.before)

    def read(self, seconds):
        if not self.terminal:
            time.sleep(seconds)
            return ""
        if msvcrt is None:
            ready, _, _ = select.select([sys.stdin], [], [], seconds)
            return sys.stdin.read(1).lower() if ready else ""
        until = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() > until:
                return ""
            time.sleep(0.02)
        return msvcrt.getwch().lower()

    @contextlib.contextmanager
    def paused(self):
        """The terminal as usual, for what asks with input()."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
