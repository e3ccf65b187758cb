#!/usr/bin/env bash
# Three operators with kubectl and the loops that people write: look, sleep 5, look again.
set -euo pipefail

operators=(
  "serverless-operator openshift-serverless stable-1.37 serverless-operator.v1.37.1"
  "logic-operator openshift-serverless-logic stable logic-operator.v1.38.1"
  "rhdh rhdh-operator fast-1.10 rhdh-operator.v1.10.3"
)

for operator in "${operators[@]}"; do
  read -r name namespace channel csv <<<"$operator"
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata: {name: $namespace}
---
apiVersion: operators.coreos.com/v1
kind: OperatorGroup
metadata: {name: $namespace, namespace: $namespace}
spec: {}
---
apiVersion: operators.coreos.com/v1alpha1
kind: Subscription
metadata: {name: $name, namespace: $namespace}
spec:
  name: $name
  channel: $channel
  source: redhat-operators
  sourceNamespace: openshift-marketplace
  startingCSV: $csv
  installPlanApproval: Manual
YAML
done

for operator in "${operators[@]}"; do
  read -r name namespace _ csv <<<"$operator"
  if [ -n "$(kubectl get subscription "$name" -n "$namespace" -o jsonpath='{.status.installedCSV}')" ]; then
    continue
  fi
  until plan=$(kubectl get subscription "$name" -n "$namespace" -o jsonpath='{.status.installPlanRef.name}') && [ -n "$plan" ]; do
    sleep 5
  done
  kubectl patch installplan "$plan" -n "$namespace" --type merge -p '{"spec":{"approved":true}}'
done

for operator in "${operators[@]}"; do
  read -r name namespace _ csv <<<"$operator"
  until [ "$(kubectl get csv "$csv" -n "$namespace" -o jsonpath='{.status.phase}' 2>/dev/null)" = Succeeded ]; do
    sleep 5
  done
  kubectl wait deployment -n "$namespace" -l "olm.owner=$csv" --for=condition=Available --timeout=600s
done
