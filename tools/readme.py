"""Fill the generated parts of the READMEs, GLOSSARY.md and docs/ from results/ and exercises/.

    python3 run.py readme [--check]

Markers are comments, so a rendered page does not show them. A block has two markers, each on a line
of its own, and the generated lines go between them:

    <!-- generated: table -->                      the full loss table
    <!-- generated: table short -->                its ten most important rows
    <!-- generated: output 04_embedding_mlp -->    what that stage printed
    <!-- generated: series 05_microgpt/ablate -->  a series of runs; also: modern, mixtures,
                                                   families, tokens, published, temperatures,
                                                   known, bench
                                                   (tools/experiments.py)
    <!-- generated: tries 04_embedding_mlp -->     the tries of a stage; also: try-text
    <!-- generated: predictions 05_microgpt -->    for handouts; also: exercises (tools/handouts.py)
    <!-- generated: scaling -->                    for docs/beyond.md; also: fine-tuning, answers,
                                                   preference (tools/beyond.py)
    <!-- end -->

A number within a line has a marker with a folder below results/, a dotted path in its result.json
and a Python format spec:

    <!-- 04_embedding_mlp loss.val .3f -->2.123<!-- end -->
    <!-- 02_bigram_counts/ngram/names-5 params ,d -->70,179<!-- end -->

The last part of the folder can also be the entry of a run in a table.json:

    <!-- 05_microgpt/families/mlp-8 loss.val .3f -->1.999<!-- end -->

"drawn", a temperature and a key ask for what many samples of a model are like (make score):

    <!-- 05_microgpt/twin drawn 0.5 in_train .0% -->41%<!-- end -->

"try" and a name ask for a run of tools/tries.toml. A second run after a minus is subtracted:

    <!-- try 04-context-8 loss.val - 04_embedding_mlp loss.val .3f -->-0.094<!-- end -->
"""

import re
import textwrap

from stages import ROOT

import beyond
import experiments
import handouts
import table
import tries
from atomic_write import write_atomically
from command_line import Parser, fail, run_tool
from learn.exercises import Problem
from table_rows import group_rows, read_result, read_results

PAGES = ("README.md", "[0-9][0-9]_*/README.md", "GLOSSARY.md", "docs/*.md", "docs/handouts/*.md")
END = "<!-- end -->"
BLOCK = re.compile(r"<!-- generated: (.*?) -->")
TABLES = {"table": table.markdown, "table short": table.short_markdown}
INLINE = re.compile(r"<!-- (?:\d\d_|try ).*? -->")
INLINE_PAIR = re.compile(r"<!-- ((?:\d\d_|try ).*?) -->.*?<!-- end -->")


class MarkerError(ValueError):
    """A marker cannot be filled. The message says which one and why."""


def fill(text, results, name="README.md"):
    """Return the text with every generated part replaced, from the folder `results`.

    Raises MarkerError, with `name` and the line number, for a marker that is not closed or asks for
    something that is not in `results`.
    """
    filled = []
    lines = iter(enumerate(text.split("\n"), 1))
    for number, line in lines:
        block = BLOCK.fullmatch(line.strip())
        try:
            if block is None:
                filled.append(fill_line(line, results))
            else:
                content = generate(block[1], results).rstrip("\n")
                skip_to_end(block[0], lines)
                indent = line[: len(line) - len(line.lstrip())]  # of a block in a list
                content = textwrap.indent(content, indent)
                filled += [line, "", content, "", indent + END]
        except MarkerError as error:
            raise MarkerError(f"{name}:{number}: {error}") from error
    return "\n".join(filled)


def skip_to_end(marker, lines):
    """Skip the old content of a block and its end marker."""
    for _, line in lines:
        if line.strip() == END:
            return
        if BLOCK.fullmatch(line.strip()):
            break
    raise MarkerError(f"{marker} is not closed; add a line {END} below it")


def generate(what, results):
    """The content of a block. what: a kind and, for some kinds, a folder of results/."""
    kind, _, stage = what.partition(" ")
    if what in TABLES:
        rows, problems = read_results(results)
        if problems or not rows:
            raise MarkerError(f"{what}: {problems[0] if problems else f'no result in {results}'}")
        return TABLES[what](group_rows(rows))
    measured = {**experiments.KINDS, **beyond.KINDS}
    if kind in measured:
        try:
            return measured[kind](results, stage)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MarkerError(f"{what}: {type(error).__name__}: {error}") from error
    if kind in handouts.KINDS:
        try:
            return handouts.KINDS[kind](stage)
        except Problem as problem:
            raise MarkerError(f"{what}: {problem}") from problem
    if kind != "output":
        kinds = ", ".join([*TABLES, "output", *measured, *handouts.KINDS])
        raise MarkerError(f"there is no kind {what!r}; the kinds are {kinds}")
    path = results / stage / "output.txt"
    try:
        return "```text\n" + path.read_text(encoding="utf-8").strip("\n") + "\n```"
    except OSError as error:
        raise MarkerError(f"{what}: {path}: {error.strerror}") from error


def fill_line(line, results):
    """Return the line with the number behind each of its markers replaced."""
    if len(INLINE.findall(line)) != len(INLINE_PAIR.findall(line)):
        marker = INLINE.search(line)[0]
        raise MarkerError(f"{marker} is not closed; close every marker on the same line with {END}")
    return INLINE_PAIR.sub(
        lambda pair: f"<!-- {pair[1]} -->{look_up(pair[1], results)}{END}", line
    )


def read_run(folder):
    """A result, or if the folder has a series next to it, the row of the entry with its name."""
    series = folder.parent / "table.json"
    if series.exists() and not folder.exists():
        rows = tries.read_json(series)["rows"]
        return next((row for row in rows if row["entry"] == folder.name), {})
    return read_result(folder / "result.json")


def look_up(marker, results):
    """The value that a marker such as "04_embedding_mlp loss.val .3f" asks for, formatted."""
    words = marker.split(" ")
    if words[0] == "try":
        try:
            return tries.look_up(results, marker)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise MarkerError(f"{marker}: {type(error).__name__}: {error}") from error
    if len(words) < 3:
        raise MarkerError(f"{marker}: give a folder, a path in its result and a format")
    folder, path, spec = words[0], " ".join(words[1:-1]), words[-1]
    try:
        if words[1] == "drawn":
            return format(experiments.drawn(results, folder, *words[2:-1]), spec)
        value = read_run(results / folder)
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                raise MarkerError(f"{marker}: there is no {key!r} in the result")
            value = value[key]
        return format(value, spec)
    except OSError as error:
        raise MarkerError(f"{marker}: {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise MarkerError(f"{marker}: {error}") from error


def stale_pages(root=ROOT):
    """Return {path: new text} for every page that differs from results/."""
    stale = {}
    for path in sorted(path for pattern in PAGES for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        new = fill(text, root / "results", path.relative_to(root).as_posix())
        if new != text:
            stale[path] = new
    return stale


def main(arguments=None, root=ROOT):
    parser = Parser(prog="readme", description="Fill the pages from results/.")
    parser.add_argument("--check", action="store_true", help="only list the stale pages")
    args = parser.parse_args(arguments)
    try:
        stale = stale_pages(root)
    except MarkerError as error:
        return fail("readme", str(error))
    for path, text in stale.items():
        name = path.relative_to(root).as_posix()
        if args.check:
            print(f"{name} is stale; make readme updates it from results/")
            continue
        write_atomically(path, text)
        print(f"{name} updated from results/")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    run_tool("readme", main)
