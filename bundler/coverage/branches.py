"""Images in a chart that no value chose: in its ``values.yaml``, and written out in templates, whatever is rendered of them.

A site that sets ``metrics.enabled`` gets another rendering than the build saw, and there is no end of renderings. So nothing of this is
fetched: what its registry has is said, once, and whoever reads it lists it or keeps it out by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from bundler.coverage.candidates import Certainty, Found
from bundler.coverage.text import images_in
from bundler.coverage.walk import YAML_LOADER, images_of
from installer_stub.bundle.reasons import Scanned

MOST: Final = 8 << 20  # characters of all texts of a chart
_FILE: Final = 256 << 10  # bytes of one text: the largest charts' values have 150 KB
_UNPACKED: Final = 256 << 20  # bytes of an archive that are unpacked
_BEGINS: Final = "\x1e"  # a name; no YAML has these two
_ENDS: Final = "\x1d"  # of the name
# $1: a chart's directory or archive. Charts in it may be archives themselves.
TEXTS: Final = f"""\
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unpack() {{ mkdir "$2" && gzip -dc "$1" | head -c {_UNPACKED} | tar -x --no-same-owner -C "$2" -f -; }}
if [ -d "$1" ]; then top=$1; else top=$work/top; unpack "$1" "$top" || exit 1; fi
number=0
find "$top" -path '*/charts/*.tgz' -type f | sort | head -n 50 | while read -r each; do
  number=$((number + 1)); unpack "$each" "$work/part$number"
done
for root in "$top" "$work"/part*; do
  [ -d "$root" ] || continue
  find "$root" -type f \\( -name values.yaml -o -path '*/templates/*.yaml' -o -path '*/templates/*.yml' -o -path '*/templates/*.tpl' \\) | sort | while read -r each; do
    printf '\\036%s\\035' "${{each#"$root"/}}"; head -c {_FILE} "$each"
  done
done | head -c {MOST + 1}
"""


def images_of_texts(said: str, title: str) -> Iterator[Found]:
    """Yield what the output of ``TEXTS`` names, as something of the chart called ``title``."""
    for part in said.split(_BEGINS)[1:]:
        file, _, text = part.partition(_ENDS)
        if file.rpartition("/")[2] == "values.yaml":
            yield from _of_values(text, f"{title}: {file}")
        else:
            yield from _of_template(text, f"{title}: {file}")


def _of_values(text: str, subject: str) -> Iterator[Found]:
    try:
        documents = [each for each in yaml.load_all(text, YAML_LOADER) if isinstance(each, dict)]
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return  # helm says so, too, and louder
    for document in documents:
        for each in images_of({"kind": "Values", "Values": document}, subject):
            if each.certainty >= Certainty.NAMED:
                yield each


def _of_template(text: str, subject: str) -> Iterator[Found]:
    for number, line in enumerate(text.splitlines(), 1):
        if "{{" not in line and not line.lstrip().startswith("#"):
            for word, certainty in images_in(line):
                if certainty >= Certainty.NAMED:
                    yield Found(word, Scanned(subject, f"line {number}"), certainty)
