// What a KV cache holds or is to hold, slot by slot: tokens, and rows of images where they stand. Copying shares the images. Not thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/policy.h"
#include "kv/prefix_index.h"
#include "vision/features.h"

namespace kl {

// What a decoder wants of images besides their rows (Spec has the two facts).
struct ImageRules {
  bool grid_positions = false;  // M-RoPE: row (y, x) of an image at p has (p, p + y, p + x); what follows goes on at p + max(height, width)
  bool bidirectional = false;   // a block's rows attend to each other both ways
};

// What StepSequence views besides tokens; a vector is empty where all its rows would have the default.
struct StepRows {
  std::vector<std::array<int32_t, 3>> positions;  // [rows] (t, y, x)
  std::vector<std::array<uint32_t, 2>> spans;     // [rows] slots [first, end)
  std::vector<const float*> features;             // [rows] null: a token
};

class Content {
 public:
  // A block of an image's rows in consecutive slots. Only a cut (resize) makes it hold fewer rows than the block has.
  struct Block {
    uint32_t first = 0, rows = 0;  // slots
    uint32_t feature_row = 0;      // row of `features` that stands at `first`
    uint32_t grid_width = 0;       // columns of the block's grid
    uint32_t extent = 0;           // positions it takes with grid_positions: max(height, width)
    int64_t saved = 0;             // slots minus positions before it, with grid_positions
    std::shared_ptr<const Features> features;
    uint32_t end() const { return first + rows; }
  };

  size_t size() const { return tokens_.size(); }
  bool empty() const { return tokens_.empty(); }
  // [size()] ids; in an image's slots, the id that stood for it.
  std::span<const int32_t> tokens() const { return tokens_; }
  std::span<const Block> blocks() const { return blocks_; }

  void push_token(int32_t token) { tokens_.push_back(token); }
  void push_tokens(std::span<const int32_t> tokens) { tokens_.insert(tokens_.end(), tokens.begin(), tokens.end()); }
  // Block `index` of an image; `token` is what tokens() shows for its rows. Precondition: index < features->blocks.size().
  void push_block(const std::shared_ptr<const Features>& features, size_t index, int32_t token);
  void append(const Content& more);
  // The next `count` slots of `whole`, of which this is the beginning. Allocates nothing after reserve_for(whole, ...) with as many.
  void follow(const Content& whole, size_t count);
  void reserve_for(const Content& whole, size_t slots);
  void resize(size_t slots);  // drops the slots from there on; precondition: slots <= size()
  void clear();
  void assign_front(const Content& whole, size_t slots);  // the first `slots` of whole

  // Slots from the front that hold the same in both, at most `limit`.
  size_t common(const Content& other, size_t limit) const;
  // For the prefix index: [size()].
  std::vector<ContentItem> items() const;

  // The block that `slot` is in; null: a token.
  const Block* block_at(size_t slot) const;
  // Position components of a slot, which may be one past the end.
  std::array<int32_t, 3> position(size_t slot, const ImageRules& rules) const;
  // What a step over the slots [first, first + count) needs besides tokens.
  StepRows rows(size_t first, size_t count, const ImageRules& rules) const;

 private:
  std::vector<int32_t> tokens_;
  std::vector<Block> blocks_;  // ascending
};

// What policy must not cut of the slots from `begin` on, counted from there.
std::vector<WholeRows> whole_rows(const Content& content, size_t begin, const ImageRules& rules);
// Error invalid_argument: a block that must be computed in one step has more rows than a step.
Status check_blocks(const Content& content, const ImageRules& rules, uint32_t max_rows);

}  // namespace kl
