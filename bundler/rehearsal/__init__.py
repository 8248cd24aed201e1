"""Rehearsal: the finished file installs itself on blank hosts without a network, and then meets what sites bring. Or it is not built."""
