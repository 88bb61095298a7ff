// kinglet render: a chat template applied to a JSON object of variables.
#include "common.h"

namespace tool {
namespace {

struct Render {
  Common common;
  std::string context;
  std::string template_file;
  std::string now;
};

void run(const Render& options) {
  auto render = sized<kl_render_options>();
  const std::string context = read_file(options.context);
  const std::string own_template = options.template_file.empty() ? std::string() : read_file(options.template_file);
  render.context_json = context.c_str();
  render.template_text = options.template_file.empty() ? nullptr : own_template.c_str();
  render.now = options.now.empty() ? nullptr : options.now.c_str();
  if (options.template_file.empty()) options.common.need_model();

  Engine engine;
  Model model;
  if (!options.common.model.empty()) {
    engine = open_engine(options.common, 1);
    model = load_vocabulary(options.common, engine);
  }
  char* text = nullptr;
  size_t length = 0;
  check(kl_render(model, &render, &text, &length));
  const std::string result = taken(text, length);
  if (options.common.json) {
    print_json({{"text", result}});
  } else {
    print(result);
  }
}

}  // namespace

void add_render(CLI::App& app) {
  auto options = std::make_shared<Render>();
  CLI::App* command = app.add_subcommand("render", "the chat template applied to a JSON object of variables");
  options->common.add_to(*command);
  command->add_option("--context", options->context, "JSON file: messages, add_generation_prompt, tools, ...")->required();
  command->add_option("--template", options->template_file, "Jinja file (default: the model's own)");
  command->add_option("--now", options->now, "what strftime_now shows, as 2026-01-31T12:00:00");
  command->callback([options] { run(*options); });
}

}  // namespace tool
