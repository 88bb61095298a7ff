// Images through the C boundary: their states, their way past the cache, and what ends them.
#include <gtest/gtest.h>

#include "fake_images.h"

namespace kl::fake {
namespace {

TEST(Image, PixelsBecomeTheEncodersRows) {
  Eyes eyes;
  const Picture p = picture(1);
  kl_image* image = eyes.image(p);
  const kl_image_info info = wait_for(image);
  EXPECT_EQ(info.state, KL_IMAGE_READY);
  EXPECT_EQ(info.status, KL_OK);
  EXPECT_EQ(info.tier, KL_TIER_NONE);
  EXPECT_EQ(info.progress, 1.0f);
  EXPECT_EQ(info.width, 8u);
  EXPECT_EQ(info.height, 8u);
  EXPECT_EQ(info.rows, 16u);
  EXPECT_EQ(info.row_width, kWidth);
  EXPECT_EQ(info.tiles, 1u);
  EXPECT_EQ(std::strlen(info.key), 64u);
  std::vector<float> rows(16 * kWidth);
  EXPECT_EQ(kl_image_rows(image, rows.data(), rows.size() - 1), KL_INVALID_ARGUMENT);
  ASSERT_EQ(kl_image_rows(image, rows.data(), rows.size()), KL_OK) << kl_last_error();
  EXPECT_EQ(rows, fake_rows(p, 2));
  EXPECT_EQ(kl_image_cancel(image), KL_OK);
  EXPECT_EQ(info_of(image).state, KL_IMAGE_READY);  // it stays
}

TEST(Image, EveryStateIsSeenAndPixelsAreTheAppsAgainBehindDecoding) {
  Eyes eyes;
  EncodeGate gate(*eyes.engine.control);
  Picture p = picture(1);
  kl_image* image = open_image(eyes.model, p);
  eyes.images.push_back(image);
  gate.wait_for_segment();
  ASSERT_TRUE(reaches(image, KL_IMAGE_ENCODING));
  std::fill(p.rgb.begin(), p.rgb.end(), uint8_t{0});
  kl_image* second = eyes.image(picture(2));
  ASSERT_TRUE(reaches(second, KL_IMAGE_WAITING));
  float row = 0;
  EXPECT_EQ(kl_image_rows(second, &row, 1), KL_BUSY);
  kl_image_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_image_wait(second, 1, &info), KL_OK);
  EXPECT_EQ(info.state, KL_IMAGE_WAITING);
  gate.open();
  EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);
  EXPECT_EQ(wait_for(second).state, KL_IMAGE_READY);
  std::vector<float> rows(16 * kWidth);
  EXPECT_EQ(kl_image_rows(image, rows.data(), rows.size()), KL_OK);
  EXPECT_EQ(rows, fake_rows(picture(1), 2));
}

TEST(Image, AFileThatIsNoneFailsAndSaysWhy) {
  Eyes eyes;
  const auto fails = [&](const kl_image_source& source, kl_status status) {
    kl_image* image = nullptr;
    ASSERT_EQ(kl_image_open(eyes.model, &source, nullptr, &image), KL_OK) << kl_last_error();
    const kl_image_info info = wait_for(image);
    EXPECT_EQ(info.state, KL_IMAGE_FAILED);
    EXPECT_EQ(info.status, status) << kl_last_error();
    EXPECT_STRNE(kl_last_error(), "");
    float row = 0;
    EXPECT_EQ(kl_image_rows(image, &row, 1), status);
    (void)kl_image_destroy(image);
  };
  kl_image_source path{};
  path.size = sizeof path;
  path.path = "/no/such/picture.png";
  fails(path, KL_NOT_FOUND);
  kl_image_source bytes{};
  bytes.size = sizeof bytes;
  bytes.data = "this is no picture";
  bytes.data_size = 18;
  fails(bytes, KL_UNSUPPORTED);
}

TEST(Image, TheSamePictureAgainCostsNoEncode) {
  Eyes eyes;
  const Picture p = picture(1);
  const kl_image_info first = wait_for(eyes.image(p));
  const uint64_t tiles = eyes.engine.control->tiles.load();
  const kl_image_info again = wait_for(eyes.image(p));
  EXPECT_EQ(again.state, KL_IMAGE_READY);
  EXPECT_NE(again.tier, KL_TIER_NONE);
  EXPECT_STREQ(again.key, first.key);
  EXPECT_EQ(again.rows, 16u);
  EXPECT_EQ(eyes.engine.control->tiles.load(), tiles);
  kl_feature_cache_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_engine_get_feature_cache_stats(eyes.engine.handle, &stats), KL_OK);
  EXPECT_EQ(stats.device_hits + stats.host_hits, 1u);
  EXPECT_EQ(stats.entries, 1u);

  kl_image_options private_one{};
  private_one.no_cache = 1;
  EXPECT_EQ(wait_for(eyes.image(p, private_one)).tier, KL_TIER_NONE);
  EXPECT_EQ(eyes.engine.control->tiles.load(), tiles + 1);
  kl_image_options fewer{};
  fewer.max_rows = 4;
  const kl_image_info reduced = wait_for(eyes.image(p, fewer));
  EXPECT_EQ(reduced.state, KL_IMAGE_READY) << kl_last_error();
  EXPECT_LE(reduced.rows, 4u);
  EXPECT_STRNE(reduced.key, first.key);
  kl_image_options pruned{};
  pruned.prune = 0.5f;
  EXPECT_EQ(wait_for(eyes.image(p, pruned)).rows, 8u);

  for (kl_image* image : std::exchange(eyes.images, {})) (void)kl_image_destroy(image);
  EXPECT_EQ(kl_engine_clear_feature_cache(eyes.engine.handle), KL_OK);
  const uint64_t before = eyes.engine.control->tiles.load();
  EXPECT_EQ(wait_for(eyes.image(p)).tier, KL_TIER_NONE);
  EXPECT_EQ(eyes.engine.control->tiles.load(), before + 1);
}

TEST(Image, OnePictureOpenedTwiceIsEncodedOnce) {
  Eyes eyes;
  const Picture p = picture(1);
  EncodeGate gate(*eyes.engine.control);
  kl_image* first = eyes.image(p);
  gate.wait_for_segment();
  std::vector<kl_image*> others;
  for (int i = 0; i < 3; ++i) others.push_back(eyes.image(p));
  for (kl_image* image : others) ASSERT_TRUE(reaches(image, KL_IMAGE_WAITING));
  gate.open();
  EXPECT_EQ(wait_for(first).tier, KL_TIER_NONE);
  for (kl_image* image : others) {
    const kl_image_info info = wait_for(image);
    EXPECT_EQ(info.state, KL_IMAGE_READY);
    EXPECT_NE(info.tier, KL_TIER_NONE);
  }
  EXPECT_EQ(eyes.engine.control->tiles.load(), 1u);
}

TEST(Image, WhoWaitedForACancelledOneEncodesItself) {
  Eyes eyes;
  const Picture p = picture(1);
  EncodeGate gate(*eyes.engine.control);
  kl_image* first = eyes.image(p);
  gate.wait_for_segment();
  kl_image* second = eyes.image(p);
  ASSERT_TRUE(reaches(second, KL_IMAGE_WAITING));
  EXPECT_EQ(kl_image_cancel(first), KL_OK);
  gate.open();
  EXPECT_EQ(wait_for(first).state, KL_IMAGE_CANCELLED);
  EXPECT_EQ(wait_for(second).state, KL_IMAGE_READY);
  EXPECT_EQ(info_of(second).tier, KL_TIER_NONE);
}

TEST(Image, CancelTakesEffectInEveryStateWithinOneSegment) {
  Eyes eyes;
  eyes.engine.control->tile_segments = 1000;
  EncodeGate gate(*eyes.engine.control);
  kl_image* encoding = eyes.image(picture(1));
  gate.wait_for_segment();
  kl_image* waiting = eyes.image(picture(2));
  ASSERT_TRUE(reaches(waiting, KL_IMAGE_WAITING));
  EXPECT_EQ(kl_image_cancel(waiting), KL_OK);
  EXPECT_EQ(info_of(waiting).state, KL_IMAGE_CANCELLED);  // at once: nobody holds it
  kl_image* early = eyes.image(picture(3));               // in whatever state: it ends
  EXPECT_EQ(kl_image_cancel(early), KL_OK);
  EXPECT_EQ(wait_for(early).state, KL_IMAGE_CANCELLED);
  EXPECT_EQ(kl_image_cancel(encoding), KL_OK);
  EXPECT_EQ(kl_image_cancel(encoding), KL_OK);
  gate.open();
  EXPECT_EQ(wait_for(encoding).state, KL_IMAGE_CANCELLED);
  // Segments of 0 s: a slice runs for its 5 ms, and then looks.
  EXPECT_EQ(eyes.engine.control->tiles.load(), 0u);
  EXPECT_EQ(wait_for(eyes.image(picture(4))).state, KL_IMAGE_READY);
}

TEST(Image, AFailedEncodeIsItsOwnAffair) {
  Eyes eyes;
  eyes.engine.control->set_encode([] { return error(Code::internal, "a segment failed"); });
  kl_image* bad = eyes.image(picture(1));
  EXPECT_EQ(wait_for(bad).state, KL_IMAGE_FAILED);
  EXPECT_EQ(info_of(bad).status, KL_INTERNAL);
  eyes.engine.control->set_encode({});
  EXPECT_EQ(wait_for(eyes.image(picture(1))).state, KL_IMAGE_READY);  // nor is its key held
}

TEST(Image, ALostDeviceEndsEveryImage) {
  Eyes eyes;
  EncodeGate gate(*eyes.engine.control);
  kl_image* first = eyes.image(picture(1));
  gate.wait_for_segment();
  kl_image* second = eyes.image(picture(2));
  ASSERT_TRUE(reaches(second, KL_IMAGE_WAITING));
  eyes.engine.control->set_encode([] { return error(Code::device_lost, "gone"); });
  gate.open();
  EXPECT_EQ(wait_for(first).status, KL_DEVICE_LOST);
  EXPECT_EQ(wait_for(second).status, KL_DEVICE_LOST);
  EXPECT_EQ(wait_for(eyes.image(picture(3))).status, KL_DEVICE_LOST);
}

TEST(Image, SuspendStopsEncodingAndResumeGoesOnWithoutLoss) {
  Eyes eyes;
  eyes.engine.control->tile_segments = 200;
  eyes.engine.control->set_encode([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Status();
  });
  kl_image* image = eyes.image(picture(1));
  ASSERT_TRUE(reaches(image, KL_IMAGE_ENCODING));
  EXPECT_EQ(kl_engine_suspend(eyes.engine.handle), KL_OK);
  const uint64_t run = eyes.engine.control->segments_run.load();
  kl_image* meanwhile = eyes.image(picture(2));  // is prepared, and waits
  ASSERT_TRUE(reaches(meanwhile, KL_IMAGE_WAITING));
  kl_image* cancelled = eyes.image(picture(3));
  ASSERT_TRUE(reaches(cancelled, KL_IMAGE_WAITING));
  EXPECT_EQ(kl_image_cancel(cancelled), KL_OK);
  EXPECT_EQ(wait_for(cancelled).state, KL_IMAGE_CANCELLED);
  EXPECT_EQ(eyes.engine.control->segments_run.load(), run);
  EXPECT_EQ(info_of(image).state, KL_IMAGE_ENCODING);
  EXPECT_EQ(kl_engine_resume(eyes.engine.handle), KL_OK);
  EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);
  EXPECT_EQ(wait_for(meanwhile).state, KL_IMAGE_READY);
  EXPECT_EQ(eyes.engine.control->segments_run.load(), 400u);
}

TEST(Image, DestroyingTheEngineEndsImagesInEveryState) {
  for (int round = 0; round < 20; ++round) {
    Eyes eyes;
    auto gate = std::make_unique<EncodeGate>(*eyes.engine.control);
    for (uint32_t i = 0; i < 4; ++i) (void)eyes.image(picture(i / 2));  // pairs: one waits for the other
    if (round % 2 == 0) gate->wait_for_segment();
    std::thread opener([&] { gate->open(); });
    EXPECT_EQ(kl_engine_destroy(std::exchange(eyes.engine.handle, nullptr)), KL_OK);
    opener.join();
    for (kl_image* image : eyes.images) {
      const kl_image_info info = wait_for(image);
      EXPECT_TRUE(info.state == KL_IMAGE_READY || info.status == KL_CLOSED) << info.state << " " << info.status;
    }
    kl_image* late = nullptr;
    const Picture p = picture(9);
    const kl_image_source source = source_of(p);
    EXPECT_EQ(kl_image_open(eyes.model, &source, nullptr, &late), KL_CLOSED);
  }
}

TEST(Image, HandlesMayGoInAnyOrderAndState) {
  for (int order = 0; order < 4; ++order) {
    auto eyes = std::make_unique<Eyes>();
    EncodeGate gate(*eyes->engine.control);
    kl_image* image = eyes->image(picture(1));
    if (order % 2 == 0) gate.wait_for_segment();
    if (order < 2) {
      EXPECT_EQ(kl_image_destroy(image), KL_OK);
      eyes->images.clear();
    } else {
      EXPECT_EQ(kl_model_destroy(std::exchange(eyes->model, nullptr)), KL_OK);
    }
    gate.open();
    if (order < 2) continue;
    EXPECT_EQ(wait_for(image).state, KL_IMAGE_READY);  // the model is there as long as its image
  }
}

TEST(Image, StatsCountThem) {
  Eyes eyes;
  for (uint32_t i = 0; i < 3; ++i) (void)wait_for(eyes.image(picture(i)));
  EXPECT_EQ(kl_engine_resume(eyes.engine.handle), KL_OK);  // a call comes back after the counts of the last slice
  kl_engine_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(kl_engine_get_stats(eyes.engine.handle, &stats), KL_OK);
  EXPECT_EQ(stats.images_encoded, 3u);
  EXPECT_EQ(stats.images_waiting, 0u);
  EXPECT_GT(stats.encode_s, 0);
}

TEST(Image, AModelSaysThatItSeesAndWhatThatTakes) {
  Eyes eyes;
  kl_model_info info{};
  info.size = sizeof info;
  EXPECT_EQ(kl_model_get_info(eyes.model, &info), KL_OK);
  EXPECT_EQ(info.has_projector, 1u);
  EXPECT_STREQ(info.projector, "fake");
  EXPECT_EQ(info.image_rows, 16u);
  EXPECT_EQ(info.encoder_bytes, 500u);
  EXPECT_EQ(info.memory_bytes, 1500u);
  kl_source source{};
  source.size = sizeof source;
  source.path = model_path();
  kl_model_options options{};
  options.size = sizeof options;
  kl_memory_estimate without{}, with{};
  without.size = with.size = sizeof with;
  EXPECT_EQ(kl_model_estimate(eyes.engine.handle, &source, &options, &without), KL_OK);
  options.projector_source = &source;
  EXPECT_EQ(kl_model_estimate(eyes.engine.handle, &source, &options, &with), KL_OK);
  EXPECT_EQ(without.encoder, 0u);
  EXPECT_EQ(with.encoder, 500u);
  EXPECT_EQ(with.total, without.total + 500);
  options.projector = model_path();
  EXPECT_EQ(kl_model_estimate(eyes.engine.handle, &source, &options, &with), KL_INVALID_ARGUMENT);
  options.projector = nullptr;
  kl_model* model = nullptr;
  options.memory_budget = 1400;
  EXPECT_EQ(kl_model_load_source(eyes.engine.handle, &source, &options, &model), KL_OUT_OF_MEMORY);
  EXPECT_NE(std::string(kl_last_error()).find("projector"), std::string::npos) << kl_last_error();
  options.memory_budget = 1500;
  EXPECT_EQ(kl_model_load_source(eyes.engine.handle, &source, &options, &model), KL_OK) << kl_last_error();
  (void)kl_model_destroy(model);
  kl_source missing = source;
  missing.path = "/no/such/projector.gguf";
  options.projector_source = &missing;
  EXPECT_EQ(kl_model_load_source(eyes.engine.handle, &source, &options, &model), KL_NOT_FOUND);
}

}  // namespace
}  // namespace kl::fake
