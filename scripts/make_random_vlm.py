#!/usr/bin/env python3
"""Makes a vision-language model of a real one's shape with random weights, to measure speed with: it answers noise.

    pip install numpy gguf
    make_random_vlm.py --out FOLDER [--image-size 512] [--text 135m|small]

The encoder is SigLIP base with patches of 16 pixels (Zhai et al., 2023: 12 layers, width 768, FFN 3072, 12 heads), at 512 pixels 1,024 patches, and Idefics3's projector as in SmolVLM-256M
(pixel shuffle by 4, one linear map): 64 rows a picture. The text model has the shape of SmolLM2-135M, or of a tenth of it ("small"), with the tokenizer of the small model beside the samples.

    FOLDER/mmproj-f16.gguf, mmproj-q8_0.gguf     encoder and projector
    FOLDER/text-q8_0.gguf                        text model
"""
import argparse
from pathlib import Path

import gguf
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TOKENIZER = ROOT / "samples/image_question/model/shapes-vlm-q8_0.gguf"
PATCH, WIDTH, FFN, LAYERS, HEADS, SHUFFLE = 16, 768, 3072, 12, 12, 4
TEXTS = {
    "135m": dict(layers=30, width=576, ffn=1536, heads=9, kv_heads=3),
    "small": dict(layers=8, width=384, ffn=1024, heads=6, kv_heads=2),
}
HEAD = 64  # of the text model


class Weights:
    """Writes tensors of random numbers, the same ones in every format."""

    def __init__(self, writer, kind, seed):
        self.writer, self.kind, self.random = writer, kind, np.random.default_rng(seed)

    def matrix(self, name, *shape):
        data = self.random.standard_normal(shape, dtype=np.float32) / np.sqrt(np.float32(shape[-1]))
        self.writer.add_tensor(name, gguf.quants.quantize(data, self.kind), raw_dtype=self.kind)

    def exact(self, name, *shape, mean=0.0, spread=0.02):
        self.writer.add_tensor(name, (mean + spread * self.random.standard_normal(shape)).astype(np.float32))

    def norm(self, name, width, bias=True):
        self.exact(name + ".weight", width, mean=1.0)
        if bias:
            self.exact(name + ".bias", width)

    def linear(self, name, outputs, inputs):
        self.matrix(name + ".weight", outputs, inputs)
        self.exact(name + ".bias", outputs)


def finish(writer, path):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path}: {path.stat().st_size:,} bytes")


def file_type(kind):
    return {gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}[kind]


def write_projector(path, kind, image_size, text_width):
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(f"Random SigLIP base {image_size}")
    writer.add_file_type(file_type(kind))
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "idefics3")
    writer.add_uint32("clip.vision.image_size", image_size)
    writer.add_uint32("clip.vision.preproc_image_size", image_size)  # one tile
    writer.add_uint32("clip.vision.patch_size", PATCH)
    writer.add_uint32("clip.vision.embedding_length", WIDTH)
    writer.add_uint32("clip.vision.feed_forward_length", FFN)
    writer.add_uint32("clip.vision.block_count", LAYERS)
    writer.add_uint32("clip.vision.attention.head_count", HEADS)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_uint32("clip.vision.projection_dim", text_width)
    writer.add_uint32("clip.vision.projector.scale_factor", SHUFFLE)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    writer.add_bool("clip.use_gelu", True)

    weights = Weights(writer, kind, seed=1)
    weights.exact("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    weights.exact("v.patch_embd.bias", WIDTH)
    weights.exact("v.position_embd.weight", (image_size // PATCH) ** 2, WIDTH)
    for layer in range(LAYERS):
        block = f"v.blk.{layer}."
        weights.norm(block + "ln1", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            weights.linear(block + name, WIDTH, WIDTH)
        weights.norm(block + "ln2", WIDTH)
        weights.linear(block + "ffn_up", FFN, WIDTH)
        weights.linear(block + "ffn_down", WIDTH, FFN)
    weights.norm("v.post_ln", WIDTH)
    weights.matrix("mm.model.fc.weight", text_width, WIDTH * SHUFFLE * SHUFFLE)
    finish(writer, path)


def copy_tokenizer(writer):
    """Every tokenizer field of the small model; returns the size of the vocabulary."""
    fields = gguf.GGUFReader(TOKENIZER).fields
    for name, field in fields.items():
        if not name.startswith("tokenizer."):
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), kind)
    return len(fields["tokenizer.ggml.tokens"].data)


def write_text(path, kind, layers, width, ffn, heads, kv_heads):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Random text model")
    writer.add_file_type(file_type(kind))
    writer.add_block_count(layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    vocabulary = copy_tokenizer(writer)
    writer.add_vocab_size(vocabulary)

    weights = Weights(writer, kind, seed=2)
    weights.matrix("token_embd.weight", vocabulary, width)
    for layer in range(layers):
        block = f"blk.{layer}."
        weights.norm(block + "attn_norm", width, bias=False)
        weights.matrix(block + "attn_q.weight", heads * HEAD, width)
        weights.matrix(block + "attn_k.weight", kv_heads * HEAD, width)
        weights.matrix(block + "attn_v.weight", kv_heads * HEAD, width)
        weights.matrix(block + "attn_output.weight", width, heads * HEAD)
        weights.norm(block + "ffn_norm", width, bias=False)
        weights.matrix(block + "ffn_gate.weight", ffn, width)
        weights.matrix(block + "ffn_up.weight", ffn, width)
        weights.matrix(block + "ffn_down.weight", width, ffn)
    weights.norm("output_norm", width, bias=False)
    finish(writer, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--text", choices=TEXTS, default="135m")
    options = parser.parse_args()
    if options.image_size <= 0 or options.image_size % (PATCH * SHUFFLE) != 0:
        parser.error(f"expected an image size that is a multiple of {PATCH * SHUFFLE}, got {options.image_size}")
    options.out.mkdir(parents=True, exist_ok=True)
    text = TEXTS[options.text]
    for kind in (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.Q8_0):
        write_projector(options.out / f"mmproj-{kind.name.lower()}.gguf", kind, options.image_size, text["width"])
    write_text(options.out / "text-q8_0.gguf", gguf.GGMLQuantizationType.Q8_0, **text)


if __name__ == "__main__":
    main()
