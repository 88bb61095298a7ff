// Writes GGUF files for tests: metadata of every type, tensors of every format, and a list of where every integer field stands, so that a
// test can damage each. It writes what it is told, right or wrong.
//
//   GgufWriter file;
//   file.string("general.architecture", "llama").u32("llama.block_count", 2).strings("tokenizer.ggml.tokens", {"a", "b"});
//   file.tensor("token_embd.weight", Format::q8_0, {64, 2}, values);      // floats, quantized here
//   std::vector<std::byte> bytes = file.bytes();                          // or file.write(path)
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/format.h"
#include "core/formats.h"
#include "weights/gguf.h"

namespace kl::test {

// Little-endian bytes with the places of the integers among them.
struct GgufBytes {
  struct Field {
    size_t offset;  // in bytes
    size_t width;   // 1, 2, 4 or 8
    std::string name;
  };
  std::vector<std::byte> bytes;
  std::vector<Field> fields;

  template <class T>
  void number(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
      std::byte raw[sizeof(T)];
      std::memcpy(raw, &value, sizeof(T));
      bytes.push_back(raw[std::endian::native == std::endian::little ? i : sizeof(T) - 1 - i]);
    }
  }
  template <class T>
  void field(T value, std::string name) {
    fields.push_back({bytes.size(), sizeof(T), std::move(name)});
    number(value);
  }
  void string(std::string_view text, const std::string& name) {
    field<uint64_t>(text.size(), name + " length");
    for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  }
  void append(const GgufBytes& other) {
    for (Field f : other.fields) {
      f.offset += bytes.size();
      fields.push_back(std::move(f));
    }
    bytes.insert(bytes.end(), other.bytes.begin(), other.bytes.end());
  }
};

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  GgufWriter& u8(std::string_view key, uint8_t v) { return scalar(key, MetaType::u8, v); }
  GgufWriter& i8(std::string_view key, int8_t v) { return scalar(key, MetaType::i8, v); }
  GgufWriter& u16(std::string_view key, uint16_t v) { return scalar(key, MetaType::u16, v); }
  GgufWriter& i16(std::string_view key, int16_t v) { return scalar(key, MetaType::i16, v); }
  GgufWriter& u32(std::string_view key, uint32_t v) { return scalar(key, MetaType::u32, v); }
  GgufWriter& i32(std::string_view key, int32_t v) { return scalar(key, MetaType::i32, v); }
  GgufWriter& u64(std::string_view key, uint64_t v) { return scalar(key, MetaType::u64, v); }
  GgufWriter& i64(std::string_view key, int64_t v) { return scalar(key, MetaType::i64, v); }
  GgufWriter& f32(std::string_view key, float v) { return scalar(key, MetaType::f32, v); }
  GgufWriter& f64(std::string_view key, double v) { return scalar(key, MetaType::f64, v); }
  GgufWriter& boolean(std::string_view key, bool v) { return scalar(key, MetaType::boolean, static_cast<uint8_t>(v)); }
  GgufWriter& string(std::string_view key, std::string_view v) {
    GgufBytes& out = entry(key, MetaType::string);
    out.string(v, std::string(key));
    return *this;
  }

  // An array of numbers; T decides the element type (bool arrays: array<uint8_t>(key, MetaType::boolean, ...)).
  template <class T>
  GgufWriter& array(std::string_view key, MetaType element, const std::vector<T>& values) {
    GgufBytes& out = array_head(key, element, values.size());
    for (const T v : values) out.number(v);
    return *this;
  }
  GgufWriter& floats(std::string_view key, const std::vector<float>& v) { return array(key, MetaType::f32, v); }
  GgufWriter& doubles(std::string_view key, const std::vector<double>& v) { return array(key, MetaType::f64, v); }
  GgufWriter& ints(std::string_view key, const std::vector<int32_t>& v) { return array(key, MetaType::i32, v); }
  GgufWriter& uints(std::string_view key, const std::vector<uint32_t>& v) { return array(key, MetaType::u32, v); }
  GgufWriter& booleans(std::string_view key, const std::vector<uint8_t>& v) { return array(key, MetaType::boolean, v); }
  GgufWriter& strings(std::string_view key, const std::vector<std::string>& v) {
    GgufBytes& out = array_head(key, MetaType::string, v.size());
    for (const std::string& text : v) out.string(text, std::string(key) + " element");
    return *this;
  }
  // An array of arrays of i32.
  GgufWriter& nested(std::string_view key, const std::vector<std::vector<int32_t>>& v) {
    GgufBytes& out = array_head(key, MetaType::array, v.size());
    for (const std::vector<int32_t>& inner : v) {
      out.field<uint32_t>(static_cast<uint32_t>(MetaType::i32), std::string(key) + " inner type");
      out.field<uint64_t>(inner.size(), std::string(key) + " inner count");
      for (const int32_t x : inner) out.number(x);
    }
    return *this;
  }
  // Any type number, with the value's bytes as given.
  GgufWriter& raw(std::string_view key, uint32_t type, const GgufBytes& value) {
    GgufBytes& out = entry(key, static_cast<MetaType>(type));
    out.append(value);
    return *this;
  }

  // Also sets how bytes() lays out tensor data.
  GgufWriter& alignment(uint32_t bytes) {
    alignment_ = bytes;
    return u32("general.alignment", bytes);
  }
  // Only how bytes() lays out tensor data; nothing is written into the metadata.
  GgufWriter& layout_alignment(uint64_t bytes) {
    alignment_ = bytes;
    return *this;
  }

  // dims[0] is the contiguous one. `data` as it stands in the file.
  GgufWriter& raw_tensor(std::string name, uint32_t ggml_type, std::vector<uint64_t> dims, std::span<const std::byte> data) {
    tensors_.push_back({std::move(name), ggml_type, std::move(dims), {data.begin(), data.end()}, {}});
    return *this;
  }
  // `values` in the order of the dims, dims[0] fastest; dims[0] is a multiple of the format's block.
  GgufWriter& tensor(std::string name, Format format, std::vector<uint64_t> dims, std::span<const float> values) {
    std::vector<std::byte> data(row_bytes(format, values.size()));
    quantize_row(format, values.data(), data.data(), values.size());
    return raw_tensor(std::move(name), info(format).ggml_type, std::move(dims), data);
  }
  // The offset written for the tensor added last, instead of the right one.
  GgufWriter& offset(uint64_t wrong) {
    tensors_.back().offset = wrong;
    return *this;
  }

  std::vector<std::byte> bytes() const { return build().bytes; }

  // The bytes, and where every integer of the structure stands: counts, lengths, types, dimensions, offsets, scalar values.
  GgufBytes build() const {
    GgufBytes out;
    out.field<uint32_t>(0x46554747, "magic");
    out.field<uint32_t>(version_, "version");
    out.field<uint64_t>(tensors_.size(), "tensor count");
    out.field<uint64_t>(entries_.size(), "metadata count");
    for (const GgufBytes& e : entries_) out.append(e);
    uint64_t offset = 0;
    for (const Tensor& t : tensors_) {
      out.string(t.name, "tensor name");
      out.field<uint32_t>(static_cast<uint32_t>(t.dims.size()), t.name + " rank");
      for (const uint64_t d : t.dims) out.field<uint64_t>(d, t.name + " dimension");
      out.field<uint32_t>(t.type, t.name + " type");
      out.field<uint64_t>(t.offset.value_or(offset), t.name + " offset");
      offset = padded(offset + t.data.size());
    }
    if (tensors_.empty()) return out;
    out.bytes.resize(padded(out.bytes.size()));
    for (const Tensor& t : tensors_) {
      out.bytes.insert(out.bytes.end(), t.data.begin(), t.data.end());
      out.bytes.resize(padded(out.bytes.size()));
    }
    return out;
  }

  // False when the file could not be written.
  bool write(const std::string& path) const {
    const std::vector<std::byte> all = bytes();
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size()));
    return file.good();
  }

 private:
  struct Tensor {
    std::string name;
    uint32_t type;
    std::vector<uint64_t> dims;
    std::vector<std::byte> data;
    std::optional<uint64_t> offset;
  };

  GgufBytes& entry(std::string_view key, MetaType type) {
    GgufBytes& out = entries_.emplace_back();
    out.string(key, "key " + std::string(key));
    out.field<uint32_t>(static_cast<uint32_t>(type), std::string(key) + " type");
    return out;
  }
  template <class T>
  GgufWriter& scalar(std::string_view key, MetaType type, T value) {
    entry(key, type).field(value, std::string(key));
    return *this;
  }
  GgufBytes& array_head(std::string_view key, MetaType element, size_t count) {
    GgufBytes& out = entry(key, MetaType::array);
    out.field<uint32_t>(static_cast<uint32_t>(element), std::string(key) + " element type");
    out.field<uint64_t>(count, std::string(key) + " count");
    return out;
  }
  uint64_t padded(uint64_t n) const { return (n + alignment_ - 1) / alignment_ * alignment_; }

  uint32_t version_;
  uint64_t alignment_ = kGgufDefaultAlignment;
  std::vector<GgufBytes> entries_;
  std::vector<Tensor> tensors_;
};

}  // namespace kl::test
