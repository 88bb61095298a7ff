#!/usr/bin/env python3
"""Makes the references for tests/vision: what Pillow decodes, and what transformers' image processors make of pictures.

    pip install pillow numpy torch torchvision==0.29.2 transformers==5.23.0
    scripts/goldens/pixels.py made       # the files of tests/data/images/made, from pillow/hopper.jpg
    scripts/goldens/pixels.py decode     > tests/golden/pixels/decode.txt
    scripts/goldens/pixels.py resample   > tests/golden/pixels/resample.txt
    scripts/goldens/pixels.py preprocess > tests/golden/pixels/preprocess.txt

Checksums are CRC-32 of RGB bytes, upright, alpha over white as transformers' convert_to_rgb does it. Where Pillow is known to be wrong about PNG (16-bit grey is
clipped instead of scaled, tRNS is compared after scaling) a plain decoder of this file decides; it is held to ref_results.csv of the PngSuite copy that the
images come from, when that is given: pixels.py decode ref_results.csv.
"""
import csv
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "tests" / "data" / "images"

# Pillow reads these as far as they go; we do not, and say so in decode.h: cut off, damaged, or not PNG.
REFUSED = {"pngsuite/xcsn0g01.png", "pngsuite/xdtn0g01.png", "made/cut_off.jpg", "made/no_end.png"}


# --- a plain PNG decoder -------------------------------------------------------------------------------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png_samples(data):
    """Header, samples [height, width, channels] at the file's depth, palette, tRNS."""
    at, idat, palette, trns = 8, b"", None, None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += length + 12
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
        elif kind == b"PLTE":
            palette = np.frombuffer(body, np.uint8).reshape(-1, 3)
        elif kind == b"tRNS":
            trns = body
        elif kind == b"IDAT":
            idat += body
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    raw, pos = zlib.decompress(idat), 0
    out = np.zeros((height, width, channels), np.uint16)
    step = max(1, channels * depth // 8)
    for x0, y0, dx, dy in ADAM7 if interlace else [(0, 0, 1, 1)]:
        w, h = -(-(width - x0) // dx), -(-(height - y0) // dy)
        if w <= 0 or h <= 0:
            continue
        size = (w * channels * depth + 7) // 8
        before = np.zeros(size, np.uint8)
        for y in range(h):
            kind, line = raw[pos], bytearray(raw[pos + 1:pos + 1 + size])
            pos += 1 + size
            for i in range(size):
                a = line[i - step] if i >= step else 0
                b = int(before[i])
                c = int(before[i - step]) if i >= step else 0
                p = a + b - c
                paeth = a if abs(p - a) <= abs(p - b) and abs(p - a) <= abs(p - c) else b if abs(p - b) <= abs(p - c) else c
                line[i] = (line[i] + [0, a, b, (a + b) // 2, paeth][kind]) & 255
            before = np.frombuffer(bytes(line), np.uint8)
            if depth == 16:
                values = before.view(">u2").astype(np.uint16)
            elif depth == 8:
                values = before.astype(np.uint16)
            else:
                bits = np.unpackbits(before).reshape(-1, depth)
                values = bits.dot(1 << np.arange(depth - 1, -1, -1)).astype(np.uint16)
            out[y0 + y * dy, x0::dx] = values[:w * channels].reshape(w, channels)
    return depth, colour, out, palette, trns


def png_rgba(data):
    """[height, width, channels of the file with palette and tRNS applied], 8 bits: 16 keep the high byte, fewer are spread over the range."""
    depth, colour, samples, palette, trns = png_samples(data)
    if colour == 3:
        index = samples[..., 0]
        rgb = palette[index]
        if trns is None:
            return rgb
        alpha = np.full(256, 255, np.uint8)
        alpha[:len(trns)] = np.frombuffer(trns, np.uint8)
        return np.dstack([rgb, alpha[index]])
    eight = (samples >> 8 if depth == 16 else samples * (255 // ((1 << depth) - 1))).astype(np.uint8)
    if trns is not None and colour in (0, 2):
        key = np.frombuffer(trns, ">u2").astype(np.uint16)
        eight = np.dstack([eight, np.where((samples == key).all(-1), 0, 255).astype(np.uint8)])
    return eight


# --- what a file decodes to ----------------------------------------------------------------------------------------------------------------------------

def over_white(image):
    """transformers' image_transforms.convert_to_rgb."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def fnv1a(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def reference(name, data, against):
    if name.startswith("pngsuite/") and not name.startswith(("pngsuite/iphone_", "pngsuite/x")):
        try:
            samples = png_rgba(data)
        except Exception:
            return None
        key = Path(name).name
        if key in against:
            assert fnv1a(samples.tobytes()) == against[key], name
        modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
        rgb = over_white(Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples, modes[samples.shape[2]]))
        depth, _, _, _, trns = png_samples(data)
        if depth != 16 and not (trns is not None and depth < 8):  # where Pillow is right it must say the same
            assert np.array_equal(np.array(rgb), np.array(over_white(Image.open(io.BytesIO(data))))), name
        return rgb
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return over_white(ImageOps.exif_transpose(image))
    except Exception:
        return None


def decode(csv_file=None):
    against = {}
    if csv_file:
        for row in csv.DictReader(open(csv_file)):
            if "primary_check" not in row["filename"] and row["hash"]:
                against[Path(row["filename"]).name] = int(row["hash"], 16)
    checked = 0
    print("# file, width, height, CRC-32 of RGB; or: file, error. Made by scripts/goldens/pixels.py decode")
    for path in sorted(IMAGES.rglob("*")):
        if path.suffix not in (".png", ".jpg", ".webp", ".bmp"):
            continue
        name = path.relative_to(IMAGES).as_posix()
        picture = None if name in REFUSED else reference(name, path.read_bytes(), against)
        checked += path.name in against
        print(name, "error" if picture is None else f"{picture.width} {picture.height} {zlib.crc32(picture.tobytes()):08x}")
    print(f"{checked} held to ref_results.csv", file=sys.stderr)


# --- files of our own ----------------------------------------------------------------------------------------------------------------------------------

def bmp(header_bytes, width, height, bits, compression, masks, palette, pixels, colours=0):
    info = struct.pack("<IiiHHIIiiII", max(header_bytes, 40), width, height, 1, bits, compression, len(pixels), 2835, 2835, colours, 0)
    if header_bytes == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    info += b"".join(struct.pack("<I", m) for m in masks)
    info = info.ljust(header_bytes, b"\0")
    at = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + info + palette + pixels


def lines_of(array, bits):
    """Bottom line first, each padded to four bytes; array [height, width] of pixels of `bits` or [height, width, 3] BGR."""
    out = b""
    for line in array[::-1]:
        raw = np.packbits((line[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes() if bits < 8 else np.ascontiguousarray(line).tobytes()
        out += raw + b"\0" * (-len(raw) % 4)
    return out


def run_lengths(array, nibbles):
    out = b""
    for number, line in enumerate(array[::-1]):
        x = 0
        while x < len(line):
            run = 1
            while x + run < len(line) and run < 255 and line[x + run] == line[x]:
                run += 1
            if run == 1 and x + 5 <= len(line) and number % 2:  # some literal runs, of an odd length
                part = line[x:x + 5]
                packed = bytes(int(part[i]) << 4 | (int(part[i + 1]) if i + 1 < 5 else 0) for i in range(0, 5, 2)) if nibbles else part.tobytes()
                out += bytes([0, 5]) + packed + b"\0" * (len(packed) % 2)
                x += 5
                continue
            value = int(line[x]) * 17 if nibbles else int(line[x])
            out += bytes([run, value])
            x += run
        out += b"\0\0"
    return out + b"\0\1"


def with_exif(png, orientation):
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    chunk = b"eXIf" + tiff
    chunk = struct.pack(">I", len(tiff)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:-12] + chunk + png[-12:]  # behind the pixels


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def made():
    folder = IMAGES / "made"
    folder.mkdir(parents=True, exist_ok=True)
    hopper = Image.open(IMAGES / "pillow" / "hopper.jpg").convert("RGB")
    small = hopper.resize((45, 33), Image.BICUBIC)
    rgb = np.array(small)
    alpha = np.add.outer(np.arange(33) * 5, np.arange(45) * 2).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([rgb, alpha]), "RGBA")
    files = {}
    for name, options in {"progressive": {"progressive": True}, "444": {"subsampling": 0}, "422": {"subsampling": 1}, "restart": {"restart_marker_rows": 1},
                          "quality_20": {"quality": 20}}.items():
        files[f"{name}.jpg"] = saved(small, "JPEG", **options)
    files["grey.jpg"] = saved(small.convert("L"), "JPEG")
    files["cmyk.jpg"] = saved(small.convert("CMYK"), "JPEG")
    files["progressive_grey.jpg"] = saved(small.convert("L"), "JPEG", progressive=True)
    files["cut_off.jpg"] = files["444.jpg"][:len(files["444.jpg"]) * 2 // 3]
    files["lossless.webp"] = saved(small, "WEBP", lossless=True)
    files["lossless_alpha.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
    files["lossy.webp"] = saved(small, "WEBP")
    files["lossy_alpha.webp"] = saved(rgba, "WEBP")
    files["animated.webp"] = saved(rgba, "WEBP", save_all=True, append_images=[rgba.transpose(Image.Transpose.ROTATE_180)], duration=100)
    png = saved(rgba, "PNG")
    files["alpha.png"] = png
    files["no_end.png"] = png[:-12]
    for orientation in range(1, 9):
        files[f"orientation_{orientation}.png"] = with_exif(saved(small.quantize(16), "PNG"), orientation)

    sixteen = np.array(small.quantize(16, dither=Image.Dither.NONE))
    indexed = small.quantize(16, dither=Image.Dither.NONE)
    palette = np.array(indexed.getpalette()[:48], np.uint8).reshape(16, 3)[:, ::-1]
    entries = np.hstack([palette, np.zeros((16, 1), np.uint8)]).tobytes()
    bgr = rgb[..., ::-1]
    wide = rgb.astype(np.uint32)
    files["mono.bmp"] = saved(small.convert("1"), "BMP")
    files["grey.bmp"] = saved(small.convert("L"), "BMP")
    files["palette.bmp"] = saved(indexed, "BMP")
    files["rgb.bmp"] = saved(small, "BMP")
    files["rgba.bmp"] = saved(rgba, "BMP")
    files["palette_4.bmp"] = bmp(40, 45, 33, 4, 0, [], entries, lines_of(sixteen, 4), 16)
    files["os2.bmp"] = bmp(12, 45, 33, 24, 0, [], b"", lines_of(bgr, 24))
    files["top_down.bmp"] = bmp(40, 45, -33, 24, 0, [], b"", lines_of(bgr[::-1], 24))
    fives = (wide[..., 0] >> 3 << 10 | wide[..., 1] >> 3 << 5 | wide[..., 2] >> 3).astype("<u2")
    sixes = (wide[..., 0] >> 3 << 11 | wide[..., 1] >> 2 << 5 | wide[..., 2] >> 3).astype("<u2")
    files["555.bmp"] = bmp(40, 45, 33, 16, 0, [], b"", lines_of(fives, 16))
    files["565.bmp"] = bmp(40, 45, 33, 16, 3, [0xF800, 0x7E0, 0x1F], b"", lines_of(sixes, 16))
    abgr = (wide[..., 0] << 24 | wide[..., 1] << 16 | wide[..., 2] << 8 | alpha).astype("<u4")
    files["alpha_fields.bmp"] = bmp(108, 45, 33, 32, 3, [0xFF000000, 0xFF0000, 0xFF00, 0xFF], b"", lines_of(abgr, 32))
    files["rle_8.bmp"] = bmp(40, 45, 33, 8, 1, [], entries, run_lengths(sixteen, False), 16)
    files["rle_4.bmp"] = bmp(40, 45, 33, 4, 2, [], entries, run_lengths(sixteen, True), 16)
    for name, data in files.items():
        (folder / name).write_bytes(data)


# --- resizing and processors ---------------------------------------------------------------------------------------------------------------------------

def picture(width, height):
    """[height, width, 3], as tests/vision/picture.h makes it: a gradient under noise, with hard edges."""
    y, x, c = np.meshgrid(np.arange(height, dtype=np.uint64), np.arange(width, dtype=np.uint64), np.arange(3, dtype=np.uint64), indexing="ij")
    with np.errstate(over="ignore"):
        z = ((y * np.uint64(width) + x) * np.uint64(3) + c + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        noise = (z ^ (z >> np.uint64(27))) >> np.uint64(56)
    gradient = (x * np.uint64(5) + y * np.uint64(3) + c * np.uint64(80)) % np.uint64(256)
    edge = np.where((x // np.uint64(16) + y // np.uint64(16)) % np.uint64(3) == 0, 255, 0).astype(np.uint64)
    return ((gradient * np.uint64(2) + noise + edge) // np.uint64(4)).astype(np.uint8)


# Not among them: what Pillow resizes across lines first, (5, 300, 64, 40) say.
RESIZES = [(97, 61, 40, 50), (30, 20, 64, 64), (200, 100, 31, 77), (64, 64, 64, 20), (64, 64, 20, 64), (1, 1, 7, 9), (500, 400, 8, 8), (512, 512, 512, 512),
           (333, 333, 336, 336), (2000, 16, 100, 16), (1024, 1024, 448, 448), (3, 3, 900, 900), (640, 480, 638, 479)]


def resample():
    import torch
    from torchvision.transforms import InterpolationMode as Mode
    from torchvision.transforms.v2 import functional as F
    print("# width, height, to width, to height, filter, whose sums, CRC-32 of RGB. Made by scripts/goldens/pixels.py resample")
    for w, h, tw, th in RESIZES:
        image = picture(w, h)
        for name, pil, mode in [("bilinear", Image.BILINEAR, Mode.BILINEAR), ("bicubic", Image.BICUBIC, Mode.BICUBIC), ("lanczos", Image.LANCZOS, Mode.LANCZOS)]:
            print(w, h, tw, th, name, "pillow", f"{zlib.crc32(Image.fromarray(image).resize((tw, th), pil).tobytes()):08x}")
            out = F.resize(torch.from_numpy(image).permute(2, 0, 1).contiguous(), [th, tw], interpolation=mode, antialias=True)
            print(w, h, tw, th, name, "torch", f"{zlib.crc32(out.permute(1, 2, 0).contiguous().numpy().tobytes()):08x}")


SIZES = [(1, 1), (1, 64), (64, 1), (2, 3), (37, 91), (64, 64), (224, 224), (336, 336), (640, 480), (480, 640), (1000, 300), (333, 1777), (512, 512), (513, 511),
         (1600, 1200), (190, 1), (1, 190), (1200, 31), (2049, 1023), (1, 201), (4031, 20)]


def preprocess():
    from transformers.models.clip.image_processing_clip import CLIPImageProcessor
    from transformers.models.gemma3.image_processing_gemma3 import Gemma3ImageProcessor
    from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.siglip.image_processing_siglip import SiglipImageProcessor
    from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
    raw = {"do_rescale": False, "do_normalize": False}

    def idefics3(processor, edge, tile, split):
        options = {"size": {"longest_edge": edge}, "max_image_size": {"longest_edge": tile}, "do_image_splitting": split, "return_row_col_info": True}

        def run(image):
            out = processor(**options, **raw)([[image]], return_tensors="pt")
            return out["rows"][0][0], out["cols"][0][0], out["pixel_values"][0]
        return run

    def single(processor):
        return lambda image: (0, 0, processor([image], return_tensors="pt")["pixel_values"])

    def qwen(low, high):
        processor = Qwen2VLImageProcessor(size={"shortest_edge": low, "longest_edge": high}, **raw)

        def run(image):
            out = processor([image], return_tensors="pt")
            _, gh, gw = out["image_grid_thw"][0].tolist()
            v = out["pixel_values"].reshape(gh // 2, gw // 2, 2, 2, 3, 2, 14, 14)[:, :, :, :, :, 0]  # one of two equal frames
            return 0, 0, v.permute(4, 0, 2, 5, 1, 3, 6).reshape(1, 3, gh * 14, gw * 14)
        return run

    crop = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    cases = {
        "stretch bilinear 224 14 4 0 0 0": single(Gemma3ImageProcessor(size={"height": 224, "width": 224}, **raw)),
        "stretch bicubic 384 16 1 0 0 0": single(SiglipImageProcessor(size={"height": 384, "width": 384}, **raw)),
        "crop bicubic 224 14 1 0 0 0": single(CLIPImageProcessor(**crop, **raw)),
        "pad bicubic 224 14 1 0 0 0": single(LlavaImageProcessorPil(do_pad=True, **crop, **raw)),
        "split_tiles lanczos 512 16 4 2048 0 0": idefics3(SmolVLMImageProcessor, 2048, 512, True),
        "split_tiles lanczos 364 14 2 1456 0 0": idefics3(Idefics3ImageProcessor, 1456, 364, True),
        "split_tiles bicubic 64 8 2 192 0 0": idefics3(Idefics3ImageProcessor, 192, 64, True),
        "whole_tile lanczos 64 8 2 64 0 0": idefics3(Idefics3ImageProcessor, 64, 64, False),
        "whole_tile lanczos 512 16 4 2048 0 0": idefics3(SmolVLMImageProcessor, 2048, 512, False),
        "dynamic bicubic 0 14 2 0 3136 1003520": qwen(3136, 1003520),
        "dynamic bicubic 0 14 2 0 50176 200704": qwen(50176, 200704),
    }
    for case in cases:  # SmolVLM's and Idefics3's own default filter is Lanczos
        if "split_tiles bicubic" in case:
            cases[case] = None
    options = {"size": {"longest_edge": 192}, "max_image_size": {"longest_edge": 64}, "return_row_col_info": True, "resample": Image.BICUBIC}
    bicubic = Idefics3ImageProcessor(**options, **raw)

    def split_bicubic(image):
        out = bicubic([[image]], return_tensors="pt")
        return out["rows"][0][0], out["cols"][0][0], out["pixel_values"][0]
    cases["split_tiles bicubic 64 8 2 192 0 0"] = split_bicubic

    print("# processor, filter, image size, patch, merge, longest edge, min and max pixels; picture; grid; tiles and their size; CRC-32 of all tiles' RGB")
    print("# Made by scripts/goldens/pixels.py preprocess; error: the processor refuses the picture")
    for case, run in cases.items():
        for w, h in SIZES:
            try:
                rows, columns, tiles = run(Image.fromarray(picture(w, h)))
            except ValueError:
                print(case, w, h, "error")
                continue
            tiles = np.asarray(tiles).round().astype(np.uint8).transpose(0, 2, 3, 1)
            crc = zlib.crc32(np.ascontiguousarray(tiles).tobytes())
            print(case, w, h, rows, columns, tiles.shape[0], tiles.shape[2], tiles.shape[1], f"{crc:08x}")


if __name__ == "__main__":
    {"made": made, "decode": decode, "resample": resample, "preprocess": preprocess}[sys.argv[1]](*sys.argv[2:])
