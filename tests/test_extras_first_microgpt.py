"""The first published microgpt: its first losses, and what is wrong with its gradients."""

import gc
import os
import random
import subprocess
import sys

import pytest

import first_microgpt
from stages import ROOT

SCRIPT = ROOT / "extras" / "first_microgpt.py"


@pytest.fixture(scope="module")
def weights():
    """Those before the first step, but none of them 0, so that every gradient has to be right."""
    random.seed(1)
    weights = first_microgpt.init_weights()
    for name in ("attn_wo", "mlp_fc2"):
        for row in weights[name]:
            for p in row:
                p.data = random.gauss(0, 0.02)
    return weights


def learn(weights, doc, mended=True):
    """The loss of a name, and its gradients, which the weights lose again."""
    loss, found = first_microgpt.learn_from(doc, weights, mended), {}
    for name, matrix in weights.items():
        found[name] = [[p.grad for p in row] for row in matrix]
        for row in matrix:
            for p in row:
                p.grad = 0.0
    return loss, found


def loss(weights, doc):
    return learn(weights, doc)[0]


@pytest.fixture(scope="module")
def mended(weights):
    """The mended gradients of a name."""
    return learn(weights, "ava")[1]


def run(*flags):
    return subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, encoding="utf-8")


def test_the_sizes_are_those_of_the_publication(weights):
    assert sum(len(row) for matrix in weights.values() for row in matrix) == 3648


@pytest.mark.parametrize("name, row, column", [
    ("wte", 0, 3), ("wpe", 0, 1), ("attn_wq", 2, 5), ("attn_wk", 4, 7), ("attn_wv", 1, 1),
    ("attn_wo", 3, 8), ("mlp_fc1", 20, 4), ("mlp_fc2", 9, 33),
])  # fmt: skip
def test_mended_gradients_equal_finite_differences(weights, mended, name, row, column):
    p, h = weights[name][row][column], 1e-4
    exact = mended[name][row][column]
    losses = []
    for sign in (1, -1):
        p.data += sign * h
        losses.append(loss(weights, "ava"))
        p.data -= sign * h
    assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(exact, rel=1e-3, abs=1e-8)


def test_as_published_what_positions_share_is_counted_again_and_again(weights, mended):
    _, published = learn(weights, "ava", mended=False)
    for name in mended:
        ratio = sum_of_squares(published[name]) / sum_of_squares(mended[name])
        if name in ("attn_wk", "attn_wv", "wte", "wpe"):
            assert ratio > 4, name
        else:  # only one position uses these results
            assert ratio == pytest.approx(1, rel=1e-9), name


def sum_of_squares(rows):
    return sum(x * x for row in rows for x in row)


def test_a_name_of_one_letter_is_cut_after_its_end(weights):
    """With two positions, BOS and the letter: the second one uses the keys of the first."""
    assert loss(weights, "a") > 3


def test_long_names_are_cut_to_eight_tokens(weights):
    assert loss(weights, "abcdefg") == loss(weights, "abcdefghijk")


@pytest.mark.parametrize("flags, losses", [
    ((), ["3.3325", "3.3320", "3.3306"]), (("--mended",), ["3.3325", "3.3319", "3.3318"]),
])  # fmt: skip
def test_the_first_losses(flags, losses):
    """The rate falls over the whole run, so 3 of 100 steps are not a run of 3 steps."""
    if not (ROOT / "data" / "makemore.txt").exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip("data/makemore.txt is not here: python data/prepare.py makemore")
    child = subprocess.Popen(
        [sys.executable, SCRIPT, *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )  # fmt: skip
    seen = []
    for line in child.stdout:
        if line.startswith("step"):
            seen.append(line.split()[-1])
        if len(seen) == 3:
            break
    child.kill()
    child.communicate()
    assert seen == losses


def test_it_runs_to_its_end_and_writes_nothing(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("ava\nemma\nmia\n")
    done = run("--data", names, "--steps", "4")
    assert done.returncode == 0, done.stderr
    assert "num docs: 3" in done.stdout and "step 4 / 4 | loss" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("samples: ")
    assert [path.name for path in tmp_path.iterdir()] == ["names.txt"]


def test_other_letters_cost_one_line(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("zoë\n", encoding="utf-8")
    done = run("--data", names)
    assert done.returncode == 2 and "only the letters a to z" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_collector_is_left_on_by_the_import():
    assert gc.isenabled()
