"""SipHash-1-3 of the labels of names: the specification of `model._siphash`, in Python.

Owns what the hash of a name is (see there). It is slow, and used where the table is asked in Python.
"""

_MASK = (1 << 64) - 1


def hash_label(key: bytes, behind: int, label: bytes) -> int:
    """The hash of a name, from that of the name behind its first label (0 for the root); key: 16 bytes."""
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573]
    data = behind.to_bytes(8, "little") + label.lower()
    data += bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(data), 8):
        block = int.from_bytes(data[at : at + 8], "little")
        v[3] ^= block
        _mix(v)
        v[0] ^= block
    v[2] ^= 0xFF
    for _ in range(3):
        _mix(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _mix(v: list[int]) -> None:
    v[0] = (v[0] + v[1]) & _MASK
    v[2] = (v[2] + v[3]) & _MASK
    v[1] = _rotate(v[1], 13) ^ v[0]
    v[3] = _rotate(v[3], 16) ^ v[2]
    v[0] = _rotate(v[0], 32)
    v[2] = (v[2] + v[1]) & _MASK
    v[0] = (v[0] + v[3]) & _MASK
    v[1] = _rotate(v[1], 17) ^ v[2]
    v[3] = _rotate(v[3], 21) ^ v[0]
    v[2] = _rotate(v[2], 32)


def _rotate(number: int, bits: int) -> int:
    return (number << bits | number >> (64 - bits)) & _MASK
