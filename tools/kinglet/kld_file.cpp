#include "kld_file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "common.h"

namespace tool {

static_assert(std::endian::native == std::endian::little, "the file is read and written as it lies in memory");

namespace {
constexpr char kMagic[9] = "_logits_";
constexpr uint32_t kMost = 1U << 24U;  // of context, vocabulary and chunks: far above any real file, keeps products in 64 bits
}  // namespace

KldReader::KldReader(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "rb"), std::fclose) {
  if (file_ == nullptr) fail("expected to read \"%s\": %s", path_.c_str(), std::strerror(errno));
  char magic[8];
  read(magic, sizeof magic);
  if (std::memcmp(magic, kMagic, sizeof magic) != 0)
    fail("expected a logits file that begins with \"_logits_\", \"%s\" does not", path_.c_str());
  read(&header_.context, sizeof header_.context);
  read(&header_.vocabulary, sizeof header_.vocabulary);
  read(&header_.chunks, sizeof header_.chunks);
  if (header_.context < 4 || header_.context > kMost || header_.vocabulary < 1 || header_.vocabulary > kMost || header_.chunks < 1 ||
      header_.chunks > kMost) {
    fail("expected sensible sizes in \"%s\", got context %u, vocabulary %u, chunks %u", path_.c_str(), header_.context, header_.vocabulary,
         header_.chunks);
  }
  const uint64_t tokens = static_cast<uint64_t>(header_.chunks) * header_.context;
  const double whole =
      20.0 + 4.0 * static_cast<double>(tokens) +
      2.0 * static_cast<double>(header_.chunks) * static_cast<double>(header_.scored_rows()) * static_cast<double>(header_.row_words());
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path_, error);
  if (!error && static_cast<double>(size) < whole) {
    fail("expected %.0f bytes in \"%s\" for its %u chunks, it has %llu", whole, path_.c_str(), header_.chunks,
         static_cast<unsigned long long>(size));
  }
  header_.tokens.resize(tokens);
  read(header_.tokens.data(), tokens * sizeof(int32_t));
  for (const int32_t token : header_.tokens) {
    if (token < 0 || static_cast<uint32_t>(token) >= header_.vocabulary) {
      fail("expected tokens below %u in \"%s\", it has %d", header_.vocabulary, path_.c_str(), token);
    }
  }
}

void KldReader::read(void* to, size_t bytes) {
  if (std::fread(to, 1, bytes, file_.get()) != bytes) fail("expected %zu more bytes in \"%s\", it ends before", bytes, path_.c_str());
}

void KldReader::next_chunk(std::vector<uint16_t>& rows) {
  rows.resize(header_.scored_rows() * header_.row_words());
  read(rows.data(), rows.size() * sizeof(uint16_t));
}

KldWriter::KldWriter(std::string path, const KldHeader& header)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb"), std::fclose) {
  if (file_ == nullptr) fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
  write(kMagic, 8);
  write(&header.context, sizeof header.context);
  write(&header.vocabulary, sizeof header.vocabulary);
  write(&header.chunks, sizeof header.chunks);
  write(header.tokens.data(), header.tokens.size() * sizeof(int32_t));
}

void KldWriter::write(const void* from, size_t bytes) {
  if (std::fwrite(from, 1, bytes, file_.get()) != bytes) fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
}

void KldWriter::chunk(std::span<const uint16_t> rows) { write(rows.data(), rows.size_bytes()); }

void KldWriter::finish() {
  if (std::fflush(file_.get()) != 0) fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
}

void encode_row(std::span<const float> logits, double log_sum, std::span<uint16_t> row) {
  const auto [low, high] = std::minmax_element(logits.begin(), logits.end());
  const float best = *high;
  const float worst = std::max(*low, best - 16.0F);
  const float scale = (best - worst) / 65535.0F;
  const float least = worst - static_cast<float>(log_sum);
  std::memcpy(row.data(), &scale, sizeof scale);
  std::memcpy(row.data() + 2, &least, sizeof least);
  std::fill(row.begin() + 4, row.end(), uint16_t{0});
  if (scale == 0.0F) return;
  const float steps = 1.0F / scale;
  for (size_t token = 0; token < logits.size(); ++token) {
    const float q = std::nearbyint(steps * (logits[token] - worst));
    row[4 + token] = static_cast<uint16_t>(std::clamp(q, 0.0F, 65535.0F));
  }
}

KldRow decode_row(std::span<const uint16_t> row) {
  KldRow result = {0.0F, 0.0F, row.data() + 4};
  std::memcpy(&result.scale, row.data(), sizeof result.scale);
  std::memcpy(&result.least, row.data() + 2, sizeof result.least);
  return result;
}

}  // namespace tool
