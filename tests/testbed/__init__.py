"""The test bed: an internet of our own and blank hosts without one, so that every promise is tried on a real cluster.

Use it by hand with ``python -m tests.testbed --help``, or from a test::

    from tests.testbed.hosts import TestBed

    with TestBed(masters=1, nodes=1, name="upgrade") as bed:
        bed.masters[0].run("systemctl is-system-running")

Modules, from the bottom up: ``cache`` (where things are, built once) and ``progress``; ``docker_engine`` (an engine that
answers); ``part_table`` and ``parts`` (real Kubernetes from Go modules); ``rootfs`` (Debian trees); ``oci_image``,
``image_table`` and ``images`` (images under their upstream names); ``certificates``, ``releases`` and ``internet``
(registries and download sites behind TLS); ``addresses``, ``ssh``, ``blank_host`` and ``hosts`` (blank hosts); ``sniffer`` (proof that
nothing leaves).
"""
