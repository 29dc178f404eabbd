"""Stage 05's ablations: each swap changes what it says and nothing else."""

import json
import math
import sys
from dataclasses import replace
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

import ablate_microgpt as ablate
from ablate_microgpt import ABLATIONS, layernorm
from stages import ROOT, load_stage

twin = load_stage("05_microgpt", "torch_twin")
names = load_stage("05_microgpt", "names")

V = 27
TOKENIZER = names.Tokenizer("abcdefghijklmnopqrstuvwxyz")
TINY = twin.Config(steps=2, batch_size=4)
NAMES = "\n".join(f"{a}{b}{a}{c}" for a in "abcde" for b in "mnop" for c in "xyz")
XB = torch.tensor([[26, 3, 1, 4, 1, 5], [26, 9, 2, 6, 5, 3]])


def random_data():
    return {name: (torch.randint(V, (50, 8)),) * 2 for name in ("train", "val")}


def new_model(name, **changes):
    config = replace(TINY, **ABLATIONS[name].config, **changes)
    return ablate.make_model(config, ABLATIONS[name], TOKENIZER)


# ---- the swaps -------------------------------------------------------------------------------
def gpt(name, xb, **changes):
    """Logits of a new model whose weights are five times as large. changes: some other weights."""
    model = new_model(name, seed=0)
    weights = {k: 5 * w.detach() for k, w in model.weights.items()}
    return twin.gpt(replace(model, weights=weights | changes), xb)


@pytest.mark.parametrize("name", list(ABLATIONS)[1:])
def test_every_swap_changes_the_logits_and_the_twin_is_itself_again_afterwards(name):
    before = gpt("baseline", XB)
    assert (gpt(name, XB) - before).abs().max() > 1e-3
    assert torch.equal(gpt("baseline", XB), before)


def test_the_baseline_is_the_twin():
    torch.manual_seed(0)
    weights = {k: 5 * w.detach() for k, w in twin.init_weights(TINY, V).items()}
    assert torch.equal(gpt("baseline", XB), twin.gpt(twin.Model(TINY, weights, TOKENIZER), XB))


def test_layernorm_is_pytorchs():
    x = 3 * torch.randn(4, 5, 16) + 2
    torch.testing.assert_close(layernorm(x), F.layer_norm(x, (16,), eps=1e-5))


@pytest.mark.parametrize("name, lost", [
    ("baseline", 0), ("layernorm", 0), ("no-residuals", 0), ("1-head", 0), ("8-heads", 0),
    ("no-positions", 16 * 16), ("no-attention", 4 * 16 * 16), ("no-mlp", 2 * 4 * 16 * 16),
])  # fmt: skip
def test_parameters(name, lost):
    measured, _ = ablate.train(new_model(name, steps=0), random_data())
    assert measured["params"] == 4192 - lost


def test_without_positions_the_order_of_earlier_letters_makes_no_difference():
    shuffled = XB[:, [2, 4, 0, 3, 1, 5]]
    a, b = gpt("no-positions", XB)[:, -1], gpt("no-positions", shuffled)[:, -1]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    assert (gpt("baseline", XB)[:, -1] - gpt("baseline", shuffled)[:, -1]).abs().max() > 1e-3


def test_without_attention_an_earlier_letter_changes_nothing_later():
    other = XB.clone()
    other[:, 2] = 20
    changed = (gpt("no-attention", XB) != gpt("no-attention", other)).any(2)
    assert changed.tolist() == [[False, False, True, False, False, False]] * 2
    assert (gpt("baseline", XB) != gpt("baseline", other)).any(2)[:, 2:].all()


def test_without_the_mlp_its_matrices_are_not_heard():
    loud = {"layer0.mlp_fc1": torch.randn(64, 16)}
    assert torch.equal(gpt("no-mlp", XB, **loud), gpt("no-mlp", XB))
    assert not torch.equal(gpt("baseline", XB, **loud), gpt("baseline", XB))


def test_without_residuals_a_silent_mlp_leaves_nothing():
    silent = {"layer0.mlp_fc2": torch.zeros(16, 64)}
    assert (gpt("no-residuals", XB, **silent) == 0).all()
    assert (gpt("baseline", XB, **silent) != 0).all()


def test_activations_by_hand():
    x = torch.tensor([-2.0, -0.5, 0.0, 3.0])
    assert ABLATIONS["squared-relu"].parts["activation"](x).tolist() == [0, 0, 0, 9]
    by_hand = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.tolist()]
    gelu = ABLATIONS["gelu"].parts["activation"]
    assert gelu(x).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_all_entries_start_from_the_same_weights_and_see_the_same_batches():
    """But for the weights that an entry is about."""
    seen, data = {}, random_data()
    for name in ABLATIONS:
        with mock.patch.object(F, "embedding", wraps=F.embedding) as embedding:
            ablate.train(new_model(name), data)
        batches = [call.args[0] for call in embedding.call_args_list if len(call.args[0]) == 4]
        seen[name] = torch.stack(batches).tolist()
    assert len(seen["baseline"]) == 2
    assert all(batches == seen["baseline"] for batches in seen.values())
    weights = new_model("baseline").weights
    for name in ABLATIONS:
        for key, w in new_model(name).weights.items():
            out = {"no-positions": "wpe", "no-attention": "attn", "no-mlp": "mlp"}.get(name)
            factor = 10 if name == "large-init" else 0 if out and out in key else 1
            assert torch.equal(w, factor * weights[key]), (name, key)
            assert w.requires_grad is (factor != 0)


def test_weights_that_are_out_stay_out_in_training():
    model = new_model("no-positions")
    before = model.weights["wte"].detach().clone()
    ablate.train(model, random_data())
    assert (model.weights["wpe"] == 0).all() and not torch.equal(model.weights["wte"], before)


# ---- the command -----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, *flags):
    (tmp_path / "names.txt").write_text(NAMES, encoding="utf-8")
    shared = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'o'}"]
    monkeypatch.setattr(sys, "argv", ["ablate_microgpt.py", *shared, *flags])
    ablate.main()


def test_the_command_keeps_every_run_and_the_table(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--only=no-norm", "--seeds=2", "--steps=2")
    stems = ["baseline-42", "baseline-43", "no-norm-42", "no-norm-43", "table"]
    assert sorted(path.stem for path in (tmp_path / "o").iterdir()) == stems
    run = json.loads((tmp_path / "o" / "no-norm-43.json").read_text(encoding="utf-8"))
    params = 2 * 13 * 16 + 16 * 16 + 12 * 16 * 16  # 12 letters and BOS
    assert [run[k] for k in ("entry", "seed", "steps", "params")] == ["no-norm", 43, 2, params]
    assert [run[k] for k in ("schema", "stage", "unit")] == [1, "05_microgpt", "nats/char"]
    assert run["about"]["n_head"] == 4 and run["curve"][-1][2] == pytest.approx(run["val"])
    capsys.readouterr()
    command(monkeypatch, tmp_path, "--only=1-head", "--seeds=2", "--steps=2")
    out = capsys.readouterr().out
    assert "2 of 4 runs are kept" in out and "run 2 of 2: 1-head, seed 43" in out
    assert "no-norm" in out  # what was trained before stays in the table
    command(monkeypatch, tmp_path, "--only=1-head", "--seeds=1", "--steps=2", "--again")
    out = capsys.readouterr().out
    assert "kept" not in out and "run 2 of 2: 1-head, seed 42" in out


def test_list_names_every_entry_and_trains_none(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ABLATIONS)
    assert not (tmp_path / "o").exists()


def test_the_results_have_their_usual_folder():
    assert ablate.Config().out == ROOT / "out" / "05_microgpt" / "ablate"
    table = json.loads((ROOT / "results/05_microgpt/ablate/table.json").read_text(encoding="utf-8"))
    whats = {row["entry"]: row["what"] for row in table["rows"]}
    assert whats == {name: swap.what for name, swap in ABLATIONS.items()}
