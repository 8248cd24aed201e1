"""Images: what they are, where they are kept, how they are served and recorded.

The leaf of the three packages. It knows nothing of clusters, hosts or bundles.

* ``oci``: values of the field: Digest, Reference, Descriptor, Manifest, Index.
* ``store``: content-addressed blobs and the names that point at them.
* ``serve``: the one ``RegistryApp`` that answers the OCI pull protocol, and its HTTP shell.
* ``record``: build side only: the recording proxy. Never frozen into an artifact.
"""
