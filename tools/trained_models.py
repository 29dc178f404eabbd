"""The trained models in out/: where each one is, and which module loads it."""

import math
import os
from pathlib import Path

from stages import load_stage

MODELS = {  # folder in out/: (the module that loads its model, the model's file)
    "01_micrograd": ("main", "model.json"),
    "02_bigram_counts": ("main", "model.json"),
    "03_bigram_learned": ("main", "model.pt"),
    "04_embedding_mlp": ("main", "model.pt"),
    "05_microgpt": ("main", "model.json"),
    "05_microgpt/twin": ("torch_twin", "model.pt"),
    "05_microgpt/best": ("torch_twin", "model.pt"),
    "05_microgpt/modern": ("modern_names", "model.pt"),
    "06_shakespeare_gpt": ("main", "model.pt"),
    "06_shakespeare_gpt/modern": ("modern_gpt", "model.pt"),
}
OF_EXTRAS = ("05_microgpt/modern", "06_shakespeare_gpt/modern")  # the others are a stage's own
COMMANDS = {  # what trains a model, where `make stage` does not
    "05_microgpt/best": "make extras",
    "05_microgpt/modern": "python extras/modern_names.py",
    "06_shakespeare_gpt/modern": "make modern",
}


class NoModel(Exception):
    """A folder has no model that its stage can load. The message says why and what to do."""


def has_model(out, folder):
    return os.path.exists(out / folder / MODELS[folder][1])  # unlike Path's, it raises no error


def how_to_train(folder):
    """The command that trains the model of a folder."""
    return COMMANDS.get(folder, f"make stage {int(folder[:2])}")


def load_model(out, folder, place=None):
    """Return (the module of a model, the model that it loads from out/folder). Raises NoModel.

    place: the folder of the model, if it is another one, such as that of a try.
    """
    file = MODELS[folder][1]
    rerun = f"run {COMMANDS[folder]}" if folder in COMMANDS else "run the stage"
    module = load_code(folder)
    try:
        model = module.load(place or out / folder)
        if hasattr(module, "log_probs"):
            try_out(module, model)
    except FileNotFoundError as error:
        raise NoModel(f"{file} is missing; {rerun}") from error
    except NoModel as problem:
        raise NoModel(f"{file} {problem}; {rerun} again") from problem
    except Exception as error:  # an older or broken file can raise nearly anything
        problem = f"{file} cannot be read ({type(error).__name__})"
        raise NoModel(f"{problem}; {rerun} again") from error
    return module, model


def load_code(folder):
    """The module of a model. NoModel, which says where, if Python cannot import it."""
    name = MODELS[folder][0]
    try:
        return load_stage("extras" if folder in OF_EXTRAS else folder.split("/")[0], name)
    except ModuleNotFoundError:
        raise
    except SyntaxError as error:
        where = f"{Path(error.filename).name}, line {error.lineno}"
        raise NoModel(f"{where}: {error.msg}; mend that line") from error
    except Exception as error:  # a learner's own change can raise anything
        problem = f"{name}.py cannot be imported ({type(error).__name__}: {error})"
        raise NoModel(f"{problem}; mend it") from error


def try_out(module, model):
    """Read some characters of its alphabet. NoModel if what comes out is no distribution.

    A file that can be loaded may still hold weights of another shape, or none that are numbers.
    """
    chars = model.tokenizer.chars
    letters = {ch for ch in chars if isinstance(ch, str) and len(ch) == 1}
    if len(letters) < len(chars):
        raise NoModel("has an alphabet that is not a list of different characters")
    if hasattr(model, "config"):  # those of stage 05
        check_settings(model.config, model.weights)
    for row in module.log_probs(model, chars[0] + chars[-1] + chars[0])[1:]:
        total = math.fsum(map(math.exp, row))
        if math.isnan(total):
            raise NoModel("has weights that are not finite, because its training diverged")
        # Stage 02 without smoothing: all is impossible after a character that it never counted.
        if len(row) != model.tokenizer.vocab_size or (total and abs(total - 1) > 0.01):
            raise NoModel("has weights that do not fit its alphabet")


def check_settings(config, weights):
    """NoModel if the settings of a microGPT are not those of its weights."""
    layers = sum(name.endswith(".attn_wq") for name in weights)
    found = {
        "block_size": len(weights["wpe"]) == config.block_size,
        "n_layer": layers == config.n_layer,
        "n_head": len(weights["wpe"][0]) % config.n_head == 0,
    }
    for name, fits in found.items():
        if not fits:
            raise NoModel(f"has weights that do not fit its {name}")
