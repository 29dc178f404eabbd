"""Preference training: the gradient against exact sums over all names, and the best model."""

import itertools
import json
import math
import signal
import sys

import pytest
import torch

import preference
from preference import best_possible, decode, log_prob, measure, reward, surrogate, write_names
from stages import load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

NAMES = ["".join(name) for name in itertools.product("ab", repeat=6)]


def make_model(seed, chars="\nab", block_size=24):
    """A GPT in float64 with large random weights, and its Config."""
    torch.manual_seed(seed)
    config = stage.Config(n_embd=8, n_head=2, n_layer=1, block_size=block_size)
    model = stage.make_model(config, stage.Tokenizer(chars)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return model.eval(), config


@pytest.fixture
def all_names(monkeypatch):
    """Everything that a model of two letters can write if it is cut after 3 tokens: (15, 4)."""
    monkeypatch.setattr(preference, "LONGEST", 2)
    rows = []  # "\n" is 0, a is 1, b is 2
    for length in (0, 1):
        for name in itertools.product((1, 2), repeat=length):
            rows.append([0, *name, *[0] * (3 - length)])
    for name in itertools.product((1, 2), repeat=2):
        rows += [[0, *name, last] for last in (0, 1, 2)]
    return torch.tensor(rows)


def objective(model, start, tokens, beta):
    """mean reward - beta * KL, as exact sums over all names."""
    log_p, log_p_start = log_prob(model, tokens), log_prob(start, tokens)
    rewards = torch.tensor([reward(name) for name in decode(model, tokens)])
    return (log_p.exp() * (rewards - beta * (log_p - log_p_start))).sum()


def gradient(model, value):
    return torch.autograd.grad(value, list(model.parameters()), allow_unused=True)


def flat(gradients):
    return torch.cat([g.flatten() for g in gradients if g is not None])


# ---- the gradient ----------------------------------------------------------------------------
def test_the_probabilities_of_all_names_add_up_to_1(all_names):
    model, _ = make_model(0)
    assert log_prob(model, all_names).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
def test_the_expected_gradient_is_that_of_the_objective(all_names, beta):
    """The mean of surrogate()'s gradient over all pairs of names, each as likely as it is."""
    (model, _), (start, _) = make_model(0), make_model(1)
    exact = flat(gradient(model, objective(model, start, all_names, beta)))
    with torch.no_grad():
        probs, log_p_start = log_prob(model, all_names).exp(), log_prob(start, all_names)
    rewards = torch.tensor([reward(name) for name in decode(model, all_names)])
    log_p, expected = log_prob(model, all_names), 0.0
    for i, j in itertools.product(range(len(all_names)), repeat=2):
        pair = torch.tensor([i, j])
        loss = surrogate(log_p[pair], log_p_start[pair], rewards[pair], beta)
        expected = expected + probs[i] * probs[j] * loss
    found = flat(gradient(model, expected))
    assert exact.norm() > 1e-3
    torch.testing.assert_close(found, -exact, rtol=1e-6, atol=1e-9)


def test_the_exact_gradient_agrees_with_finite_differences(all_names):
    (model, _), (start, _) = make_model(0), make_model(1)
    exact = gradient(model, objective(model, start, all_names, 0.3))
    for p, slope in list(zip(model.parameters(), exact))[:6]:
        at = p.data.view(-1)
        i = slope.abs().argmax().item()
        values = []
        for step in (1e-5, -2e-5):
            at[i] += step
            values.append(objective(model, start, all_names, 0.3).item())
        at[i] += 1e-5
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope.view(-1)[i].item(), abs=1e-6)


def test_no_gradient_flows_through_the_scores():
    log_p = torch.tensor([-1.0, -2.0, -4.0], requires_grad=True)
    log_p_start = torch.tensor([-1.5, -1.0, -3.0], requires_grad=True)
    surrogate(log_p, log_p_start, torch.tensor([1.0, 0.0, 0.0]), 0.5).backward()
    # scores: 1 - 0.5 * 0.5 = 0.75, 0 + 0.5 = 0.5, 0 + 0.5 = 0.5
    expected = [-(0.75 - 0.5) / 3, -(0.5 - 0.625) / 3, -(0.5 - 0.625) / 3]
    assert log_p.grad.tolist() == pytest.approx(expected)
    assert log_p_start.grad is None


def test_following_the_expected_gradient_leads_to_the_best_model():
    """A table of six names in place of a GPT."""
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.5, 1.0, 0.0], dtype=torch.float64)
    torch.manual_seed(0)
    start, beta = torch.randn(6, dtype=torch.float64).log_softmax(dim=0), 0.5
    logits = start.clone()
    for _ in range(400):
        logits.requires_grad_()
        log_p, expected = logits.log_softmax(dim=0), 0.0
        for i, j in itertools.product(range(6), repeat=2):
            pair = torch.tensor([i, j])
            likely = (log_p[i] + log_p[j]).exp().detach()
            expected += likely * surrogate(log_p[pair], start[pair], rewards[pair], beta)
        (slope,) = torch.autograd.grad(expected, logits)
        logits = (logits - 4 * slope).detach()
    best = (start + rewards / beta).softmax(dim=0)
    torch.testing.assert_close(logits.softmax(dim=0), best, rtol=0, atol=1e-4)


# ---- the best model --------------------------------------------------------------------------
@pytest.mark.parametrize("beta", [0.1, 0.3, 5.0])
def test_no_model_is_better_than_the_best(beta):
    """Its value is beta * log of the mean of exp(reward / beta), which no other one exceeds."""
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.5, 1.0, 0.0], dtype=torch.float64)
    best = best_possible(rewards, beta)
    value = best["reward"] - beta * best["kl"]
    assert value == pytest.approx(beta * (rewards / beta).exp().mean().log().item())
    generator = torch.Generator().manual_seed(0)
    for spread in (0.1, 1.0, 5.0):
        for _ in range(50):
            noise = torch.randn(6, generator=generator, dtype=torch.float64)
            p = (spread * noise).softmax(dim=0)
            kl = (p * (6 * p).log()).sum()
            assert ((p * rewards).sum() - beta * kl).item() < value


def test_the_best_for_rewards_of_0_and_1():
    """With a share p of the start, it is p * exp(1 / beta) / (p * exp(1 / beta) + 1 - p)."""
    rewards = torch.tensor([1.0] * 2 + [0.0] * 8, dtype=torch.float64)
    weight = 0.2 * math.exp(1 / 0.5)
    share = weight / (weight + 0.8)
    best = best_possible(rewards, 0.5)
    assert best["reward"] == pytest.approx(share)
    kl = share * math.log(share / 0.2) + (1 - share) * math.log((1 - share) / 0.8)
    assert best["kl"] == pytest.approx(kl)


# ---- names -----------------------------------------------------------------------------------
def test_the_reward_is_for_a_last_a():
    assert [reward(name) for name in ("emma", "a", "anna marie", "", "ab")] == [1, 1, 0, 0, 0]


def test_log_prob_of_a_name_is_the_sum_over_its_letters_and_its_end():
    model, _ = make_model(0)
    tokens = torch.tensor([[0, 1, 2, 0, 0, 0], [0, 2, 2, 1, 1, 0], [0, 0, 0, 0, 0, 0]])
    for row, name in zip(log_prob(model, tokens).tolist(), ("ab", "bbaa", "")):
        found = stage.log_probs(model, "\n" + name)
        ids = model.tokenizer.encode(name + "\n")
        assert row == pytest.approx(sum(found[i][t] for i, t in enumerate(ids)), abs=1e-9)
    assert decode(model, tokens) == ["ab", "bbaa", ""]


def test_names_are_drawn_as_often_as_they_are_likely(all_names):
    model, _ = make_model(0)
    torch.manual_seed(0)
    tokens = write_names(model, 20000)
    assert tokens.shape == (20000, 4)
    for row, p in zip(all_names, log_prob(model, all_names).exp().tolist()):
        share = (tokens == row).all(dim=1).float().mean().item()
        assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 20000) + 1e-9)


def test_measured_numbers_are_those_of_the_names():
    (model, _), (start, _) = make_model(0), make_model(1)
    numbers, first, rewards = measure(model, start, seed=3, count=50)
    torch.manual_seed(3)
    tokens = write_names(model, 50)
    found = decode(model, tokens)
    assert first == found[:10] and rewards.tolist() == [reward(name) for name in found]
    assert numbers["reward"] == pytest.approx(sum(map(reward, found)) / 50)
    assert numbers["distinct"] == len(set(found)) / 50
    apart = (log_prob(model, tokens) - log_prob(start, tokens)).mean().item()
    assert numbers["kl"] == pytest.approx(apart)
    assert measure(start, start, seed=3, count=50)[0]["kl"] == pytest.approx(0, abs=1e-12)


# ---- the program -----------------------------------------------------------------------------
@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(*flags) -> the result of a short training of a small model."""
    model, config = make_model(5)
    folder = tmp_path / "first"
    folder.mkdir()
    saved = {"config": common.settings(config), "chars": model.tokenizer.chars}
    torch.save({**saved, "weights": model.float().state_dict()}, folder / "model.pt")
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")

    def run(*flags):
        given = [f"--model={folder / 'model.pt'}", f"--data={tmp_path / 'names.txt'}"]
        given += [f"--out={tmp_path / 'out'}", "--steps=5", "--batch-size=16"]
        monkeypatch.setattr(sys, "argv", ["preference.py", *given, *flags])
        preference.main()
        return json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))

    return run


def test_training_raises_the_reward_and_the_kl_term_holds_it_back(run, tmp_path):
    result = run("--steps=25", "--batch-size=200", "--learning-rate=0.01", "--beta=0.5")
    found = result["preference"]
    assert found["before"]["kl"] == 0
    assert found["after"]["reward"] > found["before"]["reward"] + 0.1
    assert 0.05 < found["after"]["kl"] < found["without KL"]["kl"]
    assert found["without KL"]["reward"] > found["after"]["reward"]
    value = {name: found[name]["reward"] - 0.5 * found[name]["kl"] for name in found}
    assert value["before"] + 0.05 < value["after"] < value["best"] + 0.05  # means of 2,000 names
    assert result["variant"] == "preference" and result["beta"] == 0.5
    model, start = stage.load(tmp_path / "out"), stage.load(tmp_path / "first")
    numbers, samples, _ = measure(model, start, 1337)
    assert samples == result["samples"]
    assert numbers == {name: pytest.approx(n, abs=1e-5) for name, n in found["after"].items()}


def test_a_run_counts_what_the_model_wrote_and_measures_val(run, tmp_path):
    result = run()
    assert 0 < result["chars_seen"] <= 5 * 16 * (preference.LONGEST + 2)
    text = preference.load_names(tmp_path / "names.txt", 1337)["val"]
    model = stage.load(tmp_path / "out")
    loss = stage.evaluate(model, torch.tensor(model.tokenizer.encode(text)))
    assert result["loss"]["val"] == pytest.approx(loss, abs=1e-5)
    assert result["targets"]["val"] == len(text) - 1


def test_without_a_model_the_error_says_what_to_run(run, tmp_path):
    with pytest.raises(common.BadInput) as caught:
        run(f"--model={tmp_path / 'none.pt'}")
    message = str(caught.value)
    assert "none.pt" in message and "`python extras/fine_tune.py` first" in message
    assert "\n" not in message


def test_a_model_that_sees_too_little_is_named(run, tmp_path):
    model, config = make_model(5, block_size=preference.LONGEST)
    saved = {"config": common.settings(config), "chars": model.tokenizer.chars}
    path = tmp_path / "first" / "model.pt"
    torch.save({**saved, "weights": model.float().state_dict()}, path)
    with pytest.raises(common.BadInput, match=f"--model .* sees {preference.LONGEST} characters"):
        run()


def test_a_stop_keeps_the_model_and_skips_the_comparison(run, tmp_path, monkeypatch):
    seen = []

    def stop_in_the_second_step(*arguments):
        seen.append(arguments)
        if len(seen) == 2:
            common.stop(signal.SIGINT, None)
        return surrogate(*arguments)

    monkeypatch.setattr(preference, "surrogate", stop_in_the_second_step)
    result = run()
    common.stop.count, common.stop.training_began = 0, False
    assert result["interrupted"] and result["steps"] == 2 == len(seen)
    assert set(result["preference"]) == {"before", "best", "after"}
    assert stage.load(tmp_path / "out").block_size == 24
