// Where messages go: to the sink the app gave, else nowhere. The library never prints.
#pragma once
#include <functional>
#include <string_view>

namespace kl {

enum class LogLevel : int { debug = 0, info = 1, warning = 2, error = 3 };
using LogSink = std::function<void(LogLevel, std::string_view)>;  // may be called from any thread; must not call back into the library

}  // namespace kl
