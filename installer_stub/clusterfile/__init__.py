"""The Clusterfile: a site as it is wanted, in YAML. One schema checks it, documents it and is published."""
