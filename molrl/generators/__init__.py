"""Ways to make molecules other than agents."""
