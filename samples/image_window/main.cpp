// image_window: drop a picture on it, type a question, watch the answer come. The window's loop never waits for the engine: see conversation.h.
#include <SDL.h>
#include <SDL_image.h>
#include <backends/imgui_impl_sdl.h>
#include <imgui.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>

#include "../common/app.h"
#include "conversation.h"
#include "triangles.h"
#include "view.h"

namespace {

struct Options {
  Conversation::Options conversation;
  std::string picture;
  std::string question;
  std::string screenshot;
  bool forget = false;
  bool leave = false;         // when the work of the command line is done
  bool print_answer = false;  // on standard output, then
  int width = 1000;
  int height = 600;
};

int report(const char* what, const char* why) {
  std::fprintf(stderr, "image_window: error: %s: %s\n", what, why);
  return 1;
}

// A face with more than ASCII where the system has one; else ImGui's own.
void add_font() {
  constexpr const char* kFaces[] = {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/TTF/DejaVuSans.ttf",
                                    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"};
  constexpr float kPixels = 17;
  static constexpr ImWchar kRanges[] = {0x20, 0x24F, 0x370, 0x3FF, 0x400, 0x4FF, 0x2010, 0x2044, 0};  // Latin, Greek, Cyrillic, punctuation
  ImFontAtlas& fonts = *ImGui::GetIO().Fonts;
  for (const char* face : kFaces) {
    if (std::filesystem::exists(face) && fonts.AddFontFromFileTTF(face, kPixels, nullptr, kRanges) != nullptr) return;
  }
  fonts.AddFontDefault();
}

bool save_screenshot(SDL_Renderer* renderer, const std::string& file) {
  int width = 0;
  int height = 0;
  SDL_GetRendererOutputSize(renderer, &width, &height);
  SDL_Surface* surface = SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_RGBA32);
  if (surface == nullptr) return false;
  const bool saved = SDL_RenderReadPixels(renderer, nullptr, SDL_PIXELFORMAT_RGBA32, surface->pixels, surface->pitch) == 0 &&
                     IMG_SavePNG(surface, file.c_str()) == 0;
  SDL_FreeSurface(surface);
  return saved;
}

class Window {
 public:
  Window(const Options& options, SDL_Renderer* renderer, Triangles& triangles)
      : options_(options), renderer_(renderer), triangles_(triangles), conversation_(options.conversation) {
    if (!options.picture.empty()) show(options.picture);
    if (!options.question.empty()) conversation_.ask(options.question);
  }

  // Until the person closes the window, or the work of the command line is done.
  int run() {
    constexpr int kFrameMs = 16;
    constexpr int kIdleMs = 250;      // keeps the caret blinking
    constexpr int kSettleFrames = 3;  // ImGui lays text out in one frame and scrolls in the next
    int settled = 0;
    for (bool open = true; open;) {
      SDL_Event event;
      if (SDL_WaitEventTimeout(&event, conversation_.busy() ? kFrameMs : kIdleMs) != 0) {
        do open = take(event) && open;
        while (SDL_PollEvent(&event) != 0);
      }
      conversation_.poll();
      draw();
      settled = conversation_.busy() ? 0 : settled + 1;
      if (options_.leave && settled >= kSettleFrames) return finish();
      SDL_RenderPresent(renderer_);
    }
    return 0;
  }

 private:
  void show(const std::string& file) {
    shown_.load(renderer_, file);
    conversation_.show(file);
  }

  bool take(const SDL_Event& event) {
    ImGui_ImplSDL2_ProcessEvent(&event);
    if (event.type == SDL_DROPFILE) {
      show(event.drop.file);
      SDL_free(event.drop.file);
    }
    return event.type != SDL_QUIT;
  }

  void draw() {
    ImGui_ImplSDL2_NewFrame();
    ImGui::NewFrame();
    view_.frame(conversation_, shown_);
    ImGui::Render();
    SDL_RenderClear(renderer_);
    triangles_.draw(*ImGui::GetDrawData());
  }

  int finish() {
    if (!options_.screenshot.empty() && !save_screenshot(renderer_, options_.screenshot))
      return report("cannot save the screenshot", SDL_GetError());
    if (options_.print_answer && !conversation_.turns().empty()) std::printf("%s\n", conversation_.turns().back().answer.c_str());
    return conversation_.error().empty() ? 0 : report("the conversation failed", conversation_.error().c_str());
  }

  const Options& options_;
  SDL_Renderer* renderer_;
  Triangles& triangles_;
  Conversation conversation_;
  Shown shown_;
  View view_;
};

int run(const Options& options) {
  SDL_SetHint(SDL_HINT_VIDEO_HIGHDPI_DISABLED, "0");
  if (SDL_Init(SDL_INIT_VIDEO) != 0) return report("expected a display", SDL_GetError());
  SDL_Window* window = SDL_CreateWindow("Kinglet: ask about a picture", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, options.width,
                                        options.height, SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
  SDL_Renderer* renderer = window == nullptr ? nullptr : SDL_CreateRenderer(window, -1, 0);
  int status = 1;
  if (renderer == nullptr) {
    status = report("expected a window", SDL_GetError());
  } else {
    ImGui::CreateContext();
    ImGui::GetIO().IniFilename = nullptr;
    ImGui::StyleColorsLight();
    add_font();
    ImGui_ImplSDL2_InitForSDLRenderer(window);
    {
      Triangles triangles(renderer);
      status = triangles.ready() ? Window(options, renderer, triangles).run() : report("expected a texture for the font", SDL_GetError());
    }
    ImGui_ImplSDL2_Shutdown();
    ImGui::DestroyContext();
    SDL_DestroyRenderer(renderer);
  }
  if (window != nullptr) SDL_DestroyWindow(window);
  IMG_Quit();
  SDL_Quit();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.conversation.engine.cache_dir = app::cache_dir();
  options.conversation.engine.min_log_level = KL_LOG_WARNING;
  options.conversation.engine.log = [](void*, kl_log_level, const char* line) { std::fprintf(stderr, "image_window: %s\n", line); };

  CLI::App app("A window to drop a picture on and ask about it.", "image_window");
  app.add_option("--model", options.conversation.model, "GGUF file of the text model")->required();
  app.add_option("--projector", options.conversation.projector, "its companion file with the vision encoder (mmproj)")->required();
  app.add_option("--threads", options.conversation.engine.threads, "CPU threads (default: one per core)");
  app.add_option("--max-tokens", options.conversation.max_tokens, "of one answer (default: until it ends)");
  app.add_option("--picture", options.picture, "show this at the start");
  app.add_option("--ask", options.question, "and ask this about it");
  app.add_option("--width", options.width, "of the window")->check(CLI::Range(320, 8192));
  app.add_option("--height", options.height, "of the window")->check(CLI::Range(240, 8192));
  app.add_option("--screenshot", options.screenshot, "with --exit: save the window as PNG before leaving");
  app.add_flag("--forget", options.forget, "write nothing about pictures to disk");
  app.add_flag("--exit", options.leave, "leave when the picture was looked at and the question answered");
  app.add_flag("--print-answer", options.print_answer, "with --exit: the answer on standard output");
  CLI11_PARSE(app, argc, argv);
  options.conversation.engine.feature_disk_cache = !options.forget;
  return run(options);
}
