"""Scores by every stage's score.py, and tools/score.py, which puts them side by side."""

import importlib
import importlib.util
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
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from conftest import ROOT, forget_stage_modules

sys.path.append(str(ROOT / "tools"))  # last: stages have a score.py of their own
spec = importlib.util.spec_from_file_location("tools_score", ROOT / "tools" / "score.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:250]
VAL = [name for name in NAMES if zlib.crc32(name.encode()) % 10 == 8]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
RUNS = {  # folder below out: flags of a run of a second or less
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=60", "--batch-size=256"],
    "04_embedding_mlp": ["--steps=60", "--batch-size=64", "--n-hidden=16", "--block-size=4"],
    "05_microgpt": ["--steps=20", "--n-embd=8", "--block-size=6", "--no-twin"],
    "05_microgpt/twin": ["--steps=30", "--batch-size=32", "--n-embd=8", "--block-size=6"],
    "06_shakespeare_gpt": [
        "--steps=20", "--batch-size=8", "--block-size=16", "--n-embd=16", "--n-layer=1",
        "--device=cpu",
    ],
}
NAMES_RUNS = list(RUNS)[:5]
made = {}  # folder below out: the path that its run has written to


@pytest.fixture
def trained(tmp_path_factory, monkeypatch):
    """trained(folder) -> the stage's modules, and out: where a short run of it has written."""

    def trained(folder):
        stage, _, twin = folder.partition("/")
        forget_stage_modules()
        monkeypatch.syspath_prepend(ROOT / stage)
        modules = {name: importlib.import_module(name) for name in ("score", "scoring", "plumbing")}
        main = importlib.import_module(twin or "main")
        monkeypatch.setattr(modules["plumbing"], "draw_curve", lambda *_: None)
        if folder not in made:
            made[folder] = out = tmp_path_factory.mktemp(stage)
            text = SPEECH * 6 if folder == tool.RUNNING_TEXT else "\n".join(NAMES)
            (out / "data.txt").write_text(text, encoding="utf-8")
            flags = [*RUNS[folder], f"--data={out / 'data.txt'}", f"--out={out}"]
            monkeypatch.setattr(sys, "argv", ["main.py", *flags])
            assert main.main() == 0
        return SimpleNamespace(main=main, out=made[folder], **modules)

    yield trained
    forget_stage_modules()


def score_all(stage, texts):
    model = stage.score.load(stage.out)
    return [stage.scoring.score(model, stage.score.predict, text) for text in texts]


def command(stage, monkeypatch, *words):
    """What score.py does with this command line."""
    monkeypatch.setattr(sys, "argv", ["score.py", *words])
    score = stage.score
    return stage.scoring.main(score.__doc__, score.load, score.predict, score.draw)


# ---- the losses ------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", NAMES_RUNS)
def test_scores_of_all_val_names_average_to_the_val_loss(folder, trained):
    stage = trained(folder)
    scores = score_all(stage, VAL)
    losses = sum((s["losses"] for s in scores), [])
    result = json.loads((stage.out / "result.json").read_text(encoding="utf-8"))
    assert len(losses) == result["targets"]["val"]
    assert sum(losses) / len(losses) == pytest.approx(result["loss"]["val"], rel=1e-5)
    assert scores[0]["chars"] == [*VAL[0], "<end>"]
    assert any(len(name) > 6 for name in VAL)  # longer than the block_size of 05


def test_scores_of_the_stretches_of_val_average_to_the_best_val_loss(trained):
    stage = trained("06_shakespeare_gpt")
    val = (SPEECH * 6)[int(0.9 * len(SPEECH * 6)) :]
    stretches = [val[i : i + 17] for i in range(0, len(val) - 1, 16)]
    losses = sum((s["losses"] for s in score_all(stage, stretches)), [])
    result = json.loads((stage.out / "result.json").read_text(encoding="utf-8"))
    assert len(losses) == len(val) - 1
    assert sum(losses) / len(losses) == pytest.approx(result["best"]["val"], rel=1e-5)


def test_a_running_text_slides_through_the_block(trained):
    """Each character is scored from the 16 before it, and what lies further back is no matter."""
    stage = trained("06_shakespeare_gpt")
    whole, end = score_all(stage, [SPEECH[:40], SPEECH[23:40]])
    assert whole["chars"] == list(SPEECH[1:40])
    assert len(end["losses"]) == 16 and whole["losses"][-1] == pytest.approx(end["losses"][-1])
    assert whole["losses"][-2] != pytest.approx(end["losses"][-2], rel=1e-6)


@pytest.mark.parametrize("folder", RUNS)
def test_probabilities_of_each_place_sum_to_one(folder, trained):
    stage = trained(folder)
    model, text = stage.score.load(stage.out), "further" if "06" in folder else "annabella"
    predictions = list(stage.score.predict(model, text))
    (scores,) = score_all(stage, [text])
    for (ch, log_probs), (other, p) in zip(predictions, scores["others"], strict=True):
        assert sum(map(math.exp, log_probs.values())) == pytest.approx(1, abs=1e-5)
        assert other != ch and p == max(math.exp(q) for c, q in log_probs.items() if c != ch)


def test_the_twin_scores_as_main_does_on_the_same_weights(trained):
    stage = trained("05_microgpt/twin")
    model = stage.score.load(stage.out)
    twins = stage.score.twin_rows(model, "annabella")
    model.weights = {name: w.tolist() for name, w in model.weights.items()}
    for row, expected in zip(stage.score.plain_rows(model, "annabella"), twins, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_what_was_never_counted_costs_infinity_and_is_null_in_json(trained, monkeypatch, capsys):
    stage = trained("02_bigram_counts")
    model = stage.score.load(stage.out)
    model.P[:, 0] = 0  # no a, ever
    monkeypatch.setattr(stage.score, "load", lambda out: model)
    command(stage, monkeypatch, "a")
    assert re.search(r"a +0\.0000 +inf ", capsys.readouterr().out)
    command(stage, monkeypatch, "a", "--json")
    scores = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert scores["losses"][0] is None and scores["mean"] is None


# ---- samples ---------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", RUNS)
def test_cold_samples_take_the_likeliest_character_each_time(folder, trained):
    """At 0.01, odds of e ** 0.15 to 1 become more than 3 million to 1: only near ties are open."""
    stage = trained(folder)
    model = stage.score.load(stage.out)
    start = "\n" if folder == tool.RUNNING_TEXT else ""
    for cold in set(stage.score.draw(model, 5, 0.01, seed=1)):
        predictions = stage.score.predict(model, start + cold + "e")
        for ch, (_, log_probs) in zip(cold[:6], predictions):
            assert log_probs[ch] > max(log_probs.values()) - 0.15
    if folder == "02_bigram_counts":  # trained well enough to have no near ties
        assert len(set(stage.score.draw(model, 50, 0.01, seed=1))) == 1


@pytest.mark.parametrize("folder", RUNS)
def test_hot_samples_differ_and_the_seed_repeats_them(folder, trained):
    stage = trained(folder)
    model = stage.score.load(stage.out)
    hot = stage.score.draw(model, 20, 1.0, seed=1)
    assert len(set(hot)) > 10 and not any("\n" in sample for sample in hot)
    assert hot == stage.score.draw(model, 20, 1.0, seed=1) != stage.score.draw(model, 20, 1.0, 2)


def test_half_the_temperature_squares_the_probabilities(trained):
    """Of the first letter: P ** 2 over its sum; 4,000 draws come within 0.03 of it."""
    stage = trained("02_bigram_counts")
    model = stage.score.load(stage.out)
    ((_, log_probs), *_) = stage.score.predict(model, "")
    squares = {ch: math.exp(2 * q) for ch, q in log_probs.items()}
    drawn = [name[:1] or "<end>" for name in stage.score.draw(model, 4000, 0.5, seed=1)]
    for ch, square in squares.items():
        expected = square / sum(squares.values())
        assert drawn.count(ch) / 4000 == pytest.approx(expected, abs=0.03)


# ---- the command line of a stage -------------------------------------------------------------
@pytest.mark.parametrize("folder", RUNS)
def test_json_says_what_the_table_says(folder, trained, monkeypatch, capsys):
    stage, text = trained(folder), "hear me" if "06" in folder else "emma"
    assert command(stage, monkeypatch, text, f"--out={stage.out}") == 0
    table = capsys.readouterr().out
    assert command(stage, monkeypatch, text, "--json", f"--out={stage.out}") == 0
    scores = json.loads(capsys.readouterr().out)
    title, _, *rows, mean = table.strip().splitlines()
    assert title == f"{text!r} under {folder.replace('/', ', ')}" and scores["text"] == text
    lines = zip(scores["chars"], scores["losses"], scores["others"])
    for row, (ch, loss, (other, p)) in zip(rows, lines, strict=True):
        ch, other = (repr(c) if c.isspace() else c for c in (ch, other))
        words = [ch, f"{math.exp(-loss):.4f}", f"{loss:.4f}", other, f"{p:.4f}"]
        assert " ".join(row.split()) == " ".join(words)
    assert mean.split()[1] == f"{scores['mean']:.4f}"
    assert scores["mean"] == pytest.approx(sum(scores["losses"]) / len(scores["losses"]))


@pytest.mark.parametrize("folder", RUNS)
def test_what_cannot_be_scored_is_named(folder, trained, tmp_path, monkeypatch):
    stage = trained(folder)
    out, empty = f"--out={stage.out}", f"--out={tmp_path}"
    (tmp_path / "counts.json").write_text('{"chars": ', encoding="utf-8")
    (tmp_path / "weights.json").write_bytes(b"\xff")
    bad = [
        (["日本", out], "'日'|'本'"),
        (["emma", "--out=nowhere"], "--out nowhere"),
        (["emma", empty], re.escape(str(tmp_path))),
        (["--sample=0", out], "--sample 0"),
        (["--sample=3", "emma", out], "'emma'"),
        (["--sample=3", "--temperature", "1", "nan", out], "--temperature nan"),
        (["emma", "--seed=-1", out], "--seed -1"),
    ]
    for words, named in bad:
        with pytest.raises(stage.plumbing.BadInput, match=named):
            command(stage, monkeypatch, *words)
    (tmp_path / "model.pt").write_bytes(b"no tensors")
    with pytest.raises(stage.plumbing.BadInput, match="run main.py first"):
        command(stage, monkeypatch, "emma", empty)


def test_a_text_of_one_character_has_nothing_to_score(trained):
    stage = trained("06_shakespeare_gpt")
    with pytest.raises(stage.plumbing.BadInput, match="'F' is too short"):
        score_all(stage, ["F"])


def test_stdin_is_lines_of_names_or_one_text(trained, monkeypatch, capsys):
    for folder, expected in (("02_bigram_counts", ["mia", "ava"]),
                             ("06_shakespeare_gpt", ["mia\n\n ava \n"])):
        stage = trained(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"mia\r\n\r\n ava \r\n")))
        texts = list(stage.scoring.read_texts(["-"], whole="06" in folder))
        assert texts == expected


def test_as_a_program_it_ends_with_status_2_and_one_line(trained):
    out = trained("02_bigram_counts").out
    words = [sys.executable, ROOT / "02_bigram_counts" / "score.py", "--out", out, "emma", "日"]
    done = subprocess.run(words, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stdout.startswith("'emma' under 02_bigram_counts\n")


def test_scoring_is_one_file():
    copies = {path.read_bytes() for path in ROOT.glob("0*_*/scoring.py")}
    assert len(copies) == 1 and len(list(ROOT.glob("0*_*/scoring.py"))) == 5
    for path in ROOT.glob("0*_*/score.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 90


# ---- side by side ----------------------------------------------------------------------------
def answer(text, losses, end=True):
    chars = [*text, "<end>"] if end else list(text[1:])
    return {"chars": chars, "losses": losses, "mean": sum(losses) / len(losses)}


def rendered(text, answers, width=120):
    console = Console(width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    console.print(tool.side_by_side(text, answers, width))
    return console.file.getvalue()


def test_columns_line_up_and_the_highest_loss_has_the_star():
    answers = {
        "02_bigram_counts": answer("ab", [math.log(2), math.log(8), math.log(4)]),
        "06_shakespeare_gpt": answer("ab", [math.log(16)], end=False),
    }
    rows = [line.split() for line in rendered("ab", answers).splitlines()]
    assert rows[-5:] == [
        ["a", "0.500", "0.69", "-"],
        ["b", "0.125", "2.08*", "0.062", "2.77*"],
        ["(end)", "0.250", "1.39", "-"],
        ["mean,", "nats", "1.39", "2.77"],
        ["mean,", "bits", "2.00", "4.00"],
    ]


def test_a_text_is_no_markup_and_no_escape():
    text = "[red]\x1b[1m:a:"
    printed = rendered(text, {"02_bigram_counts": answer(text, [1.0] * (len(text) + 1))})
    assert "'[red]\\x1b[1m:a:'" in printed and "\x1b" not in printed


def test_a_narrow_terminal_gets_the_losses_of_all_models():
    answers = {folder: answer("ab", [1.25, 2.5, 0.5]) for folder in RUNS}
    printed = rendered("ab", answers, width=70)
    assert printed.count("2.50*") == 6 and max(map(len, printed.splitlines())) <= 70
    assert "0.287" in rendered("ab", answers) and "0.287" not in printed


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
    means = [1.0, 2.0, 3.0, 2.0, 2.0, None]
    row = tool.compare_scrambled([{"mean": mean} for mean in means])
    assert row == {"real": 2.0, "scrambled": math.inf, "likelier": pytest.approx(2 / 3)}


def test_samples_of_a_toy():
    row = tool.describe(["ann", "ann", "bo", "zyx"], {"ann"}, {"ann", "bo"})
    assert row == {
        "samples": 4, "mean_length": 2.75, "distinct": 3, "in_train": 0.5, "in_data": 0.75,
        "first": ["ann", "ann", "bo", "zyx"],
    }  # fmt: skip


@pytest.fixture
def score(trained, tmp_path, monkeypatch, capsys):
    """score(*words) -> (status, stdout, stderr) of the tool, where stage 02 alone is trained; as
    that was on 250 names, those are what data/names.txt holds here.
    """
    stage = trained("02_bigram_counts")
    shutil.copytree(stage.out, tmp_path / "02_bigram_counts")
    monkeypatch.setattr(tool, "NAMES", stage.out / "data.txt")

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
        assert re.search(f"{line} +{row['in_train']:.1%} +{row['in_data']:.1%}", out)
    distinct = [row["distinct"] for row in kept["rows"]]
    assert distinct[0] < distinct[-1]
    assert [p.name for p in (tmp_path / "score").iterdir()] == ["temperatures.json"]


def test_models_of_other_data_are_left_out_of_the_default_comparison(score, monkeypatch):
    monkeypatch.setattr(tool, "NAMES", ROOT / "data" / "names.txt")
    status, out, err = score("--scrambled")
    assert status == 2 and "02_bigram_counts was not trained on names.txt" in err


def test_the_tool_splits_the_names_as_the_stages_do(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    sha = tool.hashlib.sha256(tool.NAMES.read_bytes()).hexdigest()
    (tmp_path / "x" / "result.json").write_text(json.dumps({"dataset": {"sha256": sha}}), "utf-8")
    names, folders = tool.only_default(tmp_path, ["x"])
    assert {k: len(v) for k, v in names.items()} == {"train": 23871, "val": 2938, "test": 2884}
    assert folders == ["x"]
