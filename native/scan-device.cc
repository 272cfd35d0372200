// Scans the tree of an ext4 file system on a device that nobody has mounted, into what a walk through it without detail
// gives (native/scan.cc has the grammar). Its tables of inodes are read in the order in which they lie, rather than
// inode by inode.
#include <algorithm>

#include "ext4.h"

namespace native {
namespace {

using namespace ext4;

constexpr size_t kAtOnce = 128;  // blocks

// The inodes of a group that have a name, by number.
struct Inodes {
  std::vector<Stats> stats;
  std::vector<DirectoryInode> directories;
};

class DeviceScan {
 public:
  DeviceScan(int device, const Control &control) : fs_(openFileSystem(device)), control_(control) {}

  std::vector<uint8_t> run() {
    readTables();
    readDirectories();
    Writer writer;
    emit(writer);
    return std::move(writer.bytes_);
  }

 private:
  struct Directory {
    uint32_t number;
    bool entered = false;
    Names names;
  };

  void readTables() {
    inodes_.resize(fs_.groups.size());
    forEachParallel(inodes_.size(), [&](size_t group) { readTable(group); });
    size_t found = 0;
    for (const auto &inodes : inodes_) found += inodes.stats.size();
    require(found <= fs_.inodesInUse);
  }

  void readTable(size_t index) {
    const Group &group = fs_.groups[index];
    size_t perBlock = kBlock / fs_.inodeBytes;
    size_t blocks = (group.inodes + perBlock - 1) / perBlock;
    std::vector<uint8_t> buffer(std::min(blocks, kAtOnce) * kBlock);
    DirectoryInode directory;
    Stats stats;
    for (size_t done = 0; done < blocks; done += kAtOnce) {
      control_.checkCancelled();
      size_t count = std::min(kAtOnce, blocks - done);
      fs_.read(group.table + done, count, buffer.data());
      size_t first = done * perBlock, end = std::min<size_t>(group.inodes, first + count * perBlock);
      for (size_t at = first; at < end; at++) {
        auto number = static_cast<uint32_t>(index * fs_.inodesPerGroup + at + 1);
        if (!readInode(fs_, buffer.data() + (at - first) * fs_.inodeBytes, number, stats, directory)) continue;
        inodes_[index].stats.push_back(stats);
        if (stats.type == kTypeDirectory) inodes_[index].directories.push_back(directory);
      }
    }
  }

  void readDirectories() {
    std::vector<DirectoryInode> found;
    for (auto &inodes : inodes_) {
      found.insert(found.end(), inodes.directories.begin(), inodes.directories.end());
      inodes.directories = {};
    }
    directories_.resize(found.size());
    forEachParallel(found.size(), [&](size_t index) {
      control_.checkCancelled();
      directories_[index].number = found[index].number;
      directories_[index].names = readNames(fs_, found[index]);
      control_.addItems(directories_[index].names.names.size());
    });
  }

  const Stats &statsOf(uint32_t number) const {
    const auto &stats = inodes_[(number - 1) / fs_.inodesPerGroup].stats;
    auto before = [](const Stats &one, uint32_t wanted) { return one.inode < wanted; };
    auto found = std::lower_bound(stats.begin(), stats.end(), number, before);
    require(found != stats.end() && found->inode == number);
    return *found;
  }

  // A directory has one name only.
  Directory &enter(uint32_t number) {
    auto before = [](const Directory &one, uint32_t wanted) { return one.number < wanted; };
    auto found = std::lower_bound(directories_.begin(), directories_.end(), number, before);
    require(found != directories_.end() && found->number == number && !found->entered);
    found->entered = true;
    return *found;
  }

  // Writes the tree without recursion: a hostile one may be very deep.
  void emit(Writer &writer) {
    struct Level {
      Directory &directory;
      size_t next, pathLength;
    };
    writeRecord(writer, statsOf(kRootInode), "");
    std::string path;
    std::vector<Level> stack{{enter(kRootInode), 0, 0}};
    while (!stack.empty()) {
      auto &[directory, next, pathLength] = stack.back();
      path.resize(pathLength);
      if (next == directory.names.names.size()) {
        directory.names = {};
        stack.pop_back();
        continue;
      }
      const Name &name = directory.names.names[next++];
      if (pathLength > 0) path += '/';
      path += directory.names.of(name);
      const Stats &stats = statsOf(name.inode);
      writeRecord(writer, stats, path);
      if (stats.type == kTypeDirectory) stack.push_back({enter(name.inode), 0, path.size()});
    }
  }

  FileSystem fs_;
  const Control &control_;
  std::vector<Inodes> inodes_;         // by group
  std::vector<Directory> directories_;  // by number
};

// scanDevice(device, control): resolves to the packed scan. Fails with EUCLEAN where the file system is not of a kind that
// is understood, or not in order.
Napi::Value scanDevice(const Napi::CallbackInfo &info) {
  int device = info[0].As<Napi::Number>().Int32Value();
  auto scan = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[1], {},
      [device, scan](const Control &control) { *scan = DeviceScan(device, control).run(); },
      [scan](Napi::Env env) { return toBuffer(env, std::move(*scan)); });
}

}  // namespace

void initScanDevice(Napi::Env env, Napi::Object exports) {
  exports.Set("scanDevice", Napi::Function::New(env, scanDevice));
}

}  // namespace native
