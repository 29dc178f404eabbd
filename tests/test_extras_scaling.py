"""The scaling law: the line through the logarithms, and what it predicts."""

import json
import math
import random
import sys

import pytest

import compare_runs
import scaling
from stages import load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

TEXT = "".join(random.Random(1).choices(["hear me speak\n", "speak, speak\n", "you all\n"], k=90))


def rows(params, losses):
    return [{"params": n, "val": {"mean": loss}} for n, loss in zip(params, losses)]


def test_a_power_law_is_found_exactly():
    params = [100, 1000, 20000]
    a, b = scaling.fit(params, [7 * n**-0.08 for n in params])
    assert (a, b) == (pytest.approx(7), pytest.approx(0.08))


def test_the_line_is_the_one_of_least_squares():
    """No line nearby has a smaller sum of squared distances between the logarithms."""
    params, losses = [100, 1000, 20000, 40000], [3.0, 2.5, 2.0, 1.9]

    def squares(a, b):
        return sum((math.log(a * n**-b) - math.log(x)) ** 2 for n, x in zip(params, losses))

    a, b = scaling.fit(params, losses)
    for factor, more in ((1.01, 0), (0.99, 0), (1, 0.001), (1, -0.001), (1.01, 0.001)):
        assert squares(a, b) < squares(a * factor, b + more)


def test_the_last_row_is_predicted_from_the_others():
    params = [100, 1000, 10000, 80000]
    losses = [5 * n**-0.1 for n in params]
    predicted, b = scaling.predict(rows(params, [*losses[:-1], 99.0]))
    assert predicted == pytest.approx(losses) and b == pytest.approx(0.1)


def test_a_run_trains_every_width_and_prints_the_prediction(monkeypatch, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(scaling, "WIDTHS", (2, 4, 8, 16))
    given = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'out'}", "--device=cpu"]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *given, "--steps=2"])
    scaling.main()
    table = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))
    assert [row["entry"] for row in table["rows"]] == [f"width-{n}" for n in (2, 4, 8, 16)]
    vocab_size = len(set(TEXT))
    for width, row in zip((2, 4, 8, 16), table["rows"]):
        config = stage.Config(n_embd=width)
        model = stage.make_model(config, stage.Tokenizer(TEXT))
        assert row["params"] == sum(p.numel() for p in model.parameters())
        assert row["steps"] == 2
        assert 0 < row["val"]["mean"] < 1.1 * math.log(vocab_size)
    predicted, b = scaling.predict(table["rows"])
    printed = capsys.readouterr().out
    assert f"params ** {-b:.4f};" in printed and f"loss of {predicted[-1]:.4f}," in printed
    assert compare_runs.run_path(tmp_path / "out", "width-2", 1337).exists()
    scaling.main()  # nothing is repeated
    assert "4 of 4 runs are kept" in capsys.readouterr().out


def test_an_unfinished_series_predicts_nothing(monkeypatch, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(scaling, "WIDTHS", (2, 4, 8))
    monkeypatch.setattr(scaling, "run_all", lambda *arguments: None)
    given = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *given])
    scaling.main()
    assert "predicts" not in capsys.readouterr().out
