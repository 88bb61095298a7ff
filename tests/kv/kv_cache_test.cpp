#include "kv/kv_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace kl {
namespace {

constexpr Hash128 kSalt{1, 2};

std::vector<ContentItem> text(uint32_t count, uint32_t seed = 0) {
  std::vector<ContentItem> items(count);
  for (uint32_t i = 0; i < count; ++i) items[i].id = seed * 100000 + i;
  return items;
}

KvCache make(std::vector<KvGroup> groups, std::vector<uint32_t> pages) {
  Result<KvCache> cache = KvCache::create(std::move(groups), pages, kSalt);
  EXPECT_TRUE(cache.ok());
  return std::move(*cache);
}

void grow(KvCache& cache, SequenceId s, uint32_t tokens) {
  ASSERT_TRUE(cache.reserve(s, tokens).ok());
  ASSERT_TRUE(cache.commit(s, tokens).ok());
}

TEST(KvCache, RefusesGroupsThatCannotBe) {
  EXPECT_EQ(KvCache::create({}, {}, kSalt).status().code(), Code::invalid_argument);
  const std::array<uint32_t, 1> one{4};
  EXPECT_EQ(KvCache::create({{1, 1, 64}, {1, 1, 64}}, one, kSalt).status().code(), Code::invalid_argument);
  EXPECT_EQ(KvCache::create({{0, 1, 64}}, one, kSalt).status().code(), Code::invalid_argument);
}

TEST(KvCache, ReservationIsAllOrNothingOverTheGroups) {
  KvCache cache = make({{2, 3, 64}, {2, 3, 64, 64}}, {8, 2});
  const SequenceId s = cache.create_sequence(1000);
  const Result<std::span<const BlockCopy>> r = cache.reserve(s, 96);  // 3 pages: the first group could, the second could not
  EXPECT_EQ(r.status().code(), Code::out_of_memory);
  EXPECT_EQ(cache.pool(0).free_pages(), 8u);
  EXPECT_EQ(cache.pool(1).free_pages(), 2u);
  EXPECT_TRUE(cache.table(s, 0).empty());
}

TEST(KvCache, ReservationThatIsRolledBackLeavesNoTrace) {
  KvCache cache = make({{1, 1, 64}, {1, 1, 64, 40}}, {16, 16});
  const SequenceId a = cache.create_sequence(1000);
  grow(cache, a, 70);
  const Result<SequenceId> b = cache.fork(a);
  ASSERT_TRUE(b.ok());
  std::vector<std::vector<uint32_t>> before;
  for (uint32_t g = 0; g < 2; ++g) before.emplace_back(cache.table(a, g).begin(), cache.table(a, g).end());
  const uint32_t free0 = cache.pool(0).free_pages(), free1 = cache.pool(1).free_pages();
  ASSERT_TRUE(cache.reserve(a, 100).ok());
  EXPECT_NE(cache.pool(0).free_pages(), free0);
  ASSERT_TRUE(cache.roll_back(a).ok());
  EXPECT_EQ(cache.pool(0).free_pages(), free0);
  EXPECT_EQ(cache.pool(1).free_pages(), free1);
  EXPECT_EQ(cache.length(a), 70u);
  for (uint32_t g = 0; g < 2; ++g) {
    EXPECT_EQ(before[g], std::vector<uint32_t>(cache.table(a, g).begin(), cache.table(a, g).end()));
    for (const uint32_t page : before[g]) {
      if (page == kNoPage) continue;
      EXPECT_EQ(cache.pool(g).references(page), 2u);
    }
  }
}

TEST(KvCache, CommitOfFewerTokensGivesTheRestBack) {
  KvCache cache = make({{1, 1, 64}}, {16});
  const SequenceId s = cache.create_sequence(1000);
  ASSERT_TRUE(cache.reserve(s, 200).ok());
  EXPECT_EQ(cache.pool(0).free_pages(), 9u);
  ASSERT_TRUE(cache.commit(s, 33).ok());
  EXPECT_EQ(cache.length(s), 33u);
  EXPECT_EQ(cache.table(s, 0).size(), 2u);
  EXPECT_EQ(cache.pool(0).free_pages(), 14u);
}

TEST(KvCache, AReservationIsExtendedAndItsFrontCommitted) {
  KvCache cache = make({{1, 1, 64}, {1, 1, 64, 40}}, {4, 4});
  const SequenceId s = cache.create_sequence(100);
  EXPECT_EQ(cache.extend(s, 1).code(), Code::invalid_argument);  // nothing to extend
  ASSERT_TRUE(cache.reserve(s, 32).ok());
  EXPECT_EQ(cache.commit_front(s, 32).code(), Code::invalid_argument);  // not a front, but all of it
  EXPECT_EQ(cache.commit_front(s, 0).code(), Code::invalid_argument);
  EXPECT_EQ(cache.extend(s, 0).code(), Code::invalid_argument);
  EXPECT_EQ(cache.extend(s, 69).code(), Code::context_full);
  EXPECT_EQ(cache.table(s, 0).size(), 1u);
  ASSERT_TRUE(cache.extend(s, 1).ok());
  EXPECT_EQ(cache.table(s, 0).size(), 2u);
  ASSERT_TRUE(cache.commit_front(s, 32).ok());
  EXPECT_EQ(cache.length(s), 32u);
  EXPECT_EQ(cache.table(s, 0).size(), 2u);
  EXPECT_EQ(cache.reserve(s, 1).status().code(), Code::busy);  // the rest stays reserved
  ASSERT_TRUE(cache.roll_back(s).ok());
  EXPECT_EQ(cache.length(s), 32u);
  EXPECT_EQ(cache.table(s, 0).size(), 1u);
  EXPECT_EQ(cache.pool(0).free_pages(), 3u);
  ASSERT_TRUE(cache.reserve(s, 1).ok());
  ASSERT_TRUE(cache.extend(s, 40).ok());
  ASSERT_TRUE(cache.commit(s, 1).ok());  // as one reservation
  EXPECT_EQ(cache.table(s, 1).size(), 2u);
  const SequenceId other = cache.create_sequence(100);
  ASSERT_TRUE(cache.reserve(other, 64).ok());
  ASSERT_TRUE(cache.reserve(s, 31).ok());
  EXPECT_EQ(cache.extend(s, 1).code(), Code::out_of_memory);
  ASSERT_TRUE(cache.commit(s, 31).ok());
  EXPECT_EQ(cache.length(s), 64u);
}

TEST(KvCache, WritingASharedPageTakesACopyOfIt) {
  KvCache cache = make({{1, 1, 64}}, {16});
  const SequenceId a = cache.create_sequence(1000);
  grow(cache, a, 40);
  const SequenceId b = *cache.fork(a);
  EXPECT_EQ(cache.table(a, 0)[1], cache.table(b, 0)[1]);
  const uint32_t shared = cache.table(a, 0)[1];
  const Result<std::span<const BlockCopy>> copies = cache.reserve(b, 1);
  ASSERT_TRUE(copies.ok());
  ASSERT_EQ(copies->size(), 1u);
  EXPECT_EQ((*copies)[0], (BlockCopy{0, shared, cache.table(b, 0)[1]}));
  EXPECT_NE(cache.table(b, 0)[1], shared);
  ASSERT_TRUE(cache.commit(b, 1).ok());
  EXPECT_EQ(cache.pool(0).references(shared), 1u);
  const Result<std::span<const BlockCopy>> none = cache.reserve(a, 1);  // now its only holder
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST(KvCache, WindowGroupsHoldOnlyWhatTheWindowSees) {
  KvCache cache = make({{1, 1, 64}, {1, 1, 64, 64}}, {64, 4});
  const SequenceId s = cache.create_sequence(2000);
  for (int i = 0; i < 1000; ++i) grow(cache, s, 1);  // 4 pages suffice for any length
  EXPECT_EQ(cache.table(s, 1).size(), 32u);
  for (uint32_t n = 0; n < 32; ++n) EXPECT_EQ(cache.table(s, 1)[n] == kNoPage, n < (1000 + 1 - 64) / 32) << n;
  EXPECT_EQ(cache.pool(0).free_pages(), 32u);
}

TEST(KvCache, TruncationStopsWhereTheWindowWasFreed) {
  KvCache cache = make({{1, 1, 64, 64}}, {64});
  const SequenceId s = cache.create_sequence(2000);
  grow(cache, s, 1000);
  const uint32_t earliest = cache.earliest_truncation(s);
  EXPECT_EQ(earliest, 29u * 32 + 63);  // page 29 is the first live one
  EXPECT_EQ(cache.truncate(s, earliest - 1).code(), Code::unsupported);
  EXPECT_TRUE(cache.truncate(s, earliest).ok());
  EXPECT_TRUE(cache.truncate(s, 0).ok());
  EXPECT_EQ(cache.pool(0).free_pages(), 64u);
  grow(cache, s, 10);
  EXPECT_EQ(cache.table(s, 0).size(), 1u);
  EXPECT_NE(cache.table(s, 0)[0], kNoPage);
}

TEST(KvCache, ContextFullAndWrongCallsAreErrors) {
  KvCache cache = make({{1, 1, 64}}, {64});
  const SequenceId s = cache.create_sequence(100);
  grow(cache, s, 90);
  EXPECT_EQ(cache.reserve(s, 11).status().code(), Code::context_full);
  EXPECT_EQ(cache.reserve(s, 0).status().code(), Code::invalid_argument);
  EXPECT_EQ(cache.reserve(s + 1, 1).status().code(), Code::invalid_argument);
  EXPECT_EQ(cache.commit(s, 1).code(), Code::invalid_argument);
  ASSERT_TRUE(cache.reserve(s, 10).ok());
  EXPECT_EQ(cache.reserve(s, 1).status().code(), Code::busy);
  EXPECT_EQ(cache.fork(s).status().code(), Code::busy);
  EXPECT_EQ(cache.truncate(s, 1).code(), Code::busy);
  EXPECT_EQ(cache.commit(s, 11).code(), Code::invalid_argument);
  cache.destroy(s);
  EXPECT_EQ(cache.pool(0).free_pages(), 64u);
}

TEST(PrefixIndex, APublishedPrefixIsTakenOverAndStaysAfterItsOwnerIsGone) {
  KvCache cache = make({{1, 1, 64}}, {16});
  const std::vector<ContentItem> items = text(100);
  const SequenceId a = cache.create_sequence(1000);
  grow(cache, a, 100);
  ASSERT_TRUE(cache.publish(a, items).ok());
  const std::vector<uint32_t> pages(cache.table(a, 0).begin(), cache.table(a, 0).end());
  cache.destroy(a);
  EXPECT_EQ(cache.pool(0).free_pages(), 13u);  // the partial page is free, three are kept
  EXPECT_EQ(cache.pool(0).available(), 16u);
  const SequenceId b = cache.create_sequence(1000);
  EXPECT_EQ(*cache.attach_prefix(b, items, 95), 64u);
  EXPECT_EQ(cache.table(b, 0)[0], pages[0]);
  EXPECT_EQ(cache.table(b, 0)[1], pages[1]);
  const SequenceId c = cache.create_sequence(1000);
  std::vector<ContentItem> other = items;
  other[40].id = 7;
  EXPECT_EQ(*cache.attach_prefix(c, other, 100), 32u);
  const SequenceId d = cache.create_sequence(1000);
  other = items;
  other[0].feature = {5, 5};
  EXPECT_EQ(*cache.attach_prefix(d, other, 100), 0u);
  EXPECT_EQ(cache.pool(0).references(pages[0]), 2u);
}

TEST(PrefixIndex, SaltGroupsFeaturesAndClassesAllMakeTheKey) {
  const std::vector<KvGroup> groups{{2, 3, 64, 0, KvFormat::f16}};
  const PrefixIndex base(groups, {1, 1});
  std::set<std::string> keys{base.root().hex(), PrefixIndex(groups, {1, 2}).root().hex()};
  for (size_t field = 0; field < 5; ++field) {
    KvGroup g = groups[0];
    if (field == 0) g.layers = 3;
    if (field == 1) g.kv_heads = 4;
    if (field == 2) g.head_size = 72;
    if (field == 3) g.window = 9;
    if (field == 4) g.format = KvFormat::q8;
    keys.insert(PrefixIndex(std::vector<KvGroup>{g}, {1, 1}).root().hex());
  }
  EXPECT_EQ(keys.size(), 7u);
  std::vector<ContentItem> items = text(32);
  keys.insert(PrefixIndex::child(base.root(), items).hex());
  keys.insert(PrefixIndex::child({9, 9}, items).hex());
  items[31].kernel_class = 1;
  keys.insert(PrefixIndex::child(base.root(), items).hex());
  items[31] = {{0, 1}, 31, 0};
  keys.insert(PrefixIndex::child(base.root(), items).hex());
  EXPECT_EQ(keys.size(), 11u);
}

TEST(PrefixIndex, AKeptPageIsCopiedBeforeItIsWritten) {
  KvCache cache = make({{1, 1, 64}}, {16});
  const std::vector<ContentItem> items = text(64);
  const SequenceId a = cache.create_sequence(1000);
  grow(cache, a, 64);
  ASSERT_TRUE(cache.publish(a, items).ok());
  ASSERT_TRUE(cache.truncate(a, 40).ok());  // into a published page
  const uint32_t kept = cache.table(a, 0)[1];
  const Result<std::span<const BlockCopy>> copies = cache.reserve(a, 1);
  ASSERT_TRUE(copies.ok());
  ASSERT_EQ(copies->size(), 1u);
  EXPECT_EQ((*copies)[0].from, kept);
}

TEST(PrefixIndex, AWindowGroupMustStillHoldItsWindow) {
  KvCache cache = make({{1, 1, 64}, {1, 1, 64, 64}}, {32, 8});
  const std::vector<ContentItem> items = text(512);
  const SequenceId a = cache.create_sequence(1000);
  for (uint32_t n = 0; n < 512; n += 32) {
    grow(cache, a, 32);
    ASSERT_TRUE(cache.publish(a, items).ok());
  }
  // The window's pool has 8 pages: it keeps the last 8 logical pages (8..15), so a start needs at least pages 8 and 9: 320 tokens.
  SequenceId b = cache.create_sequence(1000);
  EXPECT_EQ(*cache.attach_prefix(b, items, 511), 480u);
  EXPECT_EQ(cache.table(b, 1)[12], kNoPage);
  EXPECT_NE(cache.table(b, 1)[13], kNoPage);
  cache.destroy(b);
  b = cache.create_sequence(1000);
  EXPECT_EQ(*cache.attach_prefix(b, items, 319), 0u);
  EXPECT_EQ(*cache.attach_prefix(b, items, 351), 320u);
}

// The whole cache against a model that has no pages: each sequence is its list of values. Page contents are simulated, copies executed, and every
// position that the next row sees must read back what was written, whatever was forked, truncated, rolled back, published or reclaimed before.
TEST(KvCache, RandomOperationsReadBackWhatWasWritten) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    const std::vector<KvGroup> groups{{2, 1, 64}, {1, 1, 64, seed % 2 == 0 ? 50u : 64u}, {1, 1, 64, 7}};
    const std::vector<uint32_t> capacity{20, 12, 9};
    KvCache cache = make(groups, capacity);
    using Page = std::array<uint64_t, kKvPageTokens>;
    std::vector<std::vector<Page>> memory;
    memory.reserve(groups.size());
    for (const uint32_t n : capacity) memory.emplace_back(n, Page{});
    struct Model {
      std::vector<ContentItem> items;  // an item's value below depends on all before it, as K and V do
      std::vector<uint64_t> values;
    };
    std::map<SequenceId, Model> sequences;
    uint64_t copies = 0, hits = 0, refused = 0, ahead = 0;
    const auto value = [](const Model& m, size_t position) {
      const uint64_t before = position == 0 ? 17 : m.values[position - 1];
      return (before ^ m.items[position].id) * 0x9e3779b97f4a7c15u + position;
    };
    for (int step = 0; step < 3000; ++step) {
      const uint32_t action = random() % 16;
      if (sequences.empty() || (action == 0 && sequences.size() < 6)) {
        Model m;
        const SequenceId s = cache.create_sequence(400);
        std::vector<ContentItem> wanted = text(random() % 300, random() % 2);
        const Result<uint32_t> hit = cache.attach_prefix(s, wanted, 299);
        ASSERT_TRUE(hit.ok());
        hits += *hit;
        for (uint32_t i = 0; i < *hit; ++i) {
          m.items.push_back(wanted[i]);
          m.values.push_back(value(m, i));
        }
        sequences[s] = std::move(m);
      } else {
        auto chosen = std::next(sequences.begin(), static_cast<long>(random() % sequences.size()));
        const SequenceId s = chosen->first;
        Model& m = chosen->second;
        if (action <= 9) {
          const uint32_t n = 1 + random() % (random() % 3 == 0 ? 90 : 5);
          const Result<std::span<const BlockCopy>> r = cache.reserve(s, n);
          if (!r.ok()) {
            ++refused;
            ASSERT_TRUE(r.status().code() == Code::out_of_memory || r.status().code() == Code::context_full);
            if (random() % 2 == 0) {
              cache.destroy(s);
              sequences.erase(s);
            }
          } else {
            for (const BlockCopy& c : *r) {
              memory[c.group][c.to] = memory[c.group][c.from];
              ++copies;
            }
            Model grown = m;
            const uint32_t stream = random() % 8 == 0 ? 2 : (m.items.empty() ? random() % 2 : m.items.back().id / 100000);
            const auto write = [&](uint32_t rows) {
              for (uint32_t i = 0; i < rows; ++i) {
                const uint32_t position = static_cast<uint32_t>(grown.items.size());
                grown.items.push_back({{}, stream * 100000 + position, 0});
                grown.values.push_back(value(grown, position));
                for (uint32_t g = 0; g < groups.size(); ++g) {
                  memory[g][cache.table(s, g)[position / kKvPageTokens]][position % kKvPageTokens] = grown.values.back();
                }
              }
            };
            write(n);
            uint32_t last = n;  // rows of the reservation's rest
            const uint32_t more = 1 + random() % (random() % 3 == 0 ? 70 : 2);
            if (random() % 3 == 0 && cache.extend(s, more).ok()) {  // a step that runs ahead: written before the one in front is committed
              ++ahead;
              const Model front = grown;
              write(more);
              ASSERT_TRUE(cache.commit_front(s, n).ok());
              m = front;
              if (random() % 2 == 0) {
                ASSERT_TRUE(cache.publish(s, m.items).ok());
              }
              last = more;
            }
            const uint32_t keep = random() % 4 == 0 ? random() % (last + 1) : last;
            if (keep == 0 && random() % 2 == 0) {
              ASSERT_TRUE(cache.roll_back(s).ok());
            } else {
              ASSERT_TRUE(cache.commit(s, keep).ok());
            }
            grown.items.resize(m.items.size() + keep);
            grown.values.resize(grown.items.size());
            m = std::move(grown);
            if (random() % 2 == 0) {
              ASSERT_TRUE(cache.publish(s, m.items).ok());
            }
          }
        } else if (action <= 11 && sequences.size() < 6) {
          const Result<SequenceId> f = cache.fork(s);
          ASSERT_TRUE(f.ok());
          const Model copy = m;
          sequences[*f] = copy;
        } else if (action <= 13) {
          const uint32_t length = static_cast<uint32_t>(random() % (m.items.size() + 1));
          const bool possible = length == 0 || length >= cache.earliest_truncation(s);
          ASSERT_EQ(cache.truncate(s, length).ok(), possible || length == m.items.size());
          if (possible) {
            m.items.resize(length);
            m.values.resize(length);
          }
        } else if (action == 14) {
          cache.destroy(s);
          sequences.erase(s);
        }
      }
      std::vector<std::map<uint32_t, uint32_t>> held(groups.size());
      for (const auto& [s, m] : sequences) {
        ASSERT_EQ(cache.length(s), m.items.size());
        for (uint32_t g = 0; g < groups.size(); ++g) {
          const std::span<const uint32_t> table = cache.table(s, g);
          ASSERT_EQ(table.size(), (m.items.size() + 31) / 32);
          for (const uint32_t page : table) {
            if (page != kNoPage) ++held[g][page];
          }
          const size_t window = groups[g].window == 0 ? m.items.size() : groups[g].window - 1;  // what the next row sees of the past
          for (size_t p = m.items.size() - std::min(window, m.items.size()); p < m.items.size(); ++p) {
            ASSERT_NE(table[p / 32], kNoPage);
            ASSERT_EQ(memory[g][table[p / 32]][p % 32], m.values[p])
                << "seed " << seed << " step " << step << " group " << g << " position " << p;
          }
        }
      }
      for (uint32_t g = 0; g < groups.size(); ++g) {
        for (uint32_t page = 0; page < capacity[g]; ++page) ASSERT_EQ(cache.pool(g).references(page), held[g][page]);
      }
    }
    EXPECT_GT(copies, 20u);
    EXPECT_GT(hits, 100u);
    EXPECT_GT(refused, 20u);
    EXPECT_GT(ahead, 50u);
    while (!sequences.empty()) {
      cache.destroy(sequences.begin()->first);
      sequences.erase(sequences.begin());
    }
    for (uint32_t g = 0; g < groups.size(); ++g) EXPECT_EQ(cache.pool(g).available(), capacity[g]);
  }
}

}  // namespace
}  // namespace kl
