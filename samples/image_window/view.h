// What the window shows: the picture on the left; question, answers, progress and timings on the right.
#pragma once
#include <SDL.h>

#include <array>
#include <string>

#include "conversation.h"

// The picture as a texture, owned.
class Shown {
 public:
  Shown() = default;
  ~Shown() { clear(); }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;
  // What SDL cannot read is shown as its name only: Kinglet has the last word about what is a picture.
  void load(SDL_Renderer* renderer, const std::string& file);
  void clear();
  SDL_Texture* texture() const { return texture_; }
  int width() const { return width_; }
  int height() const { return height_; }
  const std::string& file() const { return file_; }

 private:
  SDL_Texture* texture_ = nullptr;
  int width_ = 0;
  int height_ = 0;
  std::string file_;
};

class View {
 public:
  // Builds one frame between ImGui::NewFrame and ImGui::Render.
  void frame(Conversation& conversation, const Shown& picture);

 private:
  void question_line(Conversation& conversation);

  std::array<char, 1024> typed_ = {};
  size_t lines_ = 0;  // of text, when the answers were last scrolled to their end
  bool focus_ = true;
};
