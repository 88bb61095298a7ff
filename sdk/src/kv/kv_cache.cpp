#include "kv/kv_cache.h"

#include <algorithm>

#include "core/checked.h"

namespace kl {

Result<KvCache> KvCache::create(std::vector<KvGroup> groups, std::span<const uint32_t> pages, const Hash128& salt) {
  if (groups.empty()) return error(Code::invalid_argument, "a KV cache needs at least one group of layers");
  if (groups.size() != pages.size()) {
    return error(Code::invalid_argument, "%zu KV groups but %zu page counts", groups.size(), pages.size());
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].layers == 0) return error(Code::invalid_argument, "KV group %zu has no layers", g);
    if (pages[g] == kNoPage) return error(Code::invalid_argument, "KV group %zu: %u pages are more than page numbers", g, pages[g]);
  }
  KvCache cache;
  cache.index_ = std::make_unique<PrefixIndex>(groups, salt);
  cache.groups_ = std::move(groups);
  cache.pools_.reserve(pages.size());
  for (const uint32_t n : pages) cache.pools_.emplace_back(n);
  return cache;
}

Status KvCache::check(SequenceId sequence) const {
  if (sequence < sequences_.size() && sequences_[sequence].live) return {};
  return error(Code::invalid_argument, "there is no KV sequence %u", sequence);
}

uint32_t KvCache::length(SequenceId sequence) const { return check(sequence).ok() ? sequences_[sequence].length : 0; }

std::span<const uint32_t> KvCache::table(SequenceId sequence, uint32_t group) const {
  if (!check(sequence).ok() || group >= groups_.size()) return {};
  return sequences_[sequence].tables[group].entries();
}

SequenceId KvCache::create_sequence(uint32_t max_tokens) {
  Sequence fresh;
  fresh.live = true;
  fresh.max_tokens = max_tokens;
  fresh.tables.resize(groups_.size());
  return add_sequence(std::move(fresh));
}

SequenceId KvCache::add_sequence(Sequence&& sequence) {
  if (free_ids_.empty()) {
    free_ids_.reserve(sequences_.size() + 1);  // for destroy
    sequences_.push_back(std::move(sequence));
    return static_cast<SequenceId>(sequences_.size() - 1);
  }
  const SequenceId id = free_ids_.back();
  free_ids_.pop_back();
  sequences_[id] = std::move(sequence);
  return id;
}

Result<SequenceId> KvCache::fork(SequenceId sequence) {
  KL_TRY(check(sequence));
  if (sequences_[sequence].reservation.open())
    return error(Code::busy, "KV sequence %u has an open reservation and cannot be forked", sequence);
  const SequenceId id = add_sequence(Sequence(sequences_[sequence]));
  const Sequence& to = sequences_[id];
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (uint32_t i = to.tables[g].first_live(); i < to.tables[g].size(); ++i) pools_[g].add_reference(to.tables[g][i]);
  }
  return id;
}

void KvCache::destroy(SequenceId sequence) {
  if (!check(sequence).ok()) return;
  if (sequences_[sequence].reservation.open()) (void)roll_back(sequence);
  Sequence& s = sequences_[sequence];
  for (uint32_t g = 0; g < groups_.size(); ++g) release_back(s, g, 0);
  s = Sequence{};
  free_ids_.push_back(sequence);
}

uint32_t KvCache::take_page(uint32_t group, uint32_t previous) {
  const BlockPool::Allocation got = pools_[group].allocate(previous);
  if (got.reclaimed) index_->forget(group, got.page);
  return got.page;
}

// Pages from logical page `pages` on leave the table, last first, so that a prefix is reclaimed from its far end.
void KvCache::release_back(Sequence& s, uint32_t group, uint32_t pages) {
  BlockTable& table = s.tables[group];
  while (table.size() > pages) {
    const uint32_t page = table.pop();
    if (page != kNoPage) pools_[group].release(page);
  }
}

void KvCache::release_behind_window(Sequence& s) {
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = s.tables[g];
    const uint32_t first = std::min(first_visible_page(groups_[g], s.length), table.size());
    while (table.first_live() < first) pools_[g].release(table.drop_first());
  }
}

// Fresh pages that `tokens` more rows take: new logical pages, and a copy of the last one when others hold it too.
uint32_t KvCache::pages_needed(const Sequence& s, uint32_t group, uint32_t tokens) const {
  const BlockTable& table = s.tables[group];
  const uint32_t after = static_cast<uint32_t>(ceil_div(static_cast<size_t>(s.length) + tokens, kKvPageTokens));
  const uint32_t partial = s.length % kKvPageTokens == 0 ? kNoPage : table.last();
  const bool shared = partial != kNoPage && (pools_[group].references(partial) > 1 || pools_[group].kept(partial));
  return after - table.size() + (shared ? 1 : 0);
}

Result<std::span<const BlockCopy>> KvCache::reserve(SequenceId sequence, uint32_t tokens) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (s.reservation.open()) return error(Code::busy, "KV sequence %u already has a reservation", sequence);
  if (tokens == 0) return error(Code::invalid_argument, "a reservation needs at least one token");
  if (tokens > s.max_tokens - s.length) {
    return error(Code::context_full, "the sequence holds %u tokens of at most %u and cannot take %u more", s.length, s.max_tokens, tokens);
  }
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const uint32_t needed = pages_needed(s, g, tokens);
    if (needed > pools_[g].available()) {
      return error(Code::out_of_memory, "%u tokens need %u KV pages of group %u, %u of %u are available", tokens, needed, g,
                   pools_[g].available(), pools_[g].capacity());
    }
  }
  Reservation& r = s.reservation;
  const uint32_t after = static_cast<uint32_t>(ceil_div(static_cast<size_t>(s.length) + tokens, kKvPageTokens));
  r.table_sizes.reserve(groups_.size());
  r.replaced.reserve(groups_.size());
  r.copies.reserve(groups_.size());
  for (BlockTable& table : s.tables) table.reserve(after);
  r.tokens = tokens;  // from here on nothing allocates
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = s.tables[g];
    r.table_sizes.push_back(table.size());
    const uint32_t last = table.last();
    if (s.length % kKvPageTokens != 0 && last != kNoPage && (pools_[g].references(last) > 1 || pools_[g].kept(last))) {
      const uint32_t fresh = take_page(g, table.size() > 1 ? table[table.size() - 2] : kNoPage);
      table.replace(table.size() - 1, fresh);
      r.replaced.push_back({g, table.size() - 1, last});
      r.copies.push_back({g, last, fresh});
    }
    while (table.size() < after) table.push(take_page(g, table.last()));
  }
  return std::span<const BlockCopy>(r.copies);
}

Status KvCache::extend(SequenceId sequence, uint32_t tokens) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  Reservation& r = s.reservation;
  if (!r.open() || tokens == 0) return error(Code::invalid_argument, "KV sequence %u has no reservation to extend by %u", sequence, tokens);
  if (tokens > s.max_tokens - s.length - r.tokens) {
    return error(Code::context_full, "the sequence holds %u tokens of at most %u and cannot take %u more", s.length + r.tokens,
                 s.max_tokens, tokens);
  }
  const uint32_t after = static_cast<uint32_t>(ceil_div(size_t{s.length} + r.tokens + tokens, kKvPageTokens));
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const uint32_t size = s.tables[g].size(), needed = after > size ? after - size : 0;
    if (needed > pools_[g].available()) {
      return error(Code::out_of_memory, "%u tokens need %u KV pages of group %u, %u of %u are available", tokens, needed, g,
                   pools_[g].available(), pools_[g].capacity());
    }
  }
  for (BlockTable& table : s.tables) table.reserve(after);
  r.tokens += tokens;  // from here on nothing allocates
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    BlockTable& table = s.tables[g];
    while (table.size() < after) table.push(take_page(g, table.last()));
  }
  return {};
}

Status KvCache::commit_front(SequenceId sequence, uint32_t tokens) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  Reservation& r = s.reservation;
  if (tokens == 0 || tokens >= r.tokens) {
    return error(Code::invalid_argument, "commit of the first %u tokens, %u are reserved", tokens, r.tokens);
  }
  s.length += tokens;
  r.tokens -= tokens;
  for (const Reservation::Replaced& replaced : r.replaced) pools_[replaced.group].release(replaced.old_page);
  r.replaced.clear();
  r.copies.clear();
  const uint32_t pages = static_cast<uint32_t>(ceil_div(s.length, kKvPageTokens));
  for (uint32_t& size : r.table_sizes) size = pages;
  release_behind_window(s);
  return {};
}

Status KvCache::commit(SequenceId sequence, uint32_t tokens) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (!s.reservation.open()) return error(Code::invalid_argument, "KV sequence %u has no reservation to commit", sequence);
  if (tokens > s.reservation.tokens) {
    return error(Code::invalid_argument, "commit of %u tokens, %u are reserved", tokens, s.reservation.tokens);
  }
  if (tokens == 0) return roll_back(sequence);
  s.length += tokens;
  for (const Reservation::Replaced& r : s.reservation.replaced) pools_[r.group].release(r.old_page);
  s.reservation.clear();
  const uint32_t pages = static_cast<uint32_t>(ceil_div(s.length, kKvPageTokens));
  for (uint32_t g = 0; g < groups_.size(); ++g) release_back(s, g, pages);
  release_behind_window(s);
  return {};
}

Status KvCache::roll_back(SequenceId sequence) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (!s.reservation.open()) return error(Code::invalid_argument, "KV sequence %u has no reservation to roll back", sequence);
  for (uint32_t g = 0; g < groups_.size(); ++g) release_back(s, g, s.reservation.table_sizes[g]);
  for (const Reservation::Replaced& r : s.reservation.replaced) {
    pools_[r.group].release(s.tables[r.group][r.logical]);
    s.tables[r.group].replace(r.logical, r.old_page);
  }
  s.reservation.clear();
  return {};
}

bool KvCache::fits(std::span<const Demand> demands) const {
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    uint64_t needed = 0;
    for (const Demand& d : demands) {
      if (!check(d.sequence).ok()) return false;
      const Sequence& s = sequences_[d.sequence];
      if (s.reservation.open() || d.tokens > s.max_tokens - s.length) return false;
      needed += d.tokens == 0 ? 0 : pages_needed(s, g, d.tokens);
    }
    if (needed > pools_[g].available()) return false;
  }
  return true;
}

uint32_t KvCache::earliest_truncation(SequenceId sequence) const {
  if (!check(sequence).ok()) return 0;
  const Sequence& s = sequences_[sequence];
  uint32_t earliest = s.length == 0 ? 0 : 1;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const uint32_t live = s.tables[g].first_live();
    if (groups_[g].window == 0 || live == 0) continue;
    // The row at position p sees from p - window + 1 on; that must lie in page `live` or later.
    earliest = std::max(earliest, live * kKvPageTokens + groups_[g].window - 1);
  }
  return std::min(earliest, s.length);
}

Status KvCache::truncate(SequenceId sequence, uint32_t length) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (s.reservation.open()) return error(Code::busy, "KV sequence %u has an open reservation and cannot be truncated", sequence);
  if (length > s.length) return error(Code::invalid_argument, "truncation to %u tokens of a sequence of %u", length, s.length);
  if (length == s.length) return {};
  if (length != 0 && length < earliest_truncation(sequence)) {
    return error(Code::unsupported, "truncation to %u tokens: window layers have freed what position %u sees; the shortest length is %u",
                 length, length, earliest_truncation(sequence));
  }
  s.length = length;
  const uint32_t pages = static_cast<uint32_t>(ceil_div(length, kKvPageTokens));
  for (uint32_t g = 0; g < groups_.size(); ++g) release_back(s, g, pages);
  s.keys.resize(std::min<size_t>(s.keys.size(), length / kKvPageTokens));
  return {};
}

Status KvCache::publish(SequenceId sequence, std::span<const ContentItem> items) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (items.size() < s.length) {
    return error(Code::invalid_argument, "%zu content items for a sequence of %u tokens", items.size(), s.length);
  }
  const uint32_t full = s.length / kKvPageTokens;
  for (uint32_t n = static_cast<uint32_t>(s.keys.size()); n < full; ++n) {
    const Hash128 key = PrefixIndex::child(n == 0 ? index_->root() : s.keys.back(), items.subspan(n * kKvPageTokens, kKvPageTokens));
    s.keys.push_back(key);
    for (uint32_t g = 0; g < groups_.size(); ++g) {
      const uint32_t page = s.tables[g][n];
      if (page != kNoPage && !pools_[g].kept(page) && index_->insert(key, g, page)) pools_[g].keep(page);
    }
  }
  return {};
}

Result<uint32_t> KvCache::attach_prefix(SequenceId sequence, std::span<const ContentItem> items, uint32_t max_tokens) {
  KL_TRY(check(sequence));
  Sequence& s = sequences_[sequence];
  if (s.length != 0 || s.reservation.open()) return error(Code::invalid_argument, "KV sequence %u is not empty", sequence);
  PrefixIndex::Hit hit = index_->longest(items, std::min(max_tokens, s.max_tokens));
  const uint32_t pages = static_cast<uint32_t>(hit.keys.size());
  const uint32_t length = pages * kKvPageTokens;
  for (BlockTable& table : s.tables) table.reserve(pages);
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const uint32_t first = std::min(first_visible_page(groups_[g], length), pages);
    for (uint32_t n = 0; n < pages; ++n) {
      const uint32_t page = n < first ? kNoPage : (*index_->find(hit.keys[n]))[g];
      if (page != kNoPage) pools_[g].add_reference(page);
      s.tables[g].push(page);
    }
  }
  s.length = length;
  s.keys = std::move(hit.keys);
  return length;
}

}  // namespace kl
