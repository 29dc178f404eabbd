"""The quick check: it says what is broken and how to fix it, and nothing else fails."""

import ast
import shutil
import subprocess
import sys

import pytest

import check_setup
from stages import ROOT, STAGES


@pytest.fixture
def project(tmp_path):
    """The requirements, the names and stage 02 of this project, for a test to break."""
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("names.txt", "prepare.py", "rebuild_tinyshakespeare.py"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data")
    shutil.copytree(ROOT / "02_bigram_counts", tmp_path / "02_bigram_counts")
    return tmp_path


def run(project, *names):
    """{name: (whether all is well, the line)} of these checks."""
    checks = check_setup.all_checks(project)
    return {name: check_setup.run_check(checks[name]) for name in names}


def test_what_is_whole_passes(project):
    found = run(project, "Python", "packages", "names", "other texts", "02_bigram_counts")
    assert all(well for well, _ in found.values()), found
    assert "step of training" in found["02_bigram_counts"][1]


def test_a_package_of_another_version(project):
    path = project / "requirements.txt"
    path.write_text(path.read_text(encoding="utf-8") + "nosuch==1.0\nrich==0.1\n", encoding="utf-8")
    well, line = run(project, "packages")["packages"]
    assert not well
    assert "nosuch is missing" in line and "rich is" in line and "not 0.1" in line
    assert "run.py check-setup" in line and sys.executable in line


def test_changed_names(project):
    path = project / "data" / "names.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("emma", "emna"), encoding="utf-8")
    well, line = run(project, "names")["names"]
    assert not well and "names.txt" in line


def test_texts_that_are_fetched_later_are_a_note(project):
    well, line = run(project, "other texts")["other texts"]
    assert well and f"{sys.executable} data/prepare.py tinyshakespeare makemore" in line


@pytest.mark.parametrize("how", ["raise ValueError('oops')", "import nosuchmodule"])
def test_a_broken_stage(project, how):
    main = project / "02_bigram_counts" / "main.py"
    main.write_text(f"{how}\n{main.read_text(encoding='utf-8')}", encoding="utf-8")
    well, line = run(project, "02_bigram_counts")["02_bigram_counts"]
    assert not well
    assert ("oops" in line or "nosuchmodule" in line)
    assert f"{sys.executable} 02_bigram_counts/main.py" in line
    assert "\n" not in line


def test_a_child_that_hangs(project, monkeypatch):
    main = project / "02_bigram_counts" / "main.py"
    main.write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.setattr(check_setup, "TIMEOUT", 0.5)
    well, line = run(project, "02_bigram_counts")["02_bigram_counts"]
    assert not well and "busy" in line


def test_an_incomplete_copy(project):
    (project / "requirements.txt").unlink()
    well, line = run(project, "packages")["packages"]
    assert not well and "requirements.txt" in line and "complete copy" in line


@pytest.mark.parametrize("broken, status", [(False, 0), (True, 1)])
def test_the_exit_status_and_a_line_for_each_check(monkeypatch, capsys, broken, status):
    def bad():
        raise check_setup.Failed("[red]it[/] is broken; mend it")

    checks = {"good": lambda: "fine", "bad": bad} if broken else {"good": lambda: "fine"}
    monkeypatch.setattr(check_setup, "all_checks", lambda root: checks)
    assert check_setup.main() == status
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["ok", "good", "fine"]
    if broken:
        assert "FAILED" in said[1] and "[red]it[/] is broken; mend it" in said[1]
    assert len(said) == len(checks) + 1


def test_the_smallest_runs_are_those_of_all_stages():
    assert tuple(check_setup.SMALLEST) == STAGES


def test_a_requirements_file_of_another_form(project):
    (project / "requirements.txt").write_text("rich>=13\n", encoding="utf-8")
    well, line = run(project, "packages")["packages"]
    assert not well and "'rich>=13'" in line and "name==version" in line


def test_it_runs_on_the_standard_library_alone():
    """-S leaves out all installed packages, as if nothing had been installed."""
    program = "import check_setup as c; print(*c.run_check(c.check_packages))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT / "tools", capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False torch is missing, numpy is missing")
    assert "rich is missing" in done.stdout and done.stdout.count("\n") == 1


def test_it_imports_nothing_that_is_installed():
    tree = ast.parse((ROOT / "tools/check_setup.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names}  # fmt: skip
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"stages"}
