"""Preflight: pure functions from plan and facts to findings."""
