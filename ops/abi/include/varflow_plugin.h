/* The contract between varflow and its plug-ins.
 *
 * A plug-in is a shared library that exports one function, varflow_plugin, which returns a table of what it brings:
 * operators, data iterators, kvstore reductions, optimizer update rules. docs/write-an-operator.md shows how to begin.
 *
 * Growth. Every table begins with its size as the one who filled it in knows it (vf_plugin: after its version). New fields come at
 * the end only, and each says since which version it is there; a field that lies beyond the size counts as zero, which for every
 * field that was added means "as before". Structures without a size never change. So a plug-in built with an older header works
 * with a newer host, and one built with a newer header with an older host that it still accepts (abi_oldest). The same holds for what
 * the host hands out: VF_HAS tells whether a structure reaches as far as a field that is newer than abi_oldest. Where the
 * host's structure is to be filled in (vf_names, vf_provided, vf_batch), set single fields; never assign the whole, nor its size.
 *
 * Lifetime. A plug-in is never unloaded. Its tables, and all that they point to, stay as they are for the rest of the process,
 * unless said otherwise. What the host hands to a function may be used until that function returns, unless said otherwise.
 *
 * Threads. Every function may be called from any thread, and from several at once; those of one iterator instance one at a time.
 *
 * Errors. A function that returns vf_status says VF_OK, or what went wrong and, in the message, why. Nothing may unwind or
 * longjmp out of a function: no C++ exception, no Rust panic.
 *
 * Texts are UTF-8 and end in a zero byte. Lists of texts end in NULL. A list that is NULL is empty unless said otherwise.
 */
#ifndef VARFLOW_PLUGIN_H
#define VARFLOW_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version that this header describes. */
#define VARFLOW_ABI_VERSION 3u
/* The oldest version that a host of this version accepts, and what abi_oldest is to be where a plug-in needs nothing newer. */
#define VARFLOW_ABI_OLDEST 1u

#if defined(_WIN32)
#define VF_EXPORT __declspec(dllexport)
#else
#define VF_EXPORT __attribute__((visibility("default")))
#endif

/* Whether the structure that p points to has a field: it may be shorter, and end before it. */
#define VF_HAS(p, field) ((const char *)&(p)->field + sizeof((p)->field) <= (const char *)(p) + (p)->struct_size)

/* ---- Tensors: DLPack's, as in dlpack.h (https://dmlc.github.io/dlpack) -------------------------------------------------- */

/* Who uses dlpack.h too includes it before this header. */
#ifndef DLPACK_DLPACK_H_
/* Device types. */
enum { kDLCPU = 1, kDLCUDA = 2 };
typedef struct {
  int32_t device_type;
  int32_t device_id;
} DLDevice;
/* Type codes. */
enum { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLBool = 6 };
typedef struct {
  uint8_t code;
  uint8_t bits;   /* of one element: float32 is {kDLFloat, 32, 1} */
  uint16_t lanes; /* 1 */
} DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements; NULL: dense and row-major, as all tensors of this version are */
  uint64_t byte_offset; /* of the first element from data: 0 in this version */
} DLTensor;
#endif

/* ---- Statuses and messages ---------------------------------------------------------------------------------------------- */

typedef int32_t vf_status;
enum {
  VF_OK = 0,
  VF_END = 1,         /* no error: the epoch has no further batch */
  VF_ERROR = 2,       /* anything that the others do not say */
  VF_BAD_SHAPE = 3,
  VF_BAD_DTYPE = 4,
  VF_BAD_PARAM = 5,
  VF_BAD_DATA = 6,    /* values that cannot be: a label out of range, a broken record */
  VF_UNSUPPORTED = 7, /* this plug-in does not do this */
  VF_PANICKED = 8     /* a fault in the plug-in, caught before it left it */
};

/* Where to say why. The host owns the text, of capacity bytes, the ending zero included; it is empty at first. Longer messages
 * are cut off. Say the thing, its value and what was wanted: "data has 3 axes, wanted 4". */
typedef struct {
  char *text;
  size_t capacity;
} vf_message;

/* ---- Parameters --------------------------------------------------------------------------------------------------------- */

enum {
  VF_NONE = 0, /* of a value: not given */
  VF_INT = 1,
  VF_FLOAT = 2,
  VF_BOOL = 3,
  VF_TEXT = 4,
  VF_CHOICE = 5, /* one of some words */
  VF_TUPLE = 6,  /* integers */
  VF_DTYPE = 7
};

/* A parameter of an operator or iterator. Its values are written as in symbol JSON: 3, 0.5, True, (2, 2), float32. */
typedef struct {
  uint32_t struct_size;
  int32_t kind;
  const char *name;
  const char *doc;           /* what it means, with units */
  const char *default_value; /* NULL: must be given. "None": need not be given, and has kind VF_NONE then. */
  int64_t int_min;           /* VF_INT: the least and the greatest value; INT64_MIN and INT64_MAX allow all, two zeros 0 only */
  int64_t int_max;
  double float_min;          /* VF_FLOAT: the same; -DBL_MAX and DBL_MAX allow all */
  double float_max;
  const char *const *choices; /* VF_CHOICE: the words */
} vf_param;

/* The value of a parameter. Functions are handed an array of them, one for each parameter, in the order of the table. */
typedef struct {
  int32_t kind; /* the parameter's, or VF_NONE */
  DLDataType dtype;     /* VF_DTYPE */
  int64_t integer;      /* VF_INT, VF_BOOL: 0 or 1 */
  double number;        /* VF_FLOAT */
  const char *text;     /* VF_TEXT, VF_CHOICE */
  const int64_t *items; /* VF_TUPLE */
  size_t num_items;
} vf_value;

/* ---- Inference ---------------------------------------------------------------------------------------------------------- */

#define VF_MAX_NDIM 16

/* What is known of a shape. */
typedef struct {
  int32_t ndim; /* -1: unknown, and so are all dims */
  int32_t reserved;
  int64_t dims[VF_MAX_NDIM]; /* -1: unknown */
} vf_shape;

/* The shapes of inputs (auxiliary states last) and outputs. A rule writes what follows into those that are unknown, in either
 * direction, and need not look for contradictions: the host compares with what it knew. It is called until nothing is news. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_inputs;
  size_t num_outputs;
  vf_shape *inputs;
  vf_shape *outputs;
} vf_shapes;

/* The same for dtypes; bits == 0: unknown. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_inputs;
  size_t num_outputs;
  DLDataType *inputs;
  DLDataType *outputs;
} vf_dtypes;

/* ---- Kernels ------------------------------------------------------------------------------------------------------------ */

/* One use of an operator, all known about it: what a kernel is made for. In inputs and outputs, data is NULL. */
typedef struct {
  uint32_t struct_size;
  int32_t is_train;   /* whether this is a training pass */
  const char *node;   /* the node's name */
  const vf_value *values;
  size_t num_inputs;  /* auxiliary states included, last */
  size_t num_outputs;
  const DLTensor *inputs;
  const DLTensor *outputs;
  const uint8_t *wanted; /* for each output whether anyone looks at it; others get no memory */
} vf_call;

/* One run of a kernel or reduction. An output has the same data as an input if that is a declared in-place pair, and the host
 * chose so; inputs that are not declared as mutated must not be written. Every wanted output is to be written wholly: what is in
 * it at first is arbitrary. Tensors are aligned to 64 bytes. Random numbers are for reductions and for operators that say VF_RANDOM:
 * the run of another operator that asks for them fails. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_inputs;
  size_t num_outputs;
  const DLTensor *inputs;
  const DLTensor *outputs; /* data NULL: not wanted */
  void *workspace;         /* of the bytes that create asked for; NULL if none, else aligned to 64 bytes; its contents are lost between runs */
  size_t workspace_bytes;
  void *stream;            /* kDLCUDA: the CUDA stream to launch on, a CUstream; else NULL */
  void *host;              /* the first argument of the functions below */
  size_t width;            /* how many threads parallel_for may use */
  /* Calls body(closure, i) for every i < n, on idle workers too, and returns when all are done. How work is cut into n pieces
   * must not depend on width, or results would. To be called from the function that was handed the run; in asynchronous runs, and
   * inside a body, all i are called where it is called. */
  void (*parallel_for)(void *host, size_t n, void (*body)(void *closure, size_t i), void *closure);
  /* Writes the numbers first .. first + n - 1 of the stream of random 32-bit numbers that belongs to this node at this step. The
   * same numbers at every call, from every thread. */
  void (*random)(void *host, uint64_t first, uint32_t *out, size_t n);
} vf_run;

/* To be called once, from any thread, when asynchronous work is done, or has failed: then with a message. It may be called
 * before the function that was handed it returns. vf_run and all that it leads to stay until it is called, and not after, not even in
 * that function. A key and the instance stay until it is called and that function has returned. The call may run what waits for the
 * tensors, and destroy the instance, in this thread before it returns: hold no lock that they need. */
typedef struct {
  void *token;
  void (*complete)(void *token, vf_status status, const char *message);
} vf_completion;

/* How an operator is computed on a kind of device. */
typedef struct {
  uint32_t struct_size;
  int32_t device; /* kDLCPU or kDLCUDA */
  size_t num_dtypes;
  const DLDataType *dtypes; /* of the first input, or output where there is no input, that it serves; NULL: all */
  void *context;            /* the first argument of the functions below */
  /* Makes an instance for one use; NULL: instance is NULL and there is no workspace. Runs of one instance may overlap, so what
   * they change in it is theirs to guard. */
  vf_status (*create)(void *context, const vf_call *call, void **instance, size_t *workspace_bytes, vf_message *message);
  void (*destroy)(void *context, void *instance); /* NULL: nothing to do; not called where create failed */
  /* Computes all wanted outputs before it returns. */
  vf_status (*run)(void *context, void *instance, const vf_run *run, vf_message *message);
  /* If set it is called instead of run: starts the work, and completes done later. If it returns anything but VF_OK it must not
   * complete done. */
  vf_status (*run_async)(void *context, void *instance, const vf_run *run, vf_completion done, vf_message *message);
} vf_kernel;

/* ---- Operators ---------------------------------------------------------------------------------------------------------- */

enum {
  VF_VARIADIC = 1, /* takes any number of inputs arg0, arg1, ...: their number is the parameter num_args, which it must have */
  VF_RANDOM = 2,   /* its outputs depend on more than its inputs: on random numbers. Others are computed once where the same is
                    * computed twice, and again where a result was let go */
  VF_LOSS = 4      /* its gradient does not depend on one that comes from outside */
};

/* An input and an output. */
typedef struct {
  uint32_t input;
  uint32_t output;
} vf_pair;

/* Names that depend on parameters, and on nothing else: the table's at first. Lists stay as they are for the rest of the process. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  const char *const *inputs;
  const char *const *auxiliaries;
  const char *const *outputs;
} vf_names;

/* A gradient that is computed by a kernel. Its inputs are the gradients of all visible outputs, then the forward inputs and the
 * forward outputs that are listed; its outputs are the gradients of the forward inputs (not of auxiliary states), d_<input>, but
 * for those in no_gradient. An output that nobody wants is not computed: see vf_run. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_inputs;
  const uint32_t *inputs;
  size_t num_outputs;
  const uint32_t *outputs;
  size_t num_no_gradient;
  const uint32_t *no_gradient;
  size_t num_inplace;
  const vf_pair *inplace; /* by the backward kernel's own positions */
  size_t num_kernels;
  const vf_kernel *const *kernels;
} vf_backward;

/* One output of one graph node; node -1: none, a gradient that is zero or does not exist. */
typedef struct {
  int64_t node;
  int64_t output;
} vf_entry;

/* A gradient that is built of graph nodes. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  const char *node; /* the forward node's name */
  size_t num_inputs; /* auxiliary states included, last */
  size_t num_outputs;
  const vf_entry *inputs;
  const vf_entry *outputs;
  const vf_entry *out_grads; /* one for each output; node -1: nothing flows there */
  vf_entry *in_grads;        /* to be filled in, one for each input; all are -1 at first */
  void *host;                /* the first argument of add */
  /* Adds a node of an operator and writes its first output to *out; the others follow it. Attributes are pairs of texts, name and
   * value, and NULL after the last pair. The node is named <node>_backward_<suffix>. */
  vf_status (*add)(void *host, const char *op, const char *suffix, const char *const *attrs, size_t num_inputs,
                   const vf_entry *inputs, vf_entry *out, vf_message *message);
} vf_gradient;

/* What an operator means, and how it is computed.
 *
 * In-place pairs are of inputs and outputs that it has, none of an input that it changes, and none is there twice. Where input and
 * output have not as many bytes of one dtype, as with broadcasting, the pair is not used; nor, where names depend on parameters, if
 * there is no such input or output. */
typedef struct {
  uint32_t struct_size;
  uint32_t flags;
  const char *name;
  const char *doc;                /* what it computes: formula, shapes, source; the first sentence stands in lists */
  const char *const *aliases;
  const char *const *inputs;      /* NULL: data */
  const char *const *auxiliaries; /* states that it updates and that have no gradient: inputs, after the others */
  const char *const *outputs;     /* NULL: output */
  size_t num_hidden_outputs;      /* so many of its last outputs users do not see */
  size_t num_params;
  const vf_param *const *params;
  size_t num_inplace;
  const vf_pair *inplace;         /* which outputs may take the memory of which inputs, best first */
  size_t num_mutated;
  const uint32_t *mutated;        /* inputs that kernels write, beside the auxiliary states */
  /* Uses of the operator for `varflow plugin check`, where it has parameters without default or is particular about shapes:
   * "kernel=(2, 2); data=(2, 3, 8, 8)". Parameters and shapes of inputs, separated by semicolons. */
  const char *const *examples;
  void *context;                  /* the first argument of the functions below */
  vf_status (*check)(void *context, const vf_value *values, vf_message *message); /* NULL: all that the schema allows fits */
  vf_status (*names)(void *context, const vf_value *values, vf_names *names, vf_message *message); /* NULL: as above */
  vf_status (*infer_shape)(void *context, const vf_value *values, vf_shapes *shapes, vf_message *message); /* NULL: all the same */
  vf_status (*infer_dtype)(void *context, const vf_value *values, vf_dtypes *dtypes, vf_message *message); /* NULL: all the same */
  const vf_backward *backward; /* its gradient as a kernel; NULL: it has none, or ... */
  vf_status (*gradient)(void *context, const vf_value *values, vf_gradient *gradient, vf_message *message); /* ... as nodes */
  size_t num_kernels;
  const vf_kernel *const *kernels;
  /* Since version 2. Floating-point operations of one forward pass, for summaries; NULL: not known. */
  double (*flops)(void *context, const vf_call *call);
  /* Since version 3, the rest: what planners of memory make use of. In a vf_call of these, node is empty and is_train 0. */
  /* Whether computing it takes about as long as reading its inputs and writing its outputs: not 0. In training it may then be computed
   * a second time rather than kept, unless it is VF_RANDOM or changes inputs. NULL: no. */
  int32_t (*is_cheap)(void *context, const vf_value *values);
  /* Whether it works on samples one by one in inference: not 0. Then it sets those of holds_samples, which are 0 at first and as many as
   * there are inputs, to 1 whose inputs hold samples along their first axis. Sample i of each output comes from sample i of these, of
   * which each has as many as each output, and from all of the other inputs. The call has no outputs: num_outputs is 0. A batch may
   * then be computed in parts, but not if one of these is an input that it changes; other inputs that it changes are changed once a
   * part. Not asked where it is VF_RANDOM. NULL: no. */
  int32_t (*per_sample)(void *context, const vf_call *call, uint8_t *holds_samples);
  /* At which byte of the first input the only output lies, if it is a part of that input, or all of it, under another shape; -1 if it
   * is not. The call has these two alone. The kernel, which computes the same, is then called only where the output is to have memory
   * of its own. Not asked where it is VF_RANDOM or changes inputs. NULL: it is not. */
  int64_t (*view)(void *context, const vf_call *call);
} vf_operator;

/* ---- Data iterators ----------------------------------------------------------------------------------------------------- */

/* What an iterator is asked for beside its parameters. */
typedef struct {
  uint32_t struct_size;
  uint32_t part_index; /* of num_parts parts that each see every sample once between them: 0 <= part_index < num_parts */
  uint32_t num_parts;
  uint32_t reserved;
  uint64_t seed; /* the order of samples depends on the seed, the epoch and the parameters only */
} vf_part;

/* Name, dtype and shape of what a batch has; the first axis is the batch. */
typedef struct {
  const char *name;
  DLDataType dtype;
  int32_t ndim;
  const int64_t *shape;
} vf_field;

/* The data first, then the labels. Stays until the iterator is destroyed. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_data;
  size_t num_label;
  const vf_field *fields;
  int64_t num_batches; /* in an epoch; -1: not known */
} vf_provided;

/* A batch to be filled in. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  size_t num_tensors;
  const DLTensor *tensors; /* one for each field */
  size_t num_samples;
  uint64_t *index; /* the number of each sample in its source; 0, 1, 2, ... at first */
  size_t pad;      /* to be set: how many samples at the end are there only to fill the batch; 0 at first */
} vf_batch;

/* Takes bytes. */
typedef struct {
  void *host;
  void (*append)(void *host, const uint8_t *bytes, size_t num_bytes);
} vf_sink;

/* A stream of batches in epochs. create leaves it at the start of epoch 0. All fields have one number of samples. next writes every
 * element of every tensor; after the last batch it says VF_END until a reset. */
typedef struct {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const char *name;
  const char *doc;
  size_t num_params;
  const vf_param *const *params;
  const char *const *examples; /* parameters for `varflow plugin check`: "batch_size=4; classes=3" */
  void *context;
  vf_status (*create)(void *context, const vf_value *values, const vf_part *part, void **instance, vf_message *message);
  void (*destroy)(void *context, void *instance); /* NULL: nothing to do */
  vf_status (*describe)(void *context, void *instance, vf_provided *provided, vf_message *message);
  vf_status (*next)(void *context, void *instance, vf_batch *batch, vf_message *message); /* VF_END after the last batch */
  vf_status (*reset)(void *context, void *instance, uint64_t epoch, vf_message *message); /* to the start of this epoch */
  /* Where it is, so that another instance with the same parameters and part goes on with the next batch. Both or neither. */
  vf_status (*save)(void *context, void *instance, const vf_sink *sink, vf_message *message);
  vf_status (*restore)(void *context, void *instance, const uint8_t *bytes, size_t num_bytes, vf_message *message);
} vf_iterator;

/* ---- Kvstore reductions ------------------------------------------------------------------------------------------------- */

/* How a kvstore brings the values that several devices pushed for one key to one, and from one to several. All tensors of a call
 * have one shape and dtype. */
typedef struct {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const char *name;
  const char *doc;
  void *context;
  /* Calls whose keys have the same ordering key run one after another, in the order in which they were pushed, which is the same
   * on all machines: for transports that match messages by their order. The same for a key every time. NULL: only calls for one key do. */
  uint64_t (*ordering_key)(void *context, const char *key);
  /* Inputs: many, one at least. Output: one, their sum, or whatever this reduction means. */
  vf_status (*reduce)(void *context, const char *key, const vf_run *run, vf_message *message);
  /* Input: one. Outputs: many, one at least. */
  vf_status (*broadcast)(void *context, const char *key, const vf_run *run, vf_message *message);
  /* If set they are called instead: see vf_kernel.run_async, and vf_completion for how long the key stays. */
  vf_status (*reduce_async)(void *context, const char *key, const vf_run *run, vf_completion done, vf_message *message);
  vf_status (*broadcast_async)(void *context, const char *key, const vf_run *run, vf_completion done, vf_message *message);
} vf_reduction;

/* ---- Optimizer update rules --------------------------------------------------------------------------------------------- */

/* An optimizer: an operator that updates a weight, and the states that it keeps. The operator's inputs are the weight, its gradient
 * and the states, in this order; it mutates the weight and the states and has no outputs. It has the parameters lr (learning rate), wd
 * (weight decay) and rescale_grad (factor of the gradient, usually 1 / batch size), all VF_FLOAT, and may have num_update (VF_INT,
 * 1 at the first update); its other parameters are the optimizer's settings. */
typedef struct {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const char *name; /* as in --optimizer */
  const char *doc;
  const char *op;
  const char *const *states; /* the names of its states: of the weight's shape and dtype, zero at first */
} vf_update_rule;

/* ---- Plug-ins ----------------------------------------------------------------------------------------------------------- */

/* Who loads the plug-in. */
typedef struct {
  uint32_t abi_version;
  uint32_t struct_size;
  uint32_t abi_oldest; /* the oldest plug-ins that it accepts */
  uint32_t reserved;
  const char *version; /* of varflow */
} vf_host;

/* What a plug-in brings. The host accepts it if host->abi_oldest <= abi_version and abi_oldest <= host->abi_version. */
typedef struct {
  uint32_t abi_version; /* VARFLOW_ABI_VERSION */
  uint32_t struct_size; /* sizeof(vf_plugin) */
  uint32_t abi_oldest;  /* the oldest host that it works with */
  /* Among two of one name, for one device, the one of higher preference is used; equal ones are an error. Built-in ones have 0. */
  int32_t preference;
  const char *name;
  const char *version;
  const char *doc;
  size_t num_operators;
  const vf_operator *const *operators;
  size_t num_iterators;
  const vf_iterator *const *iterators;
  size_t num_reductions;
  const vf_reduction *const *reductions;
  size_t num_update_rules;
  const vf_update_rule *const *update_rules;
} vf_plugin;

/* The exported symbol. Called once, when the plug-in is loaded. NULL: it does not want to work with this host. */
VF_EXPORT const vf_plugin *varflow_plugin(const vf_host *host);

#ifdef __cplusplus
}
#endif
#endif
