"""What every test needs: data sets without a network where a copy is at hand, and clean imports."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
STAGE_MODULES = ("main", "plumbing", "engine", "nn", "model", "muon", "twin", "generate")

# A folder beside the checkout that holds the text files spares the tests the network.
COPIES = ROOT.parent / "shared" / "data"
if COPIES.is_dir():
    os.environ.setdefault("ZERO_DATA_MIRROR", str(COPIES))


def forget_stage_modules():
    """Every stage has a main.py of its own: forget the one that was imported last."""
    for name in STAGE_MODULES:
        sys.modules.pop(name, None)


def pytest_collectstart(collector):
    """Let each stage's test file import the main.py that lies beside it."""
    if isinstance(collector, pytest.Module):
        forget_stage_modules()
