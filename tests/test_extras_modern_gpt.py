"""The parts of a modern GPT: each against its formula, and all of them against stage 06."""

import json
import math
import random
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import modern_gpt
from modern_gpt import PARTS, Config, make_model, rmsnorm, rotate
from stages import load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

TEXT = "".join(random.Random(1).choices(["hear me speak\n", "speak, speak\n", "you all\n"], k=90))
TINY = Config(n_embd=32, n_head=4, n_layer=3, block_size=12, first_block_size=4, parts="")


def tiny(parts, seed=1, **changes):
    torch.manual_seed(seed)
    model = make_model(replace(TINY, parts=parts, **changes), stage.Tokenizer(TEXT))
    return model.eval()


def disturbed(model):
    """The same model with all weights moved, so that none of them is 0 or 1 by accident."""
    torch.manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def some_tokens(rows=2, length=12):
    generator = torch.Generator().manual_seed(5)
    vocab_size = stage.Tokenizer(TEXT).vocab_size
    return torch.randint(vocab_size, (rows, length), generator=generator)


def test_without_parts_it_is_the_model_of_stage_06():
    torch.manual_seed(1)
    config = stage.Config(n_embd=32, n_head=4, n_layer=3, block_size=12)
    reference = stage.make_model(config, stage.Tokenizer(TEXT)).eval()
    model = tiny("")
    assert torch.equal(model(some_tokens()), reference(some_tokens()))
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in reference.parameters()
    )


@pytest.mark.parametrize("part", PARTS)
def test_every_part_changes_the_logits_and_looks_at_the_past_only(part):
    model = disturbed(tiny(part))
    xb = some_tokens()
    changed = xb.clone()
    changed[:, 7] = (changed[:, 7] + 1) % model.vocab_size
    before, after = model(xb), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(dim=2).all()
    assert not torch.equal(disturbed(tiny(""))(xb), before)


@pytest.mark.parametrize("part", PARTS)
def test_every_parameter_of_a_part_learns(part):
    model = disturbed(tiny(part)).train()
    xb = some_tokens()
    F.cross_entropy(model(xb).flatten(0, 1), xb.flatten()).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_rmsnorm():
    x = torch.tensor([1.0, 3.0, 5.0, 7.0])
    assert [round(n, 3) for n in rmsnorm(x).tolist()] == [0.218, 0.655, 1.091, 1.528]
    assert rmsnorm(torch.zeros(4)).tolist() == [0.0] * 4
    x = torch.randn(3, 5, 64)
    torch.testing.assert_close(rmsnorm(x), F.rms_norm(x, (64,)), rtol=1e-4, atol=1e-4)


def test_turned_vectors_keep_their_length_and_know_only_their_distance():
    angles = tiny("rotary").angles  # (2, T, head_dim / 2)
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 12, 8)  # the same at all 12 positions
    turned_q, turned_k = rotate(q, angles), rotate(k, angles)
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1))
    torch.testing.assert_close(turned_q[..., 0, :], q[..., 0, :])
    scores = (turned_q @ turned_k.mT)[0, 0]  # (T, T)
    for distance in range(12):
        on_diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(on_diagonal, on_diagonal[:1].expand_as(on_diagonal))
    assert not torch.allclose(scores[5, 5], scores[5, 4])


def test_the_speeds_of_rotary_positions():
    """By hand: with 8 numbers there are four pairs, at 1, 0.1, 0.01 and 0.001 radians a place."""
    cos, sin = tiny("rotary").angles
    for i, speed in enumerate((1.0, 0.1, 0.01, 0.001)):
        assert cos[7, i].item() == pytest.approx(math.cos(7 * speed), abs=1e-6)
        assert sin[7, i].item() == pytest.approx(math.sin(7 * speed), abs=1e-6)


def test_grouped_queries_share_keys_and_values():
    attn = tiny("grouped_queries").blocks[0].attn
    assert attn.attn_wk.out_features == attn.attn_wv.out_features == 16
    assert attn.attn_wq.out_features == 32


def test_a_pair_table_tells_pairs_apart():
    """Two characters in either order have the same sum of embeddings, but not the same pair."""
    model = disturbed(tiny("pair_table"))
    with torch.no_grad():
        for p in (model.wte.weight, model.wpe.weight):
            p.zero_()
    embedded = []
    model.blocks[0].register_forward_pre_hook(lambda block, inputs: embedded.append(inputs[0]))
    model(torch.tensor([[3, 4, 3, 4, 5]]))
    (x,) = embedded[0]
    assert torch.equal(x[1], x[3]) and not torch.equal(x[1], x[2])
    assert torch.equal(x[2], model.pairs.weight[4 * model.vocab_size + 3])


def test_the_characters_before():
    model = disturbed(tiny("previous,rotary"))
    embedded = []
    model.blocks[0].register_forward_pre_hook(lambda block, inputs: embedded.append(inputs[0]))
    model(torch.tensor([[3, 4, 5, 6, 7]]))
    (x,) = embedded[0]
    one, two, three = (table.weight for table in model.wte_before)
    torch.testing.assert_close(x[4], model.wte.weight[7] + one[6] + two[5] + three[4])
    missing = model.vocab_size
    torch.testing.assert_close(x[1], model.wte.weight[4] + one[3] + two[missing] + three[missing])


def test_a_new_gate_changes_nothing_and_a_closed_one_hides_all_other_places():
    without = tiny("")
    gated = tiny("gated_attention")
    gated.load_state_dict(without.state_dict(), strict=False)
    torch.testing.assert_close(gated(some_tokens()), without(some_tokens()))
    with torch.no_grad():
        for gate in gated.attn_gates:
            gate.bias.fill_(-100.0)  # closed: attention adds only the bias of attn_wo, which is 0
    xb, changed = some_tokens(), some_tokens()
    changed[:, 3] = (changed[:, 3] + 1) % gated.vocab_size
    before, after = gated(xb), gated(changed)
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert (before[:, 3] != after[:, 3]).any()


def test_x0_scalars_start_as_stage_06():
    x0 = tiny("x0_scalars")
    x0.load_state_dict(tiny("").state_dict(), strict=False)
    assert torch.equal(x0(some_tokens()), tiny("")(some_tokens()))


def test_a_tied_head_is_the_embedding():
    model = tiny("tied")
    assert model.lm_head.weight is model.wte.weight


def test_zero_init_begins_with_a_uniform_guess():
    loss = F.cross_entropy(tiny("zero_init")(some_tokens()).flatten(0, 1), some_tokens().flatten())
    assert loss.item() == pytest.approx(math.log(stage.Tokenizer(TEXT).vocab_size))


def test_softcap_keeps_logits_between_bounds():
    model = tiny("softcap")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e5)
    logits = model(some_tokens())
    assert 14.99 < logits.abs().max() <= 15


def test_swiglu_has_about_as_many_parameters():
    count = {
        part: sum(p.numel() for p in tiny(part, n_embd=128).blocks[0].mlp.parameters())
        for part in ("no_biases", "no_biases,swiglu")
    }
    assert count["no_biases,swiglu"] == pytest.approx(count["no_biases"], rel=0.02)


def test_shared_dropout_drops_whole_columns():
    torch.manual_seed(0)
    dropped = modern_gpt.SharedDropout(0.5).train()(torch.ones(4, 6, 100))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert 150 < (dropped[:, 0] == 0).sum() < 250
    assert not torch.equal(dropped[0], dropped[1])


def run(monkeypatch, folder, *flags):
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    given = [f"--data={folder / 'text.txt'}", f"--out={folder / 'out'}", "--device=cpu"]
    sizes = ["--n-embd=16", "--n-head=2", "--n-layer=2", "--block-size=12", "--batch-size=4"]
    monkeypatch.setattr(sys, "argv", ["modern_gpt.py", *given, *sizes, *flags])
    modern_gpt.main()
    return json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))


def test_a_run_is_loaded_again(monkeypatch, tmp_path):
    result = run(monkeypatch, tmp_path, "--steps=3", "--eval-every=2")
    assert result["variant"] == "modern" and result["config"]["parts"] == modern_gpt.CHAIN
    model = modern_gpt.load(tmp_path / "out")
    assert sum(p.numel() for p in model.parameters()) == result["params"]
    rows = modern_gpt.log_probs(model, TEXT[:30])
    assert [math.fsum(map(math.exp, row)) for row in rows] == pytest.approx([1.0] * 30, abs=1e-4)
    val = TEXT[int(0.9 * len(TEXT)) :]
    tokens = torch.tensor(model.tokenizer.encode(val))
    assert stage.evaluate(model, tokens) == pytest.approx(result["loss"]["val"], abs=2e-3)
    assert modern_gpt.sample(model, "you", 5).startswith("you")


def test_excerpts_grow():
    text = torch.arange(2000)
    config = replace(TINY, batch_size=5, first_block_size=4, growth=0.5)
    get_batch = modern_gpt.growing_batches(config, text)
    for share, shape in ((0.0, (15, 4)), (0.49, (15, 4)), (0.5, (5, 12)), (0.99, (5, 12))):
        xb, yb = get_batch(7, share)
        assert xb.shape == yb.shape == shape
        assert torch.equal(yb, xb + 1)
    short = replace(config, first_block_size=40)  # no longer than the others
    assert modern_gpt.growing_batches(short, text)(0, 0.0)[0].shape == (5, 12)


def test_an_unknown_part_is_one_line(monkeypatch, tmp_path):
    with pytest.raises(common.BadInput, match="there is no swish; choose from rmsnorm, "):
        Config(parts="rotary,swish")
    with pytest.raises(common.BadInput, match="exclude each other"):
        Config(parts="swiglu,relu_squared")


def test_heads_that_do_not_fit_are_one_line():
    with pytest.raises(common.BadInput, match="a head has 3: change --n-embd or --n-head"):
        Config(n_embd=6, n_head=2)
    assert Config(n_embd=6, n_head=2, parts="swiglu").n_embd == 6
    with pytest.raises(common.BadInput, match="--n-head 1 is odd"):
        Config(parts="grouped_queries", n_head=1)
