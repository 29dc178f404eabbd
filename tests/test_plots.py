"""The pictures show the stages' own numbers, and their files stay the same from run to run."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import plot_families
import plot_losses
import plot_stages
import plots
from plot_style import Missing
from stages import ROOT, load_stage
from trained_models import NoModel

RUNS = {  # folder in out/: the module of the stage, and flags for a run of a second or less
    "01_micrograd": ("main", "--steps=10", "--points=60"),
    "02_bigram_counts": ("main",),
    "03_bigram_learned": ("main", "--steps=20"),
    "04_embedding_mlp": ("main", "--steps=20", "--n-hidden=16"),
    "04_embedding_mlp/context-8": ("main", "--steps=20", "--n-hidden=16", "--block-size=8"),
    "05_microgpt": ("main", "--steps=3"),
    "05_microgpt/twin": ("torch_twin", "--steps=10", "--batch-size=32"),
    "06_shakespeare_gpt": (
        "main", "--steps=3", "--n-embd=16", "--n-layer=2", "--block-size=32", "--device=cpu",
    ),
}  # fmt: skip


def train(folder, out, *flags):
    """A run of a stage into this folder."""
    module, *usual = RUNS[folder]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["main.py", *usual, *flags, f"--out={out}"])
        load_stage(folder.split("/")[0], module).main()


def put_families(folder):
    """A table.json with invented numbers: run i has i + 1 parameters, a val loss of 2 + i / 100."""
    lines = (*plot_families.BY_SIZE, *plot_families.BY_TRAINING, *plot_families.BY_CONTEXT)
    entries = dict.fromkeys(entry for *_, entries in lines for entry in entries)
    rows = [
        {"entry": entry, "params": i + 1, "chars_seen": 10 * i + 1, "seconds": i + 0.5,
         "context": i % 16, "loss": {"train": 1.9, "val": 2 + i / 100, "test": 2.1}}
        for i, entry in enumerate(entries)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "table.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")


def put_ngrams(out, stages):
    """For the data of each stage, results of three n-grams; the 3-gram has the lowest val loss."""
    for stage in stages:
        for n, val in ((2, 2.4), (3, 1.5), (4, 1.6)):
            r = {**result(out / stage), "variant": f"{n}-gram", "loss": {"val": val}}
            folder = out / "02_bigram_counts/ngram" / f"{stage[:2]}-{n}"
            folder.mkdir(parents=True)
            (folder / "result.json").write_text(json.dumps(r), encoding="utf-8")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a short run of every stage, on 600 of the names and on a text of one line."""
    root = tmp_path_factory.mktemp("project")
    names, text = root / "data/names.txt", root / "data/text.txt"
    names.parent.mkdir()
    some = (ROOT / "data/names.txt").read_text(encoding="utf-8").splitlines()[:600]
    names.write_text("\n".join(some) + "\n", encoding="utf-8")
    text.write_text("O Romeo, Romeo! wherefore art thou Romeo?\n" * 60, encoding="utf-8")
    data = {"01": [], "06": [f"--data={text}"]}
    for folder in RUNS:
        train(folder, root / "out" / folder, *data.get(folder[:2], [f"--data={names}"]))
    put_families(root / "out/05_microgpt/families")
    put_ngrams(root / "out", ("02_bigram_counts", "06_shakespeare_gpt"))
    return root / "out"


def result(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def images(figure):
    """The arrays of the heatmaps of a figure, NaN where nothing is drawn."""
    return [np.ma.filled(a.images[0].get_array(), np.nan) for a in figure.axes if a.images]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


# ---- tries -----------------------------------------------------------------------------------
def test_a_try_has_pictures_of_its_own_drawn_once(out, tmp_path):
    folder = tmp_path / "01_micrograd/tries/steps-4"
    train("01_micrograd", folder, "--steps=4")
    shutil.copytree(out / "05_microgpt/twin", tmp_path / "05_microgpt/twin/tries/steps-10")
    place = tmp_path / "05_microgpt/tries/steps-3"
    shutil.copytree(out / "05_microgpt", place, ignore=shutil.ignore_patterns("*.png", "twin"))
    assert sorted(plots.try_pictures(tmp_path)) == [
        "01_micrograd/tries/steps-4/boundary.png",
        "01_micrograd/tries/steps-4/loss.png",
        "05_microgpt/tries/steps-3/loss.png",
        "05_microgpt/twin/tries/steps-10/loss.png",
    ]
    assert plots.main(["--stage=1", f"--from={tmp_path}"]) == 0
    assert {path.name for path in folder.glob("*.png")} == {"boundary.png", "loss.png"}
    assert not (tmp_path / "01_micrograd/loss.png").exists()
    assert all(name.startswith("05_microgpt/") for name in plots.try_pictures(tmp_path))
    figure = plot_stages.draw_boundary(folder)
    assert titles(figure)[-1].startswith("step 4: ")


# ---- stage 01 --------------------------------------------------------------------------------
def test_the_boundary_is_that_of_the_stage_at_each_step(out):
    main = load_stage("01_micrograd")
    model, weights = main.load(out / "01_micrograd")
    lines = (out / "01_micrograd/moons.txt").read_text(encoding="utf-8").split("\n")[:60]
    points = main.parse_points(lines, Path("moons.txt"))
    expected = []
    for step, numbers in weights:
        main.set_weights(model, numbers)
        expected.append(f"step {step}: {main.evaluate(model, points)[1]:.0%} of train right")
    shown = titles(plot_stages.draw_boundary(out / "01_micrograd"))
    assert len(shown) == 4 and set(shown) <= set(expected)
    assert [shown[0], shown[-1]] == [expected[0], expected[-1]]
    right = result(out / "01_micrograd")["accuracy"]["train"]
    assert shown[-1] == f"step 10: {right:.0%} of train right"


def test_points_of_another_run_are_not_drawn(out, tmp_path):
    shutil.copytree(out / "01_micrograd", tmp_path / "01_micrograd")
    (tmp_path / "01_micrograd/moons.txt").write_text("0 0 1\n", encoding="utf-8")
    with pytest.raises(Missing, match="moons.txt"):
        plot_stages.draw_boundary(tmp_path / "01_micrograd")
    (tmp_path / "01_micrograd/moons.txt").unlink()
    with pytest.raises(Missing, match="moons.txt"):
        plot_stages.draw_boundary(tmp_path / "01_micrograd")


# ---- stages 02 and 03 ------------------------------------------------------------------------
def test_the_tables_are_those_of_the_stages(out):
    counting, learning = load_stage("02_bigram_counts"), load_stage("03_bigram_learned")
    counted, learned = (
        counting.load(out / "02_bigram_counts"), learning.load(out / "03_bigram_learned")
    )  # fmt: skip
    assert plot_stages.next_character_table(counting, counted) == pytest.approx(counted.P)
    P = torch.softmax(learned.W, dim=1).numpy()
    assert plot_stages.next_character_table(learning, learned) == pytest.approx(P)
    shown = images(plot_stages.draw_tables(out / "03_bigram_learned"))
    assert shown[0] == pytest.approx(np.maximum(P, 1e-4))
    assert shown[1] == pytest.approx(np.maximum(counted.P, 1e-4))
    assert shown[2] == pytest.approx(P - counted.P, abs=1e-6)


def test_the_counts_are_those_of_train(out):
    (shown,) = images(plot_stages.draw_counts(out / "02_bigram_counts"))
    r = result(out / "02_bigram_counts")
    assert np.nansum(shown) == r["targets"]["train"]
    assert np.nansum(shown[-1]) == r["dataset"]["docs"]["train"]  # BOS comes once in a name
    assert np.nanmin(shown) == 1  # what was never counted stays white


# ---- stage 06 --------------------------------------------------------------------------------
def check_attention(shown, expected):
    """The weights up to each position are those of the model, and the future is not drawn."""
    T = len(expected)
    earlier = np.tri(T, dtype=bool)
    assert shown.shape == (T, T) and np.isnan(shown[~earlier]).all()
    assert shown[earlier] == pytest.approx(np.array(expected)[earlier])
    assert np.nansum(shown, axis=1) == pytest.approx(np.ones(T))


def test_the_attention_over_a_line_is_that_of_stage_06(out):
    main = load_stage("06_shakespeare_gpt")
    model = main.load(out / "06_shakespeare_gpt")
    figure = plot_stages.draw_line_attention(out / "06_shakespeare_gpt")
    shown = dict(zip(titles(figure), images(figure)))
    layers = main.attention_weights(model, "\nO Romeo, Romeo!")
    assert len(shown) == sum(map(len, layers)) and len(layers) == 2
    for i, heads in enumerate(layers):
        for h, head in enumerate(heads):
            check_attention(shown[f"layer {i}, head {h}"], head)


def test_the_similarity_of_positions_is_that_of_their_embeddings(out):
    wpe = load_stage("06_shakespeare_gpt").load(out / "06_shakespeare_gpt").wpe.weight.detach()
    expected = torch.cosine_similarity(wpe[:, None], wpe, dim=-1).numpy()
    (shown,) = images(plot_stages.draw_line_positions(out / "06_shakespeare_gpt"))
    assert shown == pytest.approx(expected, abs=1e-5)


# ---- losses ----------------------------------------------------------------------------------
def test_a_loss_picture_has_the_curve_of_the_run_and_the_uniform_guess(out):
    r = result(out / "05_microgpt/twin")
    (axes,) = plot_losses.draw_loss(out / "05_microgpt/twin").axes
    train, val, uniform = axes.lines
    for line, column in ((train, 1), (val, 2)):
        points = [(row[0], row[column]) for row in r["curve"] if row[column] is not None]
        assert list(zip(*line.get_data())) == points
    assert set(uniform.get_ydata()) == {math.log(r["vocab_size"])}
    assert axes.get_title() == "05_microgpt, twin" and axes.get_xscale() == "linear"


def test_looks_at_powers_of_ten_get_an_axis_of_powers_of_ten(out):
    (axes,) = plot_losses.draw_loss(out / "02_bigram_counts").axes
    assert axes.get_xscale() == "symlog"
    (axes,) = plot_losses.draw_loss(out / "01_micrograd").axes
    assert axes.get_xscale() == "linear"
    assert len(axes.lines) == 2  # two moons have no vocabulary to guess from


def test_every_stage_and_variant_gets_a_loss_picture_and_runs_in_numbers_get_none(tmp_path):
    for run in ("05_microgpt", "05_microgpt/twin", "05_microgpt/seeds/42", "elsewhere/run"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "result.json").write_text("{}", encoding="utf-8")
    assert list(plots.loss_pictures(tmp_path)) == [
        "01_micrograd/loss.png", "02_bigram_counts/loss.png", "03_bigram_learned/loss.png",
        "04_embedding_mlp/loss.png", "05_microgpt/loss.png", "05_microgpt/twin/loss.png",
        "06_shakespeare_gpt/loss.png",
    ]  # fmt: skip


def test_every_run_of_a_picture_differs_from_the_others_in_its_line_or_colour(out):
    runs = plot_losses.read_results(out)
    styles = {run: tuple(plot_losses.style_of(run).values()) for run in runs}
    assert {"05_microgpt", "05_microgpt/twin", "04_embedding_mlp/context-8"} <= set(runs)
    assert len(set(styles.values())) == len(runs)
    main, twin, best = (plot_losses.style_of(f"05_microgpt{run}") for run in ("", "/twin", "/best"))
    assert main["color"] == twin["color"] != best["color"] and twin["ls"] != best["ls"]


def test_every_curve_has_the_losses_of_its_run_and_its_name(out):
    names, shakespeare, moons = plot_losses.draw_curves(out).axes
    r = result(out / "05_microgpt/twin")
    expected = [(row[0] * r["chars_seen"] / r["steps"], row[2]) for row in r["curve"] if row[0]]
    drawn = [list(zip(*line.get_data())) for line in names.lines]
    assert any(np.allclose(points, expected) for points in drawn if len(points) == len(expected))
    texts = [text.get_text() for text in names.texts]
    assert {"05 microgpt", "05 twin", "04 embedding mlp", "04 mlp, 8 characters"} <= set(texts)
    assert "06 shakespeare gpt" in [text.get_text() for text in shakespeare.texts]
    assert "01 micrograd" in [text.get_text() for text in moons.texts]


def test_the_ladder_has_the_best_ngram_and_says_what_each_run_has_read(out):
    names, shakespeare = plot_losses.draw_ladder(out).axes[:2]
    shown = [label.get_text().replace("\n", " ") for label in names.get_xticklabels()]
    assert shown == [
        "02 bigram counts", "02 3-gram", "03 bigram learned", "04 embedding mlp",
        "04 mlp, 8 characters", "05 microgpt", "05 twin",
    ]  # fmt: skip
    assert [bar.get_height() for bar in names.patches][1] == 1.5
    seen = result(out / "05_microgpt")["chars_seen"]
    assert f"read\n{seen:,}\ncharacters" in [text.get_text() for text in names.texts]
    labels = [label.get_text() for label in shakespeare.get_xticklabels()]
    assert labels == ["02 3-gram", "06\nshakespeare\ngpt"]


# ---- families --------------------------------------------------------------------------------
def test_a_run_that_diverged_is_marked_and_the_others_are_drawn(out, tmp_path):
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    for run in ("03_bigram_learned", "06_shakespeare_gpt"):
        path = tmp_path / run / "result.json"
        r = json.loads(path.read_text(encoding="utf-8"))
        curve = [[step, None, None] for step, *_ in r["curve"]]
        diverged = {**r, "loss": dict.fromkeys(r["loss"]), "curve": curve, "diverged": True}
        path.write_text(json.dumps(diverged), encoding="utf-8")
    ladder = plots.render(plot_losses.draw_ladder, tmp_path)
    assert ladder.startswith(b"\x89PNG") and ladder != plots.render(plot_losses.draw_ladder, out)
    names, shakespeare = plot_losses.draw_ladder(tmp_path).axes[:2]
    for axes in (names, shakespeare):
        words = [text.get_text() for text in axes.texts]
        assert words.count("diverged") == 1
        full = plot_losses.draw_ladder(out).axes[axes is shakespeare]
        assert len(axes.patches) == len(full.patches) - 1
    for draw in (plot_losses.draw_curves, plot_losses.draw_loss):
        folder = tmp_path if draw is plot_losses.draw_curves else tmp_path / "06_shakespeare_gpt"
        assert plots.render(draw, folder).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw, panel, key, lines", [
    ("draw_families", 0, "params", "BY_SIZE"), ("draw_families", 1, "chars_seen", "BY_TRAINING"),
    ("draw_families", 2, "seconds", "BY_TRAINING"), ("draw_context", 0, "context", "BY_CONTEXT"),
])  # fmt: skip
def test_families_are_drawn_from_the_table_and_each_line_has_its_name(draw, panel, key, lines, out):
    folder = out / "05_microgpt/families"
    rows = plot_families.read_rows(folder)
    axes = getattr(plot_families, draw)(folder).axes[panel]
    lines = getattr(plot_families, lines)
    assert len(axes.lines) == len(lines)
    assert sorted(text.get_text() for text in axes.texts) == sorted(name for name, *_ in lines)
    for drawn, (_, _, _, entries) in zip(axes.lines, lines):
        points = sorted((rows[entry][key], rows[entry]["loss"]["val"]) for entry in entries)
        assert list(zip(*drawn.get_data())) == points


def test_a_series_that_is_not_complete_is_not_drawn(tmp_path):
    with pytest.raises(Missing, match="run make families"):
        plot_families.draw_families(tmp_path)
    put_families(tmp_path / "some")
    content = json.loads((tmp_path / "some/table.json").read_text(encoding="utf-8"))
    del content["rows"][3]
    (tmp_path / "some/table.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(Missing, match="lacks the run"):
        plot_families.draw_context(tmp_path / "some")


# ---- all pictures ----------------------------------------------------------------------------
def test_every_picture_is_drawn_and_drawing_again_changes_no_byte(out, capsys):
    pictures = [*plots.PICTURES, *(f"{folder}/loss.png" for folder in RUNS)]
    assert plots.main(["--from", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} drawn" for name in pictures]
    before = {name: (out / name).read_bytes() for name in pictures}
    assert plots.main(["--from", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert {name: (out / name).read_bytes() for name in pictures} == before
    assert before["ladder.png"].startswith(b"\x89PNG")


def test_one_stage_into_another_folder(out, tmp_path, capsys):
    assert plots.main(["--from", str(out), "--into", str(tmp_path), "--stage", "2"]) == 0
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
    of_stage = {"02_bigram_counts/counts.png", "02_bigram_counts/loss.png"}
    assert made == of_stage | {"curves.png", "ladder.png"}


def test_what_is_missing_or_broken_costs_a_line_and_no_error(tmp_path, capsys):
    (tmp_path / "02_bigram_counts").mkdir()
    (tmp_path / "02_bigram_counts" / "model.json").write_text("{", encoding="utf-8")
    assert plots.main(["--from", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "06_shakespeare_gpt/positions.png skipped: model.pt is missing; run the stage" in lines
    assert "02_bigram_counts/loss.png skipped: result.json is missing; run the stage" in lines
    broken = "model.json cannot be read (JSONDecodeError); run the stage again"
    assert f"02_bigram_counts/counts.png skipped: {broken}" in lines
    assert len(lines) == len(plots.PICTURES) + 6


def write_result(folder, **changes):
    path = folder / "result.json"
    path.write_text(json.dumps({**result(folder), **changes}), encoding="utf-8")


def test_a_picture_with_too_much_in_it_costs_a_line_and_no_time(out, tmp_path, monkeypatch):
    shutil.copytree(out, tmp_path / "out")
    bigrams = tmp_path / "out/02_bigram_counts", tmp_path / "out/03_bigram_learned"
    for folder, draw in zip(bigrams, (plot_stages.draw_counts, plot_stages.draw_tables)):
        write_result(folder, vocab_size=81)
        monkeypatch.setattr(plot_stages, "load_model", lambda *_: pytest.fail("it was loaded"))
        with pytest.raises(Missing, match="81 characters, which is more than 80"):
            draw(folder)
        monkeypatch.undo()
        write_result(folder, vocab_size=80)
        draw(folder)
    moons = tmp_path / "out/01_micrograd"
    write_result(moons, targets={"train": 5001, "val": 1, "test": 1})
    with pytest.raises(Missing, match="5,001 points"):
        plot_stages.draw_boundary(moons)
    text = tmp_path / "out/06_shakespeare_gpt"
    monkeypatch.setattr(plot_stages, "MOST_HEADS", 3)  # it has two layers of two heads
    with pytest.raises(Missing, match="4 heads"):
        plot_stages.draw_line_attention(text)
    monkeypatch.setattr(plot_stages, "MOST_POSITIONS", 31)
    with pytest.raises(Missing, match="32 positions"):
        plot_stages.draw_line_positions(text)


def test_a_picture_that_cannot_be_written_costs_a_line(out, tmp_path, monkeypatch, capsys):
    def refused(path, content):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(plots, "write_if_changed", refused)
    assert plots.main(["--from", str(out), "--into", str(tmp_path), "--stage", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all("skipped: PermissionError" in line for line in lines)


def test_a_model_of_an_older_form_is_skipped(tmp_path):
    """Before models had their configuration with them, a stage's file held only its weights."""
    for folder in RUNS:
        (tmp_path / folder).mkdir(parents=True)
    old = {"chars": ["a"], "counts": [[0, 0], [0, 0]]}
    (tmp_path / "02_bigram_counts/model.json").write_text(json.dumps(old), encoding="utf-8")
    torch.save(old, tmp_path / "03_bigram_learned/model.pt")
    with pytest.raises(NoModel, match=r"model.json cannot be read \(KeyError\); run the stage ag"):
        plot_stages.draw_counts(tmp_path / "02_bigram_counts")
    with pytest.raises(NoModel, match=r"model.pt cannot be read \(KeyError\); run the stage again"):
        plot_stages.draw_tables(tmp_path / "03_bigram_learned")


def test_a_stage_that_is_not_there(capsys):
    assert plots.main(["--stage", "8"]) == 2
    assert "'8'" in capsys.readouterr().err
