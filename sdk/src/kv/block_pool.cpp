#include "kv/block_pool.h"

#include <bit>

namespace kl {

BlockPool::BlockPool(uint32_t pages) : pages_(pages), runs_((static_cast<size_t>(pages) + kRun - 1) / kRun) {
  first_run_.fill(kNoPage);
  for (uint32_t run = static_cast<uint32_t>(runs_.size()); run-- > 0;) {  // backwards: the lists then start at low numbers
    const uint32_t rest = pages - run * kRun;
    runs_[run].free_mask = rest >= kRun ? 0xff : static_cast<uint8_t>((1u << rest) - 1);
    link_run(run);
  }
  free_ = pages;
}

BlockPool::Allocation BlockPool::allocate(uint32_t previous) {
  uint32_t page = kNoPage;
  bool reclaimed = false;
  if (free_ != 0) {
    if (previous != kNoPage && previous % kRun != kRun - 1) {
      const uint32_t bit = previous % kRun + 1;
      if ((runs_[previous / kRun].free_mask >> bit & 1) != 0) page = previous + 1;
    }
    for (uint32_t count = kRun; page == kNoPage; --count) {  // the run with most free pages: room for its next pages
      const uint32_t run = first_run_[count];
      if (run != kNoPage) page = run * kRun + static_cast<uint32_t>(std::countr_zero(runs_[run].free_mask));
    }
    set_free(page, false);
  } else if (oldest_ != kNoPage) {
    page = oldest_;
    unlink_reclaimable(page);
    pages_[page].kept = false;
    reclaimed = true;
  }
  if (page != kNoPage) pages_[page].references = 1;
  return {page, reclaimed};
}

void BlockPool::add_reference(uint32_t page) {
  if (pages_[page].references++ == 0) unlink_reclaimable(page);
}

void BlockPool::release(uint32_t page) {
  if (--pages_[page].references != 0) return;
  if (pages_[page].kept) {
    link_reclaimable(page);
  } else {
    set_free(page, true);
  }
}

void BlockPool::keep(uint32_t page) { pages_[page].kept = true; }

void BlockPool::forget(uint32_t page) {
  if (!pages_[page].kept) return;
  pages_[page].kept = false;
  if (pages_[page].references != 0) return;
  unlink_reclaimable(page);
  set_free(page, true);
}

void BlockPool::link_run(uint32_t run) {
  uint32_t& first = first_run_[static_cast<size_t>(std::popcount(runs_[run].free_mask))];
  runs_[run].before = kNoPage;
  runs_[run].after = first;
  if (first != kNoPage) runs_[first].before = run;
  first = run;
}

void BlockPool::unlink_run(uint32_t run) {
  const Run& r = runs_[run];
  if (r.before != kNoPage) {
    runs_[r.before].after = r.after;
  } else {
    first_run_[static_cast<size_t>(std::popcount(r.free_mask))] = r.after;
  }
  if (r.after != kNoPage) runs_[r.after].before = r.before;
}

void BlockPool::set_free(uint32_t page, bool is_free) {
  const uint32_t run = page / kRun;
  const uint8_t bit = static_cast<uint8_t>(1u << page % kRun);
  unlink_run(run);
  runs_[run].free_mask = static_cast<uint8_t>(is_free ? runs_[run].free_mask | bit : runs_[run].free_mask & ~bit);
  link_run(run);
  free_ = is_free ? free_ + 1 : free_ - 1;
}

void BlockPool::link_reclaimable(uint32_t page) {
  pages_[page].older = newest_;
  pages_[page].newer = kNoPage;
  if (newest_ != kNoPage) {
    pages_[newest_].newer = page;
  } else {
    oldest_ = page;
  }
  newest_ = page;
  ++reclaimable_;
}

void BlockPool::unlink_reclaimable(uint32_t page) {
  const Page& p = pages_[page];
  if (p.older != kNoPage) {
    pages_[p.older].newer = p.newer;
  } else {
    oldest_ = p.newer;
  }
  if (p.newer != kNoPage) {
    pages_[p.newer].older = p.older;
  } else {
    newest_ = p.older;
  }
  --reclaimable_;
}

}  // namespace kl
