"""Seeded omissions: an application of which a build that only watches pulls sees nearly nothing. One image, one way to miss it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REGISTRY = "omitted.example"
DIGEST = "@DIGEST@"  # of omitted.example/pinned/app:1, known once it is pushed
POD = "containers: [{{name: main, image: '{image}'}}]"


@dataclass(frozen=True)
class Seed:
    """One way to need an image that no pod of the build pulls, or only a pod that is gone by the end."""

    what: str
    image: str
    yaml: str = ""
    runs: bool = False  # a pod of the build runs it, so it was recorded

    @property
    def text(self) -> str:
        """Return the object with the image in it."""
        return self.yaml.format(image=self.image, pod=POD.format(image=self.image))


def workload(kind: str, name: str, spec: str, api: str = "apps/v1") -> str:
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{{{name: {name}, namespace: omitted}}}}\nspec: {spec}\n"


def template(name: str, body: str = "{pod}", more: str = "") -> str:
    return f"selector: {{{{matchLabels: {{{{app: {name}}}}}}}}}, template: {{{{metadata: {{{{labels: {{{{app: {name}}}}}}}}}, spec: {{{{{body}{more}}}}}}}}}"


WORKERS = ", affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{{matchExpressions: [{{key: node-role.kubernetes.io/control-plane, operator: DoesNotExist}}]}}]}}}}}}"
ONCE = "spec: {{restartPolicy: Never, containers: [{{name: main, image: '{image}', command: ['true']}}]}}"
SLEEPS = "command: [sh, -c, 'sleep 1000000']"
HOST = "quay.io/library/busybox:1.36"  # runs beside what is looked for

SEEDS: tuple[Seed, ...] = (
    Seed("CronJob", f"{REGISTRY}/cron/job:1", workload("CronJob", "nightly", "{{schedule: '0 3 1 1 *', jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, {pod}}}}}}}}}}}", "batch/v1")),
    Seed("suspended Job", f"{REGISTRY}/suspended/job:1", workload("Job", "later", "{{suspend: true, template: {{spec: {{restartPolicy: Never, {pod}}}}}}}", "batch/v1")),
    Seed("Deployment with replicas 0", f"{REGISTRY}/zero/app:1", workload("Deployment", "zero", f"{{{{replicas: 0, {template('zero')}}}}}")),
    Seed("StatefulSet with replicas 0", f"{REGISTRY}/zero/db:1", workload("StatefulSet", "zero-db", f"{{{{replicas: 0, serviceName: x, {template('zero-db')}}}}}")),
    Seed("DaemonSet for workers only", f"{REGISTRY}/worker/agent:1", workload("DaemonSet", "agent", f"{{{{{template('agent', more=WORKERS)}}}}}")),
    Seed("initContainer", "docker.io/library/busybox:1.36", workload("Deployment", "init", "{{" + template("init", "initContainers: [{{name: before, image: '{image}', command: ['true']}}], containers: [{{name: main, image: '" + HOST + "', " + SLEEPS + "}}]") + "}}"), runs=True),
    Seed("imagePullPolicy: Always", "docker.io/library/busybox:1.36-glibc", workload("Deployment", "always", "{{" + template("always", "containers: [{{name: main, image: '{image}', imagePullPolicy: Always, " + SLEEPS + "}}]") + "}}"), runs=True),
    Seed("Job deleted on success", "docker.io/library/busybox:latest", workload("Job", "gone", "{{ttlSecondsAfterFinished: 0, template: {{" + ONCE + "}}}}", "batch/v1"), runs=True),
    Seed("same path on two registries", HOST, runs=True),
    Seed("tag@digest", f"{REGISTRY}/pinned/app:1@{DIGEST}", workload("Deployment", "pinned", f"{{{{replicas: 0, {template('pinned')}}}}}")),
    Seed("image volume", f"{REGISTRY}/volume/model:1", workload("Deployment", "model", "{{replicas: 0, " + template("model", "containers: [{{name: main, image: '" + HOST + "'}}], volumes: [{{name: model, image: {{reference: '{image}'}}}}]") + "}}")),
    Seed("helper pod named only in a ConfigMap", f"{REGISTRY}/helper/pod:1", "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: helper, namespace: omitted}}\ndata:\n  pod.yaml: |\n    kind: Pod\n    spec:\n      containers:\n        - name: helper\n          image: {image}\n"),
    Seed("only in an environment variable", f"{REGISTRY}/env/operand:1", workload("Deployment", "operator", "{{" + template("operator", "containers: [{{name: main, image: '" + HOST + "', " + SLEEPS + ", env: [{{name: RELATED_IMAGE_OPERAND, value: '{image}'}}]}}]") + "}}")),
    Seed("only in an argument", f"{REGISTRY}/argument/sidecar:1", workload("Deployment", "injector", "{{" + template("injector", "containers: [{{name: main, image: '" + HOST + "', command: [sh, -c, 'sleep 1000000', '--sidecar={image}']}}]") + "}}")),
    Seed("only in a custom resource, as a pod template", f"{REGISTRY}/custom/template:1", workload("Database", "by-template", "{{podTemplate: {{spec: {{{pod}}}}}}}", "example.com/v1")),
    Seed("only in a custom resource, in parts", f"{REGISTRY}/custom/parts:2", "apiVersion: example.com/v1\nkind: Database\nmetadata: {{name: in-parts, namespace: omitted}}\nspec: {{image: {{repository: " + f"{REGISTRY}/custom/parts" + ", tag: '2'}}}}\n"),
    Seed("helm hook", f"{REGISTRY}/helm/hook:1"),
    Seed("helm test", f"{REGISTRY}/helm/test:1"),
    Seed("helm, on the next upgrade only", f"{REGISTRY}/helm/upgrade:1"),
    Seed("a chart that no CMD installs", f"{REGISTRY}/helm/extra:1"),
    Seed("sidecar that admission adds to a pod", "docker.io/library/nginx:1.27", workload("Deployment", "injected", "{{" + template("injected", "containers: [{{name: main, image: '" + HOST + "', " + SLEEPS + "}}]").replace("labels: {{", "labels: {{inject: 'yes', ") + "}}"), runs=True),
    Seed("the tag beside a digest", f"{REGISTRY}/pinned/app:1"),
    Seed("listed in images.txt", f"{REGISTRY}/listed/tool:1"),
    Seed("listed in images.d", f"{REGISTRY}/listed/more:1"),
)
FOREIGN = f"{REGISTRY}/foreign/arm:1"  # has nothing for these hosts: blocked, with a reason
ABSENT = f"{REGISTRY}/absent/app:1.0"  # looks like an image; there is none
BRANCH = f"{REGISTRY}/helm/branch:1"  # of a chart's values, which no value chose: named, and not in
RUNTIME = "kata"  # a runtime class whose handler no host here has

_DATABASES = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Database, plural: databases, singular: database}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: v1
kind: Namespace
metadata: {name: omitted}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: kata}
handler: kata-qemu
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: sidecar}
spec:
  matchConstraints:
    objectSelector: {matchLabels: {inject: "yes"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: 'Object{spec: Object.spec{containers: [Object.spec.containers{name: "sidecar", image: "docker.io/library/nginx:1.27"}]}}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: sidecar}
spec: {policyName: sidecar}
"""
_SANDBOXED = f"""\
apiVersion: batch/v1
kind: CronJob
metadata: {{name: sandboxed, namespace: omitted}}
spec:
  schedule: 0 3 1 1 *
  jobTemplate:
    spec:
      template:
        spec:
          runtimeClassName: {RUNTIME}
          restartPolicy: Never
          containers: [{{name: main, image: "{HOST}"}}]
"""
_HOOK = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, annotations: {{helm.sh/hook: {event}}}}}
spec: {{restartPolicy: Never, containers: [{{name: main, image: "{image}"}}]}}
"""
_CONDITIONS = """\
conditions:
  - name: the sidecar is in
    of: {kind: deployment.apps, namespace: omitted, name: injected}
    timeout: 120
    cel: |
      object.status.readyReplicas >= 1 && object.status.observedGeneration == object.metadata.generation &&
      object.status.conditions.exists(c, c.type == "Available" && c.status == "True")
"""
_KUBEFILE = """\
FROM kubernetes:v1.36.3
COPY --from=docker.io/library/busybox:1.36 /bin/busybox /cluster/files/busybox
COPY . /cluster/
CMD kubectl apply -f manifests/first.yaml && kubectl wait --for=condition=Established crd/databases.example.com
CMD --timeout=2m until kubectl -n omitted run probe --image=x --labels=inject=yes --dry-run=server --output=yaml | grep -q sidecar; do sleep 1; done
CMD kubectl apply -f manifests/app.yaml
CMD helm install web charts/web --namespace omitted
"""


def write(directory: Path, digest: str) -> Path:
    """Write the application and return its directory. ``digest`` is that of the pinned image."""
    foreign = workload("DaemonSet", "arm", f"{{{{{template('arm', more=', nodeSelector: {{kubernetes.io/arch: arm64}}')}}}}}")
    texts = [seed.text for seed in SEEDS if seed.yaml] + [Seed("", FOREIGN, foreign).text]
    texts.append(_SANDBOXED)
    texts.append(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes, namespace: omitted}}\ndata: {{example: '{ABSENT}'}}\n")
    files = {
        "Kubefile": _KUBEFILE,
        "manifests/first.yaml": _DATABASES,
        "manifests/app.yaml": "---\n".join(texts).replace(DIGEST, digest),
        "conditions.yaml": _CONDITIONS,
        "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        "charts/web/values.yaml": f"metrics: {{enabled: false, image: '{BRANCH}'}}\n",
        "charts/web/templates/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n",
        "charts/web/templates/hook.yaml": _HOOK.format(name="cleanup", event="post-delete", image=f"{REGISTRY}/helm/hook:1"),
        "charts/web/templates/test.yaml": _HOOK.format(name="smoke", event="test", image=f"{REGISTRY}/helm/test:1"),
        "charts/web/templates/upgrade.yaml": "{{ if .Release.IsUpgrade }}\n" + _HOOK.format(name="migrate", event="pre-upgrade", image=f"{REGISTRY}/helm/upgrade:1") + "{{ end }}\n",
        "charts/extra/Chart.yaml": "apiVersion: v2\nname: extra\nversion: 0.1.0\n",
        "charts/extra/templates/pod.yaml": _HOOK.format(name="extra", event="test", image="{{ .Values.image }}"),
        "charts/extra/values.yaml": f"image: {REGISTRY}/helm/extra:1\n",
        "images.txt": f"{REGISTRY}/listed/tool:1  # nobody pulls it\n",
        "images.d/more.txt": f"{REGISTRY}/listed/more:1\nblocked: {FOREIGN}  # these hosts are amd64\n",
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
