// Metadata entries: key string | type u32 | value. A value: 1 to 8 bytes | string | array = element type u32, count u64, elements.
#include <algorithm>
#include <iterator>

#include "core/quote.h"
#include "weights/gguf_header.h"

namespace kl {
namespace {

// Bytes an element takes at least: a string its length, an array its type and count.
constexpr uint64_t min_bytes(MetaType type) {
  switch (type) {
    case MetaType::u8:
    case MetaType::i8:
    case MetaType::boolean:
      return 1;
    case MetaType::u16:
    case MetaType::i16:
      return 2;
    case MetaType::u32:
    case MetaType::i32:
    case MetaType::f32:
      return 4;
    case MetaType::array:
      return 12;
    default:
      return 8;
  }
}

Result<MetaType> read_type(Reader& reader, const char* field) {
  KL_ASSIGN(const uint32_t type, reader.number_in<uint32_t>(field, 0, kMetaTypeCount - 1));
  return static_cast<MetaType>(type);
}

template <class From, class To>
Status read_numbers(Reader& reader, uint64_t count, MemoryBudget& budget, std::vector<To>& out) {
  KL_TRY(budget.take("array", count, sizeof(To)));
  return reader.numbers<From>("array elements", count, out);
}

Status read_booleans(Reader& reader, uint64_t count, MemoryBudget& budget, std::vector<int64_t>& out) {
  KL_TRY((read_numbers<uint8_t>(reader, count, budget, out)));
  const auto wrong = std::find_if(out.begin(), out.end(), [](int64_t b) { return b > 1; });
  if (wrong == out.end()) return {};
  return reader.wrong("bool", static_cast<uint64_t>(out.end() - wrong), "0 or 1", std::to_string(*wrong));
}

class ArrayReader {
 public:
  ArrayReader(Reader& reader, MemoryBudget& budget) : reader_(reader), budget_(budget) {}

  Result<std::shared_ptr<const MetaArray>> read() {
    const DepthGuard guard(depth_);
    KL_TRY(guard.check("array in array", kGgufMaxArrayDepth));
    constexpr uint64_t kControlBlock = 32;  // of make_shared, at most
    KL_TRY(budget_.take("array", 1, sizeof(MetaArray) + kControlBlock));
    const auto array = std::make_shared<MetaArray>();
    KL_ASSIGN(array->element, read_type(reader_, "array element type"));
    KL_ASSIGN(const uint64_t count, reader_.count("array count", min_bytes(array->element)));
    KL_TRY(elements(*array, count));
    return std::shared_ptr<const MetaArray>(array);
  }

 private:
  Status elements(MetaArray& out, uint64_t n) {
    switch (out.element) {
      case MetaType::u8:
        return read_numbers<uint8_t>(reader_, n, budget_, out.ints);
      case MetaType::i8:
        return read_numbers<int8_t>(reader_, n, budget_, out.ints);
      case MetaType::u16:
        return read_numbers<uint16_t>(reader_, n, budget_, out.ints);
      case MetaType::i16:
        return read_numbers<int16_t>(reader_, n, budget_, out.ints);
      case MetaType::u32:
        return read_numbers<uint32_t>(reader_, n, budget_, out.ints);
      case MetaType::i32:
        return read_numbers<int32_t>(reader_, n, budget_, out.ints);
      case MetaType::i64:
        return read_numbers<int64_t>(reader_, n, budget_, out.ints);
      case MetaType::u64:
        return read_numbers<uint64_t>(reader_, n, budget_, out.unsigneds);
      case MetaType::f32:
        return read_numbers<float>(reader_, n, budget_, out.floats);
      case MetaType::f64:
        return read_numbers<double>(reader_, n, budget_, out.doubles);
      case MetaType::boolean:
        return read_booleans(reader_, n, budget_, out.ints);
      case MetaType::string:
        return strings(out, n);
      case MetaType::array:
        return arrays(out, n);
    }
    return error(Code::internal, "metadata type %u", static_cast<uint32_t>(out.element));
  }

  Status strings(MetaArray& out, uint64_t n) {
    KL_TRY(reader_.walk_strings("array string", n));  // so that a false count costs no memory
    KL_TRY(budget_.take("array", n, sizeof(std::string_view)));
    out.strings.reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
      KL_ASSIGN(const std::string_view text, reader_.string("array string"));
      out.strings.push_back(text);
    }
    return {};
  }

  Status arrays(MetaArray& out, uint64_t n) {
    KL_TRY(budget_.take("array", n, 2 * sizeof(out.arrays[0])));  // twice: the vector grows as they come
    for (uint64_t i = 0; i < n; ++i) {
      KL_ASSIGN(std::shared_ptr<const MetaArray> inner, read());
      out.arrays.push_back(std::move(inner));
    }
    return {};
  }

  Reader& reader_;
  MemoryBudget& budget_;
  uint32_t depth_ = 0;
};

template <class From, class To>
Status read_scalar(Reader& reader, MetaValue& out) {
  KL_ASSIGN(const From value, reader.number<From>("value"));
  out = static_cast<To>(value);
  return {};
}

Status read_value(Reader& reader, MetaType type, MemoryBudget& budget, MetaValue& out) {
  switch (type) {
    case MetaType::u8:
      return read_scalar<uint8_t, uint64_t>(reader, out);
    case MetaType::i8:
      return read_scalar<int8_t, int64_t>(reader, out);
    case MetaType::u16:
      return read_scalar<uint16_t, uint64_t>(reader, out);
    case MetaType::i16:
      return read_scalar<int16_t, int64_t>(reader, out);
    case MetaType::u32:
      return read_scalar<uint32_t, uint64_t>(reader, out);
    case MetaType::i32:
      return read_scalar<int32_t, int64_t>(reader, out);
    case MetaType::u64:
      return read_scalar<uint64_t, uint64_t>(reader, out);
    case MetaType::i64:
      return read_scalar<int64_t, int64_t>(reader, out);
    case MetaType::f32:
      return read_scalar<float, double>(reader, out);
    case MetaType::f64:
      return read_scalar<double, double>(reader, out);
    case MetaType::boolean: {
      KL_ASSIGN(const uint8_t value, reader.number_in<uint8_t>("bool", 0, 1));
      out = value != 0;
      return {};
    }
    case MetaType::string: {
      KL_ASSIGN(out, reader.string("string"));
      return {};
    }
    case MetaType::array: {
      KL_ASSIGN(out, ArrayReader(reader, budget).read());
      return {};
    }
  }
  return error(Code::internal, "metadata type %u", static_cast<uint32_t>(type));
}

Status read_entry(Reader& reader, MemoryBudget& budget, Metadata::Entry& out) {
  KL_ASSIGN(out.key, reader.string("key", 1, kGgufMaxKeyBytes));
  KL_TRY(check_gguf_name(reader, "key", out.key));
  Result<MetaType> type = read_type(reader, "type");
  Status status = type.status();
  if (status.ok()) status = read_value(reader, out.type = *type, budget, out.value);
  return status.ok() ? status : status.at("metadata " + quoted(out.key));
}

}  // namespace

Status read_gguf_metadata(Reader& reader, uint64_t count, MemoryBudget& budget, Metadata& out) {
  // Twice: the vector grows as entries come, so that a false count costs nothing.
  KL_TRY(budget.take("metadata table", count, 2 * sizeof(Metadata::Entry) + sizeof(uint32_t)));
  for (uint64_t i = 0; i < count; ++i) {
    Metadata::Entry entry;
    if (const Status status = read_entry(reader, budget, entry); !status.ok()) {
      return status.at(format("metadata entry %s of %s", with_commas(i).c_str(), with_commas(count).c_str()));
    }
    out.entries.push_back(std::move(entry));
  }
  return out.index();
}

}  // namespace kl
