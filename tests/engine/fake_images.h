// Pictures for tests with the fake encoder, and what a prompt with them leaves in the fake runner's cache.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "fake_runner.h"

namespace kl::fake {

// Of noise, as large as the fake encoder's tile, so that preparing changes nothing.
inline Picture picture(uint32_t seed, uint32_t side = 8) {
  Picture p{side, side, {}};
  for (uint32_t i = 0; i < 3 * side * side; ++i) p.rgb.push_back(static_cast<uint8_t>(mix(seed, i)));
  return p;
}

inline kl_image_source source_of(const Picture& p) {
  kl_image_source s{};
  s.size = sizeof s;
  s.pixels = p.rgb.data();
  s.width = p.width;
  s.height = p.height;
  return s;
}

inline kl_image* open_image(kl_model* model, const Picture& p, kl_image_options options = {}) {
  options.size = sizeof options;
  const kl_image_source source = source_of(p);
  kl_image* image = nullptr;
  EXPECT_EQ(kl_image_open(model, &source, &options, &image), KL_OK) << kl_last_error();
  return image;
}

inline kl_image_info info_of(kl_image* image) {
  kl_image_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_image_get_info(image, &info), KL_OK) << kl_last_error();
  return info;
}
inline kl_image_info wait_for(kl_image* image) {
  kl_image_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_image_wait(image, 60000, &info), KL_OK) << kl_last_error();
  return info;
}
// Waits for a state that the image passes through while the tests hold it there.
inline bool reaches(kl_image* image, kl_image_state state) {
  for (int i = 0; i < 60000; ++i) {
    if (info_of(image).state == state) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

inline kl_generation* send(kl_session* session, const char* text, std::vector<kl_image*> images, uint32_t max_tokens = 8) {
  kl_send_options options{};
  options.size = sizeof options;
  options.max_tokens = max_tokens;
  options.images = images.data();
  options.image_count = images.size();
  kl_generation* generation = nullptr;
  (void)kl_session_send(session, text, &options, &generation);
  return generation;
}

// The slots of a prompt, put together by hand.
class Slots {
 public:
  explicit Slots(kl_model* model, bool bidirectional = false, bool grid = false)
      : model_(model), bidirectional_(bidirectional), grid_(grid) {}
  Slots& text(const std::string& text) {
    kl_tokenize_options options{sizeof(kl_tokenize_options), 0, slots_.empty() ? 0 : 1};
    int32_t* ids = nullptr;
    size_t count = 0;
    EXPECT_EQ(kl_tokenize(model_, text.data(), text.size(), &options, &ids, &count), KL_OK) << kl_last_error();
    for (size_t i = 0; i < count; ++i) token(ids[i]);
    kl_free(ids);
    return *this;
  }
  Slots& token(int32_t id) {
    const int32_t p = next_++;
    slots_.push_back(slot_value(id, nullptr, size(), {p, p, p}, {size(), size() + 1}));
    return *this;
  }
  // The value of the id does not matter.
  Slots& image(const Picture& p, uint32_t merge = 2) {
    const auto rows = fake_rows(p, merge);
    const uint32_t columns = p.width / merge, count = static_cast<uint32_t>(rows.size() / kWidth), first = size();
    for (uint32_t r = 0; r < count; ++r) {
      const uint32_t slot = size();
      const auto y = static_cast<int32_t>(r / columns), x = static_cast<int32_t>(r % columns);
      slots_.push_back(
          slot_value(0, &rows[size_t{r} * kWidth], slot,
                     grid_ ? std::array{next_, next_ + y, next_ + x}
                           : std::array{next_ + static_cast<int32_t>(r), next_ + static_cast<int32_t>(r), next_ + static_cast<int32_t>(r)},
                     bidirectional_ ? std::array{first, first + count} : std::array{slot, slot + 1}));
    }
    next_ += static_cast<int32_t>(grid_ ? std::max(columns, count / columns) : count);
    return *this;
  }
  Slots& tokens(const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) token(id);
    return *this;
  }
  uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }
  // What is generated behind them.
  std::vector<int32_t> then(size_t count) const {
    Slots more = *this;
    std::vector<int32_t> out;
    for (size_t i = 0; i < count; ++i) {
      out.push_back(best(content_of(more.slots_)));
      more.token(out.back());
    }
    return out;
  }

 private:
  kl_model* model_;
  bool bidirectional_, grid_;
  int32_t next_ = 0;
  std::vector<uint64_t> slots_;
};

// Holds encoding in front of its next segment until let go.
class EncodeGate : public Hold {
 public:
  explicit EncodeGate(Control& control) : control_(control) {
    control_.set_encode([state = state_]() -> Status { return wait_in(*state); });
  }
  ~EncodeGate() {
    open();
    control_.set_encode({});
  }
  void wait_for_segment() { wait_for_arrival(); }

 private:
  Control& control_;
};

inline const char* parts_template() {
  return "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}"
         "{% endfor %}{{ '\\n' }}{% endfor %}[assistant]";
}

// A model with eyes and everything to ask it.
struct Eyes {
  explicit Eyes(kl_model_options options = {}, void (*prepare)(Control&) = nullptr) {
    if (prepare) prepare(*engine.control);
    if (options.kv_tokens == 0) options.kv_tokens = 8192;
    model = engine.load_seeing(options);
    EXPECT_NE(model, nullptr) << kl_last_error();
  }
  ~Eyes() {
    for (kl_image* i : images) (void)kl_image_destroy(i);
    for (kl_session* s : sessions) (void)kl_session_destroy(s);
    (void)kl_model_destroy(model);
  }
  Eyes(const Eyes&) = delete;
  Eyes& operator=(const Eyes&) = delete;
  kl_session* session(const char* text = parts_template()) {
    kl_session_options options{};
    options.size = sizeof options;
    options.template_text = text;
    kl_session* made = nullptr;
    EXPECT_EQ(kl_session_new(model, &options, &made), KL_OK) << kl_last_error();
    sessions.push_back(made);
    return made;
  }
  kl_image* image(const Picture& p, kl_image_options options = {}) {
    pictures.push_back(p);  // pixels are not copied
    images.push_back(open_image(model, pictures.back(), options));
    return images.back();
  }
  std::deque<Picture> pictures;  // outlive the engine, which may look at them to its end
  FakeEngine engine;
  kl_model* model = nullptr;
  std::vector<kl_session*> sessions;
  std::vector<kl_image*> images;
};

}  // namespace kl::fake
