"""The fast stages, run with their defaults, still have the losses in results/.

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

from stages import ROOT

COUNTS, SCALARS, TENSORS = 1e-9, 1e-4, 0.01
TOLERANCES = {  # program: (folder of its result in results/, tolerance)
    "01_micrograd/main.py": ("01_micrograd", SCALARS),
    "02_bigram_counts/main.py": ("02_bigram_counts", COUNTS),
    "03_bigram_learned/main.py": ("03_bigram_learned", TENSORS),
    "04_embedding_mlp/main.py": ("04_embedding_mlp", TENSORS),
    "05_microgpt/main.py": ("05_microgpt", SCALARS),
    "05_microgpt/torch_twin.py": ("05_microgpt/twin", TENSORS),
}


def read(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("program", TOLERANCES)
def test_a_new_run_has_the_losses_of_the_reference(program, tmp_path):
    """One thread, as that is what every machine has."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / program, "--out", tmp_path]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    folder, tolerance = TOLERANCES[program]
    new, reference = read(tmp_path), read(ROOT / "results" / folder)
    for key in ("config", "dataset", "targets", "vocab_size", "params", "chars_seen"):
        assert new.get(key) == reference.get(key), f"{key} has changed: make the reference again"
    losses = {"loss": reference["loss"], **reference.get("baselines", {})}
    for name, expected in losses.items():
        measured = new["loss"] if name == "loss" else new["baselines"][name]
        for split, loss in expected.items():
            distance = abs(measured[split] - loss)
            assert math.isfinite(distance) and distance <= tolerance, (
                f"{program}: {name}, {split}: {measured[split]!r}, in results/ {loss!r}"
            )
            print(f"{program} {name} {split}: {distance:.2e} off")
