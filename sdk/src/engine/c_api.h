// What every function of the C boundary is made of: no exception leaves, handles are looked up, structs are read and written by their size.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "engine/handles.h"
#include "engine/session.h"
#include "kinglet/kinglet.h"

namespace kl::c_api {

// Keeps the sentence for kl_last_error; without memory for it, the code's name. Returns the number.
kl_status fail(const Status& status) noexcept;

// Runs body() -> Status.
template <class Body>
kl_status guard(Body&& body) noexcept {
  try {
    const Status status = body();
    return status.ok() ? KL_OK : fail(status);
  } catch (const std::bad_alloc&) {
    return fail(Status(Code::out_of_memory, {}));
  } catch (const std::length_error&) {
    return fail(Status(Code::out_of_memory, {}));
  } catch (...) {
    return fail(Status(Code::internal, {}));
  }
}

inline constexpr uint32_t kMaxLogprobs = 64;
using TopList = std::array<kl_token_logprob, kMaxLogprobs>;  // fixed, so that handing out an event allocates nothing and none is lost

// The objects behind the handles.
struct GenerationHandle {
  std::shared_ptr<Generation> generation;
  std::mutex reading;  // held by the one call of kl_generation_next
  Event current;       // what the last event's pointers point to
  TopList top{};
};
struct SequenceHandle {
  SequenceHandle(std::shared_ptr<Model> m, SlotOwner<CacheSlot> c) : model(std::move(m)), cache(std::move(c)) {
    ++model->engine().sequences;
  }
  ~SequenceHandle() { --model->engine().sequences; }
  SequenceHandle(const SequenceHandle&) = delete;
  SequenceHandle& operator=(const SequenceHandle&) = delete;
  std::shared_ptr<Model> model;
  SlotOwner<CacheSlot> cache;
};

template <class T>
struct Kind;
template <>
struct Kind<Engine> {
  static constexpr HandleKind kind = HandleKind::engine;
  static constexpr const char* name = "engine";
};
template <>
struct Kind<Model> {
  static constexpr HandleKind kind = HandleKind::model;
  static constexpr const char* name = "model";
};
template <>
struct Kind<Session> {
  static constexpr HandleKind kind = HandleKind::session;
  static constexpr const char* name = "session";
};
template <>
struct Kind<GenerationHandle> {
  static constexpr HandleKind kind = HandleKind::generation;
  static constexpr const char* name = "generation";
};
template <>
struct Kind<SequenceHandle> {
  static constexpr HandleKind kind = HandleKind::sequence;
  static constexpr const char* name = "sequence";
};

template <>
struct Kind<Image> {
  static constexpr HandleKind kind = HandleKind::image;
  static constexpr const char* name = "image";
};

template <class T>
Status no_handle(const void* key) {
  if (!key) return error(Code::invalid_argument, "the %s handle is null", Kind<T>::name);
  return error(Code::invalid_argument, "%p is not a live %s handle (destroyed before, or of another kind)", key, Kind<T>::name);
}
template <class T>
Result<std::shared_ptr<T>> find(const void* key) {
  auto object = std::static_pointer_cast<T>(handles().find(Kind<T>::kind, key));
  if (!object) return no_handle<T>(key);
  return object;
}
// For destroy functions: null object and ok status when the key is null.
template <class T>
Result<std::shared_ptr<T>> take(const void* key) {
  if (!key) return std::shared_ptr<T>();
  auto object = std::static_pointer_cast<T>(handles().remove(Kind<T>::kind, key));
  if (!object) return no_handle<T>(key);
  return object;
}
template <class T, class Handle>
Status give(std::shared_ptr<T> object, Handle** out) {
  void* const key = handles().add(Kind<T>::kind, std::move(object));
  if (!key) return error(Code::out_of_memory, "too many open handles");
  *out = static_cast<Handle*>(key);
  return {};
}

// An app's struct, of whatever age: fields past its end are zero. Null: all zero, where `optional`. The pointer need not be aligned.
template <class T>
Status read_struct(const T* given, const char* name, bool optional, T& out) {
  out = T{};
  if (!given) return optional ? Status() : error(Code::invalid_argument, "%s is null", name);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(given);
  size_t size = 0;
  std::memcpy(&size, bytes, sizeof size);
  if (size < sizeof size || size > 4096)
    return error(Code::invalid_argument, "%s->size is %zu; sizeof(%s), here %zu, was expected", name, size, name, sizeof(T));
  for (size_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] != 0) return error(Code::unsupported, "%s has fields set that this version of the library does not know", name);
  }
  std::memcpy(static_cast<void*>(&out), bytes, std::min(size, sizeof(T)));
  return {};
}
// Fills the app's struct as far as it goes; its size field stays.
template <class T>
void write_struct(const T& value, T* out) {
  size_t size = 0;
  std::memcpy(&size, static_cast<const void*>(out), sizeof size);
  const size_t n = std::min(size, sizeof(T));
  if (n > sizeof size)
    std::memcpy(reinterpret_cast<unsigned char*>(out) + sizeof size, reinterpret_cast<const unsigned char*>(&value) + sizeof size,
                n - sizeof size);
}
template <class T>
Status check_out_struct(const T* out, const char* name) {
  T ignored;
  if (!out) return error(Code::invalid_argument, "%s is null", name);
  size_t size = 0;
  std::memcpy(&size, static_cast<const void*>(out), sizeof size);
  if (size < sizeof size || size > 4096)
    return error(Code::invalid_argument, "%s->size is %zu; sizeof(%s), here %zu, was expected", name, size, name, sizeof(ignored));
  return {};
}

// Null out pointers are errors; others are set to null at once, so that failed calls leave no garbage.
template <class T>
Status clear(T** out, const char* name) {
  if (!out) return error(Code::invalid_argument, "%s is null", name);
  *out = nullptr;
  return {};
}
Status give_text(std::string_view text, char** out, size_t* length);
Status give_ids(const std::vector<int32_t>& ids, int32_t** out, size_t* count);
void copy_cut(std::string_view text, char* out, size_t capacity);  // with NUL; cut at a character

Result<SamplingOptions> read_sampling(const kl_sampling* given);
Result<GenerationOptions> read_send_options(const kl_send_options* given);
Result<ModelSource> read_source(const kl_source* given);
Result<ModelOptions> read_model_options(const kl_model_options* given, LoadProgress& progress);
Result<uint32_t> ranged(const char* name, int64_t value, int64_t min, int64_t max);
// Several calls may not pass null text.
Result<std::string> need_text(const char* text, const char* name);

}  // namespace kl::c_api
