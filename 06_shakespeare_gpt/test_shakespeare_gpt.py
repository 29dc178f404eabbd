"""Stage 06: model, optimizers, training, evaluation and samples against slower, plainer forms."""

import copy
import itertools
import json
import math
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import forecast
import generate
import main as stage
import plumbing
from devices import pick_device
from main import (
    PRESETS,
    Config,
    evaluate,
    get_batch,
    letter_frequencies,
    load_text,
    make_optimizers,
    schedule,
    train,
)
from model import GPT, CausalSelfAttention
from muon import Muon, orthogonalize
from plumbing import BadInput

HERE = Path(__file__).resolve().parent
SPEECH = """To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer the
slings and arrows of outrageous fortune, or to take arms against a sea of troubles."""
TEXT = " ".join(random.Random(1).choices(SPEECH.split(), k=400))
CHARS = sorted(set(TEXT))
TOKENS = torch.tensor([CHARS.index(ch) for ch in TEXT])
V = len(CHARS)
SIZES = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "dropout": 0.0}
TINY = Config(**SIZES, steps=6, batch_size=4, warmup=2, eval_every=1, device="cpu")


def make_model(seed=0, vocab_size=V, large=True, **changes):
    """A small GPT; large: no weight near 0 or 1, so that none can be left out unnoticed."""
    torch.manual_seed(seed)
    model = GPT(vocab_size=vocab_size, **{**SIZES, **changes})
    if large:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn(p.shape))
    return model


def run_train(config, model, data):
    """The curve, and what was given to keep."""
    kept = []
    curve, progress = train(config, model, data, "cpu", "float32", lambda *best: kept.append(best))
    assert progress.done == config.steps
    return curve, kept


def preset(name):
    return Config(preset=name, **PRESETS[name])


def shape_of(config):
    return {name: getattr(config, name) for name in SIZES}


# ---- data ------------------------------------------------------------------------------------
def test_the_first_nine_tenths_of_a_text_train_and_the_rest_is_val(tmp_path):
    path = tmp_path / "text.txt"
    text = "".join(chr(ord("a") + i % 26) for i in range(109))
    path.write_text(text)
    assert load_text(path, 8) == {"train": text[:98], "val": text[98:]}


def test_the_two_files_of_a_folder_are_used_as_they_are(tmp_path):
    (tmp_path / "train.txt").write_text(" a\n\nlong text ")
    (tmp_path / "val.txt").write_text("a short text")
    assert load_text(tmp_path, 8) == {"train": " a\n\nlong text ", "val": "a short text"}


@pytest.mark.parametrize("too_short, train, val", [("train", 8, 9), ("val", 9, 8), (None, 9, 9)])
def test_a_part_needs_one_excerpt_and_the_character_after_it(tmp_path, too_short, train, val):
    (tmp_path / "train.txt").write_text("x" * train)
    (tmp_path / "val.txt").write_text("x" * val)
    if too_short:
        with pytest.raises(BadInput, match=f"{too_short} part has 8 .* --block-size 8"):
            load_text(tmp_path, 8)
    else:
        splits = load_text(tmp_path, 8)
        data = {name: torch.zeros(len(text), dtype=torch.long) for name, text in splits.items()}
        xb, _ = get_batch(data["train"], TINY, torch.Generator())
        assert xb.shape == (4, 8)
        assert math.isfinite(evaluate(make_model(), data["val"]))


def test_a_text_whose_tenth_is_too_short_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("x" * 80)
    with pytest.raises(BadInput, match="val part has 8 characters"):
        load_text(path, 8)


def test_every_excerpt_stands_in_the_text_and_targets_are_one_character_later():
    generator = torch.Generator().manual_seed(0)
    config = replace(TINY, batch_size=64)
    xb, yb = get_batch(TOKENS, config, generator)
    assert xb.shape == yb.shape == (64, 8)
    for x, y in zip(xb.tolist(), yb.tolist()):
        assert x[1:] == y[:-1]
        assert "".join(CHARS[token] for token in [*x, y[-1]]) in TEXT
    assert len({tuple(x) for x in xb.tolist()}) > 40


@pytest.mark.parametrize("starts", [1, 2, 5])
def test_every_possible_start_occurs_the_first_and_the_last_too(starts):
    data = torch.arange(8 + starts)
    xb, yb = get_batch(data, replace(TINY, batch_size=200), torch.Generator().manual_seed(0))
    assert set(xb[:, 0].tolist()) == set(range(starts))
    assert yb.max() == data[-1]


def test_batches_depend_on_the_generator_alone():
    def batch(seed):
        return get_batch(TOKENS, TINY, torch.Generator().manual_seed(seed))[0].tolist()

    assert batch(1) == batch(1) != batch(2)


# ---- model -----------------------------------------------------------------------------------
def explicit_attention(attn, x):
    """softmax(q @ k.T / sqrt(d)) @ v with a mask, one head after the other."""
    T, d = x.shape[1], x.shape[2] // attn.n_head
    future = torch.ones(T, T).triu(1).bool()
    q, k, v = (x @ w.weight.T + w.bias for w in (attn.attn_wq, attn.attn_wk, attn.attn_wv))
    heads = []
    for h in range(0, x.shape[2], d):
        scores = q[..., h : h + d] @ k[..., h : h + d].transpose(1, 2) / math.sqrt(d)
        heads.append(scores.masked_fill(future, -math.inf).softmax(2) @ v[..., h : h + d])
    return torch.cat(heads, 2) @ attn.attn_wo.weight.T + attn.attn_wo.bias


def norm(x, ln):
    centred = x - x.mean(2, keepdim=True)
    spread = (centred.pow(2).mean(2, keepdim=True) + 1e-5).sqrt()
    return centred / spread * ln.weight + ln.bias


def explicit_gpt(model, xb):
    x = torch.stack([model.wte.weight[row] + model.wpe.weight[: len(row)] for row in xb])
    for block in model.blocks:
        x = x + explicit_attention(block.attn, norm(x, block.ln_1))
        h = norm(x, block.ln_2) @ block.mlp_fc1.weight.T + block.mlp_fc1.bias
        h = h * (1 + torch.erf(h / math.sqrt(2))) / 2  # GELU, Hendrycks and Gimpel, 2016
        x = x + h @ block.mlp_fc2.weight.T + block.mlp_fc2.bias
    return norm(x, model.ln_f) @ model.lm_head.weight.T + model.lm_head.bias


@pytest.mark.parametrize("n_head", [1, 2, 4])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_attention_in_evaluation_is_the_masked_softmax_of_the_formula(n_head, dropout):
    torch.manual_seed(0)
    attn = CausalSelfAttention(8, n_head, dropout).double().eval()
    x = 3 * torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(attn(x), explicit_attention(attn, x), rtol=0, atol=1e-12)


def test_attention_weights_are_dropped_in_training_only():
    torch.manual_seed(0)
    attn = CausalSelfAttention(8, 2, 0.5)
    x = torch.randn(2, 5, 8)
    assert not torch.equal(attn(x), attn(x))
    attn.eval()
    assert torch.equal(attn(x), attn(x))


def test_dropout_acts_on_the_embeddings_and_on_both_branches():
    """With all of that dropped nothing is left of the input, only the bias of the last norm."""
    model = make_model(dropout=1.0)
    for block in model.blocks:
        block.attn.dropout = 0.0  # nothing but those three places drops
    expected = model.lm_head(model.ln_f.bias).expand(2, 8, V)
    torch.testing.assert_close(model(torch.randint(V, (2, 8))), expected)


@pytest.mark.parametrize("T", [1, 5, 8])
def test_forward_agrees_with_an_independent_computation_in_float64(T):
    model = make_model().double()
    xb = torch.randint(V, (3, T))
    torch.testing.assert_close(model(xb), explicit_gpt(model, xb), rtol=0, atol=1e-9)


@pytest.mark.parametrize("changed", range(1, 8))
def test_a_change_of_a_future_character_leaves_earlier_logits_bit_for_bit_the_same(changed):
    model = make_model().eval()
    xb = TOKENS[None, :8].clone()
    other = xb.clone()
    other[0, changed] = (xb[0, changed] + 1) % V
    a, b = model(xb)[0], model(other)[0]
    assert torch.equal(a[:changed], b[:changed])
    assert ((a[changed:] - b[changed:]).abs().amax(1) > 1e-4).all()


def test_new_weights_have_the_spreads_of_gpt2():
    """0.02, and 0.02 / sqrt(2 * n_layer) where a branch ends; biases 0, norms 1."""
    model = make_model(large=False, n_embd=64, n_layer=8)
    for name, p in model.state_dict().items():
        if p.dim() == 2:
            end = name.endswith(("attn_wo.weight", "mlp_fc2.weight"))
            assert p.std() == pytest.approx(0.02 / 4 if end else 0.02, rel=0.1), name
            assert p.mean().abs() < 0.002
        else:
            assert (p == (1.0 if "ln" in name and name.endswith("weight") else 0.0)).all(), name


def number_of_params(V, T, C, n_layer):
    attention = 4 * (C * C + C)
    mlp = (4 * C * C + 4 * C) + (4 * C * C + C)
    norms = 2 * 2 * C
    return V * C + T * C + n_layer * (attention + mlp + norms) + 2 * C + (V * C + V)


@pytest.mark.parametrize(
    "name, n_layer, n_embd, block_size, expected",
    [
        ("cpu", 4, 128, 96, 822_337),
        ("nanogpt-cpu", 4, 128, 64, 818_241),
        ("lecture", 6, 384, 256, 10_795_841),
    ],
)
def test_parameters_of_the_presets(name, n_layer, n_embd, block_size, expected):
    config = preset(name)
    model = GPT(vocab_size=65, **shape_of(config))
    assert sum(p.numel() for p in model.parameters()) == expected
    assert number_of_params(65, block_size, n_embd, n_layer) == expected


# ---- presets ---------------------------------------------------------------------------------
def test_preset_nanogpt_cpu_is_the_recipe_of_nanogpts_readme():
    """Its command line, and what its config/train_shakespeare_char.py and train.py fill in."""
    config = preset("nanogpt-cpu")
    assert shape_of(config) == {
        "block_size": 64, "n_embd": 128, "n_head": 4, "n_layer": 4, "dropout": 0.0
    }  # fmt: skip
    assert (config.steps, config.batch_size, config.clip, config.warmup) == (2000, 12, 1.0, 100)
    assert config.learning_rate == 1e-3
    assert config.learning_rate * config.final == pytest.approx(1e-4)
    (optimizer,) = make_optimizers(config, make_model())
    assert type(optimizer) is torch.optim.AdamW
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"]) == (1e-3, (0.9, 0.99))


def test_preset_lecture_is_built_and_a_step_lowers_the_loss_of_its_excerpt():
    config = replace(preset("lecture"), steps=1, batch_size=1, compile=False)
    assert (config.n_layer, config.n_head, config.n_embd, config.block_size) == (6, 6, 384, 256)
    torch.manual_seed(0)
    model = GPT(vocab_size=65, **shape_of(config))
    text = torch.randint(65, (257,))  # one excerpt and no other
    curve, _ = run_train(config, model, {"train": text, "val": text})
    assert curve[1][2] < curve[0][2] - 0.01


def test_flags_given_besides_a_preset_win(monkeypatch):
    argv = ["main.py", "--steps", "7", "--preset=nanogpt-cpu", "--n_layer", "2"]
    monkeypatch.setattr(sys, "argv", argv)
    config = plumbing.parse_flags(Config, "", PRESETS)
    assert config == replace(preset("nanogpt-cpu"), steps=7, n_layer=2)


def test_device():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(BadInput, match="tpu"):
        pick_device("tpu")


# ---- schedule --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "step, share, final, expected",
    [
        (0, 0.0, 0.0, 1 / 50),
        (24, 0.0, 0.0, 0.5),
        (49, 0.0, 0.0, 1.0),
        (49, 0.5, 0.0, 0.5),
        (24, 0.5, 0.0, 0.25),
        (700, 0.5, 0.1, 0.55),
        (700, 1.0, 0.0, 0.0),
        (700, 1.0, 0.1, 0.1),
        (700, 0.25, 0.1, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2),
    ],
)
def test_schedule_by_hand(step, share, final, expected):
    config = Config(warmup=50, final=final)
    assert schedule(step, share, config) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 200), st.integers(0, 300), st.floats(0, 1))
def test_schedule_falls_after_the_warmup_and_no_lower_than_its_final_share(steps, warmup, final):
    config = Config(steps=steps, warmup=warmup, final=final)
    shares = [schedule(step, step / steps, config) for step in range(steps)]
    assert all(0 < share <= 1 for share in shares)
    falling = shares[warmup:]
    assert falling == sorted(falling, reverse=True)
    assert all(final - 1e-12 <= share for share in falling)


# ---- optimizers ------------------------------------------------------------------------------
def groups_by_name(optimizers, model):
    """Parameter name -> (optimizer, group) of every group that holds it."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = {name: [] for name in names.values()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                found[names[id(p)]].append((optimizer, group))
    return found


@pytest.mark.parametrize("muon_learning_rate", [0.02, 0.0])
def test_every_parameter_is_in_one_group_and_muon_has_the_matrices_in_blocks(muon_learning_rate):
    config = replace(TINY, muon_learning_rate=muon_learning_rate, weight_decay=0.05)
    model = make_model()
    inner = ("attn.attn_wq", "attn.attn_wk", "attn.attn_wv", "attn.attn_wo", "mlp_fc1", "mlp_fc2")
    matrices = {f"blocks.{i}.{name}.weight" for i in range(2) for name in inner}
    for name, places in groups_by_name(make_optimizers(config, model), model).items():
        ((optimizer, group),) = places
        in_muon = bool(muon_learning_rate) and name in matrices
        assert type(optimizer) is (Muon if in_muon else torch.optim.AdamW), name
        assert group["highest_lr"] == group["lr"] == (0.02 if in_muon else 0.005), name
        is_matrix = name in matrices | {"wte.weight", "wpe.weight", "lm_head.weight"}
        assert group["weight_decay"] == (0.05 if is_matrix else 0.0), name


@pytest.mark.parametrize("shape", [(24, 24), (48, 12), (12, 48)])
@pytest.mark.parametrize("weight_decay", [0.0, 5.0])
def test_muons_steps_are_those_of_torch_within_bfloat16(shape, weight_decay):
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimizer = Muon([ours], lr=0.02, weight_decay=weight_decay)
    reference = torch.optim.Muon(
        [theirs], lr=0.02, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="original"
    )
    for _ in range(4):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        before, before_theirs = ours.detach().clone(), theirs.detach().clone()
        optimizer.step()
        reference.step()
        step, expected = ours.detach() - before, theirs.detach() - before_theirs
        assert (step - expected).norm() < 0.03 * expected.norm()


def test_muon_by_hand_on_a_multiple_of_the_identity():
    """Every singular value of g * identity is 1 / sqrt(2) once divided by the norm."""
    x = 1 / math.sqrt(2)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    p = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    optimizer = Muon([p], lr=0.1, weight_decay=0.5)
    p.grad = 7 * torch.eye(2, dtype=torch.float64)
    optimizer.step()
    expected = 0.95 * torch.ones(2, 2).double() - 0.1 * x * torch.eye(2).double()
    torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-6)


def random_matrix(m, n, values, seed):
    """A matrix with the given singular values, and its two bases."""
    torch.manual_seed(seed)
    u = torch.linalg.qr(torch.randn(m, len(values), dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(n, len(values), dtype=torch.float64)).Q
    return u, v, u @ torch.diag(values) @ v.T


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(1e-3, 1e3), st.integers(0, 999))
def test_orthogonalize_gives_singular_values_of_about_1(m, n, size, seed):
    torch.manual_seed(seed)
    values = size * (0.5 + torch.rand(min(m, n), dtype=torch.float64))
    _, _, matrix = random_matrix(m, n, values, seed)
    out = orthogonalize(matrix.float())
    assert out.shape == (m, n)
    singular = torch.linalg.svdvals(out)
    assert singular.min() > 0.6 and singular.max() < 1.3


@pytest.mark.parametrize("m, n", [(6, 6), (9, 4), (4, 9)])
def test_orthogonalize_changes_the_singular_values_alone_and_by_its_polynomial(m, n):
    values = torch.linspace(0.1, 2, min(m, n), dtype=torch.float64)
    u, v, matrix = random_matrix(m, n, values, seed=0)
    x = values / (values.norm() + 1e-7)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    torch.testing.assert_close(orthogonalize(matrix), u @ torch.diag(x) @ v.T, rtol=0, atol=1e-9)


# ---- training --------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["cpu", "nanogpt-cpu"])
def test_untrained_loss_is_about_log_vocab_size(name):
    torch.manual_seed(0)
    model = GPT(vocab_size=65, **shape_of(preset(name)))
    text = torch.randint(65, (500,))
    assert evaluate(model, text) == pytest.approx(math.log(65), abs=0.1)


def independent_losses(config, model, data):
    """Batch and val loss of every step by the plainest means, AdamW for all weights."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay},
         {"params": vectors, "weight_decay": 0.0}],
        betas=(0.9, 0.99), foreach=False,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(config.seed)
    curve = []
    for step in range(config.steps):
        xb, yb = get_batch(data["train"], config, generator)
        loss = F.cross_entropy(explicit_gpt(model, xb).transpose(1, 2), yb)
        for p, grad in zip(model.parameters(), torch.autograd.grad(loss, model.parameters())):
            p.grad = grad
        length = math.sqrt(sum(p.grad.pow(2).sum().item() for p in model.parameters()))
        assert length > config.clip  # or clipping would go untested
        for p in model.parameters():
            p.grad *= config.clip / length
        share = schedule(step, step / config.steps, config)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        optimizer.step()
        curve.append([step + 1, loss.item(), slow_evaluate(model, data["val"])])
    return curve


def test_training_agrees_with_an_independent_loop():
    config = replace(TINY, muon_learning_rate=0.0, weight_decay=1.0, clip=0.5, final=0.1)
    model = make_model().double()
    data = {"train": TOKENS[:1000], "val": TOKENS[1000:1050]}
    expected = independent_losses(config, copy.deepcopy(model), data)
    curve, _ = run_train(config, model, data)
    for row, expected_row in zip(curve[1:], expected, strict=True):
        assert row == pytest.approx(expected_row, abs=1e-6)


def test_training_gives_every_optimizer_its_share_of_its_highest_rate(monkeypatch):
    made = []
    monkeypatch.setattr(
        stage, "make_optimizers", lambda *a: made.extend(make_optimizers(*a)) or made
    )
    run_train(TINY, make_model(), {"train": TOKENS[:1000], "val": TOKENS[1000:]})
    rates = [group["lr"] for optimizer in made for group in optimizer.param_groups]
    last = (1 + math.cos(math.pi * 5 / 6)) / 2  # before the last step 5 of 6 are done
    assert rates == pytest.approx([0.005 * last, 0.005 * last, 0.02 * last])


def test_a_batch_can_be_overfitted_to_its_floor_and_no_lower():
    """After 0 may come 1 or 2, unforeseeably; all else follows. Floor: log 2 over 3 positions."""
    xb, yb = torch.tensor([[0, 1, 2], [0, 2, 1]]), torch.tensor([[1, 2, 3], [2, 1, 3]])
    model = make_model(vocab_size=4, block_size=3, large=False)
    optimizers = make_optimizers(TINY, model)
    for _ in range(100):
        loss = F.cross_entropy(model(xb).flatten(0, 1), yb.flatten())
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    floor = math.log(2) / 3
    assert floor - 1e-4 < loss.item() < floor + 0.02


def test_two_runs_with_one_seed_give_the_same_losses_bit_for_bit_and_another_seed_others():
    data = {"train": TOKENS[:1000], "val": TOKENS[1000:]}

    def curve(seed):
        model = make_model(seed, dropout=0.2)
        return run_train(replace(TINY, seed=seed), model, data)[0]

    assert curve(1) == curve(1) != curve(2)


def test_curve_holds_the_mean_batch_loss_and_looks_at_the_last_step_too():
    data = {"train": TOKENS[:1000], "val": TOKENS[1000:]}
    every, _ = run_train(replace(TINY, steps=5), make_model(), data)
    seldom, _ = run_train(replace(TINY, steps=5, eval_every=3), make_model(), data)
    assert [row[0] for row in seldom] == [0, 3, 5]
    assert every[0][1] is seldom[0][1] is None
    assert [row[2] for row in seldom] == [every[0][2], every[3][2], every[5][2]]
    losses = [row[1] for row in every]
    assert seldom[1][1] == pytest.approx(sum(losses[1:4]) / 3)
    assert seldom[2][1] == pytest.approx(sum(losses[4:6]) / 2)


def forgetting():
    """A train text that soon misleads about the val text, and a config that learns it too well."""
    train, val = TOKENS[:40], TOKENS[1000:1200]
    return replace(TINY, steps=60, eval_every=5), {"train": train, "val": val}


def test_each_new_best_is_kept_and_nothing_worse():
    config, data = forgetting()
    curve, kept = run_train(config, make_model(large=False), data)
    expected, best = [], math.inf
    for step, _, val in curve:
        if val < best:
            best = val
            expected.append((step, val))
    assert kept == expected
    assert len(kept) > 1 and kept[-1][0] < config.steps


def test_training_by_the_clock_ends_with_it_and_has_run_its_schedule_down(monkeypatch):
    made = []
    monkeypatch.setattr(
        stage, "make_optimizers", lambda *a: made.extend(make_optimizers(*a)) or made
    )
    config = replace(TINY, steps=1, minutes=1 / 60, eval_every=1000)
    data = {"train": TOKENS[:1000], "val": TOKENS[1000:]}
    curve, progress = train(config, make_model(), data, "cpu", "float32", lambda *best: None)
    assert 1.0 <= progress.seconds < 1.5 and progress.done > 5
    assert [row[0] for row in curve][-1] == progress.done
    assert made[0].param_groups[0]["lr"] < 0.02 * config.learning_rate


# ---- several ranks ---------------------------------------------------------------------------
def on_two_ranks(script, *flags):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    return subprocess.run(
        [*command, str(script), *flags], env=env, capture_output=True, encoding="utf-8", timeout=120
    )


def small_run(tmp_path, out):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    sizes = ["--block-size=8", "--n-embd=16", "--n-head=2", "--n-layer=1", "--batch-size=6"]
    sizes += ["--prompt=to be", "--eval-every=2", "--dtype=float32"]
    return [*sizes, f"--data={tmp_path / 'text.txt'}", f"--out={out}"]


@pytest.mark.slow
def test_two_ranks_give_the_losses_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    command = [sys.executable, HERE / "main.py", *small_run(tmp_path, one), "--steps=8"]
    subprocess.run(command, check=True, capture_output=True)
    done = on_two_ranks(HERE / "main.py", *small_run(tmp_path, two), "--steps=8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("num params") == 1
    results = [json.loads((out / "result.json").read_text(encoding="utf-8")) for out in (one, two)]
    assert len(results[0]["curve"]) == 5
    for row, expected in zip(results[1]["curve"][1:], results[0]["curve"][1:], strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    assert results[1]["loss"]["val"] == pytest.approx(results[0]["loss"]["val"], abs=1e-5)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import os\nimport main, plumbing\n"
        "draw = main.get_batch\n"
        "def die(*arguments):\n"
        "    os._exit(3) if os.environ['RANK'] == '1' else None\n"
        "    return draw(*arguments)\n"
        "main.get_batch = die\n"
        "plumbing.run(main.main)\n",
        encoding="utf-8",
    )
    done = on_two_ranks(script, *small_run(tmp_path, tmp_path / "out"), "--steps=1000000")
    assert done.returncode != 0
    assert "(exitcode: 3)" in done.stderr  # it died as planned, and nothing else was wrong
    assert not (tmp_path / "out" / "result.json").exists()


# ---- evaluation ------------------------------------------------------------------------------
def slow_evaluate(model, data):
    """One position after the other, each given what its stretch of block_size holds before it."""
    losses = []
    for i in range(1, len(data)):
        start = (i - 1) // model.block_size * model.block_size
        with torch.no_grad():
            logits = explicit_gpt(model, data[None, start:i])[0, -1]
        losses.append(-logits.log_softmax(0)[data[i]].item())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("length", [2, 8, 9, 10, 16, 17, 18, 24, 25, 61])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_evaluate_equals_a_position_by_position_computation(length, batch_size):
    model, data = make_model().double(), TOKENS[:length]
    expected = slow_evaluate(model, data)
    assert evaluate(model, data, batch_size) == pytest.approx(expected, abs=1e-12)


def test_dropout_is_off_in_evaluation_and_the_mode_is_put_back():
    model, data = make_model(dropout=0.5), TOKENS[:9]
    first = evaluate(model, data)
    assert model.training
    assert evaluate(model, data) == first
    logits = model(data[None, :-1])[0]  # in training
    assert abs(F.cross_entropy(logits, data[1:]).item() - first) > 0.01
    assert first == evaluate(make_model(dropout=0.0), data)


def test_training_drops_and_evaluating_in_between_does_not_end_that():
    data = {"train": TOKENS[:9], "val": TOKENS[:9]}  # one excerpt, so only dropout can vary
    config = replace(TINY, steps=4, learning_rate=0.0, muon_learning_rate=0.0)
    curve, _ = run_train(config, make_model(dropout=0.5), data)
    batch_losses, val_losses = [row[1] for row in curve[1:]], [row[2] for row in curve]
    assert len(set(batch_losses)) == 4
    assert len(set(val_losses)) == 1


def test_letter_frequencies_by_hand():
    """Counts of a and b are 2 and 1, and 0.1 more each: 2.1 and 1.1 of 3.2; c has 0.1 of 3.3."""
    data = {"train": torch.tensor([0, 0, 1]), "val": torch.tensor([0, 1])}
    a, b = -math.log(2.1 / 3.2), -math.log(1.1 / 3.2)
    expected = {"train": (2 * a + b) / 3, "val": (a + b) / 2}
    assert letter_frequencies(data, 2) == pytest.approx(expected, abs=1e-6)
    data["val"] = torch.tensor([2])
    assert letter_frequencies(data, 3)["val"] == pytest.approx(math.log(33), abs=1e-5)


# ---- samples ---------------------------------------------------------------------------------
def test_greedy_generation_looks_back_on_block_size_characters_or_half_as_many():
    """Without a cache: when 8 are full it goes on with the later 4 of them and the newest."""
    model = make_model(seed=9)
    prompt = TOKENS[:20].tolist()  # longer than block_size
    window, expected = prompt[-8:], []
    for _ in range(30):
        expected.append(model(torch.tensor([window]))[0, -1].argmax().item())
        window.append(expected[-1])
        if len(window) > 8:
            window = window[-5:]
    new = list(model.generate(prompt, 30, top_k=1))
    assert new == expected
    assert len(set(new)) > 5  # a greedy sample that repeats itself would prove little
    assert prompt == TOKENS[:20].tolist()
    assert list(model.generate(prompt[-8:], 30, top_k=1)) == new
    assert list(model.generate(prompt, 30, temperature=0.001)) == new


@pytest.mark.parametrize("prompt", [1, 3, 8])
def test_logits_with_and_without_a_cache_are_equal(prompt):
    model = make_model(n_layer=3).double().eval()
    xb, caches = TOKENS[None, :8], [[] for _ in model.blocks]
    logits = [model(xb[:, :prompt], caches)]
    logits += [model(xb[:, t : t + 1], caches) for t in range(prompt, 8)]
    torch.testing.assert_close(torch.cat(logits, dim=1), model(xb), rtol=0, atol=1e-12)


def test_a_character_costs_the_same_late_in_a_long_text(monkeypatch):
    model, positions = make_model(), []
    forward = GPT.forward

    def counted(self, xb, caches=None):
        positions.append(xb.shape[1])
        return forward(self, xb, caches)

    monkeypatch.setattr(GPT, "forward", counted)
    list(model.generate([0], 400))
    assert sum(positions[200:]) <= sum(positions[:200]) + 10
    assert sum(positions) < 400 * 3


@pytest.mark.parametrize("length", [0, 1, 13])
def test_generate_yields_as_many_ids_as_asked_for(length):
    new = list(make_model().generate([0], length))
    assert len(new) == length
    assert set(new) <= set(range(V))


def biased_model():
    """P(k) is proportional to k + 1, for k from 0 to 4, whatever went before."""
    model = make_model(vocab_size=5, block_size=2, n_embd=2, n_head=1, n_layer=1)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.copy_(torch.arange(1.0, 6).log())
    return model


@pytest.mark.parametrize(
    "temperature, top_k", [(0.5, None), (1.0, None), (2.0, None), (2.0, 2), (1.0, 5), (1.0, 99)]
)
def test_temperature_divides_logits_and_top_k_leaves_the_likeliest(temperature, top_k):
    generator = torch.Generator().manual_seed(0)
    counts = Counter(biased_model().generate([0], 1500, temperature, top_k, generator))
    shares = [(k + 1) ** (1 / temperature) for k in range(5)]
    shares = [s if k >= 5 - (top_k or 5) else 0 for k, s in enumerate(shares)]
    for k, share in enumerate(shares):
        assert counts[k] / 1500 == pytest.approx(share / sum(shares), abs=0.05)
        assert share or not counts[k]


@pytest.mark.parametrize("training", [True, False])
def test_generate_drops_nothing_and_puts_the_mode_back(training):
    model = make_model(dropout=0.9).train(training)
    expected = list(make_model(dropout=0.0).generate([0], 20, top_k=1))
    assert list(model.generate([0], 20, top_k=1)) == expected
    assert model.training == model.blocks[0].attn.training == training


def test_the_generator_alone_makes_a_sample_repeatable():
    model = make_model(large=False)

    def draw(seed):
        return list(model.generate([0], 40, generator=torch.Generator().manual_seed(seed)))

    assert draw(1) == draw(1) != draw(2)


# ---- the checkpoint --------------------------------------------------------------------------
@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call main() on a text and some flags; the result, and the model as training left it."""

    def run(text, **flags):
        (tmp_path / "text.txt").write_text(text)
        files = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path}", "--device=cpu"]
        sizes = {**SIZES, "batch_size": 4, "warmup": 2, "eval_every": 5, "prompt": "b", **flags}
        argv = [f"--{name}={value}" for name, value in sizes.items()]
        models = []
        monkeypatch.setattr(stage, "GPT", lambda **s: models.append(GPT(**s)) or models[-1])
        monkeypatch.setattr(sys, "argv", ["main.py", *files, *argv])
        assert stage.main() == 0
        return json.loads((tmp_path / "result.json").read_text()), models[0]

    return run


def test_the_kept_checkpoint_gives_the_same_logits_and_text(run, tmp_path, monkeypatch, capsys):
    result, model = run(TEXT, steps=10)
    assert result["best"]["step"] == 10  # so that what was kept is what training left
    loaded, chars = generate.load(tmp_path / "model.pt", "cpu")
    assert chars == "".join(CHARS)
    xb = TOKENS[None, :8]
    assert torch.equal(loaded(xb), model(xb))
    argv = ["generate.py", f"--model={tmp_path / 'model.pt'}", "--prompt=b", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", argv)
    capsys.readouterr()
    generate.main()
    assert capsys.readouterr().out == result["samples"][0] + "\n"
    assert len(result["samples"][0]) == 501


def test_the_kept_checkpoint_has_the_best_val_loss_of_the_run(run, tmp_path):
    """The val text has the letters of train in no order: what a long run learns misleads there."""
    val = "".join(random.Random(2).choices(TEXT, k=len(TEXT) // 9))
    result, _ = run(TEXT + val, steps=40, dropout=0.1)
    loaded, _ = generate.load(tmp_path / "model.pt", "cpu")
    best = min(row[2] for row in result["curve"])
    assert result["best"]["val"] == best < result["loss"]["val"] - 0.01
    assert 0 < result["best"]["step"] < 40
    val = load_text(tmp_path / "text.txt", 8)["val"]
    tokens = torch.tensor([CHARS.index(ch) for ch in val])
    assert evaluate(loaded, tokens) == pytest.approx(best, abs=1e-6)


def test_generate_continues_the_very_prompt_it_is_given(tmp_path, monkeypatch, capsys):
    model, path = make_model(seed=9), tmp_path / "model.pt"
    sizes = {"vocab_size": V, **SIZES}
    checkpoint = {"sizes": sizes, "chars": "".join(CHARS), "weights": model.state_dict()}
    plumbing.save_tensors(path, checkpoint)
    texts = []
    for prompt in ("to be", "question"):
        flags = [f"--prompt={prompt}", "--length=20", "--top-k=1", "--device=cpu"]
        monkeypatch.setattr(sys, "argv", ["generate.py", f"--model={path}", *flags])
        generate.main()
        new = model.generate([CHARS.index(ch) for ch in prompt], 20, top_k=1)
        texts.append("".join(CHARS[token] for token in new))
        assert capsys.readouterr().out == f"{prompt}{texts[-1]}\n"
    assert texts[0] != texts[1]


class Intruder:
    """A pickle of it calls Path.touch when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))]
)
def test_a_checkpoint_with_code_in_it_is_refused_and_not_executed(write, tmp_path):
    path, trace = tmp_path / "model.pt", tmp_path / "executed"
    write({"sizes": {}, "chars": "", "weights": Intruder(trace)}, path)
    with pytest.raises(BadInput, match="no checkpoint of this stage"):
        generate.load(path, "cpu")
    assert not trace.exists()
    with path.open("rb") as file:  # and it is a danger to those who load it carelessly
        torch.load(path, weights_only=False) if write is torch.save else pickle.load(file)
    assert trace.exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(BadInput, match="run main.py first"):
        generate.load(path, "cpu")
    weights = make_model().state_dict()
    good = {"sizes": {"vocab_size": V, **SIZES}, "chars": "".join(CHARS), "weights": weights}
    wrong = [
        {},
        {"wte": torch.zeros(3, 3)},
        {**good, "sizes": {**good["sizes"], "n_embd": 32}},
        {**good, "weights": dict(itertools.islice(weights.items(), 5))},
    ]
    for checkpoint in wrong:
        plumbing.save_tensors(path, checkpoint)
        with pytest.raises(BadInput, match="no checkpoint of this stage"):
            generate.load(path, "cpu")
    path.write_text("no checkpoint at all")
    with pytest.raises(BadInput, match="no checkpoint of this stage"):
        generate.load(path, "cpu")
    plumbing.save_tensors(path, good)
    assert generate.load(path, "cpu")[1] == "".join(CHARS)


# ---- whole runs ------------------------------------------------------------------------------
def whole_run(name, out):
    plumbing.get_data("tinyshakespeare")
    command = [sys.executable, HERE / "main.py", f"--preset={name}", "--device=cpu", "--out", out]
    assert subprocess.run(command).returncode == 0
    return json.loads((out / "result.json").read_text())


@pytest.mark.slow
def test_preset_nanogpt_cpu_reaches_the_loss_of_nanogpts_readme(tmp_path):
    result = whole_run("nanogpt-cpu", tmp_path)
    assert (result["steps"], result["params"], result["vocab_size"]) == (2000, 818_241, 65)
    assert result["loss"]["val"] == pytest.approx(1.88, abs=0.03)


@pytest.mark.slow
def test_preset_cpu_reaches_its_loss(tmp_path):
    result = whole_run("cpu", tmp_path)
    assert (result["steps"], result["params"], result["vocab_size"]) == (3600, 822_337, 65)
    assert result["best"]["val"] <= 1.50


# ---- forecast --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "steps, expected",
    [(150, 2.247), (3600, 1.458), (149, None), (3601, None), (1414, (1.548 + 1.479) / 2)],
)
def test_the_expected_loss_is_measured_or_between_two_that_are(steps, expected):
    """1414 is halfway from 1000 to 2000 in logarithms."""
    loss = forecast.val_loss(steps)
    assert loss is None if expected is None else loss == pytest.approx(expected, abs=1e-4)


def pace(done, seconds):
    progress = plumbing.Progress(1000)
    progress.done, progress.seconds = done, seconds
    return progress


def test_a_run_by_steps_says_its_time_and_one_by_the_clock_its_steps():
    said = forecast.say(Config(steps=1000), pace(40, 4.0))
    assert said == "100 ms a step: 1,000 steps in about 1.7 minutes; expect a val loss near 1.55"
    said = forecast.say(Config(minutes=1.0), pace(40, 4.0))
    assert said.startswith("100 ms a step: 600 steps in about 60 seconds; expect")


@pytest.mark.parametrize("change", [{"n_embd": 64}, {"weight_decay": 0.1}, {"data": Path("other")}])
def test_no_loss_is_expected_of_what_was_not_measured(change):
    assert "expect" not in forecast.say(Config(steps=1000, **change), pace(40, 4.0))


def test_the_forecast_is_that_of_the_default_model():
    config = Config()
    for name, value in (forecast.MODEL | forecast.RECIPE).items():
        assert getattr(config, name) == value, name
    assert forecast.val_loss(config.steps) is not None
