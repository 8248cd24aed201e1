"""The temporary cluster: one container in which the site's own phases run."""
