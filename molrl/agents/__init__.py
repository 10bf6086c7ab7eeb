"""The agents: policies, their training, and the trained agents as generators."""

if __name__ != "molrl.agents":
    raise ImportError(
        f"import molrl.agents, not {__name__}: one file must not give two sets of classes"
    )
