#!/usr/bin/env python3
"""Compiles the CUDA kernels for some architectures and reports what each uses: registers, spills, shared memory and, with --mix, its instructions.
Fails on a spill that the kernel's source does not declare with a line "// spills: KERNEL at most N bytes"."""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTRY = re.compile(r"Compiling entry function 'kl_(\w+)' for 'sm_(\w+)'")
SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
DECLARED = re.compile(r"//\s*spills:\s*(\w+) at most (\d+) bytes")


def compiler_knows(nvcc):
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    return [a for a in ("75", "80", "86", "89", "90", "100", "120") if f"sm_{a}\n" in listed + "\n"]


def mix(cubin):
    """Per kernel: how many instructions of each kind, loads and stores by width."""
    text = subprocess.run(["cuobjdump", "-sass", cubin], capture_output=True, text=True, check=True).stdout
    counts, kernel = collections.defaultdict(collections.Counter), None
    for line in text.splitlines():
        if found := re.search(r"Function : kl_(\w+)", line):
            kernel = found.group(1)
        elif (found := re.search(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)", line)) and kernel:
            words = found.group(1).split(".")
            wide = [w for w in words[1:] if w in ("64", "128")] if words[0] in ("LDG", "STG", "LDS", "STS") else []
            counts[kernel][".".join([words[0], *wide])] += 1
    return counts


def compile_one(nvcc, source, architecture, folder, with_mix):
    cubin = pathlib.Path(folder) / f"{source.stem}.{architecture}.cubin"
    command = [nvcc, "-cubin", f"-arch=sm_{architecture}", "-std=c++20", "-O3", "-fmad=false", "-Xptxas", "-v", f"-I{ROOT / 'backends'}", f"-I{ROOT / 'sdk' / 'src'}",
               "-Werror", "all-warnings", "-o", str(cubin), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return source, architecture, None, done.stderr
    kernels, name = {}, None
    for line in done.stderr.splitlines():
        if found := ENTRY.search(line):
            name = found.group(1)
            kernels[name] = {"registers": 0, "spills": 0, "shared": 0}
        elif name and (found := SPILL.search(line)):
            kernels[name]["spills"] = max(int(found.group(2)), int(found.group(3)))
        if name and (found := USED.search(line)):
            kernels[name]["registers"] = int(found.group(1))
            if found := SHARED.search(line):
                kernels[name]["shared"] = int(found.group(1))
    if with_mix:
        for kernel, counts in mix(cubin).items():
            if kernel in kernels:
                kernels[kernel]["mix"] = counts
    return source, architecture, kernels, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", default="", help="75,80,...; default: all of ours that this compiler knows")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--mix", action="store_true", help="count instructions too (needs cuobjdump)")
    parser.add_argument("names", nargs="*", help="only files whose name contains one of these")
    options = parser.parse_args()
    if options.mix and not shutil.which("cuobjdump"):
        sys.exit("kinglet: error: expected cuobjdump on the path for --mix")
    architectures = options.architectures.split(",") if options.architectures else compiler_knows(options.nvcc)
    sources = [s for s in sorted((ROOT / "backends" / "cuda" / "kernels").glob("*.cu")) if not options.names or any(n in s.name for n in options.names)]
    failed = False
    print(f"{'kernel':36} {'sm':>4} {'registers':>9} {'spills':>7} {'shared':>7}")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_one, options.nvcc, s, a, folder, options.mix) for s in sources for a in architectures]
        for job in jobs:
            source, architecture, kernels, errors = job.result()
            if kernels is None or not kernels:
                failed = True
                print(f"{source.name} for sm_{architecture}: expected it to compile to kernels\n{errors}")
                continue
            allowed = {name: int(most) for name, most in DECLARED.findall(source.read_text())}
            for name, used in sorted(kernels.items()):
                verdict = ""
                if used["spills"] > allowed.get(name, 0):
                    failed, verdict = True, f"  spills, {allowed.get(name, 0)} bytes declared"
                print(f"{name:36} {architecture:>4} {used['registers']:>9} {used['spills']:>7} {used['shared']:>7}{verdict}")
                if "mix" in used:
                    print("    " + ", ".join(f"{kind} {count}" for kind, count in used["mix"].most_common(14)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
