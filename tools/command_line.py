"""The command line of a tool: a mistake costs one line and status 2, never a traceback."""

import argparse
import os
import sys

from visible import visible


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that answers a mistake with one line, not with its whole usage text."""

    def error(self, problem):
        self.exit(2, f"{self.prog}: error: {visible(problem)}; see --help\n")


def run_tool(tool, main):
    """Call main() and exit with the status that it returns.

    A file or folder that cannot be used costs one line, and so does code that Python cannot read.
    """
    try:
        status = main()
        sys.stdout.flush()  # here, so that a failure counts
    except BrokenPipeError:  # of a reader such as head, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the exit
        status = 1
    except OSError as error:
        status = fail(tool, f"{error.filename or 'output'}: {error.strerror}; give another path")
    except SyntaxError as error:
        status = fail(tool, f"{error.filename}, line {error.lineno}: {error.msg}; mend that line")
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def fail(tool, problem):
    """Print one line for a problem. Returns the status to end with."""
    print(f"{tool}: error: {visible(problem)}", file=sys.stderr)
    return 2
