/* Operators that say what planners of memory may make use of. */
#include "fixture.h"

static int32_t first_input(void *context, const vf_call *call, uint8_t *holds_samples) {
  (void)context;
  if (call->num_outputs || call->is_train || *call->node) return 0; /* what the header says of such a call */
  holds_samples[0] = 1;
  return 1;
}
static int32_t yes(void *context, const vf_value *values) { return 1; }

/* Bend: output = data * data. Its gradient needs data. */
static vf_status bend_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *x = run->inputs[0].data;
  float *y = run->outputs[0].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) y[i] = x[i] * x[i];
  return VF_OK;
}
static vf_status bend_backward_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *g = run->inputs[0].data, *x = run->inputs[1].data;
  float *dx = run->outputs[0].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) dx[i] = 2 * x[i] * g[i];
  return VF_OK;
}
KERNEL(bend_kernel, .run = bend_run)
KERNEL(bend_backward_kernel, .run = bend_backward_run)
static const vf_pair in_place[] = {{0, 0}};
static const uint32_t zero[] = {0};
static const vf_backward bend_backward = {.struct_size = sizeof(vf_backward), .num_inputs = 1, .inputs = zero, .num_inplace = 1,
    .inplace = in_place, KERNELS(bend_backward_kernel)};
OPERATOR(bend, .name = "Bend", .num_inplace = 1, .inplace = in_place, .backward = &bend_backward, KERNELS(bend_kernel),
         .is_cheap = yes, .per_sample = first_input)
/* The same, which says nothing. */
OPERATOR(silent, .name = "Silent", .backward = &bend_backward, KERNELS(bend_kernel))

/* Tail: the last half of the rows. */
static vf_status tail_shape(void *context, const vf_value *values, vf_shapes *shapes, vf_message *message) {
  if (shapes->inputs[0].ndim > 0 && shapes->inputs[0].dims[0] >= 0) {
    shapes->outputs[0] = shapes->inputs[0];
    shapes->outputs[0].dims[0] /= 2;
  }
  return VF_OK;
}
static size_t tail_start(const DLTensor *input, const DLTensor *output) { return length(input) - length(output); }
static vf_status tail_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *x = run->inputs[0].data;
  size_t start = tail_start(&run->inputs[0], &run->outputs[0]);
  memcpy(run->outputs[0].data, x + start, length(&run->outputs[0]) * sizeof(float));
  return VF_OK;
}
static int64_t tail_view(void *context, const vf_call *call) {
  if (call->num_inputs != 1 || call->num_outputs != 1) return -1;
  return (int64_t)(tail_start(&call->inputs[0], &call->outputs[0]) * sizeof(float));
}
KERNEL(tail_kernel, .run = tail_run)
OPERATOR(tail, .name = "Tail", .infer_shape = tail_shape, KERNELS(tail_kernel), .view = tail_view)

/* Noise: data plus a random number for each element. Secret: the same, which does not say so; Later, which draws on another thread. */
static vf_status noise_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *x = run->inputs[0].data;
  for (size_t i = 0; i < length(&run->inputs[0]); i++) {
    uint32_t bits;
    run->random(run->host, i, &bits, 1);
    ((float *)run->outputs[0].data)[i] = x[i] + (float)(bits >> 8) / (1 << 24);
  }
  return VF_OK;
}
static vf_status later_run(void *context, void *instance, const vf_run *run, vf_completion done, vf_message *message) {
  noise_run(context, instance, run, message);
  done.complete(done.token, VF_OK, NULL);
  return VF_OK;
}
static int64_t at_start(void *context, const vf_call *call) { return 0; }
KERNEL(noise_kernel, .run = noise_run)
KERNEL(later_kernel, .run_async = later_run)
OPERATOR(noise, .name = "Noise", .flags = VF_RANDOM, KERNELS(noise_kernel), .is_cheap = yes, .per_sample = first_input, .view = at_start)
OPERATOR(secret, .name = "Secret", KERNELS(noise_kernel))
OPERATOR(later, .name = "Later", KERNELS(later_kernel))

/* Count: data, and how often it was run. It claims to be a view, which it cannot be. */
static const char *const count_aux[] = {"runs", NULL};
static vf_status count_run(void *context, void *instance, const vf_run *run, vf_message *message) {
  memcpy(run->outputs[0].data, run->inputs[0].data, length(&run->inputs[0]) * sizeof(float));
  *(float *)run->inputs[1].data += 1;
  return VF_OK;
}
KERNEL(count_kernel, .run = count_run)
OPERATOR(count, .name = "Count", .auxiliaries = count_aux, KERNELS(count_kernel), .view = at_start)

/* Chosen: its names depend on a parameter, and so does whether there is what its second pair names. */
PARAM(both, .kind = VF_BOOL, .name = "both", .default_value = "False")
static const char *const two[] = {"data", "other", NULL};
static vf_status chosen_names(void *context, const vf_value *values, vf_names *names, vf_message *message) {
  if (values[0].integer) names->inputs = two;
  return VF_OK;
}
static const vf_pair chosen_pairs[] = {{1, 0}, {0, 0}};
OPERATOR(chosen, .name = "Chosen", PARAMS(both), .names = chosen_names, .num_inplace = 2, .inplace = chosen_pairs, KERNELS(bend_kernel))

static const vf_operator *const operators[] = {&bend, &silent, &tail, &noise, &secret, &later, &count, &chosen};
static const vf_plugin plugin = {PLUGIN_HEAD, .num_operators = COUNT(operators), .operators = operators};
ENTRY(plugin)
