#include "terminal.h"

#include <editline/readline.h>
#include <langinfo.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

namespace terminal {
namespace {

volatile std::sig_atomic_t interrupts = 0;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void set_up() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupts = 1; };
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: waiting for a key ends
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
  if (interrupts == 0) return false;
  interrupts = 0;
  return true;
}

std::optional<std::string> read_line(const char* prompt) {
  std::string line;
  if (isatty(STDIN_FILENO) == 0) {
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  interrupted();
  const std::unique_ptr<char, void (*)(void*)> typed(readline(prompt), std::free);
  if (typed == nullptr) {
    std::fputc('\n', stdout);
    if (interrupted()) return std::string();
    return std::nullopt;
  }
  line = typed.get();
  if (!line.empty()) add_history(line.c_str());
  return line;
}

ProgressBar::ProgressBar(std::string label) : label_(std::move(label)), started_(now()) {}

void ProgressBar::show(double fraction) {
  constexpr int kCells = 30;
  constexpr double kMoment = 0.3;  // seconds
  const int cells = static_cast<int>(fraction * kCells);
  if (cells == drawn_ || isatty(STDERR_FILENO) == 0 || now() - started_ < kMoment) return;
  drawn_ = cells;
  const std::string bar = std::string(static_cast<size_t>(cells), '#') + std::string(static_cast<size_t>(kCells - cells), '.');
  std::fprintf(stderr, "\r%s [%s] %3.0f %%", label_.c_str(), bar.c_str(), 100 * fraction);
}

void ProgressBar::clear() {
  if (drawn_ >= 0) std::fprintf(stderr, "\r\033[K");
  drawn_ = -1;
}

}  // namespace terminal
