"""Compares the verdicts of Treeseal with those of tuf and securesystemslib, case by case.

    trust_differential.py INTEROP [COUNT [SEED]]

INTEROP is the built example `interop`; it makes the samples and judges all cases in one run. COUNT
roots (20000) and as many envelopes are changed by `trust_mutations.py`; the same seed gives the same
cases.

What is compared

A root: whether it is the successor of a trusted one. tuf answers as its client does, by
`TrustedMetadataSet.update_root`. Expiry is part of neither answer. Where both accept, the bytes that
they take for the signed ones must be the same.

An envelope: whether enough of a role's keys signed it. What the payload says is no part of it, so
`interop judge` takes a seal that is refused for its statement as one whose signatures hold. The library
reads no JSON: it is given what Python's json makes of the bytes, as its users do. It leaves the type of
the payload to its caller, so that is checked here. Where both accept, the payload must be the same.

The library demands two things that DSSE does not. They are granted to it before it is asked, and how
often that mattered is printed:

  hints    every signature must have the id of the key that made it as its hint, and no hint may come
           twice. So each of the role's keys is tried on each signature, with the library's own code, and
           the hint is set; a second signature by a key gets another one.
  padding  base64 must be padded. So padding that is wholly absent is added.

A difference is explained by a reason of the tables below, which says why we refuse what they accept:
our class of refusal must be one of the reason's, and the reason must recognise the case from its bytes.
A difference without a reason, and one where we accept what they refuse, fails the run. So does a reason
that no case needed, or that docs/differences.md does not describe.
"""

import base64
import collections
import copy
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from securesystemslib._internal.utils import b64dec
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError
from securesystemslib.signer import Signature
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization.json import CanonicalJSONSerializer
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

import trust_mutations as mutations
import trust_verify as verify

COUNT, SEED = 20_000, 20260501
DOCUMENT = Path(__file__).resolve().parent.parent / "docs/differences.md"


# Their verdicts: what was understood, or None


def their_root(trusted, data, notes):
    known = TrustedMetadataSet(trusted, EnvelopeType.METADATA)
    try:
        root = known.update_root(data)
    except RepositoryError:
        return None
    except Exception as error:  # a refusal too, if not the one that tuf documents
        notes[f"tuf refused with {type(error).__name__}, which is no RepositoryError"] += 1
        return None
    return hashlib.sha256(CanonicalJSONSerializer().serialize(root)).hexdigest()


def their_envelope(role, data, notes):
    keys, threshold = role
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    plainly = verified(copy.deepcopy(value), keys, threshold)
    understood = verified(granted(value, keys), keys, threshold)
    if plainly != understood:
        assert plainly is None, "what the library accepts alone it must accept with hints and padding"
        notes["securesystemslib accepted only with hints or padding granted"] += 1
    return understood


def verified(value, keys, threshold):
    try:
        envelope = Envelope.from_dict(value)
        if envelope.payload_type != mutations.PAYLOAD_TYPE:
            return None
        envelope.verify(keys, threshold)
    except Exception:  # from_dict lets through whatever goes wrong inside
        return None
    return hashlib.sha256(envelope.payload).hexdigest()


def granted(value, keys):
    """The envelope with hints and padding as the library wants them; as it is where that is no question."""
    try:
        value["payload"] = padded(value["payload"])
        message = Envelope(b64dec(value["payload"]), value["payloadType"], {}).pae()
        found = set()
        for number, entry in enumerate(value["signatures"]):
            entry["sig"] = padded(entry["sig"])
            made_by = [key.keyid for key in keys if is_by(key, b64dec(entry["sig"]), message)]
            new = [name for name in made_by if name not in found]
            entry["keyid"] = new[0] if new else f"other {number}"
            found.update(new)
    except Exception:
        pass
    return value


def padded(text):
    return text if "=" in text else text + "=" * (-len(text) % 4)


def is_by(key, signature, message):
    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), message)
    except UnverifiedSignatureError:
        return False
    return True


# A case seen closely, for the reasons


class View:
    """A case as JSON readers of the more lenient kind see it."""

    def __init__(self, case, base):
        self.case, self.base, self.data = case, base, case.data
        self.has_constant = False
        self.numbers = []
        # As it stands, with all pairs of an object and numbers as texts; and with the last pair of a name.
        self.tree = json.loads(
            self.data, object_pairs_hook=mutations.Object, parse_constant=self.constant,
            parse_float=self.number, parse_int=self.number,
        )  # fmt: skip
        self.plain = json.loads(self.data)

    def constant(self, _):
        self.has_constant = True

    def number(self, text):
        self.numbers.append(text)

    def objects(self):
        return mutations.objects(self.tree)

    def depth(self):
        return depth(self.tree)

    def texts(self):
        yield from (text for _, _, text in mutations.leaves(self.tree, str))
        yield from (name for pairs in self.objects() for name, _ in pairs)

    @property
    def signed(self):
        return self.plain["signed"]

    @property
    def signatures(self):
        return self.plain["signatures"]

    @property
    def keys(self):
        return self.signed["keys"]

    @property
    def roles(self):
        return self.signed["roles"]


def depth(value):
    if not isinstance(value, list):
        return 0
    items = (item for _, item in value) if isinstance(value, mutations.Object) else value
    return 1 + max(map(depth, items), default=0)


def has_name_twice(view):
    return any(len(dict(pairs)) != len(pairs) for pairs in view.objects())


def has_unknown_field(view):
    unknown = lambda value, *known: bool(set(value) - set(known))  # noqa: E731
    signed = ("_type", "spec_version", "version", "expires", "consistent_snapshot", "keys", "roles", "x-treeseal")
    return (
        unknown(view.plain, "signed", "signatures")
        or unknown(view.signed, *signed)
        or any(unknown(entry, "keyid", "sig") for entry in view.signatures)
        or any(unknown(role, "keyids", "threshold") for role in view.roles.values())
        or any(unknown(key, "keytype", "scheme", "keyval") for key in view.keys.values())
        or any(unknown(key["keyval"], "public") for key in view.keys.values())
    )


def has_wrong_id(view):
    return any(is_wrong_id(name, key) for name, key in view.keys.items())


def is_wrong_id(name, key):
    try:
        return mutations.key_id(key) != name
    except FormatError:  # no canonical form, so no id
        return True


def has_key_twice(view):
    found = [verify.read_key(key)[0] for key in view.keys.values()]
    return len(set(found)) != len(found)


def has_unusable_key(view):
    """A key that the reference does not read; it knows the keys' encodings and the weak points."""
    return any(is_refused(lambda: verify.read_key(key)) for key in view.keys.values())


def is_refused(call):
    try:
        call()
    except verify.Refused:
        return True
    return False


def has_unknown_algorithm(view):
    known = set(mutations.Key.NAMES.values())
    return any((key["keytype"], key["scheme"]) not in known for key in view.keys.values())


def has_unlisted_key(view):
    return any(name not in view.keys for role in view.roles.values() for name in role["keyids"])


def has_unreachable_threshold(view):
    return any(role["threshold"] > len(set(role["keyids"])) for role in view.roles.values())


def has_other_hex(view):
    signatures = [(entry["keyid"], entry["sig"]) for entry in view.signatures]
    ids = [name for role in view.roles.values() for name in role["keyids"]]
    ids += [name for name, _ in signatures]
    return not all(is_text(name, r"[0-9a-f]{64}") for name in ids) or not all(
        is_text(sig, r"([0-9a-f]{2})*") for _, sig in signatures
    )


def is_text(value, pattern):
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def has_value_of_other_kind(view):
    texts = [entry.get(name, "") for entry in view.signatures for name in ("keyid", "sig")]
    others = False
    if view.case.kind == "root":
        roles = view.roles.values()
        texts += [name for role in roles for name in role["keyids"]]
        others = type(view.signed.get("consistent_snapshot", True)) is not bool
        others |= any(type(role["threshold"]) is not int or type(role["keyids"]) is not list for role in roles)
    return others or any(type(text) is not str for text in texts)


def is_beyond_limits(view):
    """Limits of spec/seal.md and spec/root.md; a signature of 4096 bytes has so many digits."""
    digits = 2 * 4096 if view.case.kind == "root" else 5464
    if len(view.data) > 256 * 1024 or len(view.signatures) > 64:
        return True
    if any(isinstance(entry["sig"], str) and len(entry["sig"]) > digits for entry in view.signatures):
        return True
    if view.case.kind == "root":
        return len(view.keys) > 128 or any(len(role["keyids"]) > 32 for role in view.roles.values())
    return len(b64dec(padded(view.plain["payload"]))) > 64 * 1024


def is_empty_where_it_must_not_be(view):
    if view.case.kind == "root":
        return any(not role["keyids"] for role in view.roles.values()) or any(not e["sig"] for e in view.signatures)
    return not view.plain["payload"] or any(not entry["sig"] for entry in view.signatures)


def has_other_base64(view):
    texts = [view.plain["payload"], *(entry["sig"] for entry in view.signatures)]
    return any(is_refused(lambda: verify.read_base64(text)) for text in texts)


def has_other_time(view):
    return is_refused(lambda: verify.read_time(view.signed["expires"]))


def has_other_spec_version(view):
    return not re.fullmatch(r"1(\.[0-9]{1,4}){1,2}", view.signed["spec_version"])


def has_other_extension(view):
    text = lambda signed: json.dumps(signed.get("x-treeseal"), sort_keys=True)  # noqa: E731
    return text(view.signed) != text(view.base["signed"])  # as text, because to Python True is 1


def is_not_plain_utf8(view):
    try:
        return view.data.decode("utf-8").startswith("\ufeff") or b"\0" in view.data
    except UnicodeDecodeError:
        return True


def has_lone_surrogate(view):
    return any("\ud800" <= char <= "\udfff" for text in view.texts() for char in text)


SCHEMA = {"field_type", "field_range", "field_missing", "field_unknown", "field_length", "field_value"}
EXTENSION = SCHEMA | {
    "stream_name", "stream_role", "role_name", "role_reserved", "image_format_unknown", "at_boot_unknown",
    "hex_malformed", "repeated", "threshold_unreachable", "role_key_unknown",
}  # fmt: skip
KEY = {"key_weak", "key_not_a_point", "key_hex", "key_pem"}

# The name, the kinds of cases, our classes of refusal, and how the case is recognised.
REASONS = [
    ("a name twice in one object", "root envelope", {"json_duplicate_key"}, has_name_twice),
    (
        "a number that is no plain integer", "root envelope", {"json_not_integer"},
        lambda view: any(not re.fullmatch(r"-?[1-9][0-9]*|0", text) for text in view.numbers),
    ),
    (
        "an integer beyond 64 bits", "root envelope", {"json_integer_range"},
        lambda view: any(len(text) > 18 for text in view.numbers),
    ),
    ("NaN or Infinity", "root envelope", {"json_syntax"}, lambda view: view.has_constant),
    ("half of a surrogate pair", "root envelope", {"json_syntax"}, has_lone_surrogate),
    ("nested too deep", "root envelope", {"json_too_deep"}, lambda view: view.depth() > 16),
    ("not plain UTF-8", "envelope", {"json_not_utf8", "json_syntax"}, is_not_plain_utf8),
    ("beyond the limits", "root envelope", {"json_too_large", "field_length"}, is_beyond_limits),
    ("empty", "root envelope", {"field_length"}, is_empty_where_it_must_not_be),
    ("an unknown field", "root", {"field_unknown"}, has_unknown_field),
    ("no consistent_snapshot", "root", {"field_missing"}, lambda view: "consistent_snapshot" not in view.signed),
    ("a value of another kind", "root envelope", {"field_type"}, has_value_of_other_kind),
    ("a threshold nobody can meet", "root", {"threshold_unreachable", "field_range"}, has_unreachable_threshold),
    ("a key id that is not the key's hash", "root", {"key_id_mismatch"}, has_wrong_id),
    ("one key under two ids", "root", {"key_under_two_ids"}, has_key_twice),
    ("a role's key that is not listed", "root", {"role_key_unknown"}, has_unlisted_key),
    ("an unknown algorithm", "root", {"key_unknown_algorithm"}, has_unknown_algorithm),
    ("a weak or misspelled key", "root", KEY, has_unusable_key),
    ("other hex", "root", {"hex_malformed"}, has_other_hex),
    ("another version of TUF's specification", "root", {"root_spec_version"}, has_other_spec_version),
    ("another form of time", "root", {"time_malformed"}, has_other_time),
    ("a rule of x-treeseal", "root", EXTENSION, has_other_extension),
    ("other base64", "envelope", {"base64"}, has_other_base64),
]  # fmt: skip


def reason_for(view, refusal):
    for name, kinds, refusals, recognises in REASONS:
        if view.case.kind in kinds and refusal in refusals:
            try:
                if recognises(view):
                    return name
            except Exception:  # other faults hide it: then it is not recognised
                pass
    return None


# The run


def main(interop, count, seed):
    print(f"seed {seed}: {count} roots and {count} envelopes")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([interop, "make", name], check=True)
        world = mutations.World(folder)
        bases = [base.trusted for base in world.roots + world.envelopes]
        cases = list(mutations.cases(world, seed, count))
        write_cases(folder / "cases", bases, cases)
        with (folder / "verdicts").open("wb") as output:
            judge = subprocess.Popen([interop, "judge", str(folder / "cases")], stdout=output)
            notes = collections.Counter()
            theirs = their_verdicts(bases, cases, notes)
            assert judge.wait() == 0, "interop judge failed"
        ours = (folder / "verdicts").read_text().split("\n")[:-1]
    assert len(ours) == len(cases), (len(ours), len(cases))
    counts, faults = compare(bases, cases, ours, theirs)
    report(counts, notes)
    print(f"{time.monotonic() - started:.0f} seconds")
    faults += unneeded(counts) if count >= COUNT else []
    faults += undocumented()
    for fault in faults[:10]:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(f"{len(faults)} faults; the first are above")


def write_cases(path, bases, cases):
    encoded = lambda data: base64.b64encode(data).decode()  # noqa: E731
    with path.open("w") as file:
        file.writelines(f"base {encoded(base)}\n" for base in bases)
        file.writelines(f"{case.kind} {case.base} {encoded(case.data)}\n" for case in cases)


def their_verdicts(bases, cases, notes):
    warnings.simplefilter("ignore", DeprecationWarning)  # of an older name of a key type
    roles = [release_role(base) for base in bases]
    verdicts = []
    for case in cases:
        if case.kind == "root":
            verdicts.append(their_root(bases[case.base], case.data, notes))
        else:
            verdicts.append(their_envelope(roles[case.base], case.data, notes))
    return verdicts


def release_role(trusted):
    root = Metadata[Root].from_bytes(trusted).signed
    role = root.roles["targets"]
    return [root.keys[name] for name in role.keyids], role.threshold


def compare(bases, cases, ours, theirs):
    counts = {kind: collections.Counter() for kind in ("root", "envelope")}
    faults = []
    for case, our, their in zip(cases, ours, theirs):
        verdict, _, understood = our.partition(" ")
        if verdict == "ok" and their == understood:
            outcome = "both accept"
        elif verdict != "ok" and their is None:
            outcome = "both refuse"
        elif verdict == "ok":
            outcome = "FAULT: " + ("we accept, they refuse" if their is None else "understood differently")
        else:
            view = View(case, json.loads(bases[case.base]))
            outcome = reason_for(view, verdict) or "FAULT: we refuse, they accept, no reason"
        counts[case.kind][outcome] += 1
        if outcome.startswith("FAULT"):
            faults.append(f"{outcome}\n  {case.kind} {case.base}, {case.label}\n  ours: {our}\n  {case.data!r}")
    return counts, faults


def report(counts, notes):
    names = ["both accept", "both refuse", *(name for name, *_ in REASONS)]
    names += sorted({name for counter in counts.values() for name in counter} - set(names))
    print(f"{'':45}{'roots':>8}{'envelopes':>11}")
    for name in names:
        print(f"{name:45}{counts['root'][name]:8}{counts['envelope'][name]:11}")
    for note, number in notes.items():
        print(f"{number} times {note}")


def unneeded(counts):
    """Reasons without a case, of which nobody knows whether they still hold."""
    met = set(counts["root"]) | set(counts["envelope"])
    return [f"no case needed the reason `{name}`" for name, *_ in REASONS if name not in met]


def undocumented():
    described = set(re.findall(r"^\| \*\*(.+?)\*\* \|", DOCUMENT.read_text(), re.MULTILINE))
    names = {name for name, *_ in REASONS}
    return [f"docs/differences.md and REASONS differ in `{name}`" for name in sorted(described ^ names)]


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]), *(COUNT, SEED)[len(sys.argv) - 2 :])
