#include "backend/kernel_choice.h"

#include <cstdarg>
#include <cstdio>

namespace kl {

Answer refuse(const char* format, ...) {
  char text[256];
  va_list list;
  va_start(list, format);
  (void)std::vsnprintf(text, sizeof text, format, list);
  va_end(list);
  return Refusal{text};
}

Refusal refuse_all(const Op& op, const std::vector<std::string>& reasons) {
  if (reasons.empty()) return {std::string("no kernel for ") + name(op)};
  std::string all;
  for (const std::string& each : reasons) all += (all.empty() ? "" : "; ") + each;
  return {all};
}

}  // namespace kl
