"""The verbs of ``airseal``, a module each: its options, and what it does. A module is imported when its verb is used."""
