"""What holds for every test: how long a property's example takes says something of the machine, and nothing of the code."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("airseal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airseal")

# Under nohup, or in the background of a shell, these are ignored, and every program that a test starts ignores them too.
# What is tested is what a person at a terminal sees.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
