// Finds the pages of a manifest whose entries are on a volume as a scan without detail found them (native/scan.cc has
// its grammar).
//
//   table    = (inode:u32 ctime:i64)*                   one row for each entry of a page; ctime in nanoseconds
//   matches  = (whole:u8 inodes:u32 start:u64 end:u64 bytes:u64 blocks:u64)*      one for each page
//
// `whole` is 1 if the records between the page's first path and that of the page behind it are just its entries, each
// as it was: path, kind, stats, and all names of its inode. `start` and `end` say where these records are in the scan,
// `inodes` how many inodes they are; `bytes` and `blocks` are what the page adds to those of its index.
#include <cstring>
#include <unordered_map>

#include "native.h"
#include "pages.h"

namespace native {
namespace {

constexpr uint64_t kFile = 1, kDirectory = 2, kSymlink = 3, kLink = 8;
constexpr size_t kRowBytes = 12;
constexpr uint64_t kBlock = 4096;
// A shorter target of a symbolic link takes no block.
constexpr uint64_t kShortTarget = 60;

template <typename T>
T numberAt(const char *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// A record of the scan, where it lies.
struct Record {
  const char *at;  // behind its length

  uint8_t type() const { return static_cast<uint8_t>(at[0]); }
  uint32_t mode() const { return numberAt<uint32_t>(at + 4); }
  uint32_t uid() const { return numberAt<uint32_t>(at + 8); }
  uint32_t gid() const { return numberAt<uint32_t>(at + 12); }
  uint32_t links() const { return numberAt<uint32_t>(at + 16); }
  uint32_t mtimeNanoseconds() const { return numberAt<uint32_t>(at + 32); }
  int64_t mtimeSeconds() const { return numberAt<int64_t>(at + 40); }
  int64_t ctime() const {
    return static_cast<int64_t>(numberAt<uint64_t>(at + 48) * 1'000'000'000 + numberAt<uint32_t>(at + 36));
  }
  uint64_t inode() const { return numberAt<uint64_t>(at + 56); }
  uint64_t size() const { return numberAt<uint64_t>(at + 64); }
  std::string_view path() const { return {at + 76, numberAt<uint32_t>(at + 72)}; }
  bool hasNames() const { return type() != kDirectory && links() > 1; }
};

struct Match {
  bool whole = false;
  uint32_t inodes = 0;
  uint64_t start = 0, end = 0, bytes = 0, blocks = 0;
};

class Scan {
 public:
  explicit Scan(std::string_view packed) : packed_(packed) {
    for (Reader reader(packed); !reader.done();) {
      Record record{reader.bytes().data()};
      // The file system's own.
      if (record.path() == "lost+found" && record.type() == kDirectory) continue;
      if (record.hasNames()) names_[record.inode()].push_back(record.path());
      records_.push_back(record);
    }
  }

  size_t size() const { return records_.size(); }
  const Record &operator[](size_t index) const { return records_[index]; }

  // The first record whose path is not before `path`.
  size_t find(std::string_view path) const {
    auto before = [](const Record &record, std::string_view wanted) { return comparePaths(record.path(), wanted) < 0; };
    return static_cast<size_t>(std::lower_bound(records_.begin(), records_.end(), path, before) - records_.begin());
  }

  uint64_t offsetOf(size_t index) const {
    return index == records_.size() ? packed_.size() : static_cast<uint64_t>(records_[index].at - packed_.data() - 4);
  }

  // All names of an inode that has several, in order.
  const std::vector<std::string_view> &namesOf(const Record &record) const { return names_.at(record.inode()); }

 private:
  std::string_view packed_;
  std::vector<Record> records_;
  std::unordered_map<uint64_t, std::vector<std::string_view>> names_;
};

// Whether the further names in the body of an entry, which is read on, are all that the record's inode has.
bool hasNames(Body &body, const Record &record, const Scan &scan) {
  uint64_t count = body.varint();
  if (!record.hasNames()) return count == 0;
  const auto &names = scan.namesOf(record);
  if (names.size() != count + 1 || names[0] != record.path()) return false;
  for (size_t at = 1; at <= count; at++) {
    if (body.bytes() != names[at]) return false;
  }
  return true;
}

bool isLinkTo(std::string_view target, const Record &record, const Scan &scan) {
  return record.hasNames() && scan.namesOf(record)[0] == target && target != record.path();
}

void addFile(Body &body, Match &match, uint64_t size) {
  uint64_t blocks = (size + kBlock - 1) / kBlock;
  for (uint64_t holes = body.varint(); holes > 0; holes--) {
    body.varint();
    blocks -= body.varint();
  }
  match.bytes += size;
  match.blocks += blocks;
}

// Whether an entry is what the record says; if so it is added to `match`.
bool isAsItWas(const Cursor &entry, const Record &record, const char *row, const Scan &scan, Match &match) {
  if (record.path() != entry.path() || record.inode() != numberAt<uint32_t>(row)) return false;
  if (record.ctime() != numberAt<int64_t>(row + 4)) return false;
  Body body(entry.body(), entry.path());
  uint64_t type = body.varint();
  if (type == kLink) return isLinkTo(body.bytes(), record, scan);
  if (type != record.type() || body.varint() != record.mode()) return false;
  if (body.varint() != record.uid() || body.varint() != record.gid()) return false;
  if (body.zigzag() != record.mtimeSeconds() || body.varint() != record.mtimeNanoseconds()) return false;
  match.inodes++;
  if (type == kDirectory) return true;
  body.varint();  // flags: no change of them leaves ctime as it was, nor does one of attributes
  for (uint64_t count = body.varint(); count > 0; count--) {
    body.skipBytes();
    body.skipBytes();
  }
  if (!hasNames(body, record, scan)) return false;
  if (type == kSymlink && body.bytes().size() >= kShortTarget) match.blocks++;
  if (type != kFile) return true;
  if (body.varint() != record.size()) return false;
  addFile(body, match, record.size());
  return true;
}

Match matchPage(const Page &page, std::string_view table, const Scan &scan) {
  if (table.size() != page.entries * kRowBytes) fail("page", page.first, EBADMSG);
  Match match;
  size_t index = scan.find(page.first);
  match.start = scan.offsetOf(index);
  Pages alone{page};
  size_t row = 0;
  for (Cursor entry(alone); entry.valid(); entry.next(), index++, row += kRowBytes) {
    if (index == scan.size() || row == table.size()) return match;
    if (!isAsItWas(entry, scan[index], table.data() + row, scan, match)) return match;
  }
  match.end = scan.offsetOf(index);
  match.whole = index == scan.size() ? page.next.empty() : page.next == scan[index].path();
  return match;
}

// matchScan(scan, pages, tables, control): resolves to the packed matches of the pages.
Napi::Value matchScan(const Napi::CallbackInfo &info) {
  std::string_view packed = bytesOf(info[0]);
  Pages pages = pagesOf(info[1]);
  auto given = info[2].As<Napi::Array>();
  std::vector<std::string_view> tables;
  for (uint32_t at = 0; at < given.Length(); at++) tables.push_back(bytesOf(given.Get(at)));
  auto packedMatches = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[3], {info[0], info[1], info[2]},
      [packed, pages, tables, packedMatches](const Control &control) {
        if (tables.size() != pages.size()) fail("decode", {}, EINVAL);
        Scan scan(packed);
        std::vector<Match> matches(pages.size());
        forEachParallel(pages.size(), [&](size_t index) {
          control.checkCancelled();
          matches[index] = matchPage(pages[index], tables[index], scan);
        });
        Writer writer;
        for (const auto &match : matches) {
          writer.number<uint8_t>(match.whole);
          writer.number(match.inodes);
          for (uint64_t number : {match.start, match.end, match.bytes, match.blocks}) writer.number(number);
        }
        *packedMatches = std::move(writer.bytes_);
      },
      [packedMatches](Napi::Env env) { return toBuffer(env, std::move(*packedMatches)); });
}

}  // namespace

void initMatchScan(Napi::Env env, Napi::Object exports) {
  exports.Set("matchScan", Napi::Function::New(env, matchScan));
}

}  // namespace native
