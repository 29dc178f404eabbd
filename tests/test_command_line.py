"""The command lines of the tools: a mistake costs one line that shows the value, and status 2."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
from stages import ROOT

TOOLS = ROOT / "tools"
LONG = "x" * 300  # longer than a name of a file may be
HOSTILE = "\x1b[2J\r\nx"
FLAGS = {
    "bench": ["--runs=-1", "--runs=0", "--runs=x", "--only=" + HOSTILE, "--published=nowhere",
              "--published=.", "--published=" + LONG, "--nanogpt=nowhere", "--nanogpt=.",
              "--nanogpt=" + LONG, "--out=."],
    "explore": ["--from=nowhere --no-open", "--from=" + LONG, "--from=" + HOSTILE,
                "--compare=nowhere --no-open", "--out"],
    "generate": ["9", HOSTILE, "--from=nowhere", "--from=" + LONG, "--count=0", "--length=x",
                 "--seed=-1", "--temperature=nan", "--prompt-file=" + LONG + " --from=nowhere"],
    "diff": ["9", "", HOSTILE, "01_micrograd"],
    "notebooks": ["--stage=9", "--stage=" + HOSTILE, "--open"],
    "plots": ["--stage=9", "--stage=" + HOSTILE, "--from=nowhere", "--from=" + LONG,
              "--from=" + HOSTILE],
    "published": ["mpl", HOSTILE],
    "readme": [HOSTILE],
    "score": ["--from=nowhere emma", "--from=" + LONG + " emma", "--samples=x", "--samples=1",
              "--from=" + HOSTILE],
    "seeds": ["--seeds=0", "--seeds=x", "--stages=9", "--stages=" + HOSTILE],
    "table": ["--from=nowhere", "--from=" + LONG, "--from=" + HOSTILE, "--format=" + HOSTILE],
    "tries": ["nothing", HOSTILE],
    "learn": ["", "class", "class nowhere", "class " + LONG, "check " + HOSTILE, "start --x",
              "hint 9", "museum " + HOSTILE, "museum mask --show --my nowhere",
              "predict 2 --my nowhere", "check --my nowhere", "predict --x", "solution --x",
              "watch --x"],
}  # fmt: skip


def call(tool, *words, cwd):
    """What a tool says, in a child, as it would on a terminal."""
    folders = {"learn": "learn", "explore": "explorer"}
    path = TOOLS / folders.get(tool, f"{tool}.py")
    command = [sys.executable, path, *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=cwd, timeout=60)


TAKES_SECONDS = ("explore", "learn", "readme")  # many mistakes, and seconds for each
QUICK = [tool for tool in FLAGS if tool not in TAKES_SECONDS]
SLOW = [pytest.param(tool, marks=pytest.mark.slow) for tool in TAKES_SECONDS]


@pytest.mark.parametrize("tool", [*QUICK, *SLOW])
def test_a_mistake_costs_one_line_and_makes_no_folder(tool, tmp_path):
    for text in [*FLAGS[tool], "--banana"]:
        words = [text] if HOSTILE in text and " " not in text else text.split(" ")
        done = call(tool, *filter(None, words), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), text
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, text
        assert not set("\x1b\r") & set(done.stderr), text
        assert done.stderr.startswith((f"{tool}: ", "make ", "check: ", "class: ", "learn: ",
                                       "hint: ", "museum: ")), text  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ended(capsys):
    """ended(main) -> (status, stderr) of run_tool."""

    def ended(main):
        with pytest.raises(SystemExit) as end:
            command_line.run_tool("tool", main)
        return end.value.code, capsys.readouterr().err

    return ended


def raising(error):
    def main():
        raise error

    return main


def test_what_the_system_refuses_costs_one_line(ended, tmp_path):
    status, err = ended(lambda: (tmp_path / LONG).read_text(encoding="utf-8"))
    assert status == 2 and err.count("\n") == 1 and "name too long" in err and LONG in err
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert ended(raising(full)) == (2, "tool: error: output: No space left on device; "
                                       "give another path\n")  # fmt: skip
    refused = PermissionError(errno.EACCES, "Permission denied", "a\x1b\nb")
    assert ended(raising(refused))[1].startswith(r"tool: error: a\x1b\nb: Permission denied")


def test_a_syntax_error_is_named_with_its_line(ended):
    status, err = ended(lambda: compile("x = 1\ny = = 2\n", "my/main.py", "exec"))
    assert (status, err) == (2, "tool: error: my/main.py, line 2: invalid syntax; mend that line\n")


def test_the_status_of_a_tool_is_passed_on(ended):
    assert ended(lambda: 0) == (0, "") and ended(lambda: 1) == (1, "")
    assert ended(raising(KeyboardInterrupt)) == (130, "")


@pytest.mark.skipif(os.name == "nt", reason="head and its pipe are of POSIX")
def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path):
    for stage in ("02_bigram_counts", "04_embedding_mlp"):
        result = json.loads((ROOT / "results" / stage / "result.json").read_text(encoding="utf-8"))
        for number in range(300):  # more than a pipe holds
            (tmp_path / stage / str(number)).mkdir(parents=True)
            path = tmp_path / stage / str(number) / "result.json"
            path.write_text(json.dumps(result), encoding="utf-8")
    command = f'"{sys.executable}" "{TOOLS / "table.py"}" --from "{tmp_path}" | head -n 1'
    done = subprocess.run(command, shell=True, capture_output=True, encoding="utf-8", timeout=60)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_no_tool_has_a_parser_of_its_own():
    for path in TOOLS.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path.name != "command_line.py":
            assert "argparse.ArgumentParser(" not in source, path


def test_a_broken_stage_costs_one_line(tmp_path):
    """A mistake in a learner's copy of the project."""
    for name in ("tools", "data", "02_bigram_counts", "03_bigram_learned"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    main = tmp_path / "03_bigram_learned" / "main.py"
    shutil.copytree(ROOT / "results" / "03_bigram_learned", tmp_path / "out" / "03_bigram_learned")
    (tmp_path / "out" / "03_bigram_learned" / "model.pt").write_bytes(b"never read")
    for mistake, said in (
        ("x = = 1", "main.py, line 1: invalid syntax"),
        ("undefined", "NameError: name 'undefined' is not defined"),
    ):
        main.write_text(mistake, encoding="utf-8")
        done = subprocess.run([sys.executable, Path("tools", "score.py"), "emma"], cwd=tmp_path,
                              capture_output=True, encoding="utf-8", timeout=60)  # fmt: skip
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr
