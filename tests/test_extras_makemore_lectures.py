"""The lecture's recipe: its split, its first weights, its formulas, and runs that go on."""

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import lecture
import plumbing
from lecture import Config, LectureTokenizer, lecture_splits, make_model

NAMES = plumbing.read_docs(plumbing.ROOT / "data" / "names.txt")[:400]


def makemore():
    """The 32,033 names, fetched only where a copy is at hand."""
    path = plumbing.ROOT / "data" / "makemore.txt"
    if not path.exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip("data/makemore.txt is not here: python data/prepare.py makemore")
    return plumbing.read_docs(plumbing.get_data("makemore"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags, out=...) -> (status, result or None, checkpoint), of a short training."""
    (tmp_path / "names.txt").write_text("\n".join(NAMES + NAMES[:60]), encoding="utf-8")

    def run(*flags, out="out", variant="batchnorm"):
        fixed = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / out}"]
        flags = [*fixed, f"--variant={variant}", "--steps=40", *flags]
        monkeypatch.setattr(sys, "argv", ["lecture.py", *flags])
        status = lecture.main()
        folder = tmp_path / out / variant
        path = folder / "result.json"
        result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return status, result, torch.load(folder / "checkpoint.pt", weights_only=True)

    return run


def stop_after(steps, monkeypatch):
    """Make the next training behave as if Ctrl-C came during its step number `steps`."""

    class Stopped(plumbing.Progress):
        def __iter__(self):
            for i in super().__iter__():
                self.interrupted = i + 1 == steps
                yield i

    monkeypatch.setattr(plumbing, "Progress", Stopped)


# ---- data ------------------------------------------------------------------------------------
def test_the_split_has_the_sizes_that_the_notebooks_print():
    splits = lecture_splits(makemore())
    targets = {name: sum(len(doc) + 1 for doc in docs) for name, docs in splits.items()}
    assert targets == {"train": 182625, "val": 22655, "test": 22866}
    assert splits["train"][:3] == ["yuheng", "diondre", "xavien"]  # as Part 5 prints them
    known = Counter(splits["train"])
    assert sum(doc in known for doc in splits["val"]) / len(splits["val"]) == pytest.approx(
        0.132, abs=0.0005
    )


def test_shuffling_leaves_the_global_random_numbers_and_the_list_alone():
    docs, state = list(NAMES), random.getstate()
    lecture_splits(docs)
    assert docs == NAMES and random.getstate() == state


def test_bos_is_0_and_letters_begin_at_1():
    tokenizer = LectureTokenizer(["ab", "z"])
    assert tokenizer.encode("abz") == [0, 1, 2, 3, 0]
    assert tokenizer.decode([3, 1]) == "za" and tokenizer.vocab_size == 4


# ---- model -----------------------------------------------------------------------------------
def test_first_weights_are_those_of_the_notebook():
    """Drawn here as in the notebook of Part 3: one generator, in the order C, W1, b1, W2, b2."""
    g = torch.Generator().manual_seed(2147483647)
    shapes = {"wte": (27, 10), "mlp_fc1": (30, 200), "mlp_bias": (200,), "lm_head": (200, 27)}
    expected = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    torch.manual_seed(2147483647)
    model = make_model("original", 27)
    for name, value in expected.items():
        assert torch.equal(model.state()[name], value)
    torch.manual_seed(2147483647)
    model = make_model("tanh", 27)
    assert torch.equal(model.mlp_fc1, expected["mlp_fc1"] * 0.2)
    assert torch.equal(model.lm_head, expected["lm_head"] * 0.01)
    assert not model.lm_bias.any()


@pytest.mark.parametrize("variant, count", [
    ("original", 11897), ("kaiming", 11897), ("batchnorm", 12097), ("wavenet", 76579),
])  # fmt: skip
def test_parameter_counts_are_those_of_the_notebooks(variant, count):
    assert sum(p.numel() for p in make_model(variant, 27).parameters()) == count


@pytest.mark.parametrize("variant, low, high", [
    ("original", 15, 40), ("softmax", 3.2, 3.4), ("batchnorm", 3.2, 3.4), ("wavenet", 3.2, 3.4),
])  # fmt: skip
def test_first_losses(variant, low, high):
    """27 in the first try of the lecture, where log 27 = 3.3 would do."""
    torch.manual_seed(2147483647)
    model = make_model(variant, 27)
    xb, yb = torch.randint(27, (500, model.block_size)), torch.randint(27, (500,))
    assert low < F.cross_entropy(model(xb), yb).item() < high


@pytest.mark.parametrize("variant, seed, printed", [
    ("batchnorm", 2147483647, 3.3239), ("wavenet", 42, 3.3167),
])  # fmt: skip
def test_the_loss_of_the_first_step_is_the_one_that_the_notebook_prints(variant, seed, printed):
    """It hangs on every one of: the shuffle, the ids, the weights, the batch and the formulas."""
    docs = makemore()
    tokenizer = LectureTokenizer(docs)
    torch.manual_seed(seed)
    model = make_model(variant, 27)
    xs, ys = lecture.contexts(lecture_splits(docs)["train"], tokenizer, model.block_size)
    batch = torch.randint(len(xs), (32,))
    assert F.cross_entropy(model(xs[batch]), ys[batch]).item() == pytest.approx(printed, abs=6e-5)


def test_batchnorm_follows_the_formula_of_the_notebook():
    torch.manual_seed(1)
    model = make_model("batchnorm", 27)
    with torch.no_grad():
        model.gain.add_(torch.randn(200))
        model.shift.add_(torch.randn(200))
    xb = torch.randint(27, (32, 3))
    x = model.wte[xb].view(32, 30) @ model.mlp_fc1
    mean, std = x.mean(0, keepdim=True), x.std(0, keepdim=True)
    expected = torch.tanh(model.gain * (x - mean) / std + model.shift) @ model.lm_head
    torch.testing.assert_close(model(xb), expected + model.lm_bias, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.running_mean, 0.001 * mean[0])
    torch.testing.assert_close(model.running_std, 0.999 + 0.001 * std[0])
    with torch.no_grad():
        x = model.gain * (x - model.running_mean) / model.running_std + model.shift
        expected = torch.tanh(x) @ model.lm_head + model.lm_bias
        torch.testing.assert_close(model(xb), expected, rtol=0, atol=1e-5)


def test_the_trees_norm_divides_by_n_less_1():
    norm = lecture.Part5Norm(3)
    x = torch.randn(4, 2, 3)
    mean, var = x.mean((0, 1)), x.var((0, 1))
    torch.testing.assert_close(norm(x), (x - mean) / (var + 1e-5).sqrt())
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * var)


# ---- training --------------------------------------------------------------------------------
@pytest.mark.parametrize("variant, drop", [("kaiming", 20), ("wavenet", 30)])
def test_training_takes_the_steps_of_the_notebook(run, variant, drop, monkeypatch):
    """The same loop in the notebook's own words, with its two learning rates."""
    rates = []
    real = torch.Tensor.sub_
    monkeypatch.setattr(
        torch.Tensor, "sub_",
        lambda self, other, *, alpha: (rates.append(alpha), real(self, other, alpha=alpha))[1],
    )  # fmt: skip
    _, result, saved = run("--seed=5", variant=variant)
    monkeypatch.undo()
    per_step = len(rates) // 40
    assert rates == [0.1] * drop * per_step + [0.01] * (40 - drop) * per_step

    docs = NAMES + NAMES[:60]
    tokenizer = LectureTokenizer(docs)
    torch.manual_seed(5)
    model = make_model(variant, tokenizer.vocab_size)
    xs, ys = lecture.contexts(lecture_splits(docs)["train"], tokenizer, model.block_size)
    losses = []
    for i in range(40):
        ix = torch.randint(0, xs.shape[0], (32,))
        loss = F.cross_entropy(model(xs[ix]), ys[ix])
        for p in model.parameters():
            p.grad = None
        loss.backward()
        for p in model.parameters():
            p.data += -(0.1 if i < drop else 0.01) * p.grad
        losses.append(loss.item())
    for name, value in model.state().items():
        torch.testing.assert_close(value.detach(), saved["weights"][name], rtol=0, atol=1e-5)
    means = [sum(losses[i : i + 4]) / 4 for i in range(0, 40, 4)]
    assert [row[1] for row in result["curve"][1:]] == pytest.approx(means, abs=1e-5)


@pytest.mark.parametrize("variant, stops", [("batchnorm", [13, 9]), ("wavenet", [7])])
def test_a_stopped_training_continued_equals_an_unstopped_one_exactly(
    run, variant, stops, monkeypatch
):
    _, whole, expected = run(variant=variant, out="whole")
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_after(steps, patch)
            status, result, saved = run(variant=variant)
        assert (status, result) == (130, None)
    assert saved["run"]["step"] == sum(stops)
    status, continued, found = run(variant=variant)
    assert status == 0 and continued["steps"] == 40
    assert continued["loss"] == whole["loss"] and continued["curve"] == whole["curve"]
    assert continued["leak"] == whole["leak"] and continued["samples"] == whole["samples"]
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in expected["weights"].items():
        assert torch.equal(found["weights"][name], value)


def test_a_run_that_breaks_off_goes_on_at_its_last_checkpoint(run, monkeypatch):
    """As after a power cut: nothing was saved when it ended, but something on the way."""
    _, whole, _ = run(out="whole")

    class PowerCut(plumbing.Progress):
        def __iter__(self):
            for i in super().__iter__():
                if i == 22:
                    raise OSError("power cut")
                yield i

    with monkeypatch.context() as patch:
        patch.setattr(plumbing, "Progress", PowerCut)
        with pytest.raises(OSError, match="power cut"):
            run()
    steps = []
    evaluate = lecture.evaluate
    monkeypatch.setattr(lecture, "evaluate", lambda *a: steps.append(1) or evaluate(*a))
    _, continued, _ = run()
    assert continued["loss"] == whole["loss"] and continued["curve"] == whole["curve"]
    assert len(steps) == 5 + 3  # looks at steps 24 to 40, and the three losses of the end


def test_a_finished_run_is_evaluated_again_and_not_trained_again(run):
    _, first, _ = run()
    _, second, _ = run()
    assert second["loss"] == first["loss"] and second["steps"] == 40


def test_other_flags_do_not_go_on_with_the_run(run, tmp_path):
    run()
    with pytest.raises(plumbing.BadInput, match="other flags"):
        run("--seed=3")
    (tmp_path / "names.txt").write_text("\n".join(NAMES[:350]), encoding="utf-8")
    sys.argv[1:] = [f"--data={tmp_path / 'names.txt'}", *sys.argv[2:]]
    with pytest.raises(plumbing.BadInput, match="other flags"):
        lecture.main()


def test_the_result_tells_the_loss_on_names_that_were_not_met_in_training(run):
    _, result, saved = run(variant="kaiming")
    docs = NAMES + NAMES[:60]
    splits = lecture_splits(docs)
    unseen = [doc for doc in splits["val"] if doc not in splits["train"]]
    assert 0 < len(unseen) < len(splits["val"])
    share = 1 - len(unseen) / len(splits["val"])
    assert result["leak"]["share_of_val_names"] == pytest.approx(share)
    tokenizer = LectureTokenizer(docs)
    model = make_model("kaiming", tokenizer.vocab_size)
    with torch.no_grad():
        for name, value in model.state().items():
            value.copy_(saved["weights"][name])
        xs, ys = lecture.contexts(unseen, tokenizer, 3)
        loss = F.cross_entropy(model(xs), ys).item()
    assert result["leak"]["val_loss_without"] == pytest.approx(loss, abs=1e-5)
    assert result["variant"] == "lecture kaiming"


def test_an_unknown_variant_is_named():
    with pytest.raises(plumbing.BadInput, match="--variant resnet"):
        Config(variant="resnet")
    assert Path(Config.out).name == "lecture"
