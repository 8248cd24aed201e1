"""What gets frozen into an artifact: read a bundle, prepare hosts, install and prove a cluster, serve its images.

May import ``registry_snapshot.{oci,store,serve}``, never ``record``, ``bundler``, docker or an HTTP client library.
``--help``, ``inspect`` and ``verify`` do not import paramiko.
"""
