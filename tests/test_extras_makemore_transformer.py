"""makemore's transformer: its split, both versions of its recipe, and what is left of its loss."""

import json
import os
import signal
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import makemore_transformer
from makemore_transformer import (
    PRESETS,
    Config,
    lowest_by_halves,
    make_model,
    makemore_splits,
    mean_loss,
    name_losses,
    parameter_groups,
)
from stages import ROOT, load_stage

common = load_stage("05_microgpt", "common")
names = load_stage("05_microgpt", "names")
twin = load_stage("05_microgpt", "torch_twin")
NAMES = names.read_docs(ROOT / "data" / "names.txt")[:300]
SMALL = {"n_layer": 1, "n_embd": 8, "n_head": 2}


def config(preset="first", **changes):
    return Config(preset=preset, **{**PRESETS[preset], **SMALL, **changes})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags) -> (status, result or None) of a short training of a small model."""
    docs = NAMES + NAMES[:40]
    (tmp_path / "names.txt").write_text("\n".join(docs), encoding="utf-8")
    signals = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)]
    handlers = {number: signal.getsignal(number) for number in signals}

    def run(*flags, out="out"):
        fixed = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / out}"]
        small = ["--n-layer=1", "--n-embd=8", "--n-head=2", "--steps=20", "--look-every=5"]
        monkeypatch.setattr(sys, "argv", ["makemore_transformer.py", *fixed, *small, *flags])
        with pytest.raises(SystemExit) as ended:
            common.run(makemore_transformer.main)
        path = tmp_path / out / "result.json"
        result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return ended.value.code, result

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    common.stop.count, common.stop.training_began = 0, False


# ---- data ------------------------------------------------------------------------------------
def test_the_split_is_that_of_makemore():
    """With its seed, torch's permutation of the list decides. It takes the last 1,000 for test."""
    path = ROOT / "data" / "makemore.txt"
    if not path.exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip("data/makemore.txt is missing: python data/prepare.py makemore")
    docs = names.read_docs(path)
    for preset, shared in (("first", 149), ("last", 153)):
        torch.manual_seed(Config(preset=preset, **PRESETS[preset]).seed)
        splits = makemore_splits(docs)
        assert sorted(splits["train"] + splits["test"]) == sorted(docs)
        assert [len(splits[part]) for part in ("train", "val", "test")] == [31033, 0, 1000]
        known = set(splits["train"])
        assert sum(doc in known for doc in splits["test"]) == shared


def test_a_short_list_gives_a_tenth_to_test():
    assert [len(part) for part in makemore_splits(list("abcdefghijklm")).values()] == [12, 0, 1]


# ---- model -----------------------------------------------------------------------------------
def test_the_model_has_the_parameters_that_makemore_counts():
    model = make_model(Config(), 27, 16)
    total = sum(p.numel() for p in model.parameters())
    assert total == 204_544  # the "200K" of the README, and what makemore.py prints
    assert total - model.lm_head.weight.numel() == 202_816
    assert model.lm_head.bias is None


@pytest.mark.parametrize("preset, approximate", [("first", "none"), ("last", "tanh")])
def test_the_model_is_a_gpt_as_pytorch_would_build_it(preset, approximate):
    """The same weights in torch's own encoder layers give the same logits."""
    torch.manual_seed(1)
    model = make_model(config(preset), 27, 16).eval()
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, batch_first=True, norm_first=True,
        activation=lambda x: F.gelu(x, approximate=approximate),
    ).eval()  # fmt: skip
    block = model.blocks[0]
    with torch.no_grad():
        for p in block.parameters():  # large ones, so that the forms of GELU differ
            p.copy_(torch.randn(p.shape))
        qkv = (block.attn.attn_wq, block.attn.attn_wk, block.attn.attn_wv)
        layer.self_attn.in_proj_weight.copy_(torch.cat([w.weight for w in qkv]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([w.bias for w in qkv]))
        for mine, theirs in (
            (block.attn.attn_wo, layer.self_attn.out_proj), (block.mlp_fc1, layer.linear1),
            (block.mlp_fc2, layer.linear2), (block.ln_1, layer.norm1), (block.ln_2, layer.norm2),
        ):  # fmt: skip
            theirs.load_state_dict(mine.state_dict())
        xb = torch.randint(27, (5, 9))
        mask = nn.Transformer.generate_square_subsequent_mask(9)
        x = layer(model.wte(xb) + model.wpe(torch.arange(9)), src_mask=mask, is_causal=True)
        torch.testing.assert_close(model(xb), model.lm_head(model.ln_f(x)), rtol=0, atol=1e-5)


def test_the_first_weights_are_those_of_each_version():
    first, last = make_model(Config(), 27, 16), make_model(config("last", n_embd=64), 27, 16)
    for name, p in first.named_parameters():
        if p.dim() == 2:  # also those at the end of a branch, which stage 06 draws smaller
            assert p.std().item() == pytest.approx(0.02, rel=0.1), name
    assert not any(p.any() for name, p in first.named_parameters() if name.endswith("bias"))
    assert last.wte.weight.std().item() == pytest.approx(1, rel=0.1)
    most = last.blocks[0].mlp_fc2.weight.abs().max().item()  # 256 inputs: at most 1 / 16
    assert 0.06 < most <= 1 / 16
    assert last.blocks[0].mlp_fc2.bias.any()


def test_what_decays_in_each_version():
    model = make_model(config(), 27, 16)
    decaying, others = parameter_groups(config(), model)
    sizes = {tuple(p.shape) for p in others["params"]}
    assert sizes == {(27, 8), (16, 8), (8,), (32,)} and others["weight_decay"] == 0
    assert len(decaying["params"]) == 7  # q, k, v, o, two of the MLP, lm_head
    assert len(others["params"] + decaying["params"]) == len(list(model.parameters()))
    (only,) = parameter_groups(config("last"), model)
    assert len(only["params"]) == len(list(model.parameters())) and "weight_decay" not in only


# ---- training --------------------------------------------------------------------------------
@pytest.mark.parametrize("preset", ["first", "last"])
def test_training_takes_the_steps_of_makemore(preset):
    """The same loop in makemore's order of operations, on whole rows instead of trimmed ones."""
    chosen = config(preset, dropout=0.0, steps=6, batch_size=4, look_every=3, clip=0.5)
    tokenizer = names.Tokenizer(NAMES)
    data = {part: twin.pad_docs(docs, tokenizer, 16)
            for part, docs in (("train", NAMES[:50]), ("test", NAMES[50:60]))}  # fmt: skip
    halves = torch.zeros(2, 10, dtype=torch.bool)
    halves[0, :5] = halves[1, 5:] = True
    torch.manual_seed(3)
    model = make_model(chosen, tokenizer.vocab_size, 16)
    torch.manual_seed(4)
    _, best, looks = makemore_transformer.train(chosen, model, data, halves)

    torch.manual_seed(3)
    expected = make_model(chosen, tokenizer.vocab_size, 16)
    linear = [m.weight for m in expected.modules() if isinstance(m, nn.Linear)]
    torch.manual_seed(4)
    xs, ys = data["train"]
    optimizer = torch.optim.AdamW(expected.parameters(), lr=5e-4, betas=(0.9, 0.99),
                                  weight_decay=0.01 if preset == "last" else 0.0)  # fmt: skip
    for _ in range(6):
        ix = torch.randint(50, (4,))
        loss = F.cross_entropy(expected(xs[ix]).view(64, -1), ys[ix].view(64), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        norm = sum(p.grad.pow(2).sum() for p in expected.parameters()) ** 0.5
        for p in expected.parameters():
            p.grad *= min(1.0, 0.5 / norm)
        if preset == "first":
            for p in linear:
                p.data *= 1 - 5e-4 * 0.1
        optimizer.step()
    for (name, p), q in zip(model.named_parameters(), expected.parameters(), strict=True):
        # A bias of the keys adds the same to all scores. Its gradient is rounding error alone.
        if not name.endswith("attn_wk.bias"):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-5, msg=name)
    assert [row[0] for row in looks] == [0, 3, 6]
    assert looks[2][1] == min(row[1] for row in looks)
    assert all(torch.equal(w, model.state_dict()[name]) for name, w in best.items())


def test_the_best_weights_are_copies_from_the_look_with_the_lowest_test_loss():
    """A learning rate of 10 spoils the model, so the first weights are the best."""
    chosen = config(steps=4, look_every=1, learning_rate=10.0, weight_decay=0.0, clip=0.0)
    tokenizer = names.Tokenizer(NAMES)
    data = {part: twin.pad_docs(NAMES[:20], tokenizer, 16) for part in ("train", "test")}
    model = make_model(chosen, tokenizer.vocab_size, 16)
    before = {name: w.clone() for name, w in model.state_dict().items()}
    _, best, looks = makemore_transformer.train(chosen, model, data, torch.ones(2, 20).bool())
    assert min(looks, key=lambda row: row[1])[0] == 0
    assert all(torch.equal(best[name], w) for name, w in before.items())
    assert any(not torch.equal(best[name], w) for name, w in model.state_dict().items())


# ---- evaluation ------------------------------------------------------------------------------
def test_the_loss_of_names_is_without_dropout_and_padding():
    tokenizer = names.Tokenizer(NAMES)
    model = make_model(config(dropout=0.5), tokenizer.vocab_size, 16)
    xs, ys = twin.pad_docs(["ava", "mia", "isabella"], tokenizer, 16)
    losses = name_losses(model, xs, ys)
    assert model.training
    model.eval()
    with torch.no_grad():
        for loss, doc in zip(losses, ["ava", "mia", "isabella"], strict=True):
            tokens = torch.tensor(tokenizer.encode(doc))
            alone = F.cross_entropy(model(tokens[None, :-1])[0], tokens[1:], reduction="sum")
            assert loss.item() == pytest.approx(alone.item(), abs=1e-4)
    assert mean_loss(losses, ys) == pytest.approx(losses.sum().item() / (4 + 4 + 9), abs=1e-5)


def test_each_half_is_scored_where_the_other_one_is_lowest():
    looks = [[0, 9.0, 3.0, 2.0], [5, 9.0, 2.0, 4.0], [10, 9.0, 2.5, 1.0]]
    # The first half is lowest at step 5, where the second one has 4; the second at step 10: 2.5.
    assert lowest_by_halves(looks, [1, 3]) == pytest.approx((2.5 * 1 + 4.0 * 3) / 4)


# ---- main ------------------------------------------------------------------------------------
def test_the_result_has_all_losses(run):
    status, result = run()
    assert status == 0
    leak, looks = result["leak"], result["looks"]
    assert [row[0] for row in looks] == [0, 5, 10, 15, 20]
    assert result["loss"]["test"] == pytest.approx(min(row[1] for row in looks), abs=1e-6)
    assert result["last"]["test"] == pytest.approx(looks[-1][1], abs=1e-6)
    assert 0 < leak["share_of_test_names"] < 1 and result["loss"]["val"] is None
    low = min(row[i] for row in looks for i in (2, 3))
    high = max(row[i] for row in looks for i in (2, 3))
    for loss in (leak["test_loss_without"], leak["chosen_on_the_other_half"]):
        assert low <= loss <= high
    assert all(len(name) <= 16 for name in result["samples"])


def test_a_stopped_run_continues_as_if_it_had_not_stopped(run, monkeypatch):
    monkeypatch.setattr(common, "CHECKPOINT_SECONDS", 0)
    _, whole = run("--dropout=0.3", out="whole")
    with monkeypatch.context() as patch:
        real = common.Log.add

        def add(self, loss, chars=0):
            real(self, loss, chars)
            if self.done == 12:
                signal.raise_signal(signal.SIGINT)

        patch.setattr(common.Log, "add", add)
        assert run("--dropout=0.3")[0] == 130
    status, result = run("--dropout=0.3", "--resume")
    assert status == 0 and result["steps"] == 20
    for key in ("loss", "last", "looks", "leak", "best_step", "samples", "curve"):
        assert result[key] == whole[key], key


def test_names_that_are_all_known_are_named(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("ava\n" * 50, encoding="utf-8")
    flags = [f"--data={tmp_path / 'few.txt'}", f"--out={tmp_path / 'o'}"]
    monkeypatch.setattr(sys, "argv", ["makemore_transformer.py", *flags])
    with pytest.raises(common.BadInput, match="only 0 of the test names are not in train"):
        makemore_transformer.main()


def test_heads_that_do_not_divide_the_vector_are_named():
    with pytest.raises(common.BadInput, match="--n-embd 64 is not a multiple of --n-head 5"):
        Config(n_head=5)
