"""Real registry clients: how each is started, told where to pull, and asked to pull; and what it then sends.

Modules, from the bottom up: ``images`` (what the upstream offers: the same bytes each time), ``scenarios`` (what is asked
for), ``trace`` (what was sent, as files), ``world`` (a network without a way out), ``client`` (the interface), one module
for each client, ``matrix`` (all of them), ``upstream`` and ``skins`` (who answers), ``run`` (one client's whole story).

``python -m tests.clients.record`` writes the traces in tests/fixtures/traces anew.
"""
