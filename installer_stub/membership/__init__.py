"""Membership: whether a host is part of the cluster, from evidence. What nobody can tell is never taken for a no."""
