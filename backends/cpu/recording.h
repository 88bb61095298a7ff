// A Plan bound to addresses: launches in order, segments as ranges of them, and the step state they share.
#pragma once
#include "cpu/isa/isa.h"
#include "cpu/kernel_table.h"
#include "cpu/thread_team.h"

namespace kl::cpu {

class CpuRecording final : public Recording, private TeamJob {
 public:
  uint32_t segments() const override { return static_cast<uint32_t>(segment_end_.size()); }
  // Runs segments [first, last) of the step that StepParams describes. Segment 0 prepares the step's shared tables.
  void run(ThreadTeam& team, uint32_t first, uint32_t last);

 private:
  friend Result<std::unique_ptr<Recording>> record_plan(const Plan&, const Bindings&, std::span<const CpuKernel>, const CpuKernels&,
                                                        const CpuAttentionKernels&, uint32_t);
  void prepare_step();
  // A phase is a launch and those behind it that need no barrier, their tasks in one row.
  uint32_t phases() const override { return phase_count_; }
  uint32_t tasks(uint32_t phase) override;
  void run(uint32_t phase, uint32_t task, uint32_t thread) override;

  StepState state_;
  std::vector<Launch> launches_;
  std::vector<uint32_t> task_count_;            // per launch, in this step
  std::vector<uint32_t> phase_begin_;           // per phase its first launch; at the end launches_.size()
  std::vector<uint32_t> segment_end_;           // phases up to here, per segment
  std::unique_ptr<Memory> scratch_;             // StepState::scratch
  uint32_t first_phase_ = 0, phase_count_ = 0;  // of the running submission
};

Result<std::unique_ptr<Recording>> record_plan(const Plan& plan, const Bindings& bindings, std::span<const CpuKernel> table,
                                               const CpuKernels& kernels, const CpuAttentionKernels& attention, uint32_t threads);

// The attention kernels that go with an instruction set.
const CpuAttentionKernels& attention_kernels(Isa isa);

}  // namespace kl::cpu
