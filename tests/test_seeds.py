"""Runs with several seeds, in a project whose stages are made up."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import seeds
import stages
from table_rows import read_results

ROOT = Path(__file__).resolve().parent.parent  # of this project, not of a made-up one

STAGE = '''"""A made-up stage."""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    seed: int = 7


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with open(Path(__file__).with_name("log.txt"), "a") as log:
        log.write(f"{args.seed}\\n")
    status = 0
    if args.seed == SLOW:
        try:
            time.sleep(30)
        except KeyboardInterrupt:
            status = 130
    result = {
        "stage": "NAME", "idea": "none", "unit": "nats/char", "params": 1, "chars_seen": 1,
        "dataset": {"name": "names", "sha256": "aa"}, "targets": {"val": 1}, "seconds": 0.1,
        "loss": {"val": args.seed / 10}, "config": {"seed": args.seed}, "interrupted": status != 0,
        "variant": VARIANT,
    }
    if args.seed == BROKEN:
        sys.exit("no such thing")
    (args.out / "result.json").write_text(json.dumps(result), encoding="utf-8")
    sys.exit(status)


if __name__ == "__main__":
    main()
'''


def write_stage(project, name, slow=None, broken=None, file="main.py", variant=None):
    text = STAGE.replace("NAME", name).replace("SLOW", str(slow)).replace("BROKEN", str(broken))
    (project / name).mkdir(exist_ok=True)
    text = text.replace("VARIANT", repr(variant))
    (project / name / file).write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for name in ("04_fourth", "06_sixth"):
        write_stage(tmp_path, name)
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    monkeypatch.setattr(stages, "STAGES", ("04_fourth", "06_sixth"))
    monkeypatch.setattr(stages, "loaded", {})
    return tmp_path


def ran(project, stage="04_fourth"):
    """The seeds with which the stage was started since the last look."""
    log = project / stage / "log.txt"
    words = log.read_text(encoding="utf-8").split() if log.exists() else []
    log.unlink(missing_ok=True)
    return [int(word) for word in words]


def test_the_default_seed_and_the_next_ones(project, capsys):
    assert seeds.main(["--seeds", "2"]) == 0
    assert (ran(project), ran(project, "06_sixth")) == ([7, 8], [])
    result = project / "out" / "04_fourth" / "seeds" / "8" / "result.json"
    assert json.loads(result.read_text(encoding="utf-8"))["config"]["seed"] == 8
    assert "04_fourth, seed 8: val 0.800 nats/char" in capsys.readouterr().out
    rows, problems = read_results(project / "out")
    assert [(row["val"], row["seeds"]) for row in rows] == [(pytest.approx(0.75), 2)]
    assert problems == []


def test_what_is_there_is_not_repeated(project, capsys):
    seeds.main(["--seeds", "2"])
    ran(project)
    assert seeds.main(["--seeds", "3"]) == 0
    assert ran(project) == [9]
    assert "1 runs to do, 2 are done already" in capsys.readouterr().out
    assert seeds.main(["--seeds", "3", "--again"]) == 0
    assert ran(project) == [7, 8, 9]


def test_other_code_repeats_every_seed_that_was_run(project):
    seeds.main(["--seeds", "2"])
    ran(project)
    (project / "04_fourth" / "README.md").write_text("A lesson.\n", encoding="utf-8")
    assert seeds.plan(["04_fourth"], 1, False) == ([], 2)
    (project / "04_fourth" / "model.py").write_text("pass\n", encoding="utf-8")
    assert seeds.main(["--seeds", "1"]) == 0
    assert ran(project) == [7, 8]


@pytest.mark.parametrize("changed", ["requirements.txt", "data/names.txt", "04_fourth/main.py"])
def test_the_code_is_the_stage_its_packages_and_the_names(project, changed):
    before = seeds.code_hash("04_fourth")
    (project / "data").mkdir()
    (project / changed).write_text("changed\n", encoding="utf-8")
    assert seeds.code_hash("04_fourth") != before


def test_a_twin_runs_after_main_with_the_same_seed(project):
    write_stage(project, "04_fourth", file="torch_twin.py", variant="twin")
    assert seeds.main(["--seeds", "2"]) == 0
    assert ran(project) == [7, 7, 8, 8]
    for seed in (7, 8):
        twin = project / "out" / "04_fourth" / "seeds" / str(seed) / "twin" / "result.json"
        assert json.loads(twin.read_text(encoding="utf-8"))["config"]["seed"] == seed
    rows, problems = read_results(project / "out")
    assert [(row["variant"], row["seeds"]) for row in rows] == [(None, 2), ("twin", 2)]
    assert problems == []


def test_a_run_whose_twin_failed_is_repeated(project):
    write_stage(project, "04_fourth", file="torch_twin.py", broken=7)
    assert seeds.main(["--seeds", "1"]) == 1
    assert ran(project) == [7, 7]
    assert seeds.plan(["04_fourth"], 1, False) == ([("04_fourth", 7)], 0)


def test_the_time_left_counts_the_twin(project):
    write_stage(project, "04_fourth", file="torch_twin.py")
    for place, seconds in ((".", 8), ("twin", 10), ("best", 100)):
        folder = project / "results" / "04_fourth" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    assert seeds.expected_seconds("04_fourth") == 8 + 10 + 2 * seeds.STARTING
    assert seeds.expected_seconds("06_sixth") == seeds.STARTING


def test_stage_06_only_on_demand(monkeypatch):
    names = ("01_a", "04_fourth", "05_b", "06_sixth")
    monkeypatch.setattr(stages, "STAGES", names)
    assert seeds.choose(None, False) == list(names[:3])
    assert seeds.choose(None, True) == list(names)
    assert seeds.choose("6,4", False) == ["04_fourth", "06_sixth"]
    assert seeds.choose("05, 01_a", False) == ["01_a", "05_b"]


def test_a_failure_is_told_and_not_kept(project, capsys):
    write_stage(project, "04_fourth", broken=8)
    assert seeds.main(["--seeds", "3"]) == 1
    out = capsys.readouterr().out
    assert "seed 8: ended with status 1" in out and "no such thing" in out
    assert ran(project) == [7, 8]
    assert seeds.plan(["04_fourth"], 3, False)[0] == [("04_fourth", 8), ("04_fourth", 9)]


@pytest.mark.skipif(os.name == "nt", reason="signals to a process group need POSIX")
def test_ctrl_c_keeps_what_is_done(project):
    write_stage(project, "04_fourth", slow=8)
    child = subprocess.Popen(
        [sys.executable, project / "tools" / "seeds.py", "--seeds", "3"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # a process group of its own, as a terminal gives it
    )
    log = project / "04_fourth" / "log.txt"
    for line in child.stdout:
        if "seed 7" in line:
            break
    while len(log.read_text(encoding="utf-8").split()) < 2:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130 and "finished runs are kept" in out
    assert seeds.plan(["04_fourth"], 3, False) == ([("04_fourth", 8), ("04_fourth", 9)], 1)


@pytest.mark.parametrize(
    ("flags", "named"), [(["--seeds=0"], "--seeds 0"), (["--stages=4,9"], "'9'")]
)
def test_bad_flags(project, capsys, flags, named):
    with pytest.raises(SystemExit) as ended:
        seeds.main(flags)
    assert ended.value.code == 2 and named in capsys.readouterr().err
    assert ran(project) == []


def test_the_default_seeds_of_the_stages():
    assert len(stages.STAGES) == 6
    assert [seeds.default_seed(stage) for stage in stages.STAGES] == [42] * 5 + [1337]
