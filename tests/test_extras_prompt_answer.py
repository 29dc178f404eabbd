"""Prompts and answers: the mask, the split, and what counts as a right answer."""

import json
import math
import signal
import subprocess
import sys

import pytest
import torch

import prompt_answer
from prompt_answer import MASKED, TASKS, answer, encode, evaluate, load_lines
from stages import ROOT, load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")
names = load_stage("05_microgpt", "names")

NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:200]
TOKENIZER = stage.Tokenizer("\n >abcdefghijklmnopqrstuvwxyz")
LINES = [("reverse emma>", "amme\n"), ("sort emma>", "aemm\n"), ("sort zoe>", "eoz\n")]


def small_model(block_size=20):
    """A model with large random weights, so that it prefers some answers."""
    torch.manual_seed(1)
    config = stage.Config(n_embd=16, n_head=2, n_layer=1, block_size=block_size)
    model = stage.make_model(config, TOKENIZER)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return model


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(*flags) -> the result of a short training."""
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")

    def run(*flags):
        given = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'out'}", "--steps=3"]
        monkeypatch.setattr(sys, "argv", ["prompt_answer.py", *given, "--batch-size=4", *flags])
        prompt_answer.main()
        return json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))

    return run


def test_every_name_has_a_line_for_each_task_on_one_side_of_the_split(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    lines = load_lines(tmp_path / "names.txt")
    splits = names.load_splits(tmp_path / "names.txt")
    for split, docs in splits.items():
        expected = [(f"reverse {doc}>", "".join(reversed(doc)) + "\n") for doc in docs]
        expected += [(f"sort {doc}>", "".join(sorted(doc)) + "\n") for doc in docs]
        assert sorted(lines[split]) == sorted(expected)
    prompts = [prompt for part in lines.values() for prompt, _ in part]
    assert len(prompts) == len(set(prompts)) == 2 * len(NAMES)


def test_targets_follow_the_inputs_and_answers_are_marked():
    xb, yb, answers = encode(LINES, TOKENIZER, 20)
    for row, (prompt, text) in enumerate(LINES):
        n = len(prompt + text) - 1
        assert TOKENIZER.decode(xb[row, :n].tolist()) == (prompt + text)[:-1]
        assert TOKENIZER.decode(yb[row, :n].tolist()) == (prompt + text)[1:]
        assert (yb[row, n:] == MASKED).all()
        assert TOKENIZER.decode(yb[row][answers[row]].tolist()) == text


def test_the_masked_loss_is_the_mean_over_the_answers_alone():
    xb, yb, answers = encode(LINES, TOKENIZER, 20)
    model = small_model()
    masked = yb.where(answers, MASKED)
    loss = torch.nn.functional.cross_entropy(model(xb).flatten(0, 1), masked.flatten())
    nats = []
    for prompt, text in LINES:
        rows = stage.log_probs(model, prompt + text)
        for i, ch in enumerate(text, len(prompt)):
            nats.append(-rows[i - 1][TOKENIZER.stoi[ch]])
    assert loss.item() == pytest.approx(sum(nats) / len(nats), abs=1e-5)
    assert evaluate(model, xb, yb, answers)[0] == pytest.approx(loss.item(), abs=1e-5)


def test_an_update_with_the_mask_does_not_depend_on_what_the_prompt_asks_to_predict():
    """Changed targets within the prompts leave the gradient as it is; without the mask, not."""
    xb, yb, answers = encode(LINES, TOKENIZER, 20)
    changed = yb.where(answers | (yb == MASKED), 5)
    assert not torch.equal(changed, yb)
    gradients = []
    for targets in (yb, changed):
        for seen in (targets.where(answers, MASKED), targets):
            model = small_model()
            logits = model(xb).flatten(0, 1)
            torch.nn.functional.cross_entropy(logits, seen.flatten()).backward()
            gradients.append(model.lm_head.weight.grad)
    assert torch.equal(gradients[0], gradients[2])
    assert not torch.allclose(gradients[1], gradients[3])


def test_an_answer_is_right_exactly_if_the_model_writes_it():
    """Against writing it one character after the other, with a model that knows half of them."""
    docs = ["emma", "zoe", "kai", "ann", "bo", "lea", "max", "ida"]
    lines = [(f"sort {doc}>", "".join(sorted(doc)) + "\n") for doc in docs]
    data = encode(lines, TOKENIZER, 20)
    recipe = stage.Config(steps=60, batch_size=8, warmup=0)
    model = small_model()
    prompt_answer.train(recipe, model, data[0][:5], data[1][:5], lambda: None)
    right = evaluate(model, *data)[1].tolist()
    assert right == [answer(model, prompt) + "\n" == text for prompt, text in lines]
    assert True in right and False in right


def test_a_long_evaluation_is_the_same_in_parts():
    model, many = small_model(), LINES * 700
    loss, right = evaluate(model, *encode(many, TOKENIZER, 20))
    expected, once = evaluate(model, *encode(LINES, TOKENIZER, 20))
    assert loss == pytest.approx(expected, abs=1e-5) and right.tolist() == once.tolist() * 700


def test_a_run_writes_its_result_and_its_model(run, tmp_path):
    result = run()
    assert result["variant"] == "prompt and answer" and result["unit"] == "nats/answer char"
    docs = [name for name in NAMES if names.split_of(name) == "val"]
    assert result["targets"]["val"] == sum(2 * (len(doc) + 1) for doc in docs)
    assert result["dataset"]["docs"]["val"] == 2 * len(docs)
    assert set(result["right"]) == {"val, before", "val", "test", "val, no mask"}
    assert all(set(shares) == set(TASKS) for shares in result["right"].values())
    model = stage.load(tmp_path / "out")
    for split in ("val", "test"):
        lines = load_lines(tmp_path / "names.txt")[split]
        loss, right = evaluate(model, *encode(lines, model.tokenizer, model.block_size))
        assert loss == pytest.approx(result["loss"][split], abs=1e-5)
        assert right.float().mean().item() == pytest.approx(result["accuracy"][split], abs=1e-6)
    prompt, _, text = result["samples"][0].partition(">")
    assert answer(model, prompt + ">") == text


def test_without_training_nearly_every_answer_is_wrong(run):
    result = run("--steps=0")
    assert result["loss"]["val"] == pytest.approx(math.log(result["vocab_size"]), abs=0.1)
    assert result["accuracy"]["val"] < 0.05
    assert result["right"]["val"] == result["right"]["val, before"]


def test_the_comparison_differs_in_the_mask_only(run, monkeypatch):
    """Both trainings begin with the same weights and see the same lines."""
    seen, train = [], prompt_answer.train

    def watched(recipe, model, xb, yb, val_loss):
        weights = {name: p.clone() for name, p in model.state_dict().items()}
        seen.append((recipe, weights, xb, yb))
        return train(recipe, model, xb, yb, val_loss)

    monkeypatch.setattr(prompt_answer, "train", watched)
    run()
    (recipe, weights, xb, masked), (other_recipe, other_weights, other_xb, whole) = seen
    assert recipe == other_recipe and xb is other_xb
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert (masked == MASKED).sum() > (whole == MASKED).sum()
    assert torch.equal(masked[masked != MASKED], whole[masked != MASKED])


def test_a_stop_keeps_the_model_and_skips_the_comparison(run, tmp_path, monkeypatch):
    seen, schedule = [], stage.schedule

    def stop_in_the_second_step(step, *arguments):
        seen.append(step)
        if step == 1:
            common.stop(signal.SIGINT, None)
        return schedule(step, *arguments)

    monkeypatch.setattr(stage, "schedule", stop_in_the_second_step)
    result = run()
    common.stop.count, common.stop.training_began = 0, False
    assert result["interrupted"] and result["steps"] == 2 and set(seen) == {0, 1}
    assert set(result["right"]) == {"val, before", "val", "test"}
    assert stage.load(tmp_path / "out").tokenizer.vocab_size == result["vocab_size"]


def test_bad_names_are_named(run, tmp_path):
    with pytest.raises(common.BadInput, match="--data .*nowhere.txt"):
        run(f"--data={tmp_path / 'nowhere.txt'}")
    (tmp_path / "names.txt").write_text("anna\n", encoding="utf-8")
    with pytest.raises(common.BadInput, match="split is empty"):
        run()


@pytest.mark.slow
def test_a_full_run_answers_most_prompts(tmp_path):
    script = ROOT / "extras" / "prompt_answer.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], cwd=tmp_path, check=True)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["accuracy"]["test"] > 0.75
    assert min(result["right"]["val, no mask"].values()) > 0.75
