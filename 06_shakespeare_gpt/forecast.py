"""How long a run will take and which val loss to expect, said once it has measured its own pace."""


def forecast(config, progress):
    """One line, from the pace of the first steps."""
    pace = progress.seconds / progress.done  # seconds a step
    seconds = progress.limit or pace * config.steps
    return f"about {seconds / 60:.1f} minutes"
