// The cache of one model on one device: pools, sequences, reservations, sharing. Truth about pages; the device mirrors the tables.
// Not thread-safe: the scheduler owns it. Where memory runs out a call throws std::bad_alloc and has changed nothing; destroy, commit and roll_back
// allocate nothing. Sequence ids are small numbers, reused. Every id passed in must come from create() or fork() and not
// have been destroyed; a wrong one is Code::invalid_argument.
//
//   reserve(seq, n)   pages for positions length .. length + n - 1 in every group, or an error and no trace
//   (the device executes the reservation's copies, then writes the rows)
//   commit(seq, m)    m <= n rows are there: length += m; pages beyond and pages wholly behind a window go back
//   roll_back(seq)    as if reserve had not been called
//
// Where a step is submitted before the one in front of it is known to have succeeded, its rows are added to the open reservation:
//   extend(seq, n)         n more positions behind those reserved, or an error and no trace
//   commit_front(seq, m)   as commit, but what is reserved beyond stays so
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/group.h"
#include "kv/prefix_index.h"
#include "kv/reservation.h"

namespace kl {

using SequenceId = uint32_t;

class KvCache {
 public:
  // pages[i] is the capacity of group i. Errors: no groups, a group without layers, sizes that differ.
  static Result<KvCache> create(std::vector<KvGroup> groups, std::span<const uint32_t> pages, const Hash128& salt);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  // max_tokens: the most the sequence may hold (context_full beyond it).
  SequenceId create_sequence(uint32_t max_tokens);
  // The same content in a new sequence; pages are shared until one of the two writes. Error: a reservation is open.
  Result<SequenceId> fork(SequenceId sequence);
  // Releases everything, an open reservation included.
  void destroy(SequenceId sequence);

  // All groups or nothing. Returns the page copies that must be executed before the rows are written (valid until commit or roll_back).
  // Errors: context_full, out_of_memory (message with the numbers), busy when a reservation is open, n == 0.
  Result<std::span<const BlockCopy>> reserve(SequenceId sequence, uint32_t tokens);
  // Errors: context_full, out_of_memory, invalid_argument (no reservation is open).
  Status extend(SequenceId sequence, uint32_t tokens);
  Status commit(SequenceId sequence, uint32_t tokens);
  // Error invalid_argument: not fewer than are reserved, or 0.
  Status commit_front(SequenceId sequence, uint32_t tokens);
  Status roll_back(SequenceId sequence);
  // Could reserve() succeed for all of these at once? For the scheduler's choice of a batch; (sequence, tokens) pairs, sequences distinct.
  struct Demand {
    SequenceId sequence = 0;
    uint32_t tokens = 0;
  };
  bool fits(std::span<const Demand> demands) const;

  // Drops the tokens from `length` on. Error: unsupported when a window group has already freed pages that the row at `length` sees
  // (see earliest_truncation); then the caller starts over from an empty sequence. 0 is always possible.
  Status truncate(SequenceId sequence, uint32_t length);
  // The smallest length other than 0 that truncate accepts.
  uint32_t earliest_truncation(SequenceId sequence) const;

  // Names the sequence's full pages in the index; items[i] is what stands at position i, at least length() of them.
  Status publish(SequenceId sequence, std::span<const ContentItem> items);
  // An empty sequence takes over the longest published prefix of items, at most max_tokens (callers leave one row to compute).
  // Returns the tokens taken over: a multiple of 32, the new length.
  Result<uint32_t> attach_prefix(SequenceId sequence, std::span<const ContentItem> items, uint32_t max_tokens);

  std::span<const KvGroup> groups() const { return groups_; }
  uint32_t length(SequenceId sequence) const;
  // Physical pages by logical page, open reservation included; kNoPage behind a window. Valid until the next non-const call.
  std::span<const uint32_t> table(SequenceId sequence, uint32_t group) const;
  const BlockPool& pool(uint32_t group) const { return pools_[group]; }
  const PrefixIndex& index() const { return *index_; }

 private:
  struct Sequence {
    bool live = false;
    uint32_t length = 0, max_tokens = 0;
    std::vector<BlockTable> tables;  // per group
    std::vector<Hash128> keys;       // of the leading full pages, as far as published or attached
    Reservation reservation;
  };
  KvCache() = default;
  Status check(SequenceId sequence) const;
  SequenceId add_sequence(Sequence&& sequence);
  uint32_t take_page(uint32_t group, uint32_t previous);
  void return_page(uint32_t group, uint32_t page);
  void release_back(Sequence& s, uint32_t group, uint32_t pages);
  void release_behind_window(Sequence& s);
  uint32_t pages_needed(const Sequence& s, uint32_t group, uint32_t tokens) const;

  std::vector<KvGroup> groups_;
  std::vector<BlockPool> pools_;
  std::unique_ptr<PrefixIndex> index_;
  std::vector<Sequence> sequences_;
  std::vector<SequenceId> free_ids_;
};

}  // namespace kl
