"""Import the code of a stage. All tools, extras and tests do it through this file.

Every stage has a main.py, a common.py and so on, which import each other by these short names. This
file imports the modules of a stage from its own folder and keeps them apart from all others.
"""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGES = tuple(sorted(main.parent.name for main in ROOT.glob("[0-9][0-9]_*/main.py")))
loaded = {}  # stage's folder name -> {module name: module}


def explain_missing(kind, error, trace):
    """Let common.py explain a missing library in one line. Tools import this file first."""
    if kind is ModuleNotFoundError:
        load_stage(STAGES[0], "common").explain_missing(kind, error, trace)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = explain_missing


def load_stage(stage, module="main"):
    """Import a module of a stage, once. load_stage("05_microgpt", "torch_twin")

    "extras" works as well. ImportError if the folder has no such file.
    """
    folder = ROOT / stage
    own = {path.stem for path in folder.glob("*.py")}
    modules = loaded.setdefault(stage, {})
    if module not in modules:
        others = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}
        sys.modules.update(modules)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            importlib.import_module(module)
        finally:
            sys.path.remove(str(folder))
            for name in own & sys.modules.keys():
                modules[name] = sys.modules.pop(name)
            sys.modules.update(others)
    return modules[module]
