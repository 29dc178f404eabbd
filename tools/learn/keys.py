"""Read single keys from a terminal, without Enter: on POSIX systems and on Windows."""

import os
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

    Letters come in lower case. Keys without a character, such as the arrows, are left out. Without
    a terminal there are no keys, and read() only waits.
    """

    def __init__(self):
        self.terminal = sys.stdin is not None and sys.stdin.isatty()
        self.typed = ""  # keys that arrived together and wait to be returned

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
        if not self.typed:
            self.typed = self.read_windows(seconds) if msvcrt else self.read_posix(seconds)
        key, self.typed = self.typed[:1], self.typed[1:]
        return key.lower()

    def read_posix(self, seconds):
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        typed = os.read(sys.stdin.fileno(), 100).decode(errors="ignore") if ready else ""
        # An arrow key sends several characters, and the last may be a letter. The first is ESC.
        return "" if typed.startswith("\x1b") else typed

    def read_windows(self, seconds):
        until = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() > until:
                return ""
            time.sleep(0.02)
        key = msvcrt.getwch()
        if key not in "\x00\xe0":
            return key
        if msvcrt.kbhit():  # an arrow or a function key, and this character says which; not an à
            msvcrt.getwch()
        return ""
