#!/usr/bin/env python3
"""Makes tiny random-weight vision-language models as pairs of GGUF files, and their feature rows and logits from Hugging Face transformers.

    pip install torch torchvision transformers numpy gguf
    vision.py [--out tests/golden/vision] [--only NAME ...]

Per model: NAME.gguf and mmproj-NAME.gguf; NAME.tiles, "width height count" of its tiles, and NAME.rgb, their pixels; NAME.ids, the token
ids of one sequence, -1 where a feature row stands; NAME-rows.npy, float32 [rows, width], the feature rows; NAME.npy, float32 [tokens,
vocabulary], the logits after each token.  As in models.py, transformers' own modelling code computes in float64 from the very numbers that
the files hold, and the script stops where a model would not notice a mistake.  Tensor names are those of llama.cpp's converters
(gguf-py's own table; LLaVA as its older script writes it).
"""
import argparse
import importlib
import re
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

import models

F16, F32 = gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)

LLAMA = dict(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, hidden_size=64, intermediate_size=96, rms_norm_eps=1e-5,
             vocab_size=288, rope_parameters=models.ROPE_10K)
QWEN = dict(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=96, vocab_size=288,
            tie_word_embeddings=False)

# special: tokens that stand around images, at the end of the vocabulary; the first is the one in the image's place.
# layout: the sequence, in runs of text tokens and (as None) of tiles.
FAMILIES = {
    "smolvlm": dict(
        kind="Idefics3", arch="llama", projector="idefics3", tile=(48, 48), layout=(9, None, 4, None, 24), mean=HALF, std=HALF,
        special=["<image>", "<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "<row_1_col_2>"],
        text=dict(LLAMA, tie_word_embeddings=True),
        vision=dict(image_size=48, patch_size=8, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
                    layer_norm_eps=1e-3, hidden_act="gelu_pytorch_tanh"),
        config=dict(scale_factor=2)),
    "llava": dict(
        kind="Llava", arch="llama", projector="mlp", tile=(32, 32), layout=(6, None, 24), mean=CLIP_MEAN, std=CLIP_STD,
        special=["<image>"],
        text=dict(LLAMA, tie_word_embeddings=False),
        vision=dict(image_size=32, patch_size=8, hidden_size=64, intermediate_size=112, num_hidden_layers=3, num_attention_heads=4,
                    layer_norm_eps=1e-3, hidden_act="quick_gelu", projection_dim=40),
        config=dict(vision_feature_layer=-2, vision_feature_select_strategy="default", projector_hidden_act="gelu")),
    # A window of 12 is less than the image's 16 rows, which see each other all the same.
    "gemma3": dict(
        kind="Gemma3", arch="gemma3", projector="gemma3", writes_head_dim=True, tile=(64, 64), layout=(10, None, 30), mean=HALF, std=HALF,
        special=["<image_soft_token>", "<start_of_image>", "<end_of_image>"],
        text=dict(vocab_size=288, hidden_size=64, intermediate_size=96, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=1,
                  head_dim=32, query_pre_attn_scalar=32, rms_norm_eps=1e-3, tie_word_embeddings=True, sliding_window=12,
                  rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                                       sliding_attention=models.ROPE_10K)),
        vision=dict(image_size=64, patch_size=8, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=2,
                    layer_norm_eps=1e-3, hidden_act="gelu_pytorch_tanh", vision_use_head=False),
        config=dict(mm_tokens_per_image=16)),
    # The text model's epsilon is what the projector's file says of the tower, whose own is 1e-6.
    "qwen2vl": dict(
        kind="Qwen2VL", arch="qwen2vl", projector="qwen2vl_merger", tile=(40, 24), layout=(7, None, 24), mean=CLIP_MEAN, std=CLIP_STD,
        special=["<|image_pad|>", "<|vision_start|>", "<|vision_end|>"],
        text=dict(QWEN, hidden_size=32, rms_norm_eps=1e-3,
                  rope_parameters=dict(rope_type="default", rope_theta=1000000.0, mrope_section=[2, 3, 3])),
        vision=dict(patch_size=4, embed_dim=64, hidden_size=32, depth=2, num_heads=4, mlp_ratio=2, spatial_merge_size=2,
                    temporal_patch_size=2, hidden_act="quick_gelu"),
        config={}),
    # Windows of 8 x 8 patches in a tile of 12 x 10: whole and cut ones.
    "qwen25vl": dict(
        kind="Qwen2_5_VL", arch="qwen2vl", projector="qwen2.5vl_merger", tile=(140, 168), layout=(5, None, 20),
        mean=CLIP_MEAN, std=CLIP_STD,
        special=["<|image_pad|>", "<|vision_start|>", "<|vision_end|>"],
        text=dict(QWEN, hidden_size=64, rms_norm_eps=1e-3,
                  rope_parameters=dict(rope_type="default", rope_theta=1000000.0, mrope_section=[4, 6, 6])),
        vision=dict(patch_size=14, hidden_size=40, out_hidden_size=64, intermediate_size=72, depth=4, num_heads=2, spatial_merge_size=2,
                    temporal_patch_size=2, window_size=112, fullatt_block_indexes=[1, 3], hidden_act="silu"),
        config={}),
}


class TextModel:
    """The language model of a pair, as models.py wants one: names as if it stood alone."""

    def __init__(self, model):
        self.model = getattr(model.model, "language_model", None) or model.model.text_model
        self.head = model.lm_head
        self.config = self.model.config

    def named_parameters(self):
        for name, parameter in self.model.named_parameters():
            yield f"model.{name}", parameter
        if not self.config.tie_word_embeddings:
            yield "lm_head.weight", self.head.weight


def make_model(spec):
    config_of = {"Idefics3": transformers.Idefics3Config, "Llava": transformers.LlavaConfig, "Gemma3": transformers.Gemma3Config,
                 "Qwen2VL": transformers.Qwen2VLConfig, "Qwen2_5_VL": transformers.Qwen2_5_VLConfig}
    image = spec["text"]["vocab_size"] - len(spec["special"])
    text = dict(spec["text"], bos_token_id=models.BOS, eos_token_id=models.EOS, pad_token_id=None, max_position_embeddings=256)
    vision = dict(spec["vision"])
    extra = dict(spec["config"])
    if spec["kind"] == "Idefics3":
        text["model_type"] = "llama"
    elif spec["kind"] == "Llava":
        text["model_type"], vision["model_type"] = "llama", "clip_vision_model"
    token = {"image_token_index": image} if spec["kind"] in ("Llava",) else {"image_token_id": image}
    config = config_of[spec["kind"]](
        text_config=text, vision_config=vision, tie_word_embeddings=text["tie_word_embeddings"], **token, **extra)
    for part in (config, config.text_config, config.vision_config):
        part._attn_implementation = "eager"
    model = getattr(transformers, f"{spec['kind']}ForConditionalGeneration")(config).double().eval()
    return model, image


def vision_parameters(model):
    for name, parameter in model.named_parameters():
        if "language_model" not in name and "text_model" not in name and "lm_head" not in name:
            yield name, parameter


def draw_vision(family_name, name, shape, spec):
    """A matrix of standard deviation g / sqrt(fan in); rows of the projector are as large as the embeddings they stand among."""
    rng = np.random.default_rng(zlib.crc32(f"{family_name} {name}".encode()))
    values = rng.standard_normal(shape)
    if name.endswith("bias"):
        return 0.3 * values
    if len(shape) == 1 and "class_embedding" not in name:
        return (0.0 if "soft_emb_norm" in name else 1.0) + 0.2 * values  # transformers adds the 1 of soft_emb_norm
    if "position_embedding" in name or "class_embedding" in name:
        return values
    fan_in = int(np.prod(shape[1:]))
    gain = 1.0
    if "mm_input_projection" in name:
        fan_in, gain = shape[0], 2.0
    elif re.search(r"[qk]_proj", name):
        gain = 1.5
    elif "qkv" in name:
        gain = np.repeat([1.5, 1.5, 1.0], shape[0] // 3)[:, None]
    elif re.search(r"linear_2|mlp\.2|modality_projection", name):
        gain = 1.0 if not spec["text"]["tie_word_embeddings"] else 0.3
    return values * gain / np.sqrt(fan_in)


def checkpoint_name(name):
    """transformers 5 names modules otherwise than the published checkpoints, which converters read."""
    name = name.replace("model.visual.", "visual.").replace("model.connector.", "model.connector.")
    name = re.sub(r"^model\.vision_tower\.(?!vision_model)", "vision_tower.vision_model.", name)
    name = re.sub(r"^model\.(vision_tower|multi_modal_projector)", r"\1", name)
    return name


def legacy_llava_name(name):
    """As the script that made LLaVA's files renames: the feed-forward's first matrix becomes ffn_down."""
    name = re.sub(r"^model\.multi_modal_projector\.linear_(\d)", lambda m: f"mm.{0 if m[1] == '1' else 2}", name)
    name = re.sub(r"^model\.vision_tower\.(vision_model\.)?", "v.", name)
    for old, new in (("encoder.layers", "blk"), ("embeddings.", ""), ("_proj", ""), ("self_attn.", "attn_"), ("pre_layrnorm", "pre_ln"),
                     ("layer_norm", "ln"), ("mlp.fc1", "ffn_down"), ("mlp.fc2", "ffn_up"), ("embedding", "embd")):
        name = name.replace(old, new)
    return name


def vision_tensors(family_name, spec, model):
    """Draws every weight, rounds it to its format, puts the rounded value into the model; yields (name, array, format) as stored."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, 8)
    for name, parameter in vision_parameters(model):
        values = draw_vision(family_name, name, tuple(parameter.shape), spec).astype(np.float32)
        kind = F16 if values.ndim >= 2 else F32
        if spec["projector"] in ("idefics3", "gemma3") and "embeddings" in name:
            kind = F32
        rounded = values.astype(np.float16).astype(np.float32) if kind == F16 else values
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(rounded.astype(np.float64)))
        if spec["kind"] == "Llava":
            if "post_layernorm" in name or ".layers.2." in name:
                continue  # what lies behind the features is dropped
            parts = [(legacy_llava_name(name), rounded)]
        elif "patch_embed.proj" in name:
            parts = [("v.patch_embd.weight", rounded[:, :, 0]), ("v.patch_embd.weight.1", rounded[:, :, 1])]
        else:
            stored = rounded + 1.0 if "soft_emb_norm" in name else rounded
            if "soft_emb_norm" in name:  # the file's rounding counts
                parameter.data.copy_(torch.from_numpy(stored.astype(np.float64) - 1.0))
            if "qkv" in name:
                split = [(name.replace("qkv", letter), part) for letter, part in zip("qkv", np.split(stored, 3))]
            else:
                split = [(name, stored)]
            parts = []
            for each, values in split:
                each = checkpoint_name(each).replace("mm_input_projection_weight", "mm_input_projection.weight")
                mapped = names.get_name(each, try_suffixes=(".weight", ".bias"))
                if mapped is None:
                    raise SystemExit(f"{family_name}: no name in a file for {each}")
                parts.append((mapped, values))
        for stored_name, stored in parts:
            yield stored_name, np.ascontiguousarray(stored.astype(np.float16) if kind == F16 else stored.astype(np.float32)), kind


def write_projector(path, family_name, spec, model, tensors):
    config = model.config.vision_config
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(f"tiny random {family_name}")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", spec["projector"])
    vision, text = spec["vision"], spec["text"]
    put = lambda key, value: writer.add_uint32(f"clip.vision.{key}", value)
    put("image_size", vision.get("image_size", 560))
    put("patch_size", vision["patch_size"])
    put("embedding_length", vision.get("embed_dim", vision["hidden_size"]))
    put("feed_forward_length", vision["hidden_size"] if "embed_dim" in vision else vision["intermediate_size"])
    put("attention.head_count", vision.get("num_heads", vision.get("num_attention_heads")))
    put("projection_dim", vision.get("projection_dim", text["hidden_size"]))
    writer.add_array("clip.vision.image_mean", list(spec["mean"]))
    writer.add_array("clip.vision.image_std", list(spec["std"]))
    layers = vision.get("depth", vision.get("num_hidden_layers"))
    put("block_count", layers - 1 if spec["kind"] == "Llava" else layers)
    eps = vision.get("layer_norm_eps", text["rms_norm_eps"])
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", eps)
    if spec["projector"] == "idefics3":
        put("projector.scale_factor", spec["config"]["scale_factor"])
        put("preproc_image_size", 2 * vision["image_size"])
        writer.add_bool("clip.use_gelu", True)
    elif spec["projector"] == "gemma3":
        put("projector.scale_factor", vision["image_size"] // vision["patch_size"] // int(spec["config"]["mm_tokens_per_image"] ** 0.5))
        writer.add_bool("clip.use_gelu", True)
    elif spec["projector"] == "mlp":
        writer.add_bool("clip.has_llava_projector", True)
        writer.add_bool("clip.use_gelu", False)
    elif spec["projector"] == "qwen2.5vl_merger":
        writer.add_bool("clip.use_silu", True)
        put("n_wa_pattern", config.fullatt_block_indexes[0] + 1)
    for name, stored, kind in tensors:
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_tiles(family_name, spec, count):
    """Noise over slopes and squares: [count height width 3] bytes. No two patches are alike."""
    width, height = spec["tile"]
    rng = np.random.default_rng(zlib.crc32(f"{family_name} tiles".encode()))
    y, x = np.mgrid[0:height, 0:width]
    tiles = []
    for index in range(count):
        planes = [128 + 90 * np.sin((index + 1 + channel) * (x / width * 3 + y / height * (2 + channel))) for channel in range(3)]
        noise = rng.uniform(-60, 60, (height, width, 3))
        tiles.append(np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8))
    return np.stack(tiles)


def pixel_values(spec, tiles):
    mean, std = (np.asarray(each, np.float32).astype(np.float64) for each in (spec["mean"], spec["std"]))
    return torch.from_numpy(((tiles.astype(np.float64) / 255 - mean) / std).transpose(0, 3, 1, 2))  # [tiles 3 height width]


def inputs_of(spec, model, ids, image, tiles):
    """What forward() takes; `ids` holds `image` where a feature row stands."""
    pixels = pixel_values(spec, tiles)
    inputs = dict(input_ids=torch.tensor([ids]), pixel_values=pixels)
    kind = torch.tensor([[1 if each == image else 0 for each in ids]])
    if spec["kind"] == "Idefics3":
        inputs["pixel_values"] = pixels[None]
    elif spec["kind"] == "Gemma3":
        inputs["token_type_ids"] = kind
    elif spec["kind"].startswith("Qwen"):
        p, m = spec["vision"]["patch_size"], spec["vision"]["spatial_merge_size"]
        _, channels, height, width = pixels.shape
        grid = height // p, width // p
        frames = pixels[0][None].repeat(2, 1, 1, 1)  # a still image is both frames
        frames = frames.reshape(1, 2, channels, grid[0] // m, m, p, grid[1] // m, m, p).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
        inputs["pixel_values"] = frames.reshape(grid[0] * grid[1], channels * 2 * p * p)
        inputs["image_grid_thw"] = torch.tensor([[1, *grid]])
        inputs["mm_token_type_ids"] = kind
    return inputs


def run(spec, model, ids, image, tiles):
    inputs = inputs_of(spec, model, ids, image, tiles)
    with torch.no_grad():
        logits = model(**inputs, use_cache=False).logits[0].numpy()
        wanted = {k: v for k, v in inputs.items() if k in ("pixel_values", "image_grid_thw")}
        if spec["kind"] == "Llava":
            wanted |= dict(vision_feature_layer=spec["config"]["vision_feature_layer"], vision_feature_select_strategy="default")
        features = model.model.get_image_features(**wanted).pooler_output
    rows = torch.cat([each.reshape(-1, each.shape[-1]) for each in features]).numpy()
    return logits, rows


def rows_of_tile(spec):
    width, height = spec["tile"]
    side = spec["vision"]["patch_size"] * spec["vision"].get("spatial_merge_size", spec["config"].get("scale_factor", 1))
    if spec["kind"] == "Gemma3":
        return spec["config"]["mm_tokens_per_image"]
    return (width // side) * (height // side)


def vocabulary(spec):
    entries = list(models.pieces(spec["text"]["vocab_size"]))
    first = len(entries) - len(spec["special"])
    return entries[:first] + [(text, 0.0, gguf.TokenType.CONTROL) for text in spec["special"]]


def checked(name, spec, model, ids, image, tiles, logits, rows):
    """Refuses a pair whose numbers would hide a mistake: rows all alike, or a decoder that does not look at them."""
    count = sum(1 for each in ids if each == image)
    assert rows.shape[0] == count, (rows.shape, count)
    spread = float(logits.std(axis=-1).mean())
    among = float(rows.std(axis=0).mean() / rows.std())
    flipped, flipped_rows = run(spec, model, ids, image, tiles[:, :, ::-1])
    moved = float(np.abs(flipped_rows - rows).max() / np.abs(rows).max())
    last = max(i for i, each in enumerate(ids) if each == image) + 1
    seen = models.divergence(logits[last:], flipped[last:])
    print(f"{name:9s} std {spread:.2f}  rows {rows.shape} std {rows.std():.2f} apart {among:.2f}  "
          f"mirrored: rows {moved:.2f}, KL {seen:.3f}")
    if not (1.2 < spread < 6 and among > 0.2 and moved > 0.2 and seen > 0.01):
        raise SystemExit(f"{name}: a model that does not look makes no golden")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "tests/golden/vision")
    parser.add_argument("--only", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    args = parser.parse_args()
    kinds = "llama gemma3 qwen2_vl qwen2_5_vl siglip clip idefics3 llava".split()
    models.in_double("transformers.modeling_rope_utils", *(f"transformers.models.{kind}.modeling_{kind}" for kind in kinds))
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        spec = FAMILIES[name]
        model, image = make_model(spec)
        text = TextModel(model)
        text_spec = dict(arch=spec["arch"], writes_head_dim=spec.get("writes_head_dim", False))
        family_name = "gemma3" if spec["arch"] == "gemma3" else name
        text_tensors = list(models.tensors_of(family_name, text_spec, text, "F16"))
        tensors = list(vision_tensors(name, spec, model))
        tiles = make_tiles(name, spec, spec["layout"].count(None))
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        ids = [models.BOS]
        for run_length in spec["layout"]:
            ids += [image] * rows_of_tile(spec) if run_length is None else [int(i) for i in rng.integers(3, 259, run_length)]
        logits, rows = run(spec, model, ids, image, tiles)
        checked(name, spec, model, ids, image, tiles, logits, rows)
        models.write_file(args.out / f"{name}.gguf", family_name, text_spec, text, "F16", text_tensors, vocabulary(spec))
        write_projector(args.out / f"mmproj-{name}.gguf", name, spec, model, tensors)
        (args.out / f"{name}.ids").write_text(" ".join(str(-1 if each == image else each) for each in ids) + "\n")
        (args.out / f"{name}.tiles").write_text(f"{spec['tile'][0]} {spec['tile'][1]} {len(tiles)}\n")
        (args.out / f"{name}.rgb").write_bytes(tiles.tobytes())
        np.save(args.out / f"{name}-rows.npy", rows.astype(np.float32))
        np.save(args.out / f"{name}.npy", logits.astype(np.float32))


if __name__ == "__main__":
    main()
