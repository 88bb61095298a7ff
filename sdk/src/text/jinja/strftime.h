// Dates as the host gives them; nothing here reads a clock.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"

namespace kl::jinja {

struct CivilTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};

// "2024-07-26", "2024-07-26T09:05:00", "2024-07-26 09:05" and the same with a trailing Z. Errors: anything else, dates that do not exist.
Result<CivilTime> parse_time(std::string_view iso);
// C's strftime in the C locale, with the GNU flags "-", "_", "0", "^". Errors: unsupported conversions, by name.
Result<std::string> strftime(const CivilTime& time, std::string_view format);

}  // namespace kl::jinja
