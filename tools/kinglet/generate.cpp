// kinglet generate: continues a text, or answers one message, about pictures too.
#include <unistd.h>

#include <cstdio>

#include "common.h"
#include "pictures.h"

namespace tool {
namespace {

struct Generate {
  Common common;
  Pictures pictures;
  std::string prompt;
  std::string system;
  std::vector<std::string> stop;
  kl_sampling sampling = sized<kl_sampling>();
  uint32_t max_tokens = 256;
  bool raw = false;
  bool special = false;
};

const char* reason_name(int32_t reason) {
  switch (reason) {
    case KL_FINISH_STOP:
      return "stop";
    case KL_FINISH_LENGTH:
      return "length";
    case KL_FINISH_STOP_STRING:
      return "stop_string";
    case KL_FINISH_CONTEXT_FULL:
      return "context_full";
    default:
      return "none";
  }
}

Generation start(const Generate& options, kl_session* session, const std::vector<kl_image*>& images) {
  std::vector<const char*> stop;
  for (const std::string& text : options.stop) stop.push_back(text.c_str());
  auto send = sized<kl_send_options>();
  send.max_tokens = options.max_tokens;
  send.stop = stop.data();
  send.stop_count = stop.size();
  send.images = images.data();
  send.image_count = images.size();
  Generation generation;
  if (options.raw) {
    auto prompt = sized<kl_prompt>();
    prompt.text = options.prompt.data();
    prompt.text_length = options.prompt.size();
    prompt.special = options.special ? 1 : 0;
    check(kl_session_generate_raw(session, &prompt, &send, generation.out()));
  } else {
    check(kl_session_send(session, options.prompt.c_str(), &send, generation.out()));
  }
  return generation;
}

void report(const Generate& options, kl_generation* generation, const std::vector<Image>& images, const std::string& text,
            const std::vector<int32_t>& ids, int32_t reason) {
  auto stats = sized<kl_generation_stats>();
  check(kl_generation_get_stats(generation, &stats));
  if (options.common.json) {
    Json result = {{"text", text},
                   {"ids", ids},
                   {"finish_reason", reason_name(reason)},
                   {"prompt_tokens", stats.prompt_tokens},
                   {"generated_tokens", stats.generated_tokens},
                   {"ttft_s", stats.ttft_s},
                   {"prefill_tokens_per_s", stats.prefill_tokens_per_s},
                   {"decode_tokens_per_s", stats.decode_tokens_per_s}};
    for (size_t i = 0; i < images.size(); ++i) result["images"].push_back(as_json(options.pictures.files[i], info_of(images[i])));
    print_json(result);
    return;
  }
  finish_output();
  if (isatty(STDOUT_FILENO) == 1) print("\n");
  for (size_t i = 0; i < images.size(); ++i) note(options.common, "%s", as_text(options.pictures.files[i], info_of(images[i])).c_str());
  note(options.common, "%u prompt tokens at %.0f/s, %u generated at %.1f/s, ended by %s", stats.prompt_tokens, stats.prefill_tokens_per_s,
       stats.generated_tokens, stats.decode_tokens_per_s, reason_name(reason));
}

void run(const Generate& options) {
  options.common.need_model();
  options.pictures.need_projector(options.common);
  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  const Model model = load_model(options.common, engine, model_options(options.common, options.common.kv_or_default()));

  kl_sampling sampling = options.sampling;
  sampling.seed = options.common.seed;
  auto session_options = sized<kl_session_options>();
  session_options.system = options.system.empty() ? nullptr : options.system.c_str();
  session_options.sampling = &sampling;
  Session session;
  check(kl_session_new(model, &session_options, session.out()));
  const std::vector<Image> images = open_pictures(options.pictures, model);
  for (const Image& image : images) wait_for(options.common, image);
  const Generation generation = start(options, session, handles_of(images));

  std::string text;
  std::vector<int32_t> ids;
  Progress progress(options.common, "reading the prompt");
  for (auto event = sized<kl_event>();;) {
    check(kl_generation_next(generation, -1, &event));
    switch (event.kind) {
      case KL_EVENT_PROGRESS:
        progress.show(event.prompt_total == 0 ? 1.0 : static_cast<double>(event.prompt_done) / event.prompt_total);
        break;
      case KL_EVENT_TOKEN:
        if (event.token >= 0) ids.push_back(event.token);
        text.append(event.text, event.text_length);
        if (!options.common.json && event.text_length > 0) {
          progress.hide();
          print({event.text, event.text_length});
          finish_output();
        }
        break;
      case KL_EVENT_FINISHED:
        progress.hide();
        return report(options, generation, images, text, ids, event.reason);
      case KL_EVENT_FAILED:
        fail("%s", event.text);
      case KL_EVENT_STOPPED:
        fail("expected an answer, the engine stopped it");
      default:
        break;
    }
  }
}

}  // namespace

void add_generate(CLI::App& app) {
  auto options = std::make_shared<Generate>();
  CLI::App* command = app.add_subcommand("generate", "continues a text, or answers one message");
  options->common.add_to(*command);
  options->pictures.add_to(*command, options->common);
  command->add_option("--prompt", options->prompt, "the text")->required();
  command->add_option("--system", options->system, "system prompt");
  command->add_flag("--raw", options->raw, "without the chat template");
  command->add_flag("--special", options->special, "with --raw: text of control tokens becomes control tokens");
  command->add_option("--max-tokens", options->max_tokens, "default 256; 0: until it ends or the context is full");
  command->add_option("--temperature", options->sampling.temperature, "0 (default): always the likeliest token");
  command->add_option("--top-k", options->sampling.top_k, "0: off");
  command->add_option("--top-p", options->sampling.top_p, "0 or 1: off");
  command->add_option("--min-p", options->sampling.min_p, "0: off");
  command->add_option("--repeat-penalty", options->sampling.repeat_penalty, "0 or 1: off");
  command->add_option("--presence-penalty", options->sampling.presence_penalty, "0: off");
  command->add_option("--frequency-penalty", options->sampling.frequency_penalty, "0: off");
  command->add_option("--stop", options->stop, "a text that ends the answer; may be given several times")->expected(1)->take_all();
  command->callback([options] { run(*options); });
}

}  // namespace tool
