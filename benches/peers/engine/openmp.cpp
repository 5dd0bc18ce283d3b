// OpenMP tasks with depend clauses. One thread of the team pushes, then helps: with 2 workers there are two threads.
#include "peer.h"
#include <omp.h>

const char* const system_name = "openmp";
std::string version() { return "gcc " __VERSION__; }

int workers_started(int wanted) {
  omp_set_num_threads(wanted);
  return wanted;
}

struct Depend : Program {
  const Workload& workload;
  std::vector<char> vars;
  explicit Depend(const Workload& w) : workload(w), vars(w.vars) {}

  void submit() override {
    char* v = vars.data();
#pragma omp parallel
#pragma omp single
    for (auto task : workload) push(task, v);
  }

  static void push(Workload::Task task, char* v) {
    switch (task.reads()) {
      case 0: {
#pragma omp task depend(inout : v[task.write()])
        body();
        break;
      }
      case 1: {
#pragma omp task depend(in : v[task.read(0)]) depend(inout : v[task.write()])
        body();
        break;
      }
      case 2: {
#pragma omp task depend(in : v[task.read(0)], v[task.read(1)]) depend(inout : v[task.write()])
        body();
        break;
      }
      case 3: {
#pragma omp task depend(in : v[task.read(0)], v[task.read(1)], v[task.read(2)]) depend(inout : v[task.write()])
        body();
        break;
      }
      default: {
        int reads = task.reads();
#pragma omp task depend(iterator(k = 0 : reads), in : v[task.read(k)]) depend(inout : v[task.write()])
        body();
      }
    }
  }
};

std::unique_ptr<Program> prepare(const Workload& w, const std::string&) { return std::make_unique<Depend>(w); }
