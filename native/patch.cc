// Runs a packed batch of operations on inodes beneath a directory, one after the other, and stops at the
// first that fails. What to do is the caller's business; here is only how. No path leaves the directory, no
// symbolic link is followed. The content of new files is written by other threads, if there are to be any: what
// comes after and does not touch inodes that have content may be done before it.
//
//   batch     = operation*
//   operation = %x01 path mode:u32                                  make a directory
//             | %x02 path size:u64 digest segments                  make a regular file from an object
//             | %x03 path target:bytes                              make a symbolic link
//             | %x04 path mode:u32 major:u32 minor:u32              make a device, fifo or socket
//             | %x05 path to:bytes                                  give the inode at `path` the further name `to`
//             | %x06 path to:bytes                                  rename, replacing what is at `to`
//             | %x07 path                                           remove a name that is no directory
//             | %x08 path                                           remove an empty directory
//             | %x09 path format:u32 change                         change metadata
//             | %x0a path size:u64 digest segments                  make the content of a file that of an object, in place
//             | %x0b path                                           report the inode
//             | %x0c path size:u64 %x00 segments                    make holes of what is in no segment, and zeros of holes in one
//             | %x0d path size:u64 digest segments                  make the content of a file that of an object, in other blocks
//   digest    = has:u8 (64 bytes if has)
//   segments  = count:u32 (offset:u64 length:u64)*
//   change    = what:u8 [uid:u32 gid:u32] [mode:u32] [removed:u32 name:bytes* set:u32 (name:bytes value:bytes)*]
//               [seconds:i64 nanoseconds:u32] [flags:u32 of:u32]
//               what: 1 owner, 2 mode, 4 attributes, 8 mtime, 16 flags (`flags` replace those in `of`), in that order
//   format    = the type that the inode must have (S_IFMT), else nothing is changed
//   reports   = (inode:u64 ctimeSeconds:i64 ctimeNanoseconds:u32)*
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "content.h"
#include "fill.h"
#include "native.h"
#include "parents.h"

namespace native {
namespace {

enum Code : uint8_t {
  kMakeDirectory = 1,
  kMakeFile,
  kMakeSymlink,
  kMakeNode,
  kLink,
  kRename,
  kUnlink,
  kRemoveDirectory,
  kChange,
  kRewrite,
  kReport,
  kSetHoles,
  kReplace,
};

enum What : uint8_t { kOwner = 1, kMode = 2, kAttributes = 4, kMtime = 8, kFlags = 16 };

class Batch {
 public:
  Batch(int root, int objects, int others, unsigned threads, const Control &control)
      : root_(root),
        control_(control),
        parents_(root),
        targets_(root),
        content_({objects, others}, control),
        filler_({objects, others}, threads, control) {}

  std::vector<uint8_t> run(std::string_view batch) {
    for (Reader reader(batch); !reader.done();) {
      control_.checkCancelled();
      auto code = reader.u8();
      auto path = reader.bytes();
      perform(code, path, reader);
      control_.addItems(1);
    }
    filler_.wait();
    return std::move(reports_.bytes_);
  }

 private:
  void perform(uint8_t code, std::string_view path, Reader &reader) {
    bool touchesInode = code >= kChange;
    // Writing changes the times of a file, and may take attributes away.
    if (touchesInode) filler_.wait();
    switch (code) {
      case kMakeDirectory: return makeDirectory(path, reader.u32());
      case kMakeFile: return makeFile(path, readContent(reader));
      case kMakeSymlink: return makeSymlink(path, reader.bytes());
      case kMakeNode: return makeNode(path, reader);
      case kLink: return link(path, reader.bytes());
      case kRename: return rename(path, reader.bytes());
      case kUnlink: return remove(path, 0);
      case kRemoveDirectory: return remove(path, AT_REMOVEDIR);
      case kChange: return change(path, reader);
      case kRewrite: return rewrite(path, readContent(reader));
      case kReport: return report(path);
      case kSetHoles: return setHoles(path, readContent(reader));
      case kReplace: return replace(path, readContent(reader));
      default: fail("decode", path, EINVAL);
    }
  }

  void makeDirectory(std::string_view path, mode_t mode) {
    auto place = parents_.of(path);
    check(mkdirat(place.directory, place.name, mode), "mkdirat", path);
  }

  void makeFile(std::string_view path, const Content &content) {
    auto place = parents_.of(path);
    Descriptor file(openat(place.directory, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    check(file.operator int(), "openat", path);
    filler_.fill(std::move(file), path, content);
  }

  // Gives the data of a file back and writes another one.
  void replace(std::string_view path, const Content &content) {
    filler_.fill(openToWrite(path, O_TRUNC), path, content);
  }

  void makeSymlink(std::string_view path, std::string_view target) {
    auto place = parents_.of(path);
    check(symlinkat(std::string(target).c_str(), place.directory, place.name), "symlinkat", path);
  }

  void makeNode(std::string_view path, Reader &reader) {
    uint32_t mode = reader.u32();
    uint32_t major = reader.u32();
    uint32_t minor = reader.u32();
    auto place = parents_.of(path);
    check(mknodat(place.directory, place.name, mode, makedev(major, minor)), "mknodat", path);
  }

  void link(std::string_view path, std::string_view to) {
    auto from = parents_.of(path);
    auto target = targets_.of(to);
    check(linkat(from.directory, from.name, target.directory, target.name, 0), "linkat", to);
  }

  void rename(std::string_view path, std::string_view to) {
    auto from = parents_.of(path);
    auto target = targets_.of(to);
    check(renameat(from.directory, from.name, target.directory, target.name), "renameat", to);
    forget(path);
  }

  void remove(std::string_view path, int flags) {
    auto place = parents_.of(path);
    check(unlinkat(place.directory, place.name, flags), "unlinkat", path);
    if (flags & AT_REMOVEDIR) forget(path);
  }

  void forget(std::string_view path) {
    parents_.forget(path);
    targets_.forget(path);
  }

  // The inode itself, whatever it is, without opening it for reading; it must have the format that is expected.
  Descriptor openInode(std::string_view path, mode_t format) {
    Descriptor inode;
    if (path.empty()) {
      inode = Descriptor(openBeneath(root_, "", O_PATH));
    } else {
      auto place = parents_.of(path);
      inode = Descriptor(openat(place.directory, place.name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }
    check(inode.operator int(), "openat", path);
    struct stat stat {};
    check(fstat(inode, &stat), "fstat", path);
    if ((stat.st_mode & S_IFMT) != format) fail("fstat", path, ESTALE);
    return inode;
  }

  void change(std::string_view path, Reader &reader) {
    mode_t format = reader.u32();
    uint8_t what = reader.u8();
    Descriptor inode = openInode(path, format);
    // Of a descriptor that names an inode only, this is the inode itself, a symbolic link included.
    std::string self = "/proc/self/fd/" + std::to_string(inode.operator int());
    if (what & kOwner) {
      uint32_t uid = reader.u32();
      uint32_t gid = reader.u32();
      check(fchownat(inode, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW), "fchownat", path);
    }
    if (what & kMode) check(chmod(self.c_str(), reader.u32()), "chmod", path);
    if (what & kAttributes) changeAttributes(self, path, reader);
    if (what & kMtime) {
      struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
      times[1].tv_sec = static_cast<time_t>(reader.u64());
      times[1].tv_nsec = reader.u32();
      check(utimensat(inode, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW), "utimensat", path);
      // Of a time that the file system cannot hold the kernel keeps another one and says nothing.
      struct stat stat {};
      check(fstat(inode, &stat), "fstat", path);
      bool isKept = stat.st_mtim.tv_sec == times[1].tv_sec && stat.st_mtim.tv_nsec == times[1].tv_nsec;
      if (!isKept) fail("utimensat", path, EOVERFLOW);
    }
    if (what & kFlags) {
      uint32_t flags = reader.u32();
      changeFlags(path, flags, reader.u32());
    }
  }

  void changeAttributes(const std::string &self, std::string_view path, Reader &reader) {
    for (uint32_t count = reader.u32(); count > 0; count--) {
      std::string name(reader.bytes());
      // The kernel itself takes some attributes away, when a file is written or changes its owner.
      if (removexattr(self.c_str(), name.c_str()) < 0 && errno != ENODATA) fail("removexattr", path, errno, name);
    }
    for (uint32_t count = reader.u32(); count > 0; count--) {
      std::string name(reader.bytes());
      auto value = reader.bytes();
      if (setxattr(self.c_str(), name.c_str(), value.data(), value.size(), 0) < 0) fail("setxattr", path, errno, name);
    }
  }

  void changeFlags(std::string_view path, uint32_t flags, uint32_t of) {
    Descriptor file(openBeneath(root_, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW));
    check(file.operator int(), "openat2", path);
    uint32_t now = 0;
    check(ioctl(file, FS_IOC_GETFLAGS, &now), "ioctl FS_IOC_GETFLAGS", path);
    uint32_t wanted = (now & ~of) | flags;
    if (wanted != now) check(ioctl(file, FS_IOC_SETFLAGS, &wanted), "ioctl FS_IOC_SETFLAGS", path);
  }

  // Makes the content of a file that of an object, writing only blocks that differ.
  void rewrite(std::string_view path, const Content &content) {
    Descriptor file = openToWrite(path, 0);
    content_.rewrite(file, path, content);
    check(close(file.release()), "close", path);
  }

  // Makes the holes of a file others, where all that is not a hole before and after is the same.
  void setHoles(std::string_view path, const Content &content) {
    Descriptor file = openToWrite(path, 0);
    content_.setHoles(file, path, content);
    check(close(file.release()), "close", path);
  }

  // A regular file that is there, which may be written to.
  Descriptor openToWrite(std::string_view path, int flags) {
    openInode(path, S_IFREG);
    Descriptor file(openBeneath(root_, path, O_RDWR | O_NOFOLLOW | flags));
    check(file.operator int(), "openat2", path);
    return file;
  }

  void report(std::string_view path) {
    struct statx stat {};
    if (path.empty()) {
      check(statx(root_, "", AT_EMPTY_PATH, STATX_INO | STATX_CTIME, &stat), "statx", path);
    } else {
      auto place = parents_.of(path);
      check(statx(place.directory, place.name, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_CTIME, &stat), "statx", path);
    }
    reports_.number<uint64_t>(stat.stx_ino);
    reports_.number<int64_t>(stat.stx_ctime.tv_sec);
    reports_.number<uint32_t>(stat.stx_ctime.tv_nsec);
  }

  int root_;
  const Control &control_;
  Parents parents_;
  Parents targets_;
  ContentWriter content_;
  Writer reports_;
  Filler filler_;
};

// runBatch(root, batch, objects, others, threads, control): resolves to the packed reports.
Napi::Value runBatch(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view batch = bytesOf(info[1]);
  int objects = info[2].As<Napi::Number>().Int32Value();
  int others = info[3].As<Napi::Number>().Int32Value();
  unsigned threads = info[4].As<Napi::Number>().Uint32Value();
  auto reports = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[5], {info[1]},
      [root, batch, objects, others, threads, reports](const Control &control) {
        *reports = Batch(root, objects, others, threads, control).run(batch);
      },
      [reports](Napi::Env env) { return toBuffer(env, std::move(*reports)); });
}

}  // namespace

void initPatch(Napi::Env env, Napi::Object exports) { exports.Set("runBatch", Napi::Function::New(env, runBatch)); }

}  // namespace native
