// Attention in spans of 256 keys: inside a span scores, their maximum m, weights e^(s - m), their sum l and the weighted sum of V; spans are merged in
// ascending order. Whether one workgroup takes all spans or many take one each, the same numbers meet in the same order.
#include "math.glsl"

const uint kSpan = 256u;
const float kNothing = -1e30;  // below every score

// (M, L) with a span's (m, l): the factors of both sums, and the new M and L.
struct Merged {
  float most, sum, keep, take;
};
Merged merge_span(float most, float sum, float m, float l) {
  Merged r;
  r.most = max(most, m);
  r.keep = exp_of(most - r.most);
  r.take = exp_of(m - r.most);
  r.sum = fma(l, r.take, sum * r.keep);
  return r;
}
