#include "view.h"

#include <SDL_image.h>
#include <imgui.h>

#include <algorithm>
#include <cstdio>

#include "../common/app.h"

void Shown::load(SDL_Renderer* renderer, const std::string& file) {
  clear();
  file_ = file;
  texture_ = IMG_LoadTexture(renderer, file.c_str());
  if (texture_ != nullptr) SDL_QueryTexture(texture_, nullptr, nullptr, &width_, &height_);
}

void Shown::clear() {
  if (texture_ != nullptr) SDL_DestroyTexture(texture_);
  texture_ = nullptr;
  width_ = height_ = 0;
  file_.clear();
}

namespace {

constexpr float kPictureShare = 0.5F;  // of the window's width

void begin_panel(const char* name, ImVec2 position, ImVec2 size) {
  ImGui::SetNextWindowPos(position);
  ImGui::SetNextWindowSize(size);
  ImGui::Begin(name, nullptr, ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings);
}

void picture_panel(const Shown& picture) {
  if (picture.texture() == nullptr) {
    ImGui::TextWrapped("%s", picture.file().empty() ? "Drop a picture here" : picture.file().c_str());
    return;
  }
  const ImVec2 room = ImGui::GetContentRegionAvail();
  const float scale = std::min(room.x / static_cast<float>(picture.width()), room.y / static_cast<float>(picture.height()));
  const ImVec2 size(static_cast<float>(picture.width()) * scale, static_cast<float>(picture.height()) * scale);
  ImGui::SetCursorPos(ImVec2(ImGui::GetCursorPosX() + (room.x - size.x) / 2, ImGui::GetCursorPosY() + (room.y - size.y) / 2));
  ImGui::Image(picture.texture(), size);
}

void progress_line(const Conversation& conversation) {
  if (conversation.loading()) {
    ImGui::ProgressBar(conversation.load_progress(), ImVec2(-1, 0), "loading the model");
    return;
  }
  const auto picture = conversation.picture();
  if (!picture) return;
  switch (picture->state) {
    case KL_IMAGE_DECODING:
      return ImGui::ProgressBar(0, ImVec2(-1, 0), "reading the picture");
    case KL_IMAGE_WAITING:
    case KL_IMAGE_ENCODING:
      return ImGui::ProgressBar(picture->progress, ImVec2(-1, 0), "looking at the picture");
    case KL_IMAGE_READY:
      return ImGui::TextWrapped("%s", app::timings(*picture).c_str());
    default:
      return ImGui::TextWrapped("this picture cannot be looked at");
  }
}

void timing_line(const Conversation& conversation) {
  const kl_generation_stats& stats = conversation.stats();
  if (stats.generated_tokens == 0) return;
  ImGui::TextWrapped("first token after %.0f ms, %u tokens at %.0f/s", 1e3 * stats.ttft_s, stats.generated_tokens,
                     stats.decode_tokens_per_s);
}

}  // namespace

void View::question_line(Conversation& conversation) {
  const float button = ImGui::CalcTextSize("Stop").x + 4 * ImGui::GetStyle().FramePadding.x;
  ImGui::SetNextItemWidth(ImGui::GetContentRegionAvail().x - button - ImGui::GetStyle().ItemSpacing.x);
  if (std::exchange(focus_, false)) ImGui::SetKeyboardFocusHere();
  const bool entered =
      ImGui::InputTextWithHint("##question", "Ask about the picture", typed_.data(), typed_.size(), ImGuiInputTextFlags_EnterReturnsTrue);
  ImGui::SameLine();
  if (conversation.answering()) {
    if (ImGui::Button("Stop", ImVec2(button, 0))) conversation.stop();
  } else if ((ImGui::Button("Ask", ImVec2(button, 0)) || entered) && conversation.ask(typed_.data())) {
    typed_[0] = '\0';
    focus_ = true;
  }
}

void View::frame(Conversation& conversation, const Shown& picture) {
  const ImVec2 window = ImGui::GetIO().DisplaySize;
  const float left = std::floor(window.x * kPictureShare);
  begin_panel("picture", ImVec2(0, 0), ImVec2(left, window.y));
  picture_panel(picture);
  ImGui::End();

  begin_panel("conversation", ImVec2(left, 0), ImVec2(window.x - left, window.y));
  question_line(conversation);
  progress_line(conversation);
  timing_line(conversation);
  ImGui::Separator();
  ImGui::BeginChild("answers", ImVec2(0, ImGui::GetContentRegionAvail().y - 4 * ImGui::GetTextLineHeightWithSpacing()));
  size_t length = 0;
  for (const Turn& turn : conversation.turns()) {
    ImGui::PushStyleColor(ImGuiCol_Text, ImGui::GetStyleColorVec4(ImGuiCol_TextDisabled));
    ImGui::TextWrapped("%s", turn.question.c_str());
    ImGui::PopStyleColor();
    const size_t first = std::min(turn.answer.find_first_not_of(' '), turn.answer.size());
    ImGui::TextWrapped("%s", turn.answer.c_str() + first);
    ImGui::Spacing();
    length += turn.question.size() + turn.answer.size();
  }
  if (std::exchange(lines_, length) != length) ImGui::SetScrollHereY(1);
  ImGui::EndChild();
  ImGui::Separator();
  if (!conversation.error().empty()) {
    ImGui::TextWrapped("%s", conversation.error().c_str());
  } else {
    ImGui::TextWrapped("%s", conversation.knows().c_str());
  }
  ImGui::End();
}
