"""The pictures: the numbers in them against the stages' own, and files that stay as they are."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import forget_stage_modules

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
plots = importlib.import_module("plots")

RUNS = {  # folder below out: its script and flags for a run of a second or two
    "01_micrograd": ("main.py", "--steps=4", "--points=60"),
    "02_bigram_counts": ("main.py",),
    "03_bigram_learned": ("main.py", "--steps=20"),
    "04_embedding_mlp": ("main.py", "--steps=20", "--n-hidden=16"),
    "05_microgpt": ("main.py", "--steps=3", "--no-twin"),
    "05_microgpt/twin": ("twin.py", "--steps=10"),
    "06_shakespeare_gpt": ("main.py", "--steps=3", "--n-embd=16", "--n-layer=2", "--block-size=32"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a short run of every stage, on 600 of the names and on a text of one line."""
    root = tmp_path_factory.mktemp("project")
    out, names, text = root / "out", root / "data/names.txt", root / "data/text.txt"
    names.parent.mkdir()
    some = (ROOT / "data/names.txt").read_text(encoding="utf-8").splitlines()[:600]
    names.write_text("\n".join(some) + "\n", encoding="utf-8")
    text.write_text("O Romeo, Romeo! wherefore art thou Romeo?\n" * 60, encoding="utf-8")
    data = {"01": [], "06": [f"--data={text}"]}
    for place, (script, *flags) in RUNS.items():
        flags += data.get(place[:2], [f"--data={names}"])
        command = [sys.executable, ROOT / place.split("/")[0] / script, *flags]
        done = subprocess.run(
            [*command, f"--out={out / place}"], capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "ROOT", root)
        yield out


@pytest.fixture
def stage(monkeypatch):
    """stage("05_microgpt", "twin") -> that module of that stage."""

    def load(folder, name):
        forget_stage_modules()
        monkeypatch.syspath_prepend(ROOT / folder)
        return importlib.import_module(name)

    yield load
    forget_stage_modules()


# --- the models in numpy ---


def test_stage_01_in_numpy(stage):
    nn = stage("01_micrograd", "nn")
    model = nn.MLP([2, 5, 5, 1])
    weights = [p.data for p in model.parameters()]
    points = [(0.3, -1.2), (-2.0, 0.5), (1.5, 1.5)]
    theirs = [model(list(point))[0].data for point in points]
    assert plots.moons_score([2, 5, 5, 1], weights, np.array(points)) == pytest.approx(theirs)


def test_stage_04_in_numpy(stage):
    main = stage("04_embedding_mlp", "main")
    torch.manual_seed(1)
    model = main.MLP(main.Config(n_embd=5, n_hidden=7), 27)
    xb = torch.randint(27, (6, 3))
    h = plots.hidden({"wte": model.wte.detach().numpy(), "mlp_fc1": model.mlp_fc1.detach().numpy(),
                      "mlp_bias": model.mlp_bias.detach().numpy()}, xb.numpy())  # fmt: skip
    logits = h @ model.lm_head.detach().numpy() + model.lm_bias.detach().numpy()
    assert logits == pytest.approx(model(xb).detach().numpy(), abs=1e-5)


def test_stage_05_in_numpy(stage):
    twin = stage("05_microgpt", "twin")
    config = twin.Config(n_embd=12, n_head=3, n_layer=2)
    torch.manual_seed(1)
    weights = {name: 4 * w.detach() for name, w in twin.init_weights(config, 27).items()}
    tokens = [26, 4, 12, 12, 0]
    arrays = {name: w.double().numpy() for name, w in weights.items()}
    logits, attention = plots.microgpt(arrays, tokens, n_head=3)
    theirs = twin.gpt(config, weights, torch.tensor([tokens]))[0]
    assert logits == pytest.approx(theirs.numpy(), abs=1e-4)
    assert attention.shape == (2, 3, 5, 5)
    assert attention.sum(axis=-1) == pytest.approx(np.ones((2, 3, 5)))
    assert np.triu(attention, 1).max() == 0


def test_stage_06_in_numpy(stage):
    model = stage("06_shakespeare_gpt", "model")
    torch.manual_seed(1)
    gpt = model.GPT(11, block_size=8, n_embd=12, n_head=3, n_layer=2, dropout=0.0).double()
    for p in gpt.parameters():
        torch.nn.init.normal_(p, std=0.5)
    tokens = [3, 1, 4, 1, 5, 9]
    arrays = {name: p.numpy() for name, p in gpt.state_dict().items()}
    logits, _ = plots.shakespeare_gpt(arrays, tokens, n_head=3, n_layer=2)
    assert logits == pytest.approx(gpt(torch.tensor([tokens]))[0].detach().numpy(), abs=1e-9)


# --- single pictures ---


def test_the_graph_has_the_numbers_of_stage_01(stage):
    Value = stage("01_micrograd", "engine").Value
    data, grad = plots.differentiate(plots.EXPRESSION)
    a, b = Value(2.0), Value(-3.0)
    c = a * b
    d = c + a
    L = d**2
    L.backward()
    for name, value in {"a": a, "b": b, "c": c, "d": d, "L": L}.items():
        assert (data[name], grad[name]) == (value.data, value.grad)


def test_two_components_of_points_in_a_plane_keep_their_distances():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(9, 2)) * (3, 1)
    vectors = flat @ np.linalg.qr(rng.normal(size=(5, 2)))[0].T + 7  # a plane in 5 dimensions
    points, shares = plots.two_components(vectors)
    apart = [np.linalg.norm(x[:, None] - x, axis=-1) for x in (flat, points)]
    assert apart[0] == pytest.approx(apart[1])
    assert shares.sum() == pytest.approx(1) and shares[0] > shares[1]
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] > 0).all()  # the sign is no accident


def test_marks_that_lie_on_each_other_are_pushed_apart_and_the_others_stay():
    points = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 0.02], [5.0, 5.0]])
    places = plots.spread_out(points, 0.3)
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(4)
    assert apart.min() > 0.299
    assert (places[3] == points[3]).all()


def test_val_names_are_those_of_the_stages(stage, out):
    main = stage("05_microgpt", "main")
    result = json.loads((out / "05_microgpt/result.json").read_text(encoding="utf-8"))
    assert plots.val_names(result) == main.load_splits(out.parent / "data/names.txt")["val"]
    with pytest.raises(plots.Missing, match="another file"):
        plots.val_names({"dataset": {"sha256": "0"}})


# --- all of them ---


def test_every_picture_is_drawn_and_drawing_again_changes_no_byte(out, capsys):
    assert plots.main(["--from", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} drawn" for name in plots.PICTURES]
    before = {name: (out / name).read_bytes() for name in plots.PICTURES}
    assert plots.main(["--from", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert {name: (out / name).read_bytes() for name in plots.PICTURES} == before
    assert before["01_micrograd/graph.svg"].startswith(b"<?xml")
    assert before["ladder.png"].startswith(b"\x89PNG")


def test_one_stage_into_another_folder(out, tmp_path, capsys):
    assert plots.main(["--from", str(out), "--into", str(tmp_path), "--stage", "2"]) == 0
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
    assert made == {"02_bigram_counts/counts.png", "curves.png", "ladder.png"}


def test_what_is_missing_or_broken_costs_a_line_and_no_error(tmp_path, capsys):
    (tmp_path / "05_microgpt").mkdir()
    (tmp_path / "05_microgpt" / "weights.json").write_text("{", encoding="utf-8")
    assert plots.main(["--from", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "01_micrograd/graph.svg drawn" in lines  # it needs no run
    assert "02_bigram_counts/counts.png skipped: counts.json is missing; run the stage" in lines
    assert any(line.startswith("05_microgpt/attention.png skipped: JSON") for line in lines)
    assert len(lines) == len(plots.PICTURES)


def test_a_stage_that_is_not_there(capsys):
    assert plots.main(["--stage", "8"]) == 2
    assert "'8'" in capsys.readouterr().err
