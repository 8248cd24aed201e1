"""Quiescence: the proof that a cluster has become what its manifests ask for, and that nothing is on its way any more.

One implementation for a build's recording and a site's acceptance (docs/adr/0020). ``judge`` is pure; ``look`` asks, ``settle`` waits.
"""
