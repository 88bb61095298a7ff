// Engines and devices: sdk/include/kinglet/engine.h.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

constexpr const char* kBackendNames[] = {"auto", "cpu", "reference", "vulkan", "cuda"};

kl_device_info to_c(const DeviceEntry& entry) {
  kl_device_info info{};
  info.backend = static_cast<int32_t>(entry.backend);
  info.device = static_cast<int32_t>(entry.index);
  info.available = entry.available ? 1 : 0;
  info.chosen = entry.chosen ? 1 : 0;
  info.self_test = entry.self_test_passed ? KL_SELF_TEST_PASSED : KL_SELF_TEST_NOT_RUN;
  info.threads = static_cast<int32_t>(entry.info.threads);
  info.memory_bytes = entry.info.memory_bytes;
  copy_cut(kBackendNames[static_cast<size_t>(entry.backend)], info.backend_name, sizeof info.backend_name);
  copy_cut(entry.info.name, info.name, sizeof info.name);
  copy_cut(entry.info.driver, info.driver, sizeof info.driver);
  copy_cut(entry.info.tier, info.tier, sizeof info.tier);
  copy_cut(entry.why, info.why, sizeof info.why);
  copy_cut(entry.info.capabilities, info.capabilities, sizeof info.capabilities);
  return info;
}

}  // namespace

extern "C" {

kl_status kl_engine_open(const kl_engine_options* options, kl_engine** engine) {
  return guard([&]() -> Status {
    KL_TRY(clear(engine, "engine"));
    kl_engine_options given;
    KL_TRY(read_struct(options, "kl_engine_options", true, given));
    EngineOptions o;
    KL_ASSIGN(const uint32_t backend, ranged("backend", given.backend, KL_BACKEND_AUTO, KL_BACKEND_CUDA));
    o.backend = static_cast<Backend>(backend);
    KL_ASSIGN(o.device, ranged("device", given.device, 0, 1023));
    KL_ASSIGN(o.threads, ranged("threads", given.threads, 0, 256));
    KL_ASSIGN(const uint32_t level, ranged("min_log_level", given.min_log_level, KL_LOG_DEBUG, KL_LOG_ERROR));
    if (given.log) {
      o.log = [fn = given.log, user = given.log_user, level](LogLevel at, std::string_view text) {
        if (static_cast<uint32_t>(at) >= level) fn(user, static_cast<kl_log_level>(at), std::string(text).c_str());
      };
    }
    if (given.cache_dir) o.cache_dir = given.cache_dir;
    o.memory_budget = given.memory_budget;
    const auto set = [](uint64_t wanted, uint64_t& bytes) { bytes = wanted == 0 ? bytes : wanted; };
    set(given.feature_device_bytes, o.features.device_bytes);
    set(given.feature_host_bytes, o.features.host_bytes);
    set(given.feature_disk_bytes, o.features.disk_bytes);
    if (given.no_feature_cache != 0) o.features.device_bytes = o.features.host_bytes = o.features.disk_bytes = 0;
    if (given.no_feature_disk_cache != 0) o.features.disk_bytes = 0;
    if (o.features.disk_bytes != 0) o.features.folder = o.cache_dir;
    o.go_on_elsewhere = given.no_fallback == 0;
    KL_TRY(ranged("reserved", given.reserved, 0, 0).status());
    KL_ASSIGN(auto opened, Engine::open(o, parts_for(o)));
    Status status = give(opened, engine);
    if (!status.ok()) opened->shutdown();
    return status;
  });
}

kl_status kl_engine_destroy(kl_engine* engine) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, take<Engine>(engine));
    if (object) object->shutdown();
    return {};
  });
}

kl_status kl_engine_suspend(kl_engine* engine) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    return object->scheduler().suspend();
  });
}

kl_status kl_engine_resume(kl_engine* engine) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    return object->scheduler().resume();
  });
}

kl_status kl_device_count(size_t* count) {
  return guard([&]() -> Status {
    if (!count) return error(Code::invalid_argument, "count is null");
    *count = list_devices().size();
    return {};
  });
}

kl_status kl_device_get(size_t index, kl_device_info* info) {
  return guard([&]() -> Status {
    KL_TRY(check_out_struct(info, "kl_device_info"));
    const auto devices = list_devices();
    if (index >= devices.size())
      return error(Code::not_found, "there are %zu devices, number %zu is not among them", devices.size(), index);
    write_struct(to_c(devices[index]), info);
    return {};
  });
}

kl_status kl_engine_device(kl_engine* engine, kl_device_info* info) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    KL_TRY(check_out_struct(info, "kl_device_info"));
    const Scheduler::DeviceInUse used = object->scheduler().device_in_use();
    DeviceEntry entry{.backend = object->options().backend, .available = true, .info = used.info, .why = used.why};
    for (size_t i = 1; i < std::size(kBackendNames); ++i) {
      if (entry.info.backend == kBackendNames[i]) entry.backend = static_cast<Backend>(i);
    }
    if (entry.backend == object->options().backend) entry.index = object->options().device;
    entry.chosen = object->options().backend == Backend::automatic;
    write_struct(to_c(entry), info);
    return {};
  });
}

kl_status kl_engine_measure(kl_engine* engine, int32_t threads, kl_roofline* roofline) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    KL_TRY(check_out_struct(roofline, "kl_roofline"));
    KL_ASSIGN(const uint32_t team, ranged("threads", threads, 0, 256));
    KL_ASSIGN(const Roofline measured, object->measure(team));
    write_struct(kl_roofline{0, measured.read_gb_per_s, measured.int8_gmac_per_s, measured.fp32_gflop_per_s}, roofline);
    return {};
  });
}

kl_status kl_engine_get_stats(kl_engine* engine, kl_engine_stats* stats) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Engine>(engine));
    KL_TRY(check_out_struct(stats, "kl_engine_stats"));
    const SchedulerStats s = object->scheduler().stats();
    kl_engine_stats out{};
    out.steps = s.steps;
    out.prompt_rows = s.prompt_rows;
    out.decode_rows = s.decode_rows;
    out.cached_tokens = s.cached_tokens;
    out.bytes_read = s.bytes_read;
    out.macs = s.macs;
    out.device_s = s.device_s;
    out.models = s.models;
    out.sessions = object->sessions.load();
    out.sequences = object->sequences.load();
    out.generations_running = s.generations_running;
    out.generations_waiting = s.generations_waiting;
    out.generations_ended = s.generations_ended;
    out.kv_tokens_used = s.kv_tokens_used;
    out.kv_tokens_total = s.kv_tokens_total;
    out.images_waiting = s.images_waiting;
    out.images_encoded = s.images_encoded;
    out.encode_s = s.encode_s;
    out.devices_lost = s.devices_lost;
    out.steps_ahead = s.steps_ahead;
    out.memory_bytes = s.memory_bytes;
    out.memory_budget = object->options().memory_budget;
    write_struct(out, stats);
    return {};
  });
}

kl_status kl_engine_trace(kl_engine* engine, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    KL_ASSIGN(const auto object, find<Engine>(engine));
    return give_text(object->scheduler().trace().json(), text, text_length);
  });
}

}  // extern "C"
