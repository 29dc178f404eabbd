"""Run the check of a folder in a child process, with time limits."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from visible import visible

CHILD = Path(__file__).resolve().with_name("child.py")
# -I leaves out the current folder, PYTHONPATH and the user's own packages. -B writes no bytecode,
# which can be out of date after two saves in a second.
PYTHON = [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore"]
START = 60.0  # seconds for the child to import the libraries, the first time from a slow disk
GRACE = 5.0  # seconds that the child has to report its own time limit, which names the line. It
# cannot if the learner's code never lets another thread run, as in some calls to C or, in Python
# 3.10, in a loop around a try.


@dataclass
class Outcome:
    """What a check found. failures: exercise -> what to tell the learner.

    stop: a failure that kept every exercise from being checked, such as a syntax error.
    cancelled: the check was ended before it was complete.
    """

    passed: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    stop: dict = None
    cancelled: bool = False

    @property
    def complete(self):
        """Whether every exercise passed."""
        return not (self.failures or self.stop or self.cancelled)


def run_checks(lesson, folder, go_on=False, cancel=None, tell=None, quiet=False):
    """Check the exercises of a lesson in a folder, in order, and return the Outcome.

    go_on: check the exercises after a failure as well. cancel: called some times a second; when it
    returns True, the check ends. tell: called with the name of every exercise that passed. quiet:
    drop what the learner's code prints past sys.stdout.
    """
    outcome, waiting = Outcome(), list(lesson.names)
    while waiting:
        for name, failure in run_child(lesson, folder, waiting, go_on, cancel, quiet):
            if name == "cancelled":
                outcome.cancelled = True
                return outcome
            if name is None:
                outcome.stop = failure
                return outcome
            waiting.remove(name)
            if failure is None:
                outcome.passed.append(name)
                if tell:
                    tell(name)
            else:
                outcome.failures[name] = failure
                if not go_on:
                    return outcome
    return outcome


def run_child(lesson, folder, names, go_on, cancel, quiet):
    """Yield (exercise, failure or None) for each exercise that the child reports.

    ("cancelled", None) if cancel() says so, and (None, failure) if nothing can be checked. The
    child ends after an exercise that exceeds its time limit, and those after it are not reported.
    """
    words = [*PYTHON, CHILD, folder, lesson.stage, *names, *(["--go-on"] if go_on else [])]
    child = subprocess.Popen(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    events = queue.Queue()
    threading.Thread(target=read_events, args=(child.stdout, events), daemon=True).start()
    current, line, reported, deadline = None, "", False, time.monotonic() + START
    try:
        while True:
            if cancel and cancel():
                yield "cancelled", None
                return
            try:
                event = events.get(timeout=0.05)
            except queue.Empty:
                if time.monotonic() < deadline:
                    continue
                event = {"timeout": True}
            if "begin" in event:
                current, line = event["begin"], ""
                deadline = time.monotonic() + START
            elif "running" in event:
                line = event["line"]
                deadline = time.monotonic() + lesson.exercise(current).seconds + GRACE
            elif "end" in event:
                yield event["end"], event["failure"]
                current, reported = None, True
            elif "stop" in event:
                yield None, event["stop"]
                return
            elif "done" in event or ("closed" in event and reported and current is None):
                return
            else:  # it ended or hangs without a word
                yield current, lost(event, current, line)
                return
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def read_events(stream, events):
    """Put what the child reports into a queue, and at its end a dict without a known key."""
    try:
        for line in stream:
            # A learner's code may return or print anything, and `make class` runs that of others.
            events.put(json.loads(line, object_hook=safe))
    except ValueError:
        pass  # the stream was closed, or a line is not whole because the child was killed
    events.put({"closed": True})


def safe(event):
    """The event with texts that a terminal shows and does not obey."""
    texts = {key: visible(v, "\n\t") for key, v in event.items() if isinstance(v, str)}
    return {**event, **texts}


def lost(event, current, line):
    """The failure for a child that says nothing more. line: of the function, or ""."""
    if "timeout" in event:
        words = "It took too long and was ended. Is there an endless loop?"
    elif current:
        words = "Your code ended Python itself, as os._exit() or a crash does."
    else:
        words = "The check could not start; see the lines above."
    return {"words": words, "line": line} if line else {"words": words}
