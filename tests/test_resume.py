"""Checkpoints and --resume: a run that ended at any moment ends like one that never did."""

import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from stages import ROOT, STAGES, load_stage

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[::50]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
PROGRAMS = {
    "01_micrograd/main": ["--steps=20", "--points=20", "--n-hidden=4"],
    "03_bigram_learned/main": ["--steps=24"],
    "04_embedding_mlp/main": ["--steps=24", "--batch-size=64", "--n-hidden=32"],
    "05_microgpt/main": ["--steps=24", "--n-embd=8"],
    "05_microgpt/torch_twin": ["--steps=24", "--batch-size=32", "--dropout=0.1"],
    "06_shakespeare_gpt/main": [
        "--steps=24", "--batch-size=8", "--block-size=24", "--n-embd=32", "--n-layer=2",
        "--dropout=0.1", "--eval-every=16", "--device=cpu",
    ],
}  # fmt: skip
EXTRAS = {
    "extras/batchnorm": ["--steps=24", "--batch-size=64", "--n-hidden=32"],
    "extras/wavenet": ["--steps=24", "--batch-size=64", "--n-hidden=32"],
    "extras/shakespeare_bigram": ["--steps=24"],
    "extras/byte_pair_gpt": [*PROGRAMS["06_shakespeare_gpt/main"], "--vocab-size=40"],
}
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
posix = pytest.mark.skipif(os.name == "nt", reason="kills another process as POSIX does")
OF_TEXT = ("06_shakespeare_gpt/main", "extras/shakespeare_bigram", "extras/byte_pair_gpt")
each_program = pytest.mark.parametrize("program", PROGRAMS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """data(program) -> the flag for a small file; stage 01 makes its own."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (folder / "text.txt").write_text(SPEECH * 60, encoding="utf-8")

    def data(program):
        if program.startswith("01"):
            return []
        return [f"--data={folder / ('text.txt' if program in OF_TEXT else 'names.txt')}"]

    return data


@pytest.fixture
def run(monkeypatch, capsys):
    """run(program, *flags, at=(), seconds=0) -> (status, stdout, stderr), in this process.

    at: the steps after which to press Ctrl-C. seconds: of training between two checkpoints.
    """
    handlers = {number: signal.getsignal(number) for number in STOPPING}

    def run(program, *flags, at=(), seconds=0.0):
        stage, module = program.split("/")
        if stage == "extras":
            main = importlib.import_module(module)
            common = main.common
        else:
            main, common = load_stage(stage, module), load_stage(stage, "common")
        after_step = common.Log.after_step

        def press(log):
            after_step(log)
            if log.done in at:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [f"{module}.py", *map(str, flags)])
            patch.setattr(common.Log, "after_step", press)
            patch.setattr(common, "CHECKPOINT_SECONDS", seconds)
            patch.setattr(os, "fsync", lambda _: None)  # it takes most of the time
            with pytest.raises(SystemExit) as ended:
                common.run(main.main)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for stage in STAGES:
        stop = load_stage(stage, "common").stop
        stop.count, stop.training_began = 0, False


def result(out):
    """All of a result but what differs between two equal runs."""
    content = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert content.pop("seconds") >= 0
    return content


def plain(content):
    """The content of a model's file with lists in place of tensors."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [plain(value) for value in content]
    return content.tolist() if isinstance(content, torch.Tensor) else content


def model(out):
    """All of the model's file."""
    if (out / "model.json").exists():
        return json.loads((out / "model.json").read_text(encoding="utf-8"))
    return plain(torch.load(out / "model.pt", weights_only=True))


def checkpoints(out):
    return sorted(path.name for path in out.glob("checkpoint*"))


def stopped_run(run, program, flags, out, at=7):
    """Stop a run after a step; its checkpoint is of that step. Returns the checkpoint's path."""
    status, printed, _ = run(program, *flags, f"--out={out}", at=[at])
    assert status == 130 and "add --resume to the same command" in printed
    (path,) = out.glob("checkpoint.*")
    return path


# ---- stopped and resumed ---------------------------------------------------------------------
@pytest.mark.parametrize("program", [*PROGRAMS, *EXTRAS])
def test_a_stopped_run_ends_like_one_never_stopped(program, run, data, tmp_path):
    """Stopped three times: early, at a look, and at the last step."""
    flags = [*(PROGRAMS | EXTRAS)[program], *data(program)]
    steps, look = (20, 10) if program.startswith("01") else (24, 16)
    assert run(program, *flags, f"--out={tmp_path / 'whole'}", seconds=1000)[0] == 0
    out, resume = tmp_path / "o", []
    for at in (5, look, steps):
        assert run(program, *flags, f"--out={out}", *resume, at=[at])[0] == 130
        stopped = result(out)
        assert stopped["interrupted"] and stopped["steps"] == at
        resume = ["--resume"]
    status, printed, err = run(program, *flags, f"--out={out}", *resume)
    assert (status, err) == (0, "")
    assert f"going on after step {steps} of {steps}" in printed
    assert result(out) == result(tmp_path / "whole")
    assert model(out) == model(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in out.iterdir()} == names


@each_program
def test_a_short_run_keeps_no_checkpoint(program, run, data, tmp_path):
    flags = [*PROGRAMS[program], *data(program), f"--out={tmp_path}"]
    status, printed, _ = run(program, *flags, at=[5], seconds=1000)
    assert status == 130 and "--resume" not in printed
    assert checkpoints(tmp_path) == []


def test_the_state_of_the_random_numbers_is_taken_up(run, data, tmp_path, monkeypatch):
    """Without it, the batches would differ."""
    program = "04_embedding_mlp/main"
    flags, common = [*PROGRAMS[program], *data(program)], load_stage("04_embedding_mlp", "common")
    assert run(program, *flags, f"--out={tmp_path / 'whole'}")[0] == 0
    stopped_run(run, program, flags, tmp_path / "o")
    monkeypatch.setattr(common, "random_sources", dict)
    assert run(program, *flags, f"--out={tmp_path / 'o'}", "--resume")[0] == 0
    assert result(tmp_path / "o")["loss"] != result(tmp_path / "whole")["loss"]


# ---- checkpoints that cannot be used ---------------------------------------------------------
@each_program
def test_without_a_checkpoint_there_is_nothing_to_resume(program, run, data, tmp_path):
    flags = [*PROGRAMS[program], *data(program), f"--out={tmp_path / 'o'}", "--resume"]
    status, _, err = run(program, *flags)
    assert status == 2 and err.count("\n") == 1
    assert "has no checkpoint" in err and "Leave out --resume to start over" in err


@each_program
def test_a_checkpoint_of_other_settings_is_refused(program, run, data, tmp_path):
    flags = [*PROGRAMS[program], *data(program)]
    stopped_run(run, program, flags, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    more = [f"--out={tmp_path}", "--resume", "--seed=7", "--learning-rate=0.125"]
    status, _, err = run(program, *flags, *more)
    assert status == 2 and err.count("\n") == 1
    assert ", not 7; --learning-rate " in err and ", not 0.125; give what it was" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_checkpoint_of_other_data_is_refused(run, data, tmp_path):
    program = "05_microgpt/main"
    stopped_run(run, program, [*PROGRAMS[program], *data(program)], tmp_path / "o")
    (tmp_path / "names.txt").write_text("\n".join(NAMES[:-1]), encoding="utf-8")
    flags = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'o'}", "--resume"]
    status, _, err = run(program, *PROGRAMS[program], *flags)
    assert status == 2 and "is of a run on other data" in err and err.count("\n") == 1


def test_a_checkpoint_of_another_version_is_refused(run, data, tmp_path, monkeypatch):
    program = "03_bigram_learned/main"
    flags = [*PROGRAMS[program], *data(program)]
    stopped_run(run, program, flags, tmp_path)
    monkeypatch.setattr(load_stage("03_bigram_learned", "common"), "CHECKPOINT_VERSION", 99)
    status, _, err = run(program, *flags, f"--out={tmp_path}", "--resume")
    assert status == 2 and "is of version 1, but this is 99" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "program, damage",
    [
        *(("05_microgpt/main", damage) for damage in ("cut", "empty", "gone", "other")),
        *(("03_bigram_learned/main", damage) for damage in ("cut", "empty", "other")),
    ],
)
def test_a_broken_checkpoint_gives_way_to_the_one_before(program, damage, run, data, tmp_path):
    flags, out = [*PROGRAMS[program], *data(program)], tmp_path / "o"
    assert run(program, *flags, f"--out={tmp_path / 'whole'}")[0] == 0
    path = stopped_run(run, program, flags, out, at=20)
    before = f"checkpoint-before{path.suffix}"
    if damage == "gone":
        path.unlink()
    elif damage == "other":
        path.write_text("[1, 2]", encoding="utf-8")
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    status, printed, err = run(program, *flags, f"--out={out}", "--resume")
    assert status == 0 and "going on after step 20 of 24" in printed
    assert err == ("" if damage == "gone" else f"{path} is broken, so {before} is used\n")
    assert result(out) == result(tmp_path / "whole")
    stopped_run(run, program, flags, tmp_path / "both", at=20)
    for path in (tmp_path / "both").glob("checkpoint*"):
        path.write_bytes(b"")
    status, _, err = run(program, *flags, f"--out={tmp_path / 'both'}", "--resume")
    assert status == 2 and "has no complete checkpoint" in err and err.count("\n") == 1


def test_a_checkpoint_that_does_not_fit_is_one_line(run, data, tmp_path):
    program = "04_embedding_mlp/main"
    flags = [*PROGRAMS[program], *data(program)]
    path = stopped_run(run, program, flags, tmp_path)
    saved = torch.load(path, weights_only=True)
    for state in ([], [saved["state"][0][:-1], {}], {"a": 1}, None):
        torch.save({**saved, "state": state}, path)
        status, _, err = run(program, *flags, f"--out={tmp_path}", "--resume")
        assert status == 2 and "does not fit this program" in err and err.count("\n") == 1


def test_a_run_beside_a_checkpoint_says_so_and_deletes_it_at_its_end(run, data, tmp_path):
    program = "05_microgpt/main"
    flags = [*PROGRAMS[program], *data(program)]
    path = stopped_run(run, program, flags, tmp_path)
    content = path.read_bytes()
    status, _, err = run(program, *flags, f"--out={tmp_path}", at=[3], seconds=1000)
    assert status == 130 and f"{path} is from a run that did not end" in err
    assert path.read_bytes() == content  # ten seconds of training would replace it
    status, _, err = run(program, *flags, f"--out={tmp_path}")
    assert status == 0 and checkpoints(tmp_path) == []


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    run, data, tmp_path, monkeypatch
):
    program = "05_microgpt/main"
    flags, common = [*PROGRAMS[program], *data(program)], load_stage("05_microgpt", "common")
    write_files = common.write_files

    def disk_full(folder, files):
        if any(name.startswith("checkpoint") for name in files):
            raise OSError(28, "No space left on device")
        write_files(folder, files)

    monkeypatch.setattr(common, "write_files", disk_full)
    status, _, err = run(program, *flags, f"--out={tmp_path}", seconds=0)
    line = f"no checkpoint was written to {tmp_path}: No space left on device; "
    assert status == 0 and line in err
    assert result(tmp_path)["steps"] == 24


def test_after_a_full_disk_the_run_can_be_resumed(run, data, tmp_path, monkeypatch):
    program = "05_microgpt/main"
    flags, common = [*PROGRAMS[program], *data(program)], load_stage("05_microgpt", "common")
    assert run(program, *flags, f"--out={tmp_path / 'whole'}")[0] == 0
    write_files = common.write_files

    def disk_full(folder, files):
        if "result.json" in files:
            raise OSError(28, "No space left on device")
        write_files(folder, files)

    out = tmp_path / "o"
    monkeypatch.setattr(common, "write_files", disk_full)
    status, _, err = run(program, *flags, f"--out={out}")
    how = "No space left on device; make room, and add --resume to the same command\n"
    assert status == 1 and err == f"main.py: error: --out {out}: {how}"
    monkeypatch.undo()
    status, printed, _ = run(program, *flags, f"--out={out}", "--resume")
    assert status == 0 and "going on after step 24 of 24" in printed
    assert result(out) == result(tmp_path / "whole") and model(out) == model(tmp_path / "whole")


# ---- a training that diverges ----------------------------------------------------------------
@each_program
def test_a_loss_that_is_not_finite_ends_the_training_with_the_best_weights(
    program, run, data, tmp_path, monkeypatch
):
    """The loss is not a number from step 15 on, so the best look was one before it."""
    flags = [*PROGRAMS[program], *data(program)]
    common = load_stage(program.split("/")[0], "common")
    add = common.Log.add

    def break_at_15(log, loss, *more):
        add(log, loss * float("nan") if log.done >= 14 else loss, *more)

    monkeypatch.setattr(common.Log, "add", break_at_15)
    status, printed, err = run(program, *flags, f"--out={tmp_path / 'o'}")
    found = result(tmp_path / "o")
    best = found["steps"]
    assert status == 1 and found["interrupted"] and checkpoints(tmp_path / "o") == []
    seen = 16 if program.startswith("06") else 15  # 06 looks at its losses every 16 steps
    line = f"the loss was infinite or not a number after step {seen}, so this is the model after"
    assert err.count("\n") == 1 and f"{line} step {best}; a lower --learning-rate may help" in err
    assert best <= 14 and found["curve"][-1][0] == best
    if program.startswith("06"):
        assert best == 0
    monkeypatch.undo()
    stopped = [*flags, f"--out={tmp_path / 'stopped'}"]
    if best:
        assert run(program, *stopped, at=[best])[0] == 130
        assert model(tmp_path / "o") == model(tmp_path / "stopped")


def test_weights_that_overflow_lose_no_result(run, data, tmp_path):
    program = "05_microgpt/torch_twin"
    flags = ["--learning-rate=10", "--weight-decay=10", f"--out={tmp_path}"]
    status, _, err = run(program, *PROGRAMS[program], *data(program), *flags)
    assert status == 1 and "a lower --learning-rate may help" in err
    assert result(tmp_path)["loss"]["test"] == pytest.approx(3.4, abs=0.2)  # it has learned nothing


# ---- killed and resumed ----------------------------------------------------------------------
# Runs a program that writes a checkpoint after every 0.1 seconds of training.
OFTEN = """
import runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
import common
common.CHECKPOINT_SECONDS = 0.1
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(program, flags, out):
    command = [sys.executable, "-c", OFTEN, str(ROOT / f"{program}.py"), f"--out={out}", *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def kill_at_random(program, flags, out, dice, longest):
    """Start a program, and kill it up to `longest` seconds after its training began or went on.

    Returns its status.
    """
    child = start(program, flags, out)
    if "--resume" in flags:
        assert any("going on after step" in line for line in child.stdout)
    else:
        while not checkpoints(out) and child.poll() is None:
            time.sleep(0.01)
    killer = threading.Timer(dice.uniform(0, longest), child.kill)
    killer.start()
    _, err = child.communicate(timeout=120)
    killer.cancel()
    assert "Traceback" not in err, err
    return child.returncode


def kill_and_resume(program, flags, tmp_path, kills, longest):
    """Kill a program this often, go on each time, and compare its end with that of a whole run.

    Returns how often it was killed with a checkpoint.
    """
    whole, out, dice, resumed = tmp_path / "whole", tmp_path / "o", random.Random(1), 0
    assert start(program, flags, whole).wait(timeout=120) == 0
    for _ in range(kills):
        resume = ["--resume"] if checkpoints(out) else []
        if kill_at_random(program, [*flags, *resume], out, dice, longest) == 0:
            assert result(out) == result(whole)
            shutil.rmtree(out)  # begin again
        resumed += bool(checkpoints(out))
    resume = ["--resume"] if checkpoints(out) else []
    child = start(program, [*flags, *resume], out)
    printed, err = child.communicate(timeout=120)
    assert child.returncode == 0 and "broken" not in err, err  # a slow run says how long it takes
    assert ("going on after step" in printed) == bool(resume)
    assert result(out) == result(whole) and model(out) == model(whole)
    names = {path.name for path in whole.iterdir()}
    assert {path.name for path in out.iterdir()} == names
    return resumed


@posix
def test_a_run_killed_twice_ends_like_a_whole_one(data, tmp_path):
    program = "05_microgpt/main"
    flags = ["--steps=200", "--n-embd=8", *data(program)]
    kill_and_resume(program, flags, tmp_path, 2, 0.8)


@posix
@pytest.mark.slow
@each_program
def test_a_run_killed_at_twenty_moments_ends_like_a_whole_one(program, data, tmp_path):
    steps = {"03": 3000, "04": 3000, "06": 600}.get(program[:2], 500)
    flags = [*PROGRAMS[program], f"--steps={steps}", *data(program)]
    resumed = kill_and_resume(program, flags, tmp_path, 20, 1.0)
    assert resumed >= 5
