"""make class FOLDER: check the work of many learners, and print one table.

FOLDER has a folder for each learner, such as a clone of each fork, with their my/ in it. The table
has a row for each learner and a column for each stage or set: how many exercises pass. It runs
their code on this machine, with no protection but time limits.
"""

import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.table import Table

from command_line import Parser
from learn.exercises import Problem, all_lessons, find_lesson
from learn.report import make_console
from learn.run_checks import run_checks
from progress_bar import track
from visible import visible


def main(words):
    flags = Parser(prog="make class", description=__doc__)
    flags.add_argument("folder", type=Path, help="has a folder for each learner")
    flags.add_argument("--stage", action="append", default=[], help="only this stage or set: 3")
    flags.add_argument("--csv", action="store_true", help="print comma-separated values")
    args = flags.parse_args(words)
    if not args.folder.is_dir():
        raise Problem(f"there is no folder {args.folder}")
    wanted = [find_lesson(word).stage for word in args.stage]
    lessons = [lesson for lesson in all_lessons() if not wanted or lesson.stage in wanted]
    learners = find_learners(args.folder.resolve(), [lesson.stage for lesson in lessons])
    if not learners:
        raise Problem(f"no folder in {args.folder} has a my/ with a stage in it")
    console = make_console()
    rows = check_all(lessons, learners)
    header = ["learner", *(lesson.stage for lesson in lessons)]
    if args.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    else:
        table = Table(*header, box=None, padding=(0, 3, 0, 0))
        for row in rows:
            table.add_row(*row)
        console.print(table)
    return 0


def find_learners(folder, stages):
    """{name: folder with the stages}: my/ in a learner's folder, or the learner's folder itself."""
    learners = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        for my in (place / "my", place):
            # The project itself has folders of the same names; only my/ may lie in a project.
            is_project = (my / "tools" / "learn").is_dir()
            if not is_project and any((my / stage).is_dir() for stage in stages):
                learners[place.name] = my
                break
    return learners


def check_all(lessons, learners):
    """The rows of the table, as texts: 5/8, or an empty text for a stage that was not started."""
    with ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) // 2)) as pool:
        jobs = {
            name: [pool.submit(score, lesson, my / lesson.stage) for lesson in lessons]
            for name, my in learners.items()
        }
        names = track(jobs, label=visible)
        return [[visible(name), *(job.result() for job in jobs[name])] for name in names]


def score(lesson, folder):
    """How many exercises of one learner's stage pass, whichever they are."""
    if not folder.is_dir():
        return ""
    outcome = run_checks(lesson, folder, go_on=True, quiet=True)
    if outcome.stop:
        return f"0/{len(lesson.names)} ({visible(outcome.stop['words']).split(':')[0].lower()})"
    return f"{len(outcome.passed)}/{len(lesson.names)}"
