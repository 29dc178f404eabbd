"""The program that runs the learner's code: python -I child.py FOLDER STAGE EXERCISE...

A fresh interpreter, in which only the learner's folder, the standard library and the installed
packages can be imported. Each event of judge.py becomes a line of JSON on what was stdout at the
start; all that is printed goes to stderr.
"""

import json
import os
import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # tools/, until main() begins

from learn.exercises import read_lesson
from learn.judge import check_folder, note_opened_references


def main():
    sys.path.pop()
    folder, stage, *names = sys.argv[1:]
    go_on = "--go-on" in names
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints past sys.stdout cannot disturb the reports
    lock = threading.Lock()

    def report(event):
        with lock:
            reports.write(json.dumps(event) + "\n")
            reports.flush()

    lesson = read_lesson(stage)
    sys.addaudithook(note_opened_references)
    names = [name for name in names if name != "--go-on"]
    check_folder(Path(folder).resolve(), lesson, names, report, go_on)
    os._exit(0)  # without waiting for threads that the learner's code may have started


if __name__ == "__main__":
    main()
