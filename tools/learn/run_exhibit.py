"""Run one copy of an exhibit of the museum: a module's main(), then the probe.

What both print is the symptom. The job comes as JSON on the standard input; exhibits.py writes it.
"""

import importlib
import json
import sys
from pathlib import Path


def run(root, file, flags, probe):
    """Import root/file. Call its main() with the flags, unless they are None. Then run the probe.

    An exception is a symptom, too: it is printed as "error: ...". Afterwards the modules of the
    copy are forgotten, so that the next copy can have modules of the same names.
    """
    path = Path(root) / file
    own = {path.stem for path in Path(root).rglob("*.py")}
    before = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}
    arguments, search = sys.argv, list(sys.path)
    sys.argv = [str(path), *(flags or ())]
    sys.path[:0] = [str(path.parent), str(Path(root) / "tools")]
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(path.stem)
        if flags is not None:
            module.main()
        folder = next((result.parent for result in Path(root).rglob("result.json")), None)
        exec(compile(probe, "probe", "exec"), {path.stem: module, "FOLDER": folder})
    except (Exception, SystemExit) as error:
        print(f"error: {type(error).__name__}: {error}")
    finally:
        sys.argv, sys.path[:] = arguments, search
        for name in own & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(before)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    run(**json.load(sys.stdin))
