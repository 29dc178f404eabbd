"""The way from stage 05's model to stage 06's: its ends are these models, its steps are single."""

import json
import sys
from dataclasses import fields

import pytest
import torch

import microgpt_to_shakespeare as chain
from microgpt_to_shakespeare import CHAIN, load_names, plan
from stages import ROOT, load_stage

micro = load_stage("05_microgpt")
twin = load_stage("05_microgpt", "torch_twin")
names = load_stage("05_microgpt", "names")
stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

V = 11
TEXT = "to be, or not to be, that is the question: whether tis nobler\n" * 40


def new_model(row, vocab_size, **changes):
    return row.new_model(stage.Config(**{**row.config, **changes}), vocab_size)


def params(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# ---- the rows --------------------------------------------------------------------------------
def test_each_row_changes_one_thing_and_the_last_is_main_py():
    rows = plan()
    entries = [entry for entry in rows if entry != "dropout"]
    configs = {entry: stage.Config(**row.config) for entry, row in rows.items()}
    for row in rows.values():
        new_model(row, V)
    for before, after in zip(entries, entries[1:]):
        to_come = [len(rows[entry].to_come) for entry in (before, after)]
        differs = [
            field.name for field in fields(stage.Config)
            if getattr(configs[after], field.name) != getattr(configs[before], field.name)
        ]  # fmt: skip
        assert to_come[0] - to_come[1] in (1, 2)  # there is an aside between some of them
        assert sorted(differs) == sorted(CHAIN[after].fields), after
        step = CHAIN[after]
        assert bool(step.parts) + (step.change is not chain.unchanged) + len(step.fields) == 1
    last = configs[entries[-1]]
    sizes = {"steps", "block_size", "n_embd", "n_head", "n_layer", "dropout"}
    main = stage.Config()
    assert {k for k in vars(main) if getattr(last, k) != getattr(main, k)} <= sizes
    assert rows[entries[-1]].to_come == []
    torch.manual_seed(last.seed)
    model = stage.make_model(last, stage.Tokenizer("abcdefghijk"))
    xb = torch.tensor([[1, 2, 3]])
    assert torch.equal(new_model(rows[entries[-1]], V).eval()(xb), model.eval()(xb))


def test_parameters_along_the_way():
    counts = {entry: params(new_model(row, 27)) for entry, row in plan().items()}
    assert counts["microgpt"] == 4192
    assert counts["layernorm"] == 4192 + 3 * 2 * 16
    assert counts["last-norm"] == counts["gelu"] == counts["layernorm"]
    assert counts["biases"] == counts["corpus"] == counts["gelu"] + 9 * 16 + 27


def test_rows_are_compared_with_the_one_before_but_for_asides_and_another_text():
    references = {entry: row.reference for entry, row in plan().items()}
    assert references["microgpt"] is None and references["corpus"] is None
    assert references["gelu"] == "last-norm"
    assert references["dropout"] == references["rate"] == "init"


# ---- the models ------------------------------------------------------------------------------
def rename(name):
    """layer0.attn_wq -> blocks.0.attn.attn_wq.weight"""
    if not name.startswith("layer"):
        return f"{name}.weight"
    layer, matrix = name.split(".")
    inside = f"attn.{matrix}" if matrix.startswith("attn") else matrix
    return f"blocks.{layer[len('layer') :]}.{inside}.weight"


@pytest.mark.parametrize("n_layer, n_head", [(1, 4), (3, 2)])
def test_the_first_row_is_stage_05s_model(n_layer, n_head):
    """Weights as main.py of stage 05 writes them give its logits, the twin's and stage 06's."""
    shape = {"block_size": 8, "n_embd": 16, "n_head": n_head, "n_layer": n_layer}
    tokenizer = names.Tokenizer("abcdefghijklmnopqrstuvwxyz")
    config, V = micro.Config(**shape), 27
    values = micro.init_weights(config, V)
    floats = {k: [[6 * p.data for p in row] for row in rows] for k, rows in values.items()}
    floats = json.loads(json.dumps(floats))
    tokens = [26, 4, 12, 12, 0, 26, 3, 1]
    expected = micro_logits(micro.Model(config, floats, tokenizer), tokens)

    weights = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in floats.items()}
    xb = torch.tensor([tokens])
    twins = twin.gpt(twin.Model(twin.Config(**shape), weights, tokenizer), xb)[0]

    model = new_model(plan()["microgpt"], V, **shape).double()
    model.load_state_dict({rename(name): w for name, w in weights.items()})  # no more and no less
    logits = model(xb)[0]

    assert logits.std() > 0.1
    torch.testing.assert_close(twins, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(logits, twins, rtol=0, atol=1e-9)


def micro_logits(model, tokens):
    """Stage 05's logits after each token."""
    cache = [([], []) for _ in range(model.config.n_layer)]
    return [micro.gpt(model, token, i, cache) for i, token in enumerate(tokens)]


def test_the_rows_after_the_first_have_other_logits():
    xb = torch.tensor([[26, 4, 12, 12, 0, 26, 3, 1]])
    logits = {entry: new_model(row, 27).eval()(xb) for entry, row in plan().items()}
    for before, after in [("microgpt", "last-norm"), ("last-norm", "gelu"), ("biases", "init")]:
        assert (logits[before] - logits[after]).abs().max() > 1e-4, after


# ---- the names -------------------------------------------------------------------------------
def test_names_as_one_text_keep_the_targets_of_stage_05():
    """What stages 02 to 05 count: every character of the val names and the end of each."""
    texts = load_names(ROOT / "data" / "names.txt")
    assert {name: len(text) - 1 for name, text in texts.items()} == {"train": 171080, "val": 21024}
    assert texts["val"][0] == texts["val"][-1] == "\n" and "\n\n" not in texts["val"]
    splits = names.load_splits(ROOT / "data" / "names.txt")
    assert texts["val"].split() == splits["val"] and texts["train"].split() == splits["train"]


@pytest.mark.parametrize("content, problem", [
    (None, "--names .*No such file"), ("emma\nava\n", "--names .* split is empty"),
])  # fmt: skip
def test_names_that_do_not_serve_are_the_one_line_error_of_this_stage(content, problem, tmp_path):
    if content:
        (tmp_path / "few.txt").write_text(content, encoding="utf-8")
    with pytest.raises(common.BadInput, match=problem):
        load_names(tmp_path / "few.txt")


# ---- the command -----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    lines = "\n".join(f"{a}{b}{a}{c}" for a in "abcde" for b in "mnop" for c in "xyz")
    (tmp_path / "names.txt").write_text(lines, encoding="utf-8")
    shared = [f"--{name}={tmp_path / file}" for name, file in
              (("data", "text.txt"), ("names", "names.txt"), ("out", "o"))]  # fmt: skip
    argv = ["microgpt_to_shakespeare.py", *shared, "--device=cpu", *flags]
    monkeypatch.setattr(sys, "argv", argv)
    chain.main()


def test_every_row_is_trained_on_its_text(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--steps=1")
    rows = json.loads((tmp_path / "o" / "table.json").read_text(encoding="utf-8"))["rows"]
    assert [row["entry"] for row in rows] == list(CHAIN)
    without = [row["entry"] for row in rows if row["difference"]["mean"] is None]
    assert without == ["microgpt", "corpus"]
    files = {common.read_hashes[tmp_path / f"{name}.txt"]: name for name in ("names", "text")}
    for entry in CHAIN:
        run = json.loads((tmp_path / "o" / f"{entry}-1337.json").read_text(encoding="utf-8"))
        assert files[run["about"]["sha256"]] == ("text" if entry == "corpus" else "names")
    assert "does not compare" in capsys.readouterr().out
    command(monkeypatch, tmp_path, "--steps=1")
    assert f"{3 * len(CHAIN)} of {3 * len(CHAIN)} runs are kept" in capsys.readouterr().out


def test_list_names_every_row_and_trains_none(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(CHAIN)
    assert not (tmp_path / "o").exists()


def test_the_results_have_their_usual_folder():
    assert chain.Config().out == ROOT / "out" / "06_shakespeare_gpt" / "bridge"
    path = ROOT / "results/06_shakespeare_gpt/bridge/table.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [(row["entry"], row["what"]) for row in rows] == [
        (entry, step.what) for entry, step in CHAIN.items()
    ]
