// A Plan as launches, and CUDA graphs made of them: one for each range of segments that is submitted, instantiated at its first use and launched from then on. What
// differs from step to step is read on the device, from the step's parameters.
#pragma once
#include <map>

#include "cuda/kernel_table.h"
#include "cuda/modules.h"

namespace kl::cuda {

class CudaRecording final : public Recording {
 public:
  CudaRecording(std::shared_ptr<Context> context, const DeviceMemory* step)
      : context_(std::move(context)), step_(step), programmatic_(context_->gpu().programmatic) {}
  ~CudaRecording() override;
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;

  uint32_t segments() const override { return static_cast<uint32_t>(segment_ends_.size()); }
  // Puts the step's parameters and segments [first, last) into the stream. Precondition: the context is in use.
  Status launch(uint32_t first, uint32_t last);

 private:
  friend class Recorder;
  struct Item {
    Launch launch;
    Function function = nullptr;
    bool barrier = false;  // needs everything before it to be complete
  };
  Result<GraphExec> graph(uint32_t first, uint32_t last);
  // An edge behind which `after` begins before `before` has ended; a plain one, and programmatic_ is false from then on, where the driver refuses that.
  Status add_early_edge(Graph graph, GraphNode before, GraphNode after);

  std::shared_ptr<Context> context_;
  const DeviceMemory* step_;
  std::vector<Item> items_;
  std::vector<size_t> segment_ends_;  // items of segments 0 .. s: [0, segment_ends_[s])
  std::map<std::pair<uint32_t, uint32_t>, GraphExec> graphs_;
  RecordingMemory memory_;
  bool programmatic_ = false;  // add_early_edge() is worth asking
};

struct RecordRequest {
  const Plan& plan;
  const Bindings& bindings;
  std::shared_ptr<Context> context;
  Modules& modules;
  RopeTables& ropes;
  Copier& copier;
};
// Errors: out_of_memory, device_lost, unsupported (no kernels for this architecture), internal.
Result<std::unique_ptr<Recording>> record_plan(const RecordRequest& request);

}  // namespace kl::cuda
