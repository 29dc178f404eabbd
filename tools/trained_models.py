"""The trained models in out/: where each one is, and which module of its stage loads it."""

from stages import load_stage

MODELS = {  # folder in out/: (the module of the stage that loads its model, the model's file)
    "01_micrograd": ("main", "model.json"),
    "02_bigram_counts": ("main", "model.json"),
    "03_bigram_learned": ("main", "model.pt"),
    "04_embedding_mlp": ("main", "model.pt"),
    "05_microgpt": ("main", "model.json"),
    "05_microgpt/twin": ("torch_twin", "model.pt"),
    "05_microgpt/best": ("torch_twin", "model.pt"),
    "06_shakespeare_gpt": ("main", "model.pt"),
}


class NoModel(Exception):
    """A folder has no model that its stage can load. The message says why and what to do."""


def has_model(out, folder):
    return (out / folder / MODELS[folder][1]).exists()


def load_model(out, folder, place=None):
    """Return (the stage's module, the model that it loads from out/folder). Raises NoModel.

    place: the folder of the model, if it is another one, such as that of a try.
    """
    name, file = MODELS[folder]
    module = load_stage(folder.split("/")[0], name)
    try:
        return module, module.load(place or out / folder)
    except FileNotFoundError as error:
        raise NoModel(f"{file} is missing; run the stage") from error
    except Exception as error:  # an older or broken file can raise nearly anything
        problem = f"{file} cannot be read ({type(error).__name__})"
        raise NoModel(f"{problem}; run the stage again") from error
