#include "vision/feature_writer.h"

#include <algorithm>
#include <exception>
#include <system_error>

namespace kl {

FeatureWriter::~FeatureWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FeatureWriter::add(std::shared_ptr<const Features> features) {
  Job job;
  job.key = features->key;
  job.features = std::move(features);
  queue(std::move(job));
}

void FeatureWriter::add_source(const FeatureKey& source, const FeatureKey& key) {
  Job job;
  job.source = source;
  job.key = key;
  queue(std::move(job));
}

void FeatureWriter::queue(Job job) {
  const uint64_t bytes = job.features ? job.features->bytes() : 0;
  {
    const std::lock_guard lock(mutex_);
    if (!jobs_.empty() && waiting_bytes_ + bytes > kMaxWaiting) return;
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { run(); });
      } catch (const std::system_error&) {
        ++failures_;
        return;
      }
    }
    jobs_.push_back(std::move(job));
    waiting_bytes_ += bytes;
  }
  work_.notify_one();
}

void FeatureWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    waiting_bytes_ -= job.features ? job.features->bytes() : 0;
    busy_ = true;
    if (job.features) writing_ = job.key;
    lock.unlock();
    bool failed = false;
    try {
      // The disk counts its own errors.
      (void)(job.features ? disk_.write(*job.features) : disk_.write_source(job.source, job.key));
    } catch (const std::exception&) {  // no memory for the entry's bytes: as if the disk had refused
      failed = true;
    }
    job = {};  // unpins the entry before anybody is told
    lock.lock();
    failures_ += failed ? 1 : 0;
    busy_ = false;
    writing_.reset();
    if (jobs_.empty()) idle_.notify_all();
  }
}

bool FeatureWriter::waits(const FeatureKey& key) const {
  const std::lock_guard lock(mutex_);
  return writing_ == key || std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.features && job.key == key; });
}

void FeatureWriter::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return jobs_.empty() && !busy_; });
}

void FeatureWriter::discard() {
  std::deque<Job> dropped;
  std::unique_lock lock(mutex_);
  dropped.swap(jobs_);
  waiting_bytes_ = 0;
  idle_.wait(lock, [&] { return jobs_.empty() && !busy_; });
}

uint64_t FeatureWriter::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace kl
