#!/usr/bin/env python3
"""Converts a llama2.c checkpoint and its tokenizer (stories260K, BabyLlama) to a float32 GGUF file.

    pip install numpy gguf
    stories260k.py --checkpoint stories260K.bin --tokenizer tok512.bin --out tests/data/stories260K.gguf

The tokenizer is either llama2.c's own form (tok512.bin) or a SentencePiece `.vocab` text file (tok105.vocab).

Checkpoint layout: 7 int32 (dim, ffn, layers, heads, kv heads, vocabulary, context), then float32 blocks, each for all
layers in a row: embedding, attention norm, q, k, v, o, ffn norm, w1, w2, w3, final norm, two unused RoPE tables and,
only where vocabulary is negative, an output head of its own.  llama2.c rotates neighbouring pairs (2i, 2i+1), which is
what architecture "llama" means in GGUF, so q and k are copied as they are.
"""
import argparse
import struct
from pathlib import Path

import gguf
import numpy as np

UNKNOWN, BOS, EOS = 0, 1, 2


def read_checkpoint(path):
    data = path.read_bytes()
    dim, ffn, layers, heads, kv_heads, vocab, context = struct.unpack_from("<7i", data)
    tied = vocab > 0
    vocab = abs(vocab)
    head_dim = dim // heads
    kv_dim = head_dim * kv_heads
    values = np.frombuffer(data, dtype="<f4", offset=28)
    used = 0

    def take(*shape):
        nonlocal used
        count = int(np.prod(shape))
        block = values[used:used + count].reshape(shape)
        used += count
        return block

    blocks = {
        "token_embd": take(vocab, dim),
        "attn_norm": take(layers, dim),
        "attn_q": take(layers, dim, dim),
        "attn_k": take(layers, kv_dim, dim),
        "attn_v": take(layers, kv_dim, dim),
        "attn_output": take(layers, dim, dim),
        "ffn_norm": take(layers, dim),
        "ffn_gate": take(layers, ffn, dim),   # w1
        "ffn_down": take(layers, dim, ffn),   # w2
        "ffn_up": take(layers, ffn, dim),     # w3
        "output_norm": take(dim),
    }
    take(2, context, head_dim // 2)           # RoPE tables: computed by everyone since
    if not tied:
        blocks["output"] = take(vocab, dim)
    if used != values.size:
        raise SystemExit(f"{path}: expected {used} floats after the header, the file has {values.size}")
    shape = dict(dim=dim, ffn=ffn, layers=layers, heads=heads, kv_heads=kv_heads, vocab=vocab, context=context)
    return shape, blocks


def read_llama2c_tokenizer(path):
    """uint32 longest token; then per token: float32 score, int32 length, bytes."""
    data = path.read_bytes()
    at, tokens = 4, []
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        tokens.append((data[at:at + length], score))
        at += length
    return tokens


def read_vocab_text(path):
    """One `piece<TAB>score` per line, as SentencePiece prints it."""
    tokens = []
    for line in path.read_text(encoding="utf-8").splitlines():
        piece, score = line.rsplit("\t", 1)
        tokens.append((piece.encode(), float(score)))
    return tokens


def token_entries(tokens):
    """(text, score, type) per id, in SentencePiece's own spelling: U+2581 for a space, <0xNN> for a byte."""
    special = {UNKNOWN: ("<unk>", gguf.TokenType.UNKNOWN), BOS: ("<s>", gguf.TokenType.CONTROL),
               EOS: ("</s>", gguf.TokenType.CONTROL)}
    for index, (piece, score) in enumerate(tokens):
        if index in special:
            text, kind = special[index]
        else:
            text, kind = piece.decode("utf-8").replace(" ", "\u2581"), gguf.TokenType.NORMAL
            if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
                kind = gguf.TokenType.BYTE
        yield text.encode(), score, kind


def write(path, name, licence, shape, blocks, tokens):
    if len(tokens) != shape["vocab"]:
        raise SystemExit(f"tokenizer has {len(tokens)} tokens, the checkpoint {shape['vocab']}")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_license(licence)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["dim"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_rope_dimension_count(shape["dim"] // shape["heads"])
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape["vocab"])
    texts, scores, kinds = zip(*token_entries(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(texts))
    writer.add_token_scores(list(scores))
    writer.add_token_types(list(kinds))
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    for name in ("token_embd", "output_norm", "output"):
        if name in blocks:
            writer.add_tensor(f"{name}.weight", blocks[name])
    for layer in range(shape["layers"]):
        for name, block in blocks.items():
            if name not in ("token_embd", "output_norm", "output"):
                writer.add_tensor(f"blk.{layer}.{name}.weight", block[layer])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--name", default="stories260K")
    parser.add_argument("--license", default="mit")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    shape, blocks = read_checkpoint(args.checkpoint)
    read_tokens = read_vocab_text if args.tokenizer.suffix == ".vocab" else read_llama2c_tokenizer
    write(args.out, args.name, args.license, shape, blocks, read_tokens(args.tokenizer))


if __name__ == "__main__":
    main()
