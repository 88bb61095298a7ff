// Writes float32 arrays in NumPy's .npy format, version 1.0 (numpy.lib.format): magic, header dictionary padded to 64 bytes, data in C order.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace tool {

// Rows are appended until there are as many as were announced. A file that was not finished is removed.
class NpyWriter {
 public:
  NpyWriter(std::string path, uint64_t rows, uint64_t columns);
  ~NpyWriter();
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;
  void append(std::span<const float> values);  // throws Failure when the disk refuses
  void finish();                               // exactly the announced number of values must have come

 private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  uint64_t missing_;  // values still to come
  bool finished_ = false;
};

}  // namespace tool
