"""The verbs. Each module has ``define(parser, verb)`` and ``run(arguments)``; heavy imports wait for ``run``."""
