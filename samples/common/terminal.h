// The terminal side of the samples: line editing, a progress bar, Ctrl-C.
#pragma once
#include <optional>
#include <string>

namespace terminal {

// UTF-8 even where no locale is set, and Ctrl-C no longer ends the program.
void set_up();

// True once after each Ctrl-C.
bool interrupted();

// A line from the person: edited with history on a terminal, plain from a pipe. Empty optional: end of input.
// Ctrl-C gives an empty line.
std::optional<std::string> read_line(const char* prompt);

// One line on standard error, rewritten in place; nothing when that is no terminal. Appears only when the work takes longer than a moment.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void show(double fraction);
  void clear();

 private:
  std::string label_;
  double started_;
  int drawn_ = -1;  // cells
};

}  // namespace terminal
