// A folder of entries: its budget, what it reads, and what it never touches.
#include "vision/entry_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "core/file.h"
#include "feature_support.h"
#include "support/temp_folder.h"

namespace kl {
namespace {

using test::some_key;
using test::TempFolder;

std::vector<std::byte> bytes_of(size_t size, int value = 7) { return std::vector<std::byte>(size, static_cast<std::byte>(value)); }

std::unique_ptr<EntryFolder> open_folder(const TempFolder& folder, EntryFolder::Budget budget) {
  auto opened = EntryFolder::open(folder / "entries", budget);
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  return opened.ok() ? std::move(*opened) : nullptr;
}
std::string path_of(const TempFolder& folder, const FeatureKey& key) { return folder / "entries/" + key.hex(); }

TEST(EntryFolder, KeepsItsBudgetAndForgetsWhatWasUsedLongestAgo) {
  const TempFolder folder;
  const auto entries = open_folder(folder, {1000, 100});
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(entries->write(some_key(i), bytes_of(100)).ok());
    ASSERT_LE(entries->bytes(), 1000u);
  }
  ASSERT_TRUE(entries->read(some_key(0)).ok());  // used now
  ASSERT_TRUE(entries->write(some_key(10), bytes_of(250)).ok());
  EXPECT_EQ(entries->bytes(), 950u);
  EXPECT_EQ(entries->evictions(), 3u);
  for (uint64_t i = 0; i <= 10; ++i) {
    EXPECT_EQ(entries->read(some_key(i)).ok(), i == 0 || i >= 4) << i;
    EXPECT_EQ(entries->contains(some_key(i)), i == 0 || i >= 4) << i;
  }
  EXPECT_EQ(entries->write(some_key(11), bytes_of(1001)).code(), Code::out_of_memory);
  EXPECT_EQ(entries->bytes(), 950u) << "what never fits displaces nothing";
}

TEST(EntryFolder, KeepsItsNumberOfEntries) {
  const TempFolder folder;
  const auto entries = open_folder(folder, {1000, 3});
  for (uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(entries->write(some_key(i), bytes_of(1)).ok());
  EXPECT_EQ(entries->entries(), 3u);
  EXPECT_FALSE(entries->read(some_key(1)).ok());
  EXPECT_TRUE(entries->read(some_key(2)).ok());
}

TEST(EntryFolder, WritingAgainReplaces) {
  const TempFolder folder;
  const auto entries = open_folder(folder, {1000});
  ASSERT_TRUE(entries->write(some_key(1), bytes_of(400, 1)).ok());
  ASSERT_TRUE(entries->write(some_key(1), bytes_of(300, 2)).ok());
  EXPECT_EQ(*entries->read(some_key(1)), bytes_of(300, 2));
  EXPECT_EQ(entries->bytes(), 300u);
  EXPECT_EQ(entries->entries(), 1u);
}

TEST(EntryFolder, ALowerBudgetAtTheNextOpenIsKept) {
  const TempFolder folder;
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(open_folder(folder, {1000})->write(some_key(i), bytes_of(100)).ok());
  EXPECT_EQ(open_folder(folder, {1000})->bytes(), 1000u);
  const auto smaller = open_folder(folder, {250});
  EXPECT_EQ(smaller->bytes(), 200u);
  EXPECT_EQ(list_folder(folder / "entries")->size(), 2u);
  EXPECT_EQ(open_folder(folder, {0})->entries(), 0u);
  EXPECT_TRUE(list_folder(folder / "entries")->empty());
}

TEST(EntryFolder, TwoProcessesShareAFolder) {
  const TempFolder folder;
  const auto ours = open_folder(folder, {1000});
  const auto theirs = open_folder(folder, {1000});
  for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(ours->write(some_key(i), bytes_of(100)).ok());
  for (uint64_t i = 6; i < 9; ++i) {
    ASSERT_TRUE(theirs->write(some_key(i), bytes_of(100)).ok());
    EXPECT_EQ(*ours->read(some_key(i)), bytes_of(100)) << "what the other wrote is found";
  }
  ASSERT_TRUE(ours->write(some_key(9), bytes_of(100)).ok());
  ASSERT_TRUE(ours->write(some_key(10), bytes_of(100)).ok());  // makes room
  EXPECT_EQ(list_folder(folder / "entries")->size(), 10u);
  EXPECT_EQ(theirs->read(some_key(0)).status().code(), Code::not_found) << "what the other removed is a miss";
  ASSERT_TRUE(theirs->clear().ok());
  EXPECT_TRUE(list_folder(folder / "entries")->empty()) << "entries of both";
  EXPECT_EQ(ours->read(some_key(9)).status().code(), Code::not_found);
  EXPECT_FALSE(ours->contains(some_key(9)));
}

TEST(EntryFolder, OthersFilesAreNeitherReadNorCountedNorRemoved) {
  const TempFolder folder;
  ASSERT_TRUE(make_folder(folder / "entries").ok());
  const std::string hex = some_key(1).hex();
  const std::vector<std::string> foreign = {"notes.txt", "memo", hex + ".txt", hex.substr(1), "A" + hex.substr(1), hex.substr(1) + "G"};
  for (const std::string& name : foreign) std::ofstream(folder / "entries/" + name) << std::string(500, 'x');
  const auto entries = open_folder(folder, {300});
  EXPECT_EQ(entries->bytes(), 0u);
  for (uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(entries->write(some_key(i), bytes_of(100)).ok());
  ASSERT_TRUE(entries->clear().ok());
  EXPECT_EQ(list_folder(folder / "entries")->size(), foreign.size());
}

TEST(EntryFolder, LinksFoldersAndPipesAreRefusedAndWhatALinkNamesIsLeftAlone) {
  const TempFolder folder;
  const auto entries = open_folder(folder, {1000});
  std::ofstream(folder / "outside") << "private";
  ASSERT_EQ(::symlink((folder / "outside").c_str(), path_of(folder, some_key(1)).c_str()), 0);
  ASSERT_EQ(::mkdir(path_of(folder, some_key(2)).c_str(), 0700), 0);
  ASSERT_EQ(::mkfifo(path_of(folder, some_key(3)).c_str(), 0600), 0);
  for (uint64_t i = 1; i <= 3; ++i) {
    const Status read = entries->read(some_key(i)).status();
    EXPECT_FALSE(read.ok()) << i;
    EXPECT_NE(read.code(), Code::not_found) << i;
  }
  EXPECT_EQ(open_folder(folder, {1000})->bytes(), 0u) << "nor are they counted";
  ASSERT_TRUE(entries->write(some_key(1), bytes_of(10)).ok());
  EXPECT_EQ(*entries->read(some_key(1)), bytes_of(10)) << "an entry takes the link's place";
  std::ifstream outside(folder / "outside");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(outside), {}), "private");
}

TEST(EntryFolder, AFileLargerThanTheBudgetIsRefusedBeforeItIsRead) {
  const TempFolder folder;
  const auto entries = open_folder(folder, {1000});
  std::ofstream(path_of(folder, some_key(1))) << "x";
  ASSERT_EQ(::truncate(path_of(folder, some_key(1)).c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(entries->read(some_key(1)).status().code(), Code::corrupt);
}

TEST(EntryFolder, WhatAKilledWriterLeftGoesAtTheNextOpen) {
  const TempFolder folder;
  ASSERT_TRUE(make_folder(folder / "entries").ok());
  std::ofstream(path_of(folder, some_key(1)) + ".kl-tmp-99999999999-0") << "half";
  EXPECT_EQ(open_folder(folder, {1000})->entries(), 0u);
  EXPECT_TRUE(list_folder(folder / "entries")->empty());
}

TEST(EntryFolder, AFolderThatCannotBeMadeIsAnError) {
  const TempFolder folder;
  EXPECT_FALSE(EntryFolder::open(folder / "no/such", {1000}).ok());
  std::ofstream(folder / "file") << "x";
  EXPECT_FALSE(EntryFolder::open(folder / "file", {1000}).ok());
}

}  // namespace
}  // namespace kl
