"""The parts of docs/handouts/*.md that come from exercises/*.toml. make readme fills them in."""

from learn.exercises import find_stage, read_lesson

BLANK = "________"


def predictions(stage):
    """The questions to answer before the run, each with room for a number or boxes to tick."""
    lines = []
    for number, prediction in enumerate(read_lesson(find_stage(stage)).predictions, 1):
        boxes = " &emsp; ".join(f"☐ {choice}" for choice in prediction.choices)
        room = f"<br>{boxes}" if boxes else f" {BLANK}"
        lines.append(f"{number}. {prediction.question}{room}")
    return "\n".join(lines)


def exercises(stage):
    """A box to tick for each exercise."""
    return " &emsp; ".join(f"☐ {name}" for name in read_lesson(find_stage(stage)).names)


KINDS = {"predictions": predictions, "exercises": exercises}
