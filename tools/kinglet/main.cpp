// kinglet: looks at a model, measures a machine, compares engines. Exit status: 0 done, 1 the work failed, 2 wrong usage.
#include <csignal>
#include <cstdio>
#include <exception>

#include "common.h"

namespace {

// Messages are one line whatever they quote.
int report(int exit_status, std::string message) {
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  while (!message.empty() && message.back() == ' ') message.pop_back();
  std::fprintf(stderr, "kinglet: error: %s\n", message.c_str());
  return exit_status;
}

int run(int argc, char** argv) {
  CLI::App app("Looks at a model, measures a machine, compares engines.", "kinglet");
  app.set_version_flag("--version", kl_version());
  app.require_subcommand(1);
  tool::add_devices(app);
  tool::add_inspect(app);
  tool::add_tokenize(app);
  tool::add_detokenize(app);
  tool::add_render(app);
  tool::add_generate(app);
  tool::add_features(app);
  tool::add_logits(app);
  tool::add_eval(app);
  tool::add_bench(app);
  try {
    app.parse(argc, argv);
    tool::finish_output();
    return 0;
  } catch (const CLI::Success& asked_for_help) {
    return app.exit(asked_for_help);
  } catch (const CLI::ParseError& error) {
    return report(2, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of a write, and ends quietly
  try {
    return run(argc, argv);
  } catch (const tool::Failure& failure) {
    return report(failure.exit_status, failure.message);
  } catch (const tool::ClosedPipe&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return report(1, "expected memory for the result, the system has none left");
  } catch (const std::exception& error) {
    return report(1, error.what());
  }
}
