"""The tables of docs/experiments.md from files made by hand."""

import json

import pytest

import bench
import experiments
import readme


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def series_row(**changes):
    return {
        "entry": "gelu", "what": "GELU for ReLU", "params": 4192, "steps": 1500,
        "val": {"mean": 2.12345, "sd": 0.004}, "difference": {"mean": -0.0102, "sd": 0.0031},
        "seconds": 9.87, "seeds": [42, 43, 44], "diverged": 0, **changes,
    }  # fmt: skip


def lines(text):
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in rows]


def test_a_series(tmp_path):
    nothing = {"mean": None, "sd": None}
    rows = [series_row(), series_row(entry="hot|er", val=nothing, difference=nothing, diverged=3)]
    put(tmp_path / "05_microgpt/ablate/table.json", {"rows": rows})
    table = lines(readme.generate("series 05_microgpt/ablate", tmp_path))
    assert table[2] == ["gelu", "GELU for ReLU", "4,192", "1,500", "2.1235 ± 0.0040",
                        "-0.0102 ± 0.0031", "9.9"]  # fmt: skip
    assert "hot\\|er" in readme.generate("series 05_microgpt/ablate", tmp_path)
    assert "3 of 3 diverged" in readme.generate("series 05_microgpt/ablate", tmp_path)


def test_families(tmp_path):
    row = {
        "entry": "mlp-8", "what": "MLP, block_size 8", "params": 56995, "chars_seen": 4096000,
        "loss": {"train": 1.87654, "val": 1.99876, "test": 1.96}, "seconds": 15.34,
    }  # fmt: skip
    put(tmp_path / "05_microgpt/families/table.json", {"rows": [row]})
    (found,) = lines(readme.generate("families 05_microgpt/families", tmp_path))[2:]
    assert found == ["mlp-8", "MLP, block_size 8", "56,995", "4,096,000", "1.877", "1.999",
                     "1.960", "15"]  # fmt: skip


def test_tokens(tmp_path):
    row = {
        "entry": "pairs-512", "what": "byte pairs", "vocab_size": 512, "params": 937216,
        "chars_per_token": 2.2007, "context_chars": 211.27, "unknown_chars": 0.0, "spelling": 0.0,
        "val": {"mean": 1.61234, "sd": 0.0021}, "diverged": 0, "seeds": [1, 2, 3],
        "steps": 801.6, "seconds": 60.04,
    }  # fmt: skip
    words = {
        **row, "entry": "words-5", "what": "words seen 5 times", "unknown_chars": 0.1881,
        "spelling": 0.41193, "known_nats": 4.123, "unknown_nats": 2.5, "spelling_nats": 15.58,
    }  # fmt: skip
    put(tmp_path / "06_shakespeare_gpt/compare_tokens/table.json", {"rows": [row, words]})
    found = lines(readme.generate("tokens 06_shakespeare_gpt/compare_tokens", tmp_path))
    assert found[2] == ["pairs-512", "byte pairs", "512", "937,216", "2.20", "211", "0.0%",
                        "1.6123 ± 0.0021", "0.0000", "802", "60.0"]  # fmt: skip
    assert found[3][6:9] == ["18.8%", "1.6123 ± 0.0021", "0.4119"]
    assert found[6:] == [["words-5", "words seen 5 times", "4.1", "18.1", "2.5", "15.6"]]
    marker = "<!-- 06_shakespeare_gpt/compare_tokens/words-5 spelling_nats .1f -->"
    assert readme.fill(f"{marker}?{readme.END}", tmp_path) == f"{marker}15.6{readme.END}"


def test_published_numbers_keep_what_was_measured_and_are_judged_anew(tmp_path):
    check = next(check for check in experiments.CHECKS if check.name == "counts")
    label, number = check.numbers[0].label, check.numbers[0]
    record = {
        "name": check.name, "url": check.url, "ours": {label: number.published + 1, "besides": 0.5},
        "published": {label: number.published}, "tolerance": {label: number.tolerance},
        "passed": True,
    }  # fmt: skip
    put(tmp_path / f"published/{check.name}.json", record)
    table = lines(readme.generate("published", tmp_path))
    start = next(i for i, row in enumerate(table) if row[0].startswith(f"[{check.name}]"))
    assert table[start][1] == label and table[start][-1] == "FAIL"
    assert table[start + 1][:4] == ["", "besides", "", "0.5000"]
    assert sum("not run" in row[1] for row in table) == len(experiments.CHECKS) - 1


def test_temperatures(tmp_path):
    row = {
        "model": "05_microgpt", "temperature": 0.5, "mean_length": 5.678, "distinct": 1234,
        "in_train": 0.25, "held_out": 0.05, "first": ["ava", "mia", "a<b", "x", "unseen"],
    }  # fmt: skip
    put(tmp_path / "score/temperatures.json", {"samples": 2000, "rows": [row]})
    text = readme.generate("temperatures", tmp_path)
    assert text.startswith("2,000 samples")
    assert lines(text)[2] == ["05_microgpt", "0.5", "5.68", "1,234", "25.0%", "5.0%",
                              "ava, mia, a\\<b, x"]  # fmt: skip


def known_row(model, temperature, **changes):
    return {
        "model": model, "temperature": temperature, "in_train": 0.25, "held_out": 0.05, "new": 0.7,
        "distinct_in_train": 1234, "distinct_held_out": 300, "train_per_held_out": 1234 / 300,
        **changes,
    }  # fmt: skip


def test_known_names_at_temperature_1_then_at_half(tmp_path):
    models = ("02_bigram_counts", "05_microgpt/twin")
    rows = [known_row(model, t) for model in models for t in (0.5, 0.8, 1.0)]
    put(tmp_path / "score/temperatures.json", {"samples": 2000, "rows": rows})
    table = lines(readme.generate("known", tmp_path))[2:]
    numbers = ["25.0%", "5.0%", "70.0%", "1,234", "300", "4.1 ± 0.3"]
    assert table == [
        ["02_bigram_counts", "1.0", *numbers],
        ["05_microgpt/twin", "1.0", *numbers],
        ["02_bigram_counts", "0.5", *numbers],
        ["05_microgpt/twin", "0.5", *numbers],
    ]


def test_a_line_of_a_page_asks_what_a_model_drew(tmp_path):
    rows = [known_row("05_microgpt/twin", 0.5), known_row("05_microgpt/twin", 1.0, in_train=0.1)]
    put(tmp_path / "score/temperatures.json", {"samples": 2000, "rows": rows})
    marker = "<!-- 05_microgpt/twin drawn {} .0% -->"
    for what, value in {"0.5 in_train": "25%", "1.0 in_train": "10%"}.items():
        line = f"In train: {marker.format(what)}?{readme.END}."
        assert readme.fill(line, tmp_path) == line.replace("?", value)
    for wrong, problem in (
        ("0.7 in_train", "no in_train is known for samples of 05_microgpt/twin at temperature 0.7"),
        ("0.5 in_val", "no in_val is known"), ("0.5", "missing 1 required"), ("x y", "to float"),
    ):  # fmt: skip
        with pytest.raises(readme.MarkerError, match=problem):
            readme.fill(marker.format(wrong) + readme.END, tmp_path)


def bench_row(name, date, **quantities):
    """quantities: the runs of each."""
    summaries = {
        key: {"median": sorted(runs)[len(runs) // 2], "runs": runs}
        for key, runs in quantities.items()
    }
    return {"name": name, "what": f"the {name}", "date": date, "quantities": summaries}


def put_bench(tmp_path, name, rows, **machine):
    about = {"processor": name, "cores": 2, "bfloat16": "yes", "gpu": None, "system": "Linux",
             "python": "3.11.7", "torch": "2.13.0"}  # fmt: skip
    put(tmp_path / f"bench/{name}.json", {"machine": {**about, **machine}, "lines": rows})


@pytest.fixture
def bars(monkeypatch):
    """The benchmark has the line N, mlp-3 with two bars, and gpu with one."""
    limits = {"val loss": (False, 2.1), "times N": (False, 0.5)}
    lines = [bench.Line(bench.N_LINE, "N", dict, {}), bench.Line("mlp-3", "stage 04", dict, limits),
             bench.Line("gpu", "stage 06", dict, {"ratio": (True, 3)})]  # fmt: skip
    monkeypatch.setattr(bench, "lines", lambda *_: lines)


def test_the_benchmark_of_one_machine(tmp_path, bars):
    rows = [bench_row("mlp-3", "2026-11-02", steps=[4000], **{"val loss": [2.1, 2.2, 2.3]}),
            bench_row("old", "2026-11-01", ratio=[1.5])]  # fmt: skip
    put_bench(tmp_path, "Quick 9", rows, gpu="Fast 1")
    text = readme.generate("bench", tmp_path)
    table = lines(text)
    assert table[2] == ["1", "Quick 9, Fast 1", "2", "yes", "Linux", "3.11.7", "2.13.0",
                        "2026-11-01 to 2026-11-02", ""]  # fmt: skip
    assert table[3] == ["line", "what", "bar", "machine 1"]
    assert table[5:] == [
        ["mlp-3", "stage 04: steps", "", "4,000 (1)"],
        ["mlp-3", "stage 04: val loss", "at most 2.100", "2.200 (3) NO"],
        ["mlp-3", "stage 04: times N", "at most 0.500", ""],
        ["gpu", "stage 06: ratio", "at least 3.000", ""],
        ["old", "the old: ratio", "", "1.500 (1)"],
    ]
    assert text.endswith("\n\nShort of the bar: mlp-3 (val loss).")


def test_the_benchmark_of_several_machines_shows_their_spread(tmp_path, bars):
    for name, n, val, times in (("a", 80.0, 2.05, 0.4), ("b", 90.0, 2.05001, 0.3)):
        rows = [bench_row(bench.N_LINE, "2026-11-01", seconds=[n]),
                bench_row("mlp-3", "2026-11-01", **{"val loss": [val], "times N": [times]})]
        put_bench(tmp_path, name, rows if name == "a" else rows[:2])
    put_bench(tmp_path, "c", [bench_row("gpu", "2026-11-03", ratio=[4.0])], bfloat16="no")
    text = readme.generate("bench", tmp_path)
    table = lines(text)
    assert [row[-1] for row in table[2:5]] == ["80.0 (1)", "90.0 (1)", ""]
    assert [row[3] for row in table[2:5]] == ["yes", "yes", "no"]
    assert table[5][3:] == ["machine 1", "machine 2", "machine 3", "range"]
    assert table[7:] == [
        [bench.N_LINE, "N: seconds", "", "80.0 (1)", "90.0 (1)", "", "80.0 to 90.0"],
        ["mlp-3", "stage 04: val loss", "at most 2.100", "2.050 (1)", "2.050 (1)", "", ""],
        ["mlp-3", "stage 04: times N", "at most 0.500", "0.400 (1)", "0.300 (1)", "",
         "0.300 to 0.400"],
        ["gpu", "stage 06: ratio", "at least 3.000", "", "", "4.000 (1)", ""],
    ]  # fmt: skip
    assert text.endswith("\n\nEvery bar that was measured is met.")


@pytest.mark.parametrize("content", ["", "{", '{"lines": [{}]}', "[]"])
def test_a_broken_file_names_itself(tmp_path, content):
    if content:
        (tmp_path / "bench").mkdir()
        (tmp_path / "bench/x.json").write_text(content, encoding="utf-8")
    with pytest.raises(readme.MarkerError, match="bench"):
        readme.generate("bench", tmp_path)
