// Files that loop devices are put on to record what reaches a disk, and in which order. A FUSE file system with
// the files of a directory in it, and a file `control`; it serves one request after another, so that the log has one
// order for all of its disks.
//
//   log-disk DIRECTORY LOG MOUNT-POINT     says "ready", and serves until it is unmounted
//
//   log    = record*
//   record = kind:u32 disk:u32 offset:u64 length:u64 [data]           little-endian
//            kind 1 write (data follows), 2 flush, 3 a range that reads as zeros from now on,
//                 4 mark (data follows: its text)
//            disk = the number of the file, in the order of their names
//
// What is written to `control` is one command:
//
//   mark TEXT                                                         logs a mark
//   fail KIND DISK SKIP COUNT                                         KIND write, flush or read: the next SKIP such
//                                                                     requests are well, then COUNT of them are EIO
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_DISKS = 8, MOST_TEXT = 4096 };
enum Kind { WRITE = 1, FLUSH, ZERO, MARK };
enum Request { ON_WRITE, ON_FLUSH, ON_READ, REQUESTS };

static const char CONTROL[] = "/control";
static const char *const REQUEST_NAMES[REQUESTS] = {"write", "flush", "read"};

struct Fault {
  long skip;
  long count;
};

struct Disk {
  char name[256];
  int file;
  struct Fault faults[REQUESTS];
};

static struct Disk disks[MOST_DISKS];
static uint32_t diskCount;
static int logFile;

static void giveUp(const char *what) {
  perror(what);
  exit(1);
}

static void record(enum Kind kind, uint32_t disk, uint64_t offset, uint64_t length, const void *data) {
  struct {
    uint32_t kind, disk;
    uint64_t offset, length;
  } head = {kind, disk, offset, length};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)data, data ? length : 0}};
  ssize_t whole = (ssize_t)(sizeof head + parts[1].iov_len);
  if (writev(logFile, parts, 2) != whole) giveUp("log");
}

// Whether this request is one of those that are to fail.
static int fails(uint32_t disk, enum Request request) {
  struct Fault *fault = &disks[disk].faults[request];
  if (fault->count == 0) return 0;
  if (fault->skip > 0) return fault->skip--, 0;
  return fault->count--, 1;
}

static int diskOf(const char *path) {
  for (uint32_t disk = 0; disk < diskCount; disk++) {
    if (strcmp(disks[disk].name, path + 1) == 0) return (int)disk;
  }
  return -ENOENT;
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *configuration) {
  (void)connection, (void)configuration;
  printf("ready\n");
  fflush(stdout);
  return NULL;
}

static int getAttributes(const char *path, struct stat *stat, struct fuse_file_info *info) {
  (void)info;
  memset(stat, 0, sizeof *stat);
  if (strcmp(path, "/") == 0) {
    stat->st_mode = S_IFDIR | 0700;
    return 0;
  }
  stat->st_mode = S_IFREG | 0600;
  stat->st_nlink = 1;
  if (strcmp(path, CONTROL) == 0) return 0;
  int disk = diskOf(path);
  if (disk < 0) return disk;
  struct stat backing;
  if (fstat(disks[disk].file, &backing) < 0) return -errno;
  stat->st_size = backing.st_size;
  return 0;
}

static int openFile(const char *path, struct fuse_file_info *info) {
  // The kernel keeps nothing of it: a request of the block device is a request here.
  info->direct_io = 1;
  if (strcmp(path, CONTROL) == 0) {
    info->fh = MOST_DISKS;
    return 0;
  }
  int disk = diskOf(path);
  if (disk < 0) return disk;
  info->fh = (uint64_t)disk;
  return 0;
}

static int readFile(const char *path, char *data, size_t length, off_t offset, struct fuse_file_info *info) {
  (void)path;
  if (info->fh >= diskCount) return 0;
  if (fails((uint32_t)info->fh, ON_READ)) return -EIO;
  ssize_t got = pread(disks[info->fh].file, data, length, offset);
  return got < 0 ? -errno : (int)got;
}

static int obey(const char *data, size_t length) {
  char text[MOST_TEXT], name[16];
  if (length >= sizeof text) return -EINVAL;
  memcpy(text, data, length);
  text[length] = 0;
  if (strncmp(text, "mark ", 5) == 0) {
    record(MARK, 0, 0, strlen(text + 5), text + 5);
    return 0;
  }
  uint32_t disk;
  struct Fault fault;
  if (sscanf(text, "fail %15s %u %ld %ld", name, &disk, &fault.skip, &fault.count) != 4) return -EINVAL;
  if (disk >= diskCount) return -EINVAL;
  for (int request = 0; request < REQUESTS; request++) {
    if (strcmp(name, REQUEST_NAMES[request]) == 0) {
      disks[disk].faults[request] = fault;
      return 0;
    }
  }
  return -EINVAL;
}

static int writeFile(const char *path, const char *data, size_t length, off_t offset, struct fuse_file_info *info) {
  (void)path;
  if (info->fh >= diskCount) {
    int error = obey(data, length);
    return error < 0 ? error : (int)length;
  }
  if (fails((uint32_t)info->fh, ON_WRITE)) return -EIO;
  ssize_t put = pwrite(disks[info->fh].file, data, length, offset);
  if (put < 0) return -errno;
  record(WRITE, (uint32_t)info->fh, (uint64_t)offset, (uint64_t)put, data);
  return (int)put;
}

static int flushFile(const char *path, int dataOnly, struct fuse_file_info *info) {
  (void)path, (void)dataOnly;
  if (info->fh >= diskCount) return 0;
  if (fails((uint32_t)info->fh, ON_FLUSH)) return -EIO;
  record(FLUSH, (uint32_t)info->fh, 0, 0, NULL);
  return 0;
}

static int allocate(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *info) {
  (void)path;
  if (info->fh >= diskCount || !(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))) return -EOPNOTSUPP;
  int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(disks[info->fh].file, punch, offset, length) < 0) return -errno;
  record(ZERO, (uint32_t)info->fh, (uint64_t)offset, (uint64_t)length, NULL);
  return 0;
}

// `control` is opened to be written anew.
static int truncateFile(const char *path, off_t size, struct fuse_file_info *info) {
  (void)size, (void)info;
  return strcmp(path, CONTROL) == 0 ? 0 : -EPERM;
}

static int byName(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void openDisks(const char *directory) {
  struct dirent **names;
  int count = scandir(directory, &names, NULL, byName);
  if (count < 0) giveUp(directory);
  int parent = open(directory, O_RDONLY | O_DIRECTORY);
  for (int at = 0; at < count; at++) {
    if (names[at]->d_name[0] == '.') continue;
    if (diskCount == MOST_DISKS) giveUp("too many disks");
    struct Disk *disk = &disks[diskCount++];
    snprintf(disk->name, sizeof disk->name, "%s", names[at]->d_name);
    disk->file = openat(parent, disk->name, O_RDWR);
    if (disk->file < 0) giveUp(disk->name);
  }
}

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: log-disk DIRECTORY LOG MOUNT-POINT\n");
    return 2;
  }
  openDisks(words[1]);
  logFile = open(words[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  if (logFile < 0) giveUp(words[2]);
  struct fuse_operations operations = {
      .init = begin,
      .getattr = getAttributes,
      .open = openFile,
      .read = readFile,
      .write = writeFile,
      .fsync = flushFile,
      .fallocate = allocate,
      .truncate = truncateFile,
  };
  // In the foreground, one request at a time.
  char *parameters[] = {words[0], "-f", "-s", words[3]};
  return fuse_main(4, parameters, &operations, NULL);
}
