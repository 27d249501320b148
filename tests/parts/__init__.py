"""All tests in parts: which there are, how they are run beside one another, and what is told of them."""
