"""The lessons: what they quote, what they link to, that their blocks run, and their notebooks."""

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import nbformat
import pytest

import notebooks
from stages import ROOT

FOLDERS = notebooks.lesson_folders()
LESSONS = {folder.name: (folder / "README.md").read_text(encoding="utf-8") for folder in FOLDERS}
PAGES = ["README.md", "GLOSSARY.md", "data/README.md", *(f"{name}/README.md" for name in LESSONS)]
PAGES += [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")]
HANDOUTS = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/handouts").glob("*.md")]
HEADINGS = [
    "The question", "The idea", "The mathematics, step by step", "By hand", "The code", "Predict",
    "Run it", "What surprises people", "What the table says", "Try this", "Where it comes from",
]  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(text, language):
    return [body for found, body in BLOCK.findall(text) if found == language]


# What Markdown takes for its own inside a formula in plain dollar signs: an escape, or emphasis.
FRAGILE = re.compile(r"\\[!-/:-@\[-`{-~]|(?<![A-Za-z0-9])_|[*<~|]")
INLINE_CODE = re.compile(r"\$?`[^`\n]+`\$?")


def fragile_formulas(text):
    """The formulas of a page that GitHub's Markdown would damage before it typesets them."""
    text = INLINE_CODE.sub("", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S))
    inline = [formula for formula in re.findall(r"\$([^$\n]+)\$", text) if FRAGILE.search(formula)]
    return re.findall(r"\$\$.*?\$\$", text, re.S) + inline


def prose(text):
    return BLOCK.sub("", text)


def anchors(path):
    """What GitHub makes of a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


# --- the text ---


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_every_part_in_its_order(name):
    found = re.findall(r"^## (.*)$", prose(LESSONS[name]), re.M)
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_opens_with_the_order_in_which_to_read_the_files(name):
    opening = LESSONS[name].split("\n## ")[0]
    assert "Read in this order: " in opening
    order = opening.split("Read in this order: ")[1]
    linked = [link for link in LINK.findall(order) if link.endswith(".py")]
    assert linked and all((ROOT / name / link).is_file() for link in linked)


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_asks_for_three_predictions_and_hides_the_answers(name):
    part = LESSONS[name].split("## Predict\n")[1].split("\n## ")[0]
    asked, answers = part.split("<details>", 1)
    for text in (asked, answers):
        assert re.findall(r"^(\d)\. ", text, re.M) == ["1", "2", "3"]


@pytest.mark.parametrize("name", LESSONS)
def test_code_is_quoted_as_it_stands_in_the_stage(name):
    files = [path.read_text(encoding="utf-8") for path in (ROOT / name).glob("*.py")]
    unindented = ["\n".join(line.strip() for line in text.splitlines()) for text in files]
    quoted = blocks(LESSONS[name], "py")
    assert quoted
    for body in quoted:
        for run in re.split(r"^\s*\.\.\.\n", body, flags=re.M):  # ... stands for lines left out
            wanted = "\n".join(line.strip() for line in textwrap.dedent(run).strip().splitlines())
            assert any(wanted in text for text in unindented), f"{name} has no lines\n{run}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    path = ROOT / page
    for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{page} links to {link}"
        assert not anchor or anchor in anchors(there), f"{page} links to {link}"


@pytest.mark.parametrize("page", sorted({*PAGES, *HANDOUTS}))
def test_formulas_survive_markdown(page):
    assert fragile_formulas((ROOT / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "formula", [r"$n \, a$", "$$a$$", r"$\text{x}_t$", "$a < b$", r"$(1 - c)\,w$"]
)
def test_a_fragile_formula_is_found(formula):
    assert fragile_formulas(f"Let {formula} be.")
    assert not fragile_formulas(f"Let $`{formula.strip('$')}`$ be, and $x_t$, `$HOME`, 2 * 3.")
    assert not fragile_formulas(f"Text\n\n```math\n{formula.strip('$')}\n```\n")


@pytest.mark.parametrize("page", PAGES)
def test_no_line_of_text_begins_with_a_comment(page):
    """In Markdown such a line ends the paragraph before it. Blocks of their own may."""
    text = prose((ROOT / page).read_text(encoding="utf-8"))
    start = r"^ *(?:(?:\d+\.|[-*]) +)?<!-- (?!generated: |end -->$).*"
    assert re.findall(start, text, re.M) == []


@pytest.mark.parametrize("name", LESSONS)
def test_code_in_a_lesson_needs_no_scrolling(name):
    code = "".join(blocks(LESSONS[name], "python") + blocks(LESSONS[name], "py"))
    assert max(map(len, code.splitlines())) <= 100


def test_every_term_of_the_glossary_stands_there_once_and_is_used():
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    terms = re.findall(r"^### (.*)$", text, re.M)
    assert len(terms) == len({term.lower() for term in terms}) >= 50
    for name, lesson in LESSONS.items():
        assert "../GLOSSARY.md#" in lesson, f"{name} links to no term"


def test_lesson_05_says_of_attention_what_the_families_measured():
    """These are the sentences under "Is attention better?". The numbers fill in by themselves."""
    path = ROOT / "results/05_microgpt/families/table.json"
    rows = {row["entry"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    val = {entry: row["loss"]["val"] for entry, row in rows.items()}
    # with equally many parameters
    for gpt, mlp in (
        ("small-gpt-16", "small-mlp-8"), ("gpt-26816", "mlp-8-26816"),
        ("best-58656", "mlp-8"), ("best-201088", "mlp-8-201088"),
    ):  # fmt: skip
        assert 0.95 < rows[gpt]["params"] / rows[mlp]["params"] < 1.05
        assert (val[gpt] < val[mlp]) == (gpt in ("small-gpt-16", "best-201088"))
    assert abs(val["mlp-8-201088"] - val["mlp-8"]) < 0.005
    lead, of_dropout = (
        val["mlp-8-201088"] - val[entry] for entry in ("best-201088", "mlp-8-201088-dropout")
    )
    assert 0.5 < of_dropout / lead < 1  # most of the lead
    assert val["small-gpt-16"] < val["best-4192"] and val["gpt-26816"] < val["best-26816"]
    assert val["best-58656"] < val["gpt-58656"]  # the better of two
    # for the same number of characters
    assert rows["small-mlp-8-long"]["steps"] == 4 * rows["small-mlp-8"]["steps"]
    assert rows["small-mlp-8-long"]["chars_seen"] > 4 * rows["small-gpt-16"]["chars_seen"]
    assert val["small-gpt-16"] < val["small-mlp-8-long"]
    assert val["best-201088"] < val["mlp-8"] - 0.01 and val["mlp-8-long"] > val["mlp-8"] - 0.003
    # in the same time
    assert rows["mlp-8"]["seconds"] < rows["best-201088-short"]["seconds"]
    assert val["mlp-8"] < val["best-201088-short"]
    assert val["best-201088"] < min(val[entry] for entry in val if "mlp" in entry)
    assert rows["counts-5"]["seconds"] < rows["mlp-8"]["seconds"]
    assert val["counts-5"] == min(val[entry] for entry in val if entry.startswith("counts-"))
    # with a longer context
    assert abs(val["mlp-16"] - val["mlp-5"]) < 0.005
    assert val["small-mlp-16"] > val["small-mlp-5"] + 0.02
    assert abs(val["small-gpt-16"] - val["small-gpt-6"]) < 0.01


# --- the notebooks ---


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_lesson_runs_from_top_to_bottom_in_a_fresh_kernel(folder):
    notebook = notebooks.build(folder)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code[1:]] == [
        body.rstrip("\n") for body in blocks(LESSONS[folder.name], "python")
    ]
    notebooks.execute(notebook, folder)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_committed_notebook_is_the_lesson_with_outputs(folder):
    assert not notebooks.is_stale(folder), "make notebooks"
    notebook = nbformat.read(folder / "lesson.ipynb", as_version=4)
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert str(ROOT) not in (folder / "lesson.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_pictures_of_a_lesson_are_what_its_cells_drew(folder):
    drawn = notebooks.drawn_pictures(nbformat.read(folder / "lesson.ipynb", as_version=4), folder)
    for path, image in drawn.items():
        assert path.read_bytes() == image, f"{path.name}: make notebooks"
    committed = (ROOT / "docs/pictures" / folder.name).glob("*")
    assert sorted(drawn) == sorted(path.resolve() for path in committed)


@pytest.fixture
def project(tmp_path):
    """A project with one lesson."""
    folder = tmp_path / "project" / "01_tiny"
    folder.mkdir(parents=True)
    (folder / "common.py").write_text("answer = 42\n", encoding="utf-8")
    (folder / "README.md").write_text(
        "# Tiny\n\nText.\n\n```python\nfrom common import answer\nanswer\n```\n\n"
        "```console\nmake stage 1\n```\n\n```py\nanswer = 42\n```\n",
        encoding="utf-8",
    )
    return folder.parent


def test_writing_again_changes_nothing_and_a_changed_lesson_is_stale(project, capsys):
    path = project / "01_tiny" / "lesson.ipynb"
    assert notebooks.main([], root=project) == 0
    before = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[3].outputs[0].data["text/plain"] == "42"
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "code", "markdown", "code", "markdown"]
    assert notebook.cells[0].source == "# Tiny" and "REPOSITORY" in notebook.cells[1].source
    assert notebooks.main([], root=project) == 0 and path.read_bytes() == before
    assert capsys.readouterr().out.splitlines()[-1].endswith("unchanged")
    assert notebooks.main(["--check"], root=project) == 0
    lesson = project / "01_tiny" / "README.md"
    lesson.write_text(lesson.read_text(encoding="utf-8").replace("Text", "Other"), encoding="utf-8")
    assert notebooks.main(["--check"], root=project) == 1 and path.read_bytes() == before


def test_formulas_take_jupyters_form():
    text = "Let $`a \\, b`$ and $c$.\n\n```math\nx = \\{1\\}\n\\qquad y\n```\n"
    wanted = "Let $a \\, b$ and $c$.\n\n$$\nx = \\{1\\}\n\\qquad y\n$$\n"
    assert notebooks.for_jupyter(text) == wanted
    assert notebooks.for_jupyter("- It:\n\n  ```math\n  z\n  ```\n") == "- It:\n\n  $$\n  z\n  $$\n"


def test_a_cell_draws_the_picture_that_the_lesson_shows(project, capsys):
    lesson = project / "01_tiny" / "README.md"
    cell = "```python\nimport matplotlib.pyplot as plt\nplt.plot([1, {}])\nplt.show()\n```\n\n"
    image = "![A line](../docs/pictures/01_tiny/line.png)\n\nA line.\n"
    path = project / "docs/pictures/01_tiny/line.png"
    lesson.write_text("# Tiny\n\n" + cell.format(2) + image, encoding="utf-8")
    assert notebooks.main([], root=project) == 0
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")
    notebook = nbformat.read(project / "01_tiny" / "lesson.ipynb", as_version=4)
    assert [cell.source for cell in notebook.cells if "line.png" in cell.source] == []
    lesson.write_text("# Tiny\n\n" + cell.format(-2) + image, encoding="utf-8")
    assert notebooks.main([], root=project) == 0 and path.read_bytes() != before
    lesson.write_text("# Tiny\n\n" + cell.format(2), encoding="utf-8")
    assert notebooks.main([], root=project) == 1
    assert "draws 1 pictures, and the lesson shows 0" in capsys.readouterr().err


def test_a_cell_that_fails_is_shown_and_no_notebook_written(project, capsys):
    (project / "01_tiny" / "common.py").write_text("", encoding="utf-8")
    assert notebooks.main([], root=project) == 1
    assert "ImportError" in capsys.readouterr().err
    assert [path.suffix for path in (project / "01_tiny").glob("lesson*")] == []


@pytest.mark.parametrize("end", ["", "/", ".git"])
def test_the_notebooks_of_a_project_on_github_have_a_badge_for_colab(project, end):
    address = f"https://github.com/someone/zero.to-gpt{end}"
    title, fetch = notebooks.build(project / "01_tiny", repository=address).cells[:2]
    first, badge = title.source.split("\n\n")
    link = f"{notebooks.COLAB}/github/someone/zero.to-gpt/blob/main/01_tiny/lesson.ipynb"
    assert first == "# Tiny" and badge.startswith("[![") and badge.endswith(f".svg)]({link})")
    assert f'REPOSITORY = "{address}"' in fetch.source


@pytest.mark.parametrize("address", ["", "https://example.org/someone/project", "file:///project"])
def test_a_project_that_is_not_on_github_has_no_badge(project, address):
    assert notebooks.build(project / "01_tiny", repository=address).cells[0].source == "# Tiny"


def test_a_notebook_alone_fetches_the_project_first(project, tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", project]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "A lesson"]):
        subprocess.run([*git, *words], check=True)
    alone = tmp_path / "alone"
    alone.mkdir()
    notebook = notebooks.build(project / "01_tiny", repository=project.as_uri())
    notebooks.execute(notebook, alone)
    assert notebook.cells[3].outputs[0].data["text/plain"] == "42"
    shutil.rmtree(alone)
    alone.mkdir()
    with pytest.raises(notebooks.CellExecutionError, match="REPOSITORY"):
        notebooks.execute(notebooks.build(project / "01_tiny", repository=""), alone)


def test_opening_installs_jupyterlab_where_it_is_missing_and_keeps_what_a_learner_wrote(
    project, monkeypatch
):
    calls = []
    monkeypatch.setattr(notebooks.subprocess, "call", lambda command: calls.append(command) or 0)

    def missing(name):
        raise notebooks.PackageNotFoundError(name)

    monkeypatch.setattr(notebooks, "version", missing)
    assert notebooks.main(["--open", "--stage", "1"], root=project) == 0
    install, lab = calls
    assert "install" in install and install[-1] == f"jupyterlab=={notebooks.JUPYTERLAB}"
    copy = Path(lab[-1])
    assert copy.name == "my_lesson.ipynb" and nbformat.read(copy, as_version=4).cells
    copy.write_text("mine", encoding="utf-8")
    monkeypatch.setattr(notebooks, "version", lambda name: "4.0")
    assert notebooks.main(["--open", "--stage", "01_tiny"], root=project) == 0
    assert notebooks.main([], root=project) == 0
    assert len(calls) == 3 and copy.read_text(encoding="utf-8") == "mine"


def test_a_lesson_that_is_not_there(project, capsys):
    with pytest.raises(SystemExit) as stop:
        notebooks.main(["--stage", "9"], root=project)
    assert stop.value.code == 2 and "'9'" in capsys.readouterr().err
