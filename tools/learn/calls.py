"""See whether the learner's code calls certain functions, by whatever name it knows them."""

import sys
from pathlib import Path

from learn.exercises import FOLDER


class Calls:
    """`with Calls(names, folder) as calls`: calls.found is the first call to one of these names.

    found: (name, file, line), or None. The call must come from the code in the learner's folder, or
    from what that code called. The learner's own functions may have any name.

    Python reports each call to a profile function, those to functions in C as well. It gives the
    name with which a function was defined, so an alias, a helper or getattr() hides nothing.
    """

    def __init__(self, names, folder):
        self.names, self.folder, self.found = frozenset(names), folder, None

    def __enter__(self):
        self.before = sys.getprofile()
        if self.names:
            sys.setprofile(self.note)
        return self

    def __exit__(self, *error):
        sys.setprofile(self.before)

    def note(self, frame, event, function):
        """Called for each call and return. function: of a call to C, the function."""
        if event == "call" and frame.f_code.co_name in self.names and not self.is_own(frame):
            self.found = self.found or self.caller(frame.f_code.co_name, frame.f_back)
        elif event == "c_call":
            name = function.__name__.removeprefix("special_")  # of torch.special.softmax
            if name in self.names:
                self.found = self.found or self.caller(name, frame)

    def caller(self, name, frame):
        """(name, file, line) of the learner's line behind a call, or None if a check made it."""
        while frame and Path(frame.f_code.co_filename).parent != FOLDER:
            if self.is_own(frame):
                return name, Path(frame.f_code.co_filename).name, frame.f_lineno
            frame = frame.f_back
        return None

    def is_own(self, frame):
        """Whether the code of a frame lies in the learner's folder."""
        return Path(frame.f_code.co_filename).parent == self.folder
