"""Make a notebook from every lesson: NN/README.md becomes NN/lesson.ipynb.

    python3 run.py notebooks [--stage 3] [--check]    run the lessons and write the notebooks
    python3 run.py notebook 3                         open a lesson in JupyterLab

Code blocks marked `python` become cells and run from top to bottom in the stage's folder, in one
fresh kernel. Everything else stays Markdown. An image from docs/pictures/ right after a code block
shows what that block draws: running the lesson writes the file, and in the notebook the output of
the cell takes its place. Nobody edits a notebook by hand. A lesson that has not changed gives the
same bytes again.
"""

import base64
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from stages import ROOT

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from atomic_write import write_if_changed
from command_line import Parser, fail, run_tool
from progress_bar import track

REPOSITORY = ""  # the public address of the project: the notebooks fetch it and link to Colab
JUPYTERLAB = "4.6.6"  # in no requirements file: it has many packages, and only `notebook` needs it
FETCH = """# This fetches the rest of the project if you have only the notebook, as on Colab.
import os, subprocess

REPOSITORY = "{repository}"  # its address, as for git clone
if not os.path.exists("common.py"):
    assert REPOSITORY, "set REPOSITORY to the address from which you got this notebook"
    subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "project"], check=True)
    os.chdir("project/{stage}")"""
COLAB = "https://colab.research.google.com"
ON_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
STYLE = ROOT / "tools" / "lesson.matplotlibrc"  # how matplotlib draws the pictures of the lessons
DRAWN = re.compile(r"(?:!\[[^\]]*\]\(\.\./docs/pictures/[^)]+\)\s*)*")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def lesson_folders(root=ROOT):
    return sorted(lesson.parent for lesson in root.glob("[0-9][0-9]_*/README.md"))


def for_jupyter(text):
    """Markdown with its formulas in the form that Jupyter knows.

    GitHub reads Markdown before mathematics and takes a backslash or an underscore for its own. It
    leaves formulas alone in a block marked `math` and in a dollar sign with a backquote.
    """
    text = re.sub(r"^( *)```math\n(.*?)\n *```$", r"\1$$\n\2\n\1$$", text, flags=re.M | re.S)
    return re.sub(r"\$`([^`]+)`\$", r"$\1$", text)


def colab_badge(stage, repository):
    """Markdown that opens a stage's notebook in Colab, which takes only notebooks on GitHub."""
    project = ON_GITHUB.fullmatch(repository)
    if project is None:
        return ""
    link = f"{COLAB}/github/{project[1]}/blob/main/{stage}/lesson.ipynb"
    return f"\n\n[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})"


def build(folder, repository=REPOSITORY):
    """The notebook of a lesson before it runs, with a cell for each block.

    The cell that fetches the project comes under the title and the badge of Colab. The metadata of
    a cell that draws lists its pictures, as paths from the lesson's folder.
    """
    title, rest = (folder / "README.md").read_text(encoding="utf-8").split("\n", 1)
    title += colab_badge(folder.name, repository)
    notebook = jupytext.reads(rest, fmt="md")
    fetch = FETCH.format(repository=repository, stage=folder.name)
    cells = [nbformat.v4.new_markdown_cell(title), nbformat.v4.new_code_cell(fetch)]
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "markdown":
            drawn = DRAWN.match(cell.source)[0]  # the images right after a code cell
            if drawn:
                cells[-1].metadata["pictures"] = re.findall(r"\]\((.*?)\)", drawn)
            cell.source = for_jupyter(cell.source.removeprefix(drawn))
        if cell.source:
            cells.append(cell)
    notebook.cells = cells
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02d}"  # jupytext gives random ones
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def execute(notebook, folder):
    """Run the cells and add their outputs. CellExecutionError shows the first that failed."""
    NotebookClient(
        notebook,
        timeout=300,  # seconds for a cell; a lesson takes less than ten in all
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,  # times would change the file with every run
        coalesce_streams=True,  # join what is printed, whatever pieces it arrived in
    ).execute(env={**os.environ, "MATPLOTLIBRC": str(STYLE)})
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel added its version
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = output.text.replace(str(folder.parent), "..")


def drawn_pictures(notebook, folder):
    """The pictures that the cells of a notebook drew: {path: bytes}.

    ValueError for a cell whose number of pictures is not the number that the lesson shows below it.
    """
    drawn = {}
    for cell in notebook.cells:
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        images = [base64.b64decode(d["image/png"]) for d in data if "image/png" in d]
        names = cell.metadata.get("pictures", [])
        if len(images) != len(names):
            raise ValueError(
                f"{folder.name}: a cell draws {len(images)} pictures, and the lesson shows "
                f"{len(names)} below it: {cell.source}"
            )
        drawn.update({(folder / name).resolve(): image for name, image in zip(names, images)})
    return drawn


def sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def is_stale(folder):
    """Whether the lesson's notebook is missing or has other cells. Outputs do not count."""
    path = folder / "lesson.ipynb"
    if not path.exists():
        return True
    return sources(nbformat.read(path, as_version=4)) != sources(build(folder))


def write(notebook, path):
    """Write the notebook atomically; return whether the file changed."""
    nbformat.validate(notebook)
    content = (nbformat.writes(notebook).rstrip("\n") + "\n").encode("utf-8")
    return write_if_changed(path, content)


def open_lab(folder):
    """Open a copy of the lesson's notebook in JupyterLab. Installs JupyterLab if it is missing.

    The copy belongs to the learner: it is never overwritten, and git ignores it.
    """
    try:
        installed = version("jupyterlab")
    except PackageNotFoundError:
        installed = ""
    if not installed:
        print(f"Installing JupyterLab {JUPYTERLAB} into this environment, once.", flush=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
        if status := subprocess.call([*pip, f"jupyterlab=={JUPYTERLAB}"]):
            print("could not install JupyterLab; the lines above say why", file=sys.stderr)
            return status
    copy = folder / "my_lesson.ipynb"
    if not copy.exists():
        write(build(folder), copy)
    print(f"{copy.relative_to(folder.parent)} is your copy; delete it to get a fresh one")
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(copy)])


def main(arguments=None, root=ROOT):
    parser = Parser(prog="notebooks", description="The lessons as notebooks.")
    parser.add_argument("--stage", help="only this one")
    parser.add_argument("--check", action="store_true", help="only list the stale notebooks")
    parser.add_argument("--open", action="store_true", help="open that of --stage in JupyterLab")
    args = parser.parse_args(arguments)
    folders = lesson_folders(root)
    if args.stage or args.open:
        number = (args.stage or "").zfill(2)[:2]
        folders = [folder for folder in folders if folder.name[:2] == number]
        if not folders:
            parser.error(f"there is no lesson {args.stage or ''!r}; give 1 to 6")
    if args.open:
        return open_lab(folders[0])
    status = 0
    for folder in folders if args.check else track(folders, lambda folder: folder.name):
        path = folder / "lesson.ipynb"
        name = path.relative_to(root).as_posix()
        if args.check:
            if is_stale(folder):
                print(f"{name} is stale; make notebooks updates it from README.md")
                status = 1
            continue
        notebook = build(folder)
        try:
            execute(notebook, folder)
            images = drawn_pictures(notebook, folder)
        except (CellExecutionError, ValueError) as error:
            why = f"{error.ename}: {error.evalue}" if hasattr(error, "ename") else error
            fail("notebooks", f"{name} is not written, because a cell failed: {why}")
            status = 1
            continue
        for picture, image in images.items():
            write_if_changed(picture, image)
        print(f"{name} {'written' if write(notebook, path) else 'unchanged'}", flush=True)
    return status


if __name__ == "__main__":
    run_tool("notebooks", main)
