// What every engine's program shares: the workloads, what a task does, the measures and the output.
//
//   PROGRAM VARIANT WORKERS throughput NAME=FILE...      Mtasks/s from the first push until all tasks are done, the
//                                                        median of five runs
//   PROGRAM VARIANT WORKERS latency                      us from a push until its task starts, workers idle
//   PROGRAM VARIANT WORKERS pending NAME=FILE            ns and bytes a task when all tasks wait behind the first one
//   PROGRAM VARIANT WORKERS grain NAME=FILE ITERS...     efficiency with bodies of so many iterations
//
// Each measure but the bytes runs once before it counts. Output: one JSON object a line. varflow's own side of this is
// benches/src/engine/subject.rs.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

// A workload as benches/src/engine/workload.rs writes it: number of vars, number of tasks, then for each task the
// number of vars that it reads, those vars, and the one that it writes.
struct Workload {
  uint32_t vars = 0, tasks = 0;
  std::vector<uint32_t> words;

  struct Task {
    const uint32_t* at;
    uint32_t reads() const { return at[0]; }
    uint32_t read(uint32_t k) const { return at[1 + k]; }
    uint32_t write() const { return at[1 + at[0]]; }
  };
  struct Iterator {
    const uint32_t* at;
    Task operator*() const { return {at}; }
    Iterator& operator++() { at += at[0] + 2; return *this; }
    bool operator!=(const Iterator& other) const { return at != other.at; }
  };
  Iterator begin() const { return {words.data()}; }
  Iterator end() const { return {words.data() + words.size()}; }
};

// One workload made ready for one engine.
struct Program {
  virtual ~Program() {}
  virtual void submit() = 0;   // pushes all tasks
  virtual void wait() {}       // returns when all are done
  virtual void clear() {}      // frees what a run leaves behind; not timed
};

// What an engine's file defines.
extern const char* const system_name;
std::string version();
int workers_started(int wanted);   // starts the engine; the number of workers that it has
std::unique_ptr<Program> prepare(const Workload& workload, const std::string& variant);

// What a task does: nothing, unless a measure hangs something in.
inline void (*hook)() = nullptr;
inline void body() {
  if (hook) hook();
}

namespace measure {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void fail(const std::string& what) {
  fprintf(stderr, "%s: %s\n", system_name, what.c_str());
  exit(1);
}

inline Workload load(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) fail(std::string(path) + ": cannot open");
  fseek(file, 0, SEEK_END);
  long bytes = ftell(file);
  rewind(file);
  Workload w;
  if (bytes < 8 || fread(&w.vars, 4, 1, file) != 1 || fread(&w.tasks, 4, 1, file) != 1) fail("no workload");
  w.words.resize(bytes / 4 - 2);
  if (fread(w.words.data(), 4, w.words.size(), file) != w.words.size()) fail("a truncated workload");
  fclose(file);
  return w;
}

struct Named {
  std::string name;
  Workload workload;
  explicit Named(const char* arg) {
    const char* eq = strchr(arg, '=');
    if (!eq) fail(std::string(arg) + ": wanted NAME=FILE");
    name.assign(arg, eq);
    workload = load(eq + 1);
  }
};

inline void emit(const std::string& workload, const char* unit, double value, double grain_us = 0) {
  printf("{\"version\":\"%s\",\"workload\":\"%s\",\"unit\":\"%s\",\"value\":%.6g", version().c_str(),
         workload.c_str(), unit, value);
  if (grain_us > 0) printf(",\"grain_us\":%.6g", grain_us);
  printf("}\n");
  fflush(stdout);
}

inline double run(Program& program) {
  auto start = Clock::now();
  program.submit();
  program.wait();
  double seconds = seconds_since(start);
  program.clear();
  return seconds;
}

inline std::atomic<uint64_t> counted{0};

// Runs once unmeasured, and makes sure that every task ran once.
inline void warm_up(Program& program, const Workload& w) {
  counted = 0;
  hook = [] { counted.fetch_add(1, std::memory_order_relaxed); };
  run(program);
  hook = nullptr;
  if (counted != w.tasks) fail("ran " + std::to_string(counted) + " of " + std::to_string(w.tasks) + " tasks");
}

inline void throughput(const Named& named, const std::string& variant) {
  auto program = prepare(named.workload, variant);
  warm_up(*program, named.workload);
  double times[5];
  for (double& time : times) time = run(*program);
  std::sort(times, times + 5);
  emit(named.name, "Mtasks/s", named.workload.tasks / times[2] / 1e6);
}

inline std::atomic<int64_t> started{0};

inline void latency(const std::string& variant) {
  Workload one;
  one.vars = one.tasks = 1;
  one.words = {0, 0};
  auto program = prepare(one, variant);
  warm_up(*program, one);
  hook = [] { started = Clock::now().time_since_epoch().count(); };
  std::vector<double> times;
  for (int i = 0; i < 400; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    auto pushed = Clock::now().time_since_epoch().count();
    run(*program);
    times.push_back((started - pushed) * 1e6 * Clock::period::num / Clock::period::den);
  }
  hook = nullptr;
  std::nth_element(times.begin(), times.begin() + 200, times.end());
  emit("push to start", "us", times[200]);
}

// The first task of a pending workload runs before all others, and holds them up.
inline std::atomic<int> gate{0};   // 2 the first task is to come, 1 it waits, 0 open

inline void hold_up() {
  int expected = 2;
  if (gate.compare_exchange_strong(expected, 1))
    while (gate.load() == 1) std::this_thread::yield();
}

inline double resident_bytes() {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1) fail("/proc/self/statm: cannot read");
  fclose(file);
  return double(pages) * sysconf(_SC_PAGESIZE);
}

inline void pending(const Named& named, const std::string& variant) {
  auto program = prepare(named.workload, variant);
  double tasks = named.workload.tasks, bytes = 0, seconds = 0;
  int rounds = std::max(1.0, 2e5 / tasks);
  for (int round = 0; round <= rounds; ++round) {   // memory from the first, time from the others
    gate = 2;
    hook = hold_up;
    double before = round == 0 ? resident_bytes() : 0;
    auto start = Clock::now();
    program->submit();
    double pushing = seconds_since(start);
    if (round == 0) bytes = resident_bytes() - before;
    start = Clock::now();
    gate = 0;
    program->wait();
    if (round > 0) seconds += pushing + seconds_since(start);
    hook = nullptr;
    program->clear();
  }
  emit(named.name, "ns/task", seconds / tasks / rounds * 1e9);
  emit(named.name, "bytes/task", bytes / tasks);
}

inline uint64_t iterations = 0;

// A chain of dependent multiplications: no memory, nothing to predict, one core.
inline void work() {
  uint64_t x = 1;
  for (uint64_t i = 0; i < iterations; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    asm volatile("" : "+r"(x));
  }
}

inline double nanoseconds_an_iteration() {
  iterations = 20000000;
  work();
  auto start = Clock::now();
  work();
  return seconds_since(start) * 1e9 / iterations;
}

inline void grain(const Named& named, const std::string& variant, int workers, char** counts, int len) {
  double each = nanoseconds_an_iteration();
  auto program = prepare(named.workload, variant);
  warm_up(*program, named.workload);
  hook = work;
  for (int i = 0; i < len; ++i) {
    iterations = strtoull(counts[i], nullptr, 10);
    double ns = iterations * each;
    double ideal = named.workload.tasks * ns * 1e-9 / workers;
    emit(named.name, "efficiency", ideal / run(*program), ns / 1e3);
  }
  hook = nullptr;
}

}  // namespace measure

int main(int argc, char** argv) {
  if (argc < 4) measure::fail("usage: VARIANT WORKERS throughput|latency|pending|grain [NAME=FILE...] [ITERS...]");
  std::string variant = argv[1], what = argv[3];
  int workers = workers_started(atoi(argv[2]));
  if (what == "latency") measure::latency(variant);
  if (what == "grain" && argc > 4) measure::grain(measure::Named(argv[4]), variant, workers, argv + 5, argc - 5);
  for (int i = 4; i < argc && what == "throughput"; ++i) measure::throughput(measure::Named(argv[i]), variant);
  for (int i = 4; i < argc && what == "pending"; ++i) measure::pending(measure::Named(argv[i]), variant);
}
