"""Hosts and how we reach them: values, commands, connections."""
