"""Changed roots and envelopes for comparing verifiers: the same seed always gives the same cases.

Starts from what `interop make DIR` wrote, whose private keys are known. A case is changed in one of
three ways:

    bytes      bytes replaced, removed, inserted, doubled, or the end cut off
    tokens     JSON written otherwise: keys twice, in another order or dropped, numbers and strings
               spelled otherwise, values swapped, wrapped or of another kind, white space, bytes after
               the end. Nothing is signed again.
    structure  the meaning changed and signed again, so that the signatures hold and a rule decides
"""

import base64
import copy
import hashlib
import json
import random
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical

import trust_verify as verify

# Of ten cases in a row so many are changed in this way.
PROPORTIONS = {"bytes": 2, "tokens": 3, "structure": 5}
WAYS = [way for way, share in PROPORTIONS.items() for _ in range(share)]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass
class Case:
    kind: str  # root or envelope
    base: int  # the number of the trusted root
    label: str  # what was done
    data: bytes


@dataclass
class Base:
    """A trusted root, and samples that it accepts: its successor, or envelopes."""

    trusted: bytes
    samples: list


class Key:
    """A key of which both halves are known."""

    NAMES = {
        "ed25519": ("ed25519", "ed25519"),
        "p256": ("ecdsa", "ecdsa-sha2-nistp256"),
        "ml-dsa-65": ("ml-dsa", "ml-dsa-65/1"),
    }

    def __init__(self, kind, secret):
        self.kind = kind
        if kind == "ed25519":
            self.secret = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
        elif kind == "p256":
            self.secret = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        else:
            self.secret = mldsa.MLDSA65PrivateKey.from_seed_bytes(secret)
        public = self.secret.public_key().public_bytes_raw().hex() if kind == "ed25519" else self.pem()
        self.names = (*self.NAMES[kind], public)
        self.id = key_id(self.object)

    @property
    def object(self):
        """Made anew each time, because whoever gets it changes it."""
        return key_object(*self.names)

    def pem(self):
        key = self.secret.public_key()
        return key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def sign(self, message):
        if self.kind == "ed25519":
            return self.secret.sign(message)
        if self.kind == "ml-dsa-65":
            return self.secret.sign(verify.digest_message(message))
        return self.secret.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class WeakKey:
    """The neutral point as an Ed25519 key: one signature is good for every message."""

    def __init__(self):
        self.id = key_id(self.object)

    @property
    def object(self):
        return key_object("ed25519", "ed25519", (1).to_bytes(32, "little").hex())

    def sign(self, _):
        return (1).to_bytes(32, "little") + bytes(32)


def key_object(keytype, scheme, public):
    return {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}


def key_id(value):
    return hashlib.sha256(canonical(value)).hexdigest()


def canonical(value):
    return encode_canonical(value).encode("utf-8", "surrogatepass")


class World:
    """What the cases are made from."""

    def __init__(self, folder):
        lines = (folder / "private-keys.txt").read_text().split("\n")
        keys = [Key(kind, bytes.fromhex(secret)) for kind, secret in (line.split() for line in lines if line)]
        self.keys = {key.id: key for key in keys}
        self.weak = WeakKey()
        self.foreign = [Key("ed25519", b"\x77" * 32), Key("p256", b"\x78" * 32)]
        self.one_of = {key.kind: key for key in keys}
        read = lambda name: (folder / name).read_bytes()  # noqa: E731
        chain = [read(f"chain/{version}.root.json") for version in range(1, 7)]
        pairs = [(read("1.root.json"), read("2.root.json")), *zip(chain, chain[1:])]
        self.roots = [Base(old, [new]) for old, new in pairs]
        self.envelopes = self.envelope_bases(json.loads(read("1.root.json")), read("seal.json"))

    def envelope_bases(self, root, seal):
        """The root as it is, with one signature of two, and with two of three and another algorithm."""
        release = [self.keys[name] for name in root["signed"]["roles"]["targets"]["keyids"]]
        three, other_three = ([*release, self.one_of[kind]] for kind in ("p256", "ml-dsa-65"))
        payload = base64.b64decode(json.loads(seal)["payload"])
        bases = []
        for keys, threshold in ((release, None), (release, 1), (three, 2), (other_three, 2)):
            edit = RootEdit(self, root)
            edit.signed["keys"].update({key.id: key.object for key in keys})
            role = edit.signed["roles"]["targets"]
            role["keyids"] = [key.id for key in keys]
            role["threshold"] = threshold or role["threshold"]
            signed = [signed_envelope(payload, chosen) for chosen in (keys, keys[:2], keys[1:])]
            bases.append(Base(edit.build(), [seal] if threshold is None else signed))
        return bases


def try_all(changes, is_alone, *arguments):
    """Applies the changes; where there are several, one may find no longer what it would change."""
    for change in changes:
        try:
            change(*arguments)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, FormatError):
            if is_alone:
                raise


def cases(world, seed, count):
    """So many roots and as many envelopes."""
    for kind, bases in (("root", world.roots), ("envelope", world.envelopes)):
        for number in range(count):
            rng = random.Random(f"{seed} {kind} {number}")
            base = rng.randrange(len(bases))
            sample = rng.choice(bases[base].samples)
            way = WAYS[number % len(WAYS)]
            if way == "bytes":
                label, data = edit_bytes(rng, sample)
            elif way == "tokens":
                label, data = edit_tokens(rng, sample)
            elif kind == "root":
                label, data = edit_root(rng, world, bases[base].trusted, sample)
            else:
                label, data = edit_envelope(rng, world, bases[base].trusted, sample)
            first = 0 if kind == "root" else len(world.roots)
            yield Case(kind, first + base, label, data)


# Bytes

JSON_BYTES = b'{}[]",:\\0123456789-+.eEabcdefu= \n/_'


def edit_bytes(rng, data):
    data = bytearray(data)
    labels = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, other = rng.randrange(len(data)), rng.randrange(len(data))
        byte = rng.choice(JSON_BYTES) if rng.random() < 0.7 else rng.randrange(256)
        label = rng.choice(["replace", "flip", "remove", "insert", "double", "cut"])
        if label == "replace":
            data[at] = byte
        elif label == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif label == "remove":
            del data[at : at + rng.choice([1, 1, 2, 8])]
        elif label == "insert":
            data[at:at] = bytes([byte])
        elif label == "double":
            start = min(at, other)
            data[other:other] = data[start : start + rng.choice([1, 4, 40, 400])]
        else:
            del data[at if rng.random() < 0.5 else -rng.randrange(1, 5) :]
        labels.append(label)
        if not data:
            break
    return "bytes: " + ", ".join(labels), bytes(data)


# Tokens


class Object(list):
    """A JSON object as pairs, so that a key can come twice and the order is kept."""


class Raw(str):
    """JSON text that is written as it stands."""


NUMBERS = [
    "{0}.0", "{0}e0", "{0}E+0", "{0}.5", "-0", "0{0}", "-{0}", "+{0}", "1" + "0" * 30, "18446744073709551616",
    "9007199254740993", "NaN", "Infinity", "-Infinity", "0x{0}", "{0}1", "0", "",
]  # fmt: skip
STRANGE = [
    "null", "true", "false", "0", "-0", "-1", "1.0", "1e0", "1e400", "18446744073709551616", "NaN", '""', '"x"',
    '"\\ud800"', '"\\ud83c\\udf32"', '"\\u0000"', '"\ufffd"', "[]", "{}", '[{"a":[]}]', '{"a":1,"a":1}',
]  # fmt: skip
AFTER = [b" ", b"\n", b"\r\n\t", b"\0", b"x", b"{}", b",", b"}", b"\xef\xbb\xbf", b"\xc2\xa0", b"\x1a"]


def edit_tokens(rng, data):
    tree = json.loads(data, object_pairs_hook=Object)
    labels = []
    for _ in range(rng.choice([1, 1, 2])):
        label, edit = rng.choice(TREE_EDITS)
        edit(rng, tree)
        labels.append(label)
    text = write(tree, *rng.choice([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")]))
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        label, data = rng.choice(FILE_EDITS)(rng, data)
        labels.append(label)
    return "tokens: " + ", ".join(labels), data


def write(value, comma=",", colon=":"):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Object):
        fields = (write(name, comma, colon) + colon + write(item, comma, colon) for name, item in value)
        return "{" + comma.join(fields) + "}"
    if isinstance(value, list):
        return "[" + comma.join(write(item, comma, colon) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def objects(value):
    """All objects with at least one field."""
    if isinstance(value, Object):
        if value:
            yield value
        for _, item in value:
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def leaves(value, kind):
    """Where values of this kind stand: the list that holds each, its index, and how to put another."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            inner = item[1] if isinstance(value, Object) else item
            if isinstance(inner, kind) and not isinstance(inner, (bool, Raw)):
                yield value, index, inner
            yield from leaves(inner, kind)


def put(holder, index, value):
    holder[index] = (holder[index][0], value) if isinstance(holder, Object) else value


def some_object(rng, tree):
    return rng.choice(list(objects(tree)) or [Object([("x", 1)])])


def respell_number(rng, tree):
    found = list(leaves(tree, int))
    if found:
        holder, index, number = rng.choice(found)
        put(holder, index, Raw(rng.choice(NUMBERS).format(number)))


def respell_string(rng, tree):
    found = list(leaves(tree, str))
    if found:
        holder, index, text = rng.choice(found)
        put(holder, index, respelled(rng, text))


def respell_name(rng, tree):
    fields = some_object(rng, tree)
    at = rng.randrange(len(fields))
    fields[at] = (respelled(rng, str(fields[at][0])), fields[at][1])


def respelled(rng, text):
    """The text with one character escaped, or with an escape too many."""
    at = rng.randrange(len(text) + 1)
    before, char, after = text[:at], text[at : at + 1], text[at + 1 :]
    code = ord(char) if char else 0x41
    piece = rng.choice([
        f"\\u{code & 0xffff:04x}", f"\\u{code & 0xffff:04X}", "\\/" if char == "/" else char, "\\u0000", "\\n",
        "\\ud800", "\\udc00\\ud800", "\\x41", "\\", "\t", "\x7f", "\u00e9", "e\u0301", char.upper(), " " + char,
    ])  # fmt: skip
    quoted = [json.dumps(part, ensure_ascii=False)[1:-1] for part in (before, after)]
    return Raw(f'"{quoted[0]}{piece}{quoted[1]}"')


def same_name_twice(rng, tree):
    fields = some_object(rng, tree)
    fields.insert(rng.randrange(len(fields) + 1), copy.deepcopy(rng.choice(fields)))


def name_twice(rng, tree):
    """With another value, before or after the right one."""
    fields = some_object(rng, tree)
    name, _ = rng.choice(fields)
    fields.insert(rng.choice([0, len(fields)]), (name, strange(rng, tree)))


def reorder(rng, tree):
    rng.shuffle(some_object(rng, tree))


def reorder_list(rng, tree):
    found = [inner for _, _, inner in leaves(tree, list) if not isinstance(inner, Object) and len(inner) > 1]
    if found:
        rng.shuffle(rng.choice(found))


def drop(rng, tree):
    fields = some_object(rng, tree)
    del fields[rng.randrange(len(fields))]


def drop_item(rng, tree):
    found = [inner for _, _, inner in leaves(tree, list) if not isinstance(inner, Object) and inner]
    if found:
        chosen = rng.choice(found)
        del chosen[rng.randrange(len(chosen))]


def double_item(rng, tree):
    found = [inner for _, _, inner in leaves(tree, list) if not isinstance(inner, Object) and inner]
    if found:
        chosen = rng.choice(found)
        chosen.append(copy.deepcopy(rng.choice(chosen)))


def add(rng, tree):
    fields = some_object(rng, tree)
    fields.insert(rng.randrange(len(fields) + 1), (rng.choice(["x", "", "Signed", "keyid", "é"]), strange(rng, tree)))


def swap(rng, tree):
    first, second = some_object(rng, tree), some_object(rng, tree)
    at, other = rng.randrange(len(first)), rng.randrange(len(second))
    one, two = first[at], second[other]
    first[at], second[other] = (one[0], copy.deepcopy(two[1])), (two[0], copy.deepcopy(one[1]))


def replace(rng, tree):
    fields = some_object(rng, tree)
    at = rng.randrange(len(fields))
    fields[at] = (fields[at][0], strange(rng, tree))


def strange(rng, tree):
    if rng.random() < 0.3:
        return copy.deepcopy(rng.choice(some_object(rng, tree))[1])
    if rng.random() < 0.1:
        return nested(rng, Raw("1"))
    return Raw(rng.choice(STRANGE))


def nest(rng, tree):
    fields = some_object(rng, tree)
    at = rng.randrange(len(fields))
    fields[at] = (fields[at][0], nested(rng, fields[at][1]))


def nested(rng, value):
    depth = rng.choice([1, 2, 5, 12, 16, 40, 300])
    before, after = rng.choice([("[", "]"), ('{"x":', "}")])
    return Raw(before * depth + write(value) + after * depth)


def unchanged(_rng, _tree):
    pass


TREE_EDITS = [
    ("number spelled otherwise", respell_number),
    ("string spelled otherwise", respell_string),
    ("name spelled otherwise", respell_name),
    ("field doubled", same_name_twice),
    ("name twice", name_twice),
    ("fields reordered", reorder),
    ("list reordered", reorder_list),
    ("field dropped", drop),
    ("item dropped", drop_item),
    ("item doubled", double_item),
    ("field added", add),
    ("values swapped", swap),
    ("value replaced", replace),
    ("value nested", nest),
    ("written anew", unchanged),
]


def cut_text(rng, data):
    return "end cut off", data[: -rng.randrange(1, 4)]


def bytes_after(rng, data):
    return "bytes after the end", data + rng.choice(AFTER)


def bytes_before(rng, data):
    return "bytes before the start", rng.choice(AFTER) + data


def other_encoding(rng, data):
    encoding = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
    return encoding, data.decode("utf-8", "surrogatepass").encode(encoding, "surrogatepass")


def bracket_twice(rng, data):
    at = rng.choice([match.start() for match in re.finditer(rb"[\[\]{},:]", data)])
    return "punctuation doubled", data[:at] + data[at : at + 1] + data[at:]


def large(rng, data):
    return "large", data + b" " * (rng.choice([256 * 1024, 256 * 1024 + 1, 300_000]) - len(data))


FILE_EDITS = [cut_text, bytes_after, bytes_after, bytes_before, other_encoding, bracket_twice, large]


# Roots, signed again


class RootEdit:
    """A root that is being changed. `signers` are pairs of the id and the key that signs under it."""

    def __init__(self, world, root, old=None):
        root = copy.deepcopy(root)
        self.world, self.old = world, old
        self.signed = root["signed"]
        self.other = {name: value for name, value in root.items() if name not in ("signed", "signatures")}
        self.former = root["signatures"]
        self.signers = [(entry["keyid"], world.keys[entry["keyid"]]) for entry in self.former]
        self.after = []  # what is done with the list of signatures
        self.is_alone = True
        self.respelled = {}  # fields that are written otherwise than they were signed

    def role(self, name="root"):
        return self.signed["roles"][name]

    def holders(self, role):
        """The keys of a role, as far as they are known."""
        return [(name, self.world.keys[name]) for name in role["keyids"] if name in self.world.keys]

    def old_holders(self):
        return self.holders(self.old["signed"]["roles"]["root"])

    def sign_with(self, *signers):
        self.signers = list(dict(signers).items())

    def add_signer(self, name, key):
        self.signers = [*(signer for signer in self.signers if signer[0] != name), (name, key)]

    def replace_key(self, rng, name, value):
        """Lists another object in the place of a key of the root role, under the id `name`."""
        role = self.role()
        role["keyids"][rng.randrange(len(role["keyids"]))] = name
        self.signed["keys"][name] = value

    def build(self, rng=None):
        try:
            message = canonical(self.signed)
            signatures = [{"keyid": name, "sig": key.sign(message).hex()} for name, key in self.signers]
        except Exception:  # what has no canonical form cannot be signed
            signatures = self.former
        try_all(self.after, self.is_alone, signatures)
        if self.respelled:
            self.signed.update(self.respelled)
        file = {"signatures": signatures, "signed": self.signed, **self.other}
        separators = (",", ":") if rng is None or rng.random() < 0.7 else None
        return json.dumps(file, separators=separators, ensure_ascii=rng is None or rng.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )


def edit_root(rng, world, trusted, sample):
    edit = RootEdit(world, json.loads(sample), json.loads(trusted))
    changes = rng.sample(ROOT_EDITS, rng.choice([1, 1, 1, 2]))
    edit.is_alone = len(changes) == 1
    try_all(changes, edit.is_alone, rng, edit)
    return f"structure: {names(changes)}", edit.build(rng)


def only_signed_again(_rng, _edit):
    pass


def other_threshold(rng, edit):
    role = edit.role(rng.choice(list(edit.signed["roles"])))
    keys = len(role["keyids"])
    role["threshold"] = rng.choice([0, 1, keys, keys + 1, -1, "2", "1", True, 2**32, 2**53, 2**64, None, [1]])


def fully_signed_threshold(rng, edit):
    """As many as there are keys, or one more, signed by all."""
    role = edit.role()
    role["threshold"] = len(role["keyids"]) + rng.choice([0, 0, 1])
    edit.sign_with(*edit.old_holders(), *edit.holders(role))


def key_id_twice(rng, edit):
    role = edit.role(rng.choice(list(edit.signed["roles"])))
    role["keyids"].insert(rng.randrange(len(role["keyids"])), rng.choice(role["keyids"]))


def unknown_key_id(rng, edit):
    role = edit.role(rng.choice(list(edit.signed["roles"])))
    role["keyids"].append(rng.choice(["00" * 32, "x", "", role["keyids"][0].upper(), edit.world.foreign[0].id]))


def key_under_two_ids(rng, edit):
    """One key fills a threshold of two; the old keys sign as well."""
    name, key = rng.choice(edit.holders(edit.role()))
    value = copy.deepcopy(edit.signed["keys"][name])
    spelled = value["keyval"]["public"]
    value["keyval"]["public"] = rng.choice([spelled, spelled.strip() if key.kind != "ed25519" else spelled.upper()])
    if rng.random() < 0.2:
        value["x"] = "an unknown field gives another id"
    second = key_id(value) if key_id(value) != name else "ab" * 32
    edit.signed["keys"][second] = value
    edit.role()["keyids"] = [name, second]
    edit.role()["threshold"] = 2
    edit.sign_with(*edit.old_holders(), (name, key), (second, key))


def signature_twice(rng, edit):
    def change(signatures):
        entry = copy.deepcopy(rng.choice(signatures))
        spelling = rng.choice([str, str.upper, lambda name: name + " ", lambda name: "0x" + name])
        entry["keyid"] = spelling(entry["keyid"])
        signatures.insert(rng.randrange(len(signatures) + 1), entry)

    edit.after.append(change)


def signature_under_other_id(rng, edit):
    def change(signatures):
        names = [entry["keyid"] for entry in signatures]
        rng.shuffle(names)
        for entry, name in zip(signatures, names):
            entry["keyid"] = name

    edit.after.append(change)


def keys_of_another_role(rng, edit):
    edit.sign_with(*edit.holders(edit.role("targets")))


def old_keys_only(_rng, edit):
    new = set(edit.role()["keyids"])
    edit.sign_with(*(holder for holder in edit.old_holders() if holder[0] not in new), edit.old_holders()[0])


def new_keys_only(_rng, edit):
    old = {name for name, _ in edit.old_holders()}
    edit.sign_with(*(holder for holder in edit.holders(edit.role()) if holder[0] not in old))


def signed_by_some(rng, edit):
    everyone = [*edit.old_holders(), *edit.holders(edit.role())]
    edit.sign_with(*rng.sample(everyone, rng.randrange(len(everyone) + 1)))


def signed_by_all_and_foreign(rng, edit):
    key = rng.choice(edit.world.foreign)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (key.id, key))


def foreign_takes_over(rng, edit):
    """A new root that lists only foreign keys and is signed by them, and perhaps by old ones."""
    key = rng.choice(edit.world.foreign)
    edit.signed["keys"][key.id] = key.object
    edit.role()["keyids"], edit.role()["threshold"] = [key.id], 1
    edit.sign_with((key.id, key), *rng.choice([[], edit.old_holders()[:1], edit.old_holders()]))


def other_version(rng, edit):
    version = edit.signed["version"]
    edit.signed["version"] = rng.choice([version - 1, version + 1, version + 2, 0, -1, 2**53, 2**64, str(version), True])


def other_type(rng, edit):
    edit.signed["_type"] = rng.choice(["targets", "Root", "timestamp", "", "root ", None])


def other_spec_version(rng, edit):
    edit.signed["spec_version"] = rng.choice([
        "1", "1.0", "1.0.0", "1.0.31", "1.1", "1.9999.9999", "1.10000", "1.0.0.0", "2.0", "0.9", "01.0", "1.", "1..0",
        "1.0.x", "1.\u0661", "1.\u00b2", " 1.0", "1.0 ", 1, None,
    ])  # fmt: skip


def other_expiry(rng, edit):
    edit.signed["expires"] = rng.choice([
        "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2030-02-29T00:00:00Z",
        "2028-02-29T00:00:00Z", "2030-01-01T23:59:60Z", "2030-01-01T23:59:61Z", "2030-01-01T24:00:00Z",
        "2030-1-1T0:0:0Z", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00", "2030-01-01T00:00:00z",
        "2030-01-01t00:00:00Z", "2030-01-01T00:00:00+00:00", "2030-01-01T00:00:00.000Z", " 2030-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z ", "\u0662030-01-01T00:00:00Z", "2030-01-01", "", 1893456000, None,
    ])  # fmt: skip


def respelled_expiry(rng, edit):
    """The same time in other digits, under the signature over the usual ones."""
    edit.signed["expires"] = "2030-01-02T03:04:05Z"
    edit.respelled["expires"] = rng.choice([
        "2030-1-2T3:4:5Z", "2030-01-02T03:04:5Z", "2030-1-02T03:04:05Z", "2030-01-02T03:04:05.0Z",
        "2030-01-02t03:04:05z", "2030-01-02T03:04:05+00:00", "\u0662030-01-02T03:04:05Z", "2030-01-02T03:04: 5Z",
    ])  # fmt: skip


def unknown_field(rng, edit):
    places = [
        edit.signed, edit.other, edit.role(rng.choice(list(edit.signed["roles"]))), edit.signed["roles"],
        rng.choice(list(edit.signed["keys"].values())), rng.choice(list(edit.signed["keys"].values()))["keyval"],
    ]  # fmt: skip
    value = rng.choice([1, 0, None, True, "x", "\u00e9\u0000\n\"\\", [], {}, {"b": 1, "a": [2]}, -(2**63), 2**64, "\ud800", 1.5])
    rng.choice(places)[rng.choice(["x", "x-other", "", "\u00e9", "custom"])] = value


def unknown_signature_field(rng, edit):
    edit.after.append(lambda signatures: rng.choice(signatures).update({"x": rng.choice([1, None, "x", 1.5])}))


def p256_root_key(rng, edit):
    """A P-256 key in the root role, which signs in all the forms that DER has and has not."""
    key = edit.world.one_of["p256"]
    edit.replace_key(rng, key.id, key.object)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()))
    edit.after.append(lambda signatures: change_der(rng, signatures, edit.world.keys))


def ml_dsa_root_key(rng, edit):
    """An ML-DSA key in the root role, which signs as TAP 21 says, or nearly."""
    key = edit.world.one_of["ml-dsa-65"]
    edit.replace_key(rng, key.id, key.object)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()))

    def change(signatures):
        for entry in signatures:
            if entry["keyid"] == key.id:
                entry["sig"] = other_ml_dsa(rng, key, bytes.fromhex(entry["sig"]), canonical(edit.signed)).hex()

    edit.after.append(change)


def other_ml_dsa(rng, key, signature, message):
    at = rng.randrange(len(signature))
    return rng.choice([
        signature, signature[:-1], signature + b"\0", b"",
        signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :],
        key.secret.sign(message),  # without the digest message
        key.secret.sign(verify.digest_message(message), b"tuf"),  # with a context
    ])  # fmt: skip


def change_der(rng, signatures, keys):
    for entry in signatures:
        if entry["keyid"] in keys and keys[entry["keyid"]].kind == "p256":
            entry["sig"] = other_der(rng, bytes.fromhex(entry["sig"])).hex()


def other_der(rng, der):
    r, s = decode_dss_signature(der)
    body = der[2:]
    return rng.choice([
        der, encode_dss_signature(r, P256_ORDER - s), der + b"\0", b"\x30\x81" + bytes([len(body)]) + body,
        b"\x30" + bytes([len(body) + 1]) + body + b"\0", encode_dss_signature(r + P256_ORDER, s),
        r.to_bytes(32, "big") + s.to_bytes(32, "big"), encode_dss_signature(r, 0), der[:-1], b"",
        b"\x30" + bytes([len(body) + 1, 2, der[3] + 1, 0]) + der[4:],
    ])  # fmt: skip


def other_hex(rng, edit):
    def change(signatures):
        entry = rng.choice(signatures)
        text = entry["sig"]
        entry["sig"] = rng.choice([
            text.upper(), text[:-1], text[:-2], text + "00", text[:2] + " " + text[2:], " " + text, text + "\n", "",
            "0x" + text, "zz" + text[2:], None, text[:10],
        ])  # fmt: skip

    if rng.random() < 0.5:
        edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()))
    edit.after.append(change)


def ed25519_plus_order(rng, edit):
    """The scalar of a signature plus the group's order: what RFC 8032 refuses."""

    def change(signatures):
        for entry in signatures:
            raw = bytes.fromhex(entry["sig"])
            if len(raw) == 64:
                scalar = int.from_bytes(raw[32:], "little") + verify.ORDER
                entry["sig"] = (raw[:32] + scalar.to_bytes(32, "little")).hex()

    edit.after.append(change)


def other_key_id(rng, edit):
    """A key under an id that is not the hash of its object."""
    holder = rng.choice(edit.holders(edit.role()))
    name = rng.choice(["00" * 32, "ab" * 32, "key", "", holder[0].upper(), holder[0][:-1]])
    edit.signed["keys"][name] = edit.signed["keys"].pop(holder[0])
    for role in edit.signed["roles"].values():
        role["keyids"] = [name if known == holder[0] else known for known in role["keyids"]]
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (name, holder[1]))


def other_snapshot_flag(rng, edit):
    if rng.random() < 0.3:
        del edit.signed["consistent_snapshot"]
    else:
        edit.signed["consistent_snapshot"] = rng.choice([True, False, None, 0, 1, "true", []])


def other_roles(rng, edit):
    roles = edit.signed["roles"]
    name = rng.choice(list(roles))
    match rng.choice(["drop", "rename", "add", "mirrors"]):
        case "drop":
            del roles[name]
        case "rename":
            roles[name.upper()] = roles.pop(name)
        case "add":
            roles[rng.choice(["x", "nightly", ""])] = copy.deepcopy(roles[name])
        case "mirrors":
            roles["mirrors"] = copy.deepcopy(roles[name])


def emptied_role(rng, edit):
    role = edit.role(rng.choice(list(edit.signed["roles"])))
    role["keyids"] = rng.choice([[], "", {}, None, "ab", [1]])


def unused_key(rng, edit):
    key = rng.choice(edit.world.foreign)
    edit.signed["keys"][key.id] = key.object


def weak_key(rng, edit):
    weak = edit.world.weak
    if rng.random() < 0.5:
        edit.signed["keys"][weak.id] = weak.object  # listed and not used
        return
    edit.replace_key(rng, weak.id, weak.object)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (weak.id, weak))
    if rng.random() < 0.5:
        edit.role()["keyids"], edit.role()["threshold"] = [weak.id], 1


def unknown_algorithm(rng, edit):
    key = rng.choice(edit.world.foreign)
    value = key.object
    value["keytype"], value["scheme"] = rng.choice([
        ("rsa", "rsassa-pss-sha256"), ("ecdsa", "ecdsa-sha2-nistp384"), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
        ("ed25519", "ecdsa-sha2-nistp256"), ("x", "y"), ("ED25519", "ed25519"), (None, None),
        ("ml-dsa", "ml-dsa-44/1"), ("ml-dsa", "ml-dsa-65"), ("ml-dsa", "ml-dsa-65/2"), ("ml-dsa", "ml-dsa-65/1"),
    ])  # fmt: skip
    name = key_id(value)
    if rng.random() < 0.5:
        edit.signed["keys"][name] = value
    else:
        edit.replace_key(rng, name, value)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (name, key))


def other_pem(rng, edit):
    key = edit.world.one_of[rng.choice(["p256", "ml-dsa-65"])]
    value = key.object
    pem = value["keyval"]["public"]
    der = base64.b64decode("".join(pem.split("\n")[1:-2]))
    one_line = base64.b64encode(der).decode()
    value["keyval"]["public"] = rng.choice([
        pem, pem[:-1], pem + "\n", pem.replace("\n", "\r\n"), "text\n" + pem, pem + "text", " " + pem, pem.lower(),
        f"-----BEGIN PUBLIC KEY-----\n{one_line}\n-----END PUBLIC KEY-----\n", pem.replace("PUBLIC", "EC PUBLIC"),
        pem + pem, "", one_line, pem.replace("A", "B", 1),
    ])  # fmt: skip
    name = key_id(value)
    edit.replace_key(rng, name, value)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (name, key))


def other_public_hex(rng, edit):
    """An Ed25519 key in another spelling, or bytes that are no point."""
    key = edit.world.foreign[0]
    value = key.object
    public = value["keyval"]["public"]
    value["keyval"]["public"] = rng.choice([
        public, public.upper(), public + "00", public[:-2], " " + public, "", "02" + "00" * 31, "ed" + "ff" * 30 + "7f",
        "00" * 32, "ff" * 32,
    ])  # fmt: skip
    name = key_id(value)
    if rng.random() < 0.3:
        edit.signed["keys"][name] = value
    else:
        edit.replace_key(rng, name, value)
    edit.sign_with(*edit.old_holders(), *edit.holders(edit.role()), (name, key))


def many_keys(rng, edit):
    """More keys than a role or a root of ours may have."""
    values = [key_object("ed25519", "ed25519", "%064x" % (3 + 256 * n)) for n in range(140)]
    role = edit.role("targets")
    for value in values[: rng.choice([40, 140])]:
        edit.signed["keys"][key_id(value)] = value
        role["keyids"].append(key_id(value))


def many_signatures(rng, edit):
    edit.after.append(lambda signatures: signatures.extend({"keyid": "%064x" % n, "sig": "00"} for n in range(65)))


def large_root(rng, edit):
    edit.after.append(lambda signatures: signatures.append({"keyid": "00" * 32, "sig": "00" * (rng.choice([4096, 4097, 140_000]))}))


def other_extension(rng, edit):
    tree = json.loads(json.dumps({"x-treeseal": edit.signed["x-treeseal"]}), object_pairs_hook=Object)
    rng.choice(TREE_EDITS)[1](rng, tree)
    reread(edit.signed, "x-treeseal", tree)


def no_extension(_rng, edit):
    edit.signed.pop("x-treeseal", None)


def any_edit_signed_again(rng, edit):
    tree = json.loads(json.dumps({"signed": edit.signed}), object_pairs_hook=Object)
    rng.choice(TREE_EDITS)[1](rng, tree)
    holder = {"signed": edit.signed}
    reread(holder, "signed", tree)
    edit.signed = holder["signed"]
    edit.respelled = {}


def reread(holder, name, tree):
    """Takes the edited field from the tree, if it is still JSON with that field."""
    try:
        holder[name] = json.loads(write(tree))[name]
    except (ValueError, KeyError, RecursionError):
        pass


ROOT_EDITS = [
    only_signed_again, other_threshold, other_threshold, fully_signed_threshold, key_id_twice, unknown_key_id,
    key_under_two_ids, key_under_two_ids, signature_twice, signature_under_other_id, keys_of_another_role,
    old_keys_only, new_keys_only, signed_by_some, signed_by_all_and_foreign, foreign_takes_over, other_version,
    other_type, other_spec_version, other_expiry, respelled_expiry, unknown_field, unknown_field, unknown_signature_field,
    p256_root_key, ml_dsa_root_key, other_hex, ed25519_plus_order, other_key_id, other_snapshot_flag, other_roles, emptied_role,
    unused_key, weak_key, unknown_algorithm, other_pem, other_public_hex, many_keys, many_signatures, large_root,
    other_extension, other_extension, no_extension, any_edit_signed_again, any_edit_signed_again,
]  # fmt: skip


# Envelopes, signed again


def pae(kind, body):
    kind = kind.encode("utf-8", "surrogatepass")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def signed_envelope(payload, keys):
    edit = EnvelopeEdit(payload, keys)
    return edit.build()


class EnvelopeEdit:
    """An envelope that is being changed."""

    def __init__(self, payload, signers):
        self.payload, self.kind, self.signers = payload, PAYLOAD_TYPE, list(signers)
        self.signed_kind = None  # the type that is signed, where it is another than the one named
        self.other = {}
        self.after = []  # what is done with the list of signatures
        self.is_alone = True
        self.spell_payload = self.spell_signature = to_base64

    def build(self, rng=None):
        message = pae(self.signed_kind or self.kind, self.payload)
        signatures = [{"keyid": key.id, "sig": key.sign(message)} for key in self.signers]
        try_all(self.after, self.is_alone, signatures)
        for entry in signatures:
            if isinstance(entry.get("sig"), bytes):
                entry["sig"] = self.spell_signature(entry["sig"])
        file = {"payload": self.spell_payload(self.payload), "payloadType": self.kind, "signatures": signatures}
        file.update(self.other)
        if rng is not None and rng.random() < 0.3:
            return json.dumps(file, indent=1).encode()
        return json.dumps(file, separators=(",", ":")).encode()


def to_base64(data):
    return base64.b64encode(data).decode()


def edit_envelope(rng, world, trusted, sample):
    root, sample = json.loads(trusted)["signed"], json.loads(sample)
    role = root["roles"]["targets"]
    holders = [world.keys[name] for name in role["keyids"]]
    signers = [world.keys[entry["keyid"]] for entry in sample["signatures"]]
    edit = EnvelopeEdit(base64.b64decode(sample["payload"]), signers)
    changes = rng.sample(ENVELOPE_EDITS, rng.choice([1, 1, 2]))
    edit.is_alone = len(changes) == 1
    try_all(changes, edit.is_alone, rng, edit, world, holders)
    return f"structure: {names(changes)}", edit.build(rng)


def names(changes):
    return ", ".join(change.__name__.replace("_", " ") for change in changes)


def envelope_signed_again(_rng, _edit, _world, _holders):
    pass


def other_payload_type(rng, edit, _world, _holders):
    edit.kind = rng.choice([
        "application/vnd.in-toto+json ", "application/json", "", "Application/vnd.in-toto+json", "text/plain",
        "application/vnd.in-toto+json; charset=utf-8", "\u00e9",
    ])  # fmt: skip
    if rng.random() < 0.5:
        edit.signed_kind = PAYLOAD_TYPE


def wrongly_encoded(rng, edit, _world, _holders):
    """Signed over a payload type that is not the one named."""
    edit.signed_kind = rng.choice(["application/json", "", "application/vnd.in-toto+json 1"])


def other_payload(rng, edit, _world, _holders):
    """No statement, or another one: the signatures hold."""
    edit.payload = rng.choice([
        b"{}", b"[]", b"null", b"x", b"\0", bytes(range(256)), b"{" * 100, edit.payload + b" ", edit.payload[:-1],
        edit.payload.replace(b"1", b"2"), b" " * 65536, b" " * 65537, b"", "\u00e9".encode(), b"\xff\xff\xfe",
    ])  # fmt: skip


def payload_changed_afterwards(rng, edit, _world, _holders):
    signed = edit.payload
    changed = rng.choice([signed + b" ", signed[:-1], b"{}", signed.replace(b"a", b"b", 1)])
    edit.spell_payload = lambda _: to_base64(changed)


def other_alphabet(rng, edit, _world, _holders):
    # Bytes of which base64 makes its two last digits.
    edit.payload = rng.choice([edit.payload, b"\xfb\xff\xbf\xfb\xef\xbe\xff", b"\xff" * 64])
    url = lambda data: base64.urlsafe_b64encode(data).decode()  # noqa: E731
    mixed = lambda data: to_base64(data).replace("+", "-")  # noqa: E731
    edit.spell_payload = rng.choice([url, url, mixed, to_base64])
    edit.spell_signature = rng.choice([url, url, mixed, to_base64])


def other_padding(rng, edit, _world, _holders):
    edit.payload = rng.choice([edit.payload, b"a", b"ab", b"abc"])
    spellings = [
        lambda text: text.rstrip("="), lambda text: text + "=", lambda text: text.rstrip("=") + "=",
        lambda text: text + "==", lambda text: text + "====", lambda text: "=" + text, lambda text: text[:-1],
    ]  # fmt: skip
    spell(rng, edit, rng.choice(spellings))


def other_base64(rng, edit, _world, _holders):
    """White space, foreign characters, and bits after the last byte."""
    edit.payload = rng.choice([edit.payload, b"a", b"ab"])
    char = rng.choice(["\n", " ", "\r\n", "!", "\u00e9", "\0", "%3D", "=", ".", ",", "~"])

    def insert(text):
        at = rng.choice([0, 4, len(text)])
        return text[:at] + char + text[at:]

    spell(rng, edit, rng.choice([insert, insert, bits_after]))


def bits_after(text):
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    if not bare:
        return text
    last = digits.index(bare[-1]) | (len(text) > len(bare))
    return bare[:-1] + digits[last] + text[len(bare) :]


def spell(rng, edit, spelling):
    def both(data):
        return spelling(to_base64(data))

    if rng.random() < 0.6:
        edit.spell_payload = both
    else:
        edit.spell_signature = both


def sealed_by_some(rng, edit, world, holders):
    everyone = [*holders, *world.foreign, *list(world.keys.values())[:3]]
    edit.signers = rng.sample(everyone, rng.randrange(len(everyone)))


def sealed_by_all(_rng, edit, _world, holders):
    edit.signers = list(holders)


def sealed_by_foreign(rng, edit, world, holders):
    """Under their own ids, or under those of keys that count."""
    edit.signers = [*world.foreign]
    if rng.random() < 0.5:
        edit.after.append(lambda signatures: [e.update(keyid=k.id) for e, k in zip(signatures, holders)])


def sealed_by_root_keys(_rng, edit, world, _holders):
    edit.signers = list(world.keys.values())[:4]


def sealed_twice(rng, edit, _world, holders):
    """One key makes up for two, under one hint or under two."""
    edit.signers = [rng.choice(holders)] * 2
    hints = [rng.choice([key.id for key in holders] + ["", "x"]) for _ in range(2)]
    if rng.random() < 0.7:
        edit.after.append(lambda signatures: [e.update(keyid=hint) for e, hint in zip(signatures, hints)])


def sealed_by_nobody(rng, edit, _world, _holders):
    edit.signers = []
    if rng.random() < 0.5:
        edit.after.append(lambda signatures: signatures.append({"keyid": "", "sig": ""}))


def other_hint(rng, edit, _world, holders):
    def change(signatures):
        for entry in signatures:
            hint = rng.choice(["", "x", "SHA256:abc", None, 7, [], True, rng.choice(holders).id, entry["keyid"].upper()])
            entry["keyid"] = hint
            if rng.random() < 0.3:
                del entry["keyid"]

    edit.after.append(change)


def hints_swapped(_rng, edit, _world, _holders):
    def change(signatures):
        hints = [entry["keyid"] for entry in signatures]
        for entry, hint in zip(signatures, reversed(hints)):
            entry["keyid"] = hint

    edit.after.append(change)


def signature_doubled(rng, edit, _world, _holders):
    def change(signatures):
        if signatures:
            signatures.append({**rng.choice(signatures), "keyid": rng.choice(["", "x", signatures[0]["keyid"]])})

    edit.after.append(change)


def signature_changed(rng, edit, _world, _holders):
    def change(signatures):
        if signatures:
            entry = rng.choice(signatures)
            raw = entry["sig"]
            entry["sig"] = rng.choice([raw[:-1], raw + b"\0", b"", raw[:32], bytes(64), raw[::-1], raw * 2, b"x" * 5000])

    edit.after.append(change)


def signature_of_other_form(rng, edit, _world, _holders):
    """P-256 in other DER; Ed25519 with the order added; ML-DSA over another message."""

    def change(signatures):
        for entry, key in zip(signatures, edit.signers):
            if key.kind == "p256":
                entry["sig"] = other_der(rng, entry["sig"])
            elif key.kind == "ml-dsa-65":
                entry["sig"] = other_ml_dsa(rng, key, entry["sig"], pae(edit.kind, edit.payload))
            elif rng.random() < 0.3:
                scalar = int.from_bytes(entry["sig"][32:], "little") + verify.ORDER
                entry["sig"] = entry["sig"][:32] + scalar.to_bytes(32, "little")

    edit.after.append(change)


def many_envelope_signatures(rng, edit, _world, _holders):
    extra = rng.choice([10, 64, 70])
    edit.after.append(lambda signatures: signatures.extend({"keyid": f"x{n}", "sig": b"x"} for n in range(extra)))


def unknown_envelope_field(rng, edit, _world, _holders):
    value = rng.choice([1, None, "x", [], {"a": {}}, "\ud800"])
    if rng.random() < 0.5:
        edit.other[rng.choice(["x", "Payload", ""])] = value
    else:
        edit.after.append(lambda signatures: [entry.update(cert=value) for entry in signatures])


def envelope_value_of_other_kind(rng, edit, _world, _holders):
    edit.other[rng.choice(["payload", "payloadType", "signatures"])] = rng.choice([None, 1, "", "e30=", [], {}, True, [[]]])


ENVELOPE_EDITS = [
    envelope_signed_again, other_payload_type, wrongly_encoded, other_payload, other_payload,
    payload_changed_afterwards, other_alphabet, other_alphabet, other_padding, other_padding, other_base64,
    other_base64, sealed_by_some, sealed_by_some, sealed_by_all, sealed_by_foreign, sealed_by_root_keys,
    sealed_twice, sealed_twice, sealed_by_nobody, other_hint, other_hint, hints_swapped, signature_doubled,
    signature_changed, signature_of_other_form, many_envelope_signatures, unknown_envelope_field,
    envelope_value_of_other_kind,
]  # fmt: skip
