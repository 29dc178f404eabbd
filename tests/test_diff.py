"""make diff: what it says about the stages, and about files made by hand."""

import re

import pytest

import diff
from stages import STAGES

LATER = STAGES[1:]


def text(lines):
    return [line for _, line in lines]


def shown(lines, style):
    return [line.removeprefix(f"{style} ") for style_of, line in lines if style_of == style]


# ---- the stages ------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", LATER)
def test_every_banner_of_a_stage_has_an_idea_of_one_sentence(stage):
    parts = diff.read_about(stage)["part"]
    for part in parts:
        assert re.fullmatch(r"[A-Z].{20,110}\.|main\.py .{20,110}\.", part["idea"]), part
    listed = [part.get("banner", part["name"]) for part in parts]
    for file in diff.read_about(stage)["new"]:
        banners = list(dict.fromkeys(piece.part for piece in diff.read_pieces(file)))
        assert [name for name in listed if name in banners][: len(banners)] == banners


@pytest.mark.parametrize("stage", LATER)
def test_every_line_that_is_shown_stands_in_a_file(stage):
    about, lines = diff.read_about(stage), diff.compare(stage)
    for sign, key in (("+", "new"), ("-", "old")):
        files = dict.fromkeys(file for part in about["part"] for file in part[key])
        source = "\n".join((diff.ROOT / file).read_text("utf-8") for file in files)
        assert set(shown(lines, sign)) <= {*source.split("\n"), sign}


@pytest.mark.parametrize("stage", LATER)
def test_every_function_is_named(stage):
    """New, changed, as before or gone: nothing is left out without a word."""
    said = " ".join(text(diff.compare(stage)))
    for part in diff.read_about(stage)["part"]:
        for key in ("old", "new"):
            for piece in diff.in_part(part[key], part.get("banner", part["name"])):
                if not (part["name"] == "config" and piece.name == "Config"):  # field by field
                    assert re.search(rf"\b{piece.name}\b", said), piece.name


@pytest.mark.parametrize("stage", LATER)
def test_it_is_shorter_than_the_unified_diff(stage):
    _, full = diff.unified(stage)
    assert len(diff.compare(stage)) < 0.7 * len(full.splitlines())


def test_stage_5_compares_its_twin_and_its_engine():
    lines = text(diff.compare("05_microgpt"))
    opening = " ".join(lines[:8])
    assert "main.py is plain Python" in opening and "torch_twin.py" in opening
    assert "New in 05: attention" in opening
    assert "  attention: new" in lines and "  train: changed" in lines
    assert "+         while tape:" in lines and any("gone: MLP" in line for line in lines)
    assert any(re.search(r"new: dot, linear", line) for line in lines)  # named, not shown
    assert not any("def dot" in line for line in lines)


def test_stage_6_follows_the_model_and_the_optimizer_into_their_files():
    lines = text(diff.compare("06_shakespeare_gpt"))
    assert "+ class GPT(nn.Module):" in lines and "+ class Muon(torch.optim.Optimizer):" in lines
    assert "  Tokenizer.__init__: changed" in lines


# ---- files made by hand ----------------------------------------------------------------------
OLD = '''"""The old one."""

import math

# ---- data ----------
def read(path):
    """Read it."""
    return path


def wander(x):
    return math.sqrt(x)


def words(text):
    found = []
    for word in text.split():
        if word:
            found.append(word)
    return found


# ---- model ---------
class Model:
    size = 1

    def grow(self):
        self.size += 1

    def show(self):
        return self.size


# ---- samples -------
def sample():
    # Draw it.
    return 4
'''
NEW = '''"""The new one.

Same as 01: reading.
New in 02: parts.
"""

import json

# ---- data ----------
def read(path):
    """Read all of it."""
    return path


def parts(text):
    found = []
    for word in text.split():
        if word:
            found.append(word.lower())
    return found


# ---- model ---------
def wander(x):
    return math.sqrt(x)


class Model:
    size = 1

    def grow(self):
        self.size += 2

    def show(self):
        return self.size


# Two lines
# of reason.
def extra():
    return Model()


# ---- samples -------
def sample():
    return (
        4
    )


if __name__ == "__main__":
    sample()
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, source in (("01_old", OLD), ("02_new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(source, encoding="utf-8")
    ideas = tmp_path / "diff.toml"
    ideas.write_text("", encoding="utf-8")
    monkeypatch.setattr(diff, "ROOT", tmp_path)
    monkeypatch.setattr(diff, "IDEAS", ideas)
    monkeypatch.setattr(diff, "STAGES", ("01_old", "02_new"))
    return ideas


def test_without_ideas_the_banners_are_the_parts(project):
    lines = text(diff.compare("02_new"))
    assert lines[:4] == ["01_old -> 02_new", "The new one.", "Same as 01: reading.",
                         "New in 02: parts."]  # fmt: skip
    assert "  imports now: json" in lines and "  no longer imports: math" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("---- data"))
    assert lines[start + 1 :] == [
        "  as before: read",
        "",
        "  parts: changed, which was words",
        "- def words(text):",
        "+ def parts(text):",
        "      found = []",
        "  ...",
        "          if word:",
        "-             found.append(word)",
        "+             found.append(word.lower())",
        "      return found",
        "",
        lines[start + 13],
        "  as before: Model, Model.show",
        "  moved: wander, from data",
        "",
        "  Model.grow: changed",
        "      def grow(self):",
        "-         self.size += 1",
        "+         self.size += 2",
        "",
        "  extra: new",
        "+ # Two lines",
        "+ # of reason.",
        "+ def extra():",
        "+     return Model()",
        "",
        "---- samples: as before",
        "",
        lines[-1],
    ]
    assert "---- model" in lines[start + 13] and "make diff 2 ARGS=--full" in lines[-1]


def test_a_part_can_be_brief_and_compare_other_files(project):
    project.write_text(
        '[02_new]\nnote = "Read this first."\n[[02_new.part]]\nname = "all of it"\n'
        'banner = "data"\nidea = "Words become parts."\nbrief = true\n'
        '[[02_new.part]]\nname = "model"\nidea = "It grows."\nold = []\n',
        encoding="utf-8",
    )
    lines = text(diff.compare("02_new"))
    assert "Read this first." in lines and "Words become parts." in lines
    assert "  changed: parts, which was words" in lines and "+ def parts(text):" not in lines
    assert "  wander: new" not in lines  # it comes from the part before
    assert "  moved: wander, from data" in lines and "  Model: new" in lines


def test_a_piece_with_few_equal_lines_is_shown_in_its_new_form_only(project):
    path = diff.ROOT / "02_new/main.py"
    path.write_text("# ---- samples ----\ndef sample(n):\n    return [n] * n\n", encoding="utf-8")
    lines = text(diff.compare("02_new"))
    assert lines[lines.index("  sample: rewritten") + 1 :][:2] == [
        "+ def sample(n):", "+     return [n] * n",
    ]  # fmt: skip
    assert "-     return 4" not in lines


def test_colours_only_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["diff", "04_embedding_mlp"])
    assert diff.main() == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain and "+ def contexts(docs, tokenizer, block_size):\n" in plain
    monkeypatch.setattr(diff, "Console", lambda **_: Terminal())
    assert diff.main() == 0
    assert "\x1b[32m+ def contexts" in capsys.readouterr().out


class Terminal(diff.Console):
    def __init__(self):
        super().__init__(force_terminal=True, color_system="standard", width=200)
