"""The stub on a host as one process for a whole run: what it is asked, how it answers, and who may change the site."""
