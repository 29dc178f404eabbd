"""The lectures' recipes: their split, first weights and formulas, and runs that are continued."""

import json
import math
import os
import random
import signal
import sys
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

import makemore_lectures
from batchnorm import BatchNorm
from makemore_lectures import (
    Config,
    LectureBatchNorm,
    LectureTokenizer,
    make_model,
    shuffled_splits,
)
from stages import ROOT, load_stage

stage = load_stage("04_embedding_mlp")
common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
NAMES = names.read_docs(ROOT / "data" / "names.txt")[:400]
LETTERS = LectureTokenizer("abcdefghijklmnopqrstuvwxyz")


def makemore():
    """The 32,033 names. They are fetched only if a copy is at hand."""
    path = ROOT / "data" / "makemore.txt"
    if not path.exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip("data/makemore.txt is missing: python data/prepare.py makemore")
    return names.read_docs(path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags, out=...) -> (status, result or None, checkpoint), of a short training."""
    (tmp_path / "names.txt").write_text("\n".join(NAMES + NAMES[:60]), encoding="utf-8")
    signals = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)]
    handlers = {number: signal.getsignal(number) for number in signals}

    def run(*flags, out="out", variant="batchnorm"):
        fixed = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / out}"]
        flags = [*fixed, f"--variant={variant}", "--steps=40", *flags]
        monkeypatch.setattr(sys, "argv", ["makemore_lectures.py", *flags])
        with pytest.raises(SystemExit) as ended:
            common.run(makemore_lectures.main)
        folder = tmp_path / out / variant
        path = folder / "result.json"
        result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return ended.value.code, result, torch.load(folder / "checkpoint.pt", weights_only=True)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    common.stop.count, common.stop.training_began = 0, False


def stop_after(steps, monkeypatch, number=signal.SIGINT):
    """Let a signal come in the next training, during its step number `steps`."""

    class Stopped(common.Steps):
        def __iter__(self):
            for i in super().__iter__():
                if i + 1 == steps:
                    signal.raise_signal(number)
                yield i

    monkeypatch.setattr(common, "Steps", Stopped)


# ---- data ------------------------------------------------------------------------------------
def test_the_split_has_the_sizes_that_the_notebooks_print():
    splits = shuffled_splits(makemore())
    targets = {name: sum(len(doc) + 1 for doc in docs) for name, docs in splits.items()}
    assert targets == {"train": 182625, "val": 22655, "test": 22866}
    assert splits["train"][:3] == ["yuheng", "diondre", "xavien"]  # as Part 5 prints them
    known = Counter(splits["train"])
    assert sum(doc in known for doc in splits["val"]) / len(splits["val"]) == pytest.approx(
        0.132, abs=0.0005
    )


def test_shuffling_leaves_the_global_random_numbers_and_the_list_alone():
    docs, state = list(NAMES), random.getstate()
    shuffled_splits(docs)
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
    model = make_model("original", LETTERS)
    for name, value in expected.items():
        assert torch.equal(getattr(model, name), value)
    torch.manual_seed(2147483647)
    model = make_model("tanh", LETTERS)
    assert torch.equal(model.mlp_fc1, expected["mlp_fc1"] * 0.2)
    assert torch.equal(model.lm_head, expected["lm_head"] * 0.01)
    assert not model.lm_bias.any()


@pytest.mark.parametrize("variant, count", [
    ("original", 11897), ("kaiming", 11897), ("batchnorm", 12097), ("wavenet", 76579),
])  # fmt: skip
def test_parameter_counts_are_those_of_the_notebooks(variant, count):
    assert sum(p.numel() for p in make_model(variant, LETTERS).parameters()) == count


@pytest.mark.parametrize("variant, low, high", [
    ("original", 15, 40), ("softmax", 3.2, 3.4), ("batchnorm", 3.2, 3.4), ("wavenet", 3.2, 3.4),
])  # fmt: skip
def test_first_losses(variant, low, high):
    """27 in the first try of the lecture, where log 27 = 3.3 would do."""
    torch.manual_seed(2147483647)
    model = make_model(variant, LETTERS)
    xb, yb = torch.randint(27, (500, model.block_size)), torch.randint(27, (500,))
    assert low < F.cross_entropy(model(xb), yb).item() < high


@pytest.mark.parametrize("variant, seed, printed", [
    ("batchnorm", 2147483647, 3.3239), ("wavenet", 42, 3.3167),
])  # fmt: skip
def test_the_loss_of_the_first_step_is_the_one_that_the_notebook_prints(variant, seed, printed):
    """It depends on the shuffle, the ids, the weights, the batch and the formulas."""
    docs = makemore()
    tokenizer = LectureTokenizer(docs)
    torch.manual_seed(seed)
    model = make_model(variant, LETTERS)
    xs, ys = stage.contexts(shuffled_splits(docs)["train"], tokenizer, model.block_size)
    batch = torch.randint(len(xs), (32,))
    assert F.cross_entropy(model(xs[batch]), ys[batch]).item() == pytest.approx(printed, abs=6e-5)


def test_batchnorm_follows_the_formula_of_the_notebook():
    torch.manual_seed(1)
    model = make_model("batchnorm", LETTERS)
    (norm,) = model.norms
    with torch.no_grad():
        norm.gain.add_(torch.randn(200))
        norm.shift.add_(torch.randn(200))
    xb = torch.randint(27, (32, 3))
    x = model.wte[xb].view(32, 30) @ model.mlp_fc1
    mean, std = x.mean(0, keepdim=True), x.std(0, keepdim=True)
    expected = torch.tanh(norm.gain * (x - mean) / std + norm.shift) @ model.lm_head
    torch.testing.assert_close(model(xb), expected + model.lm_bias, rtol=0, atol=1e-5)
    torch.testing.assert_close(norm.running_mean, 0.001 * mean[0])
    torch.testing.assert_close(norm.running_std, 0.999 + 0.001 * std[0])
    model.eval()
    x = norm.gain * (x - norm.running_mean) / norm.running_std + norm.shift
    expected = torch.tanh(x) @ model.lm_head + model.lm_bias
    torch.testing.assert_close(model(xb), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", makemore_lectures.VARIANTS)
def test_the_mode_comes_from_train_and_eval_and_not_from_whether_gradients_are_recorded(variant):
    torch.manual_seed(1)
    model = make_model(variant, LETTERS)
    xb = torch.randint(27, (32, model.block_size))
    in_training = model(xb)
    with torch.no_grad():
        assert torch.equal(model(xb), in_training)
    before = [buffer.clone() for buffer in model.buffers()]
    model.eval()
    with_gradients = model(xb)
    with torch.no_grad():
        assert torch.equal(model(xb), with_gradients)
    assert torch.equal(with_gradients, in_training) == (not model.norms)
    assert all(torch.equal(buffer, old) for buffer, old in zip(model.buffers(), before))


@pytest.mark.parametrize("variant, norms, kind", [
    ("original", 0, None), ("batchnorm", 1, LectureBatchNorm), ("wavenet", 3, BatchNorm),
])  # fmt: skip
def test_a_state_has_the_parameters_and_the_running_averages(variant, norms, kind):
    model = make_model(variant, LETTERS)
    assert len(model.norms) == norms and all(type(norm) is kind for norm in model.norms)
    assert len(model.buffers()) == 2 * norms
    state = {tensor.data_ptr() for tensor in model.state()}
    assert state == {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    assert all(p.requires_grad for p in model.parameters())


def test_the_trees_norm_divides_by_n_less_1():
    norm = BatchNorm(3, correction=1)
    x = torch.randn(4, 2, 3)
    mean, var = x.mean((0, 1)), x.var((0, 1))
    torch.testing.assert_close(norm(x), (x - mean) / (var + 1e-5).sqrt())
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * var)
    assert {norm.correction for norm in make_model("wavenet", LETTERS).norms} == {1}


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
    model = make_model(variant, tokenizer)
    xs, ys = stage.contexts(shuffled_splits(docs)["train"], tokenizer, model.block_size)
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
    for value, found in zip(model.state(), saved["weights"], strict=True):
        torch.testing.assert_close(value, found, rtol=0, atol=1e-5)
    means = [sum(losses[i : i + 4]) / 4 for i in range(0, 40, 4)]
    assert [row[1] for row in result["curve"][1:]] == pytest.approx(means, abs=1e-5)


@pytest.mark.parametrize("variant, stops", [("batchnorm", [13, 9]), ("wavenet", [7])])
def test_a_stopped_training_continued_equals_an_unstopped_one_exactly(
    run, variant, stops, monkeypatch
):
    _, whole, expected = run(variant=variant, out="whole")
    for steps, number in zip(stops, (signal.SIGINT, signal.SIGTERM)):
        with monkeypatch.context() as patch:
            stop_after(steps, patch, number)
            status, result, saved = run(variant=variant)
        assert (status, result) == (130, None)
    assert saved["run"]["done"] == sum(stops)
    status, continued, found = run(variant=variant)
    assert status == 0 and continued["steps"] == 40
    assert continued["loss"] == whole["loss"] and continued["curve"] == whole["curve"]
    assert continued["leak"] == whole["leak"] and continued["samples"] == whole["samples"]
    assert len(found["weights"]) == len(expected["weights"])
    for value, of_whole in zip(found["weights"], expected["weights"]):
        assert torch.equal(value, of_whole)


def test_a_run_that_breaks_off_continues_from_its_last_checkpoint(run, monkeypatch):
    """As after a power cut: nothing was saved when it ended, but something on the way."""
    _, whole, _ = run(out="whole")

    class PowerCut(common.Steps):
        def __iter__(self):
            for i in super().__iter__():
                if i == 22:
                    raise OSError("power cut")
                yield i

    with monkeypatch.context() as patch:
        patch.setattr(common, "Steps", PowerCut)
        with pytest.raises(OSError, match="power cut"):
            run()
    steps = []
    evaluate = makemore_lectures.evaluate
    monkeypatch.setattr(makemore_lectures, "evaluate", lambda *a: steps.append(1) or evaluate(*a))
    _, continued, _ = run()
    assert continued["loss"] == whole["loss"] and continued["curve"] == whole["curve"]
    assert len(steps) == 5 + 3  # looks at steps 24 to 40, and the three losses of the end


def test_a_finished_run_is_evaluated_again_and_not_trained_again(run):
    _, first, _ = run()
    _, second, _ = run()
    assert second["loss"] == first["loss"] and second["steps"] == 40


def test_other_flags_do_not_continue_the_run(run, tmp_path, capsys):
    run()
    assert run("--seed=3")[0] == 2
    assert "other flags" in capsys.readouterr().err
    (tmp_path / "names.txt").write_text("\n".join(NAMES[:350]), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        common.run(makemore_lectures.main)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and "other flags or data" in error and error.count("\n") == 1


def test_a_checkpoint_that_is_broken_costs_one_line(run, tmp_path, capsys):
    _, _, good = run()
    path = tmp_path / "out" / "batchnorm" / "checkpoint.pt"
    fields = good["run"]
    broken = [
        None, [], {}, {**good, "weights": good["weights"][1:]}, {**good, "weights": None},
        {**good, "rng": torch.zeros(3)}, {**good, "run": {}}, {**good, "run": {"step": 1}},
        {**good, "run": {**fields, "done": "all"}}, {**good, "run": {**fields, "done": -1}},
        {**good, "run": {**fields, "done": 10**9}}, {**good, "run": {**fields, "curve": None}},
    ]  # fmt: skip
    capsys.readouterr()
    for content in [b"", b"no checkpoint", *broken]:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(SystemExit) as ended:
            common.run(makemore_lectures.main)
        err = capsys.readouterr().err
        assert ended.value.code == 2 and err.count("\n") == 1, content
        assert f"{path} is broken: delete it to begin again" in err


@pytest.mark.parametrize("variant", ["kaiming", "batchnorm", "wavenet"])
def test_the_model_is_saved_with_the_result_and_gives_the_same_losses(run, tmp_path, variant):
    """The tokenizer of the loaded model is the stage's, whose BOS has the last id."""
    _, result, _ = run(variant=variant)
    model = makemore_lectures.load(tmp_path / "out" / variant)
    tokenizer = model.tokenizer
    assert tokenizer.encode("a") == [tokenizer.BOS, 0, tokenizer.BOS] and not model.training
    assert tokenizer.BOS == len(tokenizer.chars) == tokenizer.vocab_size - 1
    splits = shuffled_splits(NAMES + NAMES[:60])
    for name in ("train", "val"):
        data = stage.contexts(splits[name], tokenizer, model.block_size)
        assert makemore_lectures.evaluate(model, *data) == pytest.approx(
            result["loss"][name], abs=1e-5
        )
    rows, targets = [], []
    for doc in splits["val"]:
        rows += makemore_lectures.log_probs(model, doc)
        targets += tokenizer.encode(doc)[1:]
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
    mean = -sum(row[target] for row, target in zip(rows, targets, strict=True)) / len(rows)
    assert mean == pytest.approx(result["loss"]["val"], abs=1e-5)


def test_samples_are_drawn_with_torchs_random_numbers(run, tmp_path):
    run()
    model, drawn = makemore_lectures.load(tmp_path / "out" / "batchnorm"), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append([makemore_lectures.sample(model) for _ in range(5)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stopped_run_has_a_checkpoint_and_no_model(run, tmp_path, monkeypatch):
    stop_after(5, monkeypatch)
    run()
    assert [path.name for path in (tmp_path / "out" / "batchnorm").iterdir()] == ["checkpoint.pt"]
    with pytest.raises(OSError):
        makemore_lectures.load(tmp_path / "out" / "batchnorm")


def test_a_checkpoint_is_replaced_as_a_whole(run, tmp_path, monkeypatch):
    """The disk is full while the second checkpoint is written: the first one remains."""
    stop_after(5, monkeypatch)
    _, _, first = run()
    monkeypatch.undo()

    def full(content, file):
        file.write(b"a half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        run()
    monkeypatch.undo()
    folder = tmp_path / "out" / "batchnorm"
    assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]
    found = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert found["run"] == first["run"] and found["run"]["done"] == 5


def test_the_result_tells_the_loss_on_names_that_were_not_met_in_training(run):
    _, result, saved = run(variant="kaiming")
    docs = NAMES + NAMES[:60]
    splits = shuffled_splits(docs)
    unseen = [doc for doc in splits["val"] if doc not in splits["train"]]
    assert 0 < len(unseen) < len(splits["val"])
    share = 1 - len(unseen) / len(splits["val"])
    assert result["leak"]["share_of_val_names"] == pytest.approx(share)
    tokenizer = LectureTokenizer(docs)
    model = make_model("kaiming", tokenizer)
    model.load_state(saved["weights"])
    with torch.no_grad():
        xs, ys = stage.contexts(unseen, tokenizer, 3)
        loss = F.cross_entropy(model(xs), ys).item()
    assert result["leak"]["val_loss_without"] == pytest.approx(loss, abs=1e-5)
    assert result["variant"] == "lecture kaiming"


@pytest.mark.parametrize("flags, named", [
    (["--variant=resnet"], "resnet"), (["--batch-size=1"], "--batch-size 1"),
])  # fmt: skip
def test_bad_flags_are_named(flags, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["makemore_lectures.py", *flags])
    with pytest.raises(SystemExit) as stopped:
        common.parse_flags(Config, "")
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and named in error and error.count("\n") == 1


def test_a_split_without_names_is_named(tmp_path, monkeypatch):
    (tmp_path / "few.txt").write_text("emma\nava\n", encoding="utf-8")
    flags = [f"--data={tmp_path / 'few.txt'}", f"--out={tmp_path / 'o'}"]
    monkeypatch.setattr(sys, "argv", ["makemore_lectures.py", *flags])
    with pytest.raises(common.BadInput, match="the val split is empty"):
        makemore_lectures.main()


def test_the_results_have_their_usual_folder():
    assert Config().out == ROOT / "out" / "04_embedding_mlp" / "lecture"
