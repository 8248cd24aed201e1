"""Hosts that a build makes: one closed network, systemd in containers, an operator beside them. They end with the build."""
