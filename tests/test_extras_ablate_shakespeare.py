"""Stage 06's ablations: each swap changes what it says and nothing else."""

import json
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import ablate_shakespeare as ablate
from ablate_shakespeare import ABLATIONS
from stages import ROOT, load_stage

stage = load_stage("06_shakespeare_gpt")
GPT = load_stage("06_shakespeare_gpt", "model").GPT

V = 11
TINY = stage.Config(
    block_size=8, n_embd=16, n_head=4, n_layer=1, batch_size=4, steps=2, dropout=0.0, warmup=0,
    eval_every=10**7, device="cpu",
)  # fmt: skip
XB = torch.tensor([[0, 3, 1, 4, 1, 5], [10, 9, 2, 6, 5, 3]])
TEXT = "to be, or not to be, that is the question: whether tis nobler\n" * 40
C = 16
BLOCK = 12 * C * C + 9 * C + 4 * C  # matrices, biases, two norms
OUT = {
    "no-positions": ["wpe"],
    "no-attention": ["ln_1", "attn"],
    "no-mlp": ["ln_2", "mlp_fc1", "mlp_fc2"],
}


def new_model(name, n_layer=1):
    swap = ABLATIONS[name]
    config = replace(TINY, n_layer=n_layer, **swap.config)
    return ablate.make_model(config, V, swap.parts, [swap.change])


def changed(name, n_layer=1):
    """The GPT of an entry, with weights far from 0, so that none can be left out unnoticed."""
    model = new_model(name, n_layer)
    with torch.no_grad():
        for key, p in model.named_parameters():  # what two models share stays alike
            generator = torch.Generator().manual_seed(len(key))
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


def params(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def random_data():
    return {name: torch.randint(V, (100,)) for name in ("train", "val")}


# ---- the swaps -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [n for n in ABLATIONS if n not in ("baseline", "large-init")])
def test_every_swap_changes_the_forward_pass_in_training(name):
    torch.manual_seed(0)
    before, after = changed("baseline").train()(XB), changed(name).train()(XB)
    assert (after - before).abs().max() > 1e-3


def test_the_baseline_is_the_gpt_of_the_stage():
    torch.manual_seed(TINY.seed)
    gpt = GPT(V, block_size=8, n_embd=16, n_head=4, n_layer=1, dropout=0.0)
    assert torch.equal(new_model("baseline")(XB), gpt(XB))


@pytest.mark.parametrize("name, lost", [
    ("baseline", 0), ("relu", 0), ("no-residuals", 0), ("8-heads", 0), ("dropout-0.2", 0),
    ("no-norm", 5 * 2 * C), ("rmsnorm", 5 * C), ("no-positions", 8 * C),
    ("no-attention", 2 * (4 * C * C + 4 * C + 2 * C)), ("no-mlp", 2 * (8 * C * C + 5 * C + 2 * C)),
])  # fmt: skip
def test_parameters(name, lost):
    whole = 2 * V * C + V + 8 * C + 2 * C + 2 * BLOCK
    assert params(changed(name, n_layer=2)) == whole - lost
    measured, _ = ablate.train(replace(TINY, steps=0), new_model(name, n_layer=2), random_data())
    assert measured["params"] == whole - lost


@pytest.mark.parametrize("name", ABLATIONS)
def test_what_is_left_starts_from_the_weights_of_the_baseline(name):
    baseline = new_model("baseline").state_dict()
    weights = dict(new_model(name).named_parameters())
    assert weights.keys() <= baseline.keys()
    for key, p in weights.items():
        out = any(module in key.split(".") for module in OUT.get(name, []))
        factor = 10 if name == "large-init" and p.dim() == 2 else 0 if out else 1
        assert torch.equal(p, factor * baseline[key]), key
        assert p.requires_grad is not out


def test_all_entries_see_the_same_batches(monkeypatch):
    seen, get_batch = [], stage.get_batch

    def spy(*arguments):
        batch = get_batch(*arguments)
        seen.append(batch[0])
        return batch

    monkeypatch.setattr(stage, "get_batch", spy)
    data = random_data()
    for name, swap in ABLATIONS.items():
        measured, log = ablate.train(replace(TINY, **swap.config), new_model(name), data)
        assert log.done == 2 and measured["val"] == measured["curve"][-1][2]
    assert len(seen) == 2 * len(ABLATIONS)
    assert all(torch.equal(xb, seen[i % 2]) for i, xb in enumerate(seen))


def test_without_positions_the_order_of_earlier_letters_makes_no_difference():
    shuffled = XB[:, [2, 4, 0, 3, 1, 5]]
    model, baseline = changed("no-positions"), changed("baseline")
    torch.testing.assert_close(model(XB)[:, -1], model(shuffled)[:, -1], rtol=0, atol=1e-5)
    assert (baseline(XB)[:, -1] - baseline(shuffled)[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", OUT)
def test_what_is_out_stays_out_in_training(name):
    model = new_model(name)
    before = model.lm_head.weight.detach().clone()
    ablate.train(TINY, model, random_data())
    out = [p for p in model.parameters() if not p.requires_grad]
    assert out and all((p == 0).all() for p in out)
    assert not torch.equal(model.lm_head.weight, before)


def test_without_attention_an_earlier_letter_changes_nothing_later():
    other = XB.clone()
    other[:, 2] = 7
    model, baseline = changed("no-attention", 2), changed("baseline", 2)
    moved = (model(XB) != model(other)).any(2)
    assert moved.tolist() == [[False, False, True, False, False, False]] * 2
    assert (baseline(XB) != baseline(other)).any(2)[:, 2:].all()


def test_without_the_mlp_a_block_is_its_attention():
    block = changed("no-mlp").blocks[0]
    x = torch.randn(2, 5, C)
    torch.testing.assert_close(block(x), x + block.attn(block.ln_1(x)))


def test_without_residuals_a_branch_replaces_what_it_read():
    model = changed("no-residuals", 2)
    x = model.wte(XB) + model.wpe(torch.arange(6))
    for block in model.blocks:
        stream = x
        x = block.attn(block.ln_1(x))
        x = block.mlp_fc2(F.gelu(block.mlp_fc1(block.ln_2(x))))
        torch.testing.assert_close(block(stream), x)
    torch.testing.assert_close(model(XB), model.lm_head(model.ln_f(x)))


def test_without_residuals_dropout_acts_on_both_branches():
    class Triple(torch.nn.Module):
        def forward(self, x):
            return 3 * x

    block = changed("no-residuals").blocks[0]
    block.dropout, block.ln_2 = Triple(), torch.nn.Identity()  # LayerNorm would undo the factor
    x = torch.randn(2, 5, C)
    read = 3 * block.attn(block.ln_1(x))
    expected = 3 * block.mlp_fc2(F.gelu(block.mlp_fc1(read)))
    torch.testing.assert_close(block(x), expected)


def test_rmsnorm_by_hand():
    norm = new_model("rmsnorm").ln_f
    x = torch.randn(3, C)
    torch.testing.assert_close(norm(x), x / (x.pow(2).mean(1, keepdim=True) + 1e-5).sqrt())


def test_squared_relu_by_hand():
    x = torch.tensor([-2.0, 0.5, 3.0])
    assert changed("squared-relu").blocks[0].activation(x).tolist() == [0.0, 0.25, 9.0]


# ---- the command -----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    shared = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'o'}", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", ["ablate_shakespeare.py", *shared, *flags])
    ablate.main()


def test_the_ablations_keep_every_run_and_the_table(monkeypatch, tmp_path, capsys):
    flags = ["--only=no-attention", "--seeds=2", "--steps=1"]
    monkeypatch.setattr(ablate, "SMALL", {**ablate.SMALL, "n_embd": 16, "n_layer": 1})
    command(monkeypatch, tmp_path, *flags)
    files = sorted(path.stem for path in (tmp_path / "o").iterdir())
    kept = [f"{name}-{seed}" for name in ("baseline", "no-attention") for seed in (1337, 1338)]
    assert files == [*kept, "table"]
    table = json.loads((tmp_path / "o" / "table.json").read_text(encoding="utf-8"))
    assert {row["entry"]: row["seeds"] for row in table["rows"]} == {
        "baseline": [1337, 1338], "no-attention": [1337, 1338]
    }  # fmt: skip
    capsys.readouterr()
    command(monkeypatch, tmp_path, *flags)
    assert "4 of 4 runs are kept" in capsys.readouterr().out


def test_list_names_every_entry_and_trains_none(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ABLATIONS)
    assert not (tmp_path / "o").exists()


def test_the_results_have_their_usual_folder():
    assert ablate.Config().out == ROOT / "out" / "06_shakespeare_gpt" / "ablate"
    path = ROOT / "results/06_shakespeare_gpt/ablate/table.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    whats = {row["entry"]: row["what"] for row in rows}
    assert whats == {name: swap.what for name, swap in ABLATIONS.items()}
    assert {row["entry"] for row in rows} == set(ABLATIONS)
