"""Pictures of what the stages learned, drawn from their results and their saved models.

    python3 run.py plots [--stage 4] [--from out] [--into results]

A picture whose input is missing is skipped with one line. A file is written only if its bytes
change, so drawing twice changes nothing.
"""

import io
import sys
from pathlib import Path

from stages import ROOT, STAGES

from atomic_write import write_if_changed
from command_line import Parser, fail, run_tool
from plot_families import draw_context, draw_families
from plot_losses import draw_curves, draw_ladder, draw_loss
from plot_stages import (
    draw_boundary,
    draw_counts,
    draw_line_attention,
    draw_line_positions,
    draw_tables,
)
from plot_style import STYLE, Missing
from progress_bar import track
from trained_models import NoModel
from visible import visible

PICTURES = {  # file: the function that draws it from the folder of the file
    "01_micrograd/boundary.png": draw_boundary,
    "02_bigram_counts/counts.png": draw_counts,
    "03_bigram_learned/tables.png": draw_tables,
    "05_microgpt/families/families.png": draw_families,
    "05_microgpt/families/context.png": draw_context,
    "06_shakespeare_gpt/attention.png": draw_line_attention,
    "06_shakespeare_gpt/positions.png": draw_line_positions,
    "curves.png": draw_curves,
    "ladder.png": draw_ladder,
}


def loss_pictures(source):
    """{file: draw_loss} for every stage and for its variants, such as 05_microgpt/twin.

    Numbered runs, such as seeds/42 or ngram/names-4, are one folder deeper and get no picture. Nor
    are these the tries, which come from try_pictures().
    """
    variants = [path.parent.relative_to(source) for path in source.glob("*/*/result.json")]
    runs = [run.as_posix() for run in variants if run.parts[0] in STAGES]
    return {f"{run}/loss.png": draw_loss for run in sorted([*STAGES, *runs])}


def try_pictures(source):
    """{file: the function that draws it} for every try that has run since it was last drawn.

    A try of main.py gets all pictures of its stage, and one of a variant its losses.
    """
    pictures = {}
    for result in sorted(source.rglob("tries/*/result.json")):
        folder, stage = result.parent, result.parts[len(source.parts)]
        if stage not in STAGES:
            continue
        draws = {"loss.png": draw_loss}
        if folder.parent.parent == source / stage:
            own = {Path(name): draw for name, draw in PICTURES.items()}
            draws.update({p.name: draw for p, draw in own.items() if p.parent == Path(stage)})
        loss = folder / "loss.png"
        if not loss.exists() or loss.stat().st_mtime < result.stat().st_mtime:
            place = folder.relative_to(source).as_posix()
            pictures.update({f"{place}/{file}": draw for file, draw in draws.items()})
    return pictures


def render(draw, folder):
    """The bytes of one picture, the same every time."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        draw(folder).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def main(arguments=None):
    parser = Parser(prog="plots", description="Pictures of what was learned.")
    parser.add_argument("--stage", help="only the pictures of this stage and those of all stages")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="DIR",
        help="the folder of the runs (default: out)",
    )  # fmt: skip
    parser.add_argument("--into", type=Path, metavar="DIR", help="default: the same folder")
    args = parser.parse_args(arguments)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no pictures: matplotlib is not installed", file=sys.stderr)
        return 0
    number = (args.stage or "").zfill(2)[:2]
    if args.stage and number not in {stage[:2] for stage in STAGES}:
        return fail("plots", f"there is no stage {args.stage!r}; give 1 to 6")
    if args.source and not args.source.is_dir():
        problem = f"--from {args.source}: there is no such folder"
        return fail("plots", f"{problem}; give a folder with results")
    source = args.source or ROOT / "out"
    into = args.into or source
    pictures = {**PICTURES, **loss_pictures(source), **try_pictures(source)}
    if args.stage:
        pictures = {k: draw for k, draw in pictures.items() if "/" not in k or k[:2] == number}
    for name in track(pictures, label=visible):
        draw = pictures[name]
        folder = (source / name).parent
        try:
            if write_if_changed(into / name, render(draw, folder)):
                print(visible(f"{name} drawn"))
        except (Missing, NoModel) as reason:
            print(visible(f"{name} skipped: {reason}"))
        except Exception as error:  # a picture is an extra: it must never fail the run it follows
            print(visible(f"{name} skipped: {type(error).__name__}: {error}"))
    return 0


if __name__ == "__main__":
    run_tool("plots", main)
