"""Build the course as a website: every page, the sources they link to and the explorer, in site/.

    python3 run.py site

Any server of static files can host the folder. No page asks another server for anything: formulas
become MathML here, and the fonts and scripts are in the folder. The explorer shows the models in
out/, so train them first.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

from stages import ROOT

from fontTools import subset
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from math_core import LatexError, LatexToMathML
from mkdocs.commands.build import build as build_pages
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, BuildError, ConfigurationError
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from command_line import fail, run_tool

WEBSITE = ROOT / "tools" / "website"  # the settings, the style and the template of the pages
SECTIONS = {  # a page is in the first section with a pattern that fits
    "Lessons": ("[0-9][0-9]_*/README.md",),
    "Further": (
        "docs/beyond.md", "docs/answers.md", "docs/experiments.md", "docs/losses.md",
        "docs/arrays.md", "GLOSSARY.md", "extras/README.md", "exercises/README.md",
    ),
    "Teaching": ("docs/workshop.md", "docs/handouts/*.md"),
    "About": ("data/README.md", "docs/*.md"),
}  # fmt: skip
NEEDS_ADDRESS = ("404.html", "sitemap.xml", "sitemap.xml.gz")  # wrong if the site has no fixed one
# Code in Markdown, so that it stays as it is, or the target of a link or an image.
CODE_OR_LINK = re.compile(
    r"^( *)```.*?^\1```$|`[^`]+`|(?<=\]\()(?P<link>[^)\s]+)(?=\))", re.M | re.S
)
LATEX = LatexToMathML(fancy_error=False)  # an error in one line
SHOWN_BY_BROWSERS = {".png", ".json", ".txt"}
NOT_IN_SEARCH = "---\nsearch:\n  exclude: true\n---\n\n"
# What a formula may contain: ASCII and Latin-1, accents, Greek, dashes and dots, primes, arrows,
# operators, brackets, and the italic letters that stand for a variable.
FORMULA_CHARACTERS = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x2C6, 0x2DD), (0x300, 0x315), (0x391, 0x3F6), (0x2010, 0x203F),
    (0x2061, 0x2064), (0x210E, 0x210E), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x27E8, 0x27E9),
    (0x1D434, 0x1D467), (0x1D6E2, 0x1D71B),
)  # fmt: skip


# --- Markdown, from GitHub's dialect to that of the generator ---


def formula(latex, block=False):
    """A formula in LaTeX as MathML. LatexError says what it does not know."""
    mathml = LATEX.convert_with_local_state(latex, displaystyle=block)
    return f'<div class="formula">{mathml}</div>' if block else mathml


class Formula(InlineProcessor):
    """A formula in a line of text."""

    def handleMatch(self, match, line):
        return self.md.htmlStash.store(formula(match[1])), match.start(), match.end()


class Mathematics(Extension):
    """GitHub's two ways to write a formula in a line: $`a`$ and $a$."""

    def extendMarkdown(self, md):
        # Code has priority 190, and a backslash that escapes a character has 180.
        md.inlinePatterns.register(Formula(r"\$`([^`]+)`\$", md), "formula-quoted", 195)
        pattern = r"(?<![\w$])\$(?=\S)([^$]+?)(?<=\S)\$(?![\w$])"
        md.inlinePatterns.register(Formula(pattern, md), "formula", 185)


def math_fence(source, *_, **__):
    """A block that is marked `math`, for the extension superfences."""
    return formula(source, block=True)


def indent_lists(text):
    """Indent what belongs to an item of a list by four spaces, where GitHub needs two or three.

    An item that follows several paragraphs also needs an empty line before it.
    """
    lines, width, in_code = [], 0, False
    has_paragraphs = False  # whether the current item has an empty line
    for line in text.splitlines():
        marker = re.match(r"[-*] |\d+\. ", line)
        in_code ^= line.startswith("```")
        if in_code:
            width = 0
        elif marker:
            if width and has_paragraphs and lines[-1]:
                lines.append("")
            width, has_paragraphs = len(marker[0]), False
        elif not line:
            has_paragraphs = True
        elif not line.startswith(" " * width):
            width = 0
        if width and line.startswith(" " * width):
            line = " " * 4 + line[width:]
        lines.append(line)
    return "\n".join(lines) + "\n"


def translate(text, change_link):
    """A page with change_link(target) instead of every link to a file of the project."""

    def replaced(match):
        link = match["link"]
        if link is None or re.match(r"#|[a-z]+:", link):
            return match[0]
        return change_link(link)

    text = CODE_OR_LINK.sub(replaced, text)
    text = re.sub("^<details>", '<details markdown="1">', text, flags=re.M)
    return indent_lists(text)


# --- the files of the site ---


def title(page):
    """The first heading of a page, up to its colon. A handout has that of its lesson."""
    heading = re.search(r"^# (.+)", page.read_text(encoding="utf-8"), re.M)[1].split(":")[0]
    return f"Handout {heading}" if page.parent.name == "handouts" else heading


def sections():
    """The pages of each section: {section: [path]}."""
    found, seen = {}, set()
    for section, patterns in SECTIONS.items():
        pages = [page for pattern in patterns for page in sorted(ROOT.glob(pattern))]
        found[section] = [page for page in pages if page not in seen]
        seen.update(pages)
    return found


def address(path):
    """Where a file is in the site: .github/x.yml becomes github/x.yml.

    Servers and the generator take a name that starts with a dot for a private one.
    """
    return "/".join(part.removeprefix(".") for part in path.relative_to(ROOT).parts)


def source_page(path):
    """A file of code as a page."""
    try:
        language = get_lexer_for_filename(path.name).aliases[0]
    except ClassNotFound:
        language = "text"
    name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    fence = f'~~~~~~~~ {{.{language} linenums="1"}}\n{text.rstrip()}\n~~~~~~~~\n'
    return f"{NOT_IN_SEARCH}# {name}\n\n{fence}"


class Collection:
    """The files from which the generator makes the site, in the folder `docs`."""

    def __init__(self, docs):
        self.docs = docs
        self.sources = set()  # files of code that have a page

    def write(self, name, text):
        target = self.docs / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def add_page(self, page):
        """Add a page of Markdown with everything that it links to."""

        def change_link(link):
            file, hash_sign, anchor = link.partition("#")
            path = (page.parent / file).resolve()
            if not (path.exists() and path.is_relative_to(ROOT)):
                name = page.relative_to(ROOT).as_posix()
                raise BuildError(f"{name} links to {link}, which is no file of the project")
            return relative(self.add_target(path), address(page.parent)) + hash_sign + anchor

        self.write(address(page), translate(page.read_text(encoding="utf-8"), change_link))

    def add_target(self, path):
        """Add what a page links to. Returns its name in docs."""
        name = address(path)
        if path.suffix == ".md":  # all of these are pages already
            return name
        if path.is_dir():
            return self.add_folder(path)
        if path.suffix in SHOWN_BY_BROWSERS:
            (self.docs / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.docs / name)
            return name
        self.sources.add(path)
        self.write(f"{name}.md", source_page(path))
        return f"{name}.md"

    def add_folder(self, folder):
        """Add a folder: its README.md or, if it has none, a list of all its files."""
        name = address(folder)
        if (folder / "README.md").exists():
            return f"{name}/README.md"
        lines = [f"{NOT_IN_SEARCH}# {folder.relative_to(ROOT).as_posix()}/\n"]
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                target = relative(self.add_target(path), name)
                lines.append(f"- [{path.relative_to(folder).as_posix()}]({target})")
        self.write(f"{name}/index.md", "\n".join(lines) + "\n")
        return f"{name}/index.md"


def relative(name, folder):
    return Path(os.path.relpath(name, folder)).as_posix()


def write_explorer(docs):
    """Write the explorer's page. Returns whether it could: it says itself what is missing."""
    command = [sys.executable, ROOT / "tools/explorer", "--no-open", "--out"]
    done = subprocess.run(
        [*command, docs / "explorer.html"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    print(done.stdout.replace(str(docs), "site"), end="", flush=True)
    return done.returncode == 0


def write_math_font(path):
    """The characters of formulas from a font with the sizes of brackets and roots, 180 KB.

    Without one, a browser draws all brackets as high as a letter. The font is STIX Two Math, which
    may be passed on under the SIL Open Font License, and the package ziamath brings it.
    """
    font_file = distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf")
    options = subset.Options(
        flavor="woff",
        layout_features=["ssty"],  # the forms for small letters above and below
        name_IDs=[0, 1, 2, 13, 14],  # the copyright, its two names and the licence
    )
    font = subset.load_font(str(font_file), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(
        unicodes=[code for first, last in FORMULA_CHARACTERS for code in range(first, last + 1)]
    )
    subsetter.subset(font)
    subset.save_font(font, str(path), options)


def navigation(sources, has_explorer):
    """What the menu of every page shows, in the form of mkdocs."""
    menu = [{"Home": "README.md"}]
    for section, pages in sections().items():
        entries = [{title(page): page.relative_to(ROOT).as_posix()} for page in pages]
        menu.append({section: entries})
    if has_explorer:
        menu.insert(2, {"Explorer": "explorer.html"})
    folders = {}
    for path in sources:
        name = PurePosixPath(path.relative_to(ROOT).as_posix())
        folders.setdefault(str(name.parent), []).append({name.name: f"{address(path)}.md"})
    code = [{folder: files} for folder, files in folders.items() if folder != "."]
    return [*menu, {"Code": [*code, *folders.get(".", [])]}]


def build(site):
    """Build the website in the folder `site`, whose old content goes. Returns has_explorer.

    Abort if a link is broken. An error leaves the old content.
    """
    with tempfile.TemporaryDirectory() as name:
        docs, new = Path(name).resolve() / "docs", Path(name).resolve() / "site"
        collection = Collection(docs)
        for page in [ROOT / "README.md", *sum(sections().values(), [])]:
            collection.add_page(page)
        has_explorer = write_explorer(docs)
        write_math_font(docs / "math.woff")
        config = load_config(
            str(WEBSITE / "mkdocs.yml"), docs_dir=str(docs), site_dir=str(new), strict=True,
            nav=navigation(sorted(collection.sources), has_explorer),
        )  # fmt: skip
        config.markdown_extensions.append(Mathematics())
        fence = {"name": "math", "class": "math", "format": math_fence}
        config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [fence]}
        build_pages(config)
        for path in NEEDS_ADDRESS:
            (new / path).unlink()
        shutil.rmtree(site, ignore_errors=True)
        shutil.move(new, site)
    return has_explorer


def main():
    site = ROOT / "site"
    try:
        has_explorer = build(site)
    except (Abort, BuildError, ConfigurationError, LatexError, OSError) as error:
        return fail("site", f"not built: {error}")
    if not has_explorer:
        print("site: without the explorer; the lines above say why", file=sys.stderr)
    pages = len(list(site.rglob("*.html")))
    print(f"site/ has {pages} pages; to look at them: {sys.executable} -m http.server -d site")
    return 0


if __name__ == "__main__":
    run_tool("site", main)
