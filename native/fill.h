// Writing the content of new files, while whoever made them goes on.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "content.h"

namespace native {

// Fills files from objects in either of two directories, on threads of its own or, without any, at once.
class Filler {
 public:
  Filler(Objects objects, unsigned threads, const Control &control);
  // Ends the threads; what was not begun is not done.
  ~Filler();
  Filler(const Filler &) = delete;
  Filler &operator=(const Filler &) = delete;

  // Writes the content of a file that is empty, and closes it. What `path` and `content` refer to must last.
  // Throws the failure of this file or of an earlier one.
  void fill(Descriptor file, std::string_view path, Content content);
  // Returns when all that was given is written; throws the first failure.
  void wait();

 private:
  struct Task {
    Descriptor file;
    std::string_view path;
    Content content;
  };

  void loop();

  Objects objects_;
  const Control &control_;
  ContentWriter writer_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable given_, taken_;
  std::deque<Task> waiting_;
  size_t busy_ = 0;
  bool ended_ = false;
  std::optional<Failure> failure_;
};

}  // namespace native
