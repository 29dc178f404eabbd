"""How long a run will take and which val loss to expect, said when it has measured its own pace."""

def forecast(config, progress):
    return "TODO"
