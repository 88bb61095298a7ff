// Who may know whom (docs/map.md): the include graph is held to it.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sources.h"

namespace kl::conformance {
namespace {

// A module may include its own files and those of the modules named here. The engine knows everything below it, and nothing below knows the engine.
const std::map<std::string, std::set<std::string>> kMayKnow = {
    {"core", {}},
    {"ir", {"core"}},
    {"models", {"ir", "weights", "core"}},  // a family reads its hyperparameters from the container's metadata
    {"backend", {"ir", "core"}},
    {"weights", {"backend", "core"}},
    {"plan", {"backend", "ir", "core"}},
    {"kv", {"core"}},
    {"text", {"core"}},
    {"sampling", {"core"}},
    {"vision", {"core"}},
    {"engine", {"models", "weights", "plan", "kv", "vision", "text", "sampling", "backend", "ir", "core"}},
};

const std::set<std::string> kBackends = {"cpu", "cuda", "vulkan"};

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

std::string place(const SourceFile& file, const Include& include) {
  return file.path + ":" + std::to_string(include.line) + " includes " + include.name;
}

TEST(IncludeGraph, EveryModuleKnowsOnlyWhatItMay) {
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    if (!file.in("sdk/src") || !file.is_code()) continue;
    const std::string module = first_folder(file.path.substr(std::string("sdk/src/").size()));
    ASSERT_TRUE(kMayKnow.contains(module)) << file.path << " is in a module that this test does not know";
    for (const Include& include : includes_of(file)) {
      if (!include.quoted) continue;
      const std::string target = first_folder(include.name);
      if (target == include.name) continue;  // a file of the same folder
      ++checked;
      // The engine lists the backends that are built in, and implements the public header.
      const bool backend_from_engine = module == "engine" && (kBackends.contains(target) || target == "kinglet");
      EXPECT_TRUE(target == module || kMayKnow.at(module).contains(target) || backend_from_engine) << place(file, include);
    }
  }
  EXPECT_GT(checked, 50U);
}

TEST(IncludeGraph, ABackendKnowsTheBackendInterfaceIrAndCoreAndNoOtherBackend) {
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    if (!file.in("backends") || !file.is_code()) continue;
    const std::string own = first_folder(file.path.substr(std::string("backends/").size()));
    for (const Include& include : includes_of(file)) {
      if (!include.quoted) continue;
      ++checked;
      const std::string target = first_folder(include.name);
      // A backend records a Plan, so it sees what one is; how one is made is not its business.
      const bool below = target == "backend" || target == "ir" || target == "core" || include.name == "plan/plan.h";
      EXPECT_TRUE(below || !(kMayKnow.contains(target) || kBackends.contains(target)) || target == own) << place(file, include);
    }
  }
  EXPECT_GT(checked, 10U);
}

TEST(IncludeGraph, TheLibraryProperNamesNoDeviceLibrary) {
  for (const SourceFile& file : all_files()) {
    if (!file.in("sdk/src")) continue;
    for (const Include& include : includes_of(file)) {
      for (const char* device : {"cuda", "vulkan/", "volk", "xsimd", "immintrin", "arm_neon", "x86intrin"}) {
        EXPECT_FALSE(include.name.starts_with(device)) << place(file, include);
      }
    }
  }
}

TEST(IncludeGraph, PublicHeadersKnowOnlyTheStandardLibraryAndEachOther) {
  size_t headers = 0;
  for (const SourceFile& file : all_files()) {
    if (!file.in("sdk/include")) continue;
    ++headers;
    for (const Include& include : includes_of(file)) {
      EXPECT_FALSE(include.quoted) << place(file, include);
      // Standard headers have no folder; stdint.h and stddef.h are C's.
      const bool standard =
          include.name.find_first_of("/.") == std::string::npos || include.name == "stdint.h" || include.name == "stddef.h";
      EXPECT_TRUE(standard || include.name.starts_with("kinglet/")) << place(file, include);
    }
  }
  EXPECT_GE(headers, 6U);
}

TEST(IncludeGraph, SamplesToolsAndConsumersKnowOnlyPublicHeaders) {
  size_t checked = 0;
  for (const SourceFile& file : all_files()) {
    if (!file.is_code() || !(file.in("samples") || file.in("tools") || file.in("tests/consumers"))) continue;
    for (const Include& include : includes_of(file)) {
      ++checked;
      if (include.quoted) {
        EXPECT_TRUE(std::filesystem::exists((root() / file.path).parent_path() / include.name)) << place(file, include);
      } else {
        EXPECT_FALSE(kMayKnow.contains(first_folder(include.name)) && include.name.find('/') != std::string::npos) << place(file, include);
        EXPECT_FALSE(std::filesystem::exists(root() / "sdk/src" / include.name)) << place(file, include);
        EXPECT_FALSE(std::filesystem::exists(root() / "backends" / include.name)) << place(file, include);
      }
    }
  }
  EXPECT_GT(checked, 20U);
}

}  // namespace
}  // namespace kl::conformance
