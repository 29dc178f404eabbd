"""The fast stages, run anew with their defaults, still have the losses that results/ says.

How far a loss may lie from the reference:

counts    1e-9  Sums of whole numbers are exact, so only the last digits of the logarithms and the
                order in which numpy adds them can differ.
scalars   1e-4  Plain Python does the same operations in the same order everywhere. Systems may
                differ in the last digit of exp and log, which training can enlarge.
tensors   0.01  PyTorch adds in an order that depends on threads and processor. Training enlarges
                that, too; 0.01 still tells a changed model from the same one.
"""

import json
import math
import os
import subprocess
import sys

import pytest

from conftest import ROOT

COUNTS, SCALARS, TENSORS = 1e-9, 1e-4, 0.01
TOLERANCES = {  # stage: {folder of a result below it: tolerance}
    "01_micrograd": {".": SCALARS},
    "02_bigram_counts": {".": COUNTS},
    "03_bigram_learned": {".": TENSORS},
    "04_embedding_mlp": {".": TENSORS},
    "05_microgpt": {".": SCALARS, "twin": TENSORS},
}


def read(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", TOLERANCES)
def test_a_new_run_has_the_losses_of_the_reference(stage, tmp_path):
    """One thread, as that is what every machine has."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / stage / "main.py", "--out", tmp_path]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    for folder, tolerance in TOLERANCES[stage].items():
        new, reference = read(tmp_path / folder), read(ROOT / "results" / stage / folder)
        for key in ("config", "dataset", "targets", "vocab_size", "params", "chars_seen"):
            assert new.get(key) == reference.get(key), f"{key} has changed: make the reference anew"
        losses = {"loss": reference["loss"], **reference.get("baselines", {})}
        for name, expected in losses.items():
            measured = new["loss"] if name == "loss" else new["baselines"][name]
            for split, loss in expected.items():
                distance = abs(measured[split] - loss)
                assert math.isfinite(distance) and distance <= tolerance, (
                    f"{stage}/{folder}: {name}, {split}: {measured[split]!r}, in results/ {loss!r}"
                )
                print(f"{stage}/{folder} {name} {split}: {distance:.2e} off")
