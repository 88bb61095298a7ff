// The logits file of llama.cpp's perplexity tool (--kl-divergence-base), all little-endian:
//   "_logits_" · int32 context · int32 V · int32 chunks · int32 token[chunks context]
//   then per chunk, for each of the context - 1 - context / 2 scored rows, uint16[2 ((V + 1) / 2) + 4]:
//     two floats (scale, least) in the first four, then q[V] with log p = scale q + least; log-probabilities more than 16 below the best are clamped.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tool {

struct KldHeader {
  uint32_t context = 0;
  uint32_t vocabulary = 0;
  uint32_t chunks = 0;
  std::vector<int32_t> tokens;  // [chunks context]

  size_t scored_rows() const { return context - 1 - context / 2; }
  size_t row_words() const { return 2 * ((static_cast<size_t>(vocabulary) + 1) / 2) + 4; }
};

class KldReader {
 public:
  explicit KldReader(std::string path);  // throws Failure when it is no such file, or shorter than it says
  const KldHeader& header() const { return header_; }
  void next_chunk(std::vector<uint16_t>& rows);  // [scored_rows row_words]

 private:
  void read(void* to, size_t bytes);

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  KldHeader header_;
};

class KldWriter {
 public:
  KldWriter(std::string path, const KldHeader& header);
  void chunk(std::span<const uint16_t> rows);
  void finish();

 private:
  void write(const void* from, size_t bytes);

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

// logits [V] -> one row of the file; log_sum = log of the sum of exp(logits).
void encode_row(std::span<const float> logits, double log_sum, std::span<uint16_t> row);

// A row read back: log p of a token is scale * q[token] + least.
struct KldRow {
  float scale;
  float least;
  const uint16_t* q;
  float log_p(size_t token) const { return scale * static_cast<float>(q[token]) + least; }
};
KldRow decode_row(std::span<const uint16_t> row);

}  // namespace tool
