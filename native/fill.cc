#include "fill.h"

#include <unistd.h>

namespace native {
namespace {

// Files that are open and wait: enough that no thread does.
constexpr size_t kWaiting = 64;

void write(ContentWriter &writer, Descriptor &file, std::string_view path, const Content &content) {
  writer.write(file, path, content);
  check(close(file.release()), "close", path);
}

}  // namespace

Filler::Filler(Objects objects, unsigned threads, const Control &control)
    : objects_(objects), control_(control), writer_(objects, control) {
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
  if (threads_.empty()) return write(writer_, file, path, content);
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return waiting_.size() < kWaiting || failure_; });
  if (failure_) throw *failure_;
  waiting_.push_back({std::move(file), path, std::move(content)});
  given_.notify_one();
}

void Filler::wait() {
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [this] { return (waiting_.empty() && busy_ == 0) || failure_; });
  if (failure_) throw *failure_;
}

void Filler::loop() {
  ContentWriter writer(objects_, control_);
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
      write(writer, task.file, task.path, task.content);
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

}  // namespace native
