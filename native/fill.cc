#include "fill.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace native {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
// Files that are open and wait: enough that no thread does.
constexpr size_t kWaiting = 64;

}  // namespace

Filler::Filler(int objects, int others, unsigned threads, const Control &control)
    : objects_(objects), others_(others), control_(control), buffer_(threads > 0 ? 0 : kBufferBytes) {
  for (unsigned each = 0; each < threads; each++) threads_.emplace_back([this] { loop(); });
}

Filler::~Filler() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    waiting_.clear();
  }
  given_.notify_all();
  for (auto &thread : threads_) thread.join();
}

void Filler::fill(Descriptor file, std::string_view path, Content content) {
  Task task{std::move(file), path, std::move(content)};
  if (threads_.empty()) return write(task, buffer_);
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return waiting_.size() < kWaiting || failure_; });
  if (failure_) throw *failure_;
  waiting_.push_back(std::move(task));
  given_.notify_one();
}

void Filler::wait() {
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return (waiting_.empty() && busy_ == 0) || failure_; });
  if (failure_) throw *failure_;
}

void Filler::loop() {
  std::vector<char> buffer(kBufferBytes);
  std::unique_lock lock(mutex_);
  for (;;) {
    given_.wait(lock, [this] { return !waiting_.empty() || ended_; });
    if (waiting_.empty()) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    busy_++;
    lock.unlock();
    std::optional<Failure> failure;
    try {
      write(task, buffer);
    } catch (Failure &thrown) {
      failure = std::move(thrown);
    } catch (const std::bad_alloc &) {
      failure = Failure{ENOMEM, "malloc", {}, {}};
    }
    lock.lock();
    busy_--;
    if (failure && !failure_) failure_ = std::move(failure);
    taken_.notify_all();
  }
}

void Filler::write(Task &task, std::vector<char> &buffer) const {
  auto &[file, path, content] = task;
  Descriptor object = openObject(objects_, others_, content);
  off_t from = 0;
  for (auto [offset, length] : content.segments) {
    while (length > 0) {
      control_.checkCancelled();
      size_t piece = std::min<uint64_t>(length, buffer.size());
      readExactly(object, buffer.data(), piece, from, path);
      writeExactly(file, buffer.data(), piece, static_cast<off_t>(offset), path);
      from += static_cast<off_t>(piece);
      offset += piece;
      length -= piece;
      control_.addBytes(piece);
    }
  }
  // A file that ends in a hole is longer than what was written.
  bool endsInHole = content.segments.empty() ? content.size > 0
                                             : content.segments.back().offset + content.segments.back().length < content.size;
  if (endsInHole) check(ftruncate(file, static_cast<off_t>(content.size)), "ftruncate", path);
  check(close(file.release()), "close", path);
}

}  // namespace native
