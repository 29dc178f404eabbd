"""Modern parts at equal time: the pace of a row, the mean of the weights, what the chain keeps."""

import json
import random
import sys

import pytest
import torch

import ablate_modern
import modern_gpt
from stages import load_stage

stage = load_stage("06_shakespeare_gpt")

TEXT = "".join(random.Random(1).choices(["hear me speak\n", "speak, speak\n", "you all\n"], k=90))
FEW = dict(batch_size=4, block_size=8, n_embd=16, n_head=2, n_layer=1, dropout=0.0, eval_every=99)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run ablate_modern.py on a little text with a tiny model. -> the rows of its table"""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(ablate_modern, "SMALL", FEW)
    monkeypatch.setattr(ablate_modern, "ROUNDS", 1)

    def run(table, *flags):
        given = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'out'}", "--device=cpu"]
        monkeypatch.setattr(sys, "argv", ["ablate_modern.py", *given, f"--table={table}", *flags])
        ablate_modern.main()
        path = tmp_path / "out" / f"modern_{table}" / "table.json"
        return json.loads(path.read_text(encoding="utf-8"))["rows"]

    return run


def test_every_part_is_compared_with_stage_06_at_equal_time(run, monkeypatch, tmp_path):
    rows = run("alone", "--steps=4", "--seeds=1")
    assert {row["entry"] for row in rows} == {"baseline", "ema", *modern_gpt.PARTS}
    pace = json.loads((tmp_path / "out/modern_alone/pace.json").read_text(encoding="utf-8"))
    for row in rows:
        assert row["steps"] == round(4 / pace[row["entry"]])
    differences = [row["difference"]["mean"] for row in rows]
    assert differences == sorted(differences)

    monkeypatch.setattr(stage, "train", None)  # a second call trains nothing and measures nothing
    assert run("alone", "--steps=4", "--seeds=1") == rows


def test_the_chain_keeps_what_lowers_the_loss(run, monkeypatch):
    """Losses made up: rmsnorm and softcap help, everything else hurts."""
    worth = {"rmsnorm": -0.5, "swiglu": -0.0625, "softcap": -0.25}

    def made_up(config, parts, tokenizer, data):
        val = 3.0 + sum(worth.get(part, 0.125) for part in parts)
        log = type("Log", (), {"stopped": False, "done": config.steps, "seconds": 1.0})
        return {"params": len(parts), "val": val, "curve": []}, log

    monkeypatch.setattr(ablate_modern, "train", made_up)
    rows = {row["entry"]: row for row in run("chain", "--steps=4", "--seeds=2")}
    kept = [entry for entry, row in rows.items() if row["kept"]]
    assert kept == ["baseline", "rmsnorm", "swiglu", "softcap"]
    assert rows["rotary"]["val"]["mean"] == 3 - 0.5 + 0.125
    # In the place of SwiGLU, not after it.
    assert rows["relu_squared"]["difference"]["mean"] == 0.125 + 0.0625
    assert rows["softcap"]["difference"]["mean"] == -0.25  # against swiglu, the last one kept
    assert rows["ema"]["difference"]["mean"] == 0.125
    assert rows["ema"]["params"] == 4


def test_the_mean_of_the_weights():
    model = modern_gpt.make_model(
        modern_gpt.Config(**{**FEW, "parts": ""}), stage.Tokenizer(TEXT)
    )  # fmt: skip
    mean = ablate_modern.keep_mean(model)
    p, xb = model.lm_head.bias, torch.zeros(1, 3, dtype=torch.long)
    with torch.no_grad():
        p.fill_(1.0)
        model(xb)  # the mean begins with the first weights
        p.fill_(2.0)
        model(xb)
        model.eval()
        model(xb)  # an evaluation does not count
    assert mean[p].tolist() == pytest.approx([0.98 * 1 + 0.02 * 2] * len(p))


def test_runs_of_another_length_are_not_reused(run):
    for steps in (4, 8):
        rows = {row["entry"]: row for row in run("alone", f"--steps={steps}", "--seeds=1")}
        assert rows["baseline"]["steps"] == steps
