"""tools/score.py: what it computes, against the results of the runs, and what it prints."""

import hashlib
import io
import json
import math
import random
import re
import shutil
import subprocess
import sys
import zlib
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import score as tool
from stages import ROOT, load_stage
from trained_models import COMMANDS, MODELS, load_code, load_model

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:250]
VAL = [name for name in NAMES if zlib.crc32(name.encode()) % 10 == 8]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
RUNS = {  # folder in out/: flags of a run of a second or less
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=60", "--batch-size=256"],
    "04_embedding_mlp": ["--steps=60", "--batch-size=64", "--n-hidden=16", "--block-size=4"],
    "05_microgpt": ["--steps=20", "--n-embd=8", "--block-size=6"],
    "05_microgpt/twin": ["--steps=30", "--batch-size=32", "--n-embd=8", "--block-size=6"],
    "05_microgpt/modern": ["--steps=30", "--batch-size=32", "--n-embd=8", "--block-size=6"],
    "06_shakespeare_gpt": [
        "--steps=20", "--batch-size=8", "--block-size=16", "--n-embd=16", "--n-layer=1",
        "--device=cpu", "--dtype=float32",  # the precision of log_probs
    ],
    "06_shakespeare_gpt/modern": [
        "--steps=20", "--batch-size=8", "--block-size=16", "--n-embd=16", "--n-layer=1",
        "--device=cpu", "--dtype=float32",
    ],
}
NAMES_RUNS = [folder for folder in RUNS if not tool.reads_running_text(folder)]
TEXT_RUNS = [folder for folder in RUNS if tool.reads_running_text(folder)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """trained(folder) -> out/, the folder in it, and the module and model of a short run."""
    runs = {}

    def trained(folder):
        if folder not in runs:
            out = tmp_path_factory.mktemp("out")
            text = SPEECH * 6 if folder in TEXT_RUNS else "\n".join(NAMES)
            (out / "data.txt").write_text(text, encoding="utf-8")
            flags = [*RUNS[folder], f"--data={out / 'data.txt'}", f"--out={out / folder}"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["main.py", *flags])
                load_code(folder).main()
            runs[folder] = out
        module, model = load_model(runs[folder], folder)
        return SimpleNamespace(out=runs[folder], module=module, model=model)

    return trained


def score_all(run, texts):
    return [tool.score(run.module, run.model, text) for text in texts]


def result(out, folder):
    return json.loads((out / folder / "result.json").read_text(encoding="utf-8"))


def draw(run, folder, count, temperature):
    """Samples of names, or 20 characters after a line end of a running text."""
    if folder in NAMES_RUNS:
        return tool.draw(run.module, run.model, temperature, count)
    torch.manual_seed(tool.SEED)
    return [run.module.sample(run.model, "\n", 20, temperature)[1:] for _ in range(count)]


# ---- the losses ------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", NAMES_RUNS)
def test_scores_of_all_val_names_average_to_the_val_loss(folder, trained):
    run = trained(folder)
    losses = sum(score_all(run, VAL), [])
    r = result(run.out, folder)
    assert len(losses) == r["targets"]["val"]
    assert tool.mean(losses) == pytest.approx(r["loss"]["val"], rel=1e-5)
    assert all(len(tool.score(run.module, run.model, name)) == len(name) + 1 for name in VAL)
    assert any(len(name) > 6 for name in VAL)  # longer than the block_size of 05


@pytest.mark.parametrize("folder", TEXT_RUNS)
def test_scores_of_the_blocks_of_val_average_to_the_kept_val_loss(folder, trained):
    run = trained(folder)
    val = (SPEECH * 6)[int(0.9 * len(SPEECH * 6)) :]
    blocks = [val[i : i + 17] for i in range(0, len(val) - 1, 16)]
    losses = sum(score_all(run, blocks), [])
    assert len(losses) == len(val) - 1
    r = result(run.out, folder)
    kept = r.get("best", r["loss"])["val"]  # the modern GPT keeps its last weights
    assert tool.mean(losses) == pytest.approx(kept, rel=1e-5)


@pytest.mark.parametrize("folder", TEXT_RUNS)
def test_a_running_text_slides_through_the_block(folder, trained):
    """Each character is scored from the 16 before it. What lies further back does not matter."""
    run = trained(folder)
    whole, end = score_all(run, [SPEECH[:40], SPEECH[23:40]])
    assert len(whole) == 39  # all but the first
    assert len(end) == 16 and whole[-1] == pytest.approx(end[-1])
    assert whole[-2] != pytest.approx(end[-2], rel=1e-6)


@pytest.mark.parametrize("folder", RUNS)
def test_probabilities_of_each_place_sum_to_one(folder, trained):
    run, text = trained(folder), "further" if "06" in folder else "annabella"
    rows = run.module.log_probs(run.model, text)
    assert len(rows) == (len(text) if "06" in folder else len(text) + 1)
    for row in rows:
        assert sum(map(math.exp, row)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("folder", RUNS)
def test_a_score_is_that_of_the_character_that_came(folder, trained):
    run, text = trained(folder), "further" if "06" in folder else "annabella"
    rows = run.module.log_probs(run.model, text)
    stoi = {ch: i for i, ch in enumerate(run.model.tokenizer.chars)}
    if folder in TEXT_RUNS:
        expected = [-row[stoi[ch]] for row, ch in zip(rows, text[1:])]
    else:
        expected = [-row[stoi[ch]] for row, ch in zip(rows, text)] + [-rows[-1][len(stoi)]]
    assert tool.score(run.module, run.model, text) == expected


def test_the_twin_scores_as_main_does_on_the_same_weights(trained):
    run, main = trained("05_microgpt/twin"), load_stage("05_microgpt")
    weights = {name: w.tolist() for name, w in run.model.weights.items()}
    config = main.Config(n_embd=8, block_size=6)
    plain = tool.score(main, main.Model(config, weights, run.model.tokenizer), "annabella")
    assert plain == pytest.approx(tool.score(run.module, run.model, "annabella"), abs=1e-5)


def test_what_was_never_counted_costs_infinity(trained):
    run = trained("02_bigram_counts")
    run.model.P[:, 0] = 0  # no a, ever
    losses = tool.score(run.module, run.model, "a")
    assert losses[0] == math.inf and tool.mean(losses) == math.inf
    assert re.search(r"a +0\.000 +inf\*", rendered("a", {"02_bigram_counts": losses}))


# ---- samples ---------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", RUNS)
def test_cold_samples_take_the_likeliest_character_each_time(folder, trained):
    """At 0.01, odds of e ** 0.15 to 1 become more than 3 million to 1: only near ties are open."""
    run = trained(folder)
    stoi = {ch: i for i, ch in enumerate(run.model.tokenizer.chars)}
    for cold in set(draw(run, folder, 5, 0.01)):
        if folder in TEXT_RUNS:
            rows = run.module.log_probs(run.model, "\n" + cold)
        else:
            rows = run.module.log_probs(run.model, cold)
        for ch, row in zip(cold[:6], rows):
            assert row[stoi[ch]] > max(row) - 0.15
    if folder == "02_bigram_counts":  # trained well enough to have no near ties
        assert len(set(draw(run, folder, 50, 0.01))) == 1


@pytest.mark.parametrize("folder", RUNS)
def test_hot_samples_differ_and_the_seed_repeats_them(folder, trained, monkeypatch):
    run = trained(folder)
    hot = draw(run, folder, 20, 1.0)
    assert len(set(hot)) > 10
    assert hot == draw(run, folder, 20, 1.0)
    monkeypatch.setattr(tool, "SEED", 2)
    assert hot != draw(run, folder, 20, 1.0)


def test_half_the_temperature_squares_the_probabilities(trained):
    """Of the first letter: P ** 2 over its sum; 4,000 draws come within 0.03 of it."""
    run = trained("02_bigram_counts")
    (row,) = run.module.log_probs(run.model, "")
    squares = [math.exp(2 * log_p) for log_p in row]
    drawn = [name[:1] for name in draw(run, "02_bigram_counts", 4000, 0.5)]
    for ch, square in zip([*run.model.tokenizer.chars, ""], squares):  # "" is the end
        assert drawn.count(ch) / 4000 == pytest.approx(square / sum(squares), abs=0.03)


# ---- what cannot be answered -----------------------------------------------------------------
@pytest.mark.parametrize("folder", RUNS)
def test_a_character_that_a_model_has_never_seen_is_named(folder, trained):
    with pytest.raises(tool.Problem, match="never seen the character '日'"):
        score_all(trained(folder), ["日本"])


@pytest.mark.parametrize("folder", NAMES_RUNS)
def test_a_capital_letter_is_answered_with_the_name_in_lower_case(folder, trained):
    problem = "never seen the character 'E'; all its names are in lower case: give 'emma'"
    with pytest.raises(tool.Problem, match=problem):
        score_all(trained(folder), ["Emma"])
    with pytest.raises(tool.Problem, match="'日'$"):
        score_all(trained(folder), ["日A"])


def test_a_text_of_one_character_has_nothing_to_score(trained):
    run = trained("06_shakespeare_gpt")
    for text in ("F", ""):
        with pytest.raises(tool.Problem, match=f"'{text}' is too short"):
            score_all(run, [text])


BROKEN = (b'{"chars": ', b"\xff", b"no tensors")


@pytest.mark.parametrize("folder", list(RUNS)[1:])
def test_a_broken_model_is_left_out_and_the_others_answer(folder, trained, tmp_path, capsys):
    good, file = trained("02_bigram_counts"), MODELS[folder][1]
    shutil.copytree(good.out / "02_bigram_counts", tmp_path / "02_bigram_counts")
    (tmp_path / folder).mkdir(parents=True)
    for content in BROKEN:
        (tmp_path / folder / file).write_bytes(content)
        answers = tool.score_all(tmp_path, ["02_bigram_counts", folder], ["emma"])
        assert answers == {"02_bigram_counts": score_all(good, ["emma"])}
        err = capsys.readouterr().err
        assert err.startswith(f"left out: {folder}: {file} cannot be read") and err.count("\n") == 1


def test_a_single_model_that_is_broken_or_missing_is_named(tmp_path):
    (tmp_path / "02_bigram_counts").mkdir()
    for content in BROKEN:
        (tmp_path / "02_bigram_counts/model.json").write_bytes(content)
        with pytest.raises(tool.Problem, match="02_bigram_counts: model.json cannot be read"):
            tool.score_all(tmp_path, ["02_bigram_counts"], ["emma"])
    with pytest.raises(tool.Problem, match="03_bigram_learned: model.pt is missing"):
        tool.score_all(tmp_path, ["03_bigram_learned"], ["emma"])


def test_counted_models_answer_without_torch(trained):
    """Importing torch is what takes longest."""
    out = trained("02_bigram_counts").out
    script = "import sys, score; score.main(); sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, "--from", out, "2", "emma"],
        cwd=ROOT / "tools", capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("'emma'")


def test_as_a_program_it_ends_with_status_2_and_one_line(trained):
    out = trained("02_bigram_counts").out
    words = [sys.executable, ROOT / "tools" / "score.py", "--from", out]
    done = subprocess.run([*words, "emma", "日"], capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""
    done = subprocess.run([*words, "emma"], capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("'emma'")


# ---- side by side ----------------------------------------------------------------------------
def rendered(text, scores, width=120):
    console = Console(width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    console.print(tool.side_by_side(text, scores, width))
    return console.file.getvalue()


def test_columns_line_up_and_the_highest_loss_has_the_star():
    scores = {
        "02_bigram_counts": [math.log(2), math.log(8), math.log(4)],
        "06_shakespeare_gpt": [math.log(16)],  # neither its first character nor its end
    }
    rows = [line.split() for line in rendered("ab", scores).splitlines()]
    assert rows[-5:] == [
        ["a", "0.500", "0.69", "-"],
        ["b", "0.125", "2.08*", "0.062", "2.77*"],
        ["(end)", "0.250", "1.39", "-"],
        ["mean,", "nats", "1.39", "2.77"],
        ["mean,", "bits", "2.00", "4.00"],
    ]


def test_a_text_is_no_markup_and_no_escape():
    text = "[red]\x1b[1m:a:"
    printed = rendered(text, {"02_bigram_counts": [1.0] * (len(text) + 1)})
    assert "'[red]\\x1b[1m:a:'" in printed and "\x1b" not in printed


def test_a_narrow_terminal_gets_the_losses_of_all_models():
    of_stages = [folder for folder in tool.TEXT_MODELS if folder not in COMMANDS]
    for folders, width in ((of_stages, 70), (tool.TEXT_MODELS, 80)):
        scores = {folder: [1.25, 2.5, 0.5] for folder in folders}
        printed = rendered("ab", scores, width)
        assert printed.count("2.50*") == len(folders)
        assert max(map(len, printed.splitlines())) <= width
        assert "0.287" in rendered("ab", scores, 130) and "0.287" not in printed


@pytest.mark.parametrize("words, stages, texts", [
    (["emma"], [], ["emma"]),
    (["5", "emma", "4"], ["05_microgpt"], ["emma", "4"]),
    (["04", "02_bigram_counts", "NAME=emma"], ["04_embedding_mlp", "02_bigram_counts"], ["emma"]),
    (["5", "NAME="], ["05_microgpt"], []),
    (["NAME=5", "5"], [], ["5", "5"]),
    (["a=b"], [], ["a=b"]),
])  # fmt: skip
def test_words_are_stages_and_then_texts(words, stages, texts):
    assert tool.read_words(words) == (stages, texts)


def test_a_stage_that_scores_nothing_is_named():
    for word in ("1", "7"):
        with pytest.raises(tool.Problem, match=f"stage {word} .* give 2 to 6"):
            tool.read_words([word, "emma"])


# ---- scrambled and temperatures --------------------------------------------------------------
@given(st.text("abc", min_size=2, max_size=9), st.integers(0, 99))
def test_scrambled_is_another_order_of_the_same_letters(name, seed):
    if len(set(name)) < 2:
        with pytest.raises(tool.Problem, match="no other order"):
            tool.scramble(name, random.Random(seed))
    else:
        scrambled = tool.scramble(name, random.Random(seed))
        assert scrambled != name and sorted(scrambled) == sorted(name)
        assert scrambled == tool.scramble(name, random.Random(seed))


def test_the_comparison_of_a_toy():
    """Three real names, then their scrambled forms: likelier, equal, held impossible."""
    row = tool.compare_scrambled([1.0, 2.0, 3.0], [2.0, 2.0, math.inf])
    assert row == {"real": 2.0, "scrambled": math.inf, "likelier": pytest.approx(2 / 3)}


def test_samples_of_a_toy():
    row = tool.describe(["ann", "ann", "bo", "zyx"], {"ann", "eve"}, {"bo"})
    assert row == {
        "samples": 4, "mean_length": 2.75, "distinct": 3,
        "in_train": 0.5, "held_out": 0.25, "new": 0.25,
        "distinct_in_train": 1, "distinct_held_out": 1, "train_per_held_out": 1.0,
        "first": ["ann", "ann", "bo", "zyx"],
    }  # fmt: skip
    assert tool.describe(["ann", "zyx"], {"ann"}, {"bo"})["train_per_held_out"] is None


@pytest.fixture
def score(trained, tmp_path, monkeypatch, capsys):
    """score(*words) -> (status, stdout, stderr) of the tool. Only stage 02 is trained, on 250
    names, so these take the place of data/names.txt.
    """
    run = trained("02_bigram_counts")
    shutil.copytree(run.out / "02_bigram_counts", tmp_path / "02_bigram_counts")
    monkeypatch.setattr(tool, "NAMES", run.out / "data.txt")

    def score(*words, out=tmp_path):
        monkeypatch.setattr(sys, "argv", ["score", "--from", str(out), *map(str, words)])
        return tool.main(), *capsys.readouterr()

    return score


def test_the_tool_shows_what_is_trained_and_names_the_rest(score, tmp_path):
    status, out, err = score("NAME=emma")
    assert (status, err) == (0, "") and "'emma'" in out and "(end)" in out
    assert "03_bigram_learned (make stage 3)" in out and "02_bigram_counts (make" not in out
    status, out, err = score("4", "emma")
    assert status == 2 and out == "" and "make stage 4" in err and err.count("\n") == 1
    status, _, err = score("emma", out=tmp_path / "nothing")
    assert status == 2 and "make stage 2" in err and err.count("\n") == 1
    for words in ([], ["-"], ["2", "日"], ["6", "--scrambled"], ["--temperatures", "emma"],
                  ["--temperatures", "--samples=100"], ["--scrambled", "aaa"]):
        status, out, err = score(*words)
        assert status == 2 and out == "" and err.count("\n") == 1, words


@pytest.fixture
def other_scripts(tmp_path, monkeypatch):
    """A folder in which stage 02 is trained on names of other scripts and of hostile ones."""
    names = ["zo\u00e9", "chloe\u0301", "\u05e9\u05e8\u05d4", "\U0001f469\u200d\U0001f680"]
    names += ["a\x1b[2Jb\u202ec"]
    text = "\n".join(name + letter for name in names for letter in "abcdefghijklmnopqrst")
    (tmp_path / "data.txt").write_text(text, encoding="utf-8", newline="\n")
    flags = f"--data={tmp_path / 'data.txt'}", f"--out={tmp_path / '02_bigram_counts'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["main.py", *flags])
        load_stage("02_bigram_counts").main()
    return tmp_path


def test_an_accent_in_either_form_is_the_same_name(score, tmp_path, trained, monkeypatch):
    """One alphabet has \u00e9, the other one e and the accent."""
    for form, other in (("zo\u00e9", "zoe\u0301"), ("zoe\u0301", "zo\u00e9")):
        out = tmp_path / str(len(form))
        out.mkdir()
        text = "\n".join(form + letter for letter in "abcdefghijklmnopqrst")
        (out / "data.txt").write_text(text, encoding="utf-8")
        flags = f"--data={out / 'data.txt'}", f"--out={out / '02_bigram_counts'}"
        monkeypatch.setattr(sys, "argv", ["main.py", *flags])
        load_stage("02_bigram_counts").main()
        status, printed, err = score("2", form, out=out)
        assert (status, err) == (0, "")
        assert score("2", other, out=out)[1] == printed[printed.index("'zo") :]
        status, _, err = score("2", "--scrambled", other, out=out)
        assert (status, err) == (0, "")


def test_other_scripts_are_scored_and_escapes_are_shown(score, other_scripts):
    for name in ("\u05e9\u05e8\u05d4", "\U0001f469\u200d\U0001f680", "a\x1b[2Jb\u202ec"):
        for words in (["2", name], ["2", "--scrambled", name]):
            status, out, err = score(*words, out=other_scripts)
            assert (status, err) == (0, ""), name
            assert not set("\x1b\r\u202e") & set(out)
    status, _, err = score("2", "ann", out=other_scripts / "x\x1b[2J\ny")
    assert status == 2 and r"\x1b" in err and err.count("\n") == 1 and "\x1b" not in err


def test_a_running_text_lies_beside_the_names_and_its_mean_apart(score, trained, tmp_path):
    run = trained("06_shakespeare_gpt")
    shutil.copytree(run.out / "06_shakespeare_gpt", tmp_path / "06_shakespeare_gpt")
    status, out, err = score("2", "6", "hear")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert (status, err) == (0, "")
    assert rows["h"][-1] == rows["(end)"][-1] == "-" != rows["e"][-1]
    assert "06 reads a running text" in out
    status, out, err = score("6", "hear")  # nothing to tell apart
    assert (status, err) == (0, "") and "06 reads" not in out
    status, out, err = score("2", "6", "a")  # one character: 06 has nothing to score
    assert status == 0 and err.startswith("left out: 06_shakespeare_gpt: the text 'a' is too short")
    assert "02" in out and "06 reads" not in out


def test_the_tool_compares_scrambled_names(score):
    status, out, err = score("--scrambled", "olivia", "sophia")
    assert (status, err) == (0, "")
    assert re.search(r"02_bigram_counts +\d\.\d+ +\d\.\d+ +100.0%", out)
    assert out == score("--scrambled", "olivia", "sophia")[1]


def test_the_tool_keeps_what_temperatures_bring(score, tmp_path):
    status, out, err = score("2", "--temperatures", "--samples", 200)
    assert (status, err) == (0, "")
    kept = json.loads((tmp_path / "score" / "temperatures.json").read_text(encoding="utf-8"))
    assert [row["temperature"] for row in kept["rows"]] == list(tool.TEMPERATURES)
    for row in kept["rows"]:
        assert row["samples"] == 200 and len(row["first"]) == 10
        line = f"{row['temperature']} +{row['mean_length']:.2f} +{row['distinct']}"
        shares = [f"{row[key]:.1%}" for key in ("in_train", "held_out", "new")]
        assert re.search(" +".join([line, *shares]), out)
    distinct = [row["distinct"] for row in kept["rows"]]
    assert distinct[0] < distinct[-1]
    assert [p.name for p in (tmp_path / "score").iterdir()] == ["temperatures.json"]


def test_models_of_other_data_are_left_out_of_the_default_comparison(score, monkeypatch):
    monkeypatch.setattr(tool, "NAMES", ROOT / "data" / "names.txt")
    status, out, err = score("--scrambled")
    assert status == 2 and "02_bigram_counts was not trained on names.txt" in err


def test_the_tool_splits_the_names_as_the_stages_do(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    sha = hashlib.sha256(tool.NAMES.read_bytes()).hexdigest()
    (tmp_path / "x" / "result.json").write_text(json.dumps({"dataset": {"sha256": sha}}), "utf-8")
    names, folders = tool.only_default(tmp_path, ["x"])
    assert {k: len(v) for k, v in names.items()} == {"train": 23871, "val": 2938, "test": 2884}
    assert folders == ["x"]
