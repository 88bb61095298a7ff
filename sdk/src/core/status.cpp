#include "core/status.h"

#include <cstdio>

namespace kl {
namespace {

std::string format_list(const char* format, va_list list) {
  va_list again;
  va_copy(again, list);
  const int length = std::vsnprintf(nullptr, 0, format, list);
  std::string text;
  if (length > 0) {
    text.resize(static_cast<size_t>(length) + 1);
    (void)std::vsnprintf(text.data(), text.size(), format, again);
    text.resize(static_cast<size_t>(length));
  }
  va_end(again);
  return text;
}

}  // namespace

const char* code_name(Code code) {
  switch (code) {
    case Code::ok:
      return "ok";
    case Code::invalid_argument:
      return "invalid argument";
    case Code::not_found:
      return "not found";
    case Code::io_error:
      return "input/output error";
    case Code::corrupt:
      return "corrupt data";
    case Code::unsupported:
      return "unsupported";
    case Code::out_of_memory:
      return "out of memory";
    case Code::context_full:
      return "context full";
    case Code::cancelled:
      return "cancelled";
    case Code::busy:
      return "busy";
    case Code::closed:
      return "closed";
    case Code::device_lost:
      return "device lost";
    case Code::internal:
      return "internal error";
  }
  return "unknown";
}

Status error(Code code, const char* format, ...) {
  va_list list;
  va_start(list, format);
  Status status(code, format_list(format, list));
  va_end(list);
  return status;
}

std::string format(const char* format, ...) {
  va_list list;
  va_start(list, format);
  std::string text = format_list(format, list);
  va_end(list);
  return text;
}

std::string with_commas(unsigned long long number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

}  // namespace kl
