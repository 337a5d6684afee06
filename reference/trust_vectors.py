"""Writes and checks the scenarios in vectors/seal and vectors/root.

    python3 reference/trust_vectors.py make     writes every scenario, always the same bytes
    python3 reference/trust_vectors.py check    judges every scenario with trust_verify.py

All private keys come from fixed seeds. They are for TESTS ONLY: everybody knows them.
"""

import base64
import itertools
import json
import sys

import fresh_scenarios
import group_scenarios
import root_scenarios
import seal_scenarios
import trust_verify as verify
from trust_parts import NOTE, NOW, ROOT, SEAL, STREAM, plain_root, text_or_base64


def seal_file(name, expect, why, inputs):
    made = {"scenario": why, "note": NOTE, "expect": expect, "stream": inputs.get("stream", STREAM)}
    made["clock"] = inputs.get("clock", {"trusted": NOW})
    if "state" in inputs:
        made["state"] = inputs["state"]
    made["root"] = inputs.get("root", plain_root()).decode()
    text_or_base64("envelope", inputs["envelope"], made)
    if "envelopePadTo" in inputs:
        made["envelopePadTo"] = inputs["envelopePadTo"]
    if "freshness" in inputs:
        text_or_base64("freshness", inputs["freshness"], made)
    if expect == "accept":
        made.update(judge_seal(made))
    return made


def root_vector(name, expect, why, chain):
    made = {"scenario": why, "note": NOTE, "expect": expect, "chain": []}
    for data in chain:
        item = {}
        text_or_base64("root", data.rstrip(b" "), item)
        if data.endswith(b" "):
            item["padTo"] = len(data)
        made["chain"].append(item)
    if expect == "accept":
        made.update(judge_root(made))
    return made


def embedded(name, holder):
    if name + "Base64" in holder:
        return base64.b64decode(holder[name + "Base64"])
    return holder[name].encode()


def judge_seal(vector):
    data = embedded("envelope", vector).ljust(vector.get("envelopePadTo", 0))
    state = verify.read_state(vector["state"].encode()) if "state" in vector else None
    clock, now = "unknown", None
    if vector["clock"] != "unknown":
        ((clock, now),) = vector["clock"].items()
        clock = {"trusted": "trusted", "lowerBound": "lower_bound"}[clock]
    root = verify.pin_root(vector["root"].encode())
    freshness = embedded("freshness", vector) if {"freshness", "freshnessBase64"} & set(vector) else None
    accepted, remembered = verify.verify_seal(data, root, vector["stream"], state, clock, now, freshness)
    return {"accepted": accepted, "stateAfter": verify.write_state(remembered)}


def judge_root(vector):
    chain = [embedded("root", item).ljust(item.get("padTo", 0)) for item in vector["chain"]]
    if len(chain) > 1:
        verify.follow_roots(chain[:-1])  # only the last root of a chain is refused
    return {"accepted": {"version": verify.follow_roots(chain)["version"]}}


ABOUT_SEALS = [
    seal_scenarios.seal_scenarios,
    seal_scenarios.image_scenarios,
    seal_scenarios.step_scenarios,
    seal_scenarios.limit_scenarios,
    group_scenarios.group_scenarios,
    fresh_scenarios.fresh_scenarios,
]
ABOUT_ROOTS = [
    root_scenarios.root_scenarios,
    root_scenarios.extension_scenarios,
    root_scenarios.order_scenarios,
    root_scenarios.limit_scenarios,
    root_scenarios.post_quantum_scenarios,
]


def make():
    for folder, generators, build in ((SEAL, ABOUT_SEALS, seal_file), (ROOT, ABOUT_ROOTS, root_vector)):
        for old in folder.glob("*.json"):
            old.unlink()
        for name, expect, why, inputs in itertools.chain(*(generator() for generator in generators)):
            path = folder / f"{name}.json"
            assert not path.exists(), path
            text = json.dumps(build(name, expect, why, inputs), indent=2, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
    return check()


def check():
    failed = 0
    for folder, judge in ((SEAL, judge_seal), (ROOT, judge_root)):
        paths = sorted(folder.glob("*.json"))
        for path in paths:
            vector = json.loads(path.read_text(encoding="utf-8"))
            expected = {name: vector[name] for name in ("expect", "accepted", "stateAfter") if name in vector}
            try:
                found = {"expect": "accept", **judge(vector)}
            except verify.Refused as refused:
                found = {"expect": str(refused)}
            if found != expected:
                failed += 1
                print(f"{path}: expected {expected}, found {found}", file=sys.stderr)
        print(f"{folder.name}: {len(paths)} scenarios")
        failed += not paths
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["make"], ["check"]):
        sys.exit(__doc__)
    sys.exit(make() if sys.argv[1] == "make" else check())
