// Walks a tree into one packed buffer, in the order of its paths (by components).
//
//   scan       = record*
//   record     = length:u32 type:u8 detailed:u8 mountRoot:u8 zero:u8 mode:u32 uid:u32 gid:u32 links:u32
//                major:u32 minor:u32 flags:u32 mtimeNanoseconds:u32 ctimeNanoseconds:u32 mtimeSeconds:i64
//                ctimeSeconds:i64 inode:u64 size:u64 path:bytes detail
//   detail     = "" | target:bytes xattrCount:u32 (name:bytes value:bytes)* segmentCount:u32 (offset:u64 length:u64)*
//   bytes      = length:u32 byte*
//
// Integers are little-endian; `length` counts all that follows it in the record. `detail` is there when it
// was asked for. The segments are the data of a regular file, as SEEK_DATA and SEEK_HOLE tell. Symbolic links
// are not followed and other file systems not entered.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "native.h"
#include "scan-record.h"

namespace native {
namespace {

struct Options {
  bool detailed;
};

struct Node;

struct Directory {
  std::string path;
  std::vector<std::unique_ptr<Node>> children;  // sorted by name
};

struct Node {
  std::string name;
  Stats stats;
  std::vector<uint8_t> detail;
  std::unique_ptr<Directory> directory;  // when it is one that is entered
};

// Names of a directory, without "." and "..", with their inode numbers.
std::vector<std::pair<uint64_t, std::string>> list(int directory, std::string_view path) {
  struct Record {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
  };
  std::vector<std::pair<uint64_t, std::string>> names;
  alignas(8) char buffer[64 << 10];
  for (;;) {
    long length = check(syscall(SYS_getdents64, directory, buffer, sizeof(buffer)), "getdents64", path);
    if (length == 0) return names;
    for (long at = 0; at < length;) {
      const auto *record = reinterpret_cast<const Record *>(buffer + at);
      std::string_view name(record->name);
      if (name != "." && name != "..") names.emplace_back(record->inode, name);
      at += record->length;
    }
  }
}

// Path of an entry for the calls that know no directory descriptors. It goes through the descriptor, so that
// no other path is resolved.
struct DescriptorPath {
  char text[32 + 256];
  DescriptorPath(int directory, std::string_view name) {
    int length = snprintf(text, sizeof(text), "/proc/self/fd/%d/", directory);
    std::memcpy(text + length, name.data(), std::min<size_t>(name.size(), 255));
    text[length + std::min<size_t>(name.size(), 255)] = 0;
  }
};

void writeXattrs(Writer &writer, const char *file, std::string_view path) {
  char names[64 << 10];
  ssize_t length = llistxattr(file, names, sizeof(names));
  // A file system without attributes has none.
  if (length < 0 && errno == EOPNOTSUPP) length = 0;
  check(length, "llistxattr", path);
  size_t countAt = writer.bytes_.size();
  uint32_t count = 0;
  writer.number<uint32_t>(0);
  std::vector<char> value(64 << 10);
  for (ssize_t at = 0; at < length; at += static_cast<ssize_t>(std::strlen(names + at)) + 1) {
    const char *name = names + at;
    ssize_t size = lgetxattr(file, name, value.data(), value.size());
    if (size < 0 && errno == ENODATA) continue;
    check(size, "lgetxattr", path);
    writer.bytes(name);
    writer.bytes({value.data(), static_cast<size_t>(size)});
    count++;
  }
  std::memcpy(writer.bytes_.data() + countAt, &count, sizeof(count));
}

void writeSegments(Writer &writer, int file, uint64_t size, std::string_view path) {
  size_t countAt = writer.bytes_.size();
  uint32_t count = 0;
  writer.number<uint32_t>(0);
  for (off_t at = 0; at < static_cast<off_t>(size);) {
    off_t data = lseek(file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    check(data, "lseek SEEK_DATA", path);
    off_t hole = check(lseek(file, data, SEEK_HOLE), "lseek SEEK_HOLE", path);
    hole = std::min<off_t>(hole, static_cast<off_t>(size));
    writer.number<uint64_t>(static_cast<uint64_t>(data));
    writer.number<uint64_t>(static_cast<uint64_t>(hole - data));
    count++;
    at = hole;
  }
  std::memcpy(writer.bytes_.data() + countAt, &count, sizeof(count));
}

uint32_t flagsOf(const struct statx &stat) {
  uint32_t flags = 0;
  if (stat.stx_attributes & STATX_ATTR_IMMUTABLE) flags |= FS_IMMUTABLE_FL;
  if (stat.stx_attributes & STATX_ATTR_APPEND) flags |= FS_APPEND_FL;
  if (stat.stx_attributes & STATX_ATTR_NODUMP) flags |= FS_NODUMP_FL;
  return flags;
}

// The flags of an open file, of which statx(2) tells but a few.
uint32_t flagsOf(int file, const struct statx &stat, std::string_view path) {
  int flags = 0;
  if (ioctl(file, FS_IOC_GETFLAGS, &flags) == 0) return static_cast<uint32_t>(flags);
  if (errno != ENOTTY && errno != EOPNOTSUPP && errno != EINVAL) fail("ioctl FS_IOC_GETFLAGS", path);
  return flagsOf(stat);
}

class Walk {
 public:
  Walk(int root, Options options, const Control &control) : root_(root), options_(options), control_(control) {}

  std::vector<uint8_t> run() {
    Node top;
    describe(root_, "", top, "");
    if (!top.directory) fail("open", "", ENOTDIR);
    pending_.push_back(top.directory.get());
    std::vector<std::thread> others;
    for (unsigned i = 1; i < std::max(2u, std::thread::hardware_concurrency()); i++) {
      others.emplace_back([this] { loop(); });
    }
    loop();
    for (auto &thread : others) thread.join();
    if (failure_) throw *failure_;
    Writer writer;
    emit(writer, top);
    return std::move(writer.bytes_);
  }

  // The records of the paths in `packed` (bytes*) alone, in their order.
  std::vector<uint8_t> some(std::string_view packed) {
    Writer writer;
    Node top;
    describe(root_, "", top, "");
    for (Reader reader(packed); !reader.done();) {
      control_.checkCancelled();
      std::string path(reader.bytes());
      auto [parent, name] = splitPath(path);
      Descriptor directory(openBeneath(root_, parent, O_RDONLY | O_DIRECTORY));
      check(directory.operator int(), "openat2", parent);
      Node node;
      describe(directory, std::string(name), node, path);
      write(writer, node, path);
      control_.addItems(1);
    }
    return std::move(writer.bytes_);
  }

 private:
  void loop() {
    for (;;) {
      Directory *directory;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !pending_.empty() || busy_ == 0 || failure_; });
        if (failure_ || pending_.empty()) return;
        // Last in, first out: depth first, which bounds the queue.
        directory = pending_.back();
        pending_.pop_back();
        busy_++;
      }
      std::optional<Failure> failure;
      try {
        control_.checkCancelled();
        read(*directory);
      } catch (Failure &thrown) {
        failure = std::move(thrown);
      } catch (const std::bad_alloc &) {
        failure = Failure{ENOMEM, "malloc", {}, {}};
      }
      std::lock_guard lock(mutex_);
      if (failure && !failure_) failure_ = std::move(failure);
      busy_--;
      for (auto &child : directory->children) {
        if (child->directory) pending_.push_back(child->directory.get());
      }
      changed_.notify_all();
    }
  }

  void read(Directory &directory) {
    Descriptor open(openBeneath(root_, directory.path, O_RDONLY | O_DIRECTORY));
    check(open.operator int(), "openat2", directory.path);
    auto names = list(open, directory.path);
    // In the order of inodes the tables are read once and in sequence.
    std::sort(names.begin(), names.end());
    directory.children.reserve(names.size());
    for (auto &[inode, name] : names) {
      auto node = std::make_unique<Node>();
      node->name = std::move(name);
      describe(open, node->name, *node, joined(directory.path, node->name));
      directory.children.push_back(std::move(node));
    }
    std::sort(directory.children.begin(), directory.children.end(),
              [](const auto &a, const auto &b) { return a->name < b->name; });
    control_.addItems(names.size());
  }

  // Fills in `node` for `name` in `directory` ("" is the directory itself).
  void describe(int directory, const std::string &name, Node &node, const std::string &path) {
    struct statx stat {};
    int how = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name.empty() ? AT_EMPTY_PATH : 0);
    check(statx(directory, name.c_str(), how, STATX_BASIC_STATS, &stat), "statx", path);
    uint64_t device = static_cast<uint64_t>(stat.stx_dev_major) << 32 | stat.stx_dev_minor;
    if (name.empty()) device_ = device;
    bool foreign = device != device_;
    if (S_ISDIR(stat.stx_mode) && !foreign) node.directory = std::make_unique<Directory>(Directory{path, {}});
    uint32_t flags = flagsOf(stat);
    if (options_.detailed && !foreign) flags = writeDetail(directory, name, stat, node, path);
    node.stats = statsOf(stat, flags, foreign);
  }

  Stats statsOf(const struct statx &stat, uint32_t flags, bool foreign) const {
    Stats stats;
    stats.type = typeOfMode(stat.stx_mode);
    stats.detailed = options_.detailed && !foreign;
    stats.mountRoot = foreign;
    stats.mode = stat.stx_mode & 07777;
    stats.uid = stat.stx_uid;
    stats.gid = stat.stx_gid;
    stats.links = stat.stx_nlink;
    stats.major = stat.stx_rdev_major;
    stats.minor = stat.stx_rdev_minor;
    stats.flags = flags;
    stats.mtimeNanoseconds = stat.stx_mtime.tv_nsec;
    stats.ctimeNanoseconds = stat.stx_ctime.tv_nsec;
    stats.mtimeSeconds = stat.stx_mtime.tv_sec;
    stats.ctimeSeconds = stat.stx_ctime.tv_sec;
    stats.inode = stat.stx_ino;
    stats.size = stat.stx_size;
    return stats;
  }

  // Returns the inode flags.
  uint32_t writeDetail(int directory, const std::string &name, const struct statx &stat, Node &node,
                       const std::string &path) {
    Writer writer;
    Descriptor file;
    if (S_ISREG(stat.stx_mode) || S_ISDIR(stat.stx_mode)) {
      file = Descriptor(openBeneath(directory, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
      check(file.operator int(), "openat2", path);
    }
    if (S_ISLNK(stat.stx_mode)) {
      char target[4096];
      ssize_t length = check(readlinkat(directory, name.c_str(), target, sizeof(target)), "readlinkat", path);
      writer.bytes({target, static_cast<size_t>(length)});
    } else {
      writer.bytes({});
    }
    writeXattrs(writer, DescriptorPath(directory, name.empty() ? "." : name).text, path);
    if (S_ISREG(stat.stx_mode)) {
      writeSegments(writer, file, stat.stx_size, path);
    } else {
      writer.number<uint32_t>(0);
    }
    node.detail = std::move(writer.bytes_);
    return file >= 0 ? flagsOf(file, stat, path) : 0;
  }

  // Writes the tree below `top` without recursion: a hostile tree may be very deep.
  static void emit(Writer &writer, Node &top) {
    write(writer, top, "");
    std::vector<std::pair<Directory *, size_t>> stack{{top.directory.get(), 0}};
    while (!stack.empty()) {
      auto &[directory, next] = stack.back();
      if (next == directory->children.size()) {
        directory->children.clear();
        stack.pop_back();
        continue;
      }
      Node &node = *directory->children[next++];
      write(writer, node, joined(directory->path, node.name));
      if (node.directory) stack.emplace_back(node.directory.get(), 0);
    }
  }

  static void write(Writer &writer, const Node &node, const std::string &path) {
    writeRecord(writer, node.stats, path, {reinterpret_cast<const char *>(node.detail.data()), node.detail.size()});
  }

  int root_;
  Options options_;
  const Control &control_;
  uint64_t device_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Directory *> pending_;
  int busy_ = 0;
  std::optional<Failure> failure_;
};

// scanTree(root, detailed, control): resolves to the packed scan.
Napi::Value scanTree(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  Options options{info[1].As<Napi::Boolean>().Value()};
  auto scan = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {},
      [root, options, scan](const Control &control) { *scan = Walk(root, options, control).run(); },
      [scan](Napi::Env env) { return toBuffer(env, std::move(*scan)); });
}

// scanPaths(root, paths, control): resolves to the packed, detailed records of some paths.
Napi::Value scanPaths(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view paths = bytesOf(info[1]);
  auto scan = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [root, paths, scan](const Control &control) { *scan = Walk(root, Options{true}, control).some(paths); },
      [scan](Napi::Env env) { return toBuffer(env, std::move(*scan)); });
}

}  // namespace

void initScan(Napi::Env env, Napi::Object exports) {
  exports.Set("scanTree", Napi::Function::New(env, scanTree));
  exports.Set("scanPaths", Napi::Function::New(env, scanPaths));
}

}  // namespace native
