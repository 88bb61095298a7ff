// The op cases as a report: `op_report support` says which kernel runs each case and why the better ones were skipped; `op_report bench [WORD]` times
// the cases whose text contains WORD (default: bench=yes) beside what they read and compute. The third use of tests/ops/cases.txt; the first is
// tests/ops/op_cases_test.cpp.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "cpu/device.h"
#include "ops/op_case.h"

using namespace kl;

namespace {

constexpr int kRounds = 7;  // the median of them is printed

int support(Device& device, const std::vector<ops::OpCase>& cases) {
  for (const ops::OpCase& c : cases) {
    const auto run = ops::run(device, ops::build(c));
    std::printf("%s\n%s", c.text().c_str(), run.ok() ? run->report.c_str() : (run.status().message() + "\n").c_str());
  }
  return 0;
}

int bench(Device& device, const std::vector<ops::OpCase>& cases, const char* word) {
  int timed = 0;
  for (const ops::OpCase& c : cases) {
    if (c.text().find(word) == std::string::npos) continue;
    const ops::Built built = ops::build(c);
    double seconds[kRounds] = {};
    for (double& each : seconds) {
      const auto run = ops::run(device, built, 20);
      if (!run.ok()) {
        std::fprintf(stderr, "%s: %s\n", c.text().c_str(), run.status().message().c_str());
        return 1;
      }
      each = run->seconds;
    }
    std::sort(std::begin(seconds), std::end(seconds));
    const double median = seconds[kRounds / 2];
    OpCost sum;
    for (const Op& op : built.program.ops) {
      const OpCost cost =
          kl::cost(built.program, op, built.rows, built.output_rows.size(), uint64_t{built.rows} * (built.history + built.rows));
      sum.weight_bytes += cost.weight_bytes;
      sum.macs += cost.macs;
    }
    std::printf("%9.1f us  %7.2f GB/s  %8.2f GMAC/s  %s\n", median * 1e6, static_cast<double>(sum.weight_bytes) / median * 1e-9,
                static_cast<double>(sum.macs) / median * 1e-9, c.text().c_str());
    ++timed;
  }
  std::printf("%d cases\n", timed);
  return timed > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const auto cases = ops::read_cases(std::string(KL_TEST_DATA) + "/ops/cases.txt");
  const auto device = cpu::open_cpu({.threads = 1, .isa = {}, .reference = false});
  if (!cases.ok() || !device.ok()) {
    std::fprintf(stderr, "%s\n", (cases.ok() ? device.status() : cases.status()).message().c_str());
    return 1;
  }
  if (argc > 1 && std::strcmp(argv[1], "support") == 0) return support(**device, *cases);
  if (argc > 1 && std::strcmp(argv[1], "bench") == 0) return bench(**device, *cases, argc > 2 ? argv[2] : "bench=yes");
  std::fprintf(stderr, "usage: op_report support | bench [WORD]\n");
  return 2;
}
