"""The loss table, from made-up results."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import table
import table_rows
from stages import ROOT

LETTERS = {"train": 2.82, "val": 2.815, "test": 2.821}


def result(stage="04_embedding_mlp", val=2.0, sha256="aa", **changes):
    return {
        "schema": 1,
        "stage": stage,
        "idea": "embeddings share statistics",
        "unit": "nats/char",
        "dataset": {
            "name": "names",
            "sha256": sha256,
            "docs": {"train": 25626, "val": 3204, "test": 3203},
        },
        "targets": {"train": 80, "val": 10, "test": 10},
        "params": 11897,
        "vocab_size": 27,
        "chars_seen": 1234567,
        "seconds": 12.34,
        "loss": {"train": 1.9, "val": val, "test": 2.1},
        **changes,
    }


def put(folder, content):
    """Write a result.json, or any other text under that name."""
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "result.json").write_text(text, encoding="utf-8")


def read(folder):
    """The groups of a folder whose results are all in order."""
    rows, problems = table_rows.read_results(folder)
    assert problems == []
    return table_rows.group_rows(rows)


def as_text(groups, width=120, **options):
    console = Console(
        width=width, file=io.StringIO(), markup=False, emoji=False, highlight=False, **options
    )
    table.print_text(groups, console)
    return console.file.getvalue()


def rows_of(markdown):
    """The cells of every Markdown row, by the row's first cell."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells}


# --- groups and numbers ---


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["aa", "bb"]),
            st.tuples(*[st.sampled_from([0, 10, 11])] * 3),
            st.sampled_from(["nats/char", "nats/point"]),
        ),
        max_size=8,
    )
)
def test_rows_share_a_group_exactly_when_data_splits_and_unit_agree(keys):
    rows = []
    for number, (sha256, targets, unit) in enumerate(keys):
        by_split = dict(zip(table_rows.SPLITS, targets, strict=True))
        content = result(sha256=sha256, targets=by_split, unit=unit, number=number)
        rows.append(table_rows.make_row(content, Path("out/04_embedding_mlp"), Path("out")))
    groups = table_rows.group_rows(rows)
    numbers = [[row["result"]["number"] for row in group["rows"]] for group in groups]
    assert sorted(sum(numbers, [])) == list(range(len(keys)))
    for members in numbers:
        assert len({keys[number] for number in members}) == 1
    assert len(groups) == len(set(keys))


def test_a_split_that_is_absent_null_or_empty_is_the_same_split(tmp_path):
    for number, targets in enumerate(({"train": 9, "val": 1, "test": 0}, {"train": 9, "val": 1})):
        put(tmp_path / f"run{number}", result(targets=targets))
    put(tmp_path / "run2", result(targets={"train": 9, "val": 1, "test": None}))
    assert [len(group["rows"]) for group in read(tmp_path)] == [3]


@pytest.mark.parametrize("sha256", table_rows.UNKNOWN_DATA)
def test_data_without_a_hash_is_equal_to_no_other_data(tmp_path, sha256):
    """Older versions hashed nothing when the data came from a pipe, for example."""
    for number in range(2):
        put(tmp_path / f"04_embedding_mlp/run{number}", result(sha256=sha256))
        put(tmp_path / f"03_bigram_learned/seeds/{number}", result(
            "03_bigram_learned", sha256=sha256, config={"seed": number}))  # fmt: skip
    assert [len(group["rows"]) for group in read(tmp_path)] == [1, 1, 1, 1]


def test_bits_perplexity_and_baselines(tmp_path):
    put(tmp_path / "02_bigram_counts", result("02_bigram_counts", 2.0))
    baselines = {"uniform": dict.fromkeys(table_rows.SPLITS, 9.9), "letter frequencies": LETTERS}
    put(tmp_path / "04_embedding_mlp", result(baselines=baselines))
    groups = read(tmp_path)
    rows = rows_of(table.markdown(groups))
    assert list(rows)[2:] == [
        "uniform guess",
        "letter frequencies",
        "02_bigram_counts",
        "04_embedding_mlp",
    ]
    assert rows["uniform guess"]["val"] == "3.296"
    assert rows["uniform guess"]["perplexity (val)"] == "27.000"
    assert rows["letter frequencies"]["test"] == "2.821"
    assert rows["04_embedding_mlp"]["bits/char (val)"] == "2.885"  # 2 / 0.693147
    assert rows["04_embedding_mlp"]["perplexity (val)"] == "7.389"  # e squared
    assert rows["04_embedding_mlp"]["params"] == "11,897"
    assert rows["04_embedding_mlp"]["characters seen"] == "1,234,567"
    assert groups[0]["baselines"][0]["val"] == pytest.approx(3.295837, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0.4"), (9.96, "10.0"), (12.34, "12"), (4321, "4,321")]
)
def test_seconds(seconds, text):
    assert table.duration(seconds) == text


def test_the_lowest_val_of_each_group_stands_out(tmp_path):
    put(tmp_path / "02_bigram_counts", result("02_bigram_counts", 2.4))
    put(tmp_path / "04_embedding_mlp", result(val=2.0))
    put(tmp_path / "06_shakespeare_gpt", result("06_shakespeare_gpt", 1.5, sha256="bb"))
    groups = read(tmp_path)
    assert [row["val"] for row in rows_of(table.markdown(groups[:1])).values()][3:] == [
        "2.400",
        "**2.000**",
    ]
    assert "**1.500**" in table.markdown(groups[1:])
    text = as_text(groups, force_terminal=True, color_system="standard")
    assert "\x1b[1m2.000" in text and "\x1b[1m1.500" in text and "\x1b[1m2.400" not in text


def test_best_val_is_a_column_only_where_a_run_watched_it(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(val=2.0))
    shakespeare = result("06_shakespeare_gpt", 1.5, sha256="bb", best={"step": 7, "val": 1.25})
    put(tmp_path / "06_shakespeare_gpt", shakespeare)
    names, text = read(tmp_path)
    assert "best val" not in table.markdown([names])
    assert rows_of(table.markdown([text]))["06_shakespeare_gpt"]["best val"] == "1.250"


def test_a_split_that_nobody_measured_has_no_column(tmp_path):
    put(tmp_path / "mine", result(loss={"train": 1.2, "val": 1.5, "test": None}, baselines={}))
    assert {"train", "val"} <= set(rows_of(table.markdown(read(tmp_path)))["stage"])
    assert "test" not in rows_of(table.markdown(read(tmp_path)))["stage"]


def test_reruns_of_published_numbers_stay_out(tmp_path):
    put(tmp_path / "05_microgpt" / "published", result("05_microgpt", variant="published"))
    put(tmp_path / "published" / "mlp", result())
    (group,) = read(tmp_path)
    assert [row["label"] for row in group["rows"]] == ["05_microgpt, published"]


def test_losses_that_were_not_measured(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(loss={"train": None, "val": None, "test": None}))
    put(tmp_path / "nan", json.dumps(result(val=math.nan)))
    put(tmp_path / "short", result(loss={"val": 2.5}))
    put(tmp_path / "huge", result(val=1e6))
    groups = read(tmp_path)
    rows = rows_of(table.markdown(groups))
    assert rows["04_embedding_mlp"]["val"] == rows["04_embedding_mlp"]["perplexity (val)"] == ""
    assert rows[f"04_embedding_mlp ({tmp_path.name}/nan)"]["val"] == ""
    assert rows[f"04_embedding_mlp ({tmp_path.name}/short)"]["val"] == "**2.500**"
    huge = rows[f"04_embedding_mlp ({tmp_path.name}/huge)"]
    assert (huge["val"], huge["perplexity (val)"]) == ("1000000.000", "")
    assert "2.500" in as_text(groups)


def test_order_and_labels(tmp_path):
    put(tmp_path / "mine", result("04_embedding_mlp"))
    put(tmp_path / "05_microgpt" / "twin", result("05_microgpt", variant="PyTorch twin"))
    put(tmp_path / "05_microgpt", result("05_microgpt"))
    put(tmp_path / "04_embedding_mlp" / "wide", result())
    put(tmp_path / "04_embedding_mlp", result())
    labels = [row["label"] for row in read(tmp_path)[0]["rows"]]
    assert labels == [
        "04_embedding_mlp",
        f"04_embedding_mlp ({tmp_path.name}/04_embedding_mlp/wide)",
        f"04_embedding_mlp ({tmp_path.name}/mine)",
        "05_microgpt",
        "05_microgpt, PyTorch twin",
    ]


def test_a_learners_own_code_is_beside_the_reference(tmp_path):
    put(tmp_path / "my" / "04_embedding_mlp", result(val=2.5))
    put(tmp_path / "04_embedding_mlp", result(val=2.0))
    labels = [row["label"] for row in read(tmp_path)[0]["rows"]]
    assert labels == ["04_embedding_mlp", "04_embedding_mlp, yours"]


def test_tries_come_after_their_stage_and_say_what_was_changed(tmp_path):
    put(tmp_path / "04_embedding_mlp/tries/block_size-8,steps-5", result())
    put(tmp_path / "04_embedding_mlp", result())
    put(tmp_path / "05_microgpt", result("05_microgpt"))
    put(tmp_path / "05_microgpt/best/tries/dropout-0", result("05_microgpt", variant="best"))
    put(tmp_path / "05_microgpt/twin", result("05_microgpt", variant="twin"))
    put(tmp_path / "my/04_embedding_mlp/tries/steps-9", result())
    labels = [row["label"] for group in read(tmp_path) for row in group["rows"]]
    assert labels == [
        "04_embedding_mlp",
        "04_embedding_mlp, try: block_size-8, steps-5",
        "04_embedding_mlp, yours, try: steps-9",
        "05_microgpt",
        "05_microgpt, twin",
        "05_microgpt, best, try: dropout-0",
    ]


def test_titles(tmp_path):
    put(tmp_path / "04_embedding_mlp", result())
    text = {"name": "tinyshakespeare", "sha256": "bb", "docs": {"train": 1, "val": 1, "test": 0}}
    targets = {"train": 1003854, "val": 111540, "test": 0}
    content = result("06_shakespeare_gpt", dataset=text, targets=targets)
    put(tmp_path / "06_shakespeare_gpt", content)
    titles = [table.title(group) for group in read(tmp_path)]
    assert titles == [
        "names, nats/char (documents: train 25,626, val 3,204, test 3,203)",
        "tinyshakespeare, nats/char (characters: train 1,003,854, val 111,540)",
    ]


def test_another_unit_is_a_sentence_and_has_no_bits(tmp_path):
    loss, accuracy = {"train": 0.1, "val": 0.124, "test": None}, {"train": 1.0, "val": 0.97}
    content = result("01_micrograd", loss=loss, accuracy=accuracy, unit="nats/point")
    del content["vocab_size"]
    put(tmp_path / "01_micrograd", content)
    groups = read(tmp_path)
    expected = (
        "01_micrograd (embeddings share statistics): loss train 0.100, val 0.124 nats/point; "
        "accuracy train 100.0%, val 97.0%; 11,897 parameters; 12 s"
    )
    assert table.markdown(groups).strip() == expected
    assert " ".join(as_text(groups, width=200).split()) == expected
    row = json.loads(table.as_json(groups))[0]["rows"][0]
    assert row["bits_per_char"] is None and row["val"] == 0.124


def test_an_interrupted_run_is_marked(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(interrupted=True))
    put(tmp_path / "05_microgpt", result("05_microgpt"))
    groups = read(tmp_path)
    for text in (as_text(groups), table.markdown(groups).replace("\\", "")):
        assert "04_embedding_mlp *" in text and "05_microgpt *" not in text
        assert "* stopped early" in text
    put(tmp_path / "04_embedding_mlp", result(interrupted=False))
    assert "stopped" not in as_text(read(tmp_path)) + table.markdown(read(tmp_path))


# --- several seeds ---


def put_seeds(folder, values, stage="04_embedding_mlp", **changes):
    """Results of seeds 42, 43, ... in seeds/; the first one is the stage's own run as well."""
    for number, val in enumerate(values):
        seed = 42 + number
        loss = {"train": val - 0.1, "val": val, "test": val + 0.1}
        content = result(stage, loss=loss, config={"seed": seed, "steps": 9}, **changes)
        if number == 0:
            put(folder / stage, content)
        put(folder / stage / "seeds" / str(seed), content)


def test_seeds_are_one_row_with_mean_and_sample_deviation(tmp_path):
    """Of 2.0, 2.1 and 2.5 the mean is 2.2; the squares are 0.04, 0.01 and 0.09, over 2: 0.07."""
    put_seeds(tmp_path, [2.0, 2.1, 2.5])
    (group,) = read(tmp_path)
    (row,) = group["rows"]
    assert row["val"] == pytest.approx(2.2) and row["val_sd"] == pytest.approx(math.sqrt(0.07))
    assert row["perplexity"] == pytest.approx(math.exp(2.2)) and row["seeds"] == 3
    assert (row["label"], row["folder"]) == ("04_embedding_mlp", "04_embedding_mlp")
    cells = rows_of(table.markdown([group]))["04_embedding_mlp"]
    assert cells["val"] == "**2.200&nbsp;±&nbsp;0.265&nbsp;(3)**"
    assert (cells["train"], cells["test"]) == ("2.100", "2.300")
    text = as_text([group])
    assert text.count("± 0.265") == 3 and text.count("(3)") == 3


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=6))
def test_mean_and_deviation_against_numpy(values):
    assert table_rows.mean_of(values) == pytest.approx(np.mean(values), abs=1e-12)
    assert table_rows.sd_of(values) == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_seed_that_stands_in_two_folders_counts_once(tmp_path):
    put_seeds(tmp_path, [2.0])
    (row,) = read(tmp_path)[0]["rows"]
    assert (row["val"], row["val_sd"], row["seeds"]) == (2.0, None, 1)
    assert rows_of(table.markdown(read(tmp_path)))["04_embedding_mlp"]["val"] == "**2.000**"


def test_the_own_run_joins_its_seeds_where_its_seed_is_another(tmp_path):
    put_seeds(tmp_path, [2.0, 2.1])
    own = result(val=2.3, config={"seed": 7, "steps": 9})
    put(tmp_path / "04_embedding_mlp", own)
    (row,) = read(tmp_path)[0]["rows"]
    assert row["seeds"] == 3 and row["val"] == pytest.approx((2.0 + 2.1 + 2.3) / 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"seed": 50, "steps": 10}},
        {"config": {"seed": 50, "steps": 9}, "interrupted": True},
        {"config": {"seed": 50, "steps": 9}, "variant": "wide"},
        {"config": {"steps": 9}},
    ],
)
def test_a_run_that_differs_in_more_than_its_seed_stays_alone(tmp_path, changes):
    put_seeds(tmp_path, [2.0, 2.1])
    put(tmp_path / "04_embedding_mlp", result(val=3.0, **changes))
    rows = read(tmp_path)[0]["rows"]
    assert sorted((row["val"], row["seeds"]) for row in rows) == [
        (pytest.approx(2.05), 2),
        (3.0, 1),
    ]


def test_other_data_and_other_folders_stay_alone(tmp_path):
    put_seeds(tmp_path, [2.0, 2.1])
    config = {"seed": 50, "steps": 9}
    put(tmp_path / "04_embedding_mlp" / "seeds" / "50", result(sha256="bb", config=config))
    put(tmp_path / "mine", result(config=config, val=1.0))
    assert sorted(row["seeds"] for group in read(tmp_path) for row in group["rows"]) == [1, 1, 2]


def test_a_twin_has_seeds_of_its_own(tmp_path):
    put_seeds(tmp_path, [2.3, 2.4], "05_microgpt")
    for seed, place in ((42, "twin"), (42, "seeds/42/twin"), (43, "seeds/43/twin")):
        twin = result("05_microgpt", val=seed / 20, variant="twin", config={"seed": seed})
        put(tmp_path / "05_microgpt" / place, twin)
    (group,) = read(tmp_path)
    assert [(row["label"], row["val"], row["seeds"]) for row in group["rows"]] == [
        ("05_microgpt", pytest.approx(2.35), 2),
        ("05_microgpt, twin", pytest.approx(2.125), 2),
    ]


def test_a_loss_that_one_seed_lacks_has_no_mean(tmp_path):
    put_seeds(tmp_path, [2.0, 2.1], best={"val": 1.5})
    place = tmp_path / "04_embedding_mlp" / "seeds" / "43"
    content = result(loss={"train": 1.0, "val": 2.1, "test": None}, config={"seed": 43, "steps": 9})
    put(place, content)
    cells = rows_of(table.markdown(read(tmp_path)))["04_embedding_mlp"]
    assert "test" not in cells and cells["val"] == "**2.050&nbsp;±&nbsp;0.071&nbsp;(2)**"


def test_a_stage_whose_seed_draws_its_data_is_one_sentence(tmp_path):
    for seed, share in ((42, 0.9), (43, 1.0)):
        content = result("01_micrograd", unit="nats/point", sha256=str(seed), loss={"val": share},
                         accuracy={"val": share}, config={"seed": seed})
        put(tmp_path / "01_micrograd" / "seeds" / str(seed), content)
    assert table.markdown(read(tmp_path)).strip() == (
        "01_micrograd (embeddings share statistics): loss val 0.950 ± 0.071 (2) nats/point; "
        "accuracy val 95.0%; 11,897 parameters; 12 s"
    )


def test_machine_formats_carry_mean_deviation_and_number(tmp_path):
    put_seeds(tmp_path, [2.0, 2.1, 2.5])
    (row,) = json.loads(table.as_json(read(tmp_path)))[0]["rows"]
    assert row["val"] == pytest.approx(2.2) and row["val_sd"] == pytest.approx(math.sqrt(0.07))
    file = io.StringIO()
    table.write_csv(read(tmp_path), file)
    line = list(csv.DictReader(io.StringIO(file.getvalue())))[1]
    assert (line["seeds"], line["best_val_sd"]) == ("3", "")
    assert float(line["test_sd"]) == pytest.approx(math.sqrt(0.07))
    assert float(line["test"]) == pytest.approx(2.3)


@pytest.mark.parametrize("width", [80, 120])
def test_means_fit_a_terminal(tmp_path, width):
    put_seeds(tmp_path, [2.0, 2.1, 2.5], "06_shakespeare_gpt", best={"val": 2.0}, params=1204192)
    text = as_text(read(tmp_path), width=width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for word in ("2.200", "0.265", "(3)", "1,204,192", "06_shakespeare_gpt"):
        assert word in text


def test_a_run_that_diverged_says_so_and_is_never_joined(tmp_path):
    put_seeds(tmp_path, [2.0, 2.1])
    nothing = {"train": None, "val": None, "test": None}
    diverged = result(loss=nothing, diverged=True, config={"seed": 44})
    put(tmp_path / "04_embedding_mlp" / "seeds" / "44", diverged)
    (group,) = read(tmp_path)
    assert [(row["seeds"], row["diverged"]) for row in group["rows"]] == [(2, False), (1, True)]
    for text in (as_text([group]), table.markdown([group])):
        assert "diverged: the loss was infinite" in text
    assert "/seeds/44), diverged |" in table.markdown([group])
    file = io.StringIO()
    table.write_csv([group], file)
    assert [row["diverged"] for row in csv.DictReader(io.StringIO(file.getvalue()))][1:] == [
        "False", "True",
    ]  # fmt: skip


# --- formats ---


def test_text_from_files_is_not_read_as_markup(tmp_path):
    dataset = {"name": "[red]n[/red]", "sha256": "aa", "docs": {}}
    put(tmp_path / "04_embedding_mlp", result(idea="[b]x[/b] :cat:", dataset=dataset))
    put(tmp_path / "01_micrograd", result("01_micrograd", idea="[i]y[/i]", unit="nats/point"))
    text = as_text(read(tmp_path))
    assert "[red]n[/red]" in text and "[b]x[/b] :cat:" in text and "[i]y[/i]" in text


def test_markdown_escapes_what_would_break_the_table(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(variant="a|b <c>\nd *e*"))
    labels = rows_of(table.markdown(read(tmp_path)))
    assert "04_embedding_mlp, a\\|b \\<c> d \\*e\\*" in labels


def test_80_columns_keep_every_number(tmp_path):
    put(tmp_path / "05_microgpt" / "twin", result("05_microgpt", variant="PyTorch twin"))
    put(tmp_path / "mine", result("06_shakespeare_gpt", params=1204192, interrupted=True))
    text = as_text(read(tmp_path), width=80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("06_shakespeare_gpt", "1,204,192", "2.885", "7.389", "2.100", "seconds"):
        assert word in text
    assert "…" not in text


def test_csv_is_one_flat_table(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(idea='commas, and "quotes"', val=1 / 3))
    put(tmp_path / "06_shakespeare_gpt", result("06_shakespeare_gpt", sha256="bb", loss={}))
    file = io.StringIO()
    table.write_csv(read(tmp_path), file)
    assert "\r" not in file.getvalue()
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [(row["group"], row["label"]) for row in rows] == [
        ("1", "uniform guess"),
        ("1", "04_embedding_mlp"),
        ("2", "uniform guess"),
        ("2", "06_shakespeare_gpt"),
    ]
    assert float(rows[1]["val"]) == 1 / 3 and rows[1]["idea"] == 'commas, and "quotes"'
    assert rows[1]["dataset"] == "names" and rows[1]["unit"] == "nats/char"
    assert rows[3]["val"] == ""


def test_json_has_full_precision(tmp_path):
    put(tmp_path / "04_embedding_mlp", result(val=1 / 3))
    (group,) = json.loads(table.as_json(read(tmp_path)))
    (row,) = group["rows"]
    assert row["val"] == 1 / 3 and row["perplexity"] == math.exp(1 / 3)
    assert group["baselines"][0]["val"] == math.log(27)
    assert "result" not in row


# --- the short table ---


def test_the_short_table_has_own_runs_important_variants_and_the_best_ngram(tmp_path):
    for n, val in ((2, 2.5), (4, 1.9), (5, 1.8), (6, 1.81)):
        place = tmp_path / "02_bigram_counts" / "ngram" / f"names-{n}"
        put(place, result("02_bigram_counts", val, variant=f"{n}-gram"))
    put(tmp_path / "02_bigram_counts", result("02_bigram_counts", 2.4))
    put(tmp_path / "04_embedding_mlp" / "wavenet", result(val=1.5, variant="wavenet"))
    put(tmp_path / "04_embedding_mlp" / "context-8", result(val=1.9, variant="8 characters"))
    put(tmp_path / "mine", result(val=1.4))
    put_seeds(tmp_path, [2.0, 2.1])
    for variant in ("best", "twin"):
        put(tmp_path / "05_microgpt" / variant, result("05_microgpt", 1.7, variant=variant))
    put(tmp_path / "01_micrograd", result("01_micrograd", unit="nats/point"))
    text = {"name": "tinyshakespeare", "sha256": "bb", "docs": {}}
    shakespeare = result("06_shakespeare_gpt", 1.5, dataset=text, vocab_size=65,
                         loss={"train": 1.2, "val": 1.5})  # fmt: skip
    put(tmp_path / "06_shakespeare_gpt", shakespeare)
    short = table.short_markdown(read(tmp_path))
    names, text = short.split("\n\ntinyshakespeare")
    assert names.startswith("names, nats/char (a uniform guess has 3.296)\n\n| stage")
    assert list(rows_of(names))[2:] == [
        "02_bigram_counts", "02_bigram_counts, 5-gram", "04_embedding_mlp",
        "04_embedding_mlp, 8 characters", "05_microgpt, best", "05_microgpt, twin",
    ]  # fmt: skip
    assert rows_of(names)["04_embedding_mlp"] == {
        "stage": "04_embedding_mlp", "params": "11,897", "val": "2.050&nbsp;±&nbsp;0.071&nbsp;(2)",
        "test": "2.150", "seconds": "12",
    }  # fmt: skip
    assert text.startswith(", nats/char (a uniform guess has 4.174)\n\n| stage")
    assert rows_of(text)["06_shakespeare_gpt"] == {
        "stage": "06_shakespeare_gpt", "params": "11,897", "val": "**1.500**",
        "bits/char (val)": "2.164", "seconds": "12",
    }  # fmt: skip


def test_the_short_table_without_a_loss_or_a_row(tmp_path):
    place = tmp_path / "02_bigram_counts" / "ngram" / "names-2"
    content = result("02_bigram_counts", None, variant="2-gram")
    put(place, content)
    assert table.short_markdown(read(tmp_path)) == ""
    put(tmp_path / "04_embedding_mlp", result(val=None, interrupted=True))
    short = table.short_markdown(read(tmp_path))
    assert list(rows_of(short))[2:] == ["04_embedding_mlp \\*"] and "stopped early" in short


# --- files that are not in order ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "the file"),
        (json.dumps({"stage": "04_embedding_mlp"}), "idea"),
        (json.dumps(result(params="many")), "params"),
        (json.dumps(result(loss={"val": "low"})), "loss.val"),
        (json.dumps(result(loss=None)), "loss"),
        (json.dumps(result(dataset={"name": "names"})), "dataset.sha256"),
        (json.dumps(result(baselines={"letter frequencies": 2.8})), "letter frequencies"),
        (json.dumps(result(targets={"train": [1]})), "targets.train"),
        (json.dumps(result(vocab_size=-3)), "vocab_size is -3"),
        (json.dumps(result(vocab_size=0)), "vocab_size is 0"),
        (json.dumps(result(config={"seed": [1]})), "config.seed"),
        (json.dumps(result(variant=["twin"])), "variant"),
        (json.dumps(result(params=10**30)), "params is larger"),
        (json.dumps(result(loss={"val": 10**400})), "loss.val is larger"),
        (json.dumps(result(seconds=0)).replace(': 0,', ': 1e999,'), "seconds"),
        (json.dumps(result())[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deep"),
    ],
)
def test_a_result_that_cannot_be_used_leaves_the_others(tmp_path, content, reason):
    put(tmp_path / "02_bigram_counts", content)
    put(tmp_path / "04_embedding_mlp", result())
    rows, problems = table_rows.read_results(tmp_path)
    assert [row["stage"] for row in rows] == ["04_embedding_mlp"]
    assert len(problems) == 1 and "\n" not in problems[0]
    assert str(tmp_path / "02_bigram_counts" / "result.json") in problems[0]
    assert reason in problems[0]


def test_stages_that_have_not_run():
    stages = ["01_micrograd", "02_bigram_counts", "05_microgpt"]
    rows = [{"stage": "02_bigram_counts"}]
    line = table.not_run(rows, stages)
    assert line == "Not run yet: 01_micrograd (make stage 1), 05_microgpt (make stage 5)"
    assert table.not_run(rows, ["02_bigram_counts"]) == ""


HOSTILE = "\x1b[2J\r[red]a|b\n\u202ec\x9b"
SHOWN = r"\x1b[2J\r[red]a|b\n\u202ec\x9b"


def test_texts_of_a_result_are_shown_and_not_obeyed(tmp_path):
    """They can neither move the cursor nor add a row. JSON has escapes; \x9b and \u202e stand there
    as they are.
    """
    content = result(
        f"04_{HOSTILE}", idea=HOSTILE, variant=HOSTILE, baselines={HOSTILE: LETTERS},
        dataset={"name": HOSTILE, "sha256": HOSTILE, "docs": {"train": 9}},
    )  # fmt: skip
    put(tmp_path / "04" / HOSTILE, json.dumps(content, ensure_ascii=False))
    put(tmp_path / "05", result("05", unit=HOSTILE, idea=HOSTILE))
    put(tmp_path / "06" / HOSTILE, "{")
    rows, problems = table_rows.read_results(tmp_path)
    groups, file = table_rows.group_rows(rows), io.StringIO()
    table.write_csv(groups, file)
    text = as_text(groups, width=400)
    printed = [text, table.markdown(groups), table.as_json(groups), file.getvalue(), *problems]
    for shown in printed:
        assert not set("\x1b\r\u202e\x9b") & set(shown)
    assert len(rows) == 2 and len(problems) == 1 and "\n" not in problems[0]
    assert SHOWN in text and SHOWN in problems[0]  # as a name of a folder
    texts = SHOWN.replace(r"\n", " ")
    assert texts in text and texts.replace("\\", r"\\").replace("|", r"\|") in printed[1]
    lines = [line for line in printed[1].splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3  # a header of two lines, two baselines and one row
    assert len(file.getvalue().splitlines()) == 1 + 5


# --- the command ---


@pytest.fixture
def project(tmp_path):
    """A folder with the tools and two stages."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for stage in ("02_bigram_counts", "04_embedding_mlp"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "main.py").touch()
    return tmp_path


def call(project, *words):
    command = [sys.executable, project / "tools" / "table.py", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=project, timeout=60)


def test_before_the_first_run(project):
    done = call(project)
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout == (
        "Not run yet: 02_bigram_counts (make stage 2), 04_embedding_mlp (make stage 4)\n"
    )


def test_the_command_shows_what_it_can(project):
    put(project / "out" / "02_bigram_counts", "{")
    put(project / "out" / "04_embedding_mlp", result())
    done = call(project)
    assert done.returncode == 0
    assert done.stderr.startswith("left out: ") and done.stderr.count("\n") == 1
    assert "names, nats/char" in done.stdout and "Not run yet: 02_bigram_counts" in done.stdout


def test_machine_formats_have_nothing_else_on_stdout(project):
    put(project / "results" / "04_embedding_mlp", result())
    done = call(project, "--from", "results", "--format", "json")
    assert done.returncode == 0 and "Not run yet: 02_bigram_counts" in done.stderr
    assert json.loads(done.stdout)[0]["rows"][0]["stage"] == "04_embedding_mlp"


def test_a_folder_that_is_not_there(project):
    done = call(project, "--from", "nowhere")
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr
