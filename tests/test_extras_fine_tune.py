"""Fine-tuning: it begins with trained weights, and measures both texts before and after."""

import json
import random
import signal
import sys

import pytest
import torch

import fine_tune
from stages import ROOT, load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")
names = load_stage("05_microgpt", "names")

SPEECH = """First Citizen:
The quick brown fox, jumping over my lazy dogs, vexes all of them; hear me speak.
"""
OLD = "".join(random.Random(1).choices(SPEECH.splitlines(keepends=True), k=80))
NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:200]
SIZES = dict(block_size=8, n_embd=16, n_head=2, n_layer=1)
RECIPE = stage.Config(**SIZES, learning_rate=0.01, device="cpu", dtype="float32", warmup=0)


def write_model(folder):
    """The model.pt that a training of stage 06 would leave there."""
    tokenizer = stage.Tokenizer(OLD)
    torch.manual_seed(2)
    model = stage.make_model(RECIPE, tokenizer)
    saved = {"config": common.settings(RECIPE), "chars": tokenizer.chars}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({**saved, "weights": model.state_dict(), "step": 9}, folder / "model.pt")
    return folder / "model.pt"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run(*flags) -> the result of a short fine-tuning of a small model."""
    path = write_model(tmp_path / "first")
    (tmp_path / "old.txt").write_text(OLD, encoding="utf-8")
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")

    def run(*flags):
        folders = {"model": path, "old": tmp_path / "old.txt", "data": tmp_path / "names.txt"}
        given = [f"--{name}={value}" for name, value in folders.items()]
        given += [f"--out={tmp_path / 'out'}", "--steps=3", "--batch-size=4", "--device=cpu"]
        monkeypatch.setattr(sys, "argv", ["fine_tune.py", *given, *flags])
        fine_tune.main()
        return json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))

    return run


def val_texts(tmp_path):
    """The val parts {"old", "new"} as the program should see them, with seed 1337."""
    old = stage.load_text(tmp_path / "old.txt", 8)["val"]
    return {"old": old, "new": fine_tune.load_names(tmp_path / "names.txt", 1337)["val"]}


def val_loss(model, text):
    return stage.evaluate(model, torch.tensor(model.tokenizer.encode(text)))


def test_the_losses_are_those_of_the_models_before_and_after(run, tmp_path):
    result = run()
    models = {"before": stage.load(tmp_path / "first"), "after": stage.load(tmp_path / "out")}
    for which, text in val_texts(tmp_path).items():
        for when, model in models.items():
            expected = pytest.approx(val_loss(model, text), abs=1e-5)
            assert result["losses"][which][when] == expected, (which, when)
    assert result["losses"]["new"]["after"] == result["loss"]["val"]
    assert result["losses"]["new"]["before"] != result["losses"]["new"]["after"]
    assert result["losses"]["old"]["before"] != result["losses"]["old"]["after"]
    assert result["variant"] == "fine-tuned" and result["stage"] == "06_shakespeare_gpt"
    assert result["chars_seen"] == 3 * 4 * 8 and not result["interrupted"]
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["model.pt", "result.json"]


def test_it_begins_with_the_trained_weights_and_the_comparison_does_not(run, tmp_path):
    """At a learning rate of 0, the weights stay as they were."""
    result = run("--rate=0")
    before = stage.load(tmp_path / "first").state_dict()
    after = stage.load(tmp_path / "out").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    losses = result["losses"]
    assert losses["new"]["after"] == losses["new"]["before"]
    assert losses["old"]["after"] == losses["old"]["before"]
    assert losses["new"]["from random weights"] != losses["new"]["before"]


def test_the_rate_scales_the_learning_rates_of_the_first_training(run):
    config = run("--rate=0.5")["config"]
    assert config["learning_rate"] == 0.5 * RECIPE.learning_rate
    assert config["muon_learning_rate"] == 0.5 * RECIPE.muon_learning_rate
    assert (config["n_embd"], config["steps"], config["batch_size"]) == (16, 3, 4)


def test_the_comparison_is_main_pys_own_training_of_that_text(run, tmp_path, monkeypatch):
    result = run()
    texts = fine_tune.load_names(tmp_path / "names.txt", 1337)
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    tokenizer = stage.Tokenizer(OLD)
    data = {name: torch.tensor(tokenizer.encode(text)) for name, text in texts.items()}
    config = stage.Config(
        **SIZES, steps=3, batch_size=4, learning_rate=0.01, warmup=0, eval_every=1, seed=1337
    )
    torch.manual_seed(1337)
    model = stage.make_model(config, tokenizer)
    _, best = stage.train(config, model, data, "cpu", "float32")
    assert result["losses"]["new"]["from random weights"] == pytest.approx(best["val"], abs=1e-5)


def test_names_are_split_by_hash_and_come_in_random_order(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(sorted(NAMES)), encoding="utf-8")
    splits = names.load_splits(tmp_path / "names.txt")
    texts = fine_tune.load_names(tmp_path / "names.txt", 3)
    for split in ("train", "val"):
        found = texts[split].strip("\n").split("\n")
        assert sorted(found) == sorted(splits[split]) and found != sorted(found)
        targets = sum(len(doc) + 1 for doc in splits[split])  # as in stages 02 to 05
        assert len(texts[split]) - 1 == targets
        assert texts[split][0] == texts[split][-1] == "\n"
    assert texts == fine_tune.load_names(tmp_path / "names.txt", 3)
    assert texts != fine_tune.load_names(tmp_path / "names.txt", 4)


def test_a_running_text_keeps_its_order_and_its_last_tenth_is_val(run, tmp_path):
    text = "".join(reversed(OLD))
    (tmp_path / "other.txt").write_text(text, encoding="utf-8")
    result = run(f"--data={tmp_path / 'other.txt'}", "--kind=text")
    val = text[int(0.9 * len(text)) :]
    assert result["targets"]["val"] == len(val) - 1
    model = stage.load(tmp_path / "out")
    assert result["losses"]["new"]["after"] == pytest.approx(val_loss(model, val), abs=1e-5)


@pytest.mark.parametrize("content", [None, b"no model", b""])
def test_without_a_model_the_error_says_what_to_run(run, tmp_path, content):
    path = tmp_path / "none" / "model.pt"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(common.BadInput) as caught:
        run(f"--model={path}")
    message = str(caught.value)
    assert str(path) in message and "run `make stage 6` first" in message and "\n" not in message
    assert not (tmp_path / "out").exists()


def test_a_character_without_a_token_is_named(run, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*NAMES, "zoé"]), encoding="utf-8")
    with pytest.raises(common.BadInput, match="--data .*names.txt holds 'é'"):
        run()
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (tmp_path / "old.txt").write_text(OLD + 50 * "ß", encoding="utf-8")
    with pytest.raises(common.BadInput, match="--old .*old.txt holds 'ß'"):
        run()


def test_bad_texts_are_named_with_their_flag(run, tmp_path):
    with pytest.raises(common.BadInput, match="--old .*nowhere.txt"):
        run(f"--old={tmp_path / 'nowhere.txt'}")
    with pytest.raises(common.BadInput, match="--data .*nowhere.txt"):
        run(f"--data={tmp_path / 'nowhere.txt'}")
    (tmp_path / "names.txt").write_text("anna\n", encoding="utf-8")
    with pytest.raises(common.BadInput, match="--data .*val split is empty"):
        run()
    with pytest.raises(common.BadInput, match="--data .*too few"):
        run("--kind=text")


def test_a_stop_keeps_the_model_and_skips_the_comparison(run, tmp_path, monkeypatch):
    seen, get_batch = [], stage.get_batch

    def stop_in_the_second_step(*arguments):
        seen.append(arguments)
        if len(seen) == 2:
            common.stop(signal.SIGINT, None)
        return get_batch(*arguments)

    monkeypatch.setattr(stage, "get_batch", stop_in_the_second_step)
    result = run()
    common.stop.count, common.stop.training_began = 0, False
    assert result["interrupted"] and result["steps"] == 2 == len(seen)
    assert "after" not in result["losses"]["old"]
    assert "from random weights" not in result["losses"]["new"]
    model = stage.load(tmp_path / "out")
    loss = val_loss(model, val_texts(tmp_path)["new"])
    assert result["loss"]["val"] == pytest.approx(loss, abs=1e-5)
