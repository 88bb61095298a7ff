// GGUF versions 2 and 3, little-endian: metadata and tensor table, every byte checked before it is believed (rules R1 to R11, R16, R17, R26).
// Source: the format definition in ggml's docs/gguf.md. A Gguf owns its bytes (mapping or buffer) and is immutable after open:
// safe to share between threads. Metadata and names are copied out of a mapped file, so only tensor data can be lost when it is cut short.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/format.h"
#include "core/status.h"

namespace kl {

// The type numbers of the file.
enum class MetaType : uint32_t { u8 = 0, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
inline constexpr uint32_t kMetaTypeCount = 13;
const char* name(MetaType type);

// One metadata value. Signed integers of every width arrive as int64, unsigned as uint64, floats as double; arrays are homogeneous.
// Strings are bytes as they stand in the file: not necessarily UTF-8, may hold NUL.
struct MetaArray;
using MetaValue = std::variant<bool, int64_t, uint64_t, double, std::string_view, std::shared_ptr<const MetaArray>>;

// The elements of an array, by kind: at most one vector is filled (nested arrays in `arrays`). Strings view the Gguf's bytes.
struct MetaArray {
  MetaType element = MetaType::u8;
  std::vector<int64_t> ints;        // every integer type but uint64, and bool as 0 / 1
  std::vector<uint64_t> unsigneds;  // uint64 only
  std::vector<float> floats;        // float32; float64 is in doubles
  std::vector<double> doubles;
  std::vector<std::string_view> strings;
  std::vector<std::shared_ptr<const MetaArray>> arrays;
  size_t size() const { return ints.size() + unsigneds.size() + floats.size() + doubles.size() + strings.size() + arrays.size(); }
};

// Metadata by key; lookups are typed, and a key of another type is an error that names both (R5).
class Metadata {
 public:
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const MetaValue* find(std::string_view key) const;
  std::optional<MetaType> type_of(std::string_view key) const;
  // nullopt: the key is absent. Error: it is there with another type or out of the range given (R8). NaN is in no range.
  // find_uint takes every integer type; the others take exactly theirs (find_float: f32 and f64).
  Result<std::optional<uint64_t>> find_uint(std::string_view key, uint64_t min, uint64_t max) const;
  Result<std::optional<double>> find_float(std::string_view key, double min, double max) const;
  Result<std::optional<bool>> find_bool(std::string_view key) const;
  Result<std::optional<std::string_view>> find_string(std::string_view key) const;
  Result<std::span<const std::string_view>> find_strings(std::string_view key) const;  // empty when absent
  Result<std::span<const float>> find_floats(std::string_view key) const;
  Result<std::span<const int64_t>> find_ints(std::string_view key) const;
  // The same, absent being an error that names the key.
  Result<uint64_t> need_uint(std::string_view key, uint64_t min, uint64_t max) const;
  Result<std::string_view> need_string(std::string_view key) const;

  struct Entry {
    std::string_view key;
    MetaType type = MetaType::u8;
    MetaValue value;
  };
  std::vector<Entry> entries;  // in file order

  // Makes the keys findable; called once when entries is complete. Error: a key stands twice (R26).
  Status index();

 private:
  const Entry* entry(std::string_view key) const;
  std::vector<uint32_t> sorted_;  // indices into entries, by key
};

// A tensor as the file has it. dims[0] is the contiguous one (a matrix of a linear: dims = {K, N}), unused dims are 1.
struct TensorInfo {
  std::string_view name;
  Format format = Format::f32;
  uint32_t rank = 1;
  std::array<uint64_t, 4> dims = {1, 1, 1, 1};
  uint64_t bytes = 0;   // of the data
  uint32_t file = 0;    // which part of a split model
  uint64_t offset = 0;  // of the data, from the start of that part's file; [offset, offset + bytes) is inside it
};

// Declared ranges (R8). Spec: alignment is a multiple of 8 (ggml: a power of two); keys are ASCII of at most 65,535 bytes, tensor names of 64.
inline constexpr uint64_t kGgufMinAlignment = 8, kGgufMaxAlignment = 65536, kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMaxKeyBytes = 65535, kGgufMaxTensorNameBytes = 255;
inline constexpr uint32_t kGgufMaxArrayDepth = 8, kGgufMaxParts = 9999;

struct GgufOptions {
  bool use_mmap = true;        // false: read into memory
  uint64_t memory_budget = 0;  // bytes the reader itself may take for tables (R9); 0: 2 x file size + 16 MiB, less what holds the file
};

class Gguf {
 public:
  // The first part of a split model opens all its parts (same folder, names "<stem>-00001-of-0000N.gguf"); metadata is the first part's.
  // Errors: not_found, io_error, corrupt (naming part, byte, field, expected and got), unsupported (another version or byte order, a tensor
  // type this build does not read), out_of_memory (R9).
  static Result<std::shared_ptr<const Gguf>> open(const std::string& path, const GgufOptions& options = {});
  // The descriptor is duplicated; the caller keeps its own. The whole file is the model.
  static Result<std::shared_ptr<const Gguf>> open_fd(int fd, const GgufOptions& options = {});
  // The buffer must stay alive and unchanged as long as the Gguf lives.
  static Result<std::shared_ptr<const Gguf>> open_memory(std::span<const std::byte> bytes, const GgufOptions& options = {});
  virtual ~Gguf() = default;

  virtual uint32_t version() const = 0;
  virtual const Metadata& metadata() const = 0;
  virtual std::span<const TensorInfo> tensors() const = 0;  // all parts, in file order
  virtual const TensorInfo* find(std::string_view name) const = 0;
  virtual uint64_t file_bytes() const = 0;  // all parts together
  // The tensor's bytes in the mapping. Re-checks the mapped file's length and time first (R28): an error when it changed since open.
  virtual Result<std::span<const std::byte>> data(const TensorInfo& tensor) const = 0;
  // Tells the system that these pages are not needed for now (packing reads each tensor once). No effect on a buffer. A foreign
  // TensorInfo whose range is outside the file is an error in data() and ignored here.
  virtual void release(const TensorInfo& tensor) const = 0;
  // Identity for cache keys: header bytes, file sizes and modification times of all parts. A buffer has no time, so all of it counts:
  // the first call reads it once.
  virtual std::string identity() const = 0;
  // The header alone: hash of its bytes (metadata and tensor table) and size of the file, of all parts. The same for a copy of the file.
  virtual std::string header_digest() const = 0;
  // Path for messages ("model.gguf", "<memory>", "<descriptor>").
  virtual const std::string& name() const = 0;
};

}  // namespace kl
