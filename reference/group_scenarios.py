"""Scenarios about seals that several roles must sign, and about ML-DSA-65."""

import hashlib
import json

import mldsa65
import trust_verify as verify
from trust_parts import *  # noqa: F403

GOOD = compact(statement())
TO_SIGN = verify.pae(GOOD)
HASH_SHA512 = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03"  # the object identifier of SHA-512


def group_scenarios():
    """Yields (name, expected class, what it shows, inputs)."""
    yield from role_scenarios()
    yield from hybrid_scenarios()
    yield from post_quantum_scenarios()


def role_scenarios():
    second = rules((STREAM, rule("targets", "second")), roles={"second": role(1, HSM)})
    one_each = dict(root=plain_root(extension=second, more=[HSM]))
    yield seal("two-roles", "accept", "A key of each of the two roles signed.", envelope(GOOD, REL1, HSM), **one_each)
    yield seal("two-roles-by-first-alone", "threshold", "Only the first role signed.", envelope(GOOD, REL1), **one_each)
    yield seal("two-roles-by-second-alone", "threshold", "Only the second role signed.", envelope(GOOD, HSM), **one_each)
    yield seal(
        "two-roles-by-two-of-the-first", "threshold", "Two keys of one role are no key of the other.",
        envelope(GOOD, REL1, REL2), **one_each,
    )  # fmt: skip
    pairs = rules((STREAM, rule("second", "targets")), roles={"second": role(2, HSM, FOREIGN)})
    two_each = dict(root=plain_root(extension=pairs, targets=role(2, REL1, REL2), more=[HSM, FOREIGN]))
    yield seal(
        "two-roles-of-two", "accept", "Two of two keys in both roles.",
        envelope(GOOD, REL1, REL2, HSM, FOREIGN), **two_each,
    )  # fmt: skip
    yield seal(
        "two-roles-of-two-one-short", "threshold", "Three signatures, where each role needs two.",
        envelope(GOOD, REL1, HSM, FOREIGN), **two_each,
    )  # fmt: skip
    unused = rules((STREAM, rule("targets")), roles={"second": role(1, HSM)})
    yield seal(
        "role-that-the-rule-does-not-name", "threshold", "A role of another stream's rule.",
        envelope(GOOD, HSM), root=plain_root(extension=unused, more=[HSM]),
    )  # fmt: skip
    shared = rules((STREAM, rule("targets")), ("acme/*", rule("second")), roles={"second": role(1, REL1)})
    yield seal(
        "key-in-roles-of-two-rules", "accept", "A key may be in several roles, if no rule names both.",
        root=plain_root(extension=shared),
    )  # fmt: skip
    yield seal(
        "stream-with-a-wider-rule-of-more-roles", "accept", "Rules are not combined.",
        root=plain_root(extension=rules(
            (STREAM, rule()), ("acme/*", rule("targets", "second")), roles={"second": role(1, HSM)}), more=[HSM]),
    )  # fmt: skip
    named = {**rules((STREAM, rule())), "names": {REL1.id: "The release key"}}
    yield seal("named-keys", "accept", "Names decide nothing.", root=plain_root(extension=named))


def hybrid_scenarios():
    hybrid = rules((STREAM, rule("targets", "post-quantum")), roles={"post-quantum": role(1, PQ1)})
    both = dict(root=plain_root(extension=hybrid, more=[PQ1, PQ2]))

    def beside(name, why, signature):
        """An Ed25519 signature, and this one where that of the post-quantum role should be."""
        signatures = [entry(GOOD, REL1), {"sig": b64(signature)}]
        return seal(f"hybrid-{name}", "threshold", why, envelope(GOOD, signatures=signatures), **both)

    yield seal("hybrid", "accept", "An Ed25519 key and an ML-DSA key, each in its role.", envelope(GOOD, REL1, PQ1), **both)
    yield seal("hybrid-by-classical-alone", "threshold", "The ML-DSA key did not sign.", envelope(GOOD, REL1), **both)
    yield seal("hybrid-by-post-quantum-alone", "threshold", "The Ed25519 key did not sign.", envelope(GOOD, PQ1), **both)
    yield seal("hybrid-by-foreign-post-quantum-key", "threshold", "An ML-DSA key of no role.", envelope(GOOD, REL1, PQ2), **both)
    yield seal("hybrid-by-two-classical-keys", "threshold", "Two Ed25519 keys.", envelope(GOOD, REL1, REL2), **both)
    honest = PQ1.sign(TO_SIGN)
    yield beside("truncated", "The ML-DSA signature lacks a byte.", honest[:-1])
    yield beside("extended", "A zero byte follows the ML-DSA signature.", honest + b"\0")
    for part, position in (("challenge", 0), ("response", 1000), ("hint", 3300)):
        changed = bytearray(honest)
        changed[position] ^= 1
        yield beside(f"with-flipped-{part}", "A bit of the ML-DSA signature was changed.", bytes(changed))
    yield beside("without-digest-message", "The ML-DSA key signed DSSE's encoding directly.", PQ1.sign_directly(TO_SIGN))
    yield beside("over-payload", "The ML-DSA key signed the payload without DSSE's encoding.", PQ1.sign(GOOD))
    digest_message = verify.digest_message(TO_SIGN)
    yield beside("with-context", "A context that is not empty.", PQ1.sign_directly(digest_message, b"\0\3tuf"))
    yield beside(
        "prehashed", "HashML-DSA with SHA-512 is another algorithm.",
        PQ1.sign_directly(hashlib.sha512(TO_SIGN).digest(), b"\1\0" + HASH_SHA512),
    )  # fmt: skip
    version_two = b"tuf\x02" + hashlib.sha512(TO_SIGN).digest()
    yield beside("of-another-version", "The digest message says 2.", PQ1.sign_directly(version_two))
    yield beside("with-sha256", "The digest message has SHA-256.", PQ1.sign_directly(b"tuf\x01" + hashlib.sha256(TO_SIGN).digest()))
    yield beside("with-swapped-hints", "The hints in another order: a second spelling.", with_swapped_hints(honest))
    yield beside("with-hint-after-the-last", "A byte after the last hint: a second spelling.", with_hint_left(honest))
    yield beside("with-zeros", "An ML-DSA signature of zeros.", bytes(mldsa65.SIGNATURE_SIZE))
    yield seal(
        "hybrid-classical-signed-digest-message", "threshold", "Only ML-DSA keys sign the digest message.",
        envelope(GOOD, signatures=[{"sig": b64(REL1.sign(digest_message))}, entry(GOOD, PQ1)]), **both,
    )  # fmt: skip
    hints = [entry(GOOD, REL1, keyid=PQ1.id), entry(GOOD, PQ1, keyid=REL1.id)]
    yield seal(
        "hybrid-with-swapped-key-hints", "accept", "A hint decides nothing, not even the algorithm.",
        envelope(GOOD, signatures=hints), **both,
    )  # fmt: skip


def hint_part(signature):
    """Positions of the hints and the ends of the six polynomials, of an honest signature."""
    part = bytearray(signature[-mldsa65.OMEGA - mldsa65.ROWS :])
    return part, part[mldsa65.OMEGA :]


def with_swapped_hints(signature):
    part, ends = hint_part(signature)
    starts = [0, *ends]
    first = next(start for start, end in zip(starts, ends) if end - start >= 2)
    part[first], part[first + 1] = part[first + 1], part[first]
    return signature[: -len(part)] + bytes(part)


def with_hint_left(signature):
    part, ends = hint_part(signature)
    assert ends[-1] < mldsa65.OMEGA
    part[mldsa65.OMEGA - 1] = 255
    return signature[: -len(part)] + bytes(part)


def post_quantum_scenarios():
    def released_by(count, *keys):
        others = [key for key in keys if key not in USUAL_KEYS]
        return dict(root=plain_root(targets=role(count, *keys), more=others))

    yield seal("post-quantum-alone", "accept", "One role may have ML-DSA keys only.", envelope(GOOD, PQ1), **released_by(1, PQ1, PQ2))
    yield seal("post-quantum-two-of-two", "accept", "Two ML-DSA keys.", envelope(GOOD, PQ1, PQ2), **released_by(2, PQ1, PQ2))
    yield seal(
        "post-quantum-twice", "threshold", "Two signatures of one ML-DSA key are one signer.",
        envelope(GOOD, PQ1, PQ1), **released_by(2, PQ1, PQ2),
    )  # fmt: skip
    yield seal(
        "post-quantum-without-line-feed", "accept", "The other spelling of an ML-DSA key.",
        envelope(GOOD, PQ_BARE), **released_by(1, PQ_BARE),
    )  # fmt: skip
    yield seal(
        "either-algorithm", "accept", "One role with keys of both kinds, of which one must sign.",
        envelope(GOOD, PQ1), **released_by(1, REL1, PQ1),
    )  # fmt: skip
    yield seal(
        "three-algorithms", "accept", "Keys of all three kinds reach a threshold of three.",
        envelope(GOOD, PQ1, HSM, REL1), **released_by(3, REL1, HSM, PQ1),
    )  # fmt: skip
    foreign = SEAL / "foreign"
    keys = json.loads((foreign / "securesystemslib-ed25519-ml-dsa.keys.json").read_text())
    classical, post_quantum = (Raw(key["keyval"]["public"], key["keytype"], key["scheme"]) for key in keys.values())
    assert [classical.id, post_quantum.id] == list(keys)
    hybrid = rules(("demo/*", rule("targets", "post-quantum")), roles={"post-quantum": role(1, post_quantum)})
    yield seal(
        "written-by-securesystemslib-ml-dsa", "accept", "securesystemslib signed, with Ed25519 and ML-DSA-65 (randomised).",
        (foreign / "securesystemslib-ed25519-ml-dsa.json").read_bytes(), stream="demo/x86_64/stable",
        root=plain_root(extension=hybrid, targets=role(1, classical), more=[classical, post_quantum]),
    )  # fmt: skip
