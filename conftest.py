"""What every test needs: data sets without a network where a copy is at hand, and clean imports."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
STAGE_MODULES = {path.stem for path in ROOT.glob("0*_*/*.py") if "test" not in path.stem}

# A folder beside the checkout that holds the text files spares the tests the network.
COPIES = ROOT.parent / "shared" / "data"
if COPIES.is_dir():
    os.environ.setdefault("ZERO_DATA_MIRROR", str(COPIES))


def forget_stage_modules():
    """Every stage has a main.py of its own: forget the one that was imported last."""
    for name in STAGE_MODULES:
        sys.modules.pop(name, None)


imported = {}  # path of a stage's test file -> the stage's modules that it imported, by name


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Let each stage's test file import the main.py that lies beside it."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    forget_stage_modules()
    report = yield
    present = STAGE_MODULES & sys.modules.keys()
    imported[collector.path] = {name: sys.modules[name] for name in present}
    return report


def pytest_runtest_setup(item):
    """Code that asks by name for the module it stands in gets the right one."""
    forget_stage_modules()
    sys.modules.update(imported.get(item.path, {}))
