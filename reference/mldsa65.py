"""ML-DSA-65 as FIPS 204 has it: plain, slow, not constant in time, for vectors only.

`public_key` and `sign` start from the seed of 32 bytes and sign deterministically, so that the same
vectors are written every time; `verify` is a second opinion. Messages are signed as they are given
("pure"), with an empty context; `sign` takes another prefix, so that vectors can have what is refused.
"""

import functools
import hashlib

Q = 8380417
D = 13
TAU = 49
GAMMA1 = 2**19
GAMMA2 = (Q - 1) // 32
ROWS, COLUMNS = 6, 5
ETA = 4
BETA = TAU * ETA
OMEGA = 55
CHALLENGE = 48
PUBLIC_KEY_SIZE = 32 + 320 * ROWS
SIGNATURE_SIZE = CHALLENGE + 640 * COLUMNS + OMEGA + ROWS


def shake256(*parts, size):
    return hashlib.shake_256(b"".join(parts)).digest(size)


# Polynomials: lists of 256 coefficients modulo Q


def bit_reversed(number):
    return int(f"{number:08b}"[::-1], 2)


ZETAS = [pow(1753, bit_reversed(index), Q) for index in range(256)]


def ntt(poly):
    """Algorithm 41."""
    poly, zeta, length = list(poly), 0, 128
    while length:
        for start in range(0, 256, 2 * length):
            zeta += 1
            for j in range(start, start + length):
                other = ZETAS[zeta] * poly[j + length] % Q
                poly[j], poly[j + length] = (poly[j] + other) % Q, (poly[j] - other) % Q
        length //= 2
    return poly


def inverse_ntt(poly):
    """Algorithm 42."""
    poly, zeta, length = list(poly), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            zeta -= 1
            for j in range(start, start + length):
                low, high = poly[j], poly[j + length]
                poly[j], poly[j + length] = (low + high) % Q, -ZETAS[zeta] * (low - high) % Q
        length *= 2
    scale = pow(256, Q - 2, Q)
    return [value * scale % Q for value in poly]


def add(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def subtract(a, b):
    return [(x - y) % Q for x, y in zip(a, b)]


def multiply(a, b):
    """Of two polynomials that `ntt` gave."""
    return [x * y % Q for x, y in zip(a, b)]


def matrix_times(matrix, vector):
    """Matrix and vector are in the NTT domain, the result is not."""
    rows = []
    for row in matrix:
        total = [0] * 256
        for entry, poly in zip(row, vector):
            total = add(total, multiply(entry, poly))
        rows.append(inverse_ntt(total))
    return rows


def centred(value, modulus=Q):
    """The representative nearest to 0; of an even modulus half of it is positive."""
    value %= modulus
    return value - modulus if value > modulus // 2 else value


def largest(vector):
    return max(abs(centred(value)) for poly in vector for value in poly)


# Packing of bits, the lowest first


def pack(values, bits):
    number = sum(value << bits * index for index, value in enumerate(values))
    return number.to_bytes(len(values) * bits // 8, "little")


def unpack(data, bits):
    number, mask = int.from_bytes(data, "little"), (1 << bits) - 1
    return [number >> bits * index & mask for index in range(len(data) * 8 // bits)]


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def pack_hints(hints):
    """Algorithm 20."""
    positions, ends = [], []
    for poly in hints:
        positions += [index for index, bit in enumerate(poly) if bit]
        ends.append(len(positions))
    return bytes(positions).ljust(OMEGA, b"\0") + bytes(ends)


def unpack_hints(data):
    """Algorithm 21; None if the hints are spelled in another way than `pack_hints` does."""
    hints, start = [], 0
    for end in data[OMEGA:]:
        if not start <= end <= OMEGA:
            return None
        here = data[start:end]
        if any(a >= b for a, b in zip(here, here[1:])):
            return None
        hints.append([int(index in here) for index in range(256)])
        start = end
    return hints if not any(data[start:OMEGA]) else None


# Sampling


@functools.cache
def expand_matrix(rho):
    """Algorithm 32, with algorithm 30."""
    return [[sample_uniform(rho + bytes([column, row])) for column in range(COLUMNS)] for row in range(ROWS)]


def sample_uniform(seed):
    stream = hashlib.shake_128(seed).digest(3 * 1024)
    values = (int.from_bytes(piece, "little") & 0x7FFFFF for piece in pieces(stream, 3))
    return [value for value in values if value < Q][:256]


def sample_small(seed, number):
    """Algorithm 31."""
    stream = shake256(seed, number.to_bytes(2, "little"), size=1024)
    halves = (half for byte in stream for half in (byte & 15, byte >> 4))
    return [ETA - half for half in halves if half < 9][:256]


def sample_mask(seed, number):
    """Algorithm 34, one polynomial."""
    stream = shake256(seed, number.to_bytes(2, "little"), size=640)
    return [GAMMA1 - value for value in unpack(stream, 20)]


def sample_challenge(seed):
    """Algorithm 29: TAU coefficients of 1 or -1, the others 0."""
    stream = shake256(seed, size=8 + 4096)
    signs, places = unpack(stream[:8], 1), iter(stream[8:])
    poly = [0] * 256
    for index in range(256 - TAU, 256):
        place = next(place for place in places if place <= index)
        poly[index] = poly[place]
        poly[place] = -1 if signs[index + TAU - 256] else 1
    return poly


# Rounding


def decompose(value):
    """Algorithm 36: the high and the low part."""
    value %= Q
    low = centred(value, 2 * GAMMA2)
    if value - low == Q - 1:
        return 0, low - 1
    return (value - low) // (2 * GAMMA2), low


def high_bits(poly):
    return [decompose(value)[0] for value in poly]


def low_bits(poly):
    return [decompose(value)[1] for value in poly]


def use_hint(bit, value):
    """Algorithm 40."""
    high, low = decompose(value)
    if not bit:
        return high
    return (high + 1) % 16 if low > 0 else (high - 1) % 16


# Keys and signatures


@functools.cache
def expand_key(seed):
    """Algorithm 6; the parts of both keys, s1, s2 and t0 in the NTT domain."""
    stream = shake256(seed, bytes([ROWS, COLUMNS]), size=128)
    rho, secret, key = stream[:32], stream[32:96], stream[96:]
    s1 = [ntt(sample_small(secret, number)) for number in range(COLUMNS)]
    s2 = [sample_small(secret, COLUMNS + number) for number in range(ROWS)]
    t = [add(a, b) for a, b in zip(matrix_times(expand_matrix(rho), s1), s2)]
    t0 = [[centred(value, 2**D) for value in poly] for poly in t]
    t1 = [[(value - low) >> D for value, low in zip(*polys)] for polys in zip(t, t0)]
    public = rho + b"".join(pack(poly, 10) for poly in t1)
    return public, key, s1, [ntt(poly) for poly in s2], [ntt(poly) for poly in t0]


def public_key(seed):
    return expand_key(seed)[0]


PURE = b"\0\0"  # the kind of signature, and the length of the context


def representative(public, prefix, message):
    return shake256(shake256(public, size=64), prefix, message, size=64)


def challenge_for(mu, high):
    return shake256(mu, *(pack(poly, 4) for poly in high), size=CHALLENGE)


@functools.cache
def sign(seed, message, prefix=PURE):
    """Algorithms 2 and 7, the deterministic variant."""
    public, key, s1, s2, t0 = expand_key(seed)
    matrix, mu = expand_matrix(public[:32]), representative(public, prefix, message)
    mask_seed = shake256(key, bytes(32), mu, size=64)
    number = 0
    while True:
        y = [sample_mask(mask_seed, number + index) for index in range(COLUMNS)]
        number += COLUMNS
        w = matrix_times(matrix, [ntt(poly) for poly in y])
        challenge = challenge_for(mu, [high_bits(poly) for poly in w])
        c = ntt(sample_challenge(challenge))
        times_c = lambda vector: [inverse_ntt(multiply(c, poly)) for poly in vector]  # noqa: E731
        z = [add(a, b) for a, b in zip(y, times_c(s1))]
        rest = [subtract(a, b) for a, b in zip(w, times_c(s2))]
        if largest(z) >= GAMMA1 - BETA or largest(low_bits(poly) for poly in rest) >= GAMMA2 - BETA:
            continue
        c_t0 = times_c(t0)
        hints = [
            [int(a != b) for a, b in zip(high_bits(poly), high_bits(add(poly, other)))]
            for poly, other in zip(rest, c_t0)
        ]
        if largest(c_t0) >= GAMMA2 or sum(map(sum, hints)) > OMEGA:
            continue
        packed = b"".join(pack([GAMMA1 - centred(value) for value in poly], 20) for poly in z)
        return challenge + packed + pack_hints(hints)


@functools.cache
def verify(public, message, signature):
    """Algorithms 3 and 8."""
    if len(public) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    t1 = [unpack(piece, 10) for piece in pieces(public[32:], 320)]
    challenge, packed = signature[:CHALLENGE], signature[CHALLENGE : -OMEGA - ROWS]
    z = [[GAMMA1 - value for value in unpack(piece, 20)] for piece in pieces(packed, 640)]
    hints = unpack_hints(signature[-OMEGA - ROWS :])
    if hints is None or largest(z) >= GAMMA1 - BETA:
        return False
    c = ntt(sample_challenge(challenge))
    shifted = [multiply(c, ntt([value << D for value in poly])) for poly in t1]
    product = matrix_times(expand_matrix(public[:32]), [ntt(poly) for poly in z])
    w = [subtract(a, inverse_ntt(b)) for a, b in zip(product, shifted)]
    high = [[use_hint(bit, value) for bit, value in zip(*polys)] for polys in zip(hints, w)]
    return challenge_for(representative(public, PURE, message), high) == challenge
