#include "npy.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common.h"

namespace tool {

NpyWriter::NpyWriter(std::string path, uint64_t rows, uint64_t columns)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb"), std::fclose), missing_(rows * columns) {
  static_assert(std::endian::native == std::endian::little, "the data is written as it lies in memory");
  if (file_ == nullptr) fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
  std::string dictionary = text("{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu), }", static_cast<unsigned long long>(rows),
                                static_cast<unsigned long long>(columns));
  constexpr size_t kPreamble = 10;  // magic, version, 16-bit length
  dictionary.append(64 - (kPreamble + dictionary.size() + 1) % 64, ' ');
  dictionary += '\n';
  const std::string magic("\x93NUMPY\x01\x00", 8);
  const char length[2] = {static_cast<char>(dictionary.size() & 0xFF), static_cast<char>(dictionary.size() >> 8U)};
  const std::string header = magic + std::string(length, 2) + dictionary;
  if (std::fwrite(header.data(), 1, header.size(), file_.get()) != header.size()) {
    fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
  }
}

NpyWriter::~NpyWriter() {
  std::error_code ignored;
  if (!finished_ && file_ != nullptr && std::filesystem::is_regular_file(path_, ignored)) std::filesystem::remove(path_, ignored);
}

void NpyWriter::append(std::span<const float> values) {
  if (values.size() > missing_)
    fail("expected %llu more values for \"%s\", got %zu", static_cast<unsigned long long>(missing_), path_.c_str(), values.size());
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_.get()) != values.size()) {
    fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
  }
  missing_ -= values.size();
}

void NpyWriter::finish() {
  if (missing_ != 0) fail("expected %llu more values for \"%s\", got none", static_cast<unsigned long long>(missing_), path_.c_str());
  if (std::fflush(file_.get()) != 0) fail("expected to write \"%s\": %s", path_.c_str(), std::strerror(errno));
  finished_ = true;
}

}  // namespace tool
