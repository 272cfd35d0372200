// Counts the bytes of file data that an image has and another one has nowhere.
//
// The data that is wanted is gathered from pages of both images as they are compared. Of the data that is there only the
// first eight bytes of each digest are kept meanwhile: they tell which of the compared pages may have any of it, so that
// the others need not be read once more.
//
//   pages   = number:u32*
//   bytes   = low:u64 high:u64
#include <algorithm>
#include <cstring>
#include <memory>

#include "native.h"
#include "pages.h"

namespace native {
namespace {

struct Data {
  uint8_t digest[kDigestBytes];
  uint64_t bytes;
};

// The beginning of a digest as a number that is ordered as digests are.
uint64_t prefixOf(const void *digest) {
  uint64_t prefix;
  std::memcpy(&prefix, digest, sizeof(prefix));
  return __builtin_bswap64(prefix);
}

int compareDigests(const void *a, const void *b) { return std::memcmp(a, b, kDigestBytes); }

// Data in pieces, so that what is there is not moved when more comes: there may be millions.
class DataList {
 public:
  void add(const FileData &file) {
    if (size_ % kPiece == 0) pieces_.push_back(std::make_unique<Data[]>(kPiece));
    Data &data = pieces_.back()[size_++ % kPiece];
    std::memcpy(data.digest, file.digest.data(), kDigestBytes);
    data.bytes = file.bytes;
  }

  size_t size() const { return size_; }
  const Data &operator[](size_t index) const { return pieces_[index / kPiece][index % kPiece]; }

 private:
  static constexpr size_t kPiece = 16'384;

  std::vector<std::unique_ptr<Data[]>> pieces_;
  size_t size_ = 0;
};

// Where the data of a list is, in the order of its digests, each of them once.
class SortedData {
 public:
  void sort(const DataList &list) {
    list_ = &list;
    places_.reserve(list.size());
    for (size_t at = 0; at < list.size(); at++) {
      places_.push_back({prefixOf(list[at].digest), static_cast<uint32_t>(at)});
    }
    auto compare = [&](const Place &a, const Place &b) { return compareDigests(list[a.at].digest, list[b.at].digest); };
    auto isBefore = [&](const Place &a, const Place &b) {
      if (a.prefix != b.prefix) return a.prefix < b.prefix;
      int order = compare(a, b);
      return order != 0 ? order < 0 : a.at < b.at;
    };
    auto isSame = [&](const Place &a, const Place &b) { return a.prefix == b.prefix && compare(a, b) == 0; };
    std::sort(places_.begin(), places_.end(), isBefore);
    places_.erase(std::unique(places_.begin(), places_.end(), isSame), places_.end());
    while (bits_ < kMaxBits && size_t{1} << bits_ < places_.size()) bits_++;
    starts_.resize((size_t{1} << bits_) + 1);
    for (const auto &place : places_) starts_[bucketOf(place.prefix) + 1]++;
    for (size_t at = 1; at < starts_.size(); at++) starts_[at] += starts_[at - 1];
  }

  // Where one is whose digest begins like this; as many as there are if there is none.
  size_t find(uint64_t prefix) const {
    return find(
        prefix, [&](const Place &place) { return place.prefix < prefix; },
        [&](const Place &place) { return place.prefix == prefix; });
  }

  size_t find(std::string_view digest) const {
    // The digest itself is looked at only where the beginnings are the same; somebody may have made up many that are.
    uint64_t prefix = prefixOf(digest.data());
    auto compare = [&](const Place &place) {
      if (place.prefix != prefix) return place.prefix < prefix ? -1 : 1;
      return compareDigests((*list_)[place.at].digest, digest.data());
    };
    return find(
        prefix, [&](const Place &place) { return compare(place) < 0; },
        [&](const Place &place) { return compare(place) == 0; });
  }

  size_t size() const { return places_.size(); }
  const Data &operator[](size_t index) const { return (*list_)[places_[index].at]; }

 private:
  struct Place {
    uint64_t prefix;
    uint32_t at;
  };
  static constexpr unsigned kMaxBits = 24;

  template <typename Before, typename Fits>
  size_t find(uint64_t prefix, const Before &isBefore, const Fits &fits) const {
    size_t bucket = bucketOf(prefix);
    auto begin = places_.begin() + starts_[bucket], end = places_.begin() + starts_[bucket + 1];
    auto found = std::partition_point(begin, end, isBefore);
    return found != end && fits(*found) ? static_cast<size_t>(found - places_.begin()) : size();
  }

  size_t bucketOf(uint64_t prefix) const { return bits_ == 0 ? 0 : prefix >> (64 - bits_); }

  const DataList *list_ = nullptr;
  std::vector<Place> places_;
  unsigned bits_ = 0;
  std::vector<uint32_t> starts_;
};

// What is in a page of the image that is there.
struct Prefixes {
  uint32_t page;
  std::vector<uint64_t> prefixes;
};

class NewData {
 public:
  void add(const Pages &have, const Pages &want, const Control &control) {
    Cursor a(have), b(want);
    for (uint32_t count = 0; a.valid() || b.valid(); count++) {
      if (count % 4096 == 0) control.checkCancelled();
      int order = !a.valid() ? 1 : !b.valid() ? -1 : comparePaths(a.path(), b.path());
      FileData before = order <= 0 ? dataOf(a.body(), a.path()) : FileData{};
      if (!before.digest.empty()) addPrefix(a.place().page, before.digest);
      FileData after = order >= 0 ? dataOf(b.body(), b.path()) : FileData{};
      if (!after.digest.empty() && after.digest != before.digest) wanted_.add(after);
      if (order <= 0) a.next();
      if (order >= 0) b.next();
    }
  }

  // Ends the gathering; returns the pages among them that may have data that is wanted.
  std::vector<uint32_t> end(const Control &control) {
    sorted_.sort(wanted_);
    known_.resize(sorted_.size());
    std::vector<uint8_t> mayHave(there_.size());
    forEachParallel(there_.size(), [&](size_t index) {
      control.checkCancelled();
      const auto &prefixes = there_[index].prefixes;
      mayHave[index] = std::any_of(prefixes.begin(), prefixes.end(),
                                   [&](uint64_t prefix) { return sorted_.find(prefix) != sorted_.size(); });
    });
    std::vector<uint32_t> pages;
    for (size_t at = 0; at < there_.size(); at++) {
      if (mayHave[at]) pages.push_back(there_[at].page);
    }
    there_ = {};
    return pages;
  }

  // Looks for what is wanted in pages of the image that is there.
  void lookIn(const Pages &pages, const Control &control) {
    forEachParallel(pages.size(), [&](size_t index) {
      control.checkCancelled();
      Pages alone{pages[index]};
      for (Cursor cursor(alone); cursor.valid(); cursor.next()) {
        auto digest = dataOf(cursor.body(), cursor.path()).digest;
        size_t at = digest.empty() ? sorted_.size() : sorted_.find(digest);
        if (at < sorted_.size()) std::atomic_ref(known_[at]).store(1, std::memory_order_relaxed);
      }
    });
  }

  unsigned __int128 bytes() const {
    unsigned __int128 sum = 0;
    for (size_t at = 0; at < sorted_.size(); at++) {
      if (!known_[at]) sum += sorted_[at].bytes;
    }
    return sum;
  }

  bool isEmpty() const { return sorted_.size() == 0; }

 private:
  void addPrefix(uint32_t page, std::string_view digest) {
    if (there_.empty() || there_.back().page != page) there_.push_back({page, {}});
    there_.back().prefixes.push_back(prefixOf(digest.data()));
  }

  DataList wanted_;
  std::vector<Prefixes> there_;
  SortedData sorted_;
  std::vector<uint8_t> known_;
};

NewData *handleOf(const Napi::Value &value) { return value.As<Napi::External<NewData>>().Data(); }

// createNewData(): a count to which nothing was added. Each call below ends before the next one begins.
Napi::Value createNewData(const Napi::CallbackInfo &info) {
  return Napi::External<NewData>::New(info.Env(), new NewData(), [](Napi::Env, NewData *data) { delete data; });
}

// addNewData(data, have, want, control): gathers from pages of both images that cover the same paths.
Napi::Value addNewData(const Napi::CallbackInfo &info) {
  auto *data = handleOf(info[0]);
  Pages have = pagesOf(info[1]), want = pagesOf(info[2]);
  return Job::run(
      info.Env(), info[3], {info[0], info[1], info[2]},
      [data, have, want](const Control &control) { data->add(have, want, control); },
      [](Napi::Env env) { return env.Undefined(); });
}

// endNewData(data, control): resolves to the packed numbers of the pages among those of `have` that must be looked in;
// to undefined where nothing is wanted, so that none has to be.
Napi::Value endNewData(const Napi::CallbackInfo &info) {
  auto *data = handleOf(info[0]);
  auto writer = std::make_shared<Writer>();
  return Job::run(
      info.Env(), info[1], {info[0]},
      [data, writer](const Control &control) {
        for (uint32_t page : data->end(control)) writer->number(page);
      },
      [data, writer](Napi::Env env) {
        return data->isEmpty() ? env.Undefined() : toBuffer(env, std::move(writer->bytes_));
      });
}

// lookForNewData(data, pages, control): looks for what is wanted in pages of the image that is there.
Napi::Value lookForNewData(const Napi::CallbackInfo &info) {
  auto *data = handleOf(info[0]);
  Pages pages = pagesOf(info[1]);
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [data, pages](const Control &control) { data->lookIn(pages, control); },
      [](Napi::Env env) { return env.Undefined(); });
}

// countNewData(data): the packed bytes of what was not found, after which there is no more.
Napi::Value countNewData(const Napi::CallbackInfo &info) {
  auto *data = handleOf(info[0]);
  auto bytes = data->bytes();
  *data = NewData();
  Writer writer;
  writer.number(static_cast<uint64_t>(bytes));
  writer.number(static_cast<uint64_t>(bytes >> 64));
  return toBuffer(info.Env(), std::move(writer.bytes_));
}

}  // namespace

void initNewData(Napi::Env env, Napi::Object exports) {
  exports.Set("createNewData", Napi::Function::New(env, createNewData));
  exports.Set("addNewData", Napi::Function::New(env, addNewData));
  exports.Set("endNewData", Napi::Function::New(env, endNewData));
  exports.Set("lookForNewData", Napi::Function::New(env, lookForNewData));
  exports.Set("countNewData", Napi::Function::New(env, countNewData));
}

}  // namespace native
