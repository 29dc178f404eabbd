"""The comparison of the families: every run has the size, the context and the recipe it names."""

import json
import sys
from dataclasses import replace

import pytest
import torch

import families
import ngrams
import plot_families
from stages import ROOT, load_stage

mlp = load_stage("04_embedding_mlp")
twin = load_stage("05_microgpt", "torch_twin")
names = load_stage("05_microgpt", "names")

NAMES = [f"{a}{b}{a}{c}{b}" for a in "abcde" for b in "mnop" for c in "xyz"]
TOKENIZER = names.Tokenizer("abcdefghijklmnopqrstuvwxyz")
RESULTS = ROOT / "results"
TABLE = RESULTS / "05_microgpt/families/table.json"


def count_params(run):
    torch.manual_seed(0)
    if run.train in (families.train_mlp, families.train_dropout_mlp):
        return sum(p.numel() for p in mlp.MLP(run.config, TOKENIZER).parameters())
    return sum(w.numel() for w in twin.init_weights(run.config, 27).values())


# ---- data ------------------------------------------------------------------------------------
@pytest.mark.parametrize("T", [1, 2, 3, 5, 6, 9])
def test_windows_score_each_target_once_after_all_the_tokens_that_fit(T):
    docs = ["emma", "a", "olivia"]
    expected = []
    for doc in docs:
        tokens = TOKENIZER.encode(doc)
        expected += [(tokens[max(0, i - T) : i], tokens[i]) for i in range(1, len(tokens))]
    xs, ys = families.windows(docs, TOKENIZER, T)
    assert xs.shape == ys.shape == (len(xs), T)
    found = [
        (x[: place + 1], y[place])
        for x, y in zip(xs.tolist(), ys.tolist())
        for place in range(T)
        if y[place] >= 0
    ]
    assert found == expected


def test_windows_as_long_as_a_name_are_the_rows_of_the_twin():
    docs = ["emma", "a", "bartholomew"]
    for ours, theirs in zip(
        families.windows(docs, TOKENIZER, 12), twin.pad_docs(docs, TOKENIZER, 12)
    ):
        assert torch.equal(ours, theirs)


# ---- runs ------------------------------------------------------------------------------------
@pytest.mark.parametrize("block_size, budget", [(3, 26_275), (8, 56_995)])
def test_an_mlp_with_the_budget_of_stage_04_has_its_sizes(block_size, budget):
    assert families.fit_mlp(block_size, budget) == (24, 256)


@pytest.mark.parametrize("entry, budget", [
    *((f"small-mlp-{n}", 4192) for n in (1, 2, 3, 5, 8, 12, 16)),
    ("mlp-8-26816", 26_816), ("mlp-8-201088", 201_088), ("mlp-8-201088-dropout", 201_088),
])  # fmt: skip
def test_an_mlp_uses_its_budget_and_keeps_its_shape(entry, budget):
    run = families.RUNS[entry]
    n_embd, n_hidden = run.config.n_embd, run.config.n_hidden
    larger = replace(run, config=replace(run.config, n_hidden=n_hidden + 1))
    assert count_params(run) <= budget < count_params(larger)
    assert 0.85 < n_hidden / n_embd / (256 / 24) < 1.25


def test_a_gpt_has_the_size_that_its_name_tells():
    named = [entry for entry in families.RUNS if entry.startswith(("best-", "gpt-"))]
    assert len(named) == 8
    for entry in named:
        assert count_params(families.RUNS[entry]) == int(entry.split("-")[1])
    small = {n: count_params(families.RUNS[f"small-gpt-{n}"]) for n in (2, 3, 4, 6, 8, 16)}
    assert small == {n: 4192 - 16 * (16 - n) for n in small}  # without the last positions


def test_the_stages_own_runs_are_among_them():
    configs = {entry: run.config for entry, run in families.RUNS.items()}
    assert configs["mlp-3"] == mlp.Config() and configs["small-gpt-16"] == twin.Config()
    assert configs["mlp-8"] == mlp.Config(block_size=8)
    assert configs["best-201088"] == twin.Config(preset="best", **twin.PRESETS["best"])


def test_every_run_tells_its_context_and_no_two_are_the_same():
    for run in families.RUNS.values():
        seen = run.config.n - 1 if run.train is families.train_ngram else run.config.block_size
        assert run.context == seen
    assert len({run.what for run in families.RUNS.values()}) == len(families.RUNS)


def test_every_run_is_in_a_picture():
    lines = (*plot_families.BY_SIZE, *plot_families.BY_TRAINING, *plot_families.BY_CONTEXT)
    drawn = {entry for *_, entries in lines for entry in entries}
    assert drawn == set(families.RUNS)


# ---- training --------------------------------------------------------------------------------
@pytest.fixture
def data():
    splits = {"train": NAMES[:40], "val": NAMES[40:50], "test": NAMES[50:]}
    return families.Data(splits, names.Tokenizer(sum(splits.values(), [])))


def mean_loss(log_probs, docs, tokenizer):
    """The mean of -log P over all targets, from log_probs(text) row by row."""
    losses = [
        -row[token]
        for doc in docs
        for row, token in zip(log_probs(doc), tokenizer.encode(doc)[1:], strict=True)
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("entry, changes", [
    ("counts-2", {}), ("small-mlp-3", {"steps": 3}), ("small-gpt-16", {"steps": 3}),
])  # fmt: skip
def test_the_losses_are_those_of_the_model_on_every_target(entry, changes, data):
    run = families.RUNS[entry]
    model, measured = run.train(replace(run.config, **changes), data)
    module = {"c": ngrams, "s": mlp if "mlp" in entry else twin}[entry[0]]
    for split, docs in data.splits.items():
        expected = mean_loss(lambda doc: module.log_probs(model, doc), docs, model.tokenizer)
        assert measured["loss"][split] == pytest.approx(expected, abs=1e-5)
    per_step = {"counts-2": 40 * 6, "small-mlp-3": 1024, "small-gpt-16": 256 * 6}[entry]
    assert measured["chars_seen"] == per_step * measured["steps"]


def test_dropout_drops_in_training_and_not_in_measuring(data):
    model, measured = families.train_dropout_mlp(mlp.Config(steps=2, n_hidden=1000), data)
    xs, ys = mlp.contexts(data.splits["val"], data.tokenizer, 3)
    h = model.hidden(xs)
    assert (h == 0).float().mean() == pytest.approx(0.1, abs=0.01)
    with torch.no_grad():
        assert (model.hidden(xs) != 0).all()
        kept = h != 0  # dropout enlarges what it keeps, so that the mean stays the same
        torch.testing.assert_close(h[kept], model.hidden(xs)[kept] / 0.9)
    assert measured["loss"]["val"] == mlp.evaluate(model, xs, ys)


def test_a_gpt_with_a_short_context_sees_the_last_characters_of_a_long_name(data):
    run = families.RUNS["small-gpt-2"]
    model, measured = run.train(replace(run.config, steps=3), data)
    tokenizer = model.tokenizer

    def log_probs(doc):
        tokens = tokenizer.encode(doc)
        lasts = [tokens[max(0, i - 2) : i] for i in range(1, len(tokens))]
        return [twin.gpt(model, torch.tensor([x]))[0, -1].log_softmax(0).tolist() for x in lasts]

    expected = mean_loss(log_probs, data.splits["val"], tokenizer)
    assert measured["loss"]["val"] == pytest.approx(expected, abs=1e-5)
    assert measured["chars_seen"] / measured["steps"] == pytest.approx(256 * 6, rel=0.1)


# ---- the command -----------------------------------------------------------------------------
@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run the program with four short runs on a few names, and return its folder."""
    runs = {
        "counts-1": families.ngram_run(1),
        "mlp-8": families.mlp_run(8, 2000, steps=2),
        "small-gpt-3": families.gpt_run(3, steps=2),
    }
    monkeypatch.setattr(families, "RUNS", runs)
    monkeypatch.setattr(families.mlp_common, "stop", families.mlp_common.stop)
    monkeypatch.setattr(families.common.stop, "training_began", False)
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")

    def call(*flags):
        places = [f"--{name}={tmp_path / name}" for name in ("out", "row")]
        data = f"--data={tmp_path / 'names.txt'}"
        monkeypatch.setattr(sys, "argv", ["families.py", data, *places, *flags])
        families.main()
        return tmp_path

    return call


def test_the_command_keeps_every_run_the_table_and_the_row(command, capsys):
    folder = command()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [f"run {i} of 3" for i in (1, 2, 3)]
    assert "0:00:00 left" in lines[2]
    content = json.loads((folder / "out/table.json").read_text(encoding="utf-8"))
    rows = {row["entry"]: row for row in content["rows"]}
    assert list(rows) == list(families.RUNS) and rows["small-gpt-3"]["context"] == 3
    row = json.loads((folder / "row/result.json").read_text(encoding="utf-8"))
    assert row["variant"] == "8 characters" and row["config"]["block_size"] == 8
    assert row["loss"] == rows["mlp-8"]["loss"] and row["dataset"]["name"] == "names"
    splits = names.load_splits(folder / "names.txt")
    model = mlp.load(folder / "row")
    loss = mean_loss(lambda doc: mlp.log_probs(model, doc), splits["val"], model.tokenizer)
    assert loss == pytest.approx(row["loss"]["val"], abs=1e-5)


def test_the_command_repeats_only_what_is_missing(command, capsys):
    folder = command()
    capsys.readouterr()
    command()
    assert "3 of 3 runs are kept" in capsys.readouterr().out
    (folder / "out/small-gpt-3-42.json").write_text("{", encoding="utf-8")
    (folder / "row/result.json").unlink()
    command()
    out = capsys.readouterr().out
    assert "1 of 3 runs are kept" in out and "run 1 of 2: mlp-8" in out
    assert (folder / "row/result.json").exists()
    command("--again")
    assert "run 3 of 3: small-gpt-3" in capsys.readouterr().out


@pytest.mark.parametrize("stopped_in", ["mlp-8", "small-gpt-3"])
def test_a_stop_in_any_stage_keeps_the_runs_before_it(stopped_in, command, monkeypatch, capsys):
    stop, train = families.common.stop, families.RUNS[stopped_in].train
    monkeypatch.setattr(stop, "count", 0)

    def interrupt(config, data):
        module = mlp if train is families.train_mlp else twin
        loss = module.F.cross_entropy

        def press_ctrl_c(*args, **kwargs):
            if torch.is_grad_enabled():  # in the first step
                stop(None, None)
            return loss(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(module.F, "cross_entropy", press_ctrl_c)
            model, measured = train(replace(config, steps=1000), data)
        assert measured["steps"] == 1
        return model, measured

    run = replace(families.RUNS[stopped_in], train=interrupt)
    monkeypatch.setitem(families.RUNS, stopped_in, run)
    folder = command()
    assert "finished runs are kept" in capsys.readouterr().out
    rows = json.loads((folder / "out/table.json").read_text(encoding="utf-8"))["rows"]
    before = list(families.RUNS)[: list(families.RUNS).index(stopped_in)]
    assert [row["entry"] for row in rows] == before
    assert (folder / "row/result.json").exists() == ("mlp-8" in before)


def test_list_names_every_run_and_trains_none(command, capsys):
    folder = command("--list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(families.RUNS)
    assert not (folder / "out").exists()


# ---- the committed results -------------------------------------------------------------------
def test_the_committed_table_has_every_run_and_agrees_with_the_other_results():
    content = json.loads(TABLE.read_text(encoding="utf-8"))
    rows = {row["entry"]: row for row in content["rows"]}
    assert list(rows) == list(families.RUNS)
    assert {entry: row["what"] for entry, row in rows.items()} == {
        entry: run.what for entry, run in families.RUNS.items()
    }
    same = {
        "counts-1": "02_bigram_counts/ngram/names-2", "counts-5": "02_bigram_counts/ngram/names-6",
        "mlp-3": "04_embedding_mlp", "mlp-8": "04_embedding_mlp/context-8",
        "small-gpt-16": "05_microgpt/twin", "best-201088": "05_microgpt/best",
    }  # fmt: skip
    for entry, folder in same.items():
        result = json.loads((RESULTS / folder / "result.json").read_text(encoding="utf-8"))
        assert rows[entry]["params"] == result["params"]
        assert rows[entry]["loss"]["val"] == pytest.approx(result["loss"]["val"], abs=0.01)
