"""A program whose libraries are not installed says in one line how to start it."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from stages import ROOT

SCRIPTS = (
    *(f"{n}/main.py" for n in ("02_bigram_counts", "03_bigram_learned", "04_embedding_mlp")),
    "05_microgpt/torch_twin.py",
    "06_shakespeare_gpt/main.py",
    "06_shakespeare_gpt/generate.py",
    *(f"extras/{path.name}" for path in sorted((ROOT / "extras").glob("*.py"))
      if "\nimport torch" in path.read_text(encoding="utf-8")),
    *(f"tools/{name}.py" for name in ("table", "score", "plots", "diff", "seeds", "readme")),
    "tools/learn",
)  # fmt: skip
VENV_PYTHON = ".venv/" + ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The code of the project, and a .venv whose Python prints the words that it is given."""
    project = tmp_path_factory.mktemp("a project")
    for folder in (*(main.parent for main in ROOT.glob("0*/main.py")), ROOT / "extras"):
        (project / folder.name).mkdir()
        for path in folder.glob("*.py"):
            shutil.copy(path, project / folder.name)
    shutil.copytree(ROOT / "tools", project / "tools")
    shutil.copy(ROOT / "run.py", project)
    (project / "data").mkdir()
    python = project / VENV_PYTHON
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return project


def start(folder, *words):
    """Start a program with a Python that has no packages: -S leaves them out."""
    command = [sys.executable, "-S", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")


def line_of(done):
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_line_with_the_command_that_works(copy, script):
    words = ["check", "--name", "a  b"]
    said, command = line_of(start(copy, script, *words)).split("; run ")
    assert ": error: this Python has no " in said
    if os.name != "nt":
        assert shlex.split(command) == [str(copy / VENV_PYTHON), script, *words]
        done = subprocess.run(command, shell=True, cwd=copy, capture_output=True, encoding="utf-8")
        assert done.stdout == "|".join([script, *words, ""])


def test_without_a_venv_run_py_makes_one(copy, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(copy, project, ignore=shutil.ignore_patterns(".venv"))
    for script in ("03_bigram_learned/main.py", "extras/wavenet.py", "tools/table.py"):
        said = line_of(start(project, script))
        command = f"{sys.executable} {project / 'run.py'} check-setup"
        assert said.endswith(f"; to install it into .venv, run {command}")


def test_a_stage_that_was_copied_elsewhere_names_pip(copy, tmp_path):
    shutil.copytree(copy / "03_bigram_learned", tmp_path / "03_bigram_learned")
    (tmp_path / "data").mkdir()
    said = line_of(start(tmp_path, "03_bigram_learned/main.py"))
    assert said.endswith(f"to install it, run {sys.executable} -m pip install torch")


@pytest.mark.parametrize("script", ["03_bigram_learned/main.py", "tools/table.py"])
@pytest.mark.parametrize("error", ["import no_such_library", "import names.torch", "1 / 0"])
def test_other_errors_keep_their_traceback(copy, tmp_path, script, error):
    project = tmp_path / "project"
    shutil.copytree(copy, project)
    path = project / script
    text = path.read_text(encoding="utf-8")
    first = "import common\n" if "common" in text else "from stages import ROOT, STAGES\n"
    assert first in text
    path.write_text(text.replace(first, f"{first}{error}\n"), encoding="utf-8")
    done = start(project, script)
    assert done.returncode == 1 and done.stderr.startswith("Traceback")
    assert error in done.stderr


def test_stage_05_and_stage_01_need_no_library(copy):
    for stage in ("01_micrograd", "05_microgpt"):
        assert start(copy, f"{stage}/main.py", "--help").returncode == 0
