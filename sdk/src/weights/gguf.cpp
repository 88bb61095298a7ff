#include "weights/gguf.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <numeric>

#include "core/file.h"
#include "core/hash.h"
#include "core/quote.h"
#include "weights/gguf_header.h"
#include "weights/gguf_split.h"

namespace kl {
namespace {

// One file of the model. `head` holds the bytes that the header's strings view when the source is a mapping.
struct Part {
  std::shared_ptr<const ByteSource> source;
  std::unique_ptr<std::byte[]> head;
  uint64_t header_bytes = 0;
  Hash128 header_hash;
  GgufHeader header;
};

// A header that does not fit is read again with a longer head, twice as long at least: at most twice the work of knowing its length.
constexpr uint64_t kFirstHead = uint64_t{1} << 20;

Status parse(Part& part, std::span<const std::byte> head, uint64_t file_bytes, MemoryBudget budget, uint64_t& wanted) {
  Reader reader(head, file_bytes);
  Result<GgufHeader> header = read_gguf_header(reader, budget);
  wanted = reader.wanted();
  if (!header.ok()) return header.status();
  part.header = std::move(*header);
  part.header_bytes = reader.offset();
  part.header_hash = hash128(head.first(part.header_bytes));
  return {};
}

Status parse_mapped(Part& part, uint64_t file_bytes, MemoryBudget budget) {
  uint64_t head_bytes = std::min(file_bytes, kFirstHead);
  for (;;) {
    MemoryBudget left = budget;
    KL_TRY(left.take("header", 1, head_bytes));
    part.head.reset(new (std::nothrow) std::byte[head_bytes]);
    if (!part.head) return error(Code::out_of_memory, "no memory for a header of %s bytes", with_commas(head_bytes).c_str());
    const std::span<std::byte> head(part.head.get(), head_bytes);
    KL_TRY(part.source->copy(0, head));
    uint64_t wanted = 0;
    Status status = parse(part, head, file_bytes, left, wanted);
    if (status.ok() || wanted <= head_bytes) return status;
    head_bytes = std::min(file_bytes, std::max(2 * head_bytes, wanted));
  }
}

Result<Part> open_part(std::shared_ptr<const ByteSource> source, const GgufOptions& options) {
  Part part;
  part.source = std::move(source);
  const uint64_t file_bytes = part.source->bytes().size();
  constexpr uint64_t kBudgetBase = uint64_t{16} << 20;
  const bool in_memory = part.source->is_file() && !part.source->is_mapped();  // one file's worth is spent already
  const MemoryBudget budget(options.memory_budget != 0 ? options.memory_budget : (in_memory ? 1 : 2) * file_bytes + kBudgetBase);
  uint64_t wanted = 0;
  Status status =
      part.source->is_mapped() ? parse_mapped(part, file_bytes, budget) : parse(part, part.source->bytes(), file_bytes, budget, wanted);
  if (!status.ok()) return status.at(part.source->name());
  return part;
}

class GgufModel final : public Gguf {
 public:
  static Result<std::shared_ptr<const Gguf>> make(std::vector<Part> parts) {
    const std::shared_ptr<GgufModel> model(new GgufModel(std::move(parts)));
    KL_TRY(model->index());
    return std::shared_ptr<const Gguf>(model);
  }

  uint32_t version() const override { return parts_[0].header.version; }
  const Metadata& metadata() const override { return parts_[0].header.metadata; }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  uint64_t file_bytes() const override { return file_bytes_; }
  const std::string& name() const override { return parts_[0].source->name(); }

  const TensorInfo* find(std::string_view tensor) const override {
    const auto at =
        std::lower_bound(by_name_.begin(), by_name_.end(), tensor, [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
    return at != by_name_.end() && tensors_[*at].name == tensor ? &tensors_[*at] : nullptr;
  }

  Result<std::span<const std::byte>> data(const TensorInfo& tensor) const override {
    if (!inside(tensor))
      return error(Code::invalid_argument, "%s: tensor %s is not of this model", name().c_str(), quoted(tensor.name).c_str());
    const ByteSource& source = *parts_[tensor.file].source;
    if (const Status status = source.check(); !status.ok()) return status.at("tensor " + quoted(tensor.name));
    return source.bytes().subspan(static_cast<size_t>(tensor.offset), static_cast<size_t>(tensor.bytes));
  }

  void release(const TensorInfo& tensor) const override {
    if (inside(tensor)) parts_[tensor.file].source->release(tensor.offset, tensor.bytes);
  }

  std::string identity() const override {
    std::call_once(identity_once_, [this] {
      for (const Part& part : parts_) {
        const std::span<const std::byte> bytes = part.source->bytes();
        const Hash128 hash = part.source->is_file() ? part.header_hash : hash128(bytes);
        identity_ += format("%s%s-%zu-%lld", identity_.empty() ? "" : "+", hash.hex().c_str(), bytes.size(),
                            static_cast<long long>(part.source->modified_ns()));
      }
    });
    return identity_;
  }
  std::string header_digest() const override {
    std::string digest;
    for (const Part& part : parts_) {
      digest += format("%s%s-%zu", digest.empty() ? "" : "+", part.header_hash.hex().c_str(), part.source->bytes().size());
    }
    return digest;
  }

 private:
  explicit GgufModel(std::vector<Part> parts) : parts_(std::move(parts)) {}

  // One table of the parts' tensors, findable by name; names stand once in the whole model (R26).
  Status index() {
    size_t count = 0;
    for (const Part& part : parts_) count += part.header.tensors.size();
    tensors_.reserve(count);
    for (size_t i = 0; i < parts_.size(); ++i) {
      file_bytes_ += parts_[i].source->bytes().size();
      for (TensorInfo& tensor : parts_[i].header.tensors) {
        tensor.file = static_cast<uint32_t>(i);
        tensors_.push_back(tensor);
      }
      parts_[i].header.tensors = {};
    }
    by_name_.resize(count);
    std::iota(by_name_.begin(), by_name_.end(), 0u);
    std::sort(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
    const auto twice =
        std::adjacent_find(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) { return tensors_[a].name == tensors_[b].name; });
    if (twice == by_name_.end()) return {};
    return error(Code::corrupt, "%s: expected every tensor once, got %s twice", name().c_str(), quoted(tensors_[*twice].name).c_str());
  }

  bool inside(const TensorInfo& tensor) const {
    return tensor.file < parts_.size() && range_fits(tensor.offset, tensor.bytes, parts_[tensor.file].source->bytes().size());
  }

  std::vector<Part> parts_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint32_t> by_name_;
  uint64_t file_bytes_ = 0;
  mutable std::once_flag identity_once_;
  mutable std::string identity_;
};

ByteSource::Access access(const GgufOptions& options) { return options.use_mmap ? ByteSource::Access::map : ByteSource::Access::read; }

// A descriptor or buffer has no neighbours.
Result<std::shared_ptr<const Gguf>> open_single(std::shared_ptr<const ByteSource> source, const GgufOptions& options) {
  KL_ASSIGN(Part part, open_part(std::move(source), options));
  KL_ASSIGN(const GgufSplit split, read_gguf_split(part.header.metadata));
  if (split.count > 1) {
    return error(Code::unsupported, "%s: part %u of a model in %u files, which opens by the path of its first file only",
                 part.source->name().c_str(), split.number + 1, split.count);
  }
  std::vector<Part> parts;
  parts.push_back(std::move(part));
  return GgufModel::make(std::move(parts));
}

Status check_part(const Part& part, uint32_t number, uint32_t count) {
  KL_ASSIGN(const GgufSplit split, read_gguf_split(part.header.metadata));
  if (split.count == count && split.number == number) return {};
  return error(Code::corrupt, "%s: expected part %u of %u, got part %u of %u", part.source->name().c_str(), number + 1, count,
               split.number + 1, split.count);
}

}  // namespace

Result<std::shared_ptr<const Gguf>> Gguf::open(const std::string& path, const GgufOptions& options) {
  KL_ASSIGN(std::shared_ptr<const ByteSource> source, ByteSource::open(path, access(options)));
  KL_ASSIGN(Part first, open_part(std::move(source), options));
  Result<GgufSplit> read = read_gguf_split(first.header.metadata);
  if (!read.ok()) return read.status().at(path);
  const GgufSplit split = *read;
  if (split.number != 0) {
    return error(Code::invalid_argument, "%s: expected the first part of a split model, got part %u of %u", path.c_str(), split.number + 1,
                 split.count);
  }
  std::vector<Part> parts;
  uint64_t tensors = first.header.tensors.size();
  parts.push_back(std::move(first));
  for (uint32_t i = 1; i < split.count; ++i) {
    KL_ASSIGN(const std::string part_path, gguf_part_path(path, i, split.count));
    KL_ASSIGN(std::shared_ptr<const ByteSource> part_source, ByteSource::open(part_path, access(options)));
    KL_ASSIGN(Part part, open_part(std::move(part_source), options));
    KL_TRY(check_part(part, i, split.count));
    tensors += part.header.tensors.size();
    parts.push_back(std::move(part));
  }
  if (split.tensor_count && *split.tensor_count != tensors) {
    return error(Code::corrupt, "%s: expected %s tensors in all %u parts (split.tensors.count), got %s", path.c_str(),
                 with_commas(*split.tensor_count).c_str(), split.count, with_commas(tensors).c_str());
  }
  return GgufModel::make(std::move(parts));
}

Result<std::shared_ptr<const Gguf>> Gguf::open_fd(int fd, const GgufOptions& options) {
  KL_ASSIGN(std::shared_ptr<const ByteSource> source, ByteSource::open_fd(fd, access(options)));
  return open_single(std::move(source), options);
}

Result<std::shared_ptr<const Gguf>> Gguf::open_memory(std::span<const std::byte> bytes, const GgufOptions& options) {
  return open_single(ByteSource::view(bytes), options);
}

}  // namespace kl
