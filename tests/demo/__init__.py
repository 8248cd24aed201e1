"""The main job as a stranger sees it: ``make demo``. Its steps serve the tests on real clusters too."""
