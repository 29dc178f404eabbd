"""Show what a stage changes in the one before, part by part: python3 run.py diff 4 [--full].

tools/diff.toml has the idea of each part, and the files to compare where these are not the two
main.py. What has only moved, or only has other comments, is named but not shown.
"""

import ast
import difflib
import re
import textwrap
from dataclasses import dataclass, replace

from stages import ROOT, STAGES

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from command_line import Parser, run_tool

IDEAS = ROOT / "tools" / "diff.toml"
BANNER = re.compile(r"# ---- (.+?) -+")
RENAMED = 0.5  # share of equal lines from which two functions of other names are the same one
REWRITTEN = 0.25  # share of equal lines below which only the new form of a function is shown
STYLES = {"part": "bold", "fact": "dim", "title": "bold cyan", "+": "green", "-": "red"}


# ---- the pieces of a file ----------------------------------------------------------------------
@dataclass(frozen=True)
class Piece:
    """A function, class or other statement, with the comments above it."""

    file: str  # such as 05_microgpt/torch_twin.py
    part: str  # the banner that it is under; "" in a file without banners
    name: str
    lines: tuple
    code: str  # without comments, docstrings and line breaks


def name_of(node):
    """The name that a statement defines, or else its first line."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node).split("\n")[0]


def without_docstrings(*nodes):
    """The code of some statements, however it is explained and broken into lines."""
    tree = ast.parse("\n".join(map(ast.unparse, nodes)))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def first_line(node, lines):
    """The index of the line on which a statement begins: its comments and decorators count."""
    index = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    while index and re.match(r" *#(?! ---- )", lines[index - 1]):
        index -= 1
    return index


def read_pieces(file):
    """The pieces of a file in their order, without its docstring, its imports and its last call."""
    source = (ROOT / file).read_text(encoding="utf-8")
    lines = source.splitlines()
    banners = [(i, BANNER.match(line)[1]) for i, line in enumerate(lines) if BANNER.match(line)]
    skipped = (ast.Import, ast.ImportFrom, ast.Expr, ast.If)
    pieces = []
    for node in ast.parse(source).body:
        if not isinstance(node, skipped):
            start = first_line(node, lines)
            above = [name for i, name in banners if i < start] or [name for _, name in banners[:1]]
            text, code = tuple(lines[start : node.end_lineno]), without_docstrings(node)
            pieces.append(Piece(file, above[-1] if above else "", name_of(node), text, code))
    return pieces


def members(piece, each_field):
    """A class in pieces: its head and each method. each_field: each field in place of the head."""
    (node,) = ast.parse("\n".join(piece.lines)).body
    apart = (ast.FunctionDef, ast.AnnAssign) if each_field else ast.FunctionDef
    inner = [member for member in node.body if isinstance(member, apart)]
    starts = [first_line(member, piece.lines) for member in inner] + [len(piece.lines)]
    head = tuple("\n".join(piece.lines[: starts[0]]).rstrip().split("\n"))
    code = without_docstrings(*(member for member in node.body if member not in inner))
    pieces = [] if each_field else [replace(piece, lines=head, code=code)]
    for start, member in zip(starts, inner):
        text, code = piece.lines[start : member.end_lineno], without_docstrings(member)
        is_field = isinstance(member, ast.AnnAssign)
        name = member.target.id if is_field else f"{piece.name}.{member.name}"
        pieces.append(replace(piece, name=name, lines=text, code=code))
    return pieces


def imported(files):
    """The names of the modules that these files import."""
    nodes = [node for file in files for node in ast.parse((ROOT / file).read_text("utf-8")).body]
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {*plain, *(node.module for node in nodes if isinstance(node, ast.ImportFrom))}


# ---- which piece comes from which ----------------------------------------------------------------
def likeness(a, b):
    """The share of lines that two pieces have in common, blank ones aside."""
    a, b = ([line.strip() for line in piece.lines if line.strip()] for piece in (a, b))
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def match(olds, news):
    """Return {new piece: the old one that it comes from} and the old ones that are gone.

    olds, news: the pieces of each part, as {part: pieces}. A name decides first, in the same part
    or else in another one, and then the code.
    """
    matched = {}
    left = [(part, piece) for part, pieces in olds.items() for piece in pieces]
    rules = (
        lambda old, new: old[0] == new[0] and old[1].name == new[1].name,
        lambda old, new: old[1].name == new[1].name,
        lambda old, new: old[0] == new[0] and likeness(old[1], new[1]) >= RENAMED,
    )
    for rule in rules:
        for new in [(part, piece) for part, pieces in news.items() for piece in pieces]:
            old = next((old for old in left if new[1] not in matched and rule(old, new)), None)
            if old:
                matched[new[1]] = old[1]
                left.remove(old)
    return matched, [piece for _, piece in left]


def split_changed_classes(olds, news, brief):
    """Put the members of a class in its place where the class has changed, in both dicts.

    brief: the parts in which the fields are members, too.
    """
    matched, _ = match(olds, news)
    pairs = [pair for pair in matched.items() if pair[0].code != pair[1].code and is_class(*pair)]
    split = {piece for pair in pairs for piece in pair}
    for parts in (olds, news):
        for part, pieces in parts.items():
            whole = [members(p, part in brief) if p in split else [p] for p in pieces]
            parts[part] = sum(whole, [])


def is_class(*pieces):
    return all(re.search(r"^class ", piece.code, re.M) for piece in pieces)


# ---- what to show --------------------------------------------------------------------------------
def read_about(stage):
    """What tools/diff.toml says about a stage. Its files and parts are filled in if it has none."""
    about = tomllib.loads(IDEAS.read_text(encoding="utf-8")).get(stage, {})
    before = STAGES[STAGES.index(stage) - 1]
    files = {"old": [f"{before}/main.py"], "new": [f"{stage}/main.py"]}
    files |= {key: about[key] for key in files if key in about}
    parts = about.get("part") or [
        {"name": name} for name in dict.fromkeys(p.part for p in read_pieces(files["new"][0]))
    ]
    return {"note": "", **about, **files, "part": [{**files, **part} for part in parts]}


def in_part(files, part):
    """The pieces of these files under a banner; a file without banners belongs to it as a whole."""
    pieces = [piece for file in files for piece in read_pieces(file)]
    return [piece for piece in pieces if piece.part in (part, "")]


def changed_lines(old, new):
    """The lines of a changed piece as (sign, line), without most of those that stay."""
    old, new = ([line for line in piece.lines if line.strip()] for piece in (old, new))
    shown = []
    for line in list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]:
        if not line.startswith("@@"):
            shown.append((line[0], f"{line[0]} {line[1:]}"))
        elif shown:
            shown.append((" ", "  ..."))
    return shown


def describe(part, olds, news, matched, gone):
    """A part as (style, line): what stays, moves and goes, and then each piece that is new."""
    facts = {"as before": [], "moved": [], "new": [], "changed": [], "gone": []}
    facts["gone"] = [old.name for old in olds if old in gone]
    blocks = []
    for new in news:
        old = matched.get(new)
        was = f", which was {old.name}" if old and old.name != new.name else ""
        if old and old.code == new.code and old in olds:
            facts["as before"].append(new.name + was)
        elif old and old.code == new.code:
            facts["moved"].append(f"{new.name}{was}, from {old.part or old.file}")
        elif part.get("brief"):
            facts["changed" if old else "new"].append(new.name + was)
        elif old and likeness(old, new) >= REWRITTEN:
            blocks += [("", ""), ("title", f"  {new.name}: changed{was}"), *changed_lines(old, new)]
        else:
            title = f"  {new.name}: {'rewritten' if old else 'new'}{was}"
            blocks += [("", ""), ("title", title)]
            blocks += [("+", f"+ {line}".rstrip()) for line in new.lines]
    if facts["as before"] and not blocks and not any(list(facts.values())[1:]):
        return [("part", f"---- {part['name']}: as before")]
    lines = [("part", f"---- {part['name']} {'-' * (90 - len(part['name']))}")]
    lines += [("", line) for line in textwrap.wrap(part.get("idea", ""), 96)]
    for fact, names in facts.items():
        if names:
            text = textwrap.wrap(f"{fact}: {', '.join(names)}", 94, subsequent_indent="  ")
            lines += [("fact", f"  {line}") for line in text]
    return lines + blocks


def headline(stage, about):
    """The first lines: what is new, as the stage's own main.py says it, and what to know."""
    before = STAGES[STAGES.index(stage) - 1]
    doc = ast.get_docstring(ast.parse((ROOT / stage / "main.py").read_text("utf-8"))) or ""
    lines = [("part", f"{before} -> {stage}"), ("", doc.split("\n")[0])]
    lines += [("", text) for text in re.findall(r"^(?:Same as|New in) .*$", doc, re.M)]
    lines += [("", ""), *(("", line) for line in textwrap.wrap(about["note"], 96))]
    olds, news = imported(about["old"]), imported(about["new"])
    for what, names in (("imports now", news - olds), ("no longer imports", olds - news)):
        if names:
            lines.append(("fact", f"  {what}: {', '.join(sorted(names))}"))
    return lines


def compare(stage):
    """The changes of a stage as (style, line)."""
    about = read_about(stage)
    parts = about["part"]
    olds, news = (
        {part["name"]: in_part(part[key], part.get("banner", part["name"])) for part in parts}
        for key in ("old", "new")
    )
    split_changed_classes(olds, news, {part["name"] for part in parts if part.get("brief")})
    matched, gone = match(olds, news)
    lines = headline(stage, about)
    for part in parts:
        name = part["name"]
        lines += [("", ""), *describe(part, olds[name], news[name], matched, gone)]
    _, diff = unified(stage)
    whole = f"the unified diff of the two main.py, {len(diff.splitlines())} lines"
    return [*lines, ("", ""), ("fact", f"{whole}: make diff {int(stage[:2])} ARGS=--full")]


def unified(stage):
    """The unified diff of the two main.py: a line with its counts, and the diff."""
    names = [f"{folder}/main.py" for folder in (STAGES[STAGES.index(stage) - 1], stage)]
    old, new = ((ROOT / name).read_text(encoding="utf-8").splitlines() for name in names)
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    body = lines[2:]  # the first two lines name the files
    added = sum(line.startswith("+") for line in body)
    removed = sum(line.startswith("-") for line in body)
    summary = f"{names[0]} to {names[1]}: {added} lines added, {removed} removed"
    return summary, "\n".join(lines)


def main():
    parser = Parser(prog="diff", description="What a stage changes.")
    parser.add_argument("stage", choices=STAGES, help="the folder of the later stage")
    parser.add_argument("--full", action="store_true", help="the unified diff of the two main.py")
    args = parser.parse_args()
    if args.stage == STAGES[0]:
        parser.error(f"{args.stage} is the first stage; give the number of a later one")
    console = Console(markup=False, highlight=False)
    if args.full:
        summary, diff = unified(args.stage)
        if console.is_terminal:
            style = {"theme": "ansi_dark", "background_color": "default"}
            console.print(summary, soft_wrap=True)
            console.print(Syntax(diff, "diff", word_wrap=True, **style))
        else:
            print(f"{summary}\n{diff}")
        return 0
    for style, line in compare(args.stage):
        if console.is_terminal:
            console.print(Text(line, STYLES.get(style, "")), soft_wrap=True)
        else:
            print(line)
    return 0


if __name__ == "__main__":
    run_tool("diff", main)
