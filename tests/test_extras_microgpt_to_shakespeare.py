"""Stage 05's model and stage 06's: with the parts of the first in the second, the same logits."""

import importlib
import json

import pytest
import torch

from conftest import ROOT, forget_stage_modules


@pytest.fixture
def modules(monkeypatch):
    """modules(stage, name, ...): a stage's modules, beside those of another stage."""

    def modules(stage, *names):
        forget_stage_modules()
        monkeypatch.syspath_prepend(ROOT / stage)
        return [importlib.import_module(name) for name in names]

    yield modules
    forget_stage_modules()


def rename(name):
    """layer0.attn_wq -> blocks.0.attn.attn_wq.weight"""
    if not name.startswith("layer"):
        return f"{name}.weight"
    layer, matrix = name.split(".")
    inside = f"attn.{matrix}" if matrix.startswith("attn") else matrix
    return f"blocks.{layer[len('layer'):]}.{inside}.weight"


@pytest.mark.parametrize("n_layer, n_head", [(1, 4), (3, 2)])
def test_the_first_row_of_the_bridge_is_stage_05s_model(n_layer, n_head, modules, tmp_path):
    """Weights as main.py of stage 05 writes them give its logits, the twin's and stage 06's."""
    micro, twin = modules("05_microgpt", "main", "twin")
    shape = {"block_size": 8, "n_embd": 16, "n_head": n_head, "n_layer": n_layer}
    config, V = micro.Config(**shape), 27
    values = micro.init_weights(config, V)
    floats = {k: [[6 * p.data for p in row] for row in rows] for k, rows in values.items()}
    floats = json.loads(json.dumps(floats))
    tokens = [26, 4, 12, 12, 0, 26, 3, 1]
    cache = [([], []) for _ in range(n_layer)]
    expected = [micro.gpt(config, floats, token, i, cache) for i, token in enumerate(tokens)]

    weights = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in floats.items()}
    xb = torch.tensor([tokens])
    twins = twin.gpt(config, weights, xb)[0]

    bridge, ablate, stage = modules("06_shakespeare_gpt", "bridge", "ablate", "main")
    fields, undone, _ = bridge.plan()["microgpt"]
    model = ablate.make_model(stage.Config(**{**fields, **shape}), V, undone).double()
    model.load_state_dict({rename(name): w for name, w in weights.items()})  # no more and no less
    logits = model(xb)[0]

    assert logits.std() > 0.1
    torch.testing.assert_close(twins, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(logits, twins, rtol=0, atol=1e-9)


def test_the_rows_after_the_first_have_other_logits(modules):
    bridge, ablate, stage = modules("06_shakespeare_gpt", "bridge", "ablate", "main")
    xb = torch.tensor([[26, 4, 12, 12, 0, 26, 3, 1]])
    logits = {
        name: ablate.make_model(stage.Config(**fields), 27, undone).eval()(xb)
        for name, (fields, undone, _) in bridge.plan().items()
    }
    for before, after in [("microgpt", "last-norm"), ("last-norm", "gelu"), ("biases", "init")]:
        assert (logits[before] - logits[after]).abs().max() > 1e-4, after
