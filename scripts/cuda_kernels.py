#!/usr/bin/env python3
"""Compiles the CUDA kernels for some architectures and reports what each uses: registers, spills, shared memory and, with --mix, its instructions: the card's own where
cuobjdump is on the path, else those of PTX, the compiler's intermediate language, which is then said. --json FILE writes the report there too.
Fails on a spill that the kernel's source does not declare with a line "// spills: KERNEL at most N bytes"."""
import argparse
import collections
import concurrent.futures
import json
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


def ptx_mix(ptx):
    """The same of PTX: mma, dp4a and loads and stores with their width and space."""
    counts, kernel = collections.defaultdict(collections.Counter), None
    for line in pathlib.Path(ptx).read_text().splitlines():
        if found := re.search(r"\.entry kl_(\w+)", line):
            kernel = found.group(1)
        elif (found := re.match(r"\s+(?:@!?%p\d+\s+)?([a-z][a-z0-9_.]+)\s", line)) and kernel:
            words = found.group(1).split(".")
            if words[0] in ("ld", "st"):
                kind = ".".join([words[0], *[w for w in words[1:] if w in ("global", "shared", "param", "v2", "v4")]])
            elif words[0] in ("mma", "cp"):
                kind = ".".join([words[0], *[w for w in words[1:] if w in ("async", "wait_group", "commit_group", "s8", "f16") or w.startswith("m16")][:3]])
            else:
                kind = words[0]
            counts[kernel][kind] += 1
    return counts


def compile_one(nvcc, source, architecture, folder, mix_of):
    cubin = pathlib.Path(folder) / f"{source.stem}.{architecture}.cubin"
    command = [nvcc, "-cubin", f"-arch=sm_{architecture}", "-std=c++20", "-O3", "-fmad=false", "-Xptxas", "-v", f"-I{ROOT / 'backends'}", f"-I{ROOT / 'sdk' / 'src'}",
               "-Werror", "all-warnings", "-o", str(cubin), str(source)]
    kept = pathlib.Path(folder) / f"{source.stem}.{architecture}"
    if mix_of == "ptx":
        kept.mkdir()
        command += ["--keep", "--keep-dir", str(kept)]
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
    if mix_of:
        for kernel, counts in (mix(cubin) if mix_of == "sass" else ptx_mix(next(kept.glob("*.ptx")))).items():
            if kernel in kernels:
                kernels[kernel]["mix"] = counts
    return source, architecture, kernels, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", default="", help="75,80,...; default: all of ours that this compiler knows")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--mix", action="store_true", help="count instructions too")
    parser.add_argument("--json", default="", help="write the report to this file too")
    parser.add_argument("names", nargs="*", help="only files whose name contains one of these")
    options = parser.parse_args()
    mix_of = "" if not options.mix else "sass" if shutil.which("cuobjdump") else "ptx"
    if mix_of == "ptx":
        print("kinglet: no cuobjdump here: instructions are those of PTX, not the card's own", file=sys.stderr)
    architectures = options.architectures.split(",") if options.architectures else compiler_knows(options.nvcc)
    sources = [s for s in sorted((ROOT / "backends" / "cuda" / "kernels").glob("*.cu")) if not options.names or any(n in s.name for n in options.names)]
    failed, report = False, []
    print(f"{'kernel':36} {'sm':>4} {'registers':>9} {'spills':>7} {'shared':>7}")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_one, options.nvcc, s, a, folder, mix_of) for s in sources for a in architectures]
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
                report.append({"kernel": name, "architecture": int(architecture), "registers": used["registers"], "spills": used["spills"], "shared": used["shared"],
                               "instructions_of": mix_of or None, "instructions": dict(used.get("mix", {}))})
                if "mix" in used:
                    print("    " + ", ".join(f"{kind} {count}" for kind, count in used["mix"].most_common(14)))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
