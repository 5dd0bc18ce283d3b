//! The contract between varflow and its plug-ins, as Rust sees it.
//!
//! `include/varflow_plugin.h` is the contract: it says what each field means, what may be null, who owns what, and how tables
//! grow. The structures here mirror it field by field; a test compares every size and offset with what a C compiler says.
//! Plug-ins in Rust are written with the crate `varflow-sdk`, which wraps this one; hosts read plug-ins' tables by [`read`].
#![expect(missing_docs, reason = "the header documents each field")]
#![expect(unsafe_code, reason = "tables are copied by their size, and cross threads")]

pub mod templates;

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

/// The header, for who writes plug-ins in C.
pub const HEADER: &str = include_str!("../include/varflow_plugin.h");

/// The version that the header describes.
pub const VERSION: u32 = 3;
/// The oldest version that is still accepted.
pub const OLDEST: u32 = 1;
/// The exported symbol of a plug-in, an [`EntryFn`].
pub const ENTRY: &str = "varflow_plugin";
/// The greatest rank of a tensor that crosses the boundary.
pub const MAX_NDIM: usize = 16;

/// A text that ends in a zero byte.
pub type Text = *const c_char;
/// A list of texts that ends in null; a null pointer is an empty one unless said otherwise.
pub type Texts = *const Text;
/// How a function ended: see [`status`].
pub type Status = i32;

/// The values of [`Status`].
pub mod status {
    use super::Status;
    pub const OK: Status = 0;
    pub const END: Status = 1;
    pub const ERROR: Status = 2;
    pub const BAD_SHAPE: Status = 3;
    pub const BAD_DTYPE: Status = 4;
    pub const BAD_PARAM: Status = 5;
    pub const BAD_DATA: Status = 6;
    pub const UNSUPPORTED: Status = 7;
    pub const PANICKED: Status = 8;
}

/// The kinds of parameters and values.
pub mod kind {
    pub const NONE: i32 = 0;
    pub const INT: i32 = 1;
    pub const FLOAT: i32 = 2;
    pub const BOOL: i32 = 3;
    pub const TEXT: i32 = 4;
    pub const CHOICE: i32 = 5;
    pub const TUPLE: i32 = 6;
    pub const DTYPE: i32 = 7;
}

/// The flags of operators.
pub mod flags {
    pub const VARIADIC: u32 = 1;
    pub const RANDOM: u32 = 2;
    pub const LOSS: u32 = 4;
}

/// DLPack's device types.
pub mod device {
    pub const CPU: i32 = 1;
    pub const CUDA: i32 = 2;
}

/// DLPack's type codes.
pub mod type_code {
    pub const INT: u8 = 0;
    pub const UINT: u8 = 1;
    pub const FLOAT: u8 = 2;
    pub const BFLOAT: u8 = 4;
    pub const BOOL: u8 = 6;
}

/// How a structure lies in memory.
pub struct Layout {
    /// Its name in the header.
    pub c_name: &'static str,
    pub size: usize,
    pub align: usize,
    /// Name, offset and size of each field.
    pub fields: &'static [(&'static str, usize, usize)],
}

macro_rules! structures {
    ($($name:ident = $c_name:literal { $($field:ident: $type:ty,)* })*) => {
        $(
            #[doc = concat!("`", $c_name, "` of the header.")]
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name { $(pub $field: $type,)* }

            // SAFETY: plain data. What its pointers lead to is only read, but through unsafe code that answers for it.
            unsafe impl Send for $name {}
            // SAFETY: as above.
            unsafe impl Sync for $name {}
        )*

        /// All structures, for who compares them with the header.
        pub const LAYOUTS: &[Layout] = &[$(Layout {
            c_name: $c_name,
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            fields: &[$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$type>()),)*],
        },)*];
    };
}

/// A structure that begins with its size as the one who made it knows it.
///
/// # Safety
/// It is `repr(C)`, all its bytes may be zero, and its first field is the size, a `u32`.
pub unsafe trait Table: Copy {
    /// The size that it had in version 1.
    const FIRST_BYTES: usize;
}

/// More than any table will ever have: what claims to be larger is none.
const MOST_BYTES: usize = 1 << 16;

/// Copies a table that somebody made who may know more fields or fewer: those that they do not know are zero.
///
/// # Errors
/// The size that it says it has, when that is less than the table had at first, or absurd.
///
/// # Safety
/// `table` points to a structure of this kind, of whatever version, which is as long as it says.
pub unsafe fn read<T: Table>(table: *const T) -> Result<T, u32> {
    // SAFETY: by the contract, the size comes first.
    let size = unsafe { table.cast::<u32>().read_unaligned() };
    if !(T::FIRST_BYTES..=MOST_BYTES).contains(&(size as usize)) {
        return Err(size);
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the table has at least as many bytes, and so has the copy, all of which may be zero.
    unsafe {
        ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast(), (size as usize).min(size_of::<T>()));
        Ok(copy.assume_init())
    }
}

macro_rules! tables {
    ($($name:ident: $last:ident,)*) => {
        $(
            // SAFETY: made by `structures`, of pointers, nullable functions and numbers; `struct_size` comes first.
            unsafe impl Table for $name {
                // Up to the last field that version 1 had.
                const FIRST_BYTES: usize = std::mem::offset_of!($name, $last) + 8;
            }
        )*
    };
}

tables! {
    Param: choices,
    Shapes: outputs,
    DTypes: outputs,
    Call: wanted,
    Run: random,
    Kernel: run_async,
    Names: outputs,
    Backward: kernels,
    Gradient: add,
    Operator: kernels,
    Part: seed,
    Provided: num_batches,
    Batch: pad,
    Iterator: restore,
    Reduction: broadcast_async,
    UpdateRule: states,
}

/// The first bytes that a [`Plugin`] table had in version 1. Its size comes second, after its version.
pub const PLUGIN_FIRST_BYTES: usize = std::mem::offset_of!(Plugin, update_rules) + 8;

/// The exported function of a plug-in.
pub type EntryFn = unsafe extern "C" fn(host: *const Host) -> *const Plugin;

/// What [`Run::parallel_for`] calls.
pub type Body = unsafe extern "C" fn(closure: *mut c_void, i: usize);

structures! {
    DLDevice = "DLDevice" { device_type: i32, device_id: i32, }
    DLDataType = "DLDataType" { code: u8, bits: u8, lanes: u16, }
    DLTensor = "DLTensor" {
        data: *mut c_void,
        device: DLDevice,
        ndim: i32,
        dtype: DLDataType,
        shape: *mut i64,
        strides: *mut i64,
        byte_offset: u64,
    }
    Message = "vf_message" { text: *mut c_char, capacity: usize, }
    Param = "vf_param" {
        struct_size: u32,
        kind: i32,
        name: Text,
        doc: Text,
        default_value: Text,
        int_min: i64,
        int_max: i64,
        float_min: f64,
        float_max: f64,
        choices: Texts,
    }
    Value = "vf_value" {
        kind: i32,
        dtype: DLDataType,
        integer: i64,
        number: f64,
        text: Text,
        items: *const i64,
        num_items: usize,
    }
    Shape = "vf_shape" { ndim: i32, reserved: i32, dims: [i64; MAX_NDIM], }
    Shapes = "vf_shapes" {
        struct_size: u32,
        reserved: u32,
        num_inputs: usize,
        num_outputs: usize,
        inputs: *mut Shape,
        outputs: *mut Shape,
    }
    DTypes = "vf_dtypes" {
        struct_size: u32,
        reserved: u32,
        num_inputs: usize,
        num_outputs: usize,
        inputs: *mut DLDataType,
        outputs: *mut DLDataType,
    }
    Call = "vf_call" {
        struct_size: u32,
        is_train: i32,
        node: Text,
        values: *const Value,
        num_inputs: usize,
        num_outputs: usize,
        inputs: *const DLTensor,
        outputs: *const DLTensor,
        wanted: *const u8,
    }
    Run = "vf_run" {
        struct_size: u32,
        reserved: u32,
        num_inputs: usize,
        num_outputs: usize,
        inputs: *const DLTensor,
        outputs: *const DLTensor,
        workspace: *mut c_void,
        workspace_bytes: usize,
        stream: *mut c_void,
        host: *mut c_void,
        width: usize,
        parallel_for: Option<unsafe extern "C" fn(host: *mut c_void, n: usize, body: Option<Body>, closure: *mut c_void)>,
        random: Option<unsafe extern "C" fn(host: *mut c_void, first: u64, out: *mut u32, n: usize)>,
    }
    Completion = "vf_completion" {
        token: *mut c_void,
        complete: Option<unsafe extern "C" fn(token: *mut c_void, status: Status, message: Text)>,
    }
    Kernel = "vf_kernel" {
        struct_size: u32,
        device: i32,
        num_dtypes: usize,
        dtypes: *const DLDataType,
        context: *mut c_void,
        create: Option<unsafe extern "C" fn(context: *mut c_void, call: *const Call, instance: *mut *mut c_void, workspace_bytes: *mut usize, message: *mut Message) -> Status>,
        destroy: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void)>,
        run: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, run: *const Run, message: *mut Message) -> Status>,
        run_async: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, run: *const Run, done: Completion, message: *mut Message) -> Status>,
    }
    Pair = "vf_pair" { input: u32, output: u32, }
    Names = "vf_names" { struct_size: u32, reserved: u32, inputs: Texts, auxiliaries: Texts, outputs: Texts, }
    Backward = "vf_backward" {
        struct_size: u32,
        reserved: u32,
        num_inputs: usize,
        inputs: *const u32,
        num_outputs: usize,
        outputs: *const u32,
        num_no_gradient: usize,
        no_gradient: *const u32,
        num_inplace: usize,
        inplace: *const Pair,
        num_kernels: usize,
        kernels: *const *const Kernel,
    }
    Entry = "vf_entry" { node: i64, output: i64, }
    Gradient = "vf_gradient" {
        struct_size: u32,
        reserved: u32,
        node: Text,
        num_inputs: usize,
        num_outputs: usize,
        inputs: *const Entry,
        outputs: *const Entry,
        out_grads: *const Entry,
        in_grads: *mut Entry,
        host: *mut c_void,
        add: Option<unsafe extern "C" fn(host: *mut c_void, op: Text, suffix: Text, attrs: Texts, num_inputs: usize, inputs: *const Entry, out: *mut Entry, message: *mut Message) -> Status>,
    }
    Operator = "vf_operator" {
        struct_size: u32,
        flags: u32,
        name: Text,
        doc: Text,
        aliases: Texts,
        inputs: Texts,
        auxiliaries: Texts,
        outputs: Texts,
        num_hidden_outputs: usize,
        num_params: usize,
        params: *const *const Param,
        num_inplace: usize,
        inplace: *const Pair,
        num_mutated: usize,
        mutated: *const u32,
        examples: Texts,
        context: *mut c_void,
        check: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, message: *mut Message) -> Status>,
        names: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, names: *mut Names, message: *mut Message) -> Status>,
        infer_shape: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, shapes: *mut Shapes, message: *mut Message) -> Status>,
        infer_dtype: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, dtypes: *mut DTypes, message: *mut Message) -> Status>,
        backward: *const Backward,
        gradient: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, gradient: *mut Gradient, message: *mut Message) -> Status>,
        num_kernels: usize,
        kernels: *const *const Kernel,
        flops: Option<unsafe extern "C" fn(context: *mut c_void, call: *const Call) -> f64>,
        is_cheap: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value) -> i32>,
        per_sample: Option<unsafe extern "C" fn(context: *mut c_void, call: *const Call, holds_samples: *mut u8) -> i32>,
        view: Option<unsafe extern "C" fn(context: *mut c_void, call: *const Call) -> i64>,
    }
    Part = "vf_part" { struct_size: u32, part_index: u32, num_parts: u32, reserved: u32, seed: u64, }
    Field = "vf_field" { name: Text, dtype: DLDataType, ndim: i32, shape: *const i64, }
    Provided = "vf_provided" {
        struct_size: u32,
        reserved: u32,
        num_data: usize,
        num_label: usize,
        fields: *const Field,
        num_batches: i64,
    }
    Batch = "vf_batch" {
        struct_size: u32,
        reserved: u32,
        num_tensors: usize,
        tensors: *const DLTensor,
        num_samples: usize,
        index: *mut u64,
        pad: usize,
    }
    Sink = "vf_sink" {
        host: *mut c_void,
        append: Option<unsafe extern "C" fn(host: *mut c_void, bytes: *const u8, num_bytes: usize)>,
    }
    Iterator = "vf_iterator" {
        struct_size: u32,
        flags: u32,
        name: Text,
        doc: Text,
        num_params: usize,
        params: *const *const Param,
        examples: Texts,
        context: *mut c_void,
        create: Option<unsafe extern "C" fn(context: *mut c_void, values: *const Value, part: *const Part, instance: *mut *mut c_void, message: *mut Message) -> Status>,
        destroy: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void)>,
        describe: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, provided: *mut Provided, message: *mut Message) -> Status>,
        next: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, batch: *mut Batch, message: *mut Message) -> Status>,
        reset: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, epoch: u64, message: *mut Message) -> Status>,
        save: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, sink: *const Sink, message: *mut Message) -> Status>,
        restore: Option<unsafe extern "C" fn(context: *mut c_void, instance: *mut c_void, bytes: *const u8, num_bytes: usize, message: *mut Message) -> Status>,
    }
    Reduction = "vf_reduction" {
        struct_size: u32,
        flags: u32,
        name: Text,
        doc: Text,
        context: *mut c_void,
        ordering_key: Option<unsafe extern "C" fn(context: *mut c_void, key: Text) -> u64>,
        reduce: Option<unsafe extern "C" fn(context: *mut c_void, key: Text, run: *const Run, message: *mut Message) -> Status>,
        broadcast: Option<unsafe extern "C" fn(context: *mut c_void, key: Text, run: *const Run, message: *mut Message) -> Status>,
        reduce_async: Option<unsafe extern "C" fn(context: *mut c_void, key: Text, run: *const Run, done: Completion, message: *mut Message) -> Status>,
        broadcast_async: Option<unsafe extern "C" fn(context: *mut c_void, key: Text, run: *const Run, done: Completion, message: *mut Message) -> Status>,
    }
    UpdateRule = "vf_update_rule" { struct_size: u32, flags: u32, name: Text, doc: Text, op: Text, states: Texts, }
    Host = "vf_host" { abi_version: u32, struct_size: u32, abi_oldest: u32, reserved: u32, version: Text, }
    Plugin = "vf_plugin" {
        abi_version: u32,
        struct_size: u32,
        abi_oldest: u32,
        preference: i32,
        name: Text,
        version: Text,
        doc: Text,
        num_operators: usize,
        operators: *const *const Operator,
        num_iterators: usize,
        iterators: *const *const Iterator,
        num_reductions: usize,
        reductions: *const *const Reduction,
        num_update_rules: usize,
        update_rules: *const *const UpdateRule,
    }
}
