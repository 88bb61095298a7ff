#include "engine/content.h"

#include <algorithm>
#include <cstring>

namespace kl {
namespace {

// 128 of the key's 256 bits: prefix keys are no longer.
Hash128 short_key(const FeatureKey& key) {
  Hash128 hash;
  std::memcpy(&hash.low, key.bytes.data(), sizeof hash.low);
  std::memcpy(&hash.high, key.bytes.data() + sizeof hash.low, sizeof hash.high);
  return hash;
}

int64_t saved_behind(const Content::Block& b) { return b.saved + int64_t{b.rows} - int64_t{b.extent}; }

bool same_rows(const Content::Block& a, const Content::Block& b) {
  return a.first == b.first && a.feature_row == b.feature_row && (a.features == b.features || a.features->key == b.features->key);
}

}  // namespace

void Content::push_block(const std::shared_ptr<const Features>& features, size_t index, int32_t token) {
  const FeatureBlock& block = features->blocks[index];
  Block b;
  b.first = static_cast<uint32_t>(tokens_.size());
  b.rows = block.rows;
  for (size_t i = 0; i < index; ++i) b.feature_row += features->blocks[i].rows;
  b.grid_width = block.width;
  b.extent = std::max(block.height, block.width);
  b.saved = blocks_.empty() ? 0 : saved_behind(blocks_.back());
  b.features = features;
  blocks_.reserve(blocks_.size() + 1);
  tokens_.insert(tokens_.end(), block.rows, token);
  blocks_.push_back(std::move(b));
}

void Content::append(const Content& more) {
  const auto shift = static_cast<uint32_t>(tokens_.size());
  const int64_t saved = blocks_.empty() ? 0 : saved_behind(blocks_.back());
  blocks_.reserve(blocks_.size() + more.blocks_.size());
  tokens_.insert(tokens_.end(), more.tokens_.begin(), more.tokens_.end());
  for (const Block& from : more.blocks_) {
    blocks_.push_back(from);
    blocks_.back().first += shift;
    blocks_.back().saved += saved;
  }
}

void Content::follow(const Content& whole, size_t count) {
  const size_t from = tokens_.size(), to = from + count;
  const auto at = whole.tokens_.begin();
  tokens_.insert(tokens_.end(), at + static_cast<ptrdiff_t>(from), at + static_cast<ptrdiff_t>(to));
  size_t next = blocks_.size();
  if (next > 0 && blocks_.back().end() == from && blocks_.back().rows < whole.blocks_[next - 1].rows) --next;  // begun before
  for (; next < whole.blocks_.size() && whole.blocks_[next].first < to; ++next) {
    if (next == blocks_.size()) blocks_.push_back(whole.blocks_[next]);
    blocks_[next].rows = static_cast<uint32_t>(std::min<size_t>(whole.blocks_[next].end(), to)) - blocks_[next].first;
  }
}

void Content::reserve_for(const Content& whole, size_t slots) {
  if (tokens_.capacity() < slots) tokens_.reserve(std::max(slots, 2 * tokens_.capacity()));
  blocks_.reserve(whole.blocks_.size());
}

void Content::resize(size_t slots) {
  tokens_.resize(std::min(slots, tokens_.size()));
  while (!blocks_.empty() && blocks_.back().first >= slots) blocks_.pop_back();
  if (!blocks_.empty()) blocks_.back().rows = static_cast<uint32_t>(std::min<size_t>(blocks_.back().end(), slots)) - blocks_.back().first;
}

void Content::clear() {
  tokens_.clear();
  blocks_.clear();
}

void Content::assign_front(const Content& whole, size_t slots) {
  clear();
  reserve_for(whole, slots);
  follow(whole, slots);
}

size_t Content::common(const Content& other, size_t limit) const {
  size_t n = 0;
  const size_t most = std::min({limit, size(), other.size()});
  while (n < most && tokens_[n] == other.tokens_[n]) ++n;
  for (size_t i = 0;; ++i) {
    const size_t mine = i < blocks_.size() ? blocks_[i].first : n, theirs = i < other.blocks_.size() ? other.blocks_[i].first : n;
    if (std::min(mine, theirs) >= n) return n;
    if (mine != theirs || !same_rows(blocks_[i], other.blocks_[i])) return std::min(mine, theirs);
    if (blocks_[i].rows != other.blocks_[i].rows) return std::min<size_t>(n, std::min(blocks_[i].end(), other.blocks_[i].end()));
  }
}

std::vector<ContentItem> Content::items() const {
  std::vector<ContentItem> items(tokens_.size());
  // Rows of a CPU cache are the same bits however they were computed: one kernel class.
  for (size_t i = 0; i < tokens_.size(); ++i) items[i].id = static_cast<uint32_t>(tokens_[i]);
  for (const Block& b : blocks_) {
    const Hash128 key = short_key(b.features->key);
    for (uint32_t r = 0; r < b.rows; ++r) items[b.first + r] = {key, b.feature_row + r, 0};
  }
  return items;
}

const Content::Block* Content::block_at(size_t slot) const {
  const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), slot, [](size_t s, const Block& b) { return s < b.first; });
  if (after == blocks_.begin()) return nullptr;
  const Block& b = *std::prev(after);
  return slot < b.end() ? &b : nullptr;
}

std::array<int32_t, 3> Content::position(size_t slot, const ImageRules& rules) const {
  const auto plain = static_cast<int32_t>(slot);
  if (!rules.grid_positions || blocks_.empty()) return {plain, plain, plain};
  const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), slot, [](size_t s, const Block& b) { return s < b.first; });
  if (after == blocks_.begin()) return {plain, plain, plain};
  const Block& b = *std::prev(after);
  if (slot >= b.end()) {
    const auto p = static_cast<int32_t>(int64_t{plain} - saved_behind(b));
    return {p, p, p};
  }
  const auto base = static_cast<int32_t>(int64_t{b.first} - b.saved);
  const uint32_t row = static_cast<uint32_t>(slot) - b.first;
  const Features& f = *b.features;
  const uint32_t y = f.places.empty() ? row / b.grid_width : f.places[b.feature_row + row][0];
  const uint32_t x = f.places.empty() ? row % b.grid_width : f.places[b.feature_row + row][1];
  return {base, base + static_cast<int32_t>(y), base + static_cast<int32_t>(x)};
}

StepRows Content::rows(size_t first, size_t count, const ImageRules& rules) const {
  StepRows out;
  if (blocks_.empty() || first + count <= blocks_.front().first) return out;
  const bool images =
      std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& b) { return b.first < first + count && b.end() > first; });
  if (rules.grid_positions) {
    out.positions.resize(count);
    for (size_t i = 0; i < count; ++i) out.positions[i] = position(first + i, rules);
  }
  if (!images) return out;
  out.features.resize(count, nullptr);
  if (rules.bidirectional) out.spans.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t slot = first + i;
    const Block* const b = block_at(slot);
    if (rules.bidirectional) {
      out.spans[i] = b ? std::array<uint32_t, 2>{b->first, b->end()}
                       : std::array<uint32_t, 2>{static_cast<uint32_t>(slot), static_cast<uint32_t>(slot) + 1};
    }
    if (b)
      out.features[i] = b->features->values.data() + size_t{b->feature_row + static_cast<uint32_t>(slot) - b->first} * b->features->width;
  }
  return out;
}

std::vector<WholeRows> whole_rows(const Content& content, size_t begin, const ImageRules& rules) {
  std::vector<WholeRows> out;
  if (!rules.bidirectional) return out;
  for (const Content::Block& b : content.blocks()) {
    if (b.end() <= begin) continue;
    const auto at = static_cast<uint32_t>(begin);
    out.push_back({std::max(b.first, at) - at, b.end() - at});
  }
  return out;
}

Status check_blocks(const Content& content, const ImageRules& rules, uint32_t max_rows) {
  if (!rules.bidirectional) return {};
  for (const Content::Block& b : content.blocks()) {
    if (b.rows > max_rows) {
      return error(Code::invalid_argument,
                   "an image of %u rows that see each other must be in one step, which takes %u rows: load the model with max_rows %u or "
                   "open the image with fewer rows",
                   b.rows, max_rows, b.rows);
    }
  }
  return {};
}

}  // namespace kl
