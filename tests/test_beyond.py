"""docs/beyond.md: its tables, and the rounded numbers that its text works out."""

import json
import math
import re

import pytest

import beyond
import readme
from stages import ROOT

RESULTS = ROOT / "results"
PAGE = (ROOT / "docs" / "beyond.md").read_text(encoding="utf-8")
STAGE = "06_shakespeare_gpt"
YEAR = 365.25 * 24 * 3600  # seconds


def read(name):
    return json.loads((RESULTS / name / "result.json").read_text(encoding="utf-8"))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def lines(text):
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in rows]


def said(text):
    """Assert that the page says this, whatever its line breaks are."""
    assert text in " ".join(PAGE.split()), f"docs/beyond.md does not say: {text}"


# ---- the tables ------------------------------------------------------------------------------
def test_a_scaling_law(tmp_path):
    params, losses = [100, 1000, 10000], [3.0, 2.7, 2.5]
    rows = [
        {"entry": f"width-{n // 10}", "params": n, "val": {"mean": loss}}
        for n, loss in zip(params, losses)
    ]
    put(tmp_path / STAGE / "scaling" / "table.json", {"rows": rows})
    text = readme.generate("scaling", tmp_path)
    assert lines(text)[2] == ["10", "100", "3.000", "3.000"]
    assert lines(text)[4] == ["1000", "10,000", "2.500", "2.430, predicted"]  # 2.7 * 2.7 / 3
    assert f"to the power of {math.log10(2.7 / 3):.3f}." in text


def test_fine_tuning(tmp_path):
    content = {
        "losses": {
            "new": {"before": 5.25, "after": 2.0, "from random weights": 2.25},
            "old": {"before": 1.5, "after": 4.5},
        },
        "samples": ["\nKING:\nWhat?\n", "\nemma\nzoe\n"],
    }
    put(tmp_path / STAGE / "fine_tune" / "result.json", content)
    text = readme.generate("fine-tuning", tmp_path)
    assert lines(text)[2:] == [["names", "5.250", "2.000", "2.250"],
                               ["Shakespeare", "1.500", "4.500", ""]]  # fmt: skip
    assert "```text\nKING:\nWhat?\n\nemma\nzoe\n```" in text


def test_answers(tmp_path):
    shares = {"reverse": 0.5, "sort": 0.25}
    right = {key: shares for key in ("val, before", "val", "test")}
    right["val, no mask"] = {"reverse": 1.0, "sort": 0.75}
    put(tmp_path / STAGE / "prompt_answer" / "result.json", {"right": right})
    rows = lines(readme.generate("answers", tmp_path))
    assert rows[0] == ["the loss counts", "split", "reverse", "sort"]
    assert rows[-1] == ["the whole line", "val", "100.0%", "75.0%"]
    assert rows[3] == ["the answer", "val", "50.0%", "25.0%"]


def test_preference(tmp_path):
    def numbers(reward, kl):
        return {"reward": reward, "kl": kl, "distinct": 0.5}

    measured = {
        "before": numbers(0.2, 0), "best": {"reward": 0.9, "kl": 1.0}, "after": numbers(0.8, 1.1),
        "without KL": {**numbers(1, 7), "val": 4.0, "samples": ["aa"]},
    }  # fmt: skip
    content = {
        "beta": 0.3, "loss": {"val": 2.2}, "curve": [[0, None, 2.0], [5, None, 2.2]],
        "preference": measured, "samples": ["emma"], "samples_before": ["emmy", "bo"],
    }  # fmt: skip
    put(tmp_path / STAGE / "preference" / "result.json", content)
    rows = lines(readme.generate("preference", tmp_path))
    assert rows[2] == ["before", "emmy, bo", "0.200", "0.00", "50.0%", "2.000"]
    assert rows[3] == ["after, beta 0.3", "emma", "0.800", "1.10", "50.0%", "2.200"]
    assert rows[4] == ["the best possible, beta 0.3", "", "0.900", "1.00", "", ""]
    assert rows[5] == ["after, without the KL term", "aa", "1.000", "7.00", "50.0%", "4.000"]


@pytest.mark.parametrize("kind", beyond.KINDS)
def test_a_missing_result_is_named(tmp_path, kind):
    with pytest.raises(readme.MarkerError, match=kind):
        readme.generate(kind, tmp_path)


# ---- the text --------------------------------------------------------------------------------
def test_the_scale_of_stage_06():
    result = read(STAGE)
    params, seen = result["params"], result["chars_seen"]
    compute = 6 * params * seen
    row = next(row for row in lines(PAGE) if row[0] == "stage 06")
    assert row[1:] == [
        f"{params / 1e9:.4f} billion", f"{seen / 1e9:.3f} billion", f"{seen / params:.0f}",
        f"${compute / 1e13:.1f} \\times 10^{{13}}$",
    ]  # fmt: skip
    assert round(seen / result["targets"]["train"]) == 10
    said("each character of its text ten times")
    years = 3.8e25 / (compute / result["seconds"]) / YEAR
    assert 2e6 < years < 8e6, "the page says: about five million years"
    said("about five million years")


@pytest.mark.parametrize("row", [row for row in lines(PAGE) if re.search(r", 20\d\d \[", row[0])])
def test_the_scale_of_the_others(row):
    params, tokens = (float(cell.split()[0].replace(",", "")) for cell in row[1:3])
    assert row[3] == f"{tokens / params:.0f}"
    mantissa, power = re.fullmatch(r"\$(.*) \\times 10\^\{(\d+)\}\$", row[4]).groups()
    compute = float(mantissa) * 10 ** int(power)
    assert 6 * params * tokens * 1e18 == pytest.approx(compute, rel=0.02)


def test_the_caches():
    config = read(STAGE)["config"]
    numbers = config["n_layer"] * config["block_size"] * 2 * config["n_embd"]
    said(f"these are {numbers:,} numbers: {config['n_layer']} layers, {config['block_size']} pos")
    # 126 layers, 8 keys and values of 128 numbers (of 128 heads), 2 bytes each: Llama 3, table 3
    assert round(126 * 2 * 8 * 128 * 2**17 * 2 / 1e9) == 68 and 128 / 8 == 16
    said("takes 68 gigabytes")
    said("sixteen heads share them")


def test_the_example_by_hand():
    weight = 0.2 * math.exp(1 / 0.5)
    assert round(weight, 3) == 1.478 and round(weight / (weight + 0.8), 2) == 0.65
    said("this gives 1.478 and 0.8")
    said("65% of all names end in `a`")


def test_what_the_text_says_about_the_results():
    """Each sentence that compares two numbers, with the numbers."""
    pairs, chars = read(f"{STAGE}/tokens"), read(STAGE)
    assert pairs["chars_seen"] == pytest.approx(chars["chars_seen"], rel=0.1)
    assert pairs["seconds"] < chars["seconds"] / 2 and pairs["loss"]["val"] < chars["loss"]["val"]
    table = json.loads((RESULTS / STAGE / "compare_tokens/table.json").read_text(encoding="utf-8"))
    means = {row["entry"]: row["val"]["mean"] for row in table["rows"]}
    assert all(means["pairs-512"] < means[f"pairs-{n}"] for n in (256, 1024, 2048))
    tuned = read(f"{STAGE}/fine_tune")
    new, old = tuned["losses"]["new"], tuned["losses"]["old"]
    assert new["after"] < new["from random weights"] < new["before"]  # Shakespeare helps
    assert old["before"] < math.log(65) < old["after"]  # worse than a uniform guess
    twin = read("05_microgpt/twin")
    assert new["after"] < twin["loss"]["val"]
    assert tuned["targets"]["val"] == twin["targets"]["val"]
    assert round(tuned["params"] / twin["params"], -2) == 200
    right = read(f"{STAGE}/prompt_answer")["right"]
    assert all(right["val, no mask"][task] > right["val"][task] for task in right["val"])
    found = read(f"{STAGE}/preference")["preference"]
    value = {k: found[k]["reward"] - 0.3 * found[k]["kl"] for k in ("before", "after", "best")}
    assert value["after"] - value["before"] > 0.7 * (value["best"] - value["before"])
    free = found["without KL"]
    assert free["reward"] > 0.99 and free["kl"] > 2 * found["after"]["kl"]
    assert free["distinct"] < found["after"]["distinct"] - 0.15
    assert free["val"] > new["after"] + 1 > read(f"{STAGE}/preference")["loss"]["val"]
    rows = json.loads((RESULTS / STAGE / "scaling" / "table.json").read_text(encoding="utf-8"))
    predicted, _ = beyond.scaling_law.predict(rows["rows"])
    assert predicted[-1] < rows["rows"][-1]["val"]["mean"] - 0.02  # the line promises too much
