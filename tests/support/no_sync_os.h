// An operating system that waits for no medium, for tests that write many files and never cut the power. One at a time per process.
#pragma once
#include "core/os.h"

namespace kl::test {

class NoSyncOs {
 public:
  NoSyncOs() {
    static const OsTable kTable = [] {
      OsTable table = posix_os();
      table.sync = [](int fd) {
        OsFileStat open;
        return posix_os().stat(fd, &open);
      };
      return table;
    }();
    install_os(&kTable);
  }
  ~NoSyncOs() { install_os(nullptr); }
  NoSyncOs(const NoSyncOs&) = delete;
  NoSyncOs& operator=(const NoSyncOs&) = delete;
};

}  // namespace kl::test
