"""Kubefile: a Dockerfile whose image carries /cluster, with one or several CMD."""
