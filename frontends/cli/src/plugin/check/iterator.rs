//! Checks of a data iterator, whose functions are called directly, on watched memory.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's iterator")]

use super::child::{Check, Finding, Passed, Teller};
use super::guarded::{Guarded, Place};
use super::heap;
use super::protocol::{Block, Title};
use super::stage::{Views, call, explain};
use std::collections::BTreeSet;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::Arc;
use varflow::ops::plugin::{IteratorTable, Values, from_dlpack};
use varflow::ops::{Attrs, Params, Part, Shape, TensorDesc};
use varflow_abi::{self as abi, status};

/// An epoch that is longer is looked into no further.
const MOST_BATCHES: usize = 200;

/// The iterator under check, and parameters to open it with.
struct Subject {
    table: IteratorTable,
    uses: Vec<Params>,
}

/// The checks of an iterator.
pub(crate) fn checks<'a>(table: &IteratorTable) -> Vec<Check<'a>> {
    let uses = table.examples.iter().map(String::as_str).chain(table.examples.is_empty().then_some(""));
    let uses: Result<Vec<Params>, String> = uses.map(|example| read_example(table, example)).collect();
    let title = |name: &str| Title { subject: format!("iterator {}", table.name), check: name.to_string() };
    let uses = match uses {
        Ok(uses) => uses,
        Err(e) => {
            let body = move |_: &mut Teller| Err(e.clone());
            return vec![Check { title: title("schema"), needs: &[], body: Box::new(body) }];
        }
    };
    let subject = Arc::new(Subject { table: table.clone(), uses });
    type Body = fn(&Subject, &mut Teller) -> Finding;
    let all: [(&str, &'static [&'static str], Body); 6] = [
        ("schema", &[], schema),
        ("epochs", &[], epochs),
        ("parts", &["epochs"], parts),
        ("state", &["epochs"], state),
        ("guard pages", &["epochs"], guards),
        ("leaks", &["epochs"], leaks),
    ];
    let check = |(name, needs, body): (&str, &'static [&'static str], Body)| {
        let subject = subject.clone();
        Check { title: title(name), needs, body: Box::new(move |teller| body(&subject, teller)) }
    };
    all.into_iter().map(check).collect()
}

fn read_example(table: &IteratorTable, example: &str) -> Result<Params, String> {
    let mut attrs = Attrs::new();
    for part in example.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) =
            part.split_once('=').ok_or_else(|| format!("example \"{example}\" has \"{part}\", wanted name=value"))?;
        attrs.insert(name.trim().to_string(), value.trim().to_string());
    }
    table.schema.parse(&attrs).map_err(|e| {
        let hint = if example.is_empty() { "; give examples where the defaults do not do" } else { "" };
        format!("example \"{example}\": {e}{hint}")
    })
}

/// An iterator that is open.
struct Open<'t> {
    table: &'t abi::Iterator,
    instance: *mut c_void,
    what: String,
    descs: Vec<TensorDesc>,
    num_batches: Option<usize>,
}

/// What a batch held.
#[derive(Clone, PartialEq)]
struct Seen {
    tensors: Vec<Vec<u8>>,
    index: Vec<u64>,
    pad: usize,
}

/// What is filled with before a batch is asked for.
const POISON: [u8; 2] = [0x55, 0xAA];

impl<'t> Open<'t> {
    fn new(subject: &'t Subject, params: &Params, part: Part, teller: &mut Teller) -> Result<Open<'t>, String> {
        let table = &subject.table.table;
        let given: Vec<_> = params.to_attrs().iter().map(|(n, v)| format!("{n}={v}")).collect();
        let (index, num_parts) = (part.index, part.num_parts);
        let what = format!("{} with {}, part {index} of {num_parts}", subject.table.name, given.join("; "));
        teller.doing(format!("create of {what}"), Vec::new())?;
        let values = Values::new(&subject.table.schema, params).map_err(|e| e.to_string())?;
        let part = abi::Part {
            struct_size: size_of::<abi::Part>() as u32,
            part_index: index as u32,
            num_parts: num_parts as u32,
            reserved: 0,
            seed: part.seed,
        };
        let mut made = Open { table, instance: ptr::null_mut(), what, descs: Vec::new(), num_batches: None };
        let create = table.create.ok_or("it has no create")?;
        // SAFETY: a function of the table, called as the header says with what lives until it returns.
        let created =
            call(|m| unsafe { create(table.context, values.as_ptr(), &raw const part, &raw mut made.instance, m) });
        if let Err(e) = created {
            let text = format!("create of {}: {}", made.what, explain(&e));
            std::mem::forget(made); // what was not made is not destroyed
            return Err(text);
        }
        made.describe()?;
        Ok(made)
    }

    fn fail(&self, function: &str, what: &str) -> String {
        format!("{function} of {}: {what}", self.what)
    }

    fn describe(&mut self) -> Result<(), String> {
        let mut provided = abi::Provided {
            struct_size: size_of::<abi::Provided>() as u32,
            reserved: 0,
            num_data: 0,
            num_label: 0,
            fields: ptr::null(),
            num_batches: -1,
        };
        let describe = self.table.describe.ok_or("it has no describe")?;
        // SAFETY: a function of the table, called as the header says.
        let told = call(|m| unsafe { describe(self.table.context, self.instance, &raw mut provided, m) });
        told.map_err(|e| self.fail("describe", &explain(&e)))?;
        let n = provided.num_data + provided.num_label;
        if provided.num_data == 0 || n > 64 || provided.fields.is_null() {
            let found = format!("it describes {} data and {} labels", provided.num_data, provided.num_label);
            return Err(self.fail("describe", &format!("{found}, wanted 1 to 64 fields with data among them")));
        }
        let mut names = BTreeSet::new();
        for f in 0..n {
            // SAFETY: the header says that there are so many fields, each with a name and as many dimensions as it says.
            let (name, dtype, dims) = unsafe {
                let field = *provided.fields.add(f);
                let ndim = usize::try_from(field.ndim).unwrap_or(usize::MAX);
                if field.name.is_null() || ndim == 0 || ndim > abi::MAX_NDIM || field.shape.is_null() {
                    return Err(self.fail("describe", &format!("field {f} has no name, or {} axes", field.ndim)));
                }
                let name = CStr::from_ptr(field.name).to_string_lossy().into_owned();
                (name, field.dtype, std::slice::from_raw_parts(field.shape, ndim))
            };
            let dims: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok().filter(|d| *d > 0)).collect();
            let shape = dims.map(Shape::from).filter(|s| s.checked_len().is_some_and(|n| n < 1 << 28));
            let shape = shape.ok_or_else(|| self.fail("describe", &format!("field {name} has an absurd shape")))?;
            let dtype = from_dlpack(dtype).map_err(|e| self.fail("describe", &format!("field {name}: {e}")))?;
            if self.descs.first().is_some_and(|d| d.shape[0] != shape[0]) {
                return Err(
                    self.fail("describe", &format!("field {name} has {} samples, others have more or fewer", shape[0]))
                );
            }
            if !names.insert(name.clone()) {
                return Err(self.fail("describe", &format!("it has two fields called {name}")));
            }
            self.descs.push(TensorDesc::new(shape, dtype));
        }
        self.num_batches = usize::try_from(provided.num_batches).ok();
        Ok(())
    }

    /// The next batch, and what was written outside of it.
    fn next(&mut self, place: Place, poison: u8, teller: &mut Teller) -> Result<Option<Seen>, String> {
        let what = format!("next of {}", self.what);
        let num_samples = self.descs[0].shape[0];
        let mut views = Views::new(&self.descs);
        let block = |n: usize| Guarded::new(n, place).map_err(|e| format!("no memory of {n} bytes: {e}"));
        let mut blocks = self.descs.iter().map(|d| block(d.len_bytes())).collect::<Result<Vec<_>, _>>()?;
        let mut index = block(num_samples * size_of::<u64>())?;
        for (view, block) in views.tensors.iter_mut().zip(&mut blocks) {
            block.renew_canaries();
            block.bytes_mut().fill(poison);
            view.data = block.start().cast();
        }
        index.renew_canaries();
        let numbers = (0..num_samples as u64).flat_map(u64::to_ne_bytes).collect::<Vec<u8>>();
        index.bytes_mut().copy_from_slice(&numbers);
        let named = |(f, b): (usize, &Guarded)| (format!("field {f}"), b.start().addr(), b.bytes().len());
        let all = blocks.iter().enumerate().map(named).chain([(
            "the index".to_string(),
            index.start().addr(),
            numbers.len(),
        )]);
        teller.doing(what.clone(), all.map(|(name, start, len_bytes)| Block { name, start, len_bytes }).collect())?;
        let mut batch = abi::Batch {
            struct_size: size_of::<abi::Batch>() as u32,
            reserved: 0,
            num_tensors: views.tensors.len(),
            tensors: views.tensors.as_ptr(),
            num_samples,
            index: index.start().cast(),
            pad: 0,
        };
        let next = self.table.next.ok_or("it has no next")?;
        // SAFETY: a function of the table, called as the header says with what lives until it returns.
        match call(|m| unsafe { next(self.table.context, self.instance, &raw mut batch, m) }) {
            Ok(()) => {}
            Err((status::END, _)) => return Ok(None),
            Err(e) => return Err(format!("{what}: {}", explain(&e))),
        }
        let mut strayed = blocks.iter().chain([&index]).enumerate().filter(|(_, b)| b.strayed() != (0, 0));
        if let Some((f, b)) = strayed.next() {
            let (before, behind) = b.strayed();
            let field = if f == blocks.len() { "the index".to_string() } else { format!("field {f}") };
            return Err(format!("{what}: wrote {before} bytes before and {behind} behind {field}"));
        }
        if batch.pad >= num_samples {
            return Err(format!("{what}: {} of {num_samples} samples are padding, wanted one that is not", batch.pad));
        }
        let index = index.bytes().as_chunks::<8>().0.iter().map(|b| u64::from_ne_bytes(*b)).collect();
        Ok(Some(Seen { tensors: blocks.iter().map(|b| b.bytes().to_vec()).collect(), index, pad: batch.pad }))
    }

    /// All batches up to the end of the epoch, or the most that are looked at.
    fn rest(&mut self, poison: u8, teller: &mut Teller) -> Result<Vec<Seen>, String> {
        let mut seen = Vec::new();
        while seen.len() < MOST_BATCHES {
            let Some(batch) = self.next(Place::Amidst, poison, teller)? else { break };
            seen.push(batch);
        }
        Ok(seen)
    }

    fn reset(&mut self, epoch: u64, teller: &mut Teller) -> Result<(), String> {
        teller.doing(format!("reset of {}", self.what), Vec::new())?;
        let reset = self.table.reset.ok_or("it has no reset")?;
        // SAFETY: a function of the table, called as the header says.
        let told = call(|m| unsafe { reset(self.table.context, self.instance, epoch, m) });
        told.map_err(|e| self.fail("reset", &explain(&e)))
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        unsafe extern "C" fn append(host: *mut c_void, bytes: *const u8, num_bytes: usize) {
            // SAFETY: the host is the list below, and there are so many bytes.
            unsafe { (*host.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, num_bytes)) };
        }
        let mut bytes = Vec::<u8>::new();
        let sink = abi::Sink { host: (&raw mut bytes).cast(), append: Some(append) };
        let save = self.table.save.ok_or("it has no save")?;
        // SAFETY: a function of the table, called as the header says.
        let told = call(|m| unsafe { save(self.table.context, self.instance, &raw const sink, m) });
        told.map_err(|e| self.fail("save", &explain(&e)))?;
        Ok(bytes)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let restore = self.table.restore.ok_or("it has no restore")?;
        // SAFETY: a function of the table, called as the header says.
        let told = call(|m| unsafe { restore(self.table.context, self.instance, bytes.as_ptr(), bytes.len(), m) });
        told.map_err(|e| self.fail("restore", &explain(&e)))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: made by the same table's create, and not used any more.
            unsafe { destroy(self.table.context, self.instance) };
        }
    }
}

fn schema(subject: &Subject, _: &mut Teller) -> Finding {
    let table = &subject.table;
    if let Some(p) = table.schema.params().iter().find(|p| p.doc.trim().is_empty()) {
        return Err(format!("parameter \"{}\" has no doc, wanted what it means, with units", p.name));
    }
    if table.doc.trim().is_empty() {
        return Err("it has no doc, wanted what it gives".to_string());
    }
    Ok(Passed::Ok(format!("{} parameters, {} examples", table.schema.params().len(), table.examples.len())))
}

/// An epoch ends, stays at its end, is told of rightly, is wholly written and comes again as it was.
fn epochs(subject: &Subject, teller: &mut Teller) -> Finding {
    let (mut all, mut ends) = (0, true);
    for params in &subject.uses {
        let mut open = Open::new(subject, params, Part::default(), teller)?;
        let first = open.rest(POISON[0], teller)?;
        if first.len() < MOST_BATCHES {
            if open.num_batches.is_some_and(|n| n != first.len()) {
                let told = open.num_batches.unwrap_or(0);
                return Err(open.fail("describe", &format!("it tells of {told} batches, and gives {}", first.len())));
            }
            if open.next(Place::Amidst, POISON[0], teller)?.is_some() {
                return Err(open.fail("next", "there is another batch after VF_END"));
            }
        }
        open.reset(0, teller)?;
        let second = open.rest(POISON[1], teller)?;
        if first.len() != second.len() {
            let (a, b) = (first.len(), second.len());
            return Err(open.fail("reset", &format!("epoch 0 has {a} batches at first and {b} after a reset to it")));
        }
        for (nth, (a, b)) in first.iter().zip(&second).enumerate() {
            for (f, (a, b)) in a.tensors.iter().zip(&b.tensors).enumerate() {
                let kept = a.iter().zip(b).position(|(a, b)| *a == POISON[0] && *b == POISON[1]);
                if let Some(byte) = kept {
                    let element = byte / open.descs[f].dtype.size_bytes();
                    return Err(
                        open.fail("next", &format!("it did not write element {element} of field {f} of batch {nth}"))
                    );
                }
            }
            if a != b {
                return Err(open.fail("reset", &format!("batch {nth} of epoch 0 is another after a reset to it")));
            }
        }
        open.reset(1, teller)?;
        open.next(Place::Amidst, 0, teller)?;
        all += first.len();
        ends &= first.len() < MOST_BATCHES;
    }
    let unended = if ends { "" } else { "; an epoch goes on behind those" };
    Ok(Passed::Ok(format!("{all} batches, wholly written, the same after a reset{unended}")))
}

/// No sample is in two parts.
fn parts(subject: &Subject, teller: &mut Teller) -> Finding {
    const PARTS: usize = 3;
    for params in &subject.uses {
        let mut seen = BTreeSet::<u64>::new();
        for index in 0..PARTS {
            let mut open = Open::new(subject, params, Part { index, num_parts: PARTS, seed: 1 }, teller)?;
            let mut own = BTreeSet::<u64>::new();
            for batch in open.rest(0, teller)? {
                own.extend(&batch.index[..batch.index.len() - batch.pad]);
            }
            if let Some(sample) = own.intersection(&seen).next() {
                return Err(open.fail(
                    "next",
                    &format!("sample {sample} is in an earlier part too: samples are told apart by the batch's index"),
                ));
            }
            seen.extend(own);
        }
    }
    Ok(Passed::Ok(format!("{PARTS} parts have no sample in common")))
}

/// Another instance goes on where one was.
fn state(subject: &Subject, teller: &mut Teller) -> Finding {
    if subject.table.table.save.is_none() {
        return Ok(Passed::Skipped("it cannot save its state".to_string()));
    }
    for params in &subject.uses {
        let part = Part { seed: 3, ..Part::default() };
        let mut there = Open::new(subject, params, part, teller)?;
        there.reset(2, teller)?;
        there.next(Place::Amidst, 0, teller)?;
        let bytes = there.save()?;
        let mut fresh = Open::new(subject, params, part, teller)?;
        fresh.restore(&bytes)?;
        if there.rest(0, teller)? != fresh.rest(0, teller)? {
            return Err(fresh.fail("restore", "it goes on with other batches than the iterator whose state it took"));
        }
        teller.doing(format!("restore of {} from bytes that are no state", fresh.what), Vec::new())?;
        // It may refuse them or not, but it must live.
        let _ = fresh.restore(b"no state");
        let _ = fresh.restore(&[]);
    }
    Ok(Passed::Ok("a saved place is found again, with the batches that follow".to_string()))
}

fn guards(subject: &Subject, teller: &mut Teller) -> Finding {
    for params in &subject.uses {
        for place in [Place::AtEnd, Place::AtStart] {
            let mut open = Open::new(subject, params, Part::default(), teller)?;
            for _ in 0..4 {
                open.next(place, 0, teller)?;
            }
        }
    }
    Ok(Passed::Ok("nothing outside of tensors and index is touched".to_string()))
}

fn leaks(subject: &Subject, teller: &mut Teller) -> Finding {
    const TIMES: usize = 50;
    if heap::in_use().is_none() {
        return Ok(Passed::Skipped("this system's allocator does not tell what is in use".to_string()));
    }
    for params in subject.uses.iter().take(2) {
        let mut round = || -> Result<(), String> {
            let mut open = Open::new(subject, params, Part::default(), teller)?;
            (0..4).try_for_each(|_| open.next(Place::Amidst, 0, teller).map(drop))
        };
        (0..TIMES).try_for_each(|_| round())?;
        let mut least = usize::MAX;
        for _ in 0..2 {
            let before = heap::in_use().unwrap_or(0);
            (0..TIMES).try_for_each(|_| round())?;
            least = least.min(heap::in_use().unwrap_or(0).saturating_sub(before));
        }
        // An allocation takes 32 bytes at least.
        if least >= TIMES * 16 {
            let each = least / TIMES;
            return Err(format!("{}: an instance and four batches leak {each} bytes", subject.table.name));
        }
    }
    Ok(Passed::Ok("neither instances nor batches keep memory".to_string()))
}
