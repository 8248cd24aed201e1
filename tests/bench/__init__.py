"""Benchmarks: ratios against a peer, measured in one run on one machine. ``python -m tests.bench --help``.

Nothing here asserts a time. Modules: ``measure`` (the value), ``table`` (JSON and Markdown), ``bench`` (what all measures
are given), ``machine``; one module a subject: ``start``, ``sizes``, ``sealing``, ``installing`` with its peer ``by_hand``
and ``pull_sources``, ``memory`` with ``process_tree`` and ``pulling``, ``recording`` with ``far_away``, ``serving`` with
``serving_sides`` and the client ``puller``; ``resealing`` is what two of them share.
"""
