"""What runs where: an older PyTorch, no packages at all, other versions of Python."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest
import run
import torch
import torch.nn.functional as F
from torch.torch_version import TorchVersion

from stages import ROOT, load_stage

# What came to PyTorch after 2.2, the last version for Intel Macs, and was in our code once.
YOUNG = [
    (F, "rms_norm"), (torch.nn, "RMSNorm"), (torch.cpu, "get_capabilities"),
    (torch.optim, "Muon"),
]  # fmt: skip
needs_new_torch = pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="this PyTorch has nothing to compare with"
)
CODE = [path for kind in ("extras", "tools", "exercises") for path in ROOT.glob(f"{kind}/**/*.py")]
NAMES = "emma\nolivia\nava\nmia\nnoah\nliam\nelijah\nzoe\nanna\nida\n" * 30


# --- an older PyTorch ---


@pytest.fixture
def torch_2_2(monkeypatch):
    """PyTorch as it was in 2.2, as far as our code can tell."""
    for owner, name in YOUNG:
        monkeypatch.delattr(owner, name, raising=False)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.2.2"))

    class AdamW(torch.optim.AdamW):
        def __init__(self, params, *args, fused=None, **kwargs):
            if fused:
                raise RuntimeError("`fused=True` requires all the params to be on a GPU")
            super().__init__(params, *args, **kwargs)

    class Autocast(torch.autocast):
        def __init__(self, device_type, *args, **kwargs):
            if device_type == "mps":
                raise RuntimeError(f"unsupported autocast device_type {device_type!r}")
            super().__init__(device_type, *args, **kwargs)

    monkeypatch.setattr(torch.optim, "AdamW", AdamW)
    monkeypatch.setattr(torch, "autocast", Autocast)


@pytest.mark.parametrize(("stage", "module", "flags"), [
    ("03_bigram_learned", "main", ["--batch-size=16"]),
    ("04_embedding_mlp", "main", ["--batch-size=16", "--n-hidden=8"]),
    ("05_microgpt", "torch_twin", ["--batch-size=8"]),
    ("05_microgpt", "torch_twin", ["--batch-size=8", "--bfloat16"]),
    ("06_shakespeare_gpt", "main", ["--device=cpu", "--block-size=8", "--n-embd=8", "--n-layer=1"]),
])  # fmt: skip
def test_a_stage_trains_on_the_last_pytorch_for_intel_macs(
    torch_2_2, tmp_path, monkeypatch, capsys, stage, module, flags
):
    (tmp_path / "data.txt").write_text(NAMES, encoding="utf-8")
    place = [f"--data={tmp_path / 'data.txt'}", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", [f"{module}.py", *place, "--steps=3", *flags])
    load_stage(stage, module).main()
    assert "loss in nats/char" in capsys.readouterr().out


def test_the_device_of_an_intel_mac_needs_no_autocast(torch_2_2):
    devices = load_stage("06_shakespeare_gpt", "devices")
    with devices.autocast("mps", devices.pick_dtype("auto", "mps")):
        assert devices.pick_dtype("auto", "cpu") == "float32"


@needs_new_torch
def test_our_norms_are_those_of_pytorch():
    import ablate_shakespeare

    twin, x = load_stage("05_microgpt", "torch_twin"), torch.randn(5, 7, 16)
    assert torch.equal(twin.rmsnorm(x), F.rms_norm(x, (16,), eps=1e-5))
    assert torch.equal(ablate_shakespeare.RMSNorm(16)(x), torch.nn.RMSNorm(16, eps=1e-5)(x))
    assert list(ablate_shakespeare.RMSNorm(16, learned=False).parameters()) == []


def test_nothing_but_tests_needs_a_younger_pytorch():
    young = re.compile(r"F\.rms_norm|nn\.RMSNorm\(|torch\.(accelerator|cpu\.get_)|fused=True")
    for path in [*ROOT.glob("0*_*/*.py"), *ROOT.glob("0*_*/README.md"), *CODE]:
        assert not young.search(path.read_text(encoding="utf-8")), path


# --- no packages, and other versions of Python ---

WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # importing them fails
sys.argv[:2] = []
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("missing", "stage", "flags"), [
    ("torch,numpy,rich,matplotlib", "01_micrograd", ["--points=10", "--n-hidden=2"]),
    ("torch,rich,matplotlib", "02_bigram_counts", ["--data=data.txt"]),
    ("torch,numpy,rich,matplotlib", "05_microgpt", ["--data=data.txt", "--n-embd=4"]),
])  # fmt: skip
def test_a_stage_runs_without_pytorch(tmp_path, missing, stage, flags):
    (tmp_path / "data.txt").write_text(NAMES, encoding="utf-8")
    main = (ROOT / stage / "main.py").as_posix()
    command = [sys.executable, "-c", WITHOUT, missing, main, "--steps=2", "--out=out", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/result.json").read_text("utf-8"))["loss"]["train"] > 0


def test_all_code_is_python_3_10():
    for path in [*ROOT.glob("*.py"), *ROOT.glob("0*_*/*.py"), *CODE, *ROOT.glob("tests/*.py")]:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=run.OLDEST_PYTHON)


# --- the same numbers again ---


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("script", ["04_embedding_mlp/main.py", "05_microgpt/torch_twin.py"])
def test_the_same_seed_and_threads_give_the_same_losses_bit_for_bit(tmp_path, script, threads):
    results = []
    for name in ("first", "second"):
        command = [sys.executable, ROOT / script, "--steps=300", f"--out={tmp_path / name}"]
        env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=300)
        results.append(json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8")))
    first, second = results
    assert first["environment"]["threads"] == threads
    assert first["loss"] == second["loss"] and first["samples"] == second["samples"]
    assert first["curve"] == second["curve"]
