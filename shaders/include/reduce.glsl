// Reductions over the kThreads threads of a workgroup, in one order whatever the subgroups: a binary tree in which level n = kThreads/2, ..., 2, 1 joins
// number i + n to number i. Levels within a subgroup are shuffles, those above it go through shared memory; without SUBGROUP all do. So the bits are a
// function of the kThreads numbers alone, the same for subgroups of 4 to 64 and for none.
// THREAD is a thread's number: with SUBGROUP counted along subgroups, which are full (pipelines ask for that), as gl_LocalInvocationIndex need not be.
#ifdef SUBGROUP
#define THREAD (gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID)
#else
#define THREAD gl_LocalInvocationIndex
#endif

shared float tree[kThreads];

float join_sum(float a, float b) { return a + b; }
float join_most(float a, float b) { return max(a, b); }

// The macro makes one function per way to join. Every thread gets the result.
#ifdef SUBGROUP
#define DEFINE_REDUCTION(NAME, JOIN)                                                                              \
  float NAME(float v) {                                                                                           \
    uint n = kThreads / 2u;                                                                                       \
    if (gl_SubgroupSize < kThreads) {                                                                             \
      tree[THREAD] = v;                                                                                           \
      barrier();                                                                                                  \
      for (; n > gl_SubgroupSize; n /= 2u) {                                                                      \
        if (THREAD < n) tree[THREAD] = JOIN(tree[THREAD], tree[THREAD + n]);                                      \
        barrier();                                                                                                \
      }                                                                                                           \
      v = JOIN(tree[gl_SubgroupInvocationID], tree[gl_SubgroupInvocationID + gl_SubgroupSize]);                   \
      n /= 2u;                                                                                                    \
      barrier(); /* the next reduction writes where others read */                                                \
    }                                                                                                             \
    for (; n > 0u; n /= 2u) v = JOIN(v, subgroupShuffleXor(v, n)); /* lane i ^ n computes the same: a + b = b + a */ \
    return v;                                                                                                     \
  }
#else
#define DEFINE_REDUCTION(NAME, JOIN)                                              \
  float NAME(float v) {                                                           \
    tree[THREAD] = v;                                                             \
    barrier();                                                                    \
    for (uint n = kThreads / 2u; n > 0u; n /= 2u) {                               \
      if (THREAD < n) tree[THREAD] = JOIN(tree[THREAD], tree[THREAD + n]);        \
      barrier();                                                                  \
    }                                                                             \
    v = tree[0];                                                                  \
    barrier();                                                                    \
    return v;                                                                     \
  }
#endif
