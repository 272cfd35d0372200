// Making a file system, by e2fsprogs, on a device that is open already: the tool is given the descriptor,
// not a name that may by then stand for another device.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native.h"

extern char **environ;

namespace native {
namespace {

// The number that the device has in the tool, which opens it as /proc/self/fd/3.
constexpr int kDeviceDescriptor = 3;
constexpr int kPollMilliseconds = 100;
constexpr size_t kMaxOutput = 64 << 10;

struct Outcome {
  int status = 0;
  std::string output;
};

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  void redirect(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
  void openNull(int to) { posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", O_RDONLY, 0); }
  const posix_spawn_file_actions_t *get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// Reads what the tool says until it closes its output; kills it when the work is cancelled.
void collect(int output, pid_t child, const Control &control, std::string &text) {
  char buffer[4096];
  for (;;) {
    try {
      control.checkCancelled();
    } catch (const Failure &) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      throw;
    }
    pollfd ready{output, POLLIN, 0};
    if (poll(&ready, 1, kPollMilliseconds) <= 0) continue;
    ssize_t length = read(output, buffer, sizeof(buffer));
    if (length <= 0) return;
    if (text.size() < kMaxOutput) text.append(buffer, static_cast<size_t>(length));
  }
}

Outcome runTool(int device, const std::vector<std::string> &command, const Control &control) {
  int pipes[2];
  check(pipe2(pipes, O_CLOEXEC), "pipe2");
  Descriptor output(pipes[0]);
  Descriptor input(pipes[1]);
  SpawnActions actions;
  actions.openNull(0);
  actions.redirect(input, 1);
  actions.redirect(input, 2);
  // A descriptor that is duplicated onto itself would keep its close-on-exec flag.
  Descriptor duplicate(check(fcntl(device, F_DUPFD_CLOEXEC, kDeviceDescriptor + 1), "fcntl"));
  actions.redirect(duplicate, kDeviceDescriptor);
  std::vector<char *> arguments;
  for (const auto &word : command) arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int error = posix_spawnp(&child, arguments[0], actions.get(), nullptr, arguments.data(), environ);
  if (error) fail("spawn", command[0], error);
  input = Descriptor();
  Outcome outcome;
  collect(output, child, control, outcome.output);
  int status = 0;
  check(waitpid(child, &status, 0), "waitpid");
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

// makeFileSystem(device, [tool, argument...], control): resolves to {status, output}.
Napi::Value makeFileSystem(const Napi::CallbackInfo &info) {
  int device = info[0].As<Napi::Number>().Int32Value();
  std::vector<std::string> command;
  auto words = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < words.Length(); i++) command.push_back(words.Get(i).As<Napi::String>());
  auto outcome = std::make_shared<Outcome>();
  return Job::run(
      info.Env(), info[2], {},
      [device, command, outcome](const Control &control) { *outcome = runTool(device, command, control); },
      [outcome](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("status", outcome->status);
        result.Set("output", outcome->output);
        return result;
      });
}

}  // namespace

void initMkfs(Napi::Env env, Napi::Object exports) {
  exports.Set("makeFileSystem", Napi::Function::New(env, makeFileSystem));
}

}  // namespace native
