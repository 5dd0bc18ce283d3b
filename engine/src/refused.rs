//! What the compiler refuses: programs that would touch what they did not name, or end a task twice. Each stands beside
//! one that compiles and differs in the mistake only.
//!
//! # Writing what a task only reads
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! engine.task("add").write(&x).run(|x| *x += 1);
//! ```
//! ```compile_fail,E0594
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! engine.task("add").read(&x).run(|x| *x += 1);
//! ```
//!
//! # Keeping a reference beyond the task
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! let (tx, rx) = std::sync::mpsc::channel();
//! engine.task("keep").read(&x).run(move |x: &i32| tx.send(*x));
//! ```
//! ```compile_fail,E0521
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! let (tx, rx) = std::sync::mpsc::channel();
//! engine.task("keep").read(&x).run(move |x: &i32| drop(tx.send(x)));
//! ```
//!
//! # Touching a value that the task does not name
//! A clone of a [`Data`](crate::Data) is a handle; the value comes only as an argument of the body.
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! let (x, y) = (engine.data(1), engine.data(2));
//! engine.task("add").write(&x).read(&y).run(|x, y| *x += *y);
//! ```
//! ```compile_fail,E0614
//! # let engine = varflow_engine::Engine::serial();
//! let (x, y) = (engine.data(1), engine.data(2));
//! engine.task("add").write(&x).run(move |x| *x += *y);
//! ```
//!
//! # Taking more than was named
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! engine.task("look").read(&x).run(|x| assert_eq!(*x, 1));
//! ```
//! ```compile_fail,E0593
//! # let engine = varflow_engine::Engine::serial();
//! let x = engine.data(1);
//! engine.task("look").read(&x).run(|x, y| assert_eq!(*x, 1));
//! ```
//!
//! # Borrowing from the pusher, which may be gone when the task runs
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! let (x, by) = (engine.data(1), vec![1]);
//! engine.task("add").write(&x).run(move |x| *x += by[0]);
//! ```
//! ```compile_fail,E0373
//! # let engine = varflow_engine::Engine::serial();
//! let (x, by) = (engine.data(1), vec![1]);
//! engine.task("add").write(&x).run(|x| *x += by[0]);
//! ```
//!
//! # Values that must stay on one thread
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! engine.data(std::sync::Arc::new(1));
//! ```
//! ```compile_fail,E0277
//! # let engine = varflow_engine::Engine::serial();
//! engine.data(std::rc::Rc::new(1));
//! ```
//!
//! # Completing a task twice
//! ```
//! # let engine = varflow_engine::Engine::serial();
//! engine.raw("copy").run_async(|_, token| {
//!     token.complete(Ok(()));
//! });
//! ```
//! ```compile_fail,E0382
//! # let engine = varflow_engine::Engine::serial();
//! engine.raw("copy").run_async(|_, token| {
//!     token.complete(Ok(()));
//!     token.complete(Ok(()));
//! });
//! ```
//!
//! # Running a task twice
//! ```
//! # struct Own;
//! # impl varflow_engine::Lane for Own {
//! #     fn name(&self) -> &str { "own" }
//! fn submit(&self, task: varflow_engine::ReadyTask) {
//!     task.run();
//! }
//! # }
//! ```
//! ```compile_fail,E0382
//! # struct Own;
//! # impl varflow_engine::Lane for Own {
//! #     fn name(&self) -> &str { "own" }
//! fn submit(&self, task: varflow_engine::ReadyTask) {
//!     task.run();
//!     task.run();
//! }
//! # }
//! ```
