// kinglet devices: what could compute here, which one `auto` picks, and why not the others.
#include "common.h"

namespace tool {
namespace {

const char* verdict(int32_t self_test) {
  return self_test == KL_SELF_TEST_PASSED ? "passed" : self_test == KL_SELF_TEST_FAILED ? "failed" : "not run";
}

Json as_json(const kl_device_info& info) {
  return {{"backend", info.backend_name},         {"device", info.device},   {"available", info.available != 0},
          {"chosen", info.chosen != 0},           {"name", info.name},       {"driver", info.driver},
          {"memory_bytes", info.memory_bytes},    {"threads", info.threads}, {"tier", info.tier},
          {"self_test", verdict(info.self_test)}, {"why", info.why},         {"capabilities", info.capabilities}};
}

std::string as_text(const kl_device_info& info) {
  std::string line = text("%s %-9s %d  %s", info.chosen != 0 ? "*" : " ", info.backend_name, info.device,
                          info.available != 0 ? info.name : "not available");
  if (info.tier[0] != '\0') line += text(", %s", info.tier);
  if (info.threads > 0) line += text(", %d threads", info.threads);
  if (info.memory_bytes > 0) line += text(", %.1f GiB", static_cast<double>(info.memory_bytes) / (1ULL << 30U));
  if (info.driver[0] != '\0') line += text(", driver %s", info.driver);
  if (info.available != 0) line += text(", self-test %s", verdict(info.self_test));
  line += '\n';
  if (info.why[0] != '\0') line += text("                %s\n", info.why);
  if (info.capabilities[0] != '\0') line += text("                %s\n", info.capabilities);
  return line;
}

void run(const Common& common) {
  size_t count = 0;
  check(kl_device_count(&count));
  Json devices = Json::array();
  std::string lines;
  for (size_t index = 0; index < count; ++index) {
    auto info = sized<kl_device_info>();
    check(kl_device_get(index, &info));
    devices.push_back(as_json(info));
    lines += as_text(info);
  }
  if (common.json) {
    print_json({{"version", kl_version()}, {"devices", devices}});
  } else {
    print(lines + "(* is what --backend auto takes)\n");
  }
}

}  // namespace

void add_devices(CLI::App& app) {
  auto common = std::make_shared<Common>();
  CLI::App* command = app.add_subcommand("devices", "backends, devices, and the one that auto picks");
  common->add_to(*command);
  command->callback([common] { run(*common); });
}

}  // namespace tool
