"""The environments: the rules of the game, written once, and their Gymnasium faces."""

if __name__ != "molrl.envs":
    raise ImportError(
        f"import molrl.envs, not {__name__}: one file must not give two sets of classes"
    )
