#!/usr/bin/env python3
"""Makes tests/golden/formats.txt: checksums of what gguf-py's reference reads from blocks of every weight format, and writes into some.

    pip install gguf==0.17.1 numpy
    scripts/goldens/formats.py > tests/golden/formats.txt
    scripts/goldens/formats.py --ggml path/to/libggml-base.so > tests/golden/formats.txt    # also compares with ggml's own functions

Lines: dequantize|quantize, format, first block, CRC-32 of 8192 blocks' worth of output. The blocks are made from a counter, the same way as in
tests/core/formats_test.cpp: bytes from splitmix64, then the first scale of block i set to the 16 bits of i, so that all 65,536 scales occur.
NaN results count as 0x7fc00000: which NaN comes out of a product is the processor's choice.
mxfp4 is not in this gguf-py; its values follow the OCP Microscaling text, with ggml's order of nibbles.
"""
import argparse
import ctypes
import zlib

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

# name, ggml type, values in a block, bytes of a block, where the block's first f16 scale stands (None: random bytes are kept)
FORMATS = [("f32", 0, 1, 4, None), ("f16", 1, 1, 2, 0), ("bf16", 30, 1, 2, 0), ("q8_0", 8, 32, 34, 0), ("q4_0", 2, 32, 18, 0),
           ("q4_1", 3, 32, 20, 0), ("q5_0", 6, 32, 22, 0), ("q5_1", 7, 32, 24, 0), ("q4_k", 12, 256, 144, 0), ("q5_k", 13, 256, 176, 0),
           ("q6_k", 14, 256, 210, 208), ("iq4_nl", 20, 32, 18, 0), ("mxfp4", 39, 32, 17, None)]
QUANTIZED = ["f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"]
BLOCKS, CHUNK = 65536, 8192


def splitmix(index):
    with np.errstate(over="ignore"):
        z = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def blocks_of(ggml_type, block_bytes, scale_at):
    words = (BLOCKS * block_bytes + 7) // 8
    raw = splitmix(np.arange(words, dtype=np.uint64) + np.uint64(ggml_type << 32)).astype("<u8").view(np.uint8)
    blocks = raw[: BLOCKS * block_bytes].reshape(BLOCKS, block_bytes).copy()
    if scale_at is not None:
        blocks[:, scale_at : scale_at + 2] = np.arange(BLOCKS, dtype="<u2").view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def values_of(ggml_type, block):
    """Integers of 24 bits times 2^-43 .. 2^-3, one power per block of 32; every 64th block is constant, every 64th + 1 zero."""
    n = BLOCKS * 32
    mantissa = (splitmix(np.arange(n, dtype=np.uint64) + np.uint64((ggml_type + 100) << 32)) >> np.uint64(40)).astype(np.int64) - (1 << 23)
    group = np.arange(n) // 32
    mantissa = np.where(group % 64 == 0, 1 << 22, np.where(group % 64 == 1, 0, mantissa))
    x = np.ldexp(mantissa.astype(np.float64), -43 + group % 41).astype(np.float32)
    return x[: BLOCKS * block]


def mxfp4(blocks):
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float64)
    codes = np.concatenate([blocks[:, 1:] & 15, blocks[:, 1:] >> 4], axis=1)
    return (table[codes] * np.ldexp(1.0, blocks[:, :1].astype(np.int64) - 127)).astype(np.float32)


def canonical(x):
    bits = x.astype(np.float32).view(np.uint32).copy()
    bits[np.isnan(x)] = 0x7FC00000
    return bits


def compare_with_ggml(library, name, block, block_bytes, blocks, ours):
    function = getattr(library, f"dequantize_row_{name.replace('_k', '_K')}", None)
    if function is None:
        return
    out = np.empty(BLOCKS * block, dtype=np.float32)
    function.restype = None
    function(blocks.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(out.size))
    assert (canonical(out) == canonical(ours.reshape(-1))).all(), f"{name}: ggml reads other values"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ggml", help="libggml-base.so to compare with")
    args = parser.parse_args()
    library = ctypes.CDLL(args.ggml) if args.ggml else None
    np.seterr(all="ignore")
    print("# made by scripts/goldens/formats.py")
    for name, ggml_type, block, block_bytes, scale_at in FORMATS:
        blocks = blocks_of(ggml_type, block_bytes, scale_at)
        values = mxfp4(blocks) if name == "mxfp4" else dequantize(blocks.reshape(-1) if block == 1 else blocks, T(ggml_type))
        if library:
            compare_with_ggml(library, name, block, block_bytes, blocks, values)
        bits = canonical(np.ascontiguousarray(values).reshape(BLOCKS, block))
        for first in range(0, BLOCKS, CHUNK):
            print("dequantize", name, first, zlib.crc32(bits[first : first + CHUNK].astype("<u4").tobytes()))
    for name, ggml_type, block, block_bytes, _ in FORMATS:
        if name not in QUANTIZED:
            continue
        raw = quantize(values_of(ggml_type, block), T(ggml_type)).view(np.uint8).reshape(BLOCKS, block_bytes)
        for first in range(0, BLOCKS, CHUNK):
            print("quantize", name, first, zlib.crc32(raw[first : first + CHUNK].tobytes()))


if __name__ == "__main__":
    main()
