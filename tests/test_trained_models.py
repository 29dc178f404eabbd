"""tools/trained_models.py: files that can be read, but hold no model that its stage can use."""

import copy
import json
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from stages import ROOT, load_stage
from trained_models import COMMANDS, MODELS, OF_EXTRAS, NoModel, load_code, load_model

TEXT = "\n".join((ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:200])
SIZES = ["--steps=2", "--n-embd=4", "--n-layer=1", "--block-size=4", "--n-head=2"]
FLAGS = {
    "02_bigram_counts": [],
    "03_bigram_learned": ["--steps=2", "--batch-size=8"],
    "04_embedding_mlp": ["--steps=2", "--batch-size=8", "--n-hidden=4", "--n-embd=2"],
    "05_microgpt": SIZES,
    "05_microgpt/twin": [*SIZES, "--batch-size=8"],
    "05_microgpt/modern": [*SIZES, "--batch-size=8"],
    "06_shakespeare_gpt": [*SIZES, "--batch-size=8", "--device=cpu", "--dtype=float32"],
    "06_shakespeare_gpt/modern": [*SIZES, "--batch-size=8", "--device=cpu", "--dtype=float32"],
}
WRONG = [None, "x", "ab", -1, 0, 1, 0.5, 50, math.nan, True, [], ["a"], [1, 2], {}, [[0.0]],
         torch.zeros(2), torch.zeros(3, 3)]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """trained(folder) -> out, path of the model in it, what it holds, write(content)."""
    runs = {}

    def trained(folder):
        if folder not in runs:
            out = tmp_path_factory.mktemp("out")
            (out / "data.txt").write_text(TEXT, encoding="utf-8")
            flags = [*FLAGS[folder], f"--data={out / 'data.txt'}", f"--out={out / folder}"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["main.py", *flags])
                load_code(folder).main()
            path = out / folder / MODELS[folder][1]
            if path.suffix == ".pt":
                saved = torch.load(path, weights_only=True)
            else:
                saved = json.loads(path.read_text(encoding="utf-8"))
            runs[folder] = SimpleNamespace(out=out, path=path, saved=saved)
        return runs[folder]

    return trained


def write(path, content):
    if path.suffix == ".pt":
        torch.save(content, path)
    else:
        path.write_text(json.dumps(content, default=torch.Tensor.tolist), encoding="utf-8")


def places(content, below=()):
    """The keys that lead to each part of a checkpoint, but not into the rows of a matrix."""
    yield below
    if isinstance(content, dict):
        for key in content:
            yield from places(content[key], (*below, key))
    elif isinstance(content, list) and content and isinstance(content[0], (torch.Tensor, str)):
        for i in (0, len(content) - 1):
            yield (*below, i)


def change(content, place, value):
    """A copy in which another value is at a place. The value "missing" removes it."""
    if not place:
        return value
    changed = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value == "missing":
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def diverged(weights):
    """The same weights, all of them not a number."""
    if isinstance(weights, dict):
        return {name: diverged(part) for name, part in weights.items()}
    if isinstance(weights, list):
        return [diverged(part) for part in weights]
    return torch.full_like(weights, math.nan) if torch.is_tensor(weights) else math.nan


def check(run, folder):
    """Whether the model is refused. If not, then it works."""
    try:
        module, model = load_model(run.out, folder)
    except NoModel as problem:
        assert "\n" not in str(problem) and run.path.name in str(problem)
        return True
    rows = module.log_probs(model, model.tokenizer.chars[0] * 6)
    sums = [math.fsum(map(math.exp, row)) for row in rows]
    assert sums == pytest.approx([1.0] * len(rows), abs=0.01)
    short = {"length": 5, "prompt": model.tokenizer.chars[0]} if folder[:2] == "06" else {}
    assert isinstance(module.sample(model, **short), str)
    return False


@pytest.mark.parametrize("folder", FLAGS)
def test_a_model_that_was_changed_anywhere_is_refused_or_works(folder, trained):
    run = trained(folder)
    assert not check(run, folder)
    refused = 0
    # The extras build their models as the stages do, so a few values are enough for them.
    wrong = WRONG[::5] if folder in OF_EXTRAS else WRONG
    for place in places(run.saved):
        if place[:1] == ("earlier",):
            continue
        for value in [*wrong, "missing"]:
            write(run.path, change(run.saved, place, value))
            refused += check(run, folder)
    assert refused > 30
    write(run.path, run.saved)
    assert not check(run, folder)


@pytest.mark.parametrize("folder", FLAGS)
def test_a_model_of_another_alphabet_is_refused(folder, trained):
    run = trained(folder)
    chars = run.saved["chars"]
    for other in (chars[1:], [*chars, "\u00e9"], chars[:1] * len(chars), list(range(len(chars)))):
        write(run.path, {**run.saved, "chars": other})
        assert check(run, folder), other
    write(run.path, run.saved)


@pytest.mark.parametrize("folder", list(FLAGS)[1:])
def test_a_model_whose_training_diverged_is_refused_and_says_so(folder, trained):
    run = trained(folder)
    key = "W" if "W" in run.saved else "weights"
    changed = {**run.saved, key: diverged(run.saved[key])}
    write(run.path, changed)
    rerun = f"run {COMMANDS[folder]} again" if folder in COMMANDS else "run the stage again"
    with pytest.raises(NoModel, match=f"not finite, because its training diverged; {rerun}"):
        load_model(run.out, folder)
    write(run.path, run.saved)


def test_generate_refuses_what_the_tools_refuse(trained, monkeypatch, capsys):
    folder = "06_shakespeare_gpt"
    run, generate = trained(folder), load_stage(folder, "generate")
    common = load_stage(folder, "common")
    monkeypatch.setattr(sys, "argv", [
        "generate.py", f"--model={run.path}", "--length=5", "--device=cpu", "--prompt=a",
    ])  # fmt: skip
    nan = diverged(run.saved["weights"])
    some = [(place, value) for place in places(run.saved) for value in ([], "missing")]
    for changed in [*(change(run.saved, *one) for one in some), {**run.saved, "weights": nan}]:
        write(run.path, changed)
        refused = check(run, folder)
        with pytest.raises(SystemExit) as ended:
            common.run(generate.main)
        err = capsys.readouterr().err
        assert ended.value.code == (2 if refused else 0), err
        assert err.count("\n") == (1 if refused else 0)
    assert "its training diverged" in err
    write(run.path, run.saved)
