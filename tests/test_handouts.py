"""What a teacher hands out: a page for each stage, and the workflow that checks learners' forks."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest
import run

from learn.exercises import find_stage, read_lesson, stages_with_exercises
from learn_project import HELPER, MAIN, Project
from stages import ROOT, STAGES

HANDOUTS = ROOT / "docs" / "handouts"
GUIDE = ROOT / "docs" / "workshop.md"
WORKFLOW = ROOT / "docs" / "classroom" / "check.yml"


def read(stage):
    return (HANDOUTS / f"{stage}.md").read_text(encoding="utf-8")


# --- the handouts ---


def test_there_is_a_handout_for_each_stage():
    assert sorted(path.name for path in HANDOUTS.iterdir()) == [f"{s}.md" for s in STAGES]


@pytest.mark.parametrize("stage", STAGES)
def test_a_handout_fits_on_a_page(stage):
    lines = read(stage).splitlines()
    headings = [line[3:] for line in lines if line.startswith("## ")]
    assert headings == [
        "By hand", "Predict, before you run anything", "Run", "Change one thing",
        "Build it yourself",
    ]  # fmt: skip
    assert len(lines) <= 65
    assert "________" in read(stage)


@pytest.mark.parametrize("stage", stages_with_exercises())
def test_a_handout_asks_every_prediction_and_lists_every_exercise(stage):
    text, lesson = read(stage), read_lesson(stage)
    for prediction in lesson.predictions:
        assert prediction.question in text, "make readme"
        assert all(f"☐ {choice}" in text for choice in prediction.choices), "make readme"
        assert prediction.why not in text
    boxes = text.split("## Build it yourself")[1]
    assert re.findall(r"☐ ([\w-]+)", boxes) == list(lesson.names), "make readme"


@pytest.mark.parametrize("page", [*(HANDOUTS / f"{s}.md" for s in STAGES), GUIDE])
def test_every_command_exists(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"(?:`|^ *)(?:make|python run\.py) ([\w-]+)(?: (\d))?\b", text, re.M)
    assert targets
    for target, number in targets:
        assert target in run.TARGETS, f"there is no make {target}"
        assert not number or find_stage(number)
        if page.parent == HANDOUTS:
            assert find_stage(number) == page.stem
    for script in re.findall(r"(?:`|^ *)python ((?!run\.py)[\w/]+\.py)", text, re.M):
        assert (ROOT / script).is_file(), f"there is no {script}"


@pytest.mark.parametrize("stage", STAGES)
def test_flags_in_a_handout_are_flags_of_the_program(stage):
    for script, words in re.findall(r"`python ([\w/]+\.py)([^`]*)`", read(stage)):
        usage = subprocess.run(
            [sys.executable, ROOT / script, "--help"], capture_output=True, encoding="utf-8"
        ).stdout
        assert all(flag in usage for flag in re.findall(r"--[\w-]+", words))


# --- the workflow for learners' forks ---


def test_the_workflow_does_not_run_in_this_repository():
    assert not (ROOT / ".github" / "workflows" / WORKFLOW.name).exists()


def test_the_workflow_has_its_fields_and_its_placeholders_in_one_place():
    """Without a YAML library: two spaces a level, a key or a list item on each line."""
    text = WORKFLOW.read_text(encoding="utf-8")
    assert "\t" not in text
    keys = re.findall(r"^([a-z]+):", text, re.M)
    assert keys == ["name", "on", "permissions", "env", "jobs"]
    for line in text.splitlines():
        assert (len(line) - len(line.lstrip(" "))) % 2 == 0
        content = line.strip()
        item = re.match(r"(- )?[\w-]+:( |$)|#|$", content)
        assert item or script(text).count(content), f"neither a key nor a command: {line}"
    env = re.search(r"^env:\n((?:  .*\n)+)", text, re.M)[1]
    values = dict(re.findall(r"^  ([A-Z]+): \"?(.*?)\"? #", env, re.M))
    assert values["UPSTREAM"] == "OWNER/REPOSITORY"
    assert re.fullmatch(r"[0-9a-f]{40}", values["COMMIT"])
    assert all(map(find_stage, values["STAGES"].split()))
    for placeholder in values.values():
        assert text.count(placeholder) == 1
    checkouts = re.findall(r"uses: actions/checkout@.*\n        with:\n((?:          .*\n)+)", text)
    learner, upstream = (dict(re.findall(r"([\w-]+): (.*)", fields)) for fields in checkouts)
    assert learner == {"path": "learner", "persist-credentials": "false"}
    assert upstream == {
        "repository": "${{ env.UPSTREAM }}", "ref": "${{ env.COMMIT }}", "path": "upstream",
        "persist-credentials": "false",
    }  # fmt: skip
    assert "permissions:\n  contents: read\n" in text


def script(text):
    """The commands of the last step."""
    return textwrap.dedent(text.split("        run: |\n")[1])


@pytest.fixture
def job(tmp_path):
    """What the checkouts leave: upstream/ with the exercises, learner/ with a fork of it."""
    project = Project(tmp_path / "upstream")
    shutil.copy(ROOT / "run.py", project.root)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (project.root / name).write_text("", encoding="utf-8")
    shutil.copytree(project.root, tmp_path / "learner")
    return tmp_path


def check(job, stages="1"):
    bash = shutil.which("bash")
    if bash is None or os.name == "nt":
        pytest.skip("GitHub's runner has bash")
    folder = re.search(r"working-directory: (\w+)", WORKFLOW.read_text(encoding="utf-8"))[1]
    python = job / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    return subprocess.run(
        [bash, "-e", "-c", script(WORKFLOW.read_text(encoding="utf-8"))],
        cwd=job / folder, env={**os.environ, "PATH": path, "STAGES": stages},
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


def hand_in(job, main):
    place = job / "learner" / "my" / "01_first"
    place.mkdir(parents=True, exist_ok=True)
    (place / "main.py").write_text(main, encoding="utf-8")
    (place / "helper.py").write_text(HELPER, encoding="utf-8")


def test_the_workflow_passes_right_solutions_only(job):
    missing = check(job)
    assert missing.returncode == 1 and "there is no folder" in missing.stderr
    hand_in(job, MAIN)
    done = check(job)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 4 exercises of stage 1 pass" in done.stdout
    hand_in(job, MAIN.replace("2 * x", "3 * x"))
    assert check(job).returncode == 1


def test_a_fork_that_edits_its_tests_does_not_pass(job):
    hand_in(job, MAIN.replace("2 * x", "3 * x"))
    easy = "def anything(learner, check):\n    check.equal(int, (1,), 1)\n\n\n"
    easy += "square = double = all_squares = total = anything\n"
    fork = job / "learner"
    (fork / "exercises" / "check_01_first.py").write_text(easy, encoding="utf-8")
    own = subprocess.run(
        [sys.executable, fork / "tools" / "learn", "check", "1", "--no-train"],
        capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONPATH": str(fork)},
    )  # fmt: skip
    assert own.returncode == 0, own.stdout + own.stderr  # the fork's own check is fooled
    done = check(job)
    assert done.returncode == 1 and "square" in done.stdout
