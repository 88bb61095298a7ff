#!/usr/bin/env python3
"""Expected token ids, as hashes, and the vocabularies they belong to, small enough to check in.

    pip install tokenizers sentencepiece protobuf gguf
    python3 scripts/goldens/tokenizer_ids.py --smollm2 tokenizer.json --qwen3 tokenizer.json.gz --spm ggml-vocab-llama-spm.gguf

The ids come from Hugging Face's tokenizers (SmolLM2, Qwen3) and from SentencePiece itself (Llama 2), not from this library. Writes
tests/data/tokenizers/*.bpe and tests/golden/tokenizers/*.txt. Made with tokenizers 0.23.3 and sentencepiece 0.2.3.
"""
import argparse
import gzip
import json
import pathlib

import tokenizer_texts as texts

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests"
BLOCK = 4096  # code points per line
RANDOM_BLOCKS = 1000
RUNS = [" ", "\n", "\t", "a", "0", "!", "\u3000", "\u4e00"]


def varint(n):
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def write_bpe(path, model):
    """Text lines "id kind text" for the tokens that no merge makes, an empty line, then per merge two variable-length ids.

    Merge i makes token first_merge + i. Kinds are those of GGUF: 1 normal, 3 control, 4 user-defined.
    """
    vocabulary = dict(model["model"]["vocab"])
    merges = [m.split(" ") if isinstance(m, str) else m for m in model["model"]["merges"]]
    made = [vocabulary[a + b] for a, b in merges]
    first = made[0]
    assert made == list(range(first, first + len(made)))
    kinds = {}
    for token in model["added_tokens"]:
        vocabulary[token["content"]] = token["id"]
        kinds[token["id"]] = 3 if token["special"] else 4
    lines = [f"first_merge {first}"]
    for token, i in sorted(vocabulary.items(), key=lambda item: item[1]):
        if not first <= i < first + len(made):
            lines.append(f"{i} {kinds.get(i, 1)} {token}")
    body = b"".join(varint(vocabulary[a]) + varint(vocabulary[b]) for a, b in merges)
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + body)


def huggingface(model):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(model))
    tokenizer.encode_special_tokens = True  # as text: these goldens are about content
    return lambda strings: [e.ids for e in tokenizer.encode_batch(strings, add_special_tokens=False)]


def sentencepiece(path):
    import sentencepiece as sp
    from gguf import GGUFReader
    from sentencepiece import sentencepiece_model_pb2 as proto

    fields = GGUFReader(path).fields
    model = proto.ModelProto()
    tokens, scores, kinds = (fields["tokenizer.ggml." + k] for k in ("tokens", "scores", "token_type"))
    for t, s, k in zip(tokens.data, scores.data, kinds.data):
        piece = model.pieces.add()
        piece.piece = bytes(tokens.parts[t]).decode()
        piece.score = float(scores.parts[s][0])
        piece.type = int(kinds.parts[k][0])
    model.trainer_spec.model_type = 2  # BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    processor = sp.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.SerializeToString())
    return lambda strings: [processor.EncodeAsIds(s) for s in strings]


def scalars(first):
    return [chr(c) for c in range(first, min(first + BLOCK, 0x110000)) if not 0xD800 <= c <= 0xDFFF]


def goldens(encode):
    for name in ("wiki.txt", "zh.txt", "code.txt"):
        whole = (ROOT / "data/tokenizers" / name).read_bytes().decode()
        lines = whole.split("\n")
        yield f"file {name} {texts.hash_ids(encode([whole])):016x} {texts.hash_ids(encode(lines)):016x}"
    for i, run in enumerate(RUNS):
        strings = [s for n in range(1, 301) for s in (run * n, "x" + run * n + "y")]
        yield f"run {i} {texts.hash_ids(encode(strings)):016x}"
    for first in range(0, 0x110000, BLOCK):
        block = scalars(first)
        alone, between = encode(block), encode(["a" + c + "b" for c in block])
        yield f"scalars {first} {texts.hash_ids(alone):016x} {texts.hash_ids(between):016x}"
    for block in range(RANDOM_BLOCKS):
        yield f"random {block} {texts.hash_ids(encode(random_block(block))):016x}"


RANDOM_TEXTS = {}


def random_block(block):
    if block not in RANDOM_TEXTS:
        RANDOM_TEXTS[block] = texts.texts(block)
    return RANDOM_TEXTS[block]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", required=True)
    parser.add_argument("--qwen3", required=True)
    parser.add_argument("--spm", required=True)
    arguments = parser.parse_args()
    encoders = {}
    for name, path in (("smollm2", arguments.smollm2), ("qwen3", arguments.qwen3)):
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
            model = json.load(file)
        write_bpe(ROOT / f"data/tokenizers/{name}.bpe", model)
        encoders[name] = huggingface(model)
    encoders["llama-spm"] = sentencepiece(arguments.spm)
    (ROOT / "golden/tokenizers").mkdir(parents=True, exist_ok=True)
    for name, encode in encoders.items():
        path = ROOT / f"golden/tokenizers/{name}.txt"
        path.write_text("# scripts/goldens/tokenizer_ids.py\n" + "".join(line + "\n" for line in goldens(encode)))


if __name__ == "__main__":
    main()
