// x -> x R, R the normalised Walsh-Hadamard matrix of the largest power of two dividing the head size, repeated along the diagonal (backend/kv_page.h).
// In place on shared memory, by the 64 threads of a workgroup together; complete when it returns. ROW names the shared array.
#define ROTATE(ROW, SIZE)                                                                  \
  {                                                                                        \
    uint size_ = (SIZE), block_ = size_ & (~size_ + 1u);                                   \
    barrier();                                                                             \
    for (uint distance_ = 1u; distance_ < block_; distance_ *= 2u) {                       \
      for (uint i_ = gl_LocalInvocationIndex; i_ < size_ / 2u; i_ += 64u) {                \
        uint at_ = 2u * distance_ * (i_ / distance_) + i_ % distance_;                     \
        float a_ = ROW[at_], b_ = ROW[at_ + distance_];                                    \
        ROW[at_] = a_ + b_;                                                                \
        ROW[at_ + distance_] = a_ - b_;                                                    \
      }                                                                                    \
      barrier();                                                                           \
    }                                                                                      \
    int log_ = findMSB(block_); /* 1 / sqrt(2^log), to nearest */                          \
    float factor_ = uintBitsToFloat(((log_ & 1) != 0 ? 0x3f3504f3u : 0x3f800000u) - (uint(log_ / 2) << 23)); \
    for (uint i_ = gl_LocalInvocationIndex; i_ < size_; i_ += 64u) ROW[i_] *= factor_;     \
    barrier();                                                                             \
  }
