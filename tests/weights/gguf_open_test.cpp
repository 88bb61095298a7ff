// The ways of opening agree; split models; files that change; every failing system call and allocation.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <new>

#include "core/formats.h"
#include "support/faulty_os.h"
#include "support/gguf_writer.h"
#include "support/temp_folder.h"
#include "weights/counting_new.h"
#include "weights/gguf.h"
#include "weights/small_file.h"

namespace kl {
namespace {

using test::FaultyOs;
using test::GgufWriter;
using test::ramp;
using test::small_file;
using test::TempFolder;

// Everything a reader can see, as text.
std::string describe(const Gguf& gguf) {
  std::string out = format("v%u %llu bytes\n", gguf.version(), static_cast<unsigned long long>(gguf.file_bytes()));
  for (const Metadata::Entry& entry : gguf.metadata().entries) out += std::string(entry.key) + " " + name(entry.type) + "\n";
  for (const TensorInfo& t : gguf.tensors()) {
    const auto data = gguf.data(t);
    uint64_t sum = 0;
    for (const std::byte b : data.ok() ? *data : std::span<const std::byte>()) sum = sum * 31 + std::to_integer<uint64_t>(b);
    out += std::string(t.name) + format(" %s %u %llu @%u+%llu %llx %d\n", name(t.format), t.rank, static_cast<unsigned long long>(t.bytes),
                                        t.file, static_cast<unsigned long long>(t.offset), static_cast<unsigned long long>(sum), data.ok());
  }
  return out;
}

TEST(GgufOpen, MappedReadDescriptorAndMemoryGiveTheSameModel) {
  const TempFolder folder;
  const std::string path = folder / "small.gguf";
  ASSERT_TRUE(small_file().write(path));
  const std::vector<std::byte> bytes = small_file().bytes();
  const auto memory = Gguf::open_memory(bytes);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  const std::string expected = describe(**memory);
  EXPECT_NE(expected.find("q6_k.weight q6_k 1 210"), std::string::npos) << expected;
  const int fd = ::open(path.c_str(), O_RDONLY);
  std::string identity;
  for (const bool use_mmap : {true, false}) {
    for (const auto& gguf : {Gguf::open(path, {.use_mmap = use_mmap}), Gguf::open_fd(fd, {.use_mmap = use_mmap})}) {
      ASSERT_TRUE(gguf.ok()) << gguf.status().message();
      EXPECT_EQ(describe(**gguf), expected);
      if (identity.empty()) identity = (*gguf)->identity();
      EXPECT_EQ((*gguf)->identity(), identity);
      (*gguf)->release((*gguf)->tensors()[0]);
      EXPECT_EQ(describe(**gguf), expected) << "released pages come back";
    }
  }
  ::close(fd);
  EXPECT_EQ((*Gguf::open(path))->name(), path);
  EXPECT_EQ((*memory)->name(), "<memory>");
}

TEST(GgufOpen, EveryFormatsRowsComeBackThroughTheFile) {
  const std::vector<std::byte> bytes = small_file().bytes();
  const auto gguf = Gguf::open_memory(bytes);
  ASSERT_TRUE(gguf.ok());
  for (const FormatInfo& format : kFormats) {
    const TensorInfo* tensor = (*gguf)->find(std::string(format.name) + ".weight");
    ASSERT_NE(tensor, nullptr);
    const size_t n = format.block_elements == 256 ? 256 : 64;
    std::vector<float> got(n), expected(n);
    dequantize_row(format.format, (*gguf)->data(*tensor)->data(), got.data(), n);
    std::vector<std::byte> row(row_bytes(format.format, n));
    quantize_row(format.format, ramp(n).data(), row.data(), n);
    dequantize_row(format.format, row.data(), expected.data(), n);
    EXPECT_EQ(got, expected) << format.name;
    EXPECT_EQ(tensor->rank, format.block_elements == 256 ? 1u : 3u);
  }
  EXPECT_EQ((*gguf)->find("absent"), nullptr);
}

TEST(GgufOpen, TheIdentityFollowsContentTimeAndSize) {
  const TempFolder folder;
  const std::string path = folder / "a.gguf";
  ASSERT_TRUE(GgufWriter().u32("a", 1).write(path));
  const std::string first = (*Gguf::open(path))->identity();
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(5));
  EXPECT_NE((*Gguf::open(path))->identity(), first);
  // A buffer has no time: one changed byte of tensor data counts.
  std::vector<std::byte> bytes = small_file().bytes();
  const std::string whole = (*Gguf::open_memory(bytes))->identity();
  EXPECT_EQ((*Gguf::open_memory(bytes))->identity(), whole);
  bytes[bytes.size() - 20] ^= std::byte{1};
  EXPECT_NE((*Gguf::open_memory(bytes))->identity(), whole);
}

TEST(GgufOpen, ALargeHeaderInAMappedFileIsReadWhole) {
  const TempFolder folder;
  std::vector<std::string> tokens(200000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = "token " + std::to_string(i);
  ASSERT_TRUE(GgufWriter().strings("t", tokens).u32("after", 5).tensor("w", Format::f32, {32}, ramp(32)).write(folder / "f.gguf"));
  const auto gguf = Gguf::open(folder / "f.gguf");
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  const auto strings = (*gguf)->metadata().find_strings("t");
  ASSERT_EQ(strings->size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) ASSERT_EQ((*strings)[i], tokens[i]);
  EXPECT_EQ(*(*gguf)->metadata().need_uint("after", 0, 9), 5u);
}

// R28. The metadata must stay readable too: it may not lie in the mapping.
TEST(GgufOpen, AFileThatShrinksAfterOpenIsAnErrorAndNotACrash) {
  const TempFolder folder;
  const std::string path = folder / "small.gguf";
  ASSERT_TRUE(small_file().write(path));
  const auto gguf = Gguf::open(path);
  ASSERT_TRUE(gguf.ok());
  ASSERT_TRUE((*gguf)->data((*gguf)->tensors()[0]).ok());
  std::filesystem::resize_file(path, 0);
  const Status status = (*gguf)->data((*gguf)->tensors()[0]).status();
  EXPECT_EQ(status.code(), Code::io_error);
  EXPECT_NE(status.message().find("tensor \"f32.weight\""), std::string::npos) << status.message();
  EXPECT_EQ(*(*gguf)->metadata().need_string("general.architecture"), "test");
  EXPECT_NE((*gguf)->find("mxfp4.weight"), nullptr);
}

TEST(GgufOpen, AForeignTensorIsRefused) {
  const std::vector<std::byte> bytes = small_file().bytes();
  const auto gguf = Gguf::open_memory(bytes);
  TensorInfo tensor = (*gguf)->tensors()[0];
  for (const auto& [file, offset, size] :
       {std::tuple<uint32_t, uint64_t, uint64_t>{1, 0, 4}, {0, bytes.size(), 1}, {0, 8, UINT64_MAX}, {0, UINT64_MAX, 8}}) {
    tensor.file = file;
    tensor.offset = offset;
    tensor.bytes = size;
    EXPECT_EQ((*gguf)->data(tensor).status().code(), Code::invalid_argument);
    (*gguf)->release(tensor);
  }
}

// A model in three parts; part i holds tensor "w<i>".
struct Split {
  uint16_t count = 3;
  int32_t tensors = 3;
  std::string stem = "model";

  GgufWriter part(uint16_t i, const std::string& tensor) const {
    GgufWriter file;
    if (i == 0) file.string("general.architecture", "test");
    file.u16("split.no", i).u16("split.count", count).i32("split.tensors.count", tensors);
    file.tensor(tensor, Format::f32, {32}, std::vector<float>(32, static_cast<float>(i)));
    return file;
  }
  void write(const TempFolder& folder) const {
    for (uint16_t i = 0; i < count; ++i) ASSERT_TRUE(part(i, "w" + std::to_string(i)).write(path(folder, i)));
  }
  std::string path(const TempFolder& folder, uint32_t i) const { return folder / (stem + format("-%05u-of-%05u.gguf", i + 1, count)); }
};

TEST(GgufSplit, TheFirstPartOpensAll) {
  const TempFolder folder;
  const Split split;
  split.write(folder);
  for (const bool use_mmap : {true, false}) {
    const auto gguf = Gguf::open(split.path(folder, 0), {.use_mmap = use_mmap});
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    ASSERT_EQ((*gguf)->tensors().size(), 3u);
    for (uint32_t i = 0; i < 3; ++i) {
      const TensorInfo* tensor = (*gguf)->find("w" + std::to_string(i));
      ASSERT_NE(tensor, nullptr);
      EXPECT_EQ(tensor->file, i);
      float value = -1;
      dequantize_row(Format::f32, (*gguf)->data(*tensor)->data(), &value, 1);
      EXPECT_EQ(value, static_cast<float>(i));
    }
    EXPECT_EQ(*(*gguf)->metadata().need_string("general.architecture"), "test");
    uint64_t all = 0;
    for (uint32_t i = 0; i < 3; ++i) all += std::filesystem::file_size(split.path(folder, i));
    EXPECT_EQ((*gguf)->file_bytes(), all);
  }
  // The identity covers every part.
  const std::string before = (*Gguf::open(split.path(folder, 0)))->identity();
  std::filesystem::last_write_time(split.path(folder, 2),
                                   std::filesystem::last_write_time(split.path(folder, 2)) + std::chrono::seconds(5));
  EXPECT_NE((*Gguf::open(split.path(folder, 0)))->identity(), before);
}

TEST(GgufSplit, WhatDoesNotFitTogetherIsRefused) {
  const auto refused = [](const Split& split, Code code, const std::string& message, auto damage) {
    const TempFolder folder;
    split.write(folder);
    damage(folder);
    const Status status = Gguf::open(split.path(folder, 0)).status();
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(message), std::string::npos) << "expected \"" << message << "\" in: " << status.message();
  };
  const Split good;
  refused(good, Code::not_found, "model-00003-of-00003.gguf", [&](const TempFolder& f) { std::filesystem::remove(good.path(f, 2)); });
  refused(good, Code::corrupt, "expected part 2 of 3, got part 3 of 3",
          [&](const TempFolder& f) { ASSERT_TRUE(good.part(2, "w1").write(good.path(f, 1))); });
  refused(good, Code::corrupt, "expected part 2 of 3, got part 1 of 1",
          [&](const TempFolder& f) { ASSERT_TRUE(GgufWriter().tensor("w1", Format::f32, {32}, ramp(32)).write(good.path(f, 1))); });
  refused(good, Code::corrupt, "expected every tensor once, got \"w0\" twice",
          [&](const TempFolder& f) { ASSERT_TRUE(good.part(1, "w0").write(good.path(f, 1))); });
  refused({.tensors = 4}, Code::corrupt, "expected 4 tensors in all 3 parts (split.tensors.count), got 3", [](const TempFolder&) {});
  refused(good, Code::corrupt, "model-00002-of-00003.gguf",
          [&](const TempFolder& f) { std::filesystem::resize_file(good.path(f, 1), 50); });
  refused({.count = 2}, Code::corrupt, "\"split.count\": expected 0 to 9,999, got 60,000", [](const TempFolder& f) {
    ASSERT_TRUE(GgufWriter().u16("split.no", 0).u16("split.count", 60000).write(Split{.count = 2}.path(f, 0)));
  });
  refused({.count = 2}, Code::corrupt, "\"split.no\": expected 0 to 1, got 2", [](const TempFolder& f) {
    ASSERT_TRUE(GgufWriter().u16("split.no", 2).u16("split.count", 2).write(Split{.count = 2}.path(f, 0)));
  });
}

// R17: the names of the other parts come from the path that was opened and from nothing in the file.
TEST(GgufSplit, OnlyTheFirstPartsOwnNameLeadsToTheOthers) {
  const TempFolder folder;
  const Split split;
  split.write(folder);
  const Status second = Gguf::open(split.path(folder, 1)).status();
  EXPECT_EQ(second.code(), Code::invalid_argument);
  EXPECT_NE(second.message().find("expected the first part of a split model, got part 2 of 3"), std::string::npos) << second.message();
  for (const char* other :
       {"renamed.gguf", "model-00001-of-00004.gguf", "-00001-of-00003.gguf", "model-00001-of-00003.gguf.bak", "model-1-of-3.gguf"}) {
    std::filesystem::copy_file(split.path(folder, 0), folder / other);
    const Status status = Gguf::open(folder / other).status();
    EXPECT_EQ(status.code(), Code::invalid_argument) << other << ": " << status.message();
    EXPECT_NE(status.message().find("\"-00001-of-00003.gguf\""), std::string::npos) << status.message();
  }
  const std::vector<std::byte> bytes = split.part(0, "w").bytes();
  EXPECT_EQ(Gguf::open_memory(bytes).status().code(), Code::unsupported);
}

// Bar B2 over the whole of opening and reading.
TEST(GgufFaults, EveryFailingSystemCallIsAnErrorOrHarmlessAndLeavesNothingOpen) {
  const TempFolder folder;
  const Split split;
  split.write(folder);
  size_t cases = 0, errors = 0;
  for (const bool use_mmap : {true, false}) {
    const auto work = [&]() -> Status {
      KL_ASSIGN(const auto gguf, Gguf::open(split.path(folder, 0), {.use_mmap = use_mmap}));
      for (const TensorInfo& tensor : gguf->tensors()) {
        KL_ASSIGN(const auto data, gguf->data(tensor));
        EXPECT_EQ(data.size(), 128u);
        gguf->release(tensor);
      }
      return {};
    };
    size_t calls = 0;
    {
      const FaultyOs counting;
      ASSERT_TRUE(work().ok());
      calls = counting.calls();
    }
    for (size_t n = 0; n < calls; ++n) {
      for (const int e : {-EIO, -EINTR, -EMFILE, -EACCES, -EAGAIN, -ENOMEM}) {
        for (const FaultyOs::Kind kind : {FaultyOs::Kind::error, FaultyOs::Kind::error_from_then_on, FaultyOs::Kind::short_count}) {
          const FaultyOs faulty(n, e, kind);
          const Status status = work();
          errors += status.ok() ? 0 : 1;
          ++cases;
          EXPECT_EQ(faulty.open_handles(), 0) << faulty.names()[n];
          if (kind == FaultyOs::Kind::short_count) {
            EXPECT_TRUE(status.ok()) << status.message();
          }
        }
      }
    }
  }
  EXPECT_GT(errors, cases / 4);
  std::printf("B2: %zu faults while opening a model of three parts, %zu errors, nothing left open\n", cases, errors);
}

// Bar B1 over opening: std::bad_alloc is the boundary's to catch; nothing may be lost on its way.
TEST(GgufFaults, EveryFailingAllocationLosesNothingAndARetrySucceeds) {
  const TempFolder folder;
  ASSERT_TRUE(small_file().write(folder / "small.gguf"));
  size_t failed = 0;
  for (const bool all_later : {false, true}) {
    for (uint64_t n = 0;; ++n) {
      const std::string path = folder / "small.gguf";
      bool ok = false;
      const FaultyOs handles;
      const uint64_t before = test::bytes_in_use();
      test::fail_allocation(n, all_later);
      try {
        ok = Gguf::open(path).ok();
      } catch (const std::bad_alloc&) {
        ok = false;
      }
      const bool reached = test::allocations() > n;
      test::fail_allocation(UINT64_MAX, false);
      EXPECT_EQ(handles.open_handles(), 0);
      EXPECT_EQ(test::bytes_in_use(), before);
      if (!reached) {
        EXPECT_TRUE(ok);
        break;
      }
      ++failed;
      if (!all_later) {
        EXPECT_TRUE(Gguf::open(path).ok());
      }
    }
  }
  EXPECT_GT(failed, 50u);
  std::printf("B1: %zu failing allocations while opening\n", failed);
}

}  // namespace
}  // namespace kl
