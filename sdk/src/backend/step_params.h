// Everything that differs from step to step, in one block at one fixed address that recordings read: header, rows, outputs and how each is drawn, sequences, block
// tables.
// One layout for every backend: offsets follow from StepLimits alone, all fields are 32-bit. A step after the first is: refresh the block, submit.
#pragma once
#include <cstddef>
#include <cstdint>

#include "backend/fed_token.h"
#include "core/checked.h"
#include "core/draw.h"
#include "core/format.h"

namespace kl {

struct StepLimits {
  uint32_t rows = 0;           // T, at most
  uint32_t outputs = 0;        // O, at most
  uint32_t sequences = 0;      // in one step, at most
  uint32_t groups = 0;         // KV groups
  uint32_t pages = 0;          // pages of one sequence's table, at most
  uint32_t segmentations = 0;  // ways an encoder's rows are cut into ranges; 0 for a decoder
  uint32_t feature_rows = 0;   // rows of Bindings::features; 0: the model takes none
  uint32_t pixel_bytes = 0;    // size of Bindings::pixels; 0 for a decoder
};

// A row without a patch: Patchify makes zeros of it.
inline constexpr uint32_t kNoPixel = ~uint32_t{0};

struct StepHeader {
  uint32_t rows = 0, outputs = 0, sequences = 0;
  uint32_t pixel_stride = 0;  // bytes from one line of pixels to the next
};

// Rows [first_row, first_row + rows) are tokens at positions first_position, first_position + 1, ... of one sequence.
struct StepSequenceParams {
  uint32_t first_row = 0, rows = 0, first_position = 0, reserved = 0;
};

// A typed view of the block; does not own it. Copyable, cheap.
class StepParams {
 public:
  StepParams() = default;
  StepParams(std::byte* base, const StepLimits& limits) : base_(base), limits_(limits) {}

  static size_t bytes(const StepLimits& l) { return table_offset(l) + size_t{4} * l.groups * l.sequences * l.pages; }

  const StepLimits& limits() const { return limits_; }
  StepHeader& header() const { return *at<StepHeader>(0); }
  int32_t* tokens() const { return at<int32_t>(token_offset()); }  // [T] token ids; < 0: feature row -1 - id; < kFedTokensEnd: fed
  int32_t* positions() const { return at<int32_t>(position_offset(limits_)); }           // [T 3] M-RoPE components, equal for text
  uint32_t* row_sequence() const { return at<uint32_t>(row_sequence_offset(limits_)); }  // [T] index into sequences()
  int32_t* row_slot() const { return at<int32_t>(row_slot_offset(limits_)); }            // [T] index of the row within its sequence's cache
  uint32_t* output_rows() const { return at<uint32_t>(output_offset(limits_)); }         // [O] row whose logits are wanted, ascending
  DrawSettings* draws() const { return at<DrawSettings>(draw_offset(limits_)); }         // [O] what Sample does with each of them
  uint32_t* row_span() const {
    return at<uint32_t>(span_offset(limits_));
  }                                                   // [T 2] slots that see each other both ways: [first, end); alone: slot, slot + 1
  uint32_t* row_range(uint32_t segmentation) const {  // [T 2] rows that a row attends to (DenseAttention): [first, end)
    return at<uint32_t>(range_offset(limits_)) + size_t{2} * segmentation * limits_.rows;
  }
  uint32_t* row_pixel() const {
    return at<uint32_t>(pixel_offset(limits_));
  }  // [T] byte of the patch's first pixel, or kNoPixel; encoders only
  StepSequenceParams* sequences() const { return at<StepSequenceParams>(sequence_offset(limits_)); }
  uint32_t* block_table(uint32_t group, uint32_t sequence) const {  // [pages] logical page -> physical page or kNoPage
    return at<uint32_t>(table_offset(limits_)) + (size_t{group} * limits_.sequences + sequence) * limits_.pages;
  }

 private:
  template <class T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  static size_t token_offset() { return sizeof(StepHeader); }
  static size_t position_offset(const StepLimits& l) { return token_offset() + size_t{4} * l.rows; }
  static size_t row_sequence_offset(const StepLimits& l) { return position_offset(l) + size_t{12} * l.rows; }
  static size_t row_slot_offset(const StepLimits& l) { return row_sequence_offset(l) + size_t{4} * l.rows; }
  static size_t output_offset(const StepLimits& l) { return row_slot_offset(l) + size_t{4} * l.rows; }
  static size_t draw_offset(const StepLimits& l) { return output_offset(l) + size_t{4} * l.outputs; }
  static size_t span_offset(const StepLimits& l) { return draw_offset(l) + sizeof(DrawSettings) * l.outputs; }
  static size_t range_offset(const StepLimits& l) { return span_offset(l) + size_t{8} * l.rows; }
  static size_t pixel_offset(const StepLimits& l) { return range_offset(l) + size_t{8} * l.rows * l.segmentations; }
  static size_t sequence_offset(const StepLimits& l) {
    return round_up(pixel_offset(l) + (l.segmentations > 0 ? size_t{4} * l.rows : 0), 16);
  }
  static size_t table_offset(const StepLimits& l) { return sequence_offset(l) + sizeof(StepSequenceParams) * l.sequences; }

  std::byte* base_ = nullptr;
  StepLimits limits_;
};

}  // namespace kl
