"""The verbs that work on a site, beside installing it: what they share is the session, then one file each."""
