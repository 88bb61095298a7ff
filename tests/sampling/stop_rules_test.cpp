#include "sampling/stop_rules.h"

#include <gtest/gtest.h>

#include <random>

namespace kl {
namespace {

StopTexts stops(std::vector<std::string> texts) { return *StopTexts::create(std::move(texts)); }

TEST(StopTexts, TextBeforeAStopIsDeliveredHoweverItIsCut) {
  const std::string whole = "one two ENDING three";
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    StopTexts rules = stops({"zzz", "ENDING", "ENDx"});
    std::string out;
    bool stopped = false;
    for (size_t at = 0; at < whole.size();) {
      const size_t n = 1 + random() % 7;
      stopped = rules.push(whole.substr(at, n), out);
      EXPECT_LT(rules.held(), 6u);
      EXPECT_EQ(whole.substr(0, out.size()), out);
      at += n;
    }
    rules.flush(out);
    EXPECT_TRUE(stopped);
    EXPECT_EQ(out, "one two ");
  }
}

TEST(StopTexts, WhatOnlyLookedLikeAStopComesOut) {
  StopTexts rules = stops({"aab"});
  std::string out;
  EXPECT_FALSE(rules.push("aa", out));
  EXPECT_EQ(out, "");
  EXPECT_FALSE(rules.push("a", out));  // "aaa": the first is free, "aa" may still become "aab"
  EXPECT_EQ(out, "a");
  rules.flush(out);
  EXPECT_EQ(out, "aaa");
}

TEST(StopTexts, TheFirstOfSeveralWins) {
  StopTexts rules = stops({"later", "now"});
  std::string out;
  EXPECT_TRUE(rules.push("do it now or later", out));
  EXPECT_EQ(out, "do it ");
  EXPECT_TRUE(rules.push("more", out));
  EXPECT_EQ(out, "do it ");
}

TEST(StopTexts, WithoutTextsNothingIsHeld) {
  StopTexts rules;
  std::string out;
  EXPECT_FALSE(rules.push("abc", out));
  EXPECT_EQ(out, "abc");
}

TEST(StopTexts, HeldTextIsCutAtCharacters) {
  StopTexts rules = stops({"\xE2\x82\xAC!"});  // euro sign and exclamation mark
  std::string out;
  EXPECT_FALSE(rules.push("x\xE2\x82\xAC", out));
  EXPECT_EQ(out, "x");
  EXPECT_FALSE(rules.push("?", out));
  EXPECT_EQ(out, "x\xE2\x82\xAC?");
}

TEST(StopTexts, LimitsAreErrors) {
  EXPECT_FALSE(StopTexts::create({""}).ok());
  EXPECT_FALSE(StopTexts::create({std::string(1025, 'a')}).ok());
  EXPECT_TRUE(StopTexts::create({std::string(1024, 'a')}).ok());
  EXPECT_FALSE(StopTexts::create(std::vector<std::string>(65, "a")).ok());
  EXPECT_FALSE(StopTexts::create({"\xFF"}).ok());
  EXPECT_FALSE(StopTexts::create({"\x80"}).ok());
}

TEST(Utf8, OnlyWellFormedTextPasses) {
  for (const char* good : {"", "abc", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xC2", "\xE2\x82", "\xE2\x28\xA1", "\xF0\x90\x80"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace kl
