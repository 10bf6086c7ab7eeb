"""Agents: policies, their training, and trained agents as generators of molecules."""

if __name__ != "molrl.agents":
    raise ImportError(
        f"import molrl.agents, not {__name__}: one file must not give two sets of classes"
    )
