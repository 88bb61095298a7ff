// Draws what Dear ImGui asks for, triangles with a texture, through SDL's renderer: any of its drivers will do, software included.
#pragma once
#include <SDL.h>
#include <imgui.h>

class Triangles {
 public:
  explicit Triangles(SDL_Renderer* renderer);  // uploads the font; after fonts were added, within an ImGui context
  ~Triangles();
  Triangles(const Triangles&) = delete;
  Triangles& operator=(const Triangles&) = delete;

  bool ready() const { return font_ != nullptr; }
  void draw(const ImDrawData& data) const;

 private:
  SDL_Renderer* renderer_;
  SDL_Texture* font_ = nullptr;
};
