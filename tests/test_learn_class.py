"""make class: one table for the work of many learners."""

import csv
import io
import os

from learn_project import HELPER, MAIN, project

__all__ = ["project"]  # a fixture


def test_a_table_of_all_learners(project):
    def hand_in(learner, main, helper=HELPER):
        project.write(f"class/{learner}/01_first/main.py", main)
        project.write(f"class/{learner}/01_first/helper.py", helper)

    hand_in("ada/my", MAIN)
    hand_in("bob", MAIN.replace("2 * x", "3 * x"))
    hand_in("cy/my", "def double(x:\n")
    hand_in("di/my", MAIN.replace("    return 2 * x", "    while True:\n        print('x')"))
    hand_in("ed/my", "import os\nos._exit(0)\n")
    project.write("class/fay/my/readme.txt", "nothing yet\n")
    project.write("class/list.txt", "not a learner\n")
    done = project.learn("class", project.root / "class", "--csv")
    assert done.returncode == 0, done.stderr
    rows = dict(csv.reader(io.StringIO(done.stdout)))
    assert rows == {
        "learner": "01_first", "ada": "4/4", "bob": "3/4", "cy": "0/4 (syntax error)",
        "di": "3/4", "ed": "1/4",
    }  # fmt: skip
    table = project.learn("class", project.root / "class", "--stage", "1").stdout
    assert [line.split() for line in table.splitlines()][1] == ["ada", "4/4"]
    assert not (project.root / "class/ada/my/progress.json").exists()  # nothing is written there


def test_what_a_learner_hands_in_cannot_move_the_cursor_or_add_a_row(project):
    name = "bo\x1b[2J[red]\u202e"
    if os.name != "nt":  # Windows allows no such names
        name += "\r\n|"
    project.write(f"class/{name}/01_first/main.py", "def double(x:\n    return '\x1b[2J'\n")
    project.write(f"class/{name}/01_first/helper.py", HELPER)
    shown = name.encode("unicode_escape").decode()
    for words in (["--csv"], []):
        done = project.learn("class", project.root / "class", *words)
        assert done.returncode == 0 and shown in done.stdout
        assert not set("\x1b\r\u202e") & set(done.stdout + done.stderr)
        assert len(done.stdout.splitlines()) == 2


def test_folders_without_learners(project):
    done = project.learn("class", project.root / "nowhere")
    assert done.returncode == 2 and "there is no folder" in done.stderr
    project.write("class/ada/readme.txt", "")
    done = project.learn("class", project.root / "class")
    assert done.returncode == 2 and "has a my/ with a stage in it" in done.stderr
