// sample: the token of each row, drawn as its settings say (core/draw.h): the highest logit, ties to the lowest id; or by chance, of all or of the top_k best.
//   logits [O V] -> out [O 1] int32;  -1: a logit of the row is not finite, or nothing is to be drawn
//   sample__part   a key for each part of 8192 logits: the number's rank above, what id lacks to 2^32 - 1 below; the largest is the best    grid (parts, O)
//   sample__draw   the largest key of a row, and the draw: what is above the cut by counts of digits, weights summed by lanes of i mod 128   grid (O)
// All arithmetic behind (logit - best) * scale is that of integers: any order gives the same, and the token is the host's.
// Bytes: the logits once for the greedy token; a draw reads its row twice more, the cut of top_k up to eight times (from cache). Bound: memory bandwidth.
#include "cuda/kernels/sample.h"

#include "cuda/common/kernel.cuh"

namespace kl::cuda {

namespace {

constexpr uint64_t kBroken = ~0ull;  // above every finite number's key

// Numbers in order as unsigned integers; both zeros are one number.
KL_DEVICE uint32_t order_of(uint32_t bits) {
  if (bits == 0x80000000u) bits = 0;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

KL_DEVICE uint64_t key_of(uint32_t bits, uint32_t id) {
  if ((bits & 0x7f800000u) == 0x7f800000u) return kBroken;
  return static_cast<uint64_t>(order_of(bits)) << 32 | ~id;
}

KL_DEVICE uint32_t high_product(uint32_t a, uint32_t b) { return static_cast<uint32_t>(static_cast<uint64_t>(a) * b >> 32); }

KL_DEVICE uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

// 2^(fraction / 2^24), 30 bits behind the point.
KL_DEVICE uint32_t exp2_fixed(uint32_t fraction) {
  constexpr uint32_t kSeries[] = {0x40000000, 0x2c5c85fe, 0x0f5fdee9, 0x038d627e, 0x009d8d19, 0x0015efc7, 0x000264c6, 0x000056f5};
  uint32_t p = kSeries[7];
  KL_UNROLL
  for (int i = 6; i >= 0; --i) p = kSeries[i] + high_product(p, fraction << 8);
  return p;
}

KL_DEVICE uint64_t draw_weight(float logit, float best, float scale) {
  const float t = (logit - best) * scale;
  if (!(t > -43.0f)) return 0;
  const auto below = static_cast<uint32_t>(t * -16777216.0f);
  const uint32_t halvings = (below + 0xffffffu) >> 24;
  return static_cast<uint64_t>(exp2_fixed((halvings << 24) - below)) << 12 >> halvings;
}

// What takes part in a draw: numbers above `order`, and of those equal to it the ids up to `last`.
struct Cut {
  uint32_t order, last;
  KL_DEVICE bool keeps(uint32_t key, uint32_t id) const { return key > order || (key == order && id <= last); }
};

// The cut of the `left` best, 0 < left < width, by digits of 8 bits: four of the numbers, then, where not all that are equal stay, four of their ids.
KL_DEVICE Cut cut_of(const float* row, uint32_t width, uint32_t left, uint32_t* counts) {
  Cut cut{0, 0xffffffffu};
  uint32_t ties = 0;
  for (uint32_t digits = 0; digits < 8; ++digits) {
    const bool of_ids = digits >= 4;
    if (digits == 4) {
      if (ties == left) break;
      cut.last = 0;
    }
    const uint32_t shift = 24 - 8 * (digits & 3u), mask = shift == 24 ? 0u : 0xffffffffu << (shift + 8);
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < 256; i += kSampleThreads) counts[i] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < width; i += kSampleThreads) {
      const uint32_t key = order_of(__float_as_uint(row[i]));
      if (of_ids) {
        if (key == cut.order && (i & mask) == cut.last) atomicAdd(counts + (i >> shift & 255u), 1u);
      } else if ((key & mask) == cut.order) {
        atomicAdd(counts + (key >> shift & 255u), 1u);
      }
    }
    __syncthreads();
    uint32_t digit = of_ids ? 0 : 255;
    while (counts[digit] < left) {
      left -= counts[digit];
      digit = of_ids ? digit + 1 : digit - 1;
    }
    ties = counts[digit];
    if (of_ids) {
      cut.last |= digit << shift;
    } else {
      cut.order |= digit << shift;
    }
  }
  return cut;
}

KL_DEVICE uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// The block's largest key, right in thread 0.
KL_DEVICE uint64_t block_largest(uint64_t mine, SharedPointer<uint64_t> warps) {
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  KL_UNROLL
  for (int step = 16; step > 0; step /= 2) mine = larger(mine, __shfl_xor_sync(kFullWarp, mine, step));
  if (lane == 0) warps[warp] = mine;
  __syncthreads();
  uint64_t all = 0;
  if (threadIdx.x == 0) {
    for (uint32_t w = 0; w < kSampleThreads / 32; ++w) all = larger(all, warps[w]);
  }
  return all;
}

}  // namespace

KL_KERNEL(sample__part, SampleArgs, kSampleThreads) {
  KL_SHARED(uint64_t, warps, kSampleThreads / 32);
  const uint32_t o = blockIdx.y, first = blockIdx.x * kSamplePart;
  if (o >= live_rows(a.rows)) return;
  const uint32_t end = a.width - first < kSamplePart ? a.width : first + kSamplePart;
  const float* row = a.logits + static_cast<uint64_t>(o) * a.width;
  uint64_t best = 0;
  if (a.width % 4 == 0) {
    for (uint32_t i = first + 4 * threadIdx.x; i < end; i += 4 * kSampleThreads) {
      const uint4 four = load_16(row + i);
      best = larger(larger(best, key_of(four.x, i)), key_of(four.y, i + 1));
      best = larger(larger(best, key_of(four.z, i + 2)), key_of(four.w, i + 3));
    }
  } else {
    for (uint32_t i = first + threadIdx.x; i < end; i += kSampleThreads) best = larger(best, key_of(__float_as_uint(row[i]), i));
  }
  best = block_largest(best, warps);
  if (threadIdx.x == 0) a.keys[static_cast<uint64_t>(o) * a.parts + blockIdx.x] = best;
}

KL_KERNEL(sample__draw, SampleArgs, kSampleThreads) {
  KL_SHARED(uint64_t, warps, kSampleThreads / 32);
  KL_SHARED(uint64_t, lanes, kSampleLanes);
  const uint32_t o = blockIdx.x, thread = threadIdx.x;
  if (o >= live_rows(a.rows)) return;
  const float scale = __uint_as_float(a.draws[4 * o]);
  if (scale < 0.0f) {
    if (thread == 0) a.out[o] = -1;
    return;
  }
  uint64_t key = 0;
  for (uint32_t i = thread; i < a.parts; i += kSampleThreads) key = larger(key, a.keys[static_cast<uint64_t>(o) * a.parts + i]);
  key = block_largest(key, warps);
  if (thread == 0) warps[0] = key;
  __syncthreads();
  key = warps[0];
  const uint32_t best_id = ~static_cast<uint32_t>(key);
  if (key == kBroken || scale == 0.0f) {
    if (thread == 0) a.out[o] = key == kBroken ? -1 : static_cast<int32_t>(best_id);
    return;
  }
  const float* row = a.logits + static_cast<uint64_t>(o) * a.width;
  const float best = row[best_id];
  const uint32_t top_k = a.draws[4 * o + 1];
  Cut cut{0, 0xffffffffu};
  if (top_k > 0 && top_k < a.width) cut = cut_of(row, a.width, top_k, a.counts + static_cast<uint64_t>(o) * 256);

  uint64_t sum = 0;
  if (thread < kSampleLanes) {
    for (uint32_t i = thread; i < a.width; i += kSampleLanes) {
      if (cut.keeps(order_of(__float_as_uint(row[i])), i)) sum += draw_weight(row[i], best, scale);
    }
    lanes[thread] = sum;
  }
  __syncthreads();
  if (thread >= kSampleLanes) return;
  uint64_t total = 0;
  for (uint32_t lane = 0; lane < kSampleLanes; ++lane) total += lanes[lane];
  uint64_t r = multiply_high(static_cast<uint64_t>(a.draws[4 * o + 3]) << 32 | a.draws[4 * o + 2], total);
  uint32_t chosen = 0;
  for (; r >= lanes[chosen]; ++chosen) r -= lanes[chosen];
  if (thread != chosen) return;
  for (uint32_t i = thread; i < a.width; i += kSampleLanes) {
    if (!cut.keeps(order_of(__float_as_uint(row[i])), i)) continue;
    const uint64_t w = draw_weight(row[i], best, scale);
    if (r < w) {
      a.out[o] = static_cast<int32_t>(i);
      return;
    }
    r -= w;
  }
}

}  // namespace kl::cuda
