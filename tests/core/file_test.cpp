// Files as bytes: the ways of opening agree, changes are noticed, writing is all or nothing, and every system call may fail.
#include "core/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/faulty_os.h"
#include "support/temp_folder.h"

namespace kl {
namespace {

using test::FaultyOs;
using test::TempFolder;
using Access = ByteSource::Access;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}
std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string file_with(const TempFolder& folder, const std::string& name, const std::string& text) {
  std::ofstream(folder / name, std::ios::binary) << text;
  return folder / name;
}
std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(File, MappedReadDuplicatedAndViewedSourcesHoldTheSameBytes) {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i);
  const std::string path = file_with(folder, "f", text);
  const int fd = ::open(path.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  for (const Access access : {Access::map, Access::read}) {
    const auto by_path = ByteSource::open(path, access);
    ASSERT_TRUE(by_path.ok()) << by_path.status().message();
    EXPECT_EQ(text_of((*by_path)->bytes()), text);
    EXPECT_EQ((*by_path)->is_mapped(), access == Access::map);
    EXPECT_EQ(reinterpret_cast<uintptr_t>((*by_path)->bytes().data()) % kBufferAlignment, 0u);
    const auto by_fd = ByteSource::open_fd(fd, access);
    ASSERT_TRUE(by_fd.ok());
    EXPECT_EQ(text_of((*by_fd)->bytes()), text);
    EXPECT_EQ((*by_fd)->modified_ns(), (*by_path)->modified_ns());
    EXPECT_TRUE((*by_fd)->check().ok());
    std::vector<std::byte> part(100);
    ASSERT_TRUE((*by_path)->copy(50, part).ok());
    EXPECT_EQ(text_of(part), text.substr(50, 100));
  }
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 0) << "the caller's descriptor must stay open and where it was";
  ::close(fd);
  EXPECT_EQ(text_of(ByteSource::view(bytes_of("abc"))->bytes().first(0)), "");
}

TEST(File, WhatIsNotARegularFileIsRefusedWithoutBlocking) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const Access access : {Access::map, Access::read}) {
    EXPECT_EQ(ByteSource::open(folder / "none", access).status().code(), Code::not_found);
    EXPECT_EQ(ByteSource::open(folder.path(), access).status().code(), Code::invalid_argument);
    EXPECT_EQ(ByteSource::open(folder / "pipe", access).status().code(), Code::invalid_argument);
    EXPECT_EQ(ByteSource::open("", access).status().code(), Code::invalid_argument);
    EXPECT_EQ(ByteSource::open(std::string("a\0b", 3), access).status().code(), Code::invalid_argument);
    EXPECT_EQ(ByteSource::open_fd(-1, access).status().code(), Code::invalid_argument);
    EXPECT_EQ(ByteSource::open_fd(1 << 20, access).status().code(), Code::io_error);
    const auto empty = ByteSource::open(file_with(folder, "empty", ""), access);
    ASSERT_TRUE(empty.ok()) << empty.status().message();
    EXPECT_TRUE((*empty)->bytes().empty());
  }
}

TEST(File, AFileThatShrinksGrowsOrIsWrittenAfterOpenIsNoticed) {
  const TempFolder folder;
  const std::string path = file_with(folder, "f", std::string(10000, 'x'));
  const auto open = [&] { return *ByteSource::open(path, Access::map); };
  std::shared_ptr<const ByteSource> source = open();
  EXPECT_TRUE(source->check().ok());
  std::filesystem::resize_file(path, 9999);
  const Status shrunk = source->check();
  EXPECT_EQ(shrunk.code(), Code::io_error);
  EXPECT_NE(shrunk.message().find("had 10,000 bytes when it was opened and has 9,999 now"), std::string::npos) << shrunk.message();
  std::vector<std::byte> part(10);
  EXPECT_EQ(source->copy(9990, part).code(), Code::io_error) << "past the new end: an error, not a bus error";
  source = open();
  std::filesystem::resize_file(path, 12000);
  EXPECT_EQ(source->check().code(), Code::io_error);
  source = open();
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::seconds(2));
  EXPECT_EQ(source->check().code(), Code::io_error);
  source = open();
  std::filesystem::remove(path);
  EXPECT_TRUE(source->check().ok()) << "a file that was removed or replaced by renaming lives on in its descriptor";
}

TEST(File, CopyRefusesRangesOutsideTheSource) {
  const auto bytes = bytes_of("0123456789");
  const auto source = ByteSource::view(bytes);
  std::vector<std::byte> out(4);
  EXPECT_TRUE(source->copy(6, out).ok());
  EXPECT_EQ(text_of(out), "6789");
  for (const uint64_t offset : {uint64_t{7}, uint64_t{11}, UINT64_MAX, UINT64_MAX - 3}) {
    EXPECT_EQ(source->copy(offset, out).code(), Code::invalid_argument) << offset;
  }
}

TEST(File, HintsChangeNothingThatCanBeRead) {
  const TempFolder folder;
  const std::string text(100000, 'q');
  const auto source = *ByteSource::open(file_with(folder, "f", text), Access::map);
  EXPECT_EQ(text_of(source->bytes()), text);
  source->read_in_order();
  source->prefetch(0, text.size());
  source->release(100, 90000);
  source->release(UINT64_MAX, 2);  // ignored
  source->release(0, text.size());
  EXPECT_EQ(text_of(source->bytes()), text);
  std::vector<std::byte> arena(1 << 22, std::byte{7});
  (void)advise_memory(arena, OsAdvice::huge_pages);
  EXPECT_EQ(arena[12345], std::byte{7});
}

TEST(File, ReleaseGivesBackWholePagesInsideTheRangeOnly) {
  const size_t page = page_bytes();
  static size_t asked_start, asked_size;
  asked_size = 0;
  OsTable table = posix_os();
  table.advise = [](void* address, size_t size, OsAdvice) {
    asked_start = reinterpret_cast<uintptr_t>(address);
    asked_size = size;
    return 0;
  };
  install_os(&table);
  const std::byte* base = nullptr;
  const std::vector<std::byte> memory(8 * page);
  base = memory.data() + (page - reinterpret_cast<uintptr_t>(memory.data()) % page) % page;
  EXPECT_TRUE(advise_memory({base + 1, 3 * page}, OsAdvice::dont_need));
  EXPECT_EQ(asked_start, reinterpret_cast<uintptr_t>(base) + page);
  EXPECT_EQ(asked_size, 2 * page);
  asked_size = 0;
  EXPECT_TRUE(advise_memory({base + 1, page}, OsAdvice::dont_need));
  EXPECT_EQ(asked_size, 0u);
  EXPECT_TRUE(advise_memory({base + 1, page}, OsAdvice::will_need));
  EXPECT_EQ(asked_size, 2 * page);
  install_os(nullptr);
}

TEST(File, AnAtomicFileAppearsAtCommitAndLeavesNothingWithoutIt) {
  const TempFolder folder;
  const std::string path = folder / "entry";
  {
    Result<AtomicFile> file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok()) << file.status().message();
    ASSERT_TRUE(file->write(bytes_of("new ")).ok());
    ASSERT_TRUE(file->write(bytes_of("content")).ok());
    EXPECT_EQ(file->written(), 11u);
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE(file->commit().ok());
    EXPECT_EQ(file->write(bytes_of("x")).code(), Code::closed);
    EXPECT_EQ(file->commit().code(), Code::closed);
  }
  EXPECT_EQ(content(path), "new content");
  {
    Result<AtomicFile> file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok() && file->write(bytes_of("abandoned")).ok());
  }
  EXPECT_EQ(content(path), "new content");
  EXPECT_EQ(*list_folder(folder.path()), std::vector<std::string>{"entry"});
  EXPECT_EQ(AtomicFile::create(folder / "").status().code(), Code::invalid_argument);
  EXPECT_EQ(AtomicFile::create(folder / "no/entry").status().code(), Code::io_error);
}

TEST(File, TemporariesOfKilledWritersAreRemovedByProcessOrAge) {
  const TempFolder folder;
  file_with(folder, "entry", "1");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const std::string live = "entry.kl-tmp-" + std::to_string(::getpid()) + "-0";
  file_with(folder, live, "of a process that runs");
  file_with(folder, "entry.kl-tmp-" + std::to_string(child) + "-0", "of one that ended");
  file_with(folder, "entry.kl-tmp-99999999999-0", "of none");
  file_with(folder, "entry.kl-tmp-x", "not ours");
  const auto modified = (*ByteSource::open(folder / live, Access::read))->modified_ns();
  EXPECT_EQ(*remove_stale_temporaries(folder.path(), modified), 2u);
  EXPECT_EQ(*remove_stale_temporaries(folder.path(), modified + 1), 1u);
  EXPECT_EQ(*list_folder(folder.path()), (std::vector<std::string>{"entry", "entry.kl-tmp-x"}));
  EXPECT_TRUE(is_temporary_name("a.kl-tmp-1-2"));
  for (const char* name : {"a", ".kl-tmp-1-2", "a.kl-tmp-", "a.kl-tmp-1-2b"}) EXPECT_FALSE(is_temporary_name(name)) << name;
}

TEST(File, FoldersAndNames) {
  const TempFolder folder;
  EXPECT_TRUE(make_folder(folder / "sub").ok());
  EXPECT_TRUE(make_folder(folder / "sub").ok());
  EXPECT_FALSE(make_folder(folder / "no/sub").ok());
  EXPECT_EQ(list_folder(folder / "none").status().code(), Code::not_found);
  EXPECT_EQ(remove_file(folder / "none").code(), Code::not_found);
  EXPECT_EQ(folder_of("/a/b.c"), "/a");
  EXPECT_EQ(folder_of("b.c"), ".");
  EXPECT_EQ(folder_of("/b.c"), "/");
  EXPECT_EQ(file_name_of("/a/b.c"), "b.c");
  EXPECT_TRUE(is_plain_file_name("model-00001-of-00002.gguf"));
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("..\\b"),
                                  std::string("c:b"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_plain_file_name(name)) << name;
  }
}

constexpr int kErrors[] = {-EIO, -ENOSPC, -EINTR, -EMFILE, -EACCES, -EAGAIN};

// Bar B2 for reading: whatever call fails, there is an error or the right bytes, and no descriptor or mapping is left.
TEST(FileFaults, EveryFailingCallWhileReadingIsAnErrorOrHarmless) {
  const TempFolder folder;
  const std::string text(200000, 'z');
  const std::string path = file_with(folder, "f", text);
  size_t cases = 0, errors = 0;
  for (const Access access : {Access::map, Access::read}) {
    const auto work = [&]() -> Status {
      KL_ASSIGN(const auto source, ByteSource::open(path, access));
      std::vector<std::byte> part(50000);
      KL_TRY(source->copy(100000, part));
      KL_TRY(source->check());
      source->release(0, text.size());
      EXPECT_EQ(text_of(source->bytes()), text);
      EXPECT_EQ(text_of(part), text.substr(0, part.size()));
      return {};
    };
    size_t calls = 0;
    {
      const FaultyOs counting;
      ASSERT_TRUE(work().ok());
      calls = counting.calls();
    }
    for (size_t n = 0; n < calls; ++n) {
      for (const int e : kErrors) {
        for (const FaultyOs::Kind kind : {FaultyOs::Kind::error, FaultyOs::Kind::error_from_then_on, FaultyOs::Kind::short_count}) {
          const FaultyOs faulty(n, e, kind);
          const Status status = work();
          ++cases;
          errors += status.ok() ? 0 : 1;
          if (!status.ok()) {
            EXPECT_FALSE(status.message().empty());
          }
          if (kind == FaultyOs::Kind::short_count || (kind == FaultyOs::Kind::error && e == -EINTR)) {
            EXPECT_TRUE(status.ok()) << "short counts and interruptions are no errors: " << faulty.names()[n] << ": " << status.message();
          }
          EXPECT_EQ(faulty.open_handles(), 0) << faulty.names()[n];
        }
      }
    }
  }
  EXPECT_GT(errors, cases / 4);
  std::printf("%zu faults while reading, %zu errors\n", cases, errors);
}

// Bars B2, B3 for writing: the old file or the new one, complete, and the status says which; nothing half written beside it.
TEST(FileFaults, EveryFailingCallWhileWritingLeavesTheOldFileOrTheNewOne) {
  const TempFolder folder;
  const std::string path = folder / "entry", old_text(3000, 'o'), new_text(5000, 'n');
  size_t calls = 0;
  {
    const FaultyOs counting;
    ASSERT_TRUE(write_file(path, bytes_of(old_text)).ok());
    calls = counting.calls();
  }
  size_t cases = 0;
  for (size_t n = 0; n < calls; ++n) {
    for (const int e : kErrors) {
      for (const FaultyOs::Kind kind : {FaultyOs::Kind::error, FaultyOs::Kind::error_from_then_on, FaultyOs::Kind::short_count}) {
        ASSERT_TRUE(write_file(path, bytes_of(old_text)).ok());
        Status status;
        {
          const FaultyOs faulty(n, e, kind);
          status = write_file(path, bytes_of(new_text));
          EXPECT_EQ(faulty.open_handles(), 0) << faulty.names()[n];
        }
        ++cases;
        EXPECT_EQ(content(path), status.ok() ? new_text : old_text) << "call " << n << ", error " << e << ": " << status.message();
        if (kind == FaultyOs::Kind::short_count) {
          EXPECT_TRUE(status.ok()) << status.message();
        }
        // A temporary may stay only where removing it failed too; then its age removes it.
        if (kind != FaultyOs::Kind::error_from_then_on) {
          EXPECT_EQ(list_folder(folder.path())->size(), 1u) << "call " << n;
        }
        (void)remove_stale_temporaries(folder.path(), INT64_MAX);
        EXPECT_EQ(list_folder(folder.path())->size(), 1u);
      }
    }
  }
  std::printf("%zu faults while writing\n", cases);
}

// Rename comes after the sync of what it names: the order is the promise.
TEST(FileFaults, TheFileIsSyncedBeforeItsNameAndTheFolderAfter) {
  const TempFolder folder;
  const FaultyOs counting;
  ASSERT_TRUE(write_file(folder / "entry", bytes_of("x")).ok());
  std::string order;
  for (const char* name : counting.names()) order += std::string(name) + " ";
  EXPECT_EQ(order, "open_new write sync close rename open_folder sync close ");
}

}  // namespace
}  // namespace kl
