"""Series of runs: which ones are kept, what a stop leaves, how they are compared."""

import json
import math
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

import compare_runs
from stages import load_stage

STAGE = "05_microgpt"
common = load_stage(STAGE, "common")

VALS = {
    ("base", 1): 2.0, ("base", 2): 2.2, ("worse", 1): 2.1, ("worse", 2): 2.5,
    ("better", 1): 1.9, ("better", 2): 2.1, ("broken", 1): math.nan, ("broken", 2): 3.0,
}  # fmt: skip
REFERENCES = dict.fromkeys(["base", "worse", "better", "broken"], "base")


@pytest.fixture(autouse=True)
def no_stop():
    yield
    common.stop.count, common.stop.training_began = 0, False


def log(stopped=False):
    return SimpleNamespace(done=3, seconds=1.0, stopped=stopped)


def jobs_of(vals):
    return {job: {"what": f"about {job[0]}", "x": 1} for job in vals}


def train_from(vals, trained):
    def train(entry, seed):
        trained.append((entry, seed))
        return {"params": 5, "val": vals[entry, seed], "curve": [[0, None, math.inf]]}, log()

    return train


def run_all(*arguments, **options):
    compare_runs.run_all(STAGE, *arguments, **options)


def test_the_table_by_hand(tmp_path, capsys):
    jobs = jobs_of(VALS)
    run_all(jobs, tmp_path, train_from(VALS, []))
    assert common.stop.count == 0
    rows = compare_runs.compare(jobs, tmp_path, REFERENCES)
    rows = {row["entry"]: row for row in compare_runs.by_difference(rows)}
    assert list(rows) == ["better", "base", "worse", "broken"]
    assert rows["worse"]["val"] == pytest.approx({"mean": 2.3, "sd": 0.4 / math.sqrt(2)})
    assert rows["worse"]["difference"] == pytest.approx({"mean": 0.2, "sd": 0.2 / math.sqrt(2)})
    # Each seed is 0.1 better, though the seeds themselves differ by more.
    assert rows["better"]["difference"] == pytest.approx({"mean": -0.1, "sd": 0.0})
    assert rows["broken"]["diverged"] == 1 and rows["broken"]["val"] == {"mean": 3.0, "sd": None}
    assert rows["broken"]["difference"] == pytest.approx({"mean": 0.8, "sd": None})
    compare_runs.report(STAGE, list(rows.values()), tmp_path, "title", "base")
    out = capsys.readouterr().out
    assert "2.3000 ± 0.2828" in out and "+0.2000 ± 0.1414" in out
    assert "3.0000 1 of 2 diverged" in out and "-0.1000 ± 0.0000" in out
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert table["rows"] == list(rows.values())
    assert [table[k] for k in ("schema", "stage", "unit")] == [1, STAGE, "nats/char"]


def test_an_entry_whose_runs_all_diverged_comes_last(tmp_path, capsys):
    vals = {("base", 1): 2.0, ("broken", 1): math.inf, ("worse", 1): 9.0}
    jobs = jobs_of(vals)
    run_all(jobs, tmp_path, train_from(vals, []))
    rows = compare_runs.by_difference(compare_runs.compare(jobs, tmp_path, REFERENCES))
    assert [row["entry"] for row in rows] == ["base", "worse", "broken"]
    compare_runs.report(STAGE, rows, tmp_path, "title", "base")
    assert "1 of 1 diverged" in capsys.readouterr().out


def test_a_run_is_written_with_null_for_what_is_not_a_number(tmp_path):
    run_all({("broken", 1): {"what": "x"}}, tmp_path, train_from(VALS, []))
    text = (tmp_path / "broken-1.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "schema": 1, "stage": STAGE, "entry": "broken", "seed": 1, "unit": "nats/char",
        "params": 5, "val": None, "curve": [[0, None, None]], "steps": 3, "seconds": 1.0,
        "about": {"what": "x"},
    }  # fmt: skip
    assert "NaN" not in text and "Infinity" not in text


def test_a_kept_run_is_not_repeated_unless_asked_or_described_otherwise(tmp_path, capsys):
    jobs, trained = jobs_of(VALS), []
    train = train_from(VALS, trained)
    run_all(dict(list(jobs.items())[:3]), tmp_path, train)
    trained.clear()
    run_all(jobs, tmp_path, train)
    assert trained == list(VALS)[3:]
    assert "3 of 8 runs are kept" in capsys.readouterr().out
    (tmp_path / "base-2.json").write_text("{ half", encoding="utf-8")
    jobs["worse", 1] = {"what": "about worse", "x": 2}
    trained.clear()
    run_all(jobs, tmp_path, train)
    assert trained == [("base", 2), ("worse", 1)]
    trained.clear()
    run_all(jobs, tmp_path, train)
    assert trained == []
    run_all(jobs, tmp_path, train, again=True)
    assert trained == list(VALS)


def stop():
    """What common.run() does when a signal comes."""
    common.stop(signal.SIGINT, None)


@pytest.mark.parametrize("how", ["in the steps", "in the evaluation after them"])
def test_ctrl_c_keeps_the_finished_runs_and_not_the_one_it_ended(how, tmp_path, capsys):
    jobs = jobs_of(VALS)

    def train(entry, seed):
        steps = common.Steps(5, "the training")
        for i in steps:
            if (entry, seed, i) == ("worse", 1, 2) and how == "in the steps":
                stop()
        if (entry, seed) == ("worse", 1) and how != "in the steps":
            stop()
        return {"params": 5, "val": None if steps.stopped else 2.0, "curve": []}, steps

    run_all(jobs, tmp_path, train)
    assert common.stop.count == 1  # from which common.run() makes the status 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base-1.json", "base-2.json"]
    assert "stopped; finished runs are kept" in capsys.readouterr().out


def test_ctrl_c_between_two_runs_ends_the_series(tmp_path, capsys):
    """It comes before the steps of a run begin. The steps do not notice, so the run is whole."""
    jobs, trained = jobs_of(VALS), []

    def train(entry, seed):
        if (entry, seed) == ("base", 2):
            stop()
        return train_from(VALS, trained)(entry, seed)

    run_all(jobs, tmp_path, train)
    assert trained == [("base", 1), ("base", 2)] and common.stop.count == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base-1.json", "base-2.json"]
    assert "stopped; finished runs are kept" in capsys.readouterr().out


def test_a_stop_still_reports_the_runs_before_it_and_gives_status_130(tmp_path, monkeypatch):
    jobs = jobs_of({("base", 1): 2.0, ("worse", 1): 2.1})

    def train(entry, seed):
        if entry == "worse":
            signal.raise_signal(signal.SIGINT)
            return {}, log(stopped=True)
        return train_from(VALS, [])(entry, seed)

    def main():
        run_all(jobs, tmp_path, train)
        rows = compare_runs.compare(jobs, tmp_path, REFERENCES)
        compare_runs.report(STAGE, rows, tmp_path, "title", "base")

    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)}
    handlers = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(sys, "argv", ["x.py"])
    with pytest.raises(SystemExit) as ended:
        common.run(main)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert ended.value.code == 130
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert [row["entry"] for row in table["rows"]] == ["base"]


def test_a_run_prints_one_line_and_shows_the_time_left(tmp_path, capsys):
    def train(entry, seed):
        print("step 1")
        print("the training will take another 0:01:00", file=sys.stderr)
        return {"params": 5, "val": 2.0, "curve": []}, log()

    run_all({("base", 1): {"what": "x"}}, tmp_path, train)
    printed = capsys.readouterr()
    assert printed.out == "run 1 of 1: base, seed 1: val loss 2.0000, 1.0 s\n"
    assert printed.err == "the training will take another 0:01:00\n"


def test_only_takes_the_baseline_with_it_and_names_what_it_does_not_know():
    entries = {name: None for name in ("baseline", "layernorm", "gelu", "no-mlp")}
    assert compare_runs.choose(STAGE, "gelu, no-mlp", entries) == ["baseline", "gelu", "no-mlp"]
    assert compare_runs.choose(STAGE, "no-mlp,baseline", entries) == ["baseline", "no-mlp"]
    assert compare_runs.choose(STAGE, "", entries) == list(entries)
    with pytest.raises(common.BadInput, match="--only: there is no selu; choose .*, gelu"):
        compare_runs.choose(STAGE, "selu", entries)


@dataclass(frozen=True)
class Config:
    data: Path
    steps: int = 7
    out: Path = Path("o")


def test_a_description_holds_the_settings_and_the_hash_of_the_bytes_that_were_read(tmp_path):
    common.read_hashes.update({tmp_path / "a.txt": "aa", tmp_path / "b.txt": "bb"})
    about = compare_runs.describe(STAGE, "in a line", Config(tmp_path / "a.txt"))
    assert about == {"what": "in a line", "sha256": "aa", "steps": 7}
    assert compare_runs.describe(STAGE, "", Config(tmp_path))["sha256"] == "aabb"  # a folder
