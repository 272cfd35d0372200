// The directories in which names are made, changed and removed.
#pragma once

#include <fcntl.h>

#include "native.h"

namespace native {

// A name in a directory that is open, valid until the next one is asked for.
struct Place {
  int directory;
  const char *name;
};

// Opens parents, and keeps the last one: operations come sorted by path.
class Parents {
 public:
  explicit Parents(int root) : root_(root) {}

  Place of(std::string_view path) {
    auto [directory, name] = splitPath(path);
    name_ = name;
    if (directory.empty()) return {root_, name_.c_str()};
    if (fd_ < 0 || directory != directory_) {
      fd_ = Descriptor(openBeneath(root_, directory, O_PATH | O_DIRECTORY));
      check(fd_.operator int(), "openat2", directory);
      directory_ = directory;
    }
    return {fd_, name_.c_str()};
  }

  // The directory at `path`, if it is one, is there no more, nor is what was below it.
  void forget(std::string_view path) {
    bool within = directory_.starts_with(path) && (directory_.size() == path.size() || directory_[path.size()] == '/');
    if (within) fd_ = Descriptor();
  }

 private:
  int root_;
  std::string directory_;
  std::string name_;
  Descriptor fd_;
};

}  // namespace native
