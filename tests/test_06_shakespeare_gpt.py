"""Stage 06: model, optimizers, training, evaluation and samples against slower, plainer forms."""

import copy
import itertools
import json
import math
import os
import pickle
import random
import signal
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

import stopping
from clocks import Clock
from stages import ROOT, load_stage

STAGE = "06_shakespeare_gpt"
main, common, devices, generate, model_py, muon = (
    load_stage(STAGE, name)
    for name in ("main", "common", "devices", "generate", "model", "muon")
)  # fmt: skip
BadInput, pick_device = common.BadInput, devices.pick_device
PRESETS, Config, Tokenizer = main.PRESETS, main.Config, main.Tokenizer
get_batch, pick_starts = main.get_batch, main.pick_starts
evaluate, letter_frequencies = main.evaluate, main.letter_frequencies
attention_weights, log_probs, sample = main.attention_weights, main.log_probs, main.sample
load_text, make_optimizers, schedule = main.load_text, main.make_optimizers, main.schedule
GPT, CausalSelfAttention = model_py.GPT, model_py.CausalSelfAttention
Muon, orthogonalize = muon.Muon, muon.orthogonalize

MAIN = ROOT / STAGE / "main.py"
needs_new_torch = pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="this PyTorch has nothing to compare with"
)
SPEECH = """To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer the
slings and arrows of outrageous fortune, or to take arms against a sea of troubles."""
TEXT = " ".join(random.Random(1).choices(SPEECH.split(), k=400))
TOKENIZER = Tokenizer(TEXT)
CHARS = TOKENIZER.chars
TOKENS = torch.tensor(TOKENIZER.encode(TEXT))
V = len(CHARS)
SIZES = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "dropout": 0.0}
TINY = Config(**SIZES, steps=6, batch_size=4, warmup=2, eval_every=1, device="cpu")


def make_model(seed=0, vocab_size=V, large=True, **changes):
    """A small GPT; large: no weight near 0 or 1, so that none can be left out unnoticed."""
    torch.manual_seed(seed)
    model = GPT(vocab_size=vocab_size, **{**SIZES, **changes})
    model.tokenizer = TOKENIZER
    if large:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn(p.shape))
    return model


def run_train(config, model, data):
    """The curve and the best weights."""
    log, best = main.train(config, model, data, "cpu", "float32")
    assert log.done == config.steps
    return log.curve, best


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
        xb, _ = get_batch(data["train"], TINY, 0)
        assert xb.shape == (4, 8)
        assert math.isfinite(evaluate(make_model(), data["val"]))


def test_a_text_whose_tenth_is_too_short_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("x" * 80)
    with pytest.raises(BadInput, match="val part has 8 characters"):
        load_text(path, 8)


def test_the_tokenizer_has_an_id_for_each_character_and_no_bos():
    tokenizer = Tokenizer("to be\n")
    assert tokenizer.chars == ["\n", " ", "b", "e", "o", "t"]
    assert tokenizer.vocab_size == 6
    assert tokenizer.encode("bet") == [2, 3, 5]
    assert tokenizer.decode([5, 4, 0]) == "to\n"
    assert Tokenizer(tokenizer.chars).stoi == tokenizer.stoi  # as load() makes it


def test_every_excerpt_occurs_in_the_text_and_targets_are_one_character_later():
    xb, yb = get_batch(TOKENS, replace(TINY, batch_size=64), 0)
    assert xb.shape == yb.shape == (64, 8)
    for x, y in zip(xb.tolist(), yb.tolist()):
        assert x[1:] == y[:-1]
        assert "".join(CHARS[token] for token in [*x, y[-1]]) in TEXT
    assert len({tuple(x) for x in xb.tolist()}) > 40


def starts_of(steps, length=1000, **changes):
    """What pick_starts gives for these steps, one after the other. -> list[int]"""
    config = replace(TINY, **changes)
    return torch.cat([pick_starts(length, config, step) for step in steps]).tolist()


def excerpts_in(length):
    """The excerpts that an epoch reads: all that fit but one, so that they can be moved."""
    return max(1, (length - 1) // TINY.block_size - 1)


@settings(deadline=None)
@given(st.integers(9, 400), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_every_epoch_reads_every_excerpt_once(length, batch_size, seed):
    """Whatever the batches are: an epoch may end within one, and one may span several."""
    n, T = excerpts_in(length), TINY.block_size
    steps = range(-(-3 * n // batch_size))
    starts = starts_of(steps, length, batch_size=batch_size, seed=seed)
    assert len(starts) == batch_size * len(steps)
    assert length - n * T <= 2 * T  # an epoch leaves out little
    for epoch in (starts[i * n : (i + 1) * n] for i in range(3)):
        first = min(epoch)
        assert sorted(epoch) == list(range(first, first + n * T, T))
        assert first >= 0 and max(epoch) + T < length  # the last of them has its last target


def test_the_next_epoch_has_another_order_and_another_offset():
    n = excerpts_in(1000)
    starts = starts_of(range(n), batch_size=5)
    epochs = [starts[i * n : (i + 1) * n] for i in range(5)]
    offsets = [min(epoch) for epoch in epochs]
    orders = [[start - min(epoch) for start in epoch] for epoch in epochs]
    assert len(set(offsets)) >= 3
    assert len(set(map(tuple, orders))) == 5
    assert all(order != sorted(order) for order in orders)


def test_every_offset_occurs_the_first_and_the_last_too():
    length = 8 * 5 + 3  # 4 excerpts, moved by up to 10 characters
    epochs = [starts_of([i], length, batch_size=4) for i in range(300)]
    assert {min(epoch) for epoch in epochs} == set(range(11))
    assert max(max(epoch) for epoch in epochs) + 8 == length - 1


def test_a_batch_that_spans_two_epochs_ends_one_and_begins_the_next():
    n = excerpts_in(100)  # 11
    one_by_one = starts_of(range(3 * n), 100, batch_size=1)
    assert starts_of([1], 100, batch_size=8) == one_by_one[8:16]
    assert starts_of([0], 100, batch_size=3 * n) == one_by_one


def test_a_text_of_one_excerpt_and_a_target_is_read_again_and_again():
    xb, yb = get_batch(torch.arange(9), TINY, 5)
    assert xb.tolist() == 4 * [[0, 1, 2, 3, 4, 5, 6, 7]] and torch.equal(yb, xb + 1)


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    """So a resumed run goes on with the same batches, whatever was drawn in between."""

    def batch(step, **changes):
        torch.rand(step + 1)  # not by chance: the global generator does not matter
        return get_batch(TOKENS, replace(TINY, **changes), step)[0].tolist()

    forwards = [batch(step) for step in range(6)]
    assert [batch(step) for step in reversed(range(6))] == forwards[::-1]
    assert len({str(xb) for xb in forwards}) == 6
    assert len({str(batch(0, seed=seed)) for seed in range(10)}) == 10


def test_two_ranks_share_one_batch(monkeypatch):
    config = replace(TINY, batch_size=6)
    whole, targets = get_batch(TOKENS, config, 3)
    monkeypatch.setattr(main, "RANKS", 2)
    for rank in (0, 1):
        monkeypatch.setattr(main, "RANK", rank)
        xb, yb = get_batch(TOKENS, config, 3)
        assert torch.equal(xb, whole[rank::2]) and torch.equal(yb, targets[rank::2])


def test_a_stopped_run_goes_on_with_the_batches_of_one_never_stopped(monkeypatch, tmp_path):
    seen = []

    def spy(data, config, step):
        seen.append((step, get_batch(data, config, step)[0].tolist()))
        if stop_in == [step]:
            stop_in.clear()
            common.stop(signal.SIGINT, None)
        return get_batch(data, config, step)

    def run(out, *flags):
        argv = ["main.py", *small_run(tmp_path, out), "--steps=8", *flags]
        monkeypatch.setattr(sys, "argv", argv)
        main.main()
        common.stop.count, common.stop.training_began = 0, False
        return [seen.pop(0) for _ in list(seen)]

    monkeypatch.setattr(main, "get_batch", spy)
    monkeypatch.setattr(common, "CHECKPOINT_SECONDS", 0.0)
    stop_in = []
    whole = run(tmp_path / "whole")
    stop_in = [4]
    before = run(tmp_path / "stopped")
    assert [step for step, _ in before] == [0, 1, 2, 3, 4]
    assert before + run(tmp_path / "stopped", "--resume") == whole


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


# ---- other parts in the model ----------------------------------------------------------------
def explicit_rms(x):
    return x / (x.pow(2).mean(2, keepdim=True) + 1e-5).sqrt()


def explicit_branches(block, x, norm, activation):
    x = x + explicit_attention(block.attn, norm(x))
    h = activation(norm(x) @ block.mlp_fc1.weight.T + block.mlp_fc1.bias)
    return x + h @ block.mlp_fc2.weight.T + block.mlp_fc2.bias


@needs_new_torch
@pytest.mark.parametrize("norm_embeddings", [False, True])
def test_forward_with_other_parts_agrees_with_an_independent_computation(norm_embeddings):
    """RMSNorm without a scale, ReLU, the last norm where 05 has it."""
    model = make_model(
        norm=lambda C: torch.nn.RMSNorm(C, eps=1e-5, elementwise_affine=False),
        activation=F.relu, norm_embeddings=norm_embeddings,
    ).double()  # fmt: skip
    xb = torch.randint(V, (3, 8))
    x = model.wte.weight[xb] + model.wpe.weight
    x = explicit_rms(x) if norm_embeddings else x
    for block in model.blocks:
        x = explicit_branches(block, x, explicit_rms, lambda h: h.clamp(min=0))
    x = x if norm_embeddings else explicit_rms(x)
    expected = x @ model.lm_head.weight.T + model.lm_head.bias
    torch.testing.assert_close(model(xb), expected, rtol=0, atol=1e-9)


@needs_new_torch
@pytest.mark.parametrize(
    "parts",
    [
        {"norm": lambda C: torch.nn.RMSNorm(C, eps=1e-5)},
        {"norm": lambda C: torch.nn.Identity()},
        {"activation": F.relu},
        {"norm_embeddings": True},
    ],
)
def test_a_model_with_other_parts_starts_with_the_same_weights(parts):
    """So that its runs compare with those of the model as it is."""
    usual, other = make_model(large=False), make_model(large=False, **parts)
    left = torch.rand(3)  # drawn after the weights
    make_model(large=False)
    assert torch.equal(left, torch.rand(3))
    weights = usual.state_dict()
    for name, p in other.state_dict().items():
        assert name.startswith("ln_0.") or torch.equal(p, weights[name]), name
    xb = TOKENS[None, :8]
    assert not torch.equal(other(xb), usual(xb))


def test_frozen_weights_stay_as_they_are_and_the_others_are_trained():
    model = make_model(large=False)
    frozen = [model.wpe, *(block.attn for block in model.blocks)]
    for module in frozen:
        module.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    run_train(TINY, model, {"train": TOKENS[:1000], "val": TOKENS[1000:]})
    for name, p in model.state_dict().items():
        stays = "wpe" in name or "attn." in name
        assert torch.equal(p, before[name]) == stays, name


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
    config = common.parse_flags(Config, "", PRESETS)
    assert config == replace(preset("nanogpt-cpu"), steps=7, n_layer=2, out=config.out)
    assert config.out.parent.name == "tries"  # a try does not replace the stage's own run


def test_device():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")
    with pytest.raises(BadInput, match="tpu"):
        pick_device("tpu")


# ---- schedule --------------------------------------------------------------------------------
# What a device with wrong numbers may do to the weights. cpu:0 is a device that computes rightly.
FAULTS = {
    "a weight that stays as it is": lambda changes: [*changes[:-1], 0 * changes[-1]],
    "a first weight that stays": lambda changes: [0 * changes[0], *changes[1:]],
    "not a number": lambda changes: [*changes[:-1], changes[-1] * math.nan],
    "a tenth too much": lambda changes: [1.1 * change for change in changes],
    "rows in another order": lambda changes: [change.flip(0) for change in changes],
    "another sign": lambda changes: [-change for change in changes],
}


def one_step_of(fault):
    """devices.one_step with a fault on every device but the CPU."""
    one_step = devices.one_step
    return lambda model, device, text: (
        one_step(model, device, text) if device == "cpu" else fault(one_step(model, "cpu", text))
    )


def test_a_device_that_computes_what_the_cpu_does_is_trusted(capsys):
    model, text = make_model(large=False), torch.randint(V, (9,))
    before = {name: p.clone() for name, p in model.state_dict().items()}
    assert devices.check_device("cpu:0", model, text) == "cpu:0"
    assert devices.check_device("cpu", model, text) == "cpu"
    assert capsys.readouterr() == ("", "")
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert model.training and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_device_that_computes_something_else_gives_way_to_the_cpu(fault, monkeypatch, capsys):
    monkeypatch.setattr(devices, "one_step", one_step_of(FAULTS[fault]))
    assert devices.check_device("mps", make_model(), torch.randint(V, (9,))) == "cpu"
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("mps cannot be trusted (its first step of training differs")


def test_a_device_that_cannot_compute_at_all_gives_way_to_the_cpu(monkeypatch, capsys):
    def fault(changes):
        raise RuntimeError("CUDA error: no kernel image is available\nand nine more lines")

    monkeypatch.setattr(devices, "one_step", one_step_of(fault))
    assert devices.check_device("cuda", make_model(), torch.randint(V, (9,))) == "cpu"
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "cuda cannot be trusted (CUDA error: no kernel image" in err


def test_a_run_on_a_device_that_cannot_be_trusted_is_that_of_the_cpu(tmp_path, monkeypatch, capsys):
    results = []
    (tmp_path / "text.txt").write_text("to be or not to be, " * 60, encoding="utf-8")
    for device in ("cpu", "mps"):
        monkeypatch.setattr(devices, "pick_device", lambda name, device=device: device)
        monkeypatch.setattr(devices, "one_step", one_step_of(FAULTS["another sign"]))
        monkeypatch.setattr(sys, "argv", [
            "main.py", f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / device}",
            "--steps=2", "--block-size=8", "--batch-size=2", "--n-embd=8", "--n-layer=1",
            "--prompt=to",
        ])  # fmt: skip
        main.main()
        result = json.loads((tmp_path / device / "result.json").read_text(encoding="utf-8"))
        results.append((result["loss"], result["samples"], result["environment"]["device"]))
    assert results[0] == results[1] and results[0][2] == "cpu"
    assert capsys.readouterr().err.count("mps cannot be trusted") == 1


@pytest.mark.parametrize("device, needs", [("cpu", "compiler that"), ("cuda", "and Triton")])
def test_compile_without_a_compiler_costs_one_line(device, needs, monkeypatch):
    def compile(function):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compile)
    with pytest.raises(BadInput, match=needs) as problem:
        devices.check_compiler(device)
    assert "give --no-compile" in str(problem.value) and "\n" not in str(problem.value)


@pytest.mark.slow
def test_compile_on_a_machine_without_a_compiler_costs_one_line(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be, " * 60, encoding="utf-8")
    command = [sys.executable, ROOT / "06_shakespeare_gpt" / "main.py", "--compile", "--device=cpu",
               f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'out'}", "--block-size=8",
               "--prompt=to"]  # fmt: skip
    environment = {**os.environ, "CXX": "no-such-compiler", "PATH": str(tmp_path)}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "--compile needs a C++ compiler that PyTorch can use" in done.stderr
    assert not (tmp_path / "out" / "result.json").exists()


def test_only_a_gpu_compiles_by_default():
    assert main.PRESETS["lecture"]["compile"] == torch.cuda.is_available()
    assert not any(values.get("compile") for name, values in main.PRESETS.items()
                   if name != "lecture")  # fmt: skip


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


@settings(deadline=None)
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


@needs_new_torch
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
    curve = []
    for step in range(config.steps):
        xb, yb = get_batch(data["train"], config, step)
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
        main, "make_optimizers", lambda *a: made.extend(make_optimizers(*a)) or made
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


def test_the_weights_of_the_lowest_val_loss_are_kept_and_nothing_worse():
    config, data = forgetting()
    model = make_model(large=False)
    curve, best = run_train(config, model, data)
    assert best["val"] == min(val for _, _, val in curve)
    assert [best["step"], best["val"]] in [[step, val] for step, _, val in curve]
    assert 0 < best["step"] < config.steps
    assert evaluate(model, data["val"]) == curve[-1][2] > best["val"]
    model.load_state_dict(best["weights"])
    assert evaluate(model, data["val"]) == best["val"]


def test_of_equal_val_losses_the_first_is_kept():
    config = replace(TINY, learning_rate=0.0, muon_learning_rate=0.0)
    _, best = run_train(config, make_model(), {"train": TOKENS[:1000], "val": TOKENS[1000:]})
    assert best["step"] == 0


def test_training_by_the_clock_ends_with_it_and_has_run_its_schedule_down(monkeypatch):
    made = []
    monkeypatch.setattr(
        main, "make_optimizers", lambda *a: made.extend(make_optimizers(*a)) or made
    )
    monkeypatch.setattr(common, "time", Clock(0.01))
    config = replace(TINY, steps=1, minutes=1 / 60, eval_every=1000)
    data = {"train": TOKENS[:1000], "val": TOKENS[1000:]}
    log, _ = main.train(config, make_model(), data, "cpu", "float32")
    assert 1.0 <= log.seconds < 1.2 and log.done > 5
    assert [row[0] for row in log.curve][-1] == log.done
    assert made[0].param_groups[0]["lr"] < 0.02 * config.learning_rate


# ---- several ranks ---------------------------------------------------------------------------
def on_two_ranks(script, *flags):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(MAIN.parent)}
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
    command = [sys.executable, MAIN, *small_run(tmp_path, one), "--steps=8"]
    subprocess.run(command, check=True, capture_output=True)
    done = on_two_ranks(MAIN, *small_run(tmp_path, two), "--steps=8")
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
        "import os\nimport common, main\n"
        "draw = main.get_batch\n"
        "def die(*arguments):\n"
        "    os._exit(3) if os.environ['RANK'] == '1' else None\n"
        "    return draw(*arguments)\n"
        "main.get_batch = die\n"
        "common.run(main.main)\n",
        encoding="utf-8",
    )
    done = on_two_ranks(script, *small_run(tmp_path, tmp_path / "out"), "--steps=1000000")
    assert done.returncode != 0
    assert "(exitcode: 3)" in done.stderr  # it died as planned, and nothing else was wrong
    assert not (tmp_path / "out" / "result.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals another process as POSIX does")
@pytest.mark.parametrize("to_all", [False, True])  # True: as Ctrl-C in a terminal does
def test_a_stop_of_two_ranks_keeps_the_result(to_all, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    flags = [*small_run(tmp_path, tmp_path / "out"), "--steps=1000000", "--eval-every=100"]
    child = subprocess.Popen(
        [*command, str(MAIN), *flags], env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert any(b"step" in line for line in child.stdout)
    os.killpg(child.pid, signal.SIGINT) if to_all else child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["interrupted"] and 100 <= result["steps"] < 1_000_000
    assert math.isfinite(result["loss"]["val"])
    assert main.load(tmp_path / "out")


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
    new = model.generate(prompt, 30, top_k=1)
    assert new == expected
    assert len(set(new)) > 5  # a greedy sample that repeats itself would prove little
    assert prompt == TOKENS[:20].tolist()
    assert model.generate(prompt[-8:], 30, top_k=1) == new
    assert model.generate(prompt, 30, temperature=0.001) == new


@pytest.mark.parametrize("prompt", [1, 3, 8])
def test_logits_with_and_without_a_cache_are_equal(prompt):
    model = make_model(n_layer=3).double().eval()
    xb, caches = TOKENS[None, :8], [generate.Cache() for _ in model.blocks]
    logits = [model(xb[:, :prompt], caches)]
    logits += [model(xb[:, t : t + 1], caches) for t in range(prompt, 8)]
    torch.testing.assert_close(torch.cat(logits, dim=1), model(xb), rtol=0, atol=1e-12)


@pytest.mark.parametrize("block_size", [1, 2, 7, 8])
@pytest.mark.parametrize("prompt", [1, 5, 20])
def test_generation_with_a_cache_draws_the_same_ids_however_long_the_text(block_size, prompt):
    model = make_model(seed=9, block_size=block_size).double().eval()
    tokens = TOKENS[:prompt].tolist()
    torch.manual_seed(3)
    expected = model.generate(tokens, 60, 0.9, 10)
    torch.manual_seed(3)
    assert list(generate.generate(model, tokens, 60, 0.9, 10)) == expected
    assert len(set(expected)) > 3
    assert tokens == TOKENS[:prompt].tolist()


def test_within_block_size_generation_is_crop_and_sample():
    model, tokens, expected = make_model(seed=9), [0], []
    torch.manual_seed(3)
    for _ in range(8):
        probs = model(torch.tensor([[0, *expected][-8:]]))[0, -1].div(0.9).softmax(dim=0)
        expected.append(torch.multinomial(probs, 1).item())
    torch.manual_seed(3)
    assert model.generate(tokens, 8, 0.9) == expected
    torch.manual_seed(3)
    assert list(generate.generate(model, tokens, 8, 0.9)) == expected


def test_with_a_cache_a_character_costs_the_same_late_in_a_long_text(monkeypatch):
    model, positions = make_model(), []
    forward = GPT.forward

    def counted(self, xb, caches=None):
        positions.append(xb.shape[1])
        return forward(self, xb, caches)

    monkeypatch.setattr(GPT, "forward", counted)
    list(generate.generate(model, [0], 400))
    assert sum(positions[200:]) <= sum(positions[:200]) + 10
    assert sum(positions) < 400 * 3


@pytest.mark.parametrize("length", [0, 1, 13])
@pytest.mark.parametrize("cached", [False, True])
def test_generate_gives_as_many_ids_as_asked_for(length, cached):
    model = make_model()
    new = list(generate.generate(model, [0], length) if cached else model.generate([0], length))
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
    torch.manual_seed(0)
    counts = Counter(biased_model().generate([0], 1500, temperature, top_k))
    shares = [(k + 1) ** (1 / temperature) for k in range(5)]
    shares = [s if k >= 5 - (top_k or 5) else 0 for k, s in enumerate(shares)]
    for k, share in enumerate(shares):
        assert counts[k] / 1500 == pytest.approx(share / sum(shares), abs=0.05)
        assert share or not counts[k]


@pytest.mark.parametrize("training", [True, False])
def test_generate_drops_nothing_and_puts_the_mode_back(training):
    model = make_model(dropout=0.9).train(training)
    expected = make_model(dropout=0.0).generate([0], 20, top_k=1)
    assert model.generate([0], 20, top_k=1) == expected
    assert model.training == model.blocks[0].attn.training == training


def test_the_seed_of_torch_alone_makes_a_sample_repeatable():
    model = make_model(large=False)

    def draw(seed):
        torch.manual_seed(seed)
        return sample(model, "to ", 40)

    assert draw(1) == draw(1) != draw(2)
    assert draw(1).startswith("to ") and len(draw(1)) == 43


def test_a_sample_begins_with_a_new_line_and_has_500_characters_more():
    model = make_model(vocab_size=V + 1, large=False)
    model.tokenizer = Tokenizer(TEXT + "\n")
    text = sample(model)
    assert text[0] == "\n" and len(text) == 501
    assert set(text) <= set(model.tokenizer.chars)


# ---- log_probs and attention_weights ---------------------------------------------------------
def tensor64(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 30, 90])
def test_log_probs_score_each_character_from_the_block_size_before_it(length):
    model = make_model().double().eval()
    rows = log_probs(model, TEXT[:length])
    assert len(rows) == length and all(len(row) == V for row in rows)
    for i, row in enumerate(rows):
        xb = TOKENS[None, max(0, i + 1 - 8) : i + 1]
        expected = explicit_gpt(model, xb)[0, -1].log_softmax(0)
        torch.testing.assert_close(tensor64(row), expected, rtol=0, atol=1e-9)
        assert sum(map(math.exp, row)) == pytest.approx(1, abs=1e-9)


def test_log_probs_of_a_text_within_block_size_give_the_loss_of_evaluate():
    model = make_model().eval()
    rows = log_probs(model, TEXT[:8])
    losses = [-row[token] for row, token in zip(rows, TOKENS[1:9].tolist())]
    assert sum(losses) / 8 == pytest.approx(evaluate(model, TOKENS[:9]), abs=1e-6)


def test_bfloat16_changes_the_loss_of_evaluate_a_little_and_float32_does_not():
    """A weight has 8 bits, so a logit may be wrong by 1%, but such errors have no direction."""
    model = make_model(large=False)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4)  # logits of the size of a trained model's
    exact = evaluate(model, TOKENS)
    assert exact != pytest.approx(math.log(V), abs=0.2)
    with devices.autocast("cpu", "float32"):
        assert evaluate(model, TOKENS) == exact
    with devices.autocast("cpu", "bfloat16"):
        rough = evaluate(model, TOKENS)
    assert 0 < abs(rough - exact) < 0.002
    assert all(p.dtype == torch.float32 for p in model.parameters())


@needs_new_torch
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_scores_have_the_precision_of_the_training(dtype, run, tmp_path, monkeypatch):
    """log_probs is always in float32, so that it gives the same numbers on every machine."""
    seen = []

    def spy(*arguments):
        seen.append(torch.is_autocast_enabled("cpu"))
        return evaluate(*arguments)

    monkeypatch.setattr(main, "evaluate", spy)
    result, _ = run(TEXT, steps=10, dtype=dtype)
    assert result["dtype"] == dtype
    assert seen == [dtype == "bfloat16"] * 4  # val at steps 0, 5 and 10; train

    model, val = main.load(tmp_path), load_text(tmp_path / "text.txt", 8)["val"]
    losses = []
    for start in range(0, len(val) - 1, 8):
        block = val[start : start + 9]
        rows = log_probs(model, block)
        losses += [-row[token] for row, token in zip(rows, TOKENIZER.encode(block[1:]))]
    assert len(losses) == len(val) - 1
    slack = 1e-6 if dtype == "float32" else 0.002
    assert sum(losses) / len(losses) == pytest.approx(result["best"]["val"], abs=slack)


def test_no_text_has_no_log_probs():
    assert log_probs(make_model().eval(), "") == []


@pytest.mark.parametrize("length", [1, 5, 8])
def test_attention_weights_are_those_of_the_formula(length):
    model = make_model().double().eval()
    weights = attention_weights(model, TEXT[:length])
    assert len(weights) == 2 and all(len(heads) == 2 for heads in weights)
    x = model.wte.weight[TOKENS[None, :length]] + model.wpe.weight[:length]
    future = torch.ones(length, length).triu(1).bool()
    for block, heads in zip(model.blocks, weights):
        attn, h = block.attn, norm(x, block.ln_1)
        q, k = (h @ w.weight.T + w.bias for w in (attn.attn_wq, attn.attn_wk))
        for i, head in enumerate(heads):
            part = slice(8 * i, 8 * i + 8)
            scores = q[0, :, part] @ k[0, :, part].T / math.sqrt(8)
            expected = scores.masked_fill(future, -math.inf).softmax(1)
            torch.testing.assert_close(tensor64(head), expected, rtol=0, atol=1e-9)
            assert all(value == 0 for t, row in enumerate(head) for value in row[t + 1 :])
        x = block(x)


def test_asking_for_attention_weights_changes_no_logits():
    model, attentions = make_model().eval(), []
    xb = TOKENS[:16].view(2, 8)
    assert torch.equal(model(xb, attentions=attentions), model(xb))
    assert [weights.shape for weights in attentions] == [(2, 2, 8, 8)] * 2


# ---- the saved model -------------------------------------------------------------------------
@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call main() on a text and some flags; the result, and the model as training left it."""

    def run(text, **flags):
        (tmp_path / "text.txt").write_text(text)
        files = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path}", "--device=cpu"]
        sizes = {**SIZES, "batch_size": 4, "warmup": 2, "eval_every": 5, "prompt": "b", **flags}
        argv = [f"--{name}={value}" for name, value in sizes.items()]
        models = []
        train = main.train

        def watched(config, model, *arguments):
            found = train(config, model, *arguments)
            models.append(copy.deepcopy(model))
            return found

        monkeypatch.setattr(main, "train", watched)
        monkeypatch.setattr(sys, "argv", ["main.py", *files, *argv])
        main.main()
        monkeypatch.setattr(main, "train", train)
        return json.loads((tmp_path / "result.json").read_text()), models[0].eval()

    return run


def test_the_saved_model_gives_the_same_logits_and_text(run, tmp_path, monkeypatch, capsys):
    result, model = run(TEXT, steps=10)
    assert result["best"]["step"] == 10  # so that what was saved is what training left
    loaded = main.load(tmp_path)
    assert loaded.tokenizer.chars == CHARS
    xb = TOKENS[None, :8]
    assert torch.equal(loaded(xb), model(xb))
    argv = ["generate.py", f"--model={tmp_path / 'model.pt'}", "--prompt=b", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", argv)
    capsys.readouterr()
    generate.main()
    assert capsys.readouterr().out == result["samples"][0] + "\n"
    assert len(result["samples"][0]) == 501


def test_load_needs_the_folder_alone_and_switches_dropout_off(run, tmp_path):
    result, _ = run(TEXT, steps=10, dropout=0.5)
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert saved.keys() == {"config", "chars", "weights", "step"}
    assert saved["config"] == result["config"]
    assert saved["step"] == result["best"]["step"]
    model = main.load(tmp_path)
    assert not model.training and model.dropout.p == 0.5
    xb = TOKENS[None, :8]
    assert torch.equal(model(xb), model(xb))
    torch.manual_seed(1337)
    assert sample(model, "b", 500, 0.8, 200) == result["samples"][0]
    with pytest.raises(OSError):
        main.load(tmp_path / "nowhere")


def test_the_saved_weights_have_the_best_val_loss_of_the_run(run, tmp_path):
    """The val text has the letters of train in no order: what a long run learns misleads there."""
    val = "".join(random.Random(2).choices(TEXT, k=len(TEXT) // 9))
    result, _ = run(TEXT + val, steps=40, dropout=0.1)
    best = min(row[2] for row in result["curve"])
    assert result["best"]["val"] == best < result["loss"]["val"] - 0.01
    assert 0 < result["best"]["step"] < 40
    val = load_text(tmp_path / "text.txt", 8)["val"]
    tokens = torch.tensor([CHARS.index(ch) for ch in val])
    with devices.autocast("cpu", result["dtype"]):
        assert evaluate(main.load(tmp_path), tokens) == pytest.approx(best, abs=1e-6)


def save_model(path, model, **changes):
    """Write a model as main() does."""
    saved = {
        "config": common.settings(TINY),
        "chars": CHARS,
        "weights": model.state_dict(),
        "step": 0,
    }
    torch.save({**saved, **changes}, path)


def test_generate_continues_the_very_prompt_it_is_given(tmp_path, monkeypatch, capsys):
    model, path = make_model(seed=9), tmp_path / "other.pt"
    save_model(path, model)
    texts = []
    for prompt in ("to be", "question"):
        flags = [f"--prompt={prompt}", "--length=20", "--top-k=1", "--device=cpu"]
        monkeypatch.setattr(sys, "argv", ["generate.py", f"--model={path}", *flags])
        generate.main()
        texts.append(sample(model, prompt, 20, top_k=1))
        assert capsys.readouterr().out == f"{texts[-1]}\n"
    assert texts[0].removeprefix("to be") != texts[1].removeprefix("question")


def test_generate_says_after_a_stop_how_much_it_has_written(tmp_path, monkeypatch, capsys):
    save_model(tmp_path / "model.pt", make_model())
    flags = [f"--model={tmp_path / 'model.pt'}", "--prompt=to", "--length=9", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", ["generate.py", *flags])
    monkeypatch.setattr(common.stop, "training_began", False)
    draw, draws = generate.draw, []

    def stop_in_the_fourth(*arguments):
        draws.append(draw(*arguments))
        if len(draws) == 4:
            common.stop(signal.SIGINT, None)
        return draws[-1]

    monkeypatch.setattr(generate, "draw", stop_in_the_fourth)
    with pytest.raises(SystemExit) as stopped:
        generate.main()
    assert stopped.value.code == 130
    out, err = capsys.readouterr()
    assert out == "to" + "".join(CHARS[token] for token in draws[:3]) + "\n"
    assert err == "stopped after 3 of 9 characters\n"


def test_generate_names_a_character_that_the_model_has_never_seen(tmp_path, monkeypatch):
    save_model(tmp_path / "model.pt", make_model())
    flags = [f"--model={tmp_path / 'model.pt'}", "--prompt=to be 日"]
    monkeypatch.setattr(sys, "argv", ["generate.py", *flags])
    with pytest.raises(BadInput, match="日"):
        generate.main()


class Intruder:
    """A pickle of it calls Path.touch when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))]
)
def test_a_model_file_with_code_in_it_is_refused_and_not_executed(write, tmp_path):
    path, trace = tmp_path / "model.pt", tmp_path / "executed"
    write({"config": {}, "chars": [], "weights": Intruder(trace)}, path)
    with pytest.raises(BadInput, match="is not a model of this stage"):
        generate.load_model(path)
    with pytest.raises(pickle.UnpicklingError):
        main.load(tmp_path)
    assert not trace.exists()
    with path.open("rb") as file:  # and it is a danger to those who load it carelessly
        torch.load(path, weights_only=False) if write is torch.save else pickle.load(file)
    assert trace.exists()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(BadInput, match="run main.py first"):
        generate.load_model(path)
    weights = make_model().state_dict()
    settings = common.settings(TINY)
    wrong = [
        {"config": {}},
        {"config": {**settings, "n_embd": 32}},
        {"config": {**settings, "n_embd": 3}},
        {"config": {**settings, "banana": 1}},
        {"chars": CHARS[1:]},
        {"weights": {}},
        {"weights": dict(itertools.islice(weights.items(), 5))},
    ]
    for changes in wrong:
        save_model(path, make_model(), **changes)
        with pytest.raises(BadInput, match="is not a model of this stage"):
            generate.load_model(path)
    for saved in ({}, {"wte": torch.zeros(3, 3)}):
        torch.save(saved, path)
        with pytest.raises(BadInput, match="is not a model of this stage"):
            generate.load_model(path)
    path.write_text("no model at all")
    with pytest.raises(BadInput, match="is not a model of this stage"):
        generate.load_model(path)
    save_model(path, make_model())
    assert generate.load_model(path).tokenizer.chars == CHARS


# ---- stopping --------------------------------------------------------------------------------
EARLIER = {"model.pt": b"an earlier model", "result.json": b"an earlier result"}
STOPPING = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


@pytest.fixture
def stopped_run(tmp_path, monkeypatch, capsys):
    """stopped_run("training") runs main.py over an earlier run's files, with a signal at each of
    the moments that stopping.py knows. -> (status, stdout, stderr)

    It runs in this process, as PyTorch is slow to import; in a child if the signal kills it.
    """
    handlers = {number: signal.getsignal(number) for number in STOPPING}

    def stopped_run(*moments, signum=signal.SIGINT, **flags):
        (tmp_path / "text.txt").write_text(TEXT * 3)  # an evaluation has several batches
        out = tmp_path / "out"
        out.mkdir()
        for name, content in EARLIER.items():
            (out / name).write_bytes(content)
        sizes = {**SIZES, "steps": 6, "batch_size": 4, "eval_every": 100, "prompt": "b", **flags}
        argv = [f"--{name}={value}" for name, value in sizes.items()]
        argv += [f"--data={tmp_path / 'text.txt'}", f"--out={out}", "--device=cpu"]
        if signum == signal.SIGKILL:
            command = [sys.executable, stopping.__file__, str(int(signum)), ",".join(moments)]
            done = subprocess.run(
                [*command, *argv], capture_output=True, encoding="utf-8", timeout=300,
                env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
            )  # fmt: skip
            assert "Traceback" not in done.stderr
            return done.returncode, done.stdout, done.stderr
        monkeypatch.setattr(sys, "argv", ["main.py", *argv])
        monkeypatch.setattr(common.Steps, "__iter__", stopping.signal_at(moments, signum))
        with pytest.raises(SystemExit) as ended:
            common.run(main.main)
        return ended.value.code, *capsys.readouterr()

    yield stopped_run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    common.stop.count, common.stop.training_began = 0, False


def saved_run(tmp_path):
    """The result in a folder and the model that was written with it."""
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    saved = torch.load(tmp_path / "out" / "model.pt", weights_only=True)
    assert saved["config"] == result["config"]
    assert saved["step"] == result["best"]["step"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(EARLIER)
    return result, main.load(tmp_path / "out")


def val_loss_of(model, result, tmp_path):
    """Computed as the run did that wrote this result."""
    val = load_text(tmp_path / "text.txt", 8)["val"]
    with devices.autocast("cpu", result["dtype"]):
        return evaluate(model, torch.tensor(TOKENIZER.encode(val)))


posix = pytest.mark.skipif(os.name == "nt", reason="signals another process as POSIX does")
SLOW_SIGTERM = pytest.param(signal.SIGTERM, marks=pytest.mark.slow)  # the same code as Ctrl-C


@posix
@pytest.mark.parametrize("signum", [signal.SIGINT, SLOW_SIGTERM])
def test_a_run_stopped_in_training_keeps_what_it_has_learned(stopped_run, signum, tmp_path):
    status, printed, _ = stopped_run("training", signum=signum, steps=1000)
    assert status == 130
    result, model = saved_run(tmp_path)
    assert (result["steps"], result["interrupted"]) == (4, True)
    assert [row[0] for row in result["curve"]] == [0, 4]
    assert result["loss"]["val"] == result["curve"][-1][2] == result["best"]["val"]
    assert result["loss"]["train"] is result["loss"]["test"] is None
    assert val_loss_of(model, result, tmp_path) == pytest.approx(result["best"]["val"], abs=1e-6)
    assert "---- sample ----" in printed and len(result["samples"][0]) == 501


@posix
@pytest.mark.parametrize("signum", [signal.SIGINT, SLOW_SIGTERM])
def test_a_stop_while_train_is_scored_loses_that_loss_alone(stopped_run, signum, tmp_path):
    status, _, err = stopped_run("evaluation 2", signum=signum)
    assert status == 130 and err.count("stopping; the result so far will be kept") == 1
    result, model = saved_run(tmp_path)
    assert (result["steps"], result["interrupted"]) == (6, True)
    assert result["loss"]["train"] is None
    assert result["loss"]["val"] == result["curve"][-1][2]
    assert val_loss_of(model, result, tmp_path) == pytest.approx(result["best"]["val"], abs=1e-6)
    assert len(result["samples"][0]) == 501


@posix
@pytest.mark.parametrize(
    "moments",
    [
        ["training", "evaluation 1"],  # stopped, and again while the last weights are scored
        ["evaluation 1", "evaluation 2"],  # both times while step 2 is scored
    ],
)
def test_a_second_stop_while_val_is_scored_keeps_the_last_weights_unscored(
    stopped_run, moments, tmp_path
):
    eval_every = 100 if moments[0] == "training" else 2
    flags = {"steps": 1000, "eval_every": eval_every}
    status, printed, _ = stopped_run(*moments, **flags)
    assert status == 130
    result, model = saved_run(tmp_path)
    assert result["loss"] == {"train": None, "val": None, "test": None}
    done = 4 if moments[0] == "training" else 2
    assert result["steps"] == done and result["best"] == {"step": done, "val": None}
    assert [row[0] for row in result["curve"]] == [0, done]
    assert result["curve"][-1][1] is not None and result["curve"][-1][2] is None
    assert val_loss_of(model, result, tmp_path) < result["curve"][0][2]  # it has learned something
    assert len(result["samples"][0]) == 501 and "best val loss" not in printed


@posix
def test_one_stop_while_val_is_scored_ends_the_training_and_scores_it_again(stopped_run, tmp_path):
    status, _, _ = stopped_run("evaluation 1", steps=1000, eval_every=2)
    assert status == 130
    result, model = saved_run(tmp_path)
    assert [row[0] for row in result["curve"]] == [0, 2] and result["steps"] == 2
    assert None not in result["curve"][-1]
    assert result["loss"]["val"] == result["curve"][-1][2]
    assert val_loss_of(model, result, tmp_path) == pytest.approx(result["best"]["val"], abs=1e-6)


@posix
@pytest.mark.parametrize(
    "moment, signum",
    [
        ("evaluation 0", signal.SIGINT),  # of the untrained model
        pytest.param("evaluation 0", signal.SIGTERM, marks=pytest.mark.slow),
        ("evaluation 0", signal.SIGKILL),
        pytest.param("training", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("evaluation 1", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_ends_without_a_result_leaves_the_earlier_one(
    stopped_run, moment, signum, tmp_path
):
    status, _, _ = stopped_run(moment, signum=signum)
    assert status == (-signum if signum == signal.SIGKILL else 130)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files == EARLIER


# ---- whole runs ------------------------------------------------------------------------------
def whole_run(name, out):
    command = [sys.executable, MAIN, f"--preset={name}", "--device=cpu", "--out", out]
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
    assert (result["steps"], result["params"], result["vocab_size"]) == (3150, 822_337, 65)
    assert result["best"]["val"] <= 1.50
