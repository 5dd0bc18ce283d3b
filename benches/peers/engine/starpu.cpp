// StarPU tasks over void handles, pushed with starpu_task_submit, under the scheduler that STARPU_SCHED names.
#include "peer.h"
#include <starpu.h>

const char* const system_name = "starpu";

std::string version() {
  int major, minor, release;
  starpu_get_version(&major, &minor, &release);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

int workers_started(int wanted) {
  starpu_conf conf;
  starpu_conf_init(&conf);
  conf.ncpus = wanted;
  if (starpu_init(&conf) != 0) measure::fail("no worker could be started");
  atexit(starpu_shutdown);
  return starpu_cpu_worker_get_count();
}

static void kernel(void**, void*) { body(); }

struct Submit : Program {
  static constexpr unsigned kFixed = 4;   // tasks of more accesses carry their modes with them
  const Workload& workload;
  std::vector<starpu_data_handle_t> handles;
  starpu_codelet fixed[kFixed], any;

  explicit Submit(const Workload& w) : workload(w), handles(w.vars) {
    for (auto& handle : handles) starpu_void_data_register(&handle);
    for (unsigned reads = 0; reads < kFixed; ++reads) {
      starpu_codelet& c = fixed[reads];
      starpu_codelet_init(&c);
      c.cpu_funcs[0] = kernel;
      c.nbuffers = reads + 1;
      for (unsigned k = 0; k < reads; ++k) c.modes[k] = STARPU_R;
      c.modes[reads] = STARPU_RW;
    }
    starpu_codelet_init(&any);
    any.cpu_funcs[0] = kernel;
    any.nbuffers = STARPU_VARIABLE_NBUFFERS;
  }

  ~Submit() {
    for (auto handle : handles) starpu_data_unregister_submit(handle);
    starpu_task_wait_for_all();
  }

  void submit() override {
    for (auto access : workload) {
      starpu_task* task = starpu_task_create();
      unsigned reads = access.reads();
      starpu_data_handle_t* to = task->handles;
      if (reads < kFixed) {
        task->cl = &fixed[reads];
      } else {
        task->cl = &any;
        task->nbuffers = reads + 1;
        to = task->dyn_handles = static_cast<starpu_data_handle_t*>(malloc((reads + 1) * sizeof *to));
        task->dyn_modes = static_cast<starpu_data_access_mode*>(malloc((reads + 1) * sizeof *task->dyn_modes));
        for (unsigned k = 0; k <= reads; ++k) task->dyn_modes[k] = k < reads ? STARPU_R : STARPU_RW;
      }
      for (unsigned k = 0; k < reads; ++k) to[k] = handles[access.read(k)];
      to[reads] = handles[access.write()];
      if (starpu_task_submit(task) != 0) measure::fail("starpu_task_submit refused a task");
    }
  }

  void wait() override { starpu_task_wait_for_all(); }
};

std::unique_ptr<Program> prepare(const Workload& w, const std::string&) { return std::make_unique<Submit>(w); }
