"""ONNX files made by hand: protocol buffers of a few nodes, so that no test needs the onnx package.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLOAT, INT32 = 1, 6
Dim = int | str


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _value(name: str, kind: int, shape: Sequence[Dim]) -> bytes:
    dims = b"".join(_block(1, _number(1, n) if isinstance(n, int) else _block(2, n)) for n in shape)
    return _block(1, name) + _block(2, _block(1, _number(1, kind) + _block(2, dims)))


def node(op: str, inputs: Sequence[str], output: str, **integers: int) -> bytes:
    """One operation with integer attributes."""
    attributes = b"".join(_block(5, _block(1, name) + _number(3, n) + _number(20, 2)) for name, n in integers.items())
    return b"".join(_block(1, name) for name in inputs) + _block(2, output) + _block(4, op) + attributes


def constant(name: str, value: float) -> bytes:
    """A float32 number."""
    return _number(2, FLOAT) + _block(8, name) + _block(9, struct.pack("<f", value))


def onnx_model(
    nodes: Sequence[bytes],
    constants: Sequence[bytes] = (),
    *,
    takes: Sequence[Dim] = (1, 1, "y", "x"),
    gives: Sequence[Dim] = (1, 1, "y", "x"),
    gives_type: int = FLOAT,
    takes_type: int = FLOAT,
) -> bytes:
    """A model from ``image`` to ``map``."""
    graph = b"".join(_block(1, one) for one in nodes) + _block(2, "g")
    graph += b"".join(_block(5, one) for one in constants)
    graph += _block(11, _value("image", takes_type, takes)) + _block(12, _value("map", gives_type, gives))
    return _number(1, 8) + _block(7, graph) + _block(8, _number(2, 13))


def foreground(**shapes: Sequence[Dim]) -> bytes:
    """Sigmoid of 40 (x - 0.25): bright pixels."""
    nodes = [
        node("Sub", ["image", "half"], "centred"),
        node("Mul", ["centred", "steep"], "scaled"),
        node("Sigmoid", ["scaled"], "map"),
    ]
    return onnx_model(nodes, [constant("half", 0.25), constant("steep", 40.0)], **shapes)
