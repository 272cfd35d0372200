// Where objects are kept: a directory of them, and one on the same file system for what is not finished.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "native.h"
#include "sha512.h"

namespace native {

inline std::string objectPath(const Digest &digest) {
  return objectPath({reinterpret_cast<const char *>(digest.data()), digest.size()});
}

inline void writeAll(int fd, const char *data, size_t length, std::string_view path) {
  while (length > 0) {
    ssize_t written = check(write(fd, data, length), "write", path);
    data += written;
    length -= static_cast<size_t>(written);
  }
}

class ObjectDirectory {
 public:
  ObjectDirectory(int objects, int temporary) : objects_(objects), temporary_(temporary) {}
  bool exists() const { return objects_ >= 0; }

  bool has(const Digest &digest, uint64_t size) const {
    struct stat stat {};
    auto path = objectPath(digest);
    if (fstatat(objects_, path.c_str(), &stat, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) return false;
      fail("fstatat", path);
    }
    return S_ISREG(stat.st_mode) && static_cast<uint64_t>(stat.st_size) == size;
  }

  // Whether the object is there, with these bytes. What cannot be read is not.
  bool reads(const Digest &digest, std::string_view bytes) const {
    if (!has(digest, bytes.size())) return false;
    Descriptor fd(openat(objects_, objectPath(digest).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (fd < 0) return false;
    std::string found(bytes.size(), 0);
    for (size_t at = 0; at < found.size();) {
      ssize_t got = read(fd, found.data() + at, found.size() - at);
      if (got <= 0) return false;
      at += static_cast<size_t>(got);
    }
    return found == bytes;
  }

  // A file of its own; `name` receives what it is called.
  Descriptor create(std::string &name) const {
    static std::atomic<uint64_t> next{0};
    name = std::to_string(getpid()) + "-" + std::to_string(next++);
    return Descriptor(check(openat(temporary_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444), "openat", name));
  }

  void publish(const std::string &name, const Digest &digest) const {
    auto path = objectPath(digest);
    check(renameat(temporary_, name.c_str(), objects_, path.c_str()), "renameat", path);
  }

  void discard(const std::string &name) const { unlinkat(temporary_, name.c_str(), 0); }

 private:
  int objects_;
  int temporary_;
};

// A temporary object that goes with its scope unless it is published.
class TemporaryObject {
 public:
  explicit TemporaryObject(const ObjectDirectory &directory) : directory_(directory), file_(directory.create(name_)) {}
  ~TemporaryObject() {
    if (!name_.empty()) directory_.discard(name_);
  }
  void write(const char *data, size_t length) { writeAll(file_, data, length, name_); }
  void publish(const Digest &digest) {
    int fd = file_.release();
    check(close(fd), "close", name_);
    directory_.publish(name_, digest);
    name_.clear();
  }

 private:
  const ObjectDirectory &directory_;
  std::string name_;
  Descriptor file_;
};

}  // namespace native
