"""Clocks for tests, which must not depend on what else the computer is doing."""

import os
import time


class Clock:
    """Replaces the time module: its clock moves on by some seconds at every call."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def perf_counter(self):
        self.now += self.seconds
        return self.now


def seconds_of_children():
    """Seconds that the children which have ended spent computing; on Windows, the time of day."""
    times = os.times()
    return times.children_user + times.children_system if os.name == "posix" else time.time()
