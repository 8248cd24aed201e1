"""Which of the names in a Kubefile mean a base that is built from its recipe: the user's own in ``bases/``, then ours."""

from __future__ import annotations

from pathlib import Path

from bundler.bases.recipe import Recipe, find_recipe
from bundler.errors import RecipeError
from bundler.kubefile.stages import Stages
from registry_snapshot.oci.descriptor import Platform


def recipes_of(stages: Stages, platform: Platform, own: Path) -> dict[str, Recipe]:
    """Return the recipe of every name that has one. ``own`` is the user's directory of recipes, which need not be there.

    Raises KubefileError with the line of a name whose version no recipe has.
    """
    found: dict[str, Recipe] = {}
    for named in stages.images():
        try:
            recipe = find_recipe(named.image, platform, own) or find_recipe(named.image, platform)
        except RecipeError as error:
            raise stages.kubefile.error(named.line, error.problem, error.remedy) from None
        if recipe is not None:
            found[named.image] = recipe
    return found
