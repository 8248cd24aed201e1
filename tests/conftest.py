"""What holds for every test: how long a property's example takes says something of the machine, and nothing of the code."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("airseal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("airseal")
