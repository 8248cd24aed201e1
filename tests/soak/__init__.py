"""Soak: the product under power cuts, kills, torn files and mistakes, on real clusters, for as long as one likes.

    python -m tests.soak --list
    python -m tests.soak --minutes 120 --run build/cluster-tests/shop.run
    python -m tests.soak --only 'kill-*'

Modules, from the bottom up: ``facts`` (named facts, and how two sets of them differ), ``tree`` (files), ``host_state`` (one
host), ``cluster_state`` (nodes, etcd, workloads), ``machine_state`` (everything that reset must put back); ``site`` (a bed
with an installer that can be killed), ``moments`` (when); ``scenario`` and the modules named after what they try; ``lanes``
(two at a time), ``report``.
"""
