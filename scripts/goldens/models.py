#!/usr/bin/env python3
"""Makes tiny random-weight models of every supported family as GGUF files, and their logits from Hugging Face transformers.

    pip install torch transformers numpy gguf
    models.py [--out tests/golden/models] [--only NAME ...]

Per model: NAME.gguf; NAME.ids, the token ids of one sequence as text; NAME.npy, float32 [tokens, vocabulary], the logits
after each token.  The logits are what transformers' own modelling code computes in float64 (eager attention) from the very
numbers that the file holds: matrices are rounded to the file's format first and the rounded values are put into the model.
Weights are scaled so that logits spread and attention is decisive; the script stops where a model would not notice a mistake.
"""
import argparse
import importlib
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

TOKENS = 96
WINDOW = 24
UNKNOWN, BOS, EOS = 0, 1, 2


class DoubleTorch:
    """Stands for `torch` inside transformers' modules: what they do in float32 whatever the weights are becomes float64."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def in_double(*modules):
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    for module in modules:
        importlib.import_module(module).torch = DoubleTorch()


def family(kind, arch, formats=("F16",), writes_head_dim=False, **config):
    """`kind` names transformers' classes, `arch` GGUF's architecture; without writes_head_dim the file lacks key_length."""
    return dict(kind=kind, arch=arch, formats=formats, writes_head_dim=writes_head_dim, config=config)


ROPE_10K = dict(rope_type="default", rope_theta=10000.0)

# Each differs from the others in shape as well: head sizes 16, 32 and 64, 1 to 4 query heads per KV head, vocabularies that
# are no multiple of 32.
# An epsilon of 1e-3 where it is not the family's own: at 1e-5 a reader that ignores it would pass.
FAMILIES = {
    "llama": family(
        "Llama", "llama", formats=("F16", "Q4_0", "Q4_1", "Q8_0"), vocab_size=288, hidden_size=96, intermediate_size=96,
        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters=ROPE_10K),
    # With original_max_position_embeddings 64 wavelengths lie on each side of both corners: all three branches of the rule occur.
    "llama3": family(
        "Llama", "llama", writes_head_dim=True, vocab_size=300, hidden_size=64, intermediate_size=160, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64)),
    "tinyllama": family(
        "Llama", "llama", vocab_size=259, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=1, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters=ROPE_10K),
    "mistral": family(
        "Mistral", "llama", vocab_size=272, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=2, rms_norm_eps=1e-3, tie_word_embeddings=False, sliding_window=WINDOW,
        rope_parameters=ROPE_10K),
    "smollm2": family(
        "Llama", "llama", vocab_size=288, hidden_size=128, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=100000.0)),
    "qwen2": family(
        "Qwen2", "qwen2", vocab_size=290, hidden_size=64, intermediate_size=160, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
    "qwen3": family(
        "Qwen3", "qwen3", writes_head_dim=True, vocab_size=288, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-3, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
    # Seven layers: the sixth is global, the rest slide. The linear scaling is that of the 4B and larger models, for the global
    # layer only.
    "gemma3": family(
        "Gemma3", "gemma3", formats=("F16", "Q4_0"), writes_head_dim=True, vocab_size=288, hidden_size=64, intermediate_size=96,
        num_hidden_layers=7, num_attention_heads=4, num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, rms_norm_eps=1e-3,
        tie_word_embeddings=True, sliding_window=WINDOW,
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                             sliding_attention=ROPE_10K)),
}


def make_model(spec):
    stem = "Gemma3Text" if spec["kind"] == "Gemma3" else spec["kind"]
    config = getattr(transformers, f"{stem}Config")(
        max_position_embeddings=256, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=None, attn_implementation="eager", **spec["config"])
    return getattr(transformers, f"{spec['kind']}ForCausalLM")(config).double().eval()


def draw(family_name, name, shape, config):
    """Weights by role. A matrix of standard deviation g / sqrt(fan in) turns rows of unit size into rows of size g."""
    rng = np.random.default_rng(zlib.crc32(f"{family_name} {name}".encode()))
    values = rng.standard_normal(shape)
    gemma = family_name == "gemma3"
    if name.endswith("norm.weight"):
        # q.k / sqrt(head size) has the size of the product of both scales: about 2, so that attention picks.
        mean = 1.15 if ("q_norm" in name or "k_norm" in name) else 1.0
        if gemma and name == "model.norm.weight":
            mean = 1.0
        return mean + 0.2 * values
    if name.endswith("bias"):
        return 0.5 * values
    gain = 1.0
    if "embed_tokens" in name:
        # Gemma multiplies by sqrt(width); a tied head wants logits of size 3, an untied model rows of size 1.
        gain = 2.0 if gemma else 2.0 if config.tie_word_embeddings else np.sqrt(shape[1])
    elif "lm_head" in name:
        gain = 2.0
    elif "q_proj" in name or "k_proj" in name:
        gain = 1.2
    elif ("o_proj" in name or "down_proj" in name) and not gemma:
        gain = 0.4 if config.tie_word_embeddings else 0.8
    return values * gain / np.sqrt(shape[-1])


def neighbours_from_halves(rows, heads):
    """Row order of q and k in files of architecture llama: pair (i, i + d/2) of each head becomes (2i, 2i + 1)."""
    return np.arange(rows).reshape(heads, 2, rows // heads // 2).swapaxes(1, 2).reshape(rows)


def tensors_of(family_name, spec, model, file_format):
    """Draws every weight, rounds it to its format, puts the rounded value into the model; yields (name, stored array, format)."""
    config = model.config
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, spec["arch"].upper()), config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        values = draw(family_name, name, tuple(parameter.shape), config).astype(np.float32)
        stored_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        kind = gguf.GGMLQuantizationType.F32
        if values.ndim == 2:
            # As in the files people use: the embedding of a 4-bit file is kept in 8 bits.
            table = file_format.startswith("Q4") and "embed_tokens" in name
            kind = gguf.GGMLQuantizationType["Q8_0" if table else file_format]
        order = np.arange(values.shape[0])
        if spec["arch"] == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            order = neighbours_from_halves(values.shape[0], heads)
        stored = gguf.quants.quantize(values[order], kind)
        read_back = gguf.quants.dequantize(stored, kind).astype(np.float64)
        original = np.empty_like(read_back)
        original[order] = read_back
        if family_name == "gemma3" and name.endswith("norm.weight"):
            original -= 1.0  # transformers adds the 1 that the file already holds
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(original))
        yield stored_name, stored, kind
    if config.rope_parameters.get("rope_type") == "llama3":
        plain = config.rope_parameters["rope_theta"] ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
        scaled = model.model.rotary_emb.inv_freq.numpy()
        yield "rope_freqs.weight", (plain / scaled).astype(np.float32), gguf.GGMLQuantizationType.F32


def pieces(count):
    """A minimal SentencePiece-style vocabulary: specials, the 256 bytes, then a few letters and pairs."""
    kinds = gguf.TokenType
    yield "<unk>", 0.0, kinds.UNKNOWN
    yield "<s>", 0.0, kinds.CONTROL
    yield "</s>", 0.0, kinds.CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", 0.0, kinds.BYTE
    letters = ["\u2581"] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["\u2581" + c for c in "abcdefghijklmnopqrstuvwxyz"]
    for index in range(count - 259):
        yield letters[index], -float(index), kinds.NORMAL


def write_file(path, family_name, spec, model, file_format, tensors, vocabulary=None):
    """`vocabulary`: (text, score, kind) per token instead of pieces()."""
    config = model.config
    writer = gguf.GGUFWriter(path, spec["arch"])
    writer.add_name(f"tiny random {family_name}")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{file_format}"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if spec["writes_head_dim"]:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if spec["arch"] == "llama":
        writer.add_rope_dimension_count(head_dim)
    rope = config.rope_parameters
    if family_name == "gemma3":
        writer.add_rope_freq_base(rope["full_attention"]["rope_theta"])
        writer.add_float32("gemma3.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["full_attention"]["factor"])
    else:
        writer.add_rope_freq_base(rope["rope_theta"])
    # Files of plain Mistral do not say the window; this one does, which is what a reader can honour.
    if family_name in ("gemma3", "mistral"):
        writer.add_sliding_window(config.sliding_window)
    if "mrope_section" in rope:
        writer.add_rope_dimension_sections(list(rope["mrope_section"]) + [0])
    texts, scores, kinds = zip(*(vocabulary or pieces(config.vocab_size)))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(texts))
    writer.add_token_scores(list(scores))
    writer.add_token_types(list(kinds))
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(True)
    for name, stored, kind in tensors:
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def without_attention(model, ids):
    saved = [layer.self_attn.o_proj.weight.clone() for layer in model.model.layers]
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
    logits = logits_of(model, ids)
    for layer, weight in zip(model.model.layers, saved):
        layer.self_attn.o_proj.weight.data.copy_(weight)
    return logits


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(a, b):
    p, q = log_softmax(a), log_softmax(b)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def checked(name, model, ids, logits):
    """Refuses a model whose logits would hide a mistake: too flat, too sharp, or deaf to what came before."""
    spread = float(logits.std(axis=-1).mean())
    swapped = ids[:1] + ids[2:0:-1] + ids[3:]  # the tokens 1 and 2 exchanged: later rows must notice
    order = divergence(logits[8:WINDOW], logits_of(model, swapped)[8:WINDOW])
    context = divergence(logits, without_attention(model, ids))
    print(f"{name:14s} std {spread:.2f}  KL without attention {context:.3f}  KL with two early tokens exchanged {order:.5f}")
    if not (1.5 < spread < 6 and context > 0.3 and order > 1e-3):
        raise SystemExit(f"{name}: a flat, peaked or context-free model makes no golden")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "tests/golden/models")
    parser.add_argument("--only", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    args = parser.parse_args()
    kinds = {spec["kind"].lower() for spec in FAMILIES.values()}
    in_double("transformers.modeling_rope_utils", *(f"transformers.models.{kind}.modeling_{kind}" for kind in kinds))
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for family_name in args.only:
        spec = FAMILIES[family_name]
        for file_format in spec["formats"]:
            name = family_name if file_format == "F16" else f"{family_name}-{file_format.lower()}"
            model = make_model(spec)
            tensors = list(tensors_of(family_name, spec, model, file_format))
            rng = np.random.default_rng(zlib.crc32(family_name.encode()))
            ids = [BOS] + [int(i) for i in rng.integers(3, model.config.vocab_size, TOKENS - 1)]
            logits = logits_of(model, ids)
            checked(name, model, ids, logits)
            write_file(args.out / f"{name}.gguf", family_name, spec, model, file_format, tensors)
            (args.out / f"{name}.ids").write_text(" ".join(map(str, ids)) + "\n")
            np.save(args.out / f"{name}.npy", logits.astype(np.float32))


if __name__ == "__main__":
    main()
