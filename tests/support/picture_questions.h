// Asks a vision-language model questions about pictures through the public interface, many at once, and compares with what a reference answered.
#pragma once
#include <kinglet/kinglet.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace kl {

struct PictureQuestion {
  std::string picture;  // path
  std::string question;
  std::string truth;  // empty: not known
  std::string reference;
};

struct Score {
  size_t asked = 0;
  size_t right = 0;
  size_t reference_right = 0;
  size_t same = 0;

  double share(size_t of) const { return asked == 0 ? 0.0 : static_cast<double>(of) / static_cast<double>(asked); }
};

// One model with its eyes open. What goes wrong is an answer beginning with "error: ", which is equal to no reference.
class PictureModel {
 public:
  static constexpr size_t kAtOnce = 16;

  PictureModel(const std::string& model, const std::string& projector, int32_t backend = KL_BACKEND_AUTO) {
    kl_engine_options engine_options = {};
    engine_options.size = sizeof engine_options;
    engine_options.backend = backend;
    kl_model_options options = {};
    options.size = sizeof options;
    options.context = 256;
    options.kv_tokens = 256 * 2 * kAtOnce;
    options.projector = projector.c_str();
    if (kl_engine_open(&engine_options, &engine_) != KL_OK || kl_model_load(engine_, model.c_str(), &options, &model_) != KL_OK)
      problem_ = kl_last_error();
  }
  ~PictureModel() {
    (void)kl_model_destroy(model_);
    (void)kl_engine_destroy(engine_);
  }
  PictureModel(const PictureModel&) = delete;
  PictureModel& operator=(const PictureModel&) = delete;

  const std::string& problem() const { return problem_; }  // empty: loaded

  // Answers in order. Each question is a conversation of its own, as the reference had it; kAtOnce of them share the engine's steps.
  std::vector<std::string> ask(const std::vector<PictureQuestion>& questions) {
    std::vector<std::string> answers(questions.size());
    for (size_t begin = 0; begin < questions.size(); begin += kAtOnce) {
      std::vector<std::unique_ptr<Conversation>> running;
      for (size_t i = begin; i < std::min(begin + kAtOnce, questions.size()); ++i)
        running.push_back(std::make_unique<Conversation>(model_, picture(questions[i].picture), questions[i].question));
      for (size_t i = 0; i < running.size(); ++i) answers[begin + i] = running[i]->answer();
    }
    return answers;
  }

 private:
  // A conversation of one question.
  class Conversation {
   public:
    Conversation(kl_model* model, kl_image* image, const std::string& question) {
      kl_send_options options = {};
      options.size = sizeof options;
      options.max_tokens = 24;  // as the reference's answers; a longer one is cut
      options.images = &image;
      options.image_count = 1;
      if (kl_session_new(model, nullptr, &session_) != KL_OK ||
          kl_session_send(session_, question.c_str(), &options, &generation_) != KL_OK)
        error_ = kl_last_error();
    }
    ~Conversation() {
      (void)kl_generation_destroy(generation_);
      (void)kl_session_destroy(session_);
    }
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    std::string answer() {
      if (!error_.empty()) return "error: " + error_;
      std::string text;
      for (kl_event event = {};;) {
        event.size = sizeof event;
        if (kl_generation_next(generation_, -1, &event) != KL_OK) return std::string("error: ") + kl_last_error();
        if (event.kind == KL_EVENT_TOKEN) text.append(event.text, event.text_length);
        if (event.kind == KL_EVENT_FAILED) return std::string("error: ") + event.text;
        if (event.kind == KL_EVENT_STOPPED) return "error: stopped";
        if (event.kind == KL_EVENT_FINISHED) break;
      }
      const size_t first = text.find_first_not_of(" \n");
      return first == std::string::npos ? std::string() : text.substr(first, text.find_last_not_of(" \n") - first + 1);
    }

   private:
    kl_session* session_ = nullptr;
    kl_generation* generation_ = nullptr;
    std::string error_;
  };

  // Consecutive questions about one picture share its handle.
  kl_image* picture(const std::string& path) {
    if (path != path_) {
      (void)kl_image_destroy(image_);
      image_ = nullptr;
      path_ = path;
      kl_image_source source = {};
      source.size = sizeof source;
      source.path = path.c_str();
      (void)kl_image_open(model_, &source, nullptr, &image_);  // a null image shows in the answer
    }
    return image_;
  }

  kl_engine* engine_ = nullptr;
  kl_model* model_ = nullptr;
  std::string problem_;
  std::string path_;
  kl_image* image_ = nullptr;
};

// "yes/no", "shape", "colour" or "other", by the answer.
inline const char* kind_of(const std::string& answer) {
  for (const char* word : {"yes", "no"})
    if (answer == word) return "yes/no";
  for (const char* word : {"circle", "rectangle", "triangle"})
    if (answer == word) return "shape";
  for (const char* word : {"black", "gray", "red", "blue", "green", "yellow", "brown", "teal"})
    if (answer == word) return "colour";
  return "other";
}

// Scores by kind, and of all under "all".
inline std::map<std::string, Score> score(const std::vector<PictureQuestion>& questions, const std::vector<std::string>& answers) {
  std::map<std::string, Score> scores;
  for (size_t i = 0; i < questions.size(); ++i) {
    for (Score* into : {&scores["all"], &scores[kind_of(questions[i].truth)]}) {
      ++into->asked;
      into->right += answers[i] == questions[i].truth ? 1 : 0;
      into->reference_right += questions[i].reference == questions[i].truth ? 1 : 0;
      into->same += answers[i] == questions[i].reference ? 1 : 0;
    }
  }
  return scores;
}

inline void print_scores(const char* what, const std::map<std::string, Score>& scores) {
  for (const auto& [kind, score] : scores) {
    std::printf("%s %-7s %5zu questions: right %6.2f %%, reference %6.2f %%, same answer %6.2f %%\n", what, kind.c_str(), score.asked,
                100 * score.share(score.right), 100 * score.share(score.reference_right), 100 * score.share(score.same));
  }
}

inline nlohmann::json json_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return nlohmann::json::parse(file, nullptr, false);
}

inline std::string shapes_model(const std::string& format) {
  return std::string(KL_TEST_DATA) + "/../samples/image_question/model/shapes-vlm-" + format + ".gguf";
}
inline std::string shapes_projector() { return std::string(KL_TEST_DATA) + "/../samples/image_question/model/mmproj-shapes-vlm-f16.gguf"; }
inline std::string shapes_pictures() { return std::string(KL_TEST_DATA) + "/../samples/image_question/model/pictures/"; }

}  // namespace kl
