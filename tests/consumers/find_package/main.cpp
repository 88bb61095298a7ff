// An app over the C++ layer: continues a story with the model it is given.
#include <iostream>
#include <kinglet/kinglet.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto engine = kinglet::Engine::open();
  if (!engine) return std::cerr << engine.error().message << "\n", 1;
  auto model = engine->load(argv[1], {.context = 256});
  if (!model) return std::cerr << model.error().message << "\n", 1;
  auto session = model->session();
  if (!session) return std::cerr << session.error().message << "\n", 1;

  auto story = session->raw("Once upon a time", {.max_tokens = 48});
  for (auto& piece : story) std::cout << piece.text << std::flush;
  std::cout << "\n";
  if (story.ending().how != kinglet::End::finished) return std::cerr << story.ending().error.message << "\n", 1;

  const kinglet::Answer again = kinglet::Generation::future(session->raw("Once upon a time", {.max_tokens = 48})).get();
  return again.ending.reason == KL_FINISH_LENGTH && !again.text.empty() ? 0 : 1;
}
