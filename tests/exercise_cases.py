"""Judge solutions of exercises: what the tests of every stage's exercises share.

A test changes the reference code, which solves all exercises, and looks at what the checker says.
The checks run in this process, without the time limits, because a child for each would have to
import PyTorch first.
"""

import contextlib
import shutil
import sys

from learn.exercises import read_lesson
from learn.judge import check_folder
from learn.source import function_text, put
from learn.start import copy_stage


@contextlib.contextmanager
def one_thread():
    """PyTorch computes in one thread, as in the child that checks a learner's code."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)


class Judge:
    """Checks one exercise at a time in a folder of its own.

    judge = Judge("03_bigram_learned", tmp_path)
    judge.change("softmax", "dim=1", "dim=0")     a small change of the right solution, or
    judge.write("softmax", "def softmax(z): ...") another text for the whole function
    judge.words("softmax")                        what the learner is told; "" for a pass
    """

    def __init__(self, stage, folder):
        self.lesson, self.folder = read_lesson(stage), folder / stage
        self.folder.mkdir(parents=True)
        for path in self.lesson.source.glob("*.py"):
            shutil.copy(path, self.folder)

    @staticmethod
    def names(stage):
        """The names of a stage's exercises."""
        return read_lesson(stage).names

    def reference(self, name):
        """The reference file with this exercise."""
        return self.lesson.source / self.lesson.exercise(name).file

    def path(self, name):
        return self.folder / self.lesson.exercise(name).file

    def read(self, name):
        return self.path(name).read_text(encoding="utf-8")

    def change(self, name, old, new):
        """Replace a text that occurs once in the function, or in its whole file."""
        function = function_text(self.read(name), self.lesson.exercise(name).function)
        if function.count(old) == 1 and self.read(name).count(function) == 1:
            changed = self.read(name).replace(function, function.replace(old, new))
        else:
            assert self.read(name).count(old) == 1, f"{old!r} must occur exactly once"
            changed = self.read(name).replace(old, new)
        self.path(name).write_text(changed, encoding="utf-8")

    def write(self, name, text):
        changed = put(self.read(name), self.lesson.exercise(name).function, text.strip("\n"))
        self.path(name).write_text(changed, encoding="utf-8")

    def blank_all(self):
        """Make the folder what `make start` makes of it."""
        shutil.rmtree(self.folder)
        copy_stage(self.lesson, self.folder)

    def failure(self, name):
        """The failure of an exercise as a dict, or None if it passes."""
        events = []
        with one_thread():
            check_folder(self.folder, self.lesson, [name], events.append, limited=False)
        ends = [event["end"] for event in events if "end" in event]
        if not ends:
            return next(event["stop"] for event in events if "stop" in event)
        assert ends == [name]
        return next(event["failure"] for event in events if "end" in event)

    def words(self, name):
        failure = self.failure(name)
        return "" if failure is None else failure.get("words", "") or "no words"
