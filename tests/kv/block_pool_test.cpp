#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace kl {
namespace {

TEST(BlockPool, HandsOutNeighboursInRunsOfEight) {
  BlockPool pool(64);
  uint32_t a = kNoPage, b = kNoPage;  // two sequences growing in turn
  std::vector<uint32_t> first, second;
  for (int i = 0; i < 16; ++i) {
    first.push_back(a = pool.allocate(a).page);
    second.push_back(b = pool.allocate(b).page);
  }
  for (size_t i = 0; i < 16; ++i) {
    if (i % 8 == 0) continue;
    EXPECT_EQ(first[i], first[i - 1] + 1);
    EXPECT_EQ(second[i], second[i - 1] + 1);
  }
}

TEST(BlockPool, EveryPageIsHandedOutOnceAndThenNoneIsLeft) {
  for (const uint32_t pages : {0u, 1u, 7u, 8u, 9u, 61u}) {
    BlockPool pool(pages);
    std::set<uint32_t> seen;
    for (uint32_t i = 0; i < pages; ++i) {
      const BlockPool::Allocation got = pool.allocate();
      ASSERT_LT(got.page, pages);
      EXPECT_FALSE(got.reclaimed);
      EXPECT_TRUE(seen.insert(got.page).second);
    }
    EXPECT_EQ(pool.allocate().page, kNoPage);
    EXPECT_EQ(pool.available(), 0u);
  }
}

TEST(BlockPool, KeptPagesAreReclaimedOldestFirstAndOnlyWhenNothingIsFree) {
  BlockPool pool(4);
  std::vector<uint32_t> p;
  for (int i = 0; i < 4; ++i) p.push_back(pool.allocate().page);
  for (const size_t i : {2u, 0u, 1u}) {
    pool.keep(p[i]);
    pool.release(p[i]);
  }
  pool.release(p[3]);
  EXPECT_EQ(pool.available(), 4u);
  EXPECT_EQ(pool.allocate().page, p[3]);
  for (const size_t i : {2u, 0u, 1u}) {
    const BlockPool::Allocation got = pool.allocate();
    EXPECT_EQ(got.page, p[i]);
    EXPECT_TRUE(got.reclaimed);
  }
}

TEST(BlockPool, RandomOperationsAgreeWithASimpleModel) {
  std::mt19937 random(7);
  const uint32_t pages = 37;
  BlockPool pool(pages);
  struct Held {
    uint32_t references = 0;
    bool kept = false;
  };
  std::map<uint32_t, Held> held;   // every page that is not free
  std::deque<uint32_t> forgotten;  // kept without references, oldest first
  const auto pick = [&](auto&& accept) {
    std::vector<uint32_t> candidates;
    for (const auto& [page, h] : held) {
      if (accept(h)) candidates.push_back(page);
    }
    return candidates.empty() ? kNoPage : candidates[random() % candidates.size()];
  };
  for (int step = 0; step < 20000; ++step) {
    switch (random() % 6) {
      case 0:
      case 1: {
        const uint32_t previous = random() % 2 == 0 ? kNoPage : static_cast<uint32_t>(random() % pages);
        const BlockPool::Allocation got = pool.allocate(previous);
        if (held.size() < pages) {
          ASSERT_NE(got.page, kNoPage);
          ASSERT_FALSE(held.contains(got.page));
          ASSERT_FALSE(got.reclaimed);
        } else if (!forgotten.empty()) {
          ASSERT_EQ(got.page, forgotten.front());
          ASSERT_TRUE(got.reclaimed);
          forgotten.pop_front();
        } else {
          ASSERT_EQ(got.page, kNoPage);
        }
        if (got.page != kNoPage) held[got.page] = {1, false};
        break;
      }
      case 2:
        if (const uint32_t page = pick([](const Held&) { return true; }); page != kNoPage) {
          if (held[page].references++ == 0) std::erase(forgotten, page);
          pool.add_reference(page);
        }
        break;
      case 3:
        if (const uint32_t page = pick([](const Held& h) { return h.references > 0; }); page != kNoPage) {
          pool.release(page);
          if (--held[page].references == 0) {
            if (held[page].kept) {
              forgotten.push_back(page);
            } else {
              held.erase(page);
            }
          }
        }
        break;
      case 4:
        if (const uint32_t page = pick([](const Held& h) { return h.references > 0; }); page != kNoPage) {
          pool.keep(page);
          held[page].kept = true;
        }
        break;
      default:
        if (const uint32_t page = pick([](const Held& h) { return h.kept; }); page != kNoPage && random() % 4 == 0) {
          pool.forget(page);
          held[page].kept = false;
          if (held[page].references == 0) {
            std::erase(forgotten, page);
            held.erase(page);
          }
        }
    }
    ASSERT_EQ(pool.free_pages(), pages - held.size());
    ASSERT_EQ(pool.available(), pages - held.size() + forgotten.size());
    for (const auto& [page, h] : held) {
      ASSERT_EQ(pool.references(page), h.references);
      ASSERT_EQ(pool.kept(page), h.kept);
    }
  }
}

}  // namespace
}  // namespace kl
