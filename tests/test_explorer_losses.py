"""Losses and pictures: the numbers are those of the table, the tables and the models in Python."""

import json
import re
import shutil

import numpy as np
import pytest

import table
from explorer.export import collect
from explorer.page import build_page
from stages import load_stage
from table_rows import group_rows, read_results
from trained_models import load_model


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def groups_of(out):
    return group_rows(read_results(out)[0])


def section(page, dataset):
    """(table, the section of curves) of a data set."""
    name = re.compile(f"^Losses: {dataset}")
    return page.get_by_role("table", name=name), page.get_by_role("group", name="Horizontal axis")


def cells_of(row):
    return row.locator("th, td").all_inner_texts()


def columns_of(loss_table):
    """{column: its texts}, without the tags of the first column and the mark of the lowest loss."""
    titles = [
        re.sub(" [▲▼]", "", text) for text in loss_table.locator("thead th").all_inner_texts()
    ]
    rows = [
        [" ".join(cell.replace("(lowest)", "").split()) for cell in cells_of(row)]
        for row in loss_table.locator("tbody tr").all()
    ]
    labels = loss_table.locator("tbody th bdi").all_inner_texts()
    return {**dict(zip(titles, map(list, zip(*rows)))), "model": labels}


def write_page(path, out, compare=None, data=None):
    path.write_bytes(build_page(*collect(out, compare, data))[0])
    return path


# --- the table ---


def test_a_table_for_each_group_with_the_numbers_of_make_table(explorer_page, explorer_out):
    page = explorer_page("losses")
    groups = groups_of(explorer_out)
    assert page.locator(".scroll > .losses-table").count() >= len(groups) == 3
    for group in groups:
        shown = columns_of(section(page, group["dataset"])[0])
        rows = [*group["baselines"], *group["rows"]]
        assert shown["model"] == [row["label"] for row in rows]
        for split in ("train", "val", "test"):
            if split in shown:
                assert shown[split] == [table.loss_text(row, split) for row in rows]
        params = [f"{row['params']:,}" if "params" in row else "" for row in rows]
        assert shown["params"] == params


def test_sorting_by_a_column_there_and_back(explorer_page):
    page = explorer_page("losses")
    names = section(page, "names")[0]
    button = names.get_by_role("button", name="params")
    header = names.locator("th", has_text="params")
    button.click()
    shown = columns_of(names)["params"]
    known = [int(text.replace(",", "")) for text in shown if text]
    assert known == sorted(known) and len(set(known)) > 3
    assert shown[len(known) :] == ["", ""]  # the baselines have no parameters, and stay last
    assert header.get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    shown = columns_of(names)["params"]
    assert [int(text.replace(",", "")) for text in shown if text] == known[::-1]
    assert shown[len(known) :] == ["", ""]
    assert header.get_attribute("aria-sort") == "descending"
    names.get_by_role("button", name="val", exact=True).click()
    assert header.get_attribute("aria-sort") is None
    losses = [float(re.match(r"[\d.]+", text)[0]) for text in columns_of(names)["val"]]
    assert losses == sorted(losses)


def test_seeds_tries_and_stopped_runs_are_marked(explorer_page, explorer_out, tmp_path):
    home = tmp_path / "out/02_bigram_counts"
    shutil.copytree(explorer_out / "02_bigram_counts", home)
    shutil.rmtree(home / "ngram")
    result = read_json(home / "result.json")
    places = {"seeds/43": {"seed": 43}, "tries/smoothing-9": {"smoothing": 9.0}, "short": {}}
    for place, settings in places.items():
        other = {**result, "config": {**result["config"], **settings}}
        other["loss"] = {split: loss + 0.5 for split, loss in result["loss"].items()}
        other["interrupted"] = place == "short"
        (home / place).mkdir(parents=True)
        (home / place / "result.json").write_text(json.dumps(other), encoding="utf-8")
    page = explorer_page("losses", write_page(tmp_path / "page.html", tmp_path / "out"))
    shown = columns_of(section(page, "names")[0])
    texts = section(page, "names")[0].locator("tbody th").all_inner_texts()
    assert "02_bigram_counts, try: smoothing-9 other settings" in texts
    assert sum("stopped early" in text for text in texts) == 1
    assert sum("to beat" in text for text in texts) == 2
    row = shown["model"].index("02_bigram_counts")
    sd = 0.5 / 2**0.5
    assert shown["val"][row].startswith(f"{result['loss']['val'] + 0.25:.3f} ± {sd:.3f} (2)")


def test_two_runs_are_in_one_table_with_their_names(explorer_page, explorer_out, tmp_path):
    shutil.copytree(explorer_out / "04_embedding_mlp", tmp_path / "old/04_embedding_mlp")
    path = write_page(tmp_path / "page.html", explorer_out, tmp_path / "old")
    page = explorer_page("losses", path)
    shown = columns_of(section(page, "names")[0])
    runs = [run for name, run in zip(shown["model"], shown["run"]) if name == "04_embedding_mlp"]
    assert runs == ["out", "old"]
    assert page.get_by_label("04_embedding_mlp (old)").count() == 1
    assert "run" not in columns_of(section(explorer_page("losses"), "names")[0])


def test_other_data_get_another_table(explorer_page, explorer_out, tmp_path):
    old = tmp_path / "old/04_embedding_mlp"
    shutil.copytree(explorer_out / "04_embedding_mlp", old)
    result = read_json(old / "result.json")
    result["dataset"]["sha256"] = "0" * 64
    (old / "result.json").write_text(json.dumps(result), encoding="utf-8")
    path = write_page(tmp_path / "page.html", explorer_out, tmp_path / "old")
    page = explorer_page("losses", path)
    assert section(page, "names")[0].count() == 2


# --- the curves ---


def test_the_curves_are_those_of_the_results(explorer_page, explorer_out):
    page = explorer_page("losses")
    chart = page.locator("svg.chart").first
    chart.wait_for()

    def points(name):
        texts = chart.locator("title", has_text=f"{name}: ").all_text_contents()
        return [text.split(": ")[-1].split(", ") for text in texts]

    result = read_json(explorer_out / "04_embedding_mlp/result.json")
    rows = [row for row in result["curve"] if row[0] > 0]  # a log axis has no place for step 0
    assert [y for _, y in points("04_embedding_mlp, val")] == [f"{row[2]:.3f}" for row in rows]
    last = float(points("04_embedding_mlp, val")[-1][0].replace("k", "e3"))
    assert last == pytest.approx(result["chars_seen"], rel=5e-3)
    assert points("04_embedding_mlp, train") == []
    page.get_by_text("train losses too").first.click()
    assert len(points("04_embedding_mlp, train")) == len(rows)
    page.get_by_role("button", name="steps", exact=True).first.click()
    page.get_by_role("button", name="linear x").first.click()
    rows = [f"{row[0]}" for row in result["curve"]]
    assert [x for x, _ in points("04_embedding_mlp, val")] == rows
    assert chart.locator(".level-name").all_text_contents() == [
        "uniform guess",
        "letter frequencies",
    ]


def test_runs_can_be_taken_out_of_the_chart(explorer_page):
    page = explorer_page("losses")
    charts, first = page.locator("svg.chart"), page.locator(".losses-runs").first
    charts.first.wait_for()
    number = charts.count()
    lines = charts.first.locator("polyline").count()
    boxes = first.get_by_role("checkbox")
    assert boxes.count() >= 6
    boxes.first.uncheck()
    assert charts.first.locator("polyline").count() == lines - 1
    for box in boxes.all():
        box.uncheck()
    assert charts.count() == number - 1
    assert page.get_by_text("Choose a run below.").count() == 1


def test_ngrams_have_no_curve_because_their_steps_are_lengths(explorer_page):
    page = explorer_page("losses")
    labels = page.locator(".losses-runs li").all_inner_texts()
    assert labels and not any("gram" in label.replace("bigram", "") for label in labels)


# --- counts and the learned table ---


def test_a_cell_tells_count_and_both_probabilities(explorer_page, explorer_out):
    page = explorer_page("losses")
    heatmap = page.get_by_role("group", name=re.compile("^counts: P"))
    heatmap.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
        heatmap.press(key)
    counts = np.array(read_json(explorer_out / "02_bigram_counts/model.json")["counts"])
    module, model = load_model(explorer_out, "02_bigram_counts")
    chars = model.tokenizer.chars
    row, column = len(chars) - 2, counts[-1].argmax() + 1  # from the likeliest first character
    counted = np.exp(np.asarray(module.log_probs(model, chars[row])[1]))[column]
    module, model = load_model(explorer_out, "03_bigram_learned")
    learned = np.exp(np.asarray(module.log_probs(model, chars[row])[1]))[column]
    text = page.locator(".losses-readout").inner_text()
    assert text.startswith(f"After {chars[row]} comes {chars[column]}. ")
    times, total = int(counts[row, column]), int(counts[row].sum())
    assert (
        f"counts: {times:,} of {total:,} times, P {counted:.3f}; learned: P {learned:.3f}" in text
    )
    assert page.locator("#announcer").text_content() == text
    for _ in range(len(chars) + 3):  # it stops at the edge
        heatmap.press("ArrowLeft")
    assert page.locator(".losses-readout").inner_text().startswith(f"After {chars[row]} comes a.")


def test_pointing_at_a_cell_marks_it_in_both_tables(explorer_page):
    page = explorer_page("losses")
    pictures = page.locator(".losses-pair svg")
    pictures.first.locator("rect").nth(5 * 27 + 7).hover()
    page.get_by_text("After f comes h.").wait_for()
    for picture in pictures.all():
        assert picture.locator(".heatmap-chosen").all_text_contents() == ["f", "h"]


def test_the_whole_row_is_there_as_a_table(explorer_page, explorer_out):
    page = explorer_page("losses")
    page.get_by_text("The whole row: at the beginning").click()
    rows = page.locator("details[open] tbody tr").all_inner_texts()
    counts = np.array(read_json(explorer_out / "02_bigram_counts/model.json")["counts"])
    shown = [row.split("\t") for row in rows]
    assert [int(row[1].replace(",", "")) for row in shown] == sorted(counts[-1], reverse=True)
    for probability in (2, 3):
        assert sum(float(row[probability]) for row in shown) == pytest.approx(1, abs=0.02)


# --- the map ---


@pytest.mark.parametrize(
    ("folder", "name"), [("04_embedding_mlp", "MLP"), ("06_shakespeare_gpt", "Shakespeare GPT")]
)
def test_points_of_the_map_are_where_numpy_puts_them(explorer_page, explorer_out, folder, name):
    page = explorer_page("losses", reduced_motion="reduce")
    page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("img", name=f"{name}: a map").wait_for()
    places = np.array(
        page.locator(".map-point").evaluate_all(
            "(points) => points.map((point) => {"
            "const m = new DOMMatrix(getComputedStyle(point).transform); return [m.e, -m.f]; })"
        )
    )
    _, model = load_model(explorer_out, folder)
    wte = model.wte.detach() if folder[:2] == "04" else model.state_dict()["wte.weight"]
    wte = wte.numpy().astype(float)
    centred = wte - wte.mean(axis=0)
    expected = centred @ np.linalg.svd(centred)[2][:2].T

    def scaled(column):
        return (column - column.min()) / (column.max() - column.min())

    for axis in range(2):
        found, right = scaled(places[:, axis]), scaled(expected[:, axis])
        error = min(np.abs(found - right).max(), np.abs(found - (1 - right)).max())
        assert error < 1e-3


def test_the_nearest_tokens_are_listed(explorer_page, explorer_out):
    page = explorer_page("losses")
    page.get_by_role("button", name="twin", exact=True).click()
    page.get_by_role("img", name="twin: a map").wait_for()
    page.get_by_text("The nearest tokens of each token").click()
    page.locator(".losses-map tbody tr").first.wait_for()
    rows = page.locator(".losses-map tbody tr").all_inner_texts()
    _, model = load_model(explorer_out, "05_microgpt/twin")
    wte = model.weights["wte"].detach().numpy()
    order = np.linalg.norm(wte - wte[0], axis=1).argsort()[1:5]
    symbols = [*model.tokenizer.chars, "end"]
    assert rows[0].split() == ["a", *(symbols[i] for i in order)]
    assert len(rows) == len(symbols)


def test_large_alphabets_fit_into_the_heatmap_and_the_rest_is_counted(
    explorer_page, tmp_path, train
):
    letters = [chr(0x4E00 + i) for i in range(120)]
    data = tmp_path / "names.txt"
    data.write_text("\n".join(a + b for a, b in zip(letters, letters[1:]) for _ in "12"))
    train("02_bigram_counts", data, tmp_path / "out/02_bigram_counts")
    page = explorer_page("losses", write_page(tmp_path / "page.html", tmp_path / "out", None, data))
    assert page.get_by_text(re.compile(r"The pictures leave out \d+ characters")).count() == 1
    assert page.locator(".losses-pair rect").count() == 80 * 80 + 1


@pytest.fixture
def train(monkeypatch):
    def run(stage, data, out):
        import sys

        monkeypatch.setattr(sys, "argv", ["main.py", f"--data={data}", f"--out={out}"])
        load_stage(stage).main()

    return run


def test_the_moons_have_points_and_the_names_characters(explorer_page):
    page = explorer_page("losses")
    tables = page.locator("main table.losses-table")
    heads = [table.get_by_role("columnheader").all_inner_texts() for table in tables.all()]
    moons = [head for head in heads if any("points seen" in title for title in head)]
    assert len(moons) == 1 and not any("characters seen" in title for title in moons[0])
    assert any("characters seen" in title for head in heads for title in head)
