"""Looking at a running cluster: is every workload ready, which image runs where."""
