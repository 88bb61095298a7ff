// The compiled kernels: one binary per file of kernels/, loaded when a launch first asks for it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "cuda/context.h"

namespace kl::cuda {

// kernels/<name>.cu compiled for the build's architectures. The library's table is made by the build (embed.cmake); the tests' names the emulated kernels.
struct EmbeddedKernels {
  const char* name;
  const void* code;
};
extern const EmbeddedKernels kEmbeddedKernels[];
extern const size_t kEmbeddedKernelCount;

class Modules {
 public:
  explicit Modules(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  ~Modules();
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;

  // The kernel "file" or "file__variant". shared_bytes: dynamic shared memory it will be launched with, at most. Errors: unsupported (not compiled for this
  // architecture), internal (there is no such kernel), device_lost. Precondition: the context is in use.
  Result<Function> get(const std::string& kernel, uint32_t shared_bytes);

 private:
  struct Loaded {
    Function function = nullptr;
    uint32_t shared_bytes = 0;
  };
  std::shared_ptr<Context> context_;
  std::map<std::string, Module> modules_;
  std::map<std::string, Loaded> functions_;
};

}  // namespace kl::cuda
