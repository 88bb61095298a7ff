// Generations: the second part of sdk/include/kinglet/session.h.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

// The event as the boundary has it; pointers into `event` and `top`.
kl_event to_c(const Event& event, TopList& top) {
  kl_event out{};
  out.kind = static_cast<int32_t>(event.kind);
  out.reason = static_cast<int32_t>(event.reason);
  out.status = static_cast<kl_status>(event.status.code());
  out.token = event.token;
  out.text = event.text.c_str();
  out.text_length = event.text.size();
  if (event.kind == EventKind::failed) {
    const std::string& message = event.status.message();
    out.text = message.empty() ? code_name(event.status.code()) : message.c_str();
    out.text_length = std::strlen(out.text);
  }
  out.logprob = event.logprob;
  out.top_count = static_cast<uint32_t>(std::min<size_t>(event.top.size(), top.size()));
  for (uint32_t i = 0; i < out.top_count; ++i) top[i] = {event.top[i].token, event.top[i].logprob};
  out.top = out.top_count == 0 ? nullptr : top.data();
  out.prompt_done = event.prompt_done;
  out.prompt_total = event.prompt_total;
  return out;
}

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

}  // namespace

extern "C" {

kl_status kl_generation_next(kl_generation* generation, int32_t timeout_ms, kl_event* event) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<GenerationHandle>(generation));
    KL_TRY(check_out_struct(event, "kl_event"));
    const std::unique_lock reading(handle->reading, std::try_to_lock);
    if (!reading.owns_lock()) return error(Code::busy, "another thread is waiting for this generation's events");
    KL_ASSIGN(handle->current, handle->generation->next(timeout_ms));
    write_struct(to_c(handle->current, handle->top), event);
    return {};
  });
}

kl_status kl_generation_listen(kl_generation* generation, const kl_listener* listener) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<GenerationHandle>(generation));
    kl_listener l;
    KL_TRY(read_struct(listener, "kl_listener", false, l));
    if (!l.on_event) return error(Code::invalid_argument, "kl_listener: on_event is null");
    Listener out;
    out.on_event = [l, generation](const Event& event) {
      TopList top;
      kl_event e = to_c(event, top);
      e.size = sizeof e;
      l.on_event(l.user, generation, &e);
    };
    if (l.release) out.release = [l] { l.release(l.user); };
    if (l.post) out.post = [l](void (*run)(void*), void* task) { l.post(l.post_user, run, task); };
    return handle->generation->listen(std::move(out));
  });
}

kl_status kl_generation_cancel(kl_generation* generation) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<GenerationHandle>(generation));
    handle->generation->cancel();
    return {};
  });
}

kl_status kl_generation_destroy(kl_generation* generation) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, take<GenerationHandle>(generation));
    if (!handle) return {};
    handle->generation->cancel();
    handle->generation->detach();
    return {};
  });
}

kl_status kl_generation_get_stats(kl_generation* generation, kl_generation_stats* stats) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<GenerationHandle>(generation));
    KL_TRY(check_out_struct(stats, "kl_generation_stats"));
    const GenerationStats s = handle->generation->stats();
    kl_generation_stats out{};
    const uint32_t later = s.generated_tokens > 1 ? s.generated_tokens - 1 : 0;
    out.prompt_tokens = s.prompt_tokens;
    out.cached_tokens = s.cached_tokens;
    out.generated_tokens = s.generated_tokens;
    out.ended = s.ended ? 1 : 0;
    out.queued_s = s.queued_s;
    out.ttft_s = s.ttft_s;
    out.prefill_s = s.prefill_s;
    out.decode_s = s.decode_s;
    out.stalled_s = s.stalled_s;
    out.prefill_tokens_per_s = rate(s.prompt_tokens - s.cached_tokens, s.prefill_s);
    out.decode_tokens_per_s = rate(later, s.decode_s);
    out.time_per_token_s = later > 0 ? s.decode_s / later : 0;
    out.step_s = s.step_s;
    out.decode_steps = s.decode_steps;
    out.decode_bytes = s.decode_bytes;
    out.decode_macs = s.decode_macs;
    out.prefill_bytes = s.prefill_bytes;
    out.prefill_macs = s.prefill_macs;
    out.device_changes = s.device_changes;
    write_struct(out, stats);
    return {};
  });
}

}  // extern "C"
