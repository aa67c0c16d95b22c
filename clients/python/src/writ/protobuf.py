"""As much of Protocol Buffers as the Workload API needs: fields of octets, texts and nested messages. What else there is, is skipped."""

from __future__ import annotations

from collections.abc import Iterator


def read_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and octets of each field with a length (wire type 2), in order. Raises ``ValueError``."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, at = _varint(message, at)
            continue
        if kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a message that is cut")
            yield number, message[at : at + length]
            at += length
        else:
            raise ValueError("a message with a field of an unknown kind")
    if at != len(message):
        raise ValueError("a message that is cut")


def write_field(number: int, value: bytes) -> bytes:
    """A field with a length; nothing where the value is empty."""
    return _written(number << 3 | 2) + _written(len(value)) + value if value else b""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        octet = message[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise ValueError("a message with a broken number")


def _written(value: int) -> bytes:
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
