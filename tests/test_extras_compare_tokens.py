"""Tokens on one scale: every kind is scored on the same characters, and nothing is left out."""

import json
import math
import random
import signal
import sys
from functools import partial

import pytest
import torch

import compare_tokens
from compare_tokens import ENTRIES, make_tokens, token_nats, train_tokens, unknown_costs
from stages import ROOT, load_stage
from words import UNKNOWN, Words

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

SPEECH = """First Citizen:
Before we proceed any further, hear me speak. You are all resolved rather to die than to famish?
"""
LINES = random.Random(1).choices(SPEECH.splitlines(keepends=True), k=60)
TEXT = "".join(line + "".join(random.Random(i).choices("abcdef", k=4)) + " "
               for i, line in enumerate(LINES))  # fmt: skip
SIZES = dict(batch_size=4, block_size=8, n_embd=16, n_head=2, n_layer=1, dtype="float32")
TINY = stage.Config(**SIZES, steps=0, device="cpu", eval_every=10**7)
n = int(0.9 * len(TEXT))
SPLITS = {"train": TEXT[:n], "val": TEXT[n:]}


@pytest.fixture(autouse=True)
def no_stop():
    yield
    common.stop.count, common.stop.training_began = 0, False


@pytest.fixture
def uniform(monkeypatch):
    """Models that find every token equally likely."""

    def make_model(*arguments):
        model = original(*arguments)
        torch.nn.init.zeros_(model.lm_head.weight)
        return model

    original = compare_tokens.make_model
    monkeypatch.setattr(compare_tokens, "make_model", make_model)


# ---- nats per character ----------------------------------------------------------------------
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_uniform_model_by_hand(entry, uniform):
    """log(vocabulary) for each token but the first, and for words the cost of their spelling."""
    tokens = make_tokens(entry, TINY, SPLITS, "cpu")
    measured, _ = train_tokens(TINY, tokens)
    scored = SPLITS["val"][1:]
    tokenizer = ENTRIES[entry].learn(SPLITS["train"], sorted(set(TEXT)))
    nats = len(tokenizer.encode(scored)) * math.log(tokenizer.vocab_size)
    if isinstance(tokenizer, Words):
        unknown = tokenizer.unknown(scored)
        assert unknown and measured["unknown_chars"] == len("".join(unknown)) / len(scored)
        nats += sum(map(tokenizer.spelling, unknown))
    assert measured["val"] == pytest.approx(nats / len(scored), rel=1e-6)
    assert measured["context_chars"] == pytest.approx(8 * measured["chars_per_token"])


def test_a_uniform_guess_of_characters_costs_the_logarithm_of_their_number(uniform):
    measured, _ = train_tokens(TINY, make_tokens("chars", TINY, SPLITS, "cpu"))
    assert measured["val"] == pytest.approx(math.log(len(set(TEXT))), rel=1e-6)
    assert measured["chars_per_token"] == 1 and measured["context_chars"] == 8


def test_the_nats_of_the_tokens_are_those_of_the_evaluation():
    torch.manual_seed(1)
    model = compare_tokens.make_model(TINY, 7, {}, [])
    torch.nn.init.normal_(model.lm_head.weight)
    for length in (2, 9, 40, 43):
        data = torch.randint(7, (length,))
        nats = token_nats(model, data)
        assert nats.shape == (length - 1,)
        assert nats.mean().item() == pytest.approx(stage.evaluate(model, data), rel=1e-5)


def test_what_an_unknown_word_costs_by_hand():
    data = torch.tensor([UNKNOWN, 1, UNKNOWN, 2, UNKNOWN])  # the first is not scored
    nats = torch.tensor([1.0, 3.0, 2.0, 5.0])
    costs = unknown_costs(nats, data, {"chars_per_token": 4.0, "spelling": 2.5})
    assert costs == {"known_nats": 1.5, "unknown_nats": 4.0, "spelling_nats": 2.5 * 16 / 2}
    assert unknown_costs(nats, data.clamp(min=1), {"chars_per_token": 4.0, "spelling": 0.0}) == {}


@pytest.mark.parametrize("entry", ["words-2", "words-20"])
def test_known_and_unknown_words_together_are_the_loss(entry):
    tokens = make_tokens(entry, TINY, SPLITS, "cpu")
    measured, _ = train_tokens(TINY, tokens)
    unknown = (tokens.data["val"][1:] == UNKNOWN).sum().item()
    known = len(tokens.data["val"]) - 1 - unknown
    of_unknown = measured["unknown_nats"] + measured["spelling_nats"]
    total = known * measured["known_nats"] + unknown * of_unknown
    assert measured["val"] == pytest.approx(total / (len(SPLITS["val"]) - 1), rel=1e-5)
    assert of_unknown > measured["known_nats"]


def test_every_tokenizer_learns_from_train_only():
    for entry in ("pairs-256", "words-2"):
        alone = make_tokens(entry, TINY, SPLITS, "cpu")
        other = make_tokens(entry, TINY, {**SPLITS, "val": SPLITS["val"][::-1]}, "cpu")
        assert torch.equal(alone.data["train"], other.data["train"])
        assert alone.vocab_size == other.vocab_size


# ---- the command -----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, *flags, text=TEXT):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    shared = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'o'}", "--device=cpu"]
    monkeypatch.setattr(compare_tokens.stage, "Config", partial(stage.Config, **SIZES))
    monkeypatch.setattr(sys, "argv", ["compare_tokens.py", *shared, "--minutes=0.001", *flags])
    compare_tokens.main()


def read_rows(tmp_path):
    table = json.loads((tmp_path / "o" / "table.json").read_text(encoding="utf-8"))
    assert table["unit"] == "nats/char"
    return {row["entry"]: row for row in table["rows"]}


def test_a_series_keeps_every_run_and_the_table(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--seeds=2", "--only=words-2,pairs-256")
    rows = read_rows(tmp_path)
    assert list(rows) == ["chars", "pairs-256", "words-2"]  # the order of ENTRIES
    for entry, row in rows.items():
        assert row["seeds"] == [1337, 1338] and row["steps"] >= 1 and row["val"]["sd"] > 0
        runs = [json.loads((tmp_path / f"o/{entry}-{seed}.json").read_text(encoding="utf-8"))
                for seed in row["seeds"]]  # fmt: skip
        assert row["val"]["mean"] == pytest.approx(sum(run["val"] for run in runs) / 2)
        assert row["vocab_size"] == runs[0]["vocab_size"] and row["vocab_size"] % 1 == 0
        assert ("unknown_nats" in row) == (entry == "words-2")
    extra = rows["words-2"]["vocab_size"] - rows["chars"]["vocab_size"]
    assert rows["words-2"]["params"] - rows["chars"]["params"] == extra * (16 + 16 + 1)
    printed = capsys.readouterr().out
    assert "Tokens on one scale" in printed and "What an unknown word costs" in printed
    command(monkeypatch, tmp_path, "--seeds=2", "--only=words-2,pairs-256")
    assert "6 of 6 runs are kept" in capsys.readouterr().out


def test_a_stop_keeps_the_finished_runs(monkeypatch, tmp_path, capsys):
    made, original = [], compare_tokens.make_model

    def stop(model, inputs):
        if model.training:  # and not in the evaluation before the first step
            common.stop(signal.SIGINT, None)

    def make_model(*arguments):
        made.append(original(*arguments))
        if len(made) == 2:
            made[1].register_forward_pre_hook(stop)
        return made[-1]

    monkeypatch.setattr(compare_tokens, "make_model", make_model)
    command(monkeypatch, tmp_path, "--seeds=1", "--only=words-2,pairs-256")
    assert sorted(path.stem for path in (tmp_path / "o").iterdir()) == ["chars-1337", "table"]
    assert list(read_rows(tmp_path)) == ["chars"] and len(made) == 2
    printed = capsys.readouterr().out
    assert "stopped; finished runs are kept" in printed and "unknown word costs" not in printed


def test_a_run_that_diverged_is_left_out_of_the_means(monkeypatch, tmp_path, capsys):
    original = compare_tokens.make_model

    def make_model(config, *arguments):
        model = original(config, *arguments)
        if config.seed == 1337:
            torch.nn.init.constant_(model.lm_head.bias, math.nan)
        return model

    monkeypatch.setattr(compare_tokens, "make_model", make_model)
    command(monkeypatch, tmp_path, "--seeds=2", "--only=words-2")
    row = read_rows(tmp_path)["words-2"]
    assert row["diverged"] == 1 and row["val"]["mean"] > 0 and row["unknown_nats"] > 0
    assert "1 of 2 diverged" in capsys.readouterr().out


def test_a_text_with_too_few_words_is_named(monkeypatch, tmp_path):
    with pytest.raises(common.BadInput, match="val part has [2-8] tokens, .* a longer text"):
        command(monkeypatch, tmp_path, text="to be or not to be " * 8)


def test_an_unknown_entry_is_named(monkeypatch, tmp_path):
    with pytest.raises(common.BadInput, match="there is no words-3; choose from chars, "):
        command(monkeypatch, tmp_path, "--only=words-3")


def test_no_time_is_refused_in_one_line(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command(monkeypatch, tmp_path, "--minutes=0")
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "compare_tokens.py: error: --minutes 0.0 is out of range: give a value "
        "from 0.001 to 100000; see --help"
    ]


def test_list_names_every_entry_and_trains_none(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ENTRIES)
    assert not (tmp_path / "o").exists()


def test_the_results_have_their_usual_folder():
    assert compare_tokens.Config().out == ROOT / "out" / "06_shakespeare_gpt" / "compare_tokens"
    assert compare_tokens.Config().minutes == 1
    path = ROOT / "results/06_shakespeare_gpt/compare_tokens/table.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert {row["entry"]: row["what"] for row in rows} == {
        entry: kind.what for entry, kind in ENTRIES.items()
    }
