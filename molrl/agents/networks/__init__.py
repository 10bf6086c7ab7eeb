"""Networks of policies: encoder, densities of sub-actions, actor-critics."""
