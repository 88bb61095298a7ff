// Backends that are libraries of their own: found at run time beside this library, so that an app starts where they, or their drivers, are missing.
#pragma once
#include "backend/module.h"
#include "core/status.h"

namespace kl {

// The module of a backend ("vulkan"): linked in, or libkinglet_<name>.so from the first of these folders that has it: $KINGLET_BACKEND_DIR, the folder of the file
// this library lies in, "kinglet" in it or in "../lib" beside it, the folder it was built to be installed in. Loaded once, never unloaded. Thread-safe.
// Errors: not_found (no such file, or a part of it is missing; names the folders), unsupported (it belongs to another build).
Result<const BackendModule*> backend_module(const char* name);

}  // namespace kl
