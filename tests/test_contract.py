"""What holds for every stage: the run contract, bad input, Ctrl-C, and copies that stay copies."""

import ast
import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clocks import Clock
from stages import ROOT, STAGES, load_stage

NAMES_STAGES = STAGES[1:5]
# Flags that make a run of each stage take a second or less.
QUICK = {
    "01_micrograd": ["--steps=3", "--points=20", "--n-hidden=3"],
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=20", "--batch-size=64"],
    "04_embedding_mlp": ["--steps=20", "--batch-size=64", "--n-hidden=16"],
    "05_microgpt": ["--steps=20"],
    "06_shakespeare_gpt": ["--steps=20", "--batch-size=4", "--n-embd=16", "--n-layer=1"],
}
WITHOUT_TORCH = ("01_micrograd", "02_bigram_counts", "05_microgpt")
NAMES = "\n".join((ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:300])
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
POINTS = "\n".join(f"{math.sin(i)} {math.cos(i)} {1 if i % 2 else -1}" for i in range(70))
TEXT = dict.fromkeys(STAGES, NAMES) | {"01_micrograd": POINTS, "06_shakespeare_gpt": SPEECH * 60}


posix = pytest.mark.skipif(os.name == "nt", reason="signals and pipes as POSIX has them")
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@pytest.fixture
def run(monkeypatch, capsys):
    """run(stage, *flags) -> (status, stdout, stderr), here, as torch is slow to import."""

    handlers = {number: signal.getsignal(number) for number in STOPPING}

    def run(stage, *flags, module="main"):
        main, common = load_stage(stage, module), load_stage(stage, "common")
        monkeypatch.setattr(sys, "argv", ["main.py", *map(str, flags)])
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


@pytest.fixture
def data(tmp_path):
    """data(stage, content) -> path of a file with that content, the stage's usual one if None."""

    def data(stage, content=None):
        path = tmp_path / "data.txt"
        content = TEXT[stage] if content is None else content
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return data


def result(out):
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


# ---- the run contract ------------------------------------------------------------------------
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_writes_a_valid_result_and_its_model(stage, run, data, tmp_path):
    status, out, err = run(stage, *QUICK[stage], "--data", data(stage), "--out", tmp_path / "o")
    assert (status, err) == (0, "")
    r = result(tmp_path / "o")
    assert r["schema"] == 1 and r["stage"] == stage and r["idea"]
    assert r["unit"] == ("nats/point" if stage == "01_micrograd" else "nats/char")
    assert re.fullmatch("[0-9a-f]{64}", r["dataset"]["sha256"]) and r["dataset"]["name"] == "data"
    assert r["params"] > 0 and r["chars_seen"] > 0 and r["seconds"] >= 0 and not r["interrupted"]
    assert r["config"] and "out" not in r["config"] and "data" not in r["config"]
    assert r["environment"]["python"] == ".".join(map(str, sys.version_info[:3]))
    splits = ["train", "val"] if stage == "06_shakespeare_gpt" else ["train", "val", "test"]
    for split in splits:
        assert math.isfinite(r["loss"][split]) and r["targets"][split] > 0
        assert f"{split} {r['loss'][split]:.4f}" in out
    assert r["curve"] and all(len(row) == 3 and row[0] <= r["steps"] for row in r["curve"])
    keeps_weights = stage not in ("01_micrograd", "06_shakespeare_gpt")
    last = min(r["steps"] - 1, 100)
    kept = [step for step in (0, 1, 3, 10, 30, 100) if step <= last]
    assert r["kept_steps"] == (kept if keeps_weights else [])
    if stage != "02_bigram_counts":
        assert r["steps"] == int(QUICK[stage][0].split("=")[1])
    model = "model.json" if stage in WITHOUT_TORCH else "model.pt"
    made = {"result.json", model} | ({"moons.txt"} if r["dataset"]["name"] == "moons" else set())
    assert {path.name for path in (tmp_path / "o").iterdir()} == made


@pytest.mark.parametrize("stage", STAGES[1:4])  # 05 has a test of its own
def test_the_weights_on_the_way_are_those_of_the_curve(stage, run, data, tmp_path):
    main, path, out = load_stage(stage), data(stage), tmp_path / "o"
    flags = [] if stage == "02_bigram_counts" else ["--steps=100", "--batch-size=64"]
    assert run(stage, *flags, "--data", path, "--out", out)[0] == 0
    val_docs = load_stage(stage, "names").load_splits(path)["val"]

    def val_loss(step):
        model, total, targets = main.load(out, step), 0.0, 0
        for doc in val_docs:
            tokens = model.tokenizer.encode(doc)[1:]
            total -= sum(row[y] for row, y in zip(main.log_probs(model, doc), tokens, strict=True))
            targets += len(tokens)
        return total / targets

    curve = {step: val for step, _, val in result(out)["curve"]}
    kept = result(out)["kept_steps"]
    both = [step for step in kept if step in curve]
    assert both == ([0, 1, 10, 100] if stage == "02_bigram_counts" else [0, 10, 30])
    assert [val_loss(step) for step in both] == pytest.approx([curve[step] for step in both])
    assert val_loss(None) == pytest.approx(result(out)["loss"]["val"])
    with pytest.raises(KeyError):
        main.load(out, 7)


@pytest.mark.parametrize("stage", STAGES)
def test_two_runs_with_one_seed_agree_and_another_seed_differs(stage, run, data, tmp_path):
    results = []
    for seed in (1, 1, 2):
        flags = [*QUICK[stage], "--data", data(stage), "--seed", seed, "--out", tmp_path / "o"]
        assert run(stage, *flags)[0] == 0
        r = result(tmp_path / "o")
        results.append((r["loss"], r["curve"], r["samples"]))
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize("stage", STAGES[1:])
def test_untrained_models_guess_evenly(stage, run, data, tmp_path):
    flags = [*QUICK[stage], "--data", data(stage), "--steps", 0, "--out", tmp_path / "o"]
    assert run(stage, *flags)[0] == 0
    r = result(tmp_path / "o")
    assert r["steps"] == 0
    assert r["loss"]["val"] == pytest.approx(math.log(r["vocab_size"]), abs=0.1)


@pytest.mark.parametrize("stage", STAGES[1:4])  # 05 has the same code and evaluates for longer
def test_every_names_stage_splits_the_names_alike(stage, run, tmp_path):
    flags = QUICK[stage] if stage == "02_bigram_counts" else [*QUICK[stage], "--steps=0"]
    assert run(stage, *flags, "--out", tmp_path / "o")[0] == 0
    r = result(tmp_path / "o")
    assert r["dataset"]["docs"] == {"train": 23871, "val": 2938, "test": 2884}
    assert r["targets"] == {"train": 171080, "val": 21024, "test": 20718}


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_with_the_splits_is_used_as_it_is(stage, run, tmp_path):
    lines = TEXT[stage].split("\n")
    for i, split in enumerate(("train", "val", "test")):
        part = "\n".join(lines[i * 20 : i * 20 + 20 + i])
        (tmp_path / f"{split}.txt").write_text(part, encoding="utf-8")
    flags = ["--block-size=8"] if stage == "06_shakespeare_gpt" else []
    assert run(stage, *QUICK[stage], *flags, "--data", tmp_path, "--out", tmp_path / "o")[0] == 0
    r = result(tmp_path / "o")
    if stage == "06_shakespeare_gpt":
        val = (tmp_path / "val.txt").read_text(encoding="utf-8")
        assert r["targets"]["val"] == len(val) - 1
    else:
        assert r["dataset"]["docs"] == {"train": 20, "val": 21, "test": 22}


@pytest.mark.parametrize("stage", STAGES)
def test_help_works_from_any_folder_and_names_every_flag(stage, tmp_path):
    command = [sys.executable, ROOT / stage / "main.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and done.stderr == ""
    for flag in ("--data", "--seed", "--steps", "--out"):
        assert flag in done.stdout
    for line in re.findall(r"^  --.*\n(?: {10,}.*\n)?", done.stdout, re.M):
        assert "default:" in line.replace("\n", " "), line


@pytest.mark.parametrize("stage", STAGES)
def test_underscores_in_flags_are_dashes(stage, run, data, tmp_path):
    flags = [flag.replace("-", "_").replace("__", "--", 1) for flag in QUICK[stage]]
    status, _, err = run(stage, *flags, "--data", data(stage), "--out", tmp_path / "o")
    assert (status, err) == (0, "")


def test_a_preset_sets_flags_and_flags_beside_it_win(run, data, tmp_path):
    stage = "06_shakespeare_gpt"
    flags = ["--data", data(stage), "--preset=nanogpt-cpu", "--steps=1", "--out", tmp_path / "o"]
    assert run(stage, *flags)[0] == 0
    config = result(tmp_path / "o")["config"]
    assert (config["batch_size"], config["block_size"], config["steps"]) == (12, 64, 1)
    status, _, err = run(stage, "--preset=huge")
    assert status == 2 and "huge" in err and "nanogpt-cpu" in err


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_and_data_run_alone_somewhere_else(stage, tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / stage, tmp_path / stage, ignore=ignore)
    (tmp_path / "data").mkdir()
    for name in ("names.txt", "prepare.py", "rebuild_tinyshakespeare.py"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data" / name)
    flags = QUICK[stage]
    if stage in ("05_microgpt", "06_shakespeare_gpt"):  # less to evaluate
        (tmp_path / "text.txt").write_text(TEXT[stage], encoding="utf-8")
        flags = [*flags, "--data", "text.txt"]
    command = [sys.executable, "-W", "error", tmp_path / stage / "main.py", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    (written,) = (tmp_path / "out").rglob("result.json")
    place = written.parent.relative_to(tmp_path / "out" / stage)
    assert place.parts[:1] == (("tries",) if flags else ())


# ---- data files as people have them ----------------------------------------------------------
@pytest.mark.parametrize("stage", NAMES_STAGES)
def test_line_ends_blank_lines_and_a_byte_order_mark_make_no_difference(stage, run, data, tmp_path):
    losses = []
    for text in (NAMES, "\ufeff" + NAMES.replace("\n", "  \r\n\r\n") + "\r\n"):
        flags = [*QUICK[stage], "--data", data(stage, text), "--out", tmp_path / "o"]
        assert run(stage, *flags)[0] == 0
        losses.append(result(tmp_path / "o")["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("stage", STAGES[1:])
def test_accents_and_other_scripts_simply_work(stage, run, data, tmp_path):
    names = ["zoé", "łukasz", "日向", "Ольга", "محمد", "ñandú", "🙂"]
    text = "\n".join(name + letter for letter in "abcdefghijklmnopq" for name in names) * 3
    flags = [*QUICK[stage], "--data", data(stage, text), "--out", tmp_path / "o"]
    status, _, err = run(stage, *flags)
    assert (status, err) == (0, "")
    assert result(tmp_path / "o")["vocab_size"] == len(set(text))  # the line end became BOS


@pytest.fixture
def continued(run, data, tmp_path, monkeypatch, capsys):
    """continued(text, prompt, *flags) -> (status, stdout, stderr) of generate.py, trained on the
    text. No prompt is given if it is None.
    """
    stage = "06_shakespeare_gpt"

    def continued(text, prompt, *more):
        out = tmp_path / "o"
        assert run(stage, *QUICK[stage], "--data", data(stage, text), "--out", out)[0] == 0
        generate, common = load_stage(stage, "generate"), load_stage(stage, "common")
        flags = [f"--model={out / 'model.pt'}", "--device=cpu", *more]
        flags += [] if prompt is None else [f"--prompt={prompt}"]
        monkeypatch.setattr(sys, "argv", ["generate.py", *flags])
        with pytest.raises(SystemExit) as ended:
            common.run(generate.main)
        return ended.value.code, *capsys.readouterr()

    return continued


def test_a_prompt_may_have_accents_in_either_form_and_other_scripts(continued):
    both = "zo\u00e9", "zoe\u0301"
    for known in both:
        text = f"{known} \u05e9\u05e8\u05d4 \U0001f469\u200d\U0001f680 " * 100
        for prompt in (*both, "\u05e9\u05e8\u05d4", "\U0001f469\u200d\U0001f680"):
            status, out, err = continued(text, prompt)
            assert (status, err) == (0, "")
            assert out.startswith(known if prompt in both else prompt)


def test_a_prompt_is_typed_with_escapes_or_read_from_a_file(continued, tmp_path):
    text = "All:\nto be\tor \\n not\n" * 60
    assert continued(text, r"be\tor \\n not\nAll:")[1].startswith("be\tor \\n not\nAll:")
    (tmp_path / "prompt.txt").write_bytes(b"\xef\xbb\xbfAll:\r\nto")
    status, out, err = continued(text, None, f"--prompt-file={tmp_path / 'prompt.txt'}")
    assert (status, err) == (0, "") and out.startswith("All:\nto") and len(out) == 507 + 1
    for prompt, file, named in (
        ("to", "prompt.txt", "exclude each other"),
        (None, "nowhere.txt", "nowhere.txt: No such file"),
        (None, "empty.txt", "is empty"),
    ):
        (tmp_path / "empty.txt").write_bytes(b" \n")
        status, out, err = continued(text, prompt, f"--prompt-file={tmp_path / file}")
        assert (status, out) == (2, "") and err.count("\n") == 1
        assert named in err and "--prompt-file" in err and "--data" not in err


def test_a_text_ends_after_its_stop(continued):
    text = "All:\nto be or not\n" * 60
    for stop, end in ((r"o\n", "o\n"), ("b", "b")):
        status, out, err = continued(text, "to be", f"--stop={stop}", "--length=5000")
        written = out.removeprefix("to be").removesuffix("\n")
        assert (status, err) == (0, "") and len(written) < 5000
        assert written.endswith(end) and written.count(end) == 1
    status, _, err = continued(text, "to be", "--stop=\u00e9")
    assert status == 2 and err.count("\n") == 1 and "--stop holds '\u00e9'" in err


@pytest.mark.parametrize("text", ["to be or not " * 100, "tobeornot" * 120])
def test_without_a_prompt_a_sample_starts_with_what_the_text_has(text, continued):
    start = " " if " " in text else "b"
    status, out, err = continued(text, None)
    assert (status, err) == (0, "") and len(out) == 502 and out[0] == start
    assert set(out[:-1]) <= set(text)


def test_a_prompt_with_capitals_is_answered_with_lower_case(continued):
    status, out, err = continued("to be or not to be " * 100, "To")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "'T', which the model has never seen; its text is all in lower case: give 'to'" in err
    status, _, err = continued("To be or not to be " * 100, "O")
    assert status == 2 and "lower case" not in err


# Names of the kinds that every stage of names has to take as they are: both forms of an accent, an
# emoji of several characters with joiners between them, and text from right to left.
OTHER_SCRIPTS = ("zo\u00e9", "zoe\u0301", "\U0001f469\u200d\U0001f680", "\u05e9\u05e8\u05d4", "ann")


@pytest.mark.parametrize("stage", NAMES_STAGES)
def test_a_stage_shows_what_a_terminal_would_obey(stage, run, data, tmp_path, monkeypatch):
    """Names that clear the screen, go back to the start of the line and turn text round."""
    names = ["\x1b[2Ja", "b\rc", "[red]d", "e|f", "g\u202eh", "i\x9bj", *OTHER_SCRIPTS]
    text = "\n".join(name + letter for letter in "abcdefghijklmnopq" for name in names)
    # A loaded model may have drawn any of them.
    names_of_stage = load_stage(stage, "names")
    line = names_of_stage.mark_known(names, {"train": names[:1], "val": [], "test": []})
    assert line.startswith(r"\x1b[2Ja (train), b\rc, [red]d, e|f, g\u202eh, i\x9bj, ")
    assert all(name in line for name in OTHER_SCRIPTS)
    flags = [*QUICK[stage], "--data", data(stage, text.encode()), "--out", tmp_path / "o"]
    status, out, err = run(stage, *flags)
    assert (status, err) == (0, "")
    assert "\\x1b" in out  # an untrained model draws about one character in 20
    assert not set("\x1b\r\x9b\u202e") & set(out)


def test_a_running_text_shows_what_a_terminal_would_obey(run, data, tmp_path, capsys, monkeypatch):
    stage = "06_shakespeare_gpt"
    flags = [*QUICK[stage], "--data", data(stage, "to be\x1b[2J\tor\n\x9b not\u202e" * 200)]
    status, out, err = run(stage, *flags, "--prompt=to be\x1b", "--out", tmp_path / "o")
    assert (status, err) == (0, "")
    sample = out.split("---- sample ----\n")[1].split("\n----")[0]
    assert sample.startswith(r"to be\x1b") and "\n" in sample and "\t" in sample
    assert not set("\x1b\x9b\u202e") & set(out)
    generate, common = load_stage(stage, "generate"), load_stage(stage, "common")
    flags = ["--model", tmp_path / "o" / "model.pt", "--prompt=to be\x1b", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", ["generate.py", *map(str, flags)])
    with pytest.raises(SystemExit):
        common.run(generate.main)
    out = capsys.readouterr().out
    assert out.startswith(r"to be\x1b") and not set("\x1b\x9b\u202e") & set(out)


@pytest.mark.parametrize("stage", STAGES)
def test_an_error_shows_a_value_in_one_line(stage, run):
    for flags in (["--data=no\x1b[2J\rwhere\n.txt"], ["--\x1b[2J\n"]):
        status, out, err = run(stage, *flags)
        assert (status, out) == (2, "") and err.count("\n") == 1
        assert r"\x1b[2J" in err and r"\n" in err and not set("\x1b\r") & set(err)


@pytest.mark.parametrize("content", ["missing", "", "\n \n", b"\0\1\2", b"caf\xe9\n" * 50, "anna"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_file_that_is_no_data_set_costs_one_line(stage, content, run, data, tmp_path):
    path = tmp_path / "nowhere.txt" if content == "missing" else data(stage, content)
    status, _, err = run(stage, *QUICK[stage], "--data", path, "--out", tmp_path / "o")
    assert status == 2
    assert err.count("\n") == 1 and str(path) in err and "Traceback" not in err
    assert not (tmp_path / "o" / "result.json").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_path_that_is_too_long_costs_one_line(stage, run, tmp_path):
    path = tmp_path / ("x" * 300)
    for flags in (["--data", path], ["--data", data_of(stage, tmp_path), "--out", path]):
        status, out, err = run(stage, *flags)
        assert (status, out) == (2, "") and err.count("\n") == 1 and str(path) in err


def data_of(stage, folder):
    (folder / "data.txt").write_text(TEXT[stage], encoding="utf-8")
    return folder / "data.txt"


@posix
def test_a_folder_that_one_may_not_search_costs_one_line(run, data, tmp_path, monkeypatch):
    """Made up, as root may search every folder."""

    def refuse(self, method, *arguments, **options):
        if "locked" in str(self):
            raise PermissionError(13, "Permission denied", str(self))
        return method(self, *arguments, **options)

    for name in ("open", "is_dir", "exists"):
        method = getattr(Path, name)
        monkeypatch.setattr(Path, name, functools.partialmethod(refuse, method))
    status, out, err = run("02_bigram_counts", "--data=locked/names.txt")
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "--data locked/names.txt: Permission denied" in err


@posix
@pytest.mark.parametrize("stage", STAGES)
def test_a_device_that_never_ends_costs_one_line(stage, run):
    status, out, err = run(stage, "--data=/dev/zero")
    assert (status, out) == (2, "") and err.count("\n") == 1 and "binary file" in err


@posix
def test_a_pipe_that_never_ends_costs_one_line(run, tmp_path, monkeypatch):
    stage = "02_bigram_counts"
    monkeypatch.setattr(load_stage(stage, "common"), "LARGEST_FILE", 2**22)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"exec yes > '{pipe}'"], stderr=subprocess.DEVNULL) as child:
        status, out, err = run(stage, "--data", pipe)
        child.kill()
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert f"--data {pipe} has more than 4,194,304 bytes" in err


@posix
def test_the_hash_of_a_pipe_is_that_of_its_bytes(run, tmp_path):
    stage, hashes = "02_bigram_counts", []
    os.mkfifo(tmp_path / "pipe")
    for text in (NAMES, NAMES.replace("a", "b")):
        writer = subprocess.Popen(
            ["sh", "-c", f"cat > '{tmp_path / 'pipe'}'"], stdin=subprocess.PIPE, encoding="utf-8"
        )
        writer.stdin.write(text)
        writer.stdin.close()
        assert run(stage, "--data", tmp_path / "pipe", "--out", tmp_path / "o")[0] == 0
        writer.wait(timeout=60)
        hashes.append(result(tmp_path / "o")["dataset"]["sha256"])
        assert hashes[-1] == hashlib.sha256(text.encode()).hexdigest()
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize("stage, flags", [
    ("04_embedding_mlp", ["--n-embd=4096", "--n-hidden=65536", "--block-size=256"]),
    ("06_shakespeare_gpt", ["--n-embd=100000"]),
])  # fmt: skip
def test_a_size_that_cannot_be_allocated_costs_one_line(stage, flags, run, data, tmp_path):
    text = TEXT[stage] * 5
    status, _, err = run(stage, *flags, "--data", data(stage, text), "--out", tmp_path / "o")
    assert status == 2 and err.count("\n") == 1 and "not enough memory" in err
    assert not (tmp_path / "o" / "result.json").exists()


def test_a_field_of_config_without_a_help_costs_one_line(run, monkeypatch):
    stage = "02_bigram_counts"
    main = load_stage(stage)

    @dataclasses.dataclass(frozen=True)
    class Config(main.Config):
        letters: int = 3  # as a learner adds it

    monkeypatch.setattr(main, "Config", Config)
    status, out, err = run(stage)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "Config.letters" in err and "flag(" in err


def test_a_text_shorter_than_block_size_is_named(run, data, tmp_path):
    stage = "06_shakespeare_gpt"
    status, _, err = run(stage, "--data", data(stage, SPEECH), "--block-size=80")
    assert status == 2 and "--block-size 80" in err and err.count("\n") == 1


@pytest.mark.parametrize("stage", NAMES_STAGES)
def test_an_empty_split_is_named(stage, run, data):
    status, _, err = run(stage, "--data", data(stage, "anna\nbob\n"))
    assert status == 2 and err.count("\n") == 1 and ("val" in err or "test" in err)


def test_points_that_are_none_are_shown(run, data):
    status, _, err = run("01_micrograd", "--data", data("01_micrograd", POINTS + "\n1 2 7"))
    assert status == 2 and "'1 2 7'" in err and err.count("\n") == 1


# ---- bad flags -------------------------------------------------------------------------------
BAD_FLAGS = [
    *((stage, ["--banana=3"], "--banana") for stage in STAGES),
    *((stage, ["--steps=-5"], "--steps -5") for stage in STAGES),
    *((stage, ["--steps=many"], "many") for stage in STAGES),
    *((stage, ["--seed=-1"], "--seed -1") for stage in STAGES),
    ("01_micrograd", ["--n-hidden=0"], "--n-hidden 0"),
    ("01_micrograd", ["--noise=nan"], "--noise nan"),
    ("02_bigram_counts", ["--smoothing=-1"], "--smoothing -1"),
    ("02_bigram_counts", ["--smoothing=0", "--steps=0"], "--smoothing 0"),
    ("03_bigram_learned", ["--learning-rate=-1"], "--learning-rate -1"),
    ("04_embedding_mlp", ["--block-size=0"], "--block-size 0"),
    ("04_embedding_mlp", ["--batch-size=0"], "--batch-size 0"),
    ("05_microgpt", ["--n-embd=10"], "--n-embd 10"),
    ("05_microgpt", ["--temperature=0"], "--temperature 0"),
    ("05_microgpt", ["--n-layer=0"], "--n-layer 0"),
    ("06_shakespeare_gpt", ["--n-embd=129"], "--n-embd 129"),
    ("06_shakespeare_gpt", ["--temperature=-2"], "--temperature -2"),
    ("06_shakespeare_gpt", ["--dropout=1"], "--dropout 1"),
    ("06_shakespeare_gpt", ["--top-k=0"], "--top-k 0"),
    ("06_shakespeare_gpt", ["--prompt="], "--prompt"),
    ("06_shakespeare_gpt", ["--device=abacus"], "--device abacus"),
]


@pytest.mark.parametrize("stage, flags, named", BAD_FLAGS)
def test_a_bad_flag_costs_one_line_and_status_2(stage, flags, named, run):
    status, out, err = run(stage, *flags)
    assert (status, out) == (2, "")
    assert named in err and err.count("\n") == 1


def test_a_device_that_is_not_there_is_named(run):
    torch = pytest.importorskip("torch")
    for device, there in (("cuda", torch.cuda.is_available()),
                          ("mps", torch.backends.mps.is_available())):
        if not there:
            status, _, err = run("06_shakespeare_gpt", "--device", device)
            assert status == 2 and f"--device {device}" in err and err.count("\n") == 1


def test_a_prompt_outside_the_alphabet_is_named(run, data):
    stage = "06_shakespeare_gpt"
    status, _, err = run(stage, "--data", data(stage), "--prompt=日")
    assert status == 2 and "'日'" in err and err.count("\n") == 1


@pytest.mark.parametrize("stage", STAGES)
def test_an_out_folder_that_cannot_be_is_named_before_training(stage, run, data, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    out = tmp_path / "file" / "out"
    status, _, err = run(stage, "--data", data(stage), "--out", out)
    assert status == 2 and f"--out {out}" in err and err.count("\n") == 1


# ---- stopping --------------------------------------------------------------------------------
# Runs a main.py that says when it is in the midst of its training.
WATCHED = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("main.py")[0])
import common
after_step = common.Log.after_step

def watched(self):
    after_step(self)
    if self.done == 3:
        print("in training", flush=True)

common.Log.after_step = watched
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def start_watched():
    """Start a child and wait for the third step of its training."""
    children = []

    def start(stage, *flags):
        command = [sys.executable, "-c", WATCHED, str(ROOT / stage / "main.py"), *map(str, flags)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        children.append(child)
        assert any(b"in training" in line for line in child.stdout)
        return child

    yield start
    for child in children:  # one that ignored its signal would train for days
        child.kill()
        child.wait()


# All signals in one stage, as all stages have the same common.py; in the others, only Ctrl-C.
STOPS = [("01_micrograd", signum) for signum in STOPPING]
STOPS += [(stage, signal.SIGINT) for stage in STAGES if stage[:2] not in ("01", "02")]


@posix
@pytest.mark.parametrize("stage, signum", STOPS)
def test_a_stop_keeps_the_result_so_far(stage, signum, start_watched, data, tmp_path):
    flags = ["--steps=1000000", "--data", data(stage), "--out", tmp_path / "o"]
    if stage == "06_shakespeare_gpt":
        flags += QUICK[stage][1:]
    child = start_watched(stage, *flags)
    child.send_signal(signum)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in err and err.count(b"stopping; the result so far will be kept") == 1
    r = result(tmp_path / "o")
    assert r["interrupted"] and 0 < r["steps"] < 1_000_000
    assert math.isfinite(r["loss"]["val"])
    assert r["curve"][-1][0] == r["steps"]
    assert load_stage(stage).load(tmp_path / "o")


PROGRAMS = [(stage, "main") for stage in STAGES] + [("05_microgpt", "torch_twin")]
READERS = {"01_micrograd": "load_points", "06_shakespeare_gpt": "load_text"}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("phase", ["reading", "training", "scoring", "sampling"])
@pytest.mark.parametrize("stage, module", PROGRAMS)
def test_a_stop_in_any_phase(stage, module, phase, times, run, data, tmp_path, monkeypatch):
    main, common = load_stage(stage, module), load_stage(stage, "common")
    trained, stopped = [], []

    def stop_now():
        if not stopped:
            stopped.append(True)
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    def before(name, wanted=lambda: True):
        """Stop as soon as the stage calls this function."""
        original = getattr(main, name)

        def stopping(*arguments, **more):
            if wanted():
                stop_now()
            return original(*arguments, **more)

        monkeypatch.setattr(main, name, stopping)

    train, after_step = main.train, common.Log.after_step

    def watched_train(*arguments):
        returned = train(*arguments)
        trained.append(True)
        return returned

    def watched_step(self):
        after_step(self)
        if phase == "training" and self.done == 2:
            stop_now()

    monkeypatch.setattr(main, "train", watched_train)
    monkeypatch.setattr(common.Log, "after_step", watched_step)
    if phase == "reading":
        before(READERS.get(stage, "load_splits"))
    elif phase == "scoring":
        before("evaluate", lambda: trained)
    elif phase == "sampling" and stage != "01_micrograd":
        before("sample")
    elif phase == "sampling":
        pytest.skip("stage 01 draws no samples")

    out = tmp_path / "o"
    status, printed, err = run(
        stage, *QUICK[stage], "--data", data(stage), "--out", out, module=module
    )
    assert status == 130 and stopped and "Traceback" not in err
    if phase == "reading":
        assert err == "\nstopped before there was a result to keep\n"
        assert not out.exists() or not list(out.iterdir())
        return
    assert err == "\nstopping; the result so far will be kept\n" * times
    r = result(out)
    assert r["interrupted"] and math.isfinite(r["loss"]["val"])
    assert r["steps"] == (2 if phase == "training" else r["steps"]) > 0
    if stage not in ("01_micrograd", "06_shakespeare_gpt") and phase != "sampling":
        assert r["loss"]["test"] is None  # the last to be scored
    if phase == "training" and stage != "01_micrograd":
        assert r["loss"]["train"] is None
    assert main.load(out)


@posix
@pytest.mark.parametrize("signum", STOPPING)
def test_a_stop_while_torch_is_imported_is_one_line(signum, tmp_path):
    (tmp_path / "torch.py").write_text(
        "import time\nprint('importing', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, ROOT / "03_bigram_learned" / "main.py", "--out", tmp_path / "o"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": tmp_path},
    )  # fmt: skip
    assert child.stdout.readline() == b"importing\n"
    child.send_signal(signum)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == b"\nstopped before there was a result to keep\n"


@posix
def test_a_run_under_nohup_outlives_its_terminal(data, tmp_path):
    stage, out = "02_bigram_counts", tmp_path / "o"
    os.mkfifo(tmp_path / "pipe")
    main = str(ROOT / stage / "main.py")
    command = ["nohup", sys.executable, main, "--data", tmp_path / "pipe", "--out", out]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with open(tmp_path / "pipe", "wb") as writer:  # waits until the run reads
        child.send_signal(signal.SIGHUP)
        writer.write(NAMES.encode("utf-8"))
    child.communicate(timeout=60)
    assert child.returncode == 0 and result(out)["steps"] > 100


@posix
def test_a_stop_before_the_training_leaves_an_earlier_run_as_it_is(tmp_path):
    """A pipe that nobody writes to keeps the run waiting for its data."""
    stage, out = "02_bigram_counts", tmp_path / "o"
    out.mkdir()
    (out / "result.json").write_text("an earlier run", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, ROOT / stage / "main.py", "--data", tmp_path / "pipe", "--out", out]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY)  # waits until the run reads
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    os.close(writer)
    assert child.returncode == 130
    assert b"Traceback" not in err and b"before there was a result" in err
    assert [path.name for path in out.iterdir()] == ["result.json"]
    assert (out / "result.json").read_text(encoding="utf-8") == "an earlier run"


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_written_over_an_earlier_run_before_the_end(
    stage, run, data, tmp_path, monkeypatch
):
    """Not even when the run breaks off in the midst of its training."""
    out = tmp_path / "o"
    flags = [*QUICK[stage], "--data", data(stage), "--out", out]
    assert run(stage, *flags)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    common = load_stage(stage, "common")

    def break_off(self):
        raise ZeroDivisionError

    monkeypatch.setattr(common.Log, "after_step", break_off)
    with pytest.raises(ZeroDivisionError):
        run(stage, *flags, "--seed=7")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("stage", STAGES)
def test_model_and_result_are_never_half_written(stage, run, data, tmp_path, monkeypatch):
    out = tmp_path / "o"
    flags = [*QUICK[stage], "--data", data(stage), "--out", out]
    assert run(stage, *flags)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_bytes = Path.write_bytes

    def disk_full(self, content):
        if "result.json" in self.name:
            raise OSError(28, "No space left on device")
        return write_bytes(self, content)

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    status, _, err = run(stage, *flags, "--seed=7")
    monkeypatch.undo()
    line = f"main.py: error: --out {out}: No space left on device; the model is lost\n"
    assert (status, err) == (1, line)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_out_folder_that_is_lost_gives_the_result_to_another(run, data, tmp_path, monkeypatch):
    stage, out = "03_bigram_learned", tmp_path / "o"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    train = load_stage(stage).train

    def out_is_lost(*arguments):
        log = train(*arguments)
        out.rmdir()
        out.write_text("in the way", encoding="utf-8")
        return log

    monkeypatch.setattr(load_stage(stage), "train", out_is_lost)
    status, _, err = run(stage, *QUICK[stage], "--data", data(stage), "--out", out)
    (place,) = (tmp_path / "elsewhere").iterdir()
    assert status == 1 and err.count("\n") == 1
    assert err.endswith(f"the model and its result are in {place}\n")
    assert result(place)["steps"] == 20 and load_stage(stage).load(place)


def test_a_removed_out_folder_is_made_again(run, data, tmp_path, monkeypatch):
    stage, out = "03_bigram_learned", tmp_path / "a" / "o"
    train = load_stage(stage).train
    monkeypatch.setattr(
        load_stage(stage), "train", lambda *a: (train(*a), shutil.rmtree(tmp_path / "a"))[0]
    )
    assert run(stage, *QUICK[stage], "--data", data(stage), "--out", out)[0] == 0
    assert result(out)["steps"] == 20


@posix
@pytest.mark.parametrize("how", ["full", "head", "closed"])
def test_a_run_that_cannot_print_keeps_its_result(how, data, tmp_path):
    stage = "02_bigram_counts"
    command = [sys.executable, str(ROOT / stage / "main.py"), "--out", str(tmp_path / "o")]
    command = shlex.join([*command, "--data", str(data(stage))])
    end = {"full": "> /dev/full", "head": "| :", "closed": ">&-"}[how]
    shell = ["bash", "-c", f"set -o pipefail; {command} {end}"]
    done = subprocess.run(shell, capture_output=True, encoding="utf-8")
    problem = {"full": "No space left on device", "head": "Broken pipe"}.get(how)
    line = f"main.py: error: not all could be printed: {problem}\n" if problem else ""
    assert (done.returncode, done.stderr) == (1 if problem else 0, line)
    assert result(tmp_path / "o")["steps"] > 100


@posix
def test_a_second_run_into_one_folder_is_refused(run, start_watched, data, tmp_path):
    stage, out = "01_micrograd", tmp_path / "o"
    child = start_watched(stage, "--steps=1000000", "--data", data(stage), "--out", out)
    status, _, err = run(stage, *QUICK[stage], "--data", data(stage), "--out", out)
    assert status == 2 and "another run is writing to it" in err and err.count("\n") == 1
    child.kill()
    child.communicate(timeout=60)
    assert run(stage, *QUICK[stage], "--data", data(stage), "--out", out)[0] == 0


def test_a_run_deletes_what_killed_runs_have_left(run, data, tmp_path):
    stage, out = "02_bigram_counts", tmp_path / "o"
    out.mkdir()
    others = {".result.json", ".notes-12", "checkpoint.pt-12"}
    for name in (".model.json-123", ".checkpoint-before.pt-7", ".result.json-99999", *others):
        (out / name).write_text("left", encoding="utf-8")
    assert run(stage, "--data", data(stage), "--out", out)[0] == 0
    assert {path.name for path in out.iterdir()} == others | {"model.json", "result.json"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_run_does_not_replace_a_finished_one(stage, run, data, tmp_path, monkeypatch):
    out, common = tmp_path / "o", load_stage(stage, "common")
    flags = ["--data", data(stage), "--out", out]
    assert run(stage, *QUICK[stage], *flags)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    after_step = common.Log.after_step
    steps = []

    def stop_at_step_2(log):
        after_step(log)
        steps.append(log.done)
        if log.done == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(common.Log, "after_step", stop_at_step_2)
    stopped = out / "tries" / "stopped"
    for _ in range(2):  # the second one replaces the first
        status, printed, _ = run(stage, *QUICK[stage], *flags)
        assert status == 130 and f"written to {stopped}" in printed
        assert result(stopped)["steps"] == 2 and result(stopped)["interrupted"]
        assert load_stage(stage).load(stopped)
        assert {path.name: path.read_bytes() for path in out.glob("*.*")} == before
    status, printed, _ = run(stage, *QUICK[stage], *flags[:2], "--out", tmp_path / "tries" / "x")
    assert status == 130 and result(tmp_path / "tries" / "x")["steps"] == 2


def test_the_hash_is_of_the_bytes_that_were_read(run, data, tmp_path):
    """Even when the file changes during the run."""
    stage = "02_bigram_counts"
    main, path = load_stage(stage), data(stage)
    read = hashlib.sha256(path.read_bytes()).hexdigest()
    train = main.train

    def train_meanwhile(*arguments):
        path.write_text("changed", encoding="utf-8")
        return train(*arguments)

    main.train = train_meanwhile
    try:
        assert run(stage, "--data", path, "--out", tmp_path / "o")[0] == 0
    finally:
        main.train = train
    assert result(tmp_path / "o")["dataset"]["sha256"] == read


# ---- the log ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "steps, seconds, said", [(100, 1, "0:01:36"), (10, 0.5, None), (1000, 0.001, None)]
)
def test_a_long_run_says_once_how_long_it_takes(steps, seconds, said, monkeypatch, capsys):
    common = load_stage("04_embedding_mlp", "common")
    monkeypatch.setattr(common, "time", Clock(seconds))
    list(common.Steps(steps, "the training"))
    out, err = capsys.readouterr()
    assert out == ""
    if said is None:
        assert err == ""
    else:
        assert err.count("\n") == 1 and f"the training will take another {said}" in err


def test_a_log_foretells_the_looks_and_the_scoring(monkeypatch, capsys):
    """On a clock that stands still but in a step, which takes 1 second, and in a look: 5."""
    common = load_stage("04_embedding_mlp", "common")
    clock = Clock(0.0)
    monkeypatch.setattr(common, "time", clock)

    def val_loss():
        clock.now += 5
        return 1.0

    log = common.Log(100, val_loss=val_loss, looks=range(30, 10**9, 30), scoring=9.0)
    left = []
    for _ in log:
        clock.now += 1
        log.add(2.0)
        left.append(log.seconds_left if log.done else None)
    # After step 4: 96 more seconds of steps, 4 looks and the scoring of 45 seconds.
    line = "training and scoring will take another 0:02:41 (hours:minutes:seconds)\n"
    assert capsys.readouterr().err == line
    assert left[4] == 96 + 4 * 5 + 45
    assert left[40] == pytest.approx(60 + 3 * 5 + 45)
    assert left[99] == pytest.approx(1 + 1 * 5 + 45)


def test_a_log_with_minutes_foretells_the_last_look_and_the_scoring(monkeypatch, capsys):
    common = load_stage("04_embedding_mlp", "common")
    clock = Clock(0.0)
    monkeypatch.setattr(common, "time", clock)

    def val_loss():
        clock.now += 5
        return 1.0

    log = common.Log(10**6, val_loss=val_loss, looks=range(30, 10**9, 30), minutes=1, scoring=9.0)
    for _ in log:
        clock.now += 1
        log.add(2.0)
    assert log.seconds == 60 and log.done == 55
    assert "will take another 0:01:46 (" in capsys.readouterr().err


def test_the_log_measures_each_loss_once_and_averages_the_batches():
    common = load_stage("04_embedding_mlp", "common")
    asked = []
    log = common.Log(25, val_loss=lambda: asked.append(log.done) or float(log.done), looks=[10, 20])
    for step in log:
        log.add(float(step))
    assert asked == [0, 10, 20, 25]
    assert log.curve == [[0, None, 0], [10, 4.5, 10], [20, 14.5, 20], [25, 22, 25]]
    assert (log.val, log.done, log.share) == (25, 25, 1)


def test_the_log_keeps_copies_of_small_models_only():
    common = load_stage("04_embedding_mlp", "common")
    weights = [0.0]

    def train(steps, copy):
        log = common.Log(steps, weights=copy)
        for step in log:
            weights[0] = step + 1
            log.add(0.0)
        return log.kept

    weights[0] = 0
    small = train(31, weights.copy)
    assert small == [[step, [step]] for step in (0, 1, 3, 10, 30)]
    assert train(0, weights.copy) == []
    torch = pytest.importorskip("torch")
    for size, count in ((100_000, 2), (100_001, 0)):
        assert len(train(3, lambda size=size: {"a": [torch.zeros(size - 1, 1)], "b": 1.0})) == count


def test_a_log_with_minutes_ends_by_the_clock(monkeypatch):
    common = load_stage("04_embedding_mlp", "common")
    monkeypatch.setattr(common, "time", Clock(1.0))
    log = common.Log(10**6, minutes=0.5)
    shares = []
    for _ in log:
        shares.append(log.share)
        log.add(1.0)
    assert log.done == len(shares) == 30 and log.share == 1
    assert shares == pytest.approx([i / 30 for i in range(30)])


# ---- the house rules -------------------------------------------------------------------------
@pytest.mark.parametrize("name, stages", [("common.py", STAGES), ("names.py", NAMES_STAGES)])
def test_the_copies_are_one_file(name, stages):
    copies = {(ROOT / stage / name).read_bytes() for stage in stages}
    assert len(copies) == 1
    assert {path.parent.name for path in ROOT.glob(f"*/{name}")} == set(stages)


def test_visible_of_the_tools_is_that_of_the_stages():
    tool = (ROOT / "tools" / "visible.py").read_text(encoding="utf-8")
    stage = (ROOT / STAGES[0] / "common.py").read_text(encoding="utf-8")
    assert top_level(tool)["visible"] == top_level(stage)["visible"]


def test_what_is_visible_already_stays_as_it_is():
    visible = load_stage(STAGES[0], "common").visible
    for text in (*OTHER_SCRIPTS, "[red]", "a|b", "\\", "a\u200fb"):
        assert visible(text) == text
    assert visible("a\n\tb\x7f\u2028\ud800") == r"a\n\tb\x7f\u2028\ud800"
    assert visible("a\n\tb\r", "\n\t") == "a\n\tb\\r"


def test_a_stage_folder_holds_its_lesson_and_nothing_else():
    lesson = {"README.md", "lesson.ipynb", "main.py", "common.py"}
    more = {
        "01_micrograd": {"engine.py", "nn.py"},
        "02_bigram_counts": {"names.py"},
        "03_bigram_learned": {"names.py"},
        "04_embedding_mlp": {"names.py"},
        "05_microgpt": {"names.py", "torch_twin.py"},
        "06_shakespeare_gpt": {"model.py", "muon.py", "generate.py", "devices.py", "prompts.py"},
    }
    for stage in STAGES:
        files = {path.name for path in (ROOT / stage).iterdir() if path.is_file()}
        assert files == lesson | more[stage], stage


def top_level(source):
    """Name -> text of each top-level function and class, decorators included."""
    nodes = [n for n in ast.parse(source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    return {node.name: ast.get_source_segment(source, node) for node in nodes}


def test_marked_copies_are_word_for_word():
    """`# Same as 02_bigram_counts` above a function says that it is a copy of that stage's."""
    for path in ROOT.glob("0*_*/*.py"):
        source = path.read_text(encoding="utf-8")
        for original, name in re.findall(r"# Same as (\w+)\n(?:def|class) (\w+)", source):
            model = (ROOT / original / "main.py").read_text(encoding="utf-8")
            assert top_level(source)[name] == top_level(model)[name], f"{path}: {name} has drifted"


@pytest.mark.parametrize("stage", STAGES)
def test_main_keeps_to_the_form(stage):
    source = (ROOT / stage / "main.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    assert max(map(len, lines)) <= 100
    order = ["config", "data", "model", "training", "evaluation", "samples", "main"]
    if stage == "05_microgpt":  # the one that brings its own engine
        order[2:2] = ["engine", "operations"]
    banners = re.findall(r"^# ---- (\w+) -+$", source, re.M)
    assert [name for name in order if name in banners] == banners
    assert "Run: python" in ast.get_docstring(ast.parse(source))


def test_stages_import_nothing_but_libraries_and_their_own_files():
    allowed = set(sys.stdlib_module_names) | {"numpy", "torch", "matplotlib", "rich"}
    for path in ROOT.glob("0*_*/*.py"):
        own = {file.stem for file in path.parent.glob("*.py")}
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.split(".")[0] in allowed | own, f"{path} imports {name}"
        assert "sys.path" not in source, f"{path} edits sys.path"


def test_microgpt_needs_the_standard_library_only():
    for name in ("main.py", "names.py", "common.py"):
        source = (ROOT / "05_microgpt" / name).read_text(encoding="utf-8")
        assert not re.search(r"^\s*(?:import|from) (?:numpy|torch|matplotlib)", source, re.M)


# ---- threads ---------------------------------------------------------------------------------
CPU_V1 = {"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n"}
NO_LIMIT_V1 = {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    "cgroup, files, quota",
    [
        # version 2: in a container, on a host, the limit of a parent, no limit
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/user/job\n", {"user/job/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
        # version 1, also in a container that knows its group by the path on the host alone
        ("3:memory:/\n2:cpu,cpuacct:/\n", {f"cpu/{k}": v for k, v in CPU_V1.items()}, 2.5),
        ("2:cpu,cpuacct:/docker/5f\n", {f"cpu/{k}": v for k, v in CPU_V1.items()}, 2.5),
        ("2:cpu:/a\n0::/\n", {f"cpu/a/{k}": v for k, v in CPU_V1.items()}, 2.5),
        ("2:cpu:/\n", {f"cpu/{k}": v for k, v in NO_LIMIT_V1.items()}, None),
        ("2:cpuset:/\n", {f"cpu/{k}": v for k, v in CPU_V1.items()}, None),
        # none at all, and what makes no sense
        (None, {}, None),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "many 100000\n"}, None),
        ("nonsense\n", {"cpu.max": "200000 100000\n"}, None),
    ],
)
def test_the_quota_of_a_container_is_read(cgroup, files, quota, tmp_path):
    if cgroup is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(cgroup, encoding="utf-8")
    for name, content in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert load_stage(STAGES[0], "common").cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    "quota, chosen, threads",
    [(None, None, None), (0.5, None, "1"), (2.9, None, "2"), (4, None, None), (99, None, None),
     (2, "3", "3")],
)  # fmt: skip
def test_there_are_no_more_threads_than_the_quota_has_cores(quota, chosen, threads, monkeypatch):
    common = load_stage(STAGES[0], "common")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", chosen or "")
    if not chosen:
        monkeypatch.delenv("OMP_NUM_THREADS")
    common.limit_threads(quota)
    assert os.environ.get("OMP_NUM_THREADS") == threads
