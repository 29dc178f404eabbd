"""What a run can expect, said soon after its start: how long it takes and what it reaches."""

from math import log

LOOK_AT = 40  # the step after which there is something to say: two or three seconds on two cores

# Complete runs of the default model, all else default: steps, and the best val loss in nats per
# character. Each schedule runs down within its own steps, so these are no points of one curve.
MEASURED = [(150, 2.247), (400, 1.731), (1000, 1.548), (2000, 1.479), (3600, 1.458)]
MODEL = dict(batch_size=32, block_size=96, n_embd=128, n_head=2, n_layer=4, dropout=0.0)
RECIPE = dict(preset="cpu", learning_rate=0.005, muon_learning_rate=0.02, weight_decay=0.3)


def val_loss(steps):
    """The val loss to expect of so many steps: between two measured ones, straight in log(steps).

    None outside of what was measured.
    """
    for (n0, loss0), (n1, loss1) in zip(MEASURED, MEASURED[1:]):
        if n0 <= steps <= n1:
            return loss0 + (loss1 - loss0) * log(steps / n0) / log(n1 / n0)
    return None


def duration(seconds):
    return f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"


def say(config, progress):
    """One line: steps and time of the whole run, by its pace so far, and the val loss to expect."""
    pace = progress.seconds / progress.done  # seconds a step
    steps = round(60 * config.minutes / pace) if config.minutes else config.steps
    line = f"{pace * 1000:.0f} ms a step: {steps:,} steps in about {duration(pace * steps)}"
    known = all(getattr(config, name) == value for name, value in (MODEL | RECIPE).items())
    loss = val_loss(steps) if known and config.data == type(config).data else None
    return line + (f"; expect a val loss near {loss:.2f}" if loss else "")
