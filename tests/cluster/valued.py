"""An application whose Kubefile uses what people know, and which lets a site decide some things."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Final

KUBEFILE: Final = """\
ARG VERSION=v1.36.3
FROM busybox-tool AS tool
CMD never this
RUN --mount=type=cache,target=/cache --mount=type=secret,id=licence cp /run/secrets/licence /cache/ && echo "made in a stage" > /tmp/made
USER nobody

FROM kubernetes:${VERSION} AS common
COPY --from=tool --chmod=0600 /tmp/made /cluster/made.txt
CMD --timeout=2m kubectl apply -f - <<EOF
apiVersion: v1
kind: Namespace
metadata: {name: valued}
EOF

FROM common
COPY values.schema.json /cluster/
ADD chart.tgz /cluster/charts/
COPY report.sh /cluster/scripts/
CMD sh scripts/report.sh
CMD helm upgrade --install valued charts/chart -n valued -f "$AIRSEAL_VALUES"
"""
SCHEMA: Final = """\
{"type": "object", "required": ["db"], "properties": {
  "replicas": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1, "description": "how many web pods"},
  "motto": {"type": "string", "pattern": "^[a-z ]+$", "default": "first light"},
  "zone": {"type": "string", "default": "north", "x-immutable": true},
  "db": {"type": "object", "required": ["password"], "properties": {
    "host": {"type": "string", "default": "db"},
    "password": {"type": "string", "writeOnly": true, "minLength": 8, "description": "password of the database"}}}}}
"""
REPORT: Final = """\
set -eu
env | grep -c hunter22 && exit 1
kubectl create configmap report -n valued --from-literal=motto="$AIRSEAL_VALUE_MOTTO" \\
  --from-literal=hosts="$AIRSEAL_MASTERS+$AIRSEAL_NODES" --from-literal=pods="$AIRSEAL_POD_CIDR" --from-literal=api="$AIRSEAL_ENDPOINT" \\
  --from-literal=registry="$AIRSEAL_REGISTRY" --from-literal=made="$(cat made.txt)" \\
  --from-literal=secret="$(wc -c < "$AIRSEAL_SECRETS/db.password")" --dry-run=client -o yaml | kubectl apply -f -
echo "reported for $AIRSEAL_BUNDLE_NAME"
"""
CHART: Final = {
    "chart/Chart.yaml": "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
    "chart/values.yaml": "{}\n",
    "chart/templates/all.yaml": """\
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: {{ .Values.db.password | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: web, image: "docker.io/library/busybox:1.36", command: [sleep, "1000000"]}
""",
}


def write(context: Path, tool: str) -> Path:
    """Write the build context; ``tool`` is an image with a shell that docker has. Return the directory."""
    context.mkdir(parents=True, exist_ok=True)
    (context / "Kubefile").write_text(KUBEFILE.replace("busybox-tool", tool))
    (context / "values.schema.json").write_text(SCHEMA)
    (context / "report.sh").write_text(REPORT)
    with tarfile.open(context / "chart.tgz", "w:gz") as archive:
        for name, text in CHART.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return context
