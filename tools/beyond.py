"""The tables of docs/beyond.md, from the results of the extras that it describes."""

import sys

from stages import ROOT

from experiments import table
from tries import read_json

sys.path.append(str(ROOT / "extras"))

import scaling as scaling_law

STAGE = "06_shakespeare_gpt"


def result(results, name):
    return read_json(results / STAGE / name / "result.json")


def scaling(results, _):
    """The losses of several widths, and the line through all of them but the last."""
    rows = read_json(results / STAGE / "scaling" / "table.json")["rows"]
    predicted, b = scaling_law.predict(rows)
    cells = [
        (row["entry"].removeprefix("width-"), f"{row['params']:,}", f"{row['val']['mean']:.3f}",
         f"{line:.3f}")
        for row, line in zip(rows, predicted)
    ]  # fmt: skip
    cells[-1] = (*cells[-1][:3], f"{cells[-1][3]}, predicted")
    law = f"The line: the loss is proportional to params to the power of {-b:.3f}."
    return table(["width", "params", "val loss", "on the line"], cells, left=0) + f"\n\n{law}"


def fine_tuning(results, _):
    """The val losses on both texts, and a sample from before and after."""
    found = result(results, "fine_tune")
    new, old = found["losses"]["new"], found["losses"]["old"]
    rows = [
        ("names", *(f"{new[when]:.3f}" for when in ("before", "after", "from random weights"))),
        ("Shakespeare", f"{old['before']:.3f}", f"{old['after']:.3f}", ""),
    ]
    headers = ["val loss on", "before", "after", "from random weights, as many steps"]
    before, after = (text.strip().splitlines() for text in found["samples"])
    samples = [*before[:4], "", *after[:8]]
    return table(headers, rows, left=1) + "\n\n```text\n" + "\n".join(samples) + "\n```"


def answers(results, _):
    """The share of right answers before the training, with the mask and without it."""
    right = result(results, "prompt_answer")["right"]
    rows = [
        (loss, split, *(f"{share:.1%}" for share in right[key].values()))
        for key, loss, split in (
            ("val, before", "nothing yet", "val"),
            ("val", "the answer", "val"),
            ("test", "the answer", "test"),
            ("val, no mask", "the whole line", "val"),
        )
    ]
    return table(["the loss counts", "split", *right["val"]], rows)


def preference(results, _):
    """Reward, KL and variety before and after, and the first names of each."""
    found = result(results, "preference")
    numbers = found["preference"]
    vals = {
        "before": found["curve"][0][2],
        "after": found["loss"]["val"],
        "without KL": numbers["without KL"]["val"],
    }
    samples = {
        "before": found["samples_before"],
        "after": found["samples"],
        "without KL": numbers["without KL"]["samples"],
    }
    titles = {
        "before": "before",
        "after": f"after, beta {found['beta']}",
        "best": f"the best possible, beta {found['beta']}",
        "without KL": "after, without the KL term",
    }
    rows = []
    for key, title in titles.items():
        row = numbers[key]
        distinct = f"{row['distinct']:.1%}" if "distinct" in row else ""
        val = f"{vals[key]:.3f}" if key in vals else ""
        first = ", ".join(samples.get(key, [])[:5])
        rows.append((title, first, f"{row['reward']:.3f}", f"{row['kl']:.2f}", distinct, val))
    headers = ["model", "its first names", "reward", "KL", "distinct", "val loss on names"]
    return table(headers, rows)


KINDS = {
    "scaling": scaling,
    "fine-tuning": fine_tuning,
    "answers": answers,
    "preference": preference,
}
