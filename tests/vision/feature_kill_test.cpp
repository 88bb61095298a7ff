// kill -9 during disk-cache writes (B5): a child process writes entries and is killed at its n-th write-class call, for every n; what it had
// committed is there afterwards, bit for bit, nothing half-written is found, nothing is left behind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "feature_support.h"
#include "support/no_sync_os.h"
#include "support/temp_folder.h"
#include "vision/feature_disk.h"

namespace kl {
namespace {

using test::same;
using test::some_features;
using test::some_key;
using test::TempFolder;

constexpr uint64_t kEntries = 14;
// So large that a write can be cut in the middle of a sector and of a value.
Features uneven_features(uint64_t number) { return some_features(number, 40 + static_cast<uint32_t>(number), 33); }

// Counts calls that change the folder; kills this process at one of them: before it, or in the middle of a write's bytes.
struct KillingOs {
  static void install(uint64_t at) {
    kill_at() = at;
    static const OsTable kTable = [] {
      OsTable table = posix_os();
      table.open_new = [](const char* path) { return step(), posix_os().open_new(path); };
      table.write = [](int fd, const void* bytes, size_t size) -> int64_t {
        if (calls() + 1 == kill_at()) (void)posix_os().write(fd, bytes, size * (kill_at() % 8) / 8);
        return step(), posix_os().write(fd, bytes, size);
      };
      table.touch = [](int fd) { return step(), posix_os().touch(fd); };
      table.sync = [](int) { return step(), 0; };  // a killed process takes nothing with it that the system has
      table.rename = [](const char* from, const char* to) { return step(), posix_os().rename(from, to); };
      table.unlink = [](const char* path) { return step(), posix_os().unlink(path); };
      table.make_folder = [](const char* path) { return step(), posix_os().make_folder(path); };
      table.close = [](int fd) { return step(), posix_os().close(fd); };
      return table;
    }();
    install_os(&kTable);
  }
  static uint64_t calls_made() { return calls(); }

 private:
  static void step() {
    if (++calls() == kill_at()) (void)::kill(::getpid(), SIGKILL);
  }
  static uint64_t& calls() {
    static uint64_t n = 0;
    return n;
  }
  static uint64_t& kill_at() {
    static uint64_t n = 0;
    return n;
  }
};

// What the child does; it says so when an entry is committed.
void write_entries(const std::string& folder, uint64_t budget, int told) {
  const auto disk = FeatureDisk::open({folder, budget, 6});
  if (!disk.ok()) return;
  for (uint8_t number = 0; number < kEntries; ++number) {
    if (!(*disk)->write(uneven_features(number)).ok()) return;
    (void)::write(told, &number, 1);
    if (!(*disk)->write_source(some_key(1000 + number), some_key(number)).ok()) return;
    if (number % 3 == 2) (void)(*disk)->read(some_key(number - 1));  // renews it
  }
}

struct Child {
  bool killed = false;
  std::vector<uint8_t> committed;  // in order
};

Child run_child(const std::string& folder, uint64_t budget, uint64_t kill_at) {
  Child child;
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) return child;
  const pid_t process = ::fork();
  if (process == 0) {
    KillingOs::install(kill_at);
    write_entries(folder, budget, ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  uint8_t number = 0;
  while (::read(ends[0], &number, 1) == 1) child.committed.push_back(number);
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(process, &status, 0), process);
  child.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(child.killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return child;
}

struct Found {
  size_t points = 0, entries = 0, uncommitted = 0;
};

// After a kill at call n. `kept`: how many of the committed ones, counted from the last, must be there whatever was displaced.
void check_after(const TempFolder& folder, uint64_t budget, const Child& child, size_t kept, Found& found) {
  const std::string cache = folder / "cache";
  if (!std::filesystem::exists(cache)) return;
  const auto disk = FeatureDisk::open({cache, budget, 6});
  ASSERT_TRUE(disk.ok()) << disk.status().message();
  std::set<uint64_t> present;
  for (uint64_t number = 0; number < kEntries; ++number) {
    const Result<Features> read = (*disk)->read(some_key(number));
    ASSERT_TRUE(read.ok() || read.status().code() == Code::not_found) << read.status().message();
    if (read.ok()) {
      ASSERT_TRUE(same(*read, uneven_features(number))) << number;
      present.insert(number);
    }
    const Result<FeatureKey> source = (*disk)->read_source(some_key(1000 + number));
    ASSERT_TRUE(source.ok() ? *source == some_key(number) : source.status().code() == Code::not_found);
  }
  for (size_t i = child.committed.size() - std::min(kept, child.committed.size()); i < child.committed.size(); ++i) {
    ASSERT_TRUE(present.contains(child.committed[i])) << "entry " << int{child.committed[i]} << " was committed";
  }
  found.entries += present.size();
  for (const uint64_t number : present) found.uncommitted += number >= child.committed.size() ? 1 : 0;
  ASSERT_EQ((*disk)->errors(), 0u) << "nothing damaged was even seen";
  ASSERT_LE((*disk)->bytes(), budget);
  for (const char* part : {"/features", "/feature_sources"}) {
    const auto names = list_folder(cache + part);
    for (const std::string& name : *names) ASSERT_EQ(name.size(), 64u) << "left behind: " << name;
  }
  ASSERT_EQ(list_folder(cache + "/features")->size(), present.size());
}

Found kill_everywhere(uint64_t budget, size_t kept) {
  Found found;
  const test::NoSyncOs no_sync;
  for (uint64_t n = 1;; ++n) {
    const TempFolder folder;
    const Child child = run_child(folder / "cache", budget, n);
    if (::testing::Test::HasFatalFailure()) return found;
    check_after(folder, budget, child, kept, found);
    if (::testing::Test::HasFatalFailure()) {
      ADD_FAILURE() << "killed at call " << n;
      return found;
    }
    if (!child.killed) {
      EXPECT_EQ(child.committed.size(), kEntries) << "the last child was left to finish";
      return found;
    }
    ++found.points;
  }
}

TEST(FeatureDiskKill, AtEveryWriteClassCallNothingHalfWrittenIsReadAndNothingCommittedIsLost) {
  const Found found = kill_everywhere(1 << 20, kEntries);
  EXPECT_GE(found.points, 200u);
  EXPECT_GT(found.uncommitted, 10u) << "some were killed between the rename and saying so";
  std::printf("%zu kills, %zu entries found whole\n", found.points, found.entries);
}

TEST(FeatureDiskKill, AlsoWhileOthersAreRemovedToMakeRoom) {
  const uint64_t three = 3 * (76 + 12 + 53 * 33 * 4 + 16) + 100;
  const Found found = kill_everywhere(three, 1);  // the last one is never the one used longest ago
  EXPECT_GE(found.points, 200u);
  std::printf("%zu kills, %zu entries found whole\n", found.points, found.entries);
}

}  // namespace
}  // namespace kl
