"""Gymnasium environments for molecular design, and the transition function that they share."""

if __name__ != "molrl.envs":
    raise ImportError(
        f"import molrl.envs, not {__name__}: one file must not give two sets of classes"
    )
