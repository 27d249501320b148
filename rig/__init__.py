"""What tests and benchmarks share: stacks of their own. A test that others need something of is no place for it."""
