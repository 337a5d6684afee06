"""Rollback floors in a TPM, after spec/tpm.md: indices, record, floor.

tpm_model.py write    writes vectors/tpm
tpm_model.py check    checks vectors/tpm
"""

import hashlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "tpm"

MAX_SEQUENCE = 2**53 - 1


def indices(stream_hash):
    """Of the counter and of the record: the first 21 bits number the pair."""
    bits = "".join(f"{byte:08b}" for byte in stream_hash)
    counter = 0x01800000 + 2 * int(bits[:21], 2)
    return counter, counter + 1


def record(stream_hash, sequence, counter):
    return b"\x01" + stream_hash + sequence.to_bytes(8, "big") + counter.to_bytes(8, "big")


def floor(found, stream_hash, counter):
    """The floor, or the class of refusal."""
    if found[0] != 1:
        return "format"
    if found[1:33] != stream_hash:
        return "other-stream"
    sequence = int.from_bytes(found[33:41], "big")
    risen = counter - int.from_bytes(found[41:49], "big")
    if risen < 0 or sequence + risen > MAX_SEQUENCE:
        return "counter"
    return sequence + risen


def vector(scenario, found, stream_hash, counter):
    counter_index, record_index = indices(stream_hash)
    result = floor(found, stream_hash, counter)
    outcome = {"expect": result} if isinstance(result, str) else {"expect": "floor", "floor": result}
    return {
        "scenario": scenario,
        "streamHash": stream_hash.hex(),
        "counterIndex": counter_index,
        "recordIndex": record_index,
        "record": found.hex(),
        "counter": counter.to_bytes(8, "big").hex(),
        **outcome,
    }


def scenarios():
    example = hashlib.sha256(b"example/tour/any/stable").digest()
    usual = record(example, 41, 7)
    top = 2**64 - 1
    # Bits 20 and 21, counted from 0: the last of the pair's number, and the first that is no part of it.
    last_bit, next_bit = bytes([0, 0, 8]) + bytes(29), bytes([0, 0, 4]) + bytes(29)
    cases = {
        "worked-example": ("The example of the specification.", usual, example, 9),
        "just-enrolled": ("The counter has not risen.", usual, example, 7),
        "counter-below": ("The counter is lower than at enrolment.", usual, example, 6),
        "last-sequence": ("The floor is the highest sequence.", record(example, MAX_SEQUENCE - 1, 7), example, 8),
        "above-last-sequence": ("The floor would be above the highest sequence.", record(example, MAX_SEQUENCE, 7), example, 8),
        "sequence-overflows": ("The sum does not fit into 64 bits.", record(example, top, 0), example, 1),
        "counter-at-its-end": ("The counter has its highest value.", record(example, 5, top), example, top),
        "other-format": ("The first byte is not 1.", b"\x02" + usual[1:], example, 9),
        "other-stream": ("The record has another stream with the same indices.", record(example[:31] + b"\0", 41, 7), example, 9),
        "highest-index": ("The hash has ones only.", record(b"\xff" * 32, 1, 1), b"\xff" * 32, 1),
        "last-bit-of-the-pair": ("The last bit that counts.", record(last_bit, 1, 1), last_bit, 1),
        "bit-after-the-pair": ("The first bit that does not count.", record(next_bit, 1, 1), next_bit, 1),
    }
    return {name: vector(*case) for name, case in cases.items()}


def write():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, scenario in scenarios().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(scenario, indent=2) + "\n")


def check():
    wanted = scenarios()
    stored = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
    wrong = [name for name in sorted(wanted | stored) if wanted.get(name) != stored.get(name)]
    if wrong:
        sys.exit(f"vectors/tpm: not what the model computes: {', '.join(wrong)}")
    print(f"vectors/tpm: {len(stored)} scenarios are right")


def main(arguments):
    match arguments:
        case ["write"]:
            write()
        case ["check"]:
            check()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
