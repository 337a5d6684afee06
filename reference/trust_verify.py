"""Treeseal's rules on seals and trust roots, a second time: plain, slow, and independent of the Rust code.

Written from spec/seal.md and spec/root.md. `verify_seal` and `follow_roots` return what is accepted or
raise `Refused` with the class of refusal. Signatures are checked with the package `cryptography`; the
points of Ed25519 are computed here, because that package does not say which keys are weak, and
signatures of ML-DSA-65 are checked a second time with `mldsa65.py`.
"""

import base64
import datetime
import functools
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa

import mldsa65

MAX_ENVELOPE = 256 * 1024
MAX_PAYLOAD = 64 * 1024
MAX_ROOT = 256 * 1024
MAX_STATE = 1024 * 1024
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "treeseal:tree/v1"
FRESH_TYPE = "treeseal:fresh/v1"
STATE_TYPE = "treeseal:rollback-state/v1"
FORMATS = ["composefs/0", "composefs/1"]
ALGORITHMS = {"fsverity-sha256-4096": 64, "fsverity-sha512-4096": 128}  # to digits of hex
LONGEST_FRESH = 31 * 86400
LATEST_CREATION = 86400
CLOCK_SKEW = 300
TUF_ROLES = ["root", "snapshot", "targets", "timestamp"]


class Refused(Exception):
    """The input is refused; the message is the class of refusal."""


def refuse_unless(condition, code):
    if not condition:
        raise Refused(code)


# Strict JSON


def read_json(data, limit):
    refuse_unless(len(data) <= limit, "json_too_large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("json_not_utf8") from None
    check_depth(text)
    decoder = json.JSONDecoder(
        object_pairs_hook=pairs_to_object, parse_int=read_integer, parse_float=no_float, parse_constant=no_constant
    )
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError:
        raise Refused("json_syntax") from None
    refuse_unless(text[end:].strip(" \t\r\n") == "", "json_trailing_bytes")
    check_surrogates(value)
    return value


def check_depth(text):
    """Counts brackets outside strings, before anything recurses."""
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.S):
        if token.group() in "[{":
            depth += 1
            refuse_unless(depth <= MAX_DEPTH, "json_too_deep")
        elif token.group() in "]}":
            depth -= 1


def pairs_to_object(pairs):
    refuse_unless(len({key for key, _ in pairs}) == len(pairs), "json_duplicate_key")
    return dict(pairs)


def read_integer(text):
    refuse_unless(text != "-0", "json_not_integer")
    refuse_unless(len(text) <= 20 and -(2**63) <= int(text) < 2**64, "json_integer_range")
    return int(text)


def no_float(_):
    raise Refused("json_not_integer")


def no_constant(_):
    raise Refused("json_syntax")


def check_surrogates(value):
    if isinstance(value, str):
        refuse_unless(not any(0xD800 <= ord(char) < 0xE000 for char in value), "json_syntax")
    elif isinstance(value, list):
        for item in value:
            check_surrogates(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_surrogates(key)
            check_surrogates(item)


def canonical(value):
    """OLPC canonical JSON."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    return json.dumps(value)


# Fields


class Fields:
    """An object that is taken apart field by field."""

    def __init__(self, value):
        refuse_unless(isinstance(value, dict), "field_type")
        self.left = dict(value)

    def take(self, name, kind, required=True):
        if name not in self.left:
            refuse_unless(not required, "field_missing")
            return None
        value = self.left.pop(name)
        refuse_unless(type(value) is kind, "field_type")
        return value

    def integer(self, name, low, high):
        value = self.take(name, int)
        refuse_unless(low <= value <= high, "field_range")
        return value

    def items(self, name, low, high, required=True):
        value = self.take(name, list, required)
        refuse_unless(value is None or low <= len(value) <= high, "field_length")
        return value

    def end(self):
        refuse_unless(not self.left, "field_unknown")


def strings(values):
    for value in values or []:
        refuse_unless(type(value) is str, "field_type")
    return values or []


def read_time(text):
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", text)
    refuse_unless(match, "time_malformed")
    year, month, day, hour, minute, second = map(int, match.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    good = year >= 1970 and 1 <= month <= 12 and 1 <= day <= lengths[month - 1]
    refuse_unless(good and hour < 24 and minute < 60 and second < 60, "time_malformed")
    return text  # texts of this form sort as the times do


def seconds(time):
    """Seconds since 1970 of a time that `read_time` gave."""
    return int((datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ") - datetime.datetime(1970, 1, 1)).total_seconds())


def read_stream(text):
    parts = text.split("/")
    good = len(text.encode()) <= 255 and len(parts) <= 16
    good = good and all(re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,64}", part) for part in parts)
    refuse_unless(good, "stream_name")
    return text


def read_hex(text, lengths, code):
    refuse_unless(len(text) in lengths and re.fullmatch(r"[0-9a-f]*", text), code)
    return bytes.fromhex(text)


def no_repeats(values):
    refuse_unless(len(set(values)) == len(values), "repeated")


def has_control_character(text):
    return re.search("[\x00-\x1f\x7f-\x9f]", text) is not None


# Keys and signatures

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493


def edwards_add(a, b):
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x3 = (x1 * y2 + y1 * x2) * pow(1 + product, P - 2, P) % P
    y3 = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return (x3, y3)


def edwards_multiply(number, point):
    result = (0, 1)
    while number:
        if number & 1:
            result = edwards_add(result, point)
        point = edwards_add(point, point)
        number >>= 1
    return result


def edwards_decode(data):
    """RFC 8032, 5.1.3; None if the bytes are not the encoding of a point."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return (x if x & 1 == sign else P - x, y)


@functools.cache
def is_weak(point):
    small = edwards_multiply(8, point) == (0, 1)
    return small or edwards_multiply(ORDER, point) != (0, 1)


def read_pem(text, is_wanted):
    """The key in a PEM text, which may lack its last line feed only."""
    try:
        key = serialization.load_pem_public_key(text.encode())
        written = key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    except (ValueError, UnsupportedAlgorithm):
        raise Refused("key_pem") from None
    refuse_unless(text in (written, written[:-1]), "key_pem")
    refuse_unless(is_wanted(key), "key_pem")
    return key


def is_p256(key):
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"


def is_mldsa65(key):
    return isinstance(key, mldsa.MLDSA65PublicKey)


def read_key(value):
    """A TUF key object as (comparable value, function that checks a signature)."""
    fields = Fields(value)
    kind, scheme = fields.take("keytype", str), fields.take("scheme", str)
    inner = Fields(fields.take("keyval", dict))
    public = inner.take("public", str)
    inner.end()
    fields.end()
    if (kind, scheme) == ("ed25519", "ed25519"):
        data = read_hex(public, [64], "key_hex")
        point = edwards_decode(data)
        refuse_unless(point is not None, "key_not_a_point")
        refuse_unless(not is_weak(point), "key_weak")
        return ("ed25519", data), lambda message, sig: ed25519_verifies(data, message, sig)
    if (kind, scheme) == ("ml-dsa", "ml-dsa-65/1"):
        key = read_pem(public, is_mldsa65)
        data = key.public_bytes_raw()
        return ("ml-dsa-65", data), lambda message, sig: mldsa65_verifies(data, message, sig)
    refuse_unless((kind, scheme) == ("ecdsa", "ecdsa-sha2-nistp256"), "key_unknown_algorithm")
    key = read_pem(public, is_p256)
    numbers = key.public_numbers()
    return ("p256", numbers.x, numbers.y), lambda message, sig: p256_verifies(key, message, sig)


def ed25519_verifies(public, message, signature):
    if len(signature) != 64:
        return False
    point = edwards_decode(signature[:32])
    if point is None or edwards_multiply(8, point) == (0, 1):
        return False
    return verifies(lambda: ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message))


def p256_verifies(key, message, signature):
    return verifies(lambda: key.verify(signature, message, ec.ECDSA(hashes.SHA256())))


def mldsa65_verifies(public, message, signature):
    message = digest_message(message)
    key = mldsa.MLDSA65PublicKey.from_public_bytes(public)
    good = verifies(lambda: key.verify(signature, message))
    assert good == mldsa65.verify(public, message, signature), "two implementations of ML-DSA-65 disagree"
    return good


def digest_message(message):
    """What an ML-DSA key signs, as TUF's TAP 21 has it."""
    return b"tuf\x01" + hashlib.sha512(message).digest()


def verifies(check):
    try:
        check()
    except InvalidSignature:
        return False
    return True


def key_id(key):
    return hashlib.sha256(canonical(key).encode()).hexdigest()


def meeting_signers(role, keys, message, signatures, code):
    """The ids of the role's keys that signed, as many as its threshold asks for; see `signers`."""
    who = signers(role, keys, message, signatures)
    refuse_unless(len(who) >= role["threshold"], code)
    return who


def signers(role, keys, message, signatures):
    """The ids of the role's keys that signed; `signatures` are pairs of claimed id (or None) and bytes."""
    counted = {}
    for name in role["keyids"]:
        value, check = keys[name]
        mine = [sig for claim, sig in signatures if claim in (None, name)]
        if value not in counted and any(check(message, sig) for sig in mine):
            counted[value] = name
    return list(counted.values())


# Trust roots


def read_roles(value, most):
    refuse_unless(isinstance(value, dict), "field_type")
    refuse_unless(len(value) <= most, "field_length")
    roles = {}
    for name in sorted(value):
        refuse_unless(re.fullmatch(r"[a-z0-9-]{1,64}", name), "role_name")
        fields = Fields(value[name])
        ids = strings(fields.items("keyids", 0, 32))
        for text in ids:
            read_hex(text, [64], "hex_malformed")
        threshold = fields.integer("threshold", 1, 2**32 - 1)
        fields.end()
        roles[name] = {"keyids": ids, "threshold": threshold}
    return roles


def read_rule(value):
    fields = Fields(value)
    names = strings(fields.items("roles", 1, 8))
    for name in names:
        refuse_unless(re.fullmatch(r"[a-z0-9-]{1,64}", name), "role_name")
    no_repeats(names)
    rule = {"roles": names, "minSequence": fields.integer("minSequence", 1, MAX_INTEGER), "freshness": None}
    freshness = fields.take("freshness", dict, required=False)
    if freshness is not None:
        inner = Fields(freshness)
        role = inner.take("role", str)
        refuse_unless(re.fullmatch(r"[a-z0-9-]{1,64}", role), "role_name")
        rule["freshness"] = {"role": role, "tolerance": inner.integer("tolerance", 0, 315360000)}
        inner.end()
    fields.end()
    return rule


def read_extension(value):
    fields = Fields(value)
    rules = fields.take("streams", dict)
    refuse_unless(len(rules) <= 1024, "field_length")
    streams = {}
    for pattern in sorted(rules):
        streams[pattern] = read_rule(rules[pattern])
        if pattern != "*":
            read_stream(pattern[:-2] if pattern.endswith("/*") else pattern)
    roles = read_roles(fields.take("roles", dict, required=False) or {}, 32)
    names = fields.take("names", dict, required=False) or {}
    refuse_unless(len(names) <= 128, "field_length")
    for name in sorted(names):
        read_hex(name, [64], "hex_malformed")
        refuse_unless(type(names[name]) is str, "field_type")
    revoked_sequences = read_revoked_sequences(fields.take("revokedSequences", dict, required=False) or {})
    revoked = strings(fields.items("revokedDigests", 0, 2048, required=False))
    for text in revoked:
        read_hex(text, [64, 128], "hex_malformed")
    no_repeats(revoked)
    formats = fields.items("formats", 0, 16, required=False)
    for text in strings(formats):
        refuse_unless(text in FORMATS, "image_format_unknown")
    no_repeats(formats or [])
    algorithms = fields.items("algorithms", 1, 2, required=False)
    for text in strings(algorithms):
        refuse_unless(text in ALGORITHMS, "object_algorithm_unknown")
    no_repeats(algorithms or [])
    at_boot = fields.take("atBoot", str, required=False)
    refuse_unless(at_boot in (None, "warn", "refuse"), "at_boot_unknown")
    fields.end()
    return {
        "streams": streams,
        "roles": roles,
        "names": names,
        "revokedSequences": revoked_sequences,
        "revoked": revoked,
        "formats": formats,
        "algorithms": algorithms,
        "atBoot": at_boot or "warn",
    }


def read_revoked_sequences(value):
    refuse_unless(len(value) <= 1024, "field_length")
    for stream in sorted(value):
        read_stream(stream)
        sequences = Fields({"list": value[stream]}).items("list", 1, 1024)
        for sequence in sequences:
            Fields({"sequence": sequence}).integer("sequence", 1, MAX_INTEGER)
        no_repeats(sequences)
    return value


def read_root(data):
    fields = Fields(read_json(data, MAX_ROOT))
    signatures = []
    for entry in fields.items("signatures", 0, 64):
        entry = Fields(entry)
        name = entry.take("keyid", str)
        read_hex(name, [64], "hex_malformed")
        sig = entry.take("sig", str)
        refuse_unless(len(sig) % 2 == 0, "hex_malformed")
        sig = read_hex(sig, [len(sig)], "hex_malformed")
        entry.end()
        refuse_unless(1 <= len(sig) <= 4096, "field_length")
        refuse_unless(name not in [other for other, _ in signatures], "repeated")
        signatures.append((name, sig))
    signed = fields.take("signed", dict)
    fields.end()

    fields = Fields(signed)
    refuse_unless(fields.take("_type", str) == "root", "root_type")
    spec_version = fields.take("spec_version", str)
    root = {"version": fields.integer("version", 1, MAX_INTEGER)}
    root["expires"] = read_time(fields.take("expires", str))
    fields.take("consistent_snapshot", bool)
    keys = fields.take("keys", dict)
    refuse_unless(len(keys) <= 128, "field_length")
    root["keys"] = {}
    for name in sorted(keys):
        root["keys"][name] = read_key(keys[name])
    root["roles"] = read_roles(fields.take("roles", dict), 4)
    extension = fields.take("x-treeseal", dict, required=False)
    root["extension"] = None if extension is None else read_extension(extension)
    fields.end()

    refuse_unless(re.fullmatch(r"1(\.[0-9]{1,4}){1,2}", spec_version), "root_spec_version")
    refuse_unless(all(name == key_id(keys[name]) for name in keys), "key_id_mismatch")
    values = [value for value, _ in root["keys"].values()]
    refuse_unless(len(set(values)) == len(values), "key_under_two_ids")
    refuse_unless(sorted(root["roles"]) == TUF_ROLES, "role_set")
    extension = root["extension"] or {"roles": {}}
    for role in [*root["roles"].values(), *extension["roles"].values()]:
        check_role(role, root["keys"])
    if root["extension"]:
        check_extension(root, extension)
    root["allRoles"] = {**root["roles"], **extension["roles"]}
    return root, canonical(signed).encode(), signatures


def check_role(role, keys):
    ids = role["keyids"]
    refuse_unless(len(ids) >= 1, "field_length")
    no_repeats(ids)
    refuse_unless(all(name in keys for name in ids), "role_key_unknown")
    refuse_unless(role["threshold"] <= len(ids), "threshold_unreachable")


def check_extension(root, extension):
    """The rules about several fields; `check_role` has judged the roles."""
    refuse_unless(not set(extension["roles"]) & set(TUF_ROLES), "role_reserved")
    check_names(extension["names"], root["keys"])
    seal_roles = {name for rule in extension["streams"].values() for name in rule["roles"]}
    may_seal = {**extension["roles"], "targets": root["roles"]["targets"]}
    may_refresh = {"timestamp", *extension["roles"]} - seal_roles
    for rule in extension["streams"].values():  # in byte order of patterns
        refuse_unless(all(name in may_seal for name in rule["roles"]), "stream_role")
        ids = [keyid for name in rule["roles"] for keyid in may_seal[name]["keyids"]]
        refuse_unless(len(set(ids)) == len(ids), "roles_share_key")
        freshness = rule["freshness"]
        refuse_unless(freshness is None or freshness["role"] in may_refresh, "freshness_role")


def check_names(names, keys):
    seen = set()
    for keyid in sorted(names):
        text = names[keyid]
        refuse_unless(keyid in keys, "role_key_unknown")
        refuse_unless(1 <= len(text) <= 64 and not has_control_character(text), "key_name")
        refuse_unless(text not in seen, "repeated")
        seen.add(text)


def meet_root_role(judge, message, signatures, code):
    meeting_signers(judge["roles"]["root"], judge["keys"], message, signatures, code)


def pin_root(data):
    root, message, signatures = read_root(data)
    meet_root_role(root, message, signatures, "threshold")
    return root


def advance_root(root, data):
    following, message, signatures = read_root(data)
    meet_root_role(root, message, signatures, "old_threshold")
    meet_root_role(following, message, signatures, "new_threshold")
    refuse_unless(following["version"] == root["version"] + 1, "root_version")
    return following


def follow_roots(chain):
    """The last root of a chain; the first is the pinned one."""
    root = pin_root(chain[0])
    for data in chain[1:]:
        root = advance_root(root, data)
    return root


def stream_rule(root, stream):
    if root["extension"] is None:
        return None
    best = None
    for pattern, rule in root["extension"]["streams"].items():
        if pattern == stream:
            rank = (2, 0)
        elif pattern == "*":
            rank = (0, 0)
        elif pattern.endswith("/*") and stream.startswith(pattern[:-1]) and len(stream) > len(pattern) - 1:
            rank = (1, len(pattern))
        else:
            continue
        if best is None or rank > best[0]:
            best = (rank, rule)
    return best and best[1]


# Seals


def read_base64(text):
    plain = text.rstrip("=") if len(text) % 4 == 0 and not text.endswith("===") else text
    for table, alphabet in ((b"+/", r"[A-Za-z0-9+/]*"), (b"-_", r"[A-Za-z0-9_-]*")):
        if re.fullmatch(alphabet, plain) and len(plain) % 4 != 1:
            data = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=table)
            # bits after the last byte must be zero
            if base64.b64encode(data, altchars=table).decode().rstrip("=") == plain:
                return data
    raise Refused("base64")


def read_envelope(data):
    fields = Fields(read_json(data, MAX_ENVELOPE))
    refuse_unless(fields.take("payloadType", str) == PAYLOAD_TYPE, "payload_type")
    payload = read_base64(fields.take("payload", str))
    refuse_unless(1 <= len(payload) <= MAX_PAYLOAD, "field_length")
    signatures = []
    for entry in fields.items("signatures", 0, 64):
        entry = Fields(entry)
        entry.take("keyid", str, required=False)
        sig = read_base64(entry.take("sig", str))
        refuse_unless(1 <= len(sig) <= 4096, "field_length")
        signatures.append((None, sig))
    return payload, signatures


def pae(payload):
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def read_top(payload, predicate_type):
    """The fields of a statement that are left when its types were read."""
    top = Fields(read_json(payload, MAX_PAYLOAD))
    refuse_unless(top.take("_type", str) == STATEMENT_TYPE, "statement_type")
    refuse_unless(top.take("predicateType", str) == predicate_type, "predicate_type")
    return top


def read_statement(payload):
    top = read_top(payload, PREDICATE_TYPE)
    subjects = top.take("subject", list)
    refuse_unless(1 <= len(subjects) <= 8, "subject_count")
    subjects = read_subjects(subjects)
    predicate = Fields(top.take("predicate", dict))
    top.end()

    statement = {"stream": subjects[0][0], "sequence": predicate.integer("sequence", 1, MAX_INTEGER)}
    statement["created"] = read_time(predicate.take("created", str))
    not_after = predicate.take("notAfter", str, required=False)
    statement["notAfter"] = None if not_after is None else read_time(not_after)
    images = predicate.take("images", list)
    refuse_unless(len(images) == len(subjects), "subject_count")
    images = [read_image(value) for value in images]
    objects = Fields(predicate.take("objects", dict))
    objects.integer("count", 0, MAX_INTEGER)
    objects.integer("bytes", 0, MAX_INTEGER)
    objects.end()
    sources = []
    for entry in predicate.items("sources", 0, 64):
        entry = Fields(entry)
        sources.append((entry.take("type", str), entry.take("name", str)))
        entry.end()
    previous = predicate.take("previous", str, required=False)
    if previous is not None:
        read_hex(previous, [64], "digest_malformed")
    predicate.end()

    refuse_unless(all(len(digests) > 1 for _, digests in subjects), "digest_missing")
    refuse_unless(not_after is None or not_after >= statement["created"], "not_after_before_created")
    for kind, name in sources:
        good = re.fullmatch(r"[a-z0-9-]{1,32}", kind) and 1 <= len(name.encode()) <= 1024
        refuse_unless(good and not has_control_character(name), "source_malformed")
    no_repeats(images)
    statement["images"] = [
        {"format": form, "objects": algorithm, "digests": digests}
        for (form, algorithm), (_, digests) in zip(images, subjects)
    ]
    return statement


def read_subjects(values):
    subjects = []
    for value in values:
        subjects.append(read_subject(value, subjects[0][0] if subjects else None))
    return subjects


def read_subject(value, first):
    """The name of a subject, and its digests by their names."""
    subject = Fields(value)
    name = read_stream(subject.take("name", str))
    refuse_unless(first in (None, name), "subject_name")
    digests = Fields(subject.take("digest", dict))
    found = {"sha256": read_hex(digests.take("sha256", str), [64], "digest_malformed")}
    for algorithm, length in ALGORITHMS.items():
        text = digests.take(algorithm, str, required=False)
        if text is not None:
            found[algorithm] = read_hex(text, [length], "digest_malformed")
    refuse_unless(not digests.left, "digest_unknown")
    subject.end()
    return name, found


def read_image(value):
    """The format of an image, as `FORMAT/VERSION`, and what it names objects by."""
    image = Fields(value)
    form = f'{image.take("format", str)}/{image.integer("version", 0, MAX_INTEGER)}'
    image.integer("size", 0, MAX_INTEGER)
    algorithm = image.take("objects", str)
    image.end()
    refuse_unless(form in FORMATS, "image_format_unknown")
    refuse_unless(algorithm in ALGORITHMS, "object_algorithm_unknown")
    return form, algorithm


def read_freshness(payload):
    top = read_top(payload, FRESH_TYPE)
    subjects = top.take("subject", list)
    refuse_unless(len(subjects) == 1, "subject_count")
    subject = Fields(subjects[0])
    statement = {"stream": read_stream(subject.take("name", str))}
    digests = Fields(subject.take("digest", dict))
    statement["digest"] = digests.take("sha256", str)
    read_hex(statement["digest"], [64], "digest_malformed")
    refuse_unless(not digests.left, "digest_unknown")
    subject.end()
    predicate = Fields(top.take("predicate", dict))
    top.end()
    statement["sequence"] = predicate.integer("sequence", 1, MAX_INTEGER)
    statement["created"] = read_time(predicate.take("created", str))
    statement["until"] = read_time(predicate.take("until", str))
    predicate.end()
    length = seconds(statement["until"]) - seconds(statement["created"])
    refuse_unless(0 <= length <= LONGEST_FRESH, "until_out_of_range")
    return statement


def empty_state():
    return {"rootVersion": 0, "newestTime": None, "streams": {}}


def read_state(data):
    fields = Fields(read_json(data, MAX_STATE))
    refuse_unless(fields.take("_type", str) == STATE_TYPE, "field_value")
    state = {**empty_state(), "rootVersion": fields.integer("rootVersion", 0, MAX_INTEGER)}
    newest = fields.take("newestTime", str, required=False)
    state["newestTime"] = None if newest is None else read_time(newest)
    streams = fields.take("streams", dict)
    refuse_unless(len(streams) <= 2048, "field_length")
    for name, value in streams.items():
        floor = Fields(value)
        sequence, payload = floor.integer("sequence", 1, MAX_INTEGER), floor.take("payload", str, required=False)
        if payload is not None:
            read_hex(payload, [64], "hex_malformed")
        fresh = floor.take("freshUntil", str, required=False)
        floor.end()
        fresh = None if fresh is None else read_time(fresh)
        state["streams"][read_stream(name)] = {"sequence": sequence, "payload": payload, "freshUntil": fresh}
    fields.end()
    return state


def write_state(state):
    """As text: compact, with sorted keys, without what is not known."""
    known = lambda value: {name: item for name, item in value.items() if item is not None}  # noqa: E731
    streams = {name: known(floor) for name, floor in state["streams"].items()}
    value = known({"_type": STATE_TYPE, **state, "streams": streams})
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def later(a, b):
    """The greater of two values of which either may be missing."""
    known = [value for value in (a, b) if value is not None]
    return max(known, default=None)


class Clock:
    """What is known of the time: section 5. `kind` is `trusted`, `lower_bound` or `unknown`."""

    def __init__(self, kind, time, remembered):
        self.now = later(time, remembered)
        self.trusted = kind == "trusted"
        self.behind = time is not None and self.now != time
        self.good = self.trusted and not self.behind

    def refusal(self, code):
        """The class of a refusal that is due to the time."""
        return "clock_behind" if self.trusted and self.behind else code


def verify_seal(data, root, stream, state, kind, time, freshness=None):
    """Judges an envelope and returns what was accepted and what is to be remembered.

    `kind` and `time` are those of `Clock`, `state` comes from `read_state` or is None, and `freshness` is
    the bytes of a freshness statement, if there is one.
    """
    state = state or empty_state()
    floor = state["streams"].get(stream, {"sequence": 0, "payload": None, "freshUntil": None})
    clock = Clock(kind, time, state["newestTime"])

    refuse_unless(root["version"] >= state["rootVersion"], "root_rolled_back")
    payload, signatures = read_envelope(data)
    rule = stream_rule(root, stream)
    refuse_unless(rule is not None, "stream_not_allowed")
    who = {}
    for name in rule["roles"]:
        role = root["allRoles"][name]
        who[name] = meeting_signers(role, root["keys"], pae(payload), signatures, "threshold")
    statement = read_statement(payload)
    digest = hashlib.sha256(payload).hexdigest()
    extension, sequence = root["extension"], statement["sequence"]
    refuse_unless(statement["stream"] == stream, "other_stream")
    refuse_unless(sequence >= rule["minSequence"], "below_minimum")
    refuse_unless(sequence >= floor["sequence"], "rolled_back")
    if sequence == floor["sequence"] and floor["payload"] is not None:
        refuse_unless(digest == floor["payload"], "sequence_reused")
    refuse_unless(sequence not in extension["revokedSequences"].get(stream, []), "sequence_revoked")
    digests = {value.hex() for image in statement["images"] for value in image["digests"].values()}
    refuse_unless(not digests & set(extension["revoked"]), "revoked")
    images = [image for image in statement["images"] if allows(extension, image)]
    refuse_unless(images, "image_not_allowed")
    early = clock.good and seconds(statement["created"]) > seconds(clock.now) + LATEST_CREATION
    refuse_unless(not early, "seal_from_future")
    expiry = judge_expiry(statement, root, clock)
    usable = usable_freshness(freshness, root, rule, stream, clock)
    report = judge_freshness(usable, extension, rule, sequence, digest, floor, clock)

    accepted = {
        "sequence": sequence,
        "signers": who,
        "rootVersion": root["version"],
        "payloadDigest": digest,
        "expiry": expiry,
        "freshness": report,
        "images": [f'{image["format"]} {image["objects"]}' for image in images],
    }
    if sequence > floor["sequence"]:
        floor = {**floor, "sequence": sequence, "payload": None}
    fresh_until = usable["until"] if usable and clock.good else None
    floor = {**floor, "payload": digest, "freshUntil": later(floor["freshUntil"], fresh_until)}
    remembered = {
        "rootVersion": max(state["rootVersion"], root["version"]),
        "newestTime": later(state["newestTime"], statement["created"]),
        "streams": {**state["streams"], stream: floor},
    }
    return accepted, remembered


def allows(extension, image):
    formats, algorithms = extension["formats"], extension["algorithms"] or list(ALGORITHMS)
    named = any(algorithm in image["digests"] for algorithm in algorithms)
    return (formats is None or image["format"] in formats) and image["objects"] in algorithms and named


def judge_expiry(statement, root, clock):
    ended = None
    if clock.now is not None and statement["notAfter"] is not None and clock.now > statement["notAfter"]:
        ended = "seal_expired"
    elif clock.now is not None and clock.now >= root["expires"]:
        ended = "root_expired"
    if ended and (clock.trusted or root["extension"]["atBoot"] == "refuse"):
        raise Refused(clock.refusal(ended))
    if ended:
        return "expired"
    return "in_force" if clock.good else "unknown"


def usable_freshness(data, root, rule, stream, clock):
    """The freshness statement, or None if there is none that counts."""
    if data is None:
        return None
    try:
        payload, signatures = read_envelope(data)
        role = root["allRoles"][rule["freshness"]["role"] if rule["freshness"] else "timestamp"]
        meeting_signers(role, root["keys"], pae(payload), signatures, "freshness_threshold")
        statement = read_freshness(payload)
        refuse_unless(statement["stream"] == stream, "other_stream")
        early = clock.good and seconds(statement["created"]) > seconds(clock.now) + CLOCK_SKEW
        refuse_unless(not early, "freshness_from_future")
    except Refused:
        if rule["freshness"] and (clock.trusted or root["extension"]["atBoot"] == "refuse"):
            raise
        return None
    return statement


def judge_freshness(usable, extension, rule, sequence, digest, floor, clock):
    """Refuses what is not current, and says what is known of a seal's freshness."""
    if usable:
        same = usable["sequence"] == sequence
        refuse_unless(usable["sequence"] <= sequence, "not_current")
        refuse_unless(not same or usable["digest"] == digest, "not_current")
    fresh_until = later(usable and usable["until"], floor["freshUntil"])
    tolerance = rule["freshness"]["tolerance"] if rule["freshness"] else 0
    missing = fresh_until is None
    now_known = clock.now is not None and not missing
    ended = now_known and seconds(clock.now) > seconds(fresh_until) + tolerance
    if rule["freshness"] and (clock.trusted or extension["atBoot"] == "refuse"):
        refuse_unless(not missing, "freshness_missing")
        refuse_unless(not ended, clock.refusal("stale"))
    if missing and not rule["freshness"]:
        return "not_required"
    if clock.good and now_known and clock.now <= fresh_until:
        return "current"
    if clock.trusted and rule["freshness"]:
        return "tolerated"
    return "stale" if missing or ended else "unknown"
