"""Stage 06's ablations and bridge: each swap changes what it says and nothing else."""

import json
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import ablate
import bridge
import main as stage
import plumbing
import series
from ablate import ABLATIONS, make_model
from plumbing import STAGE

V = 11
TINY = stage.Config(
    block_size=8, n_embd=16, n_head=4, n_layer=1, batch_size=4, steps=2, dropout=0.0, warmup=0,
    eval_every=10**7, device="cpu",
)  # fmt: skip
XB = torch.tensor([[0, 3, 1, 4, 1, 5], [10, 9, 2, 6, 5, 3]])
TEXT = "to be, or not to be, that is the question: whether tis nobler\n" * 40
C = 16
BLOCK = 12 * C * C + 9 * C + 4 * C  # matrices, biases, two norms


def changed(name, n_layer=1, loud=True):
    """The GPT of an entry; loud: weights far from 0, so that none can be left out unnoticed."""
    config = replace(TINY, n_layer=n_layer, **ABLATIONS[name].config)
    model = make_model(config, V, [ABLATIONS[name].change])
    if loud:
        with torch.no_grad():
            for key, p in model.named_parameters():  # what two models share stays alike
                generator = torch.Generator().manual_seed(len(key))
                if p.requires_grad:
                    p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model.eval()


def params(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# ---- the swaps -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [n for n in ABLATIONS if n not in ("baseline", "large-init")])
def test_every_swap_changes_the_forward_pass_in_training(name):
    torch.manual_seed(0)
    before, after = changed("baseline").train()(XB), changed(name).train()(XB)
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize("name, lost", [
    ("baseline", 0), ("relu", 0), ("no-residuals", 0), ("8-heads", 0), ("dropout-0.2", 0),
    ("no-norm", 5 * 2 * C), ("rmsnorm", 5 * C), ("no-positions", 8 * C),
    ("no-attention", 2 * (4 * C * C + 4 * C + 2 * C)), ("no-mlp", 2 * (8 * C * C + 5 * C + 2 * C)),
])  # fmt: skip
def test_parameters(name, lost):
    whole = 2 * V * C + V + 8 * C + 2 * C + 2 * BLOCK
    assert params(changed(name, n_layer=2)) == whole - lost


@pytest.mark.parametrize("name", ABLATIONS)
def test_what_is_left_starts_from_the_weights_of_the_baseline(name):
    baseline = changed("baseline", loud=False).state_dict()
    weights = changed(name, loud=False).state_dict()
    assert weights.keys() <= baseline.keys()
    for key, p in weights.items():
        if name == "no-positions" and key == "wpe.weight":
            assert (p == 0).all()
        else:
            factor = 10 if name == "large-init" and p.dim() == 2 else 1
            assert torch.equal(p, factor * baseline[key]), key


def test_all_entries_see_the_same_batches(monkeypatch):
    seen, get_batch = [], stage.get_batch

    def spy(*arguments):
        batch = get_batch(*arguments)
        seen.append(batch[0])
        return batch

    monkeypatch.setattr(stage, "get_batch", spy)
    data = {name: torch.randint(V, (100,)) for name in ("train", "val")}
    for swap in ABLATIONS.values():
        measured, progress = ablate.train(replace(TINY, **swap.config), [swap.change], data, V)
        assert progress.done == 2 and measured["val"] == measured["curve"][-1][2]
    assert len(seen) == 2 * len(ABLATIONS)
    assert all(torch.equal(xb, seen[i % 2]) for i, xb in enumerate(seen))


def test_without_positions_the_order_of_earlier_letters_makes_no_difference():
    shuffled = XB[:, [2, 4, 0, 3, 1, 5]]
    model, baseline = changed("no-positions"), changed("baseline")
    torch.testing.assert_close(model(XB)[:, -1], model(shuffled)[:, -1], rtol=0, atol=1e-5)
    assert (baseline(XB)[:, -1] - baseline(shuffled)[:, -1]).abs().max() > 1e-3


def test_positions_that_are_out_stay_out_in_training(monkeypatch):
    made = []
    monkeypatch.setattr(ablate, "make_model", lambda *a: made.append(make_model(*a)) or made[-1])
    data = {name: torch.randint(V, (100,)) for name in ("train", "val")}
    ablate.train(TINY, [ABLATIONS["no-positions"].change], data, V)
    assert (made[0].wpe.weight == 0).all()


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
    block = changed("no-residuals").blocks[0]
    x = torch.randn(2, 5, C)
    read = block.attn(block.ln_1(x))
    expected = block.mlp_fc2(F.gelu(block.mlp_fc1(block.ln_2(read))))
    torch.testing.assert_close(block(x), expected)


def test_rmsnorm_by_hand():
    norm = changed("rmsnorm", loud=False).ln_f
    x = torch.randn(3, C)
    torch.testing.assert_close(norm(x), x / (x.pow(2).mean(1, keepdim=True) + 1e-5).sqrt())


def test_squared_relu_by_hand():
    x = torch.tensor([-2.0, 0.5, 3.0])
    assert changed("squared-relu").blocks[0].activation(x).tolist() == [0.0, 0.25, 9.0]


# ---- the bridge ------------------------------------------------------------------------------
def test_each_row_of_the_bridge_changes_one_thing_and_its_end_is_main_py():
    rows = bridge.plan()
    names = [name for name in rows if name != "dropout"]
    models, configs = {}, {}
    for name, (fields, undone, _) in rows.items():
        configs[name] = stage.Config(**fields)
        models[name] = make_model(configs[name], V, undone)
    for before, after in zip(names, names[1:]):
        kept = [rows[name][1] for name in (before, after)]
        config_differs = [
            k for k in vars(configs[after])
            if getattr(configs[after], k) != getattr(configs[before], k)
        ]  # fmt: skip
        assert len(kept[0]) - len(kept[1]) in (1, 2)  # an aside stands between some of them
        assert len(config_differs) == len(bridge.CHAIN[after].fields), after
    last = configs[names[-1]]
    sizes = {"steps", "block_size", "n_embd", "n_head", "n_layer", "dropout"}
    main = stage.Config()
    assert {k for k in vars(main) if getattr(last, k) != getattr(main, k)} <= sizes
    assert rows[names[-1]][1] == []


def test_parameters_along_the_bridge():
    rows, counts = bridge.plan(), {}
    for name, (fields, undone, _) in rows.items():
        counts[name] = params(make_model(stage.Config(**fields), 27, undone))
    assert counts["microgpt"] == 4192
    assert counts["layernorm"] == 4192 + 3 * 2 * 16
    assert counts["last-norm"] == counts["gelu"] == counts["layernorm"]
    assert counts["biases"] == counts["corpus"] == counts["gelu"] + 9 * 16 + 27


def test_rows_are_compared_with_the_one_before_but_for_asides_and_another_text():
    references = {name: reference for name, (_, _, reference) in bridge.plan().items()}
    assert references["microgpt"] is None and references["corpus"] is None
    assert references["gelu"] == "last-norm"
    assert references["dropout"] == references["rate"] == "init"


def test_names_as_one_text_keep_the_targets_of_stage_05():
    """What stages 02 to 05 count: every character of the val names and the end of each."""
    texts = bridge.load_names(plumbing.ROOT / "data" / "names.txt")
    assert {name: len(text) - 1 for name, text in texts.items()} == {"train": 171080, "val": 21024}
    assert texts["val"][0] == texts["val"][-1] == "\n" and "\n\n" not in texts["val"]


# ---- the commands ----------------------------------------------------------------------------
def command(monkeypatch, tmp_path, module, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    names = "\n".join(f"{a}{b}{a}{c}" for a in "abcde" for b in "mnop" for c in "xyz")
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    shared = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'o'}", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", ["x.py", *shared, *flags])
    return module.main()


def test_the_ablations_keep_every_run_and_the_table(monkeypatch, tmp_path, capsys):
    flags = ["--only=no-attention", "--seeds=2", "--steps=1"]
    monkeypatch.setattr(ablate, "SMALL", {**ablate.SMALL, "n_embd": 16, "n_layer": 1})
    assert command(monkeypatch, tmp_path, ablate, *flags) == 0
    files = sorted(path.stem for path in (tmp_path / "o").iterdir())
    kept = [f"{name}-{seed}" for name in ("baseline", "no-attention") for seed in (1337, 1338)]
    assert files == [*kept, "table"]
    table = json.loads((tmp_path / "o" / "table.json").read_text(encoding="utf-8"))
    assert {row["entry"]: row["seeds"] for row in table["rows"]} == {
        "baseline": [1337, 1338], "no-attention": [1337, 1338]
    }  # fmt: skip
    capsys.readouterr()
    assert command(monkeypatch, tmp_path, ablate, *flags) == 0
    assert "4 of 4 runs are kept" in capsys.readouterr().out


def test_the_bridge_trains_every_row_on_its_text(monkeypatch, tmp_path, capsys):
    flags = [f"--names={tmp_path / 'names.txt'}", "--steps=1"]
    assert command(monkeypatch, tmp_path, bridge, *flags) == 0
    rows = json.loads((tmp_path / "o" / "table.json").read_text(encoding="utf-8"))["rows"]
    assert [row["entry"] for row in rows] == list(bridge.CHAIN)
    without = [row["entry"] for row in rows if row["difference"]["mean"] is None]
    assert without == ["microgpt", "corpus"]
    texts = {series.plumbing.sha256(tmp_path / f"{name}.txt"): name for name in ("names", "text")}
    for name in bridge.CHAIN:
        run = json.loads((tmp_path / "o" / f"{name}-1337.json").read_text(encoding="utf-8"))
        assert texts[run["about"]["sha256"]] == ("text" if name == "corpus" else "names")
    assert "does not compare" in capsys.readouterr().out


def test_series_is_one_file():
    here = plumbing.ROOT / STAGE
    other = plumbing.ROOT / "05_microgpt"
    assert (here / "series.py").read_bytes() == (other / "series.py").read_bytes()
