"""Check a learner's folder: import it, run the check functions, say what went wrong.

report() is called with a dict for each event:

    {"begin": "softmax"}
    {"running": "softmax", "line": "main.py:58"}    the libraries are there, and its time counts
    {"end": "softmax", "failure": None}     or {"call": ..., "came": ..., "words": ...}
    {"stop": {...}}                         the folder cannot be checked at all, as for "end"
    {"done": True}
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import io
import os
import sys
import threading
from pathlib import Path

from stages import ROOT, STAGES

from learn import checking
from learn.exercises import FOLDER, check_file, set_names, short
from learn.source import find, is_blank

LAST_PRINTED = 1000  # characters
# Code that reads a file of Python in one of these folders is not the learner's own.
SOLVED = [ROOT / name for name in (*STAGES, "extras")] + [FOLDER / name for name in set_names()]
REFERENCES = {os.path.normcase(folder) + os.sep: folder for folder in SOLVED}


class Learner:
    """learner.main is the module main.py in the learner's folder, imported when first asked for."""

    def __init__(self, folder):
        self._folder = folder

    def __getattr__(self, name):
        module = importlib.import_module(name)
        place = Path(getattr(module, "__file__", None) or "built in").resolve()
        if place.parent != self._folder:
            raise checking.Failed(words=f"{name}.py is not your code: it comes from {place}")
        return module


class Printed(io.StringIO):
    """Keeps the end of what one file prints, and drops what others do, such as common.Log."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def write(self, text):
        if sys._getframe(1).f_code.co_filename != self.path:
            return len(text)
        if self.tell() > 100 * LAST_PRINTED:
            end = self.getvalue()[-LAST_PRINTED:]
            self.seek(0)
            self.truncate()
            super().write(end)
        return super().write(text)


class Watchdog:
    """Ends the process after some seconds, after a report of the line that was running.

    It is a thread, so it also ends a loop that catches every exception.
    """

    def __init__(self, seconds, report_time_out):
        self.thread = threading.get_ident()
        self.report_time_out = report_time_out
        self.timer = threading.Timer(seconds, self.bark)
        self.timer.daemon = True

    def __enter__(self):
        self.timer.start()

    def __exit__(self, *error):
        self.timer.cancel()

    def bark(self):
        frame = sys._current_frames()[self.thread]
        stack = []
        while frame:
            stack.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        self.report_time_out(stack)
        os._exit(1)


def check_folder(folder, lesson, names, report, go_on=False, limited=True):
    """Check exercises of a lesson in the learner's folder, in the order of the names.

    Without go_on, the first exercise that fails is the last. limited: end the whole process at the
    time limit of an exercise.
    """
    problem = syntax_problem(folder)
    if problem:
        report({"stop": problem})
        return
    own = {path.stem for path in folder.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        for name in names:
            report({"begin": name})
            failure = check_exercise(folder, lesson, lesson.exercise(name), report, limited)
            report({"end": name, "failure": failure})
            if failure and not go_on:
                break
    finally:
        sys.path.remove(str(folder))
        for name in own & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(others)
    report({"done": True})


def check_exercise(folder, lesson, exercise, report, limited):
    """Check one exercise. Returns the failure as a dict, or None if it passed."""
    check = checking.Check(exercise, folder)
    path = folder / exercise.file
    source = path.read_text(encoding="utf-8-sig") if path.exists() else None
    node = find(ast.parse(source), exercise.function) if source is not None else None
    line = check.line(node.lineno) if node else ""
    if source is None:
        start = f"make start {lesson.word}"
        return {"words": f"{exercise.file} is missing. To get its blank form: {start}"}
    if node and is_blank(source, exercise):
        return {"line": line, "words": f"{exercise.function} is not written yet.", "blank": True}
    function = check_function(lesson, exercise)
    report({"running": exercise.name, "line": line})
    seed_all()
    printed = Printed(path)

    def report_time_out(stack):
        own = [(Path(name), number) for name, number in stack if Path(name).parent == folder]
        where = check.line(own[0][1], own[0][0].name) if own else line
        words = f"It took longer than {exercise.seconds:g} seconds and was stopped at this line."
        words += " Is this an endless loop?"
        end = printed.getvalue()[-LAST_PRINTED:]
        failure = {**check.doing, "line": where, "words": words, "printed": end}
        report({"end": exercise.name, "failure": failure})

    failure = None
    limit = Watchdog(exercise.seconds, report_time_out) if limited else contextlib.nullcontext()
    with contextlib.redirect_stdout(printed), limit:
        try:
            learner = Learner(folder)
            assert_own(learner, exercise, folder, lesson)
            function(learner, check)
            if check.count == 0:
                raise checking.Failed(words="Nothing was checked: a mistake in the check file.")
        except checking.Failed as failed:
            failure = failed.failure
        except (Exception, SystemExit) as error:
            failure = check.raised(error, {}).failure
            if not failure["line"]:
                words = f"{failure['words']} The check stumbled over what your code returned."
                failure["words"] = words.strip()
    stolen = sorted(opened_references)
    if stolen:
        folder = next(f for start, f in REFERENCES.items() if stolen[0].startswith(start))
        words = f"This is not your code: it comes from {short(folder)}/."
        failure = {"line": line, "words": words}
    if failure is not None:
        failure["line"] = failure.get("line") or line
        failure["printed"] = printed.getvalue()[-LAST_PRINTED:]
    return failure


def syntax_problem(folder):
    """The failure for the first file that is not Python, or None."""
    for path in sorted(folder.glob("*.py")):
        try:
            ast.parse(path.read_bytes(), filename=path.name)
        except SyntaxError as error:
            words = f"Syntax error: {error.msg}."
            code = (error.text or "").strip()
            return {"line": f"{path.name}:{error.lineno or 1}", "code": code, "words": words}
        except ValueError as error:
            return {"line": f"{path.name}:1", "words": f"This is not a text in UTF-8: {error}."}
    return None


def assert_own(learner, exercise, folder, lesson):
    """Failed if the learner's module has no such function, or has it from somewhere else."""
    found = getattr(learner, Path(exercise.file).stem)
    *classes, name = exercise.function.split(".")
    missing = f"function {exercise.function}"
    for part in classes:
        found = look_up(found, part)
        if found is None:
            missing = f"class {part}, so it has no {missing}"
            break
    found = look_up(found, name)
    if not callable(found):
        reset = f"make start {lesson.word} EXERCISE={exercise.name}"
        words = f"{exercise.file} has no {missing}."
        raise checking.Failed(words=f"{words} To see its blank form: {reset}")
    code = getattr(inspect.unwrap(found), "__code__", None)
    place = Path(code.co_filename).resolve() if code else None
    if place is None or place.parent != folder:
        origin = place or getattr(found, "__module__", None) or "elsewhere"
        words = f"This is not your code: {exercise.function} comes from {origin}."
        raise checking.Failed(words=words)


def look_up(place, name):
    """What a module or a class has by this name, or None.

    The __init__ and the __call__ that Python gives to every class do not count.
    """
    if inspect.isclass(place) and not any(name in vars(base) for base in place.__mro__[:-1]):
        return None
    return getattr(place, name, None) if place is not None else None


check_modules = {}


def check_function(lesson, exercise):
    """The function of the check file for this exercise."""
    if lesson.stage not in check_modules:
        path = check_file(lesson.stage)
        spec = importlib.util.spec_from_file_location(f"check_{lesson.stage}", path)
        check_modules[lesson.stage] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(check_modules[lesson.stage])
    return getattr(check_modules[lesson.stage], exercise.name.replace("-", "_"))


def seed_all():
    """The same random numbers in every check, for the libraries that are in use."""
    import random

    random.seed(1)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(1)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)


opened_references = set()


def note_opened_references(event, args):
    """An audit hook: notes whoever reads the reference code, by import or otherwise."""
    if event == "open" and isinstance(args[0], (str, bytes)):
        path = os.path.normcase(os.path.abspath(os.fsdecode(args[0])))
        if path.startswith(tuple(REFERENCES)) and path.endswith((".py", ".pyc")):
            opened_references.add(path)
