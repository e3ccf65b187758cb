# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""REST paths of the kinds this collection works with, so that no discovery is needed. PRIVATE to the collection."""

from __future__ import annotations

import re
import typing as t

# Names of namespaces and of other objects, as most kinds have them; for fullmatch.
NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Kind(t.NamedTuple):
    """A resource as the API server serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or `version` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def crd(self) -> str:
        """Name of the CustomResourceDefinition that would define this kind."""
        return f"{self.plural}.{self.group}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """REST path of a collection (no name) or an object; without a namespace, of all namespaces.

        Raises ValueError for a name that is empty, or no single step of a path: the path would be another object's, or
        the collection's, and a DELETE would take all of it.
        """
        for step in (name, namespace):
            if name == "" or (step and (step in (".", "..") or not set(step).isdisjoint("/?#% "))):
                raise ValueError(f"{self.kind} {step!r} of namespace {namespace!r}: not a name")
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)

    def title(self, namespace: str | None, name: str) -> str:
        """Return how messages and diffs call an object of the kind."""
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"

    def at(self, version: str) -> Kind:
        """The same kind in another API version."""
        return self._replace(version=version)


NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
POD = Kind("", "v1", "pods", "Pod")
SERVICE = Kind("", "v1", "services", "Service")
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
EVENT = Kind("", "v1", "events", "Event")
PVC = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
RESOURCE_QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
STATEFUL_SET = Kind("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
JOB = Kind("batch", "v1", "jobs", "Job")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
API_SERVICE = Kind("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
SELF_SUBJECT_ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
CLUSTER_VERSION = Kind("config.openshift.io", "v1", "clusterversions", "ClusterVersion", namespaced=False)
ROUTE = Kind("route.openshift.io", "v1", "routes", "Route")
CATALOG_SOURCE = Kind("operators.coreos.com", "v1alpha1", "catalogsources", "CatalogSource")
SUBSCRIPTION = Kind("operators.coreos.com", "v1alpha1", "subscriptions", "Subscription")
INSTALL_PLAN = Kind("operators.coreos.com", "v1alpha1", "installplans", "InstallPlan")
CSV = Kind("operators.coreos.com", "v1alpha1", "clusterserviceversions", "ClusterServiceVersion")
OPERATOR_GROUP = Kind("operators.coreos.com", "v1", "operatorgroups", "OperatorGroup")
PACKAGE_MANIFEST = Kind("packages.operators.coreos.com", "v1", "packagemanifests", "PackageManifest")
KNATIVE_SERVING = Kind("operator.knative.dev", "v1beta1", "knativeservings", "KnativeServing")
KNATIVE_EVENTING = Kind("operator.knative.dev", "v1beta1", "knativeeventings", "KnativeEventing")
KNATIVE_KAFKA = Kind("operator.serverless.openshift.io", "v1alpha1", "knativekafkas", "KnativeKafka")
KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "services", "Service")
BROKER = Kind("eventing.knative.dev", "v1", "brokers", "Broker")
TRIGGER = Kind("eventing.knative.dev", "v1", "triggers", "Trigger")
SINK_BINDING = Kind("sources.knative.dev", "v1", "sinkbindings", "SinkBinding")
SONATAFLOW = Kind("sonataflow.org", "v1alpha08", "sonataflows", "SonataFlow")
SONATAFLOW_PLATFORM = Kind("sonataflow.org", "v1alpha08", "sonataflowplatforms", "SonataFlowPlatform")
SONATAFLOW_CLUSTER_PLATFORM = Kind(
    "sonataflow.org", "v1alpha08", "sonataflowclusterplatforms", "SonataFlowClusterPlatform", namespaced=False
)
BACKSTAGE = Kind("rhdh.redhat.com", "v1alpha5", "backstages", "Backstage")
