// kinglet tokenize, kinglet detokenize: text to ids and back, with the model's own vocabulary.
#include <cstdio>

#include "common.h"

namespace tool {
namespace {

struct Tokenize {
  Common common;
  std::string text;
  std::string file;
  bool special = false;
  bool no_bos = false;
};

void run_tokenize(const Tokenize& options, bool text_given) {
  options.common.need_model();
  if (text_given == !options.file.empty())
    fail_usage("expected one of --text S and --file F, %s given", text_given ? "both were" : "neither was");
  const std::string content = text_given ? options.text : read_file(options.file);
  const Engine engine = open_engine(options.common, 1);
  const Model model = load_vocabulary(options.common, engine);
  const std::vector<int32_t> ids = tokenize(model, content, options.special, options.no_bos);
  if (options.common.json) {
    print_json({{"ids", ids}});
    return;
  }
  std::string line;
  for (const int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  print(line + "\n");
}

struct Detokenize {
  Common common;
  std::string ids;
};

void run_detokenize(const Detokenize& options) {
  options.common.need_model();
  const std::vector<int32_t> ids = parse_ids(options.ids, "--ids");
  const Engine engine = open_engine(options.common, 1);
  const Model model = load_vocabulary(options.common, engine);
  char* text = nullptr;
  size_t length = 0;
  check(kl_detokenize(model, ids.data(), ids.size(), &text, &length));
  const std::string result = taken(text, length);
  if (options.common.json) {
    print_json({{"text", result}});
  } else {
    print(result);
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<Tokenize>();
  CLI::App* command = app.add_subcommand("tokenize", "ids of a text, on one line");
  options->common.add_to(*command);
  const CLI::Option* text = command->add_option("--text", options->text, "the text");
  command->add_option("--file", options->file, "a file that holds the text");
  command->add_flag("--special", options->special, "text of control tokens becomes control tokens");
  command->add_flag("--no-bos", options->no_bos, "no beginning-of-sequence token, whatever the metadata says");
  command->callback([options, text] { run_tokenize(*options, text->count() > 0); });
}

void add_detokenize(CLI::App& app) {
  auto options = std::make_shared<Detokenize>();
  CLI::App* command = app.add_subcommand("detokenize", "the text of ids, exactly");
  options->common.add_to(*command);
  command->add_option("--ids", options->ids, "\"1 2 3\"")->required();
  command->callback([options] { run_detokenize(*options); });
}

}  // namespace tool
