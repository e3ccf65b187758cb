"""Three operators through OLM, fresh and again: against kubernetes.core, kubectl, and what OLM itself needs.

Every operator's pod takes half a minute until it is ready, as on a cluster that has to pull an image. An operator is
there when its CSV is Succeeded, its Deployments are available and OLM has noted it in the Subscription.

Three at once take longer than one, whoever writes them: OLM's catalog operator keeps to client-go's default of five
requests a second (`cmd/catalog/main.go` of operator-lifecycle-manager sets no other; its log says "client-side
throttling"), so the plans appear one after another. With that limit lifted they took as long as one, and no other order
of writing took less. So `olm.fresh` is held against the same three by plain requests, and `olm.fresh_alone` shows what
OLM's limit costs.
"""

from __future__ import annotations

import os
import time
import typing as t

from benchmarks import limits
from benchmarks.lab import Lab
from benchmarks.rows import BenchmarkFailed, Row
from sandbox import audit
from sandbox.cluster import lifecycle

SLOW = 30.0  # seconds that every operator takes until it is ready
AGAIN = 3  # re-runs of each, of which the fastest counts
OFTEN = 8  # re-runs where the difference is small, and OLM is busy on the same cores
STALE = 1000  # InstallPlans that nobody needs any more
SURPLUS = 500  # OLM tidies up a few at a time while we measure
OURS, START, PEER, SCRIPT = "olm_ours.yml", "olm_start.yml", "olm.yml", "olm.sh"
REQUESTS = 5  # for each operator that is as wanted, at most


def measure() -> t.Iterator[Row]:
    """Yield the rows of this area."""
    with Lab() as lab:
        lab.slow_operators(SLOW)
        alone = max(limits.operator(lab.instance.kubeconfig, each) for each in limits.OPERATORS)
        lab.slow_operators(SLOW)
        together = limits.side_by_side(lab.instance.kubeconfig)
        lab.slow_operators(SLOW)
        by_kubectl = lab.script(SCRIPT)
        script = min(lab.script(SCRIPT) for _ in range(AGAIN))
        lab.slow_operators(SLOW)
        by_hand = lab.peer(PEER)
        lab.slow_operators(SLOW)
        start = min(lab.peer(START) for _ in range(AGAIN))
        fresh = lab.peer(OURS)
        yield from _fresh(fresh, start, alone, together, by_hand, by_kubectl)
        yield from _again(lab, script)


def _fresh(
    fresh: float, start: float, alone: float, together: float, by_hand: float, by_kubectl: float
) -> t.Iterator[Row]:
    what = f"three operators of {SLOW:.0f} s each"
    load = f"load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    yield Row(
        "olm.fresh",
        fresh,
        limit=together + start,
        goal=1.15,
        note=f"{what}, against the same three by plain requests ({together:.1f}) plus a play's start; {load}",
    )
    yield Row(
        "olm.fresh_alone",
        fresh,
        limit=alone + start,
        goal=1.5,
        note=f"{what}, against the slowest of them alone by plain requests ({alone:.1f}) plus a play's start",
    )
    yield Row("olm.fresh_core", fresh, peer=by_hand, note=f"{what}, against a kubernetes.core playbook")
    yield Row(
        "olm.fresh_kubectl",
        fresh,
        peer=by_kubectl + start,
        note=f"{what}, against kubectl and its loops ({by_kubectl:.1f}) plus a play's start",
    )


def _again(lab: Lab, script: float) -> t.Iterator[Row]:
    """Measure when all is there. Raises BenchmarkFailed when a re-run of ours could have changed something."""
    log = lab.instance.audit_log
    before = audit.mark(log)
    theirs = min(lab.peer(PEER) for _ in range(AGAIN))
    time.sleep(1.0)  # the audit log is written a moment later
    their_each = audit.count(audit.requests(log, before))["total"] / AGAIN / len(limits.OPERATORS)
    before = audit.mark(log)
    ours = min(lab.peer(OURS) for _ in range(AGAIN))
    time.sleep(1.0)
    counted = audit.count(audit.requests(log, before))
    if counted["mutating"]:
        raise BenchmarkFailed(f"olm.rerun: {len(counted['mutating'])} mutating requests: {counted['mutating'][0]}")
    each = counted["total"] / AGAIN / len(limits.OPERATORS)
    nothing = "three operators as wanted, no mutation"
    yield Row("olm.rerun", ours, peer=theirs, goal=0.2, note=f"{nothing}, against a kubernetes.core playbook")
    yield Row(
        "olm.rerun_kubectl",
        ours,
        peer=script,
        goal=1.5,
        note=f"{nothing}, start of ansible-playbook included, against kubectl, which looks at less",
    )
    yield Row(
        "olm.rerun_requests",
        each,
        limit=REQUESTS,
        unit="requests",
        note=f"for each operator, against the goal; {their_each:.1f} by kubernetes.core",
    )
    before_crowd = min(lab.peer(OURS) for _ in range(OFTEN))
    crowd(lab)
    stale = min(lab.peer(OURS) for _ in range(OFTEN))
    left = plans(lab)
    if left < STALE:
        raise BenchmarkFailed(f"olm.stale: only {left} stale plans were left in the end, OLM has removed the others")
    what = f"{nothing}, with {left} stale InstallPlans, against none"
    yield Row("olm.stale", stale, limit=before_crowd, goal=1.2, note=what)


def crowd(lab: Lab) -> None:
    """Put InstallPlans of long ago beside those of an operator."""
    api = lifecycle.client(lab.instance)
    _package, namespace, _channel, csv = limits.OPERATORS[0]
    path = f"{limits.OLM}/{namespace}/installplans"
    spec = {"approval": "Manual", "approved": True, "clusterServiceVersionNames": [csv], "generation": 1}
    for number in range(STALE + SURPLUS):
        name = f"stale-{number}"
        body = {"apiVersion": "operators.coreos.com/v1alpha1", "kind": "InstallPlan", "metadata": {"name": name}}
        api.request("POST", path, {**body, "spec": spec})


def plans(lab: Lab) -> int:
    """Return how many InstallPlans there are beside the operator."""
    found = lifecycle.client(lab.instance).get(f"{limits.OLM}/{limits.OPERATORS[0][1]}/installplans")
    return len((found or {}).get("items") or [])
